"""SALSTM: self-attention between the channels of the ConvLSTM's states (equations 5, 6 and 8)."""

from __future__ import annotations

from torch import Tensor

from salstm.modules.attention import AttentionSize, channel_attention, scale
from salstm.modules.convlstm import States
from salstm.modules.heads import Bidirectional, Direction


class SALSTMDirection(Direction):
    """One direction of SALSTM; the attention has no parameters.

    Neither a residual nor a normalisation follows: the logits see the features only through A V.

    Args:
        attention_size: see ``salstm.modules.attach``.
    """

    def __init__(self, attention_size: AttentionSize) -> None:
        super().__init__()
        self.attention_size: AttentionSize = attention_size

    def read(self, states: States) -> Tensor:
        """Equations 5 and 6: Q from c and f, K from g and h, V = h."""
        query = (states.c + states.f) / 2
        key = (states.g + states.h) / 2
        return channel_attention(query, key, states.h, scale(self.attention_size, query))


def salstm(classes: int, attention_size: AttentionSize) -> Bidirectional:
    """The whole head: 1,638,912 parameters and 129 for each class."""
    return Bidirectional(SALSTMDirection(attention_size), SALSTMDirection(attention_size), classes)
