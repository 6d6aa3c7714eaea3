"""SSFormer-L: the MiT-B4 pyramid read by a progressive locality decoder."""

from __future__ import annotations

import torch
from segmentation_models_pytorch.encoders import get_encoder
from torch import Tensor, nn
from torch.nn import functional

BACKBONE = "mit_b4"  # smp's is the authors' function, drop-path 0..0.1 included
BACKBONE_WIDTHS = (64, 128, 320, 512)  # channels at 1/4, 1/8, 1/16, 1/32 of the input's size
WIDTH = 256  # of the decoder
DROPOUT = 0.1


class SSFormer(nn.Module):
    """Every stage's local features, gathered from the deepest to the shallowest (paper fig. 2)."""

    def __init__(self, out_channels: int) -> None:
        super().__init__()
        self.backbone = get_encoder(BACKBONE, weights=None)
        self.emphasis = nn.ModuleList(LocalEmphasis(width) for width in BACKBONE_WIDTHS)
        self.aggregation = nn.ModuleList(Aggregation() for _ in BACKBONE_WIDTHS[1:])
        self.dropout = nn.Dropout(DROPOUT)
        self.head = nn.Conv2d(WIDTH, out_channels, kernel_size=1)

    def forward(self, x: Tensor) -> Tensor:
        """Map images (B, 1 or 3, H, W) to logits (B, out_channels, H, W)."""
        stages = self.backbone(x.expand(-1, 3, -1, -1))[-4:]  # one channel stands for three
        maps = [emphasis(stage) for emphasis, stage in zip(self.emphasis, stages, strict=True)]
        quarter = maps[0].shape[-2:]
        for depth in (1, 2, 3):
            maps[depth] = functional.interpolate(
                maps[depth], size=quarter, mode="bilinear", align_corners=False
            )  # (B, 256, H/4, W/4), like maps[0]
        y = maps.pop()
        for aggregate in reversed(self.aggregation):
            y = aggregate(torch.cat([y, maps.pop()], dim=1))
        logits = self.head(self.dropout(y))
        return functional.interpolate(logits, scale_factor=4.0, mode="bilinear", align_corners=True)


class LocalEmphasis(nn.Sequential):
    """Twice 3x3 convolution and ReLU, no bias, no norm: (B, C, h, w) to (B, 256, h, w)."""

    def __init__(self, in_channels: int) -> None:
        super().__init__(
            nn.Conv2d(in_channels, WIDTH, kernel_size=3, padding=1, bias=False),
            nn.ReLU(inplace=True),
            nn.Conv2d(WIDTH, WIDTH, kernel_size=3, padding=1, bias=False),
            nn.ReLU(inplace=True),
        )


class Aggregation(nn.Module):
    """1x1 convolution, batch normalisation, ReLU: (B, 2 * 256, h, w) to (B, 256, h, w)."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2 * WIDTH, WIDTH, kernel_size=1, bias=False)
        self.norm = nn.BatchNorm2d(WIDTH)
        nn.init.kaiming_normal_(self.conv.weight, mode="fan_out", nonlinearity="relu")  # mmcv's

    def forward(self, x: Tensor) -> Tensor:
        return functional.relu(self.norm(self.conv(x)), inplace=True)
