"""U-Net++ as in UNet_Family's unetpp.py (NestedUNet): maps are enlarged without weights."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

WIDTHS = (32, 64, 128, 256, 512)  # channels at 1/1, 1/2, 1/4, 1/8, 1/16 of the input's size
ROWS = len(WIDTHS)


class UNetPlusPlus(nn.Module):
    """A triangle of nodes X(i, j), the paper's figure 1: row i at 1/2**i of the size, column j.

    Column 0 is the encoder. Every other node sees all earlier nodes of its row and the node below
    on its left, enlarged. The logits come from X(0, 4), the auxiliary ones from X(0, 1) to X(0, 3).
    """

    def __init__(self, in_channels: int, out_channels: int, *, auxiliary: bool) -> None:
        super().__init__()
        self.nodes = nn.ModuleDict()  # "i_j" is X(i, j)
        for i, inputs in enumerate((in_channels, *WIDTHS[:-1])):
            self.nodes[f"{i}_0"] = DoubleConv(inputs, WIDTHS[i])
        for j in range(1, ROWS):
            for i in range(ROWS - j):
                self.nodes[f"{i}_{j}"] = DoubleConv(j * WIDTHS[i] + WIDTHS[i + 1], WIDTHS[i])
        self.head = _head(out_channels)
        self.auxiliary_heads = nn.ModuleList(
            _head(out_channels) for _ in range(1, ROWS - 1) if auxiliary
        )

    def forward(self, x: Tensor) -> Tensor | tuple[Tensor, ...]:
        """Map images (B, in_channels, H, W) to logits (B, out_channels, H, W).

        In training mode with auxiliary heads: a tuple of such logits, those of X(0, 4) first, then
        those of X(0, 1), X(0, 2) and X(0, 3).
        """
        rows = self._encode(x)  # rows[i][j] is X(i, j): (B, WIDTHS[i], H/2**i, W/2**i)
        for j in range(1, ROWS):
            for i in range(ROWS - j):
                seen = torch.cat([*rows[i], _enlarge(rows[i + 1][j - 1])], dim=1)
                rows[i].append(self.nodes[f"{i}_{j}"](seen))
        _, *middle, last = rows[0]
        logits = self.head(last)
        if not self.training or not self.auxiliary_heads:
            return logits
        heads = zip(self.auxiliary_heads, middle, strict=True)
        return logits, *(head(node) for head, node in heads)

    def _encode(self, x: Tensor) -> list[list[Tensor]]:
        """Column 0, each node as the first one of its row."""
        column = [self.nodes["0_0"](x)]
        for i in range(1, ROWS):
            column.append(self.nodes[f"{i}_0"](functional.max_pool2d(column[-1], 2)))
        return [[node] for node in column]


class DoubleConv(nn.Sequential):
    """Twice: 3x3 convolution with a bias, batch normalisation, ReLU."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__(
            nn.Conv2d(in_channels, out_channels, kernel_size=3, padding=1),
            nn.BatchNorm2d(out_channels),
            nn.ReLU(inplace=True),
            nn.Conv2d(out_channels, out_channels, kernel_size=3, padding=1),
            nn.BatchNorm2d(out_channels),
            nn.ReLU(inplace=True),
        )


def _head(out_channels: int) -> nn.Conv2d:
    return nn.Conv2d(WIDTHS[0], out_channels, kernel_size=1)


def _enlarge(x: Tensor) -> Tensor:
    return functional.interpolate(x, scale_factor=2, mode="bilinear", align_corners=True)
