"""Controls of ours: three frames without attention, and without a recurrent net."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from salstm.modules.convlstm import CHANNELS, States
from salstm.modules.heads import Bidirectional, Direction, Head


class ConvLSTMDirection(Direction):
    """One direction without attention."""

    def read(self, states: States) -> Tensor:
        """Y = h_2."""
        return states.h


def convlstm(classes: int) -> Bidirectional:
    """The bidirectional ConvLSTM without attention: as many parameters as SALSTM."""
    return Bidirectional(ConvLSTMDirection(), ConvLSTMDirection(), classes)


class Stack(Head):
    """A 1x1 convolution over the features of the three frames side by side.

    Args:
        classes: channels of the logits.
    """

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3 * CHANNELS, classes, 1)

    def forward(self, previous: Tensor, centre: Tensor, following: Tensor) -> Tensor:
        """From three maps of features, each ``(B, 64, H, W)``, to logits ``(B, classes, H, W)``."""
        return self.conv(torch.cat((previous, centre, following), dim=1))


def stack(classes: int) -> Stack:
    """The three frames side by side."""
    return Stack(classes)
