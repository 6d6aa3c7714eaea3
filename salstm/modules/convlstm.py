"""The convolutional LSTM under both modules: equations 1 to 4 of the package."""

from __future__ import annotations

from typing import NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

CHANNELS = 64  # of the features and of the hidden state, in every variant of the paper


class Memory(NamedTuple):
    """What a step hands to the next one, each ``(B, hidden, H, W)``."""

    c: Tensor
    h: Tensor


class States(NamedTuple):
    """All states of one step, each ``(B, hidden, H, W)``; the gates after their activation."""

    i: Tensor
    f: Tensor
    o: Tensor
    g: Tensor
    c: Tensor
    h: Tensor


class ConvLSTMCell(nn.Module):
    """ConvLSTM cell with one convolution for all gates, no peepholes and no normalisation.

    The convolution of equation 1 is a sum of two, ``W_x * x + b`` and ``W_h * h``, evaluated apart
    but kept as one parameter, so that checkpoints map one to one. That allows two exact savings:

    - at the first step h = c = 0: neither ``W_h * h`` nor the forget gate is computed, the gate only
      where the frame is a centre too;
    - ``W_x * x + b`` belongs to the frame alone: a frame that serves as neighbour of one window
      and as centre of another needs it once.

    Args:
        channels: of the input frames.
        hidden: of the states.
        kernel: odd side of the convolution's kernel; padding keeps the map's size.
    """

    def __init__(self, channels: int = CHANNELS, hidden: int = CHANNELS, kernel: int = 5) -> None:
        super().__init__()
        self.channels = channels
        self.hidden = hidden
        self.conv = nn.Conv2d(channels + hidden, 4 * hidden, kernel, padding=kernel // 2)

    def input_gates(self, x: Tensor) -> Tensor:
        """``W_x * x + b``: from a frame ``(B, channels, H, W)`` to ``(B, 4 hidden, H, W)``."""
        weight = self.conv.weight[:, : self.channels]
        return functional.conv2d(x, weight, self.conv.bias, padding=self.conv.padding)

    def first_gates(self, x: Tensor) -> Tensor:
        """``input_gates`` without the forget gate, ``(B, 3 hidden, H, W)``: for a frame that is only a neighbour."""
        weight, bias = self.conv.weight[:, : self.channels], cast(Tensor, self.conv.bias)
        weight, bias = (
            torch.cat((part[: self.hidden], part[2 * self.hidden :])) for part in (weight, bias)
        )
        return functional.conv2d(x, weight, bias, padding=self.conv.padding)

    def hidden_gates(self, h: Tensor) -> Tensor:
        """``W_h * h``: from a hidden state ``(B, hidden, H, W)`` to ``(B, 4 hidden, H, W)``."""
        weight = self.conv.weight[:, self.channels :]
        return functional.conv2d(h, weight, padding=self.conv.padding)

    def begin(self, gates: Tensor) -> Memory:
        """The first step, from ``first_gates`` or ``input_gates`` of the first frame.

        The forget gate is left out: it multiplies c_0 = 0, and no read-out looks at the first step.
        """
        a_i, *_, a_o, a_g = gates.split(self.hidden, dim=1)
        c = torch.sigmoid(a_i) * torch.tanh(a_g)
        return Memory(c, torch.sigmoid(a_o) * torch.tanh(c))

    def first(self, gates: Tensor) -> States:
        """The first step with all its states, where something looks at them; ``W_h * h`` is zero."""
        a_i, a_f, a_o, a_g = gates.chunk(4, dim=1)
        i, f, o = torch.sigmoid(a_i), torch.sigmoid(a_f), torch.sigmoid(a_o)
        g = torch.tanh(a_g)
        c = i * g
        return States(i, f, o, g, c, o * torch.tanh(c))

    def forward(self, gates: Tensor, memory: Memory | States) -> States:
        """A later step.

        Args:
            gates: ``input_gates`` of this step's frame, ``(B, 4 hidden, H, W)``; left unchanged.
            memory: of the step before.
        """
        # In place on the convolution's fresh result: neither backward pass needs the two summands.
        a = self.hidden_gates(memory.h).add_(gates)
        a_i, a_f, a_o, a_g = a.chunk(4, dim=1)
        i, f, o = torch.sigmoid(a_i), torch.sigmoid(a_f), torch.sigmoid(a_o)
        g = torch.tanh(a_g)
        c = f * memory.c + i * g
        return States(i, f, o, g, c, o * torch.tanh(c))
