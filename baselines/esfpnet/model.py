"""ESFPNet-L: the MiT-B4 pyramid read by an efficient stage-wise feature pyramid of linear maps."""

from __future__ import annotations

from itertools import pairwise

import torch
from segmentation_models_pytorch.encoders import get_encoder
from torch import Tensor, nn
from torch.nn import functional

BACKBONE = (
    "mit_b4"  # smp's is the authors' function (SSFormer's, which they take), drop-path 0..0.1 too
)
WIDTHS = (64, 128, 320, 512)  # channels at 1/4, 1/8, 1/16, 1/32 of the input's size


class ESFPNet(nn.Module):
    """Deep features join the shallow ones step by step; the head reads every step ."""

    def __init__(self, out_channels: int) -> None:
        super().__init__()
        self.backbone = get_encoder(BACKBONE, weights=None)
        self.linear = nn.ModuleList(PixelLinear(width) for width in WIDTHS)
        self.fuse = nn.ModuleList(
            Fuse(shallow + deep, shallow) for shallow, deep in pairwise(WIDTHS)
        )
        self.fused_linear = nn.ModuleList(PixelLinear(width) for width in WIDTHS[:-1])
        self.head = nn.Conv2d(sum(WIDTHS), out_channels, kernel_size=1)

    def forward(self, x: Tensor) -> Tensor:
        """Map images (B, 1 or 3, H, W) to logits (B, out_channels, H, W).

        The authors' module ends with ``quarter``. As in their learning-ability notebook, home of
        the CVC-ClinicDB experiment, corners are not aligned; the other notebook aligns them.
        """
        return enlarge(self.quarter(x), 4)

    def quarter(self, x: Tensor) -> Tensor:
        """Map images to the logits of the authors' module, (B, out_channels, H/4, W/4)."""
        stages = self.backbone(x.expand(-1, 3, -1, -1))[-4:]  # one channel stands for three
        maps = [linear(stage) for linear, stage in zip(self.linear, stages, strict=True)]
        for depth in (2, 1, 0):  # 320, 128, 64 channels at 1/16, 1/8, 1/4
            both = torch.cat([maps[depth], enlarge(maps[depth + 1], 2)], dim=1)
            maps[depth] = self.fused_linear[depth](self.fuse[depth](both))
        pyramid = [maps[0], *(enlarge(maps[depth], 2**depth) for depth in (1, 2, 3))]
        return self.head(torch.cat(pyramid, dim=1))  # of (B, 1024, H/4, W/4)


class PixelLinear(nn.Linear):
    """The same linear map at every pixel, from and to (B, C, h, w)."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels, channels)

    def forward(self, input: Tensor) -> Tensor:
        return super().forward(input.movedim(1, -1)).movedim(-1, 1)


class Fuse(nn.Module):
    """1x1 convolution, batch normalisation, ReLU."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, kernel_size=1, bias=False)
        self.norm = nn.BatchNorm2d(out_channels)
        nn.init.kaiming_normal_(self.conv.weight, mode="fan_out", nonlinearity="relu")  # mmcv's

    def forward(self, x: Tensor) -> Tensor:
        return functional.relu(self.norm(self.conv(x)), inplace=True)


def enlarge(x: Tensor, times: int) -> Tensor:
    """Bilinear enlargement of (B, C, h, w) whose corners are not aligned."""
    return functional.interpolate(
        x, scale_factor=float(times), mode="bilinear", align_corners=False
    )
