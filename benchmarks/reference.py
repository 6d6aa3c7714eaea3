"""The modules as the paper's release computes them: the yardstick of the benchmarks.

Written from the equations (``salstm.modules``), with nothing saved: every frame of every window passes the network, one
convolution over [x, h] a step although h = 0 at the first, Gaussian attention position by position. It uses the weights
of our module, so both must give the same logits.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from baselines.mtunet import model as mtunet
from salstm.modules.convlstm import ConvLSTMCell, States
from salstm.modules.heads import Bidirectional, Direction
from salstm.modules.wrapper import Attached


class Reference(nn.Module):
    """Windows ``(B, 3, C, H, W)`` to logits ``(B, classes, H, W)``, one window after the other.

    Args:
        attached: our module, whose weights are used.
    """

    def __init__(self, attached: Attached) -> None:
        super().__init__()
        if not isinstance(attached.head, Bidirectional):
            raise TypeError(f"{attached.variant}: salstm and lstmsa have a reference")
        self.network, self.head = attached.network, attached.head

    def forward(self, images: Tensor) -> Tensor:
        """As the release: three passes, two directions of two steps, a 1x1 convolution."""
        previous, centre, following = (self.network(frame) for frame in images.unbind(1))
        ahead = _direction(self.head.forward_net, previous, centre)
        back = _direction(self.head.reverse_net, following, centre)
        return self.head.conv(torch.cat((ahead, back), dim=1))


def gaussian_axial_attention(query: Tensor, key: Tensor, value: Tensor, penalty: Tensor) -> Tensor:
    """Position by position, as the formula of ``baselines.mtunet.model`` is written."""
    side, positions = query.shape[1], []
    for row in range(side):
        for column in range(side):
            one = query[:, row, column, None]  # (B, 1, D)
            along = one @ key[:, row].transpose(1, 2) - penalty[column]
            across = one @ key[:, :, column].transpose(1, 2) - penalty[row]
            total = along.softmax(-1) @ value[:, row] + across.softmax(-1) @ value[:, :, column]
            positions.append(total[:, 0])
    return torch.stack(positions, dim=1).unflatten(1, (side, side))


@contextmanager
def double_loop() -> Iterator[None]:
    """MT-UNet with the double loop in place of the closed form."""
    closed = mtunet.gaussian_axial_attention
    mtunet.gaussian_axial_attention = gaussian_axial_attention
    try:
        yield
    finally:
        mtunet.gaussian_axial_attention = closed


def _direction(net: Direction, neighbour: Tensor, centre: Tensor) -> Tensor:
    zero = torch.zeros_like(centre)
    first = _step(net.cell, neighbour, zero, zero)
    return net.read(_step(net.cell, centre, first.h, first.c))


def _step(cell: ConvLSTMCell, x: Tensor, h: Tensor, c: Tensor) -> States:
    a_i, a_f, a_o, a_g = cell.conv(torch.cat((x, h), dim=1)).chunk(4, dim=1)
    i, f, o, g = torch.sigmoid(a_i), torch.sigmoid(a_f), torch.sigmoid(a_o), torch.tanh(a_g)
    c = f * c + i * g
    return States(i, f, o, g, c, o * torch.tanh(c))
