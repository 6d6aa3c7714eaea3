"""UNet_Family's U-Net with depthwise separable convolutions; no authors' DWUNet is known."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn

WIDTHS = (32, 64, 128, 256, 512)  # channels at 1/1, 1/2, 1/4, 1/8, 1/16 of the input's size


class DWUNet(nn.Module):
    """U-Net: contracting path, expanding path, and a copy across at every size."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.stem = DoubleConv(in_channels, WIDTHS[0])
        self.down = nn.ModuleList(Down(shallow, deep) for shallow, deep in pairwise(WIDTHS))
        self.up = nn.ModuleList(Up(deep, shallow) for deep, shallow in pairwise(WIDTHS[::-1]))
        self.head = nn.Conv2d(WIDTHS[0], out_channels, kernel_size=1)

    def forward(self, x: Tensor) -> Tensor:
        """Map images (B, in_channels, H, W) to logits (B, out_channels, H, W)."""
        maps = [self.stem(x)]  # (B, 32, H, W)
        for down in self.down:
            maps.append(down(maps[-1]))  # twice the channels, half the size: (B, 512, H/16, W/16)
        x = maps.pop()
        for up in self.up:
            x = up(x, maps.pop())  # half the channels, twice the size: (B, 32, H, W)
        return self.head(x)


class Down(nn.Module):
    """One step down: (B, C, h, w) to (B, 2C, h/2, w/2)."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.pool = nn.MaxPool2d(2)
        self.convs = DoubleConv(in_channels, out_channels)

    def forward(self, x: Tensor) -> Tensor:
        return self.convs(self.pool(x))


class Up(nn.Module):
    """One step up: (B, 2C, h, w) and the map copied across, (B, C, 2h, 2w), to (B, C, 2h, 2w)."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.enlarge = nn.ConvTranspose2d(in_channels, out_channels, kernel_size=2, stride=2)
        self.convs = DoubleConv(2 * out_channels, out_channels)

    def forward(self, x: Tensor, copied: Tensor) -> Tensor:
        return self.convs(torch.cat([self.enlarge(x), copied], dim=1))


class DoubleConv(nn.Sequential):
    """Twice: separable convolution, batch normalisation, ReLU."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__(
            SeparableConv(in_channels, out_channels),
            nn.BatchNorm2d(out_channels),
            nn.ReLU(inplace=True),
            SeparableConv(out_channels, out_channels),
            nn.BatchNorm2d(out_channels),
            nn.ReLU(inplace=True),
        )


class SeparableConv(nn.Sequential):
    """A 3x3 convolution in two: over the plane within each channel, then over the channels.

    Nothing stands between the two, as in Xception (section 4.7) and unlike MobileNet: the pair is a
    3x3 convolution whose kernel is a product, so that U-Net and DWUNet differ in nothing else.
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__(
            nn.Conv2d(in_channels, in_channels, kernel_size=3, padding=1, groups=in_channels),
            nn.Conv2d(in_channels, out_channels, kernel_size=1),
        )
