"""FANet-18, from the description in Hu et al. (arXiv 2007.03815) and the authors' fanet.py (Train).

A ResNet-18 with one stride more than usual, four fast attention modules from deep to shallow, and a
head on two of their outputs. Names carry the true strides 8 to 64 (the authors' names say 4 to 32).
"""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

WIDTHS = (64, 128, 256, 512)  # of the backbone at strides 8, 16, 32, 64
QUERY_WIDTH = 32
SMOOTH_WIDTH = 128
AUXILIARY_WIDTH = 64
NEGATIVE_SLOPE = 0.01


class FANet(nn.Module):
    """The whole network: ``(B, in_channels, H, W)`` to logits ``(B, out_channels, H, W)``.

    With ``auxiliary=True`` and in training mode: ``(logits, at stride 64, at stride 32)``, all of
    that shape. Any H and W will do.

    Deviation: one input channel is repeated to three; the authors know colour images only.
    Deviation: modules that only auxiliary heads read exist and run only where those heads do.
    Deviation: training returns logits; the authors' forward takes the labels and returns the loss.
    """

    def __init__(self, in_channels: int, out_channels: int, *, auxiliary: bool = False) -> None:
        super().__init__()
        self.repeat = in_channels == 1
        self.auxiliary = auxiliary
        at8, at16, at32, at64 = WIDTHS
        self.backbone = ResNet18()
        self.attention64 = FastAttention(at64)
        self.up64 = conv_norm(at64, at32, 1, padding=1)
        self.attention32 = FastAttention(at32)
        self.up32 = conv_norm(at32, at16, 1, padding=1)
        self.smooth32 = conv_norm(at32, SMOOTH_WIDTH, 3)
        self.attention16 = FastAttention(at16)
        self.up16 = conv_norm(at16, at8, 1, padding=1)
        self.attention8 = FastAttention(at8)
        self.smooth8 = conv_norm(at8, SMOOTH_WIDTH, 3)
        self.head = head(2 * SMOOTH_WIDTH, 2 * SMOOTH_WIDTH, out_channels)
        if auxiliary:
            self.smooth64 = conv_norm(at64, SMOOTH_WIDTH, 3)
            self.auxiliary64 = head(SMOOTH_WIDTH, AUXILIARY_WIDTH, out_channels)
            self.auxiliary32 = head(SMOOTH_WIDTH, AUXILIARY_WIDTH, out_channels)
        for name, module in self.named_modules():
            if isinstance(module, nn.Conv2d) and not name.startswith("backbone."):
                nn.init.kaiming_normal_(module.weight, a=1)

    def forward(self, x: Tensor) -> Tensor | tuple[Tensor, ...]:
        if self.auxiliary and self.training:
            return self.outputs(x)
        return self._forward(x)[0]

    def outputs(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Logits and the two auxiliary logits in either mode; only with ``auxiliary=True``."""
        logits, fused64, smooth32 = self._forward(x)
        at64 = self.auxiliary64(self.smooth64(fused64))
        return logits, resize(at64, x), resize(self.auxiliary32(smooth32), x)

    def _forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Logits, and what the auxiliary heads read: (B, 512) at 1/64 and (B, 128) at 1/32."""
        image = x.expand(-1, 3, -1, -1) if self.repeat else x
        f8, f16, f32, f64 = self.backbone(image)
        fused64 = self.attention64(f64)  # (B, 512) at 1/64
        fused32 = self.attention32(f32, self.up64(fused64))  # (B, 256) at 1/32
        fused16 = self.attention16(f16, self.up32(fused32))  # (B, 128) at 1/16
        fused8 = self.attention8(f8, self.up16(fused16))  # (B, 64) at 1/8
        smooth32, smooth8 = self.smooth32(fused32), self.smooth8(fused8)  # (B, 128) each
        logits = self.head(torch.cat([resize(smooth32, smooth8), smooth8], dim=1))
        return resize(logits, x), fused64, smooth32


class FastAttention(nn.Module):
    """Fast attention with the fusion of the deeper level's map (paper, section III).

    ``y = q (k v)`` with q and k of unit length per position. This order costs 32 N C, not N N C.
    There is neither softmax nor 1/N: y grows with the number of positions N (keep one size).
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.query = conv_norm(channels, QUERY_WIDTH, 1, active=False)
        self.key = conv_norm(channels, QUERY_WIDTH, 1, active=False)
        self.value = conv_norm(channels, channels, 1)
        self.leave = conv_norm(channels, channels, 1)

    def forward(self, x: Tensor, deeper: Tensor | None = None) -> Tensor:
        """Fuse ``x`` (B, C, h, w) and, if given, ``deeper`` (B, C, any, any) to (B, C, h, w)."""
        query = functional.normalize(self.query(x), dim=1).flatten(2)  # (B, 32, N)
        key = functional.normalize(self.key(x), dim=1).flatten(2)
        value = self.value(x).flatten(2)  # (B, C, N)
        context = value @ key.transpose(1, 2)  # (B, C, 32)
        fused = x + self.leave((context @ query).reshape(x.shape))
        return fused if deeper is None else fused + resize(deeper, fused)


class ResNet18(nn.Module):
    """ResNet-18 with stride 2 in all four layers: maps at 1/8, 1/16, 1/32, 1/64 of the image.

    Entry names are torchvision's, whose layer 1 has stride 1 and so no ``downsample``.
    """

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, WIDTHS[0], 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(WIDTHS[0])
        self.layer1 = self._layer(WIDTHS[0], WIDTHS[0])
        self.layer2 = self._layer(WIDTHS[0], WIDTHS[1])
        self.layer3 = self._layer(WIDTHS[1], WIDTHS[2])
        self.layer4 = self._layer(WIDTHS[2], WIDTHS[3])
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    @staticmethod
    def _layer(in_channels: int, channels: int) -> nn.Sequential:
        return nn.Sequential(
            BasicBlock(in_channels, channels, stride=2), BasicBlock(channels, channels, stride=1)
        )

    def forward(self, x: Tensor) -> list[Tensor]:
        x = leaky(self.bn1(self.conv1(x)))  # 1/2
        x = functional.max_pool2d(x, 3, stride=2, padding=1)  # 1/4
        maps = []
        for layer in (self.layer1, self.layer2, self.layer3, self.layer4):
            x = layer(x)
            maps.append(x)
        return maps


class BasicBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut; leaky ReLU inside, plain ReLU after the sum."""

    def __init__(self, in_channels: int, channels: int, *, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, channels, 3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.downsample = nn.Identity()
        if stride > 1:
            self.downsample = nn.Sequential(
                nn.Conv2d(in_channels, channels, 1, stride=stride, bias=False),
                nn.BatchNorm2d(channels),
            )

    def forward(self, x: Tensor) -> Tensor:
        y = self.bn2(self.conv2(leaky(self.bn1(self.conv1(x)))))
        return functional.relu(y + self.downsample(x), inplace=True)


def conv_norm(
    in_channels: int, channels: int, kernel: int, *, padding: int | None = None, active: bool = True
) -> nn.Sequential:
    """Convolution without bias, batch norm, leaky ReLU; a padded 1x1 grows the map."""
    padding = kernel // 2 if padding is None else padding
    layers = OrderedDict[str, nn.Module](
        conv=nn.Conv2d(in_channels, channels, kernel, padding=padding, bias=False),
        bn=nn.BatchNorm2d(channels),
    )
    if active:
        layers["activation"] = nn.LeakyReLU(NEGATIVE_SLOPE, inplace=True)
    return nn.Sequential(layers)


def head(in_channels: int, width: int, out_channels: int) -> nn.Sequential:
    """3x3 and 1x1 convolution to logits, without bias."""
    conv_out = nn.Conv2d(width, out_channels, 1, bias=False)
    return nn.Sequential(OrderedDict(conv=conv_norm(in_channels, width, 3), conv_out=conv_out))


def leaky(x: Tensor) -> Tensor:
    """Leaky ReLU in place."""
    return functional.leaky_relu(x, NEGATIVE_SLOPE, inplace=True)


def resize(x: Tensor, like: Tensor) -> Tensor:
    """Bilinear, corners aligned, to the height and width of ``like``."""
    return functional.interpolate(x, size=like.shape[-2:], mode="bilinear", align_corners=True)


def load_backbone(backbone: ResNet18, path: Path, *, url: str) -> None:
    """Load torchvision's ResNet-18 without its classifier; ``layer1.0.downsample`` stays random.

    Raises:
        FileNotFoundError: no such file; says what to fetch.
        ValueError: the file holds other entries or shapes.
    """
    if not path.is_file():
        raise FileNotFoundError(
            f"{path}: no such file; fetch {url} to data/weights/{url.rsplit('/', 1)[-1]}"
        )
    state = torch.load(path, map_location="cpu", weights_only=True)
    state = {key: value for key, value in state.items() if not key.startswith("fc.")}
    ours = backbone.state_dict()
    missing = sorted(
        key
        for key in ours.keys() - state.keys()
        if not key.startswith("layer1.0.downsample.") and not key.endswith("num_batches_tracked")
    )
    unexpected = sorted(
        key for key in state if key not in ours or state[key].shape != ours[key].shape
    )
    if missing or unexpected:
        raise ValueError(
            f"{path}: not torchvision's ResNet-18; missing {missing[:3]}, "
            f"unexpected or of another shape {unexpected[:3]}; fetch {url}"
        )
    backbone.load_state_dict(state, strict=False)
