"""Cascaded MERIT, from Rahman & Marculescu (arXiv 2303.16892) and the authors' lib/networks.py.

Pass 1 sees the image at full size, pass 2 the image times a mask from pass 1 at 7/8 of the size,
with the features of pass 1 added to its own. Both passes share the CASCADE decoder and the heads.
"""

from __future__ import annotations

import itertools
from pathlib import Path

import timm
import torch
from timm.models.maxxvit import MaxxVit
from torch import Tensor, nn
from torch.nn import functional

FIRST, SECOND = "maxxvit_rmlp_small_rw_256", "maxvit_rmlp_small_rw_224"
WIDTHS = (768, 384, 192, 96)  # of both backbones at strides 32, 16, 8, 4
DEEPEST_STRIDE = 32


class Merit(nn.Module):
    """The whole network: ``(B, in_channels, S, S)`` to logits ``(B, out_channels, S, S)``.

    S is ``image_size``. With ``auxiliary=True`` and in training mode: ``(logits, p1, p2, p3, p4)``,
    all of that shape.

    Deviation: the authors know S = 256 alone (pass 2 at 224, windows 8x8 and 7x7). Here windows are
    1/32 of the side, as timm builds them.
    Deviation: the backbones never change roles; the authors swap them if 14 divides the height.
    """

    def __init__(
        self, in_channels: int, out_channels: int, image_size: int, *, auxiliary: bool = False
    ) -> None:
        super().__init__()
        self.auxiliary = auxiliary
        self.size = image_size
        self.second_size = second_size(image_size)
        self.to_colour = nn.Sequential()
        if in_channels == 1:
            self.to_colour = nn.Sequential(nn.Conv2d(1, 3, 1), nn.BatchNorm2d(3), nn.ReLU())
        self.backbone1 = create_backbone(FIRST, self.size)
        self.backbone2 = create_backbone(SECOND, self.second_size)
        self.decoder = CascadeDecoder()
        self.heads = nn.ModuleList(nn.Conv2d(width, out_channels, 1) for width in WIDTHS)
        self.feedback = nn.Conv2d(WIDTHS[-1], 1, 1)

    def forward(self, x: Tensor) -> Tensor | tuple[Tensor, ...]:
        p1, p2, p3, p4 = self.stages(x)
        logits = p1 + p2 + p3 + p4
        return (logits, p1, p2, p3, p4) if self.auxiliary and self.training else logits

    def stages(self, x: Tensor) -> list[Tensor]:
        """The authors' outputs p1 (deepest) to p4, each ``(B, out_channels, S, S)``."""
        x = self.to_colour(x)  # (B, 3, S, S)
        first = pyramid(self.backbone1, x)
        decoded = self.decoder(first)
        mask = resize(self.feedback(decoded[-1]).sigmoid(), self.size)  # (B, 1, S, S)
        second = pyramid(self.backbone2, resize(x * mask, self.second_size))
        sides = [self.second_size // stride for stride in (32, 16, 8, 4)]
        fused = [b + resize(a, side) for a, b, side in zip(first, second, sides, strict=True)]
        decoded_again = self.decoder(fused)
        return [
            resize(head(a), self.size) + resize(head(b), self.size)
            for head, a, b in zip(self.heads, decoded, decoded_again, strict=True)
        ]


class CascadeDecoder(nn.Module):
    """CASCADE decoder, additive: gated skips, channel and spatial attention, convolutions.

    Takes and gives four maps, deepest first: 768 at 1/32, 384 at 1/16, 192 at 1/8, 96 at 1/4.
    """

    def __init__(self) -> None:
        super().__init__()
        pairs = list(itertools.pairwise(WIDTHS))
        self.enter = nn.Conv2d(WIDTHS[0], WIDTHS[0], 1)
        self.up = nn.ModuleList(up(deep, shallow) for deep, shallow in pairs)
        self.gate = nn.ModuleList(AttentionGate(shallow) for _, shallow in pairs)
        self.channel = nn.ModuleList(ChannelAttention(width) for width in WIDTHS)
        self.spatial = SpatialAttention()  # one for all four levels
        self.convolve = nn.ModuleList(conv_block(width) for width in WIDTHS)

    def forward(self, maps: list[Tensor]) -> list[Tensor]:
        decoded = [self._refine(0, self.enter(maps[0]))]
        for level, skip in enumerate(maps[1:]):
            x = self.up[level](decoded[-1])
            x = x + self.gate[level](x, skip)
            decoded.append(self._refine(level + 1, x))
        return decoded

    def _refine(self, level: int, x: Tensor) -> Tensor:
        return self.convolve[level](self.spatial(self.channel[level](x)))


class AttentionGate(nn.Module):
    """Weigh the skip by what skip and gate have in common: two ``(B, C, h, w)`` to one."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        inner = channels // 2
        self.from_gate = nn.Sequential(nn.Conv2d(channels, inner, 1), nn.BatchNorm2d(inner))
        self.from_skip = nn.Sequential(nn.Conv2d(channels, inner, 1), nn.BatchNorm2d(inner))
        self.score = nn.Sequential(nn.Conv2d(inner, 1, 1), nn.BatchNorm2d(1))

    def forward(self, gate: Tensor, skip: Tensor) -> Tensor:
        common = functional.relu(self.from_gate(gate) + self.from_skip(skip))
        return skip * self.score(common).sigmoid()


class ChannelAttention(nn.Module):
    """Weigh channels by an MLP of their means plus the same MLP of their maxima."""

    REDUCTION = 16

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(channels, channels // self.REDUCTION, 1, bias=False)
        self.expand = nn.Conv2d(channels // self.REDUCTION, channels, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        mean, largest = (
            functional.adaptive_avg_pool2d(x, 1),
            functional.adaptive_max_pool2d(x, 1),
        )  # (B, C, 1, 1)
        return x * (self._mlp(mean) + self._mlp(largest)).sigmoid()

    def _mlp(self, x: Tensor) -> Tensor:
        return self.expand(functional.relu(self.squeeze(x)))


class SpatialAttention(nn.Module):
    """Weigh positions by a 7x7 convolution of the mean and the maximum over channels."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 1, 7, padding=3, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        largest = x.max(dim=1, keepdim=True).values
        both = torch.cat([x.mean(dim=1, keepdim=True), largest], dim=1)  # (B, 2, h, w)
        return x * self.conv(both).sigmoid()


def up(deep: int, shallow: int) -> nn.Sequential:
    """Nearest x2, 3x3 convolution: ``(B, deep, h, w)`` to ``(B, shallow, 2h, 2w)``."""
    return nn.Sequential(
        nn.Upsample(scale_factor=2),
        nn.Conv2d(deep, shallow, 3, padding=1),
        nn.BatchNorm2d(shallow),
        nn.ReLU(inplace=True),
    )


def conv_block(width: int) -> nn.Sequential:
    """Two 3x3 convolutions of one width."""
    layers = []
    for _ in range(2):
        conv = nn.Conv2d(width, width, 3, padding=1)
        layers += [conv, nn.BatchNorm2d(width), nn.ReLU(inplace=True)]
    return nn.Sequential(*layers)


def second_size(image_size: int) -> int:
    """Side of pass 2: 7/8 of ``image_size``, down to a multiple of 32 (256 gives 224)."""
    return image_size // DEEPEST_STRIDE * 7 // 8 * DEEPEST_STRIDE


def create_backbone(name: str, image_size: int) -> MaxxVit:
    """A timm backbone without classifier; its windows and grids are ``image_size / 32`` wide."""
    backbone = timm.create_model(name, pretrained=False, num_classes=0, img_size=image_size)
    assert isinstance(backbone, MaxxVit)
    return backbone


def pyramid(backbone: MaxxVit, x: Tensor) -> list[Tensor]:
    """The four stage outputs, deepest first; only the deepest passes the backbone's final norm."""
    deepest, shallow = backbone.forward_intermediates(x, indices=[1, 2, 3])
    return [deepest, *reversed(shallow)]


def resize(x: Tensor, side: int) -> Tensor:
    """Bilinear, corners not aligned, to ``side`` x ``side``."""
    return functional.interpolate(x, size=(side, side), mode="bilinear", align_corners=False)


def load_backbone(backbone: MaxxVit, path: Path, *, url: str) -> None:
    """Load one of timm's released files; its classifier head is dropped.

    Raises:
        FileNotFoundError: no such file; says what to fetch.
        ValueError: the file holds other entries or shapes.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file; fetch {url} to data/weights/{path.name}")
    state = torch.load(path, map_location="cpu", weights_only=True)
    state = {key: value for key, value in state.items() if not key.startswith("head.")}
    ours = backbone.state_dict()
    missing = sorted(ours.keys() - state.keys())
    unexpected = sorted(
        key for key in state if key not in ours or state[key].shape != ours[key].shape
    )
    if missing or unexpected:
        raise ValueError(
            f"{path}: not the backbone's weights; missing {missing[:3]}, "
            f"unexpected or of another shape {unexpected[:3]}; fetch {url}"
        )
    backbone.load_state_dict(state, strict=True)
