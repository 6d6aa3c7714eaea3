"""LSTMSA: SALSTM's states as gates on linear maps of the hidden state (equations 5 to 8)."""

from __future__ import annotations

from torch import Tensor, nn

from salstm.modules.attention import AttentionSize, channel_attention, scale
from salstm.modules.convlstm import CHANNELS, States
from salstm.modules.heads import Bidirectional, Direction


class LSTMSADirection(Direction):
    """One direction of LSTMSA.

    The three linear maps over channels are 1x1 convolutions: the same function and the same initial
    distribution as the authors' ``nn.Linear``, without transposing the maps.

    Args:
        attention_size: see ``salstm.modules.attach``.
    """

    def __init__(self, attention_size: AttentionSize) -> None:
        super().__init__()
        self.attention_size: AttentionSize = attention_size
        self.query = nn.Conv2d(CHANNELS, CHANNELS, 1)
        self.key = nn.Conv2d(CHANNELS, CHANNELS, 1)
        self.value = nn.Conv2d(CHANNELS, CHANNELS, 1)

    def read(self, states: States) -> Tensor:
        """Equations 5, 7 and 6."""
        h = states.h
        query = (states.c + states.f) / 2 * self.query(h)
        key = (states.g + h) / 2 * self.key(h)
        value = h * self.value(h)
        return channel_attention(query, key, value, scale(self.attention_size, query))


def lstmsa(classes: int, attention_size: AttentionSize) -> Bidirectional:
    """The whole head: 1,663,872 parameters and 129 for each class."""
    return Bidirectional(LSTMSADirection(attention_size), LSTMSADirection(attention_size), classes)
