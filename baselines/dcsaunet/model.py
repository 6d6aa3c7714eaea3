"""DCSAU-Net, from the description in Xu et al. (arXiv 2202.00972) and the authors' DCSAU_Net.py.

A full-resolution stem (primary feature conservation, PFC), four encoder and four decoder stages of
two split-attention bottlenecks each (compact split-attention, CSA), skips by concatenation.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

STEM_WIDTH = 64
EXPANSION = 4  # output width of a bottleneck over its inner width
SMALLEST_SQUEEZE = 32


class DCSAUNet(nn.Module):
    """The whole network: ``(B, in_channels, H, W)`` to logits ``(B, out_channels, H, W)``.

    H and W are multiples of 16. Training needs B > 1 (batch norm on 1x1 maps).

    Deviation: each instance owns its stages; the authors' instances share one set made at import.
    Deviation: no padding in the decoder; the authors need it for other sides.
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.stem = Stem(in_channels)
        self.down = nn.ModuleList(
            [
                stage(64, 32, blur=False),
                stage(128, 64),
                stage(256, 128),
                stage(512, 128),
            ]
        )
        self.up = nn.ModuleList(
            [
                stage(1024, 64),
                stage(512, 32),
                stage(256, 16),
                stage(128, 16, blur=False),
            ]
        )
        self.head = nn.Conv2d(STEM_WIDTH, out_channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)  # (B, 64, H, W)
        skips = []
        for down in self.down:  # 128 at 1/2, 256 at 1/4, 512 at 1/8, 512 at 1/16
            skips.append(x)
            x = down(functional.max_pool2d(x, 2))
        for up in self.up:  # 256 at 1/8, 128 at 1/4, 64 at 1/2, 64 at 1/1
            x = functional.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=True)
            x = up(torch.cat([skips.pop(), x], dim=1))
        return self.head(x)


class Stem(nn.Module):
    """PFC: 7x7, depthwise 7x7 with a residual, pointwise; each is activated, THEN normalised."""

    def __init__(self, in_channels: int) -> None:
        super().__init__()
        self.enter = self._layer(nn.Conv2d(in_channels, STEM_WIDTH, 7, padding=3))
        self.depthwise = self._layer(
            nn.Conv2d(STEM_WIDTH, STEM_WIDTH, 7, padding=3, groups=STEM_WIDTH)
        )
        self.pointwise = self._layer(nn.Conv2d(STEM_WIDTH, STEM_WIDTH, 1))

    @staticmethod
    def _layer(conv: nn.Conv2d) -> nn.Sequential:
        return nn.Sequential(conv, nn.ReLU(inplace=True), nn.BatchNorm2d(conv.out_channels))

    def forward(self, x: Tensor) -> Tensor:
        x = self.enter(x)
        return self.pointwise(x + self.depthwise(x))


def stage(in_channels: int, width: int, *, blur: bool = True) -> nn.Sequential:
    """Two bottlenecks; with ``blur`` (authors' "is_first") the first averages 3x3 inside."""
    channels = EXPANSION * width
    both = nn.Sequential(
        Bottleneck(in_channels, width, blur=blur), Bottleneck(channels, width, blur=False)
    )
    both.apply(_initialise)
    return both


class Bottleneck(nn.Module):
    """1x1 down, split attention, 1x1 up, residual: ``(B, in, h, w)`` to ``(B, 4 width, h, w)``."""

    def __init__(self, in_channels: int, width: int, *, blur: bool) -> None:
        super().__init__()
        channels = EXPANSION * width
        self.reduce = conv_norm(in_channels, width, 1)
        self.attention = SplitAttention(width)
        self.blur = nn.AvgPool2d(3, stride=1, padding=1) if blur else nn.Identity()
        self.expand = conv_norm(width, channels, 1)
        same = in_channels == channels
        self.project = nn.Identity() if same else conv_norm(in_channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        y = functional.relu(self.reduce(x), inplace=True)
        y = self.expand(self.blur(self.attention(y)))
        return functional.relu(y + self.project(x), inplace=True)


class SplitAttention(nn.Module):
    """Two branches weighed per channel, ``(B, C, h, w)`` to the same shape.

    Unlike ResNeSt's, the second branch is the sum of both halves and passes a convolution of its
    own. The authors declare a dropout here that they never use.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        squeezed = max(channels // 2, SMALLEST_SQUEEZE)
        self.split = conv_norm(channels, 2 * channels, 3)
        self.refine = conv_norm(channels, channels, 3)
        self.squeeze = nn.Sequential(nn.Conv2d(channels, squeezed, 1), nn.BatchNorm2d(squeezed))
        self.weigh = nn.Conv2d(squeezed, 2 * channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        first, second = functional.relu(self.split(x), inplace=True).chunk(2, dim=1)
        second = functional.relu(self.refine(first + second), inplace=True)
        pooled = functional.adaptive_avg_pool2d(first + second, 1)  # (B, C, 1, 1)
        scores = self.weigh(functional.relu(self.squeeze(pooled), inplace=True))  # (B, 2C, 1, 1)
        weights = scores.unflatten(1, (2, -1)).softmax(dim=1)  # (B, 2, C, 1, 1)
        return weights[:, 0] * first + weights[:, 1] * second


def conv_norm(in_channels: int, out_channels: int, kernel: int) -> nn.Sequential:
    """Convolution without bias and batch norm; a 3x3 convolution works on two groups."""
    groups = 2 if kernel == 3 else 1
    conv = nn.Conv2d(
        in_channels, out_channels, kernel, padding=kernel // 2, groups=groups, bias=False
    )
    return nn.Sequential(conv, nn.BatchNorm2d(out_channels))


def _initialise(module: nn.Module) -> None:
    """The authors' rule for the stages: normal by a fan-out that ignores groups."""
    if isinstance(module, nn.Conv2d):
        height, width = module.kernel_size
        fan_out = height * width * module.out_channels
        nn.init.normal_(module.weight, 0.0, math.sqrt(2 / fan_out))
