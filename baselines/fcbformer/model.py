"""FCBFormer: a transformer branch for what and where, a convolutional branch for the outline."""

from __future__ import annotations

from itertools import pairwise

import timm
import torch
from timm.models.pvt_v2 import Attention
from torch import Tensor, nn
from torch.nn import functional

BACKBONE = "pvt_v2_b3"  # timm's is the authors' function
BACKBONE_WIDTHS = (64, 128, 320, 512)  # channels at 1/4, 1/8, 1/16, 1/32 of the input's size
BRANCH_WIDTH = 64  # channels inside the transformer branch's decoder, and of the head
LEVEL_WIDTHS = (32, 32, 64, 64, 128, 128)  # convolutional branch at 1/1, 1/2, ..., 1/32
GROUPS = 32


class FCBFormer(nn.Module):
    """Both branches see the image; the head sees both at full size (paper fig. 1)."""

    def __init__(self, out_channels: int) -> None:
        super().__init__()
        self.transformer = TransformerBranch()
        self.convolution = ConvolutionalBranch()
        self.head = nn.Sequential(
            ResidualBlock(BRANCH_WIDTH + LEVEL_WIDTHS[0], BRANCH_WIDTH),
            ResidualBlock(BRANCH_WIDTH, BRANCH_WIDTH),
            nn.Conv2d(BRANCH_WIDTH, out_channels, kernel_size=1),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map images (B, 1 or 3, H, W) to logits (B, out_channels, H, W)."""
        x = x.expand(-1, 3, -1, -1)  # one channel stands for three
        coarse = functional.interpolate(self.transformer(x), scale_factor=4.0, mode="nearest")
        return self.head(torch.cat([coarse, self.convolution(x)], dim=1))  # (B, 64 + 32, H, W)


class TransformerBranch(nn.Module):
    """PVTv2-B3 and the improved progressive locality decoder: image to (B, 64, H/4, W/4)."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone = timm.create_model(BACKBONE, pretrained=False, features_only=True)
        for module in self.backbone.modules():
            if isinstance(module, Attention):
                module.fused_attn = False  # the authors' two products: fvcore can count them
        self.emphasis = nn.ModuleList(two_blocks(width, BRANCH_WIDTH) for width in BACKBONE_WIDTHS)
        self.aggregation = nn.ModuleList(
            two_blocks(2 * BRANCH_WIDTH, BRANCH_WIDTH) for _ in BACKBONE_WIDTHS[1:]
        )

    def forward(self, x: Tensor) -> Tensor:
        # Deviation: the authors resize to 88x88, which is H/4 at their only size, 352.
        maps = [
            functional.interpolate(emphasis(level), scale_factor=float(2**depth), mode="nearest")
            for depth, (emphasis, level) in enumerate(
                zip(self.emphasis, self.backbone(x), strict=True)
            )
        ]  # four of (B, 64, H/4, W/4), the shallowest first
        x = maps.pop()
        for aggregate in reversed(self.aggregation):
            x = aggregate(torch.cat([maps.pop(), x], dim=1))
        return x


class ConvolutionalBranch(nn.Module):
    """A residual U-Net whose 18 encoder outputs go to 18 decoder blocks: to (B, 32, H, W)."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.ModuleList(_encoder())
        self.middle = two_blocks(LEVEL_WIDTHS[-1], LEVEL_WIDTHS[-1])
        handed_over = [LEVEL_WIDTHS[0]]  # channels of the encoder's outputs: the stem's, ...
        for width, deeper in pairwise((*LEVEL_WIDTHS, 0)):
            handed_over += [width] * (3 if deeper else 2)  # ... two blocks', a smaller copy's
        self.decoder = nn.ModuleList()
        self.enlarge = nn.ModuleDict()  # by the number of the decoder block before it
        current = LEVEL_WIDTHS[-1]
        for number, width in enumerate(w for w in reversed(LEVEL_WIDTHS) for _ in range(3)):
            self.decoder.append(ResidualBlock(current + handed_over.pop(), width))
            current = width
            if number % 3 == 2 and handed_over:  # the third block of a level but the last
                self.enlarge[str(number)] = conv3x3(width, width)

    def forward(self, x: Tensor) -> Tensor:
        maps = []
        for layer in self.encoder:
            x = layer(x)
            maps.append(x)  # 18 of them, from (B, 32, H, W) to (B, 128, H/32, W/32)
        x = self.middle(x)
        for number, block in enumerate(self.decoder):
            x = block(torch.cat([x, maps.pop()], dim=1))
            if str(number) in self.enlarge:
                x = functional.interpolate(x, scale_factor=2.0, mode="nearest")
                x = self.enlarge[str(number)](x)
        return x


def _encoder() -> list[nn.Module]:
    """Stem, then on each level two blocks and, but for the last, a halving convolution."""
    layers: list[nn.Module] = [conv3x3(3, LEVEL_WIDTHS[0])]
    current = LEVEL_WIDTHS[0]
    for level, width in enumerate(LEVEL_WIDTHS):
        layers += [ResidualBlock(current, width), ResidualBlock(width, width)]
        if level < len(LEVEL_WIDTHS) - 1:
            layers.append(conv3x3(width, width, stride=2))
        current = width
    return layers


class ResidualBlock(nn.Module):
    """Twice: group normalisation, SiLU, 3x3 convolution; plus the input (1x1 if widths differ)."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.norm1 = nn.GroupNorm(GROUPS, in_channels)
        self.conv1 = conv3x3(in_channels, out_channels)
        self.norm2 = nn.GroupNorm(GROUPS, out_channels)
        self.conv2 = conv3x3(out_channels, out_channels)
        same = in_channels == out_channels
        self.skip = nn.Identity() if same else nn.Conv2d(in_channels, out_channels, kernel_size=1)

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv1(functional.silu(self.norm1(x)))
        y = self.conv2(functional.silu(self.norm2(y)))
        return self.skip(x) + y


def two_blocks(in_channels: int, out_channels: int) -> nn.Sequential:
    """Two residual blocks, the first of which changes the width."""
    return nn.Sequential(
        ResidualBlock(in_channels, out_channels), ResidualBlock(out_channels, out_channels)
    )


def conv3x3(in_channels: int, out_channels: int, stride: int = 1) -> nn.Conv2d:
    """A padded 3x3 convolution with a bias."""
    return nn.Conv2d(in_channels, out_channels, kernel_size=3, stride=stride, padding=1)
