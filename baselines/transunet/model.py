"""TransUNet: a ResNet stem, a vision transformer on its last map, a cascaded U-Net decoder.

Top-down: ``TransUNet`` is figure 1 of the paper (arXiv 2102.04306), in the authors' default setting
R50-ViT-B/16 with three skips; layer facts: the authors' vit_seg_modeling.py and
vit_seg_modeling_resnet_skip.py.
"""

from __future__ import annotations

from collections import OrderedDict

import torch
from torch import Tensor, nn
from torch.nn import functional

IMAGE_CHANNELS = 3
STRIDE = 16  # of the transformer's grid
ROOT_WIDTH = 64
RESNET_WIDTHS = (256, 512, 1024)
RESNET_UNITS = (3, 4, 9)
BOTTLENECK_RATIO = 4
GROUPS = 32
GROUP_NORM_EPS = 1e-6
PROJECTION_NORM_EPS = 1e-5
WEIGHT_EPS = 1e-5
HIDDEN = 768
HEADS = 12
MLP_WIDTH = 3072
LAYERS = 12
DROPOUT = 0.1
LAYER_NORM_EPS = 1e-6
MLP_BIAS_STD = 1e-6
DECODER_WIDTHS = (512, 256, 128, 64, 16)
SKIP_WIDTHS = (512, 256, 64, 0)


class TransUNet(nn.Module):
    """R50-ViT-B/16 with the cascaded upsampler.

    Args:
        in_channels: 1 (repeated to 3, as the authors do) or 3.
        out_channels: channels of the logits.
        image_size: side of the input, a multiple of 16, at least 32. Only this size is accepted:
            the position table has one row per stride-16 cell.
    """

    def __init__(self, in_channels: int, out_channels: int, image_size: int) -> None:
        super().__init__()
        self.repeats = IMAGE_CHANNELS // in_channels
        self.grid = image_size // STRIDE
        self.resnet = ResNet()
        self.embedding = Embedding(self.grid * self.grid)
        self.transformer = Transformer()
        self.decoder = Decoder()
        self.head = nn.Conv2d(DECODER_WIDTHS[-1], out_channels, 3, padding=1)

    def forward(self, image: Tensor) -> Tensor:
        """Map ``(B, in_channels, S, S)`` to logits ``(B, out_channels, S, S)``."""
        x, skips = self.resnet(image.repeat(1, self.repeats, 1, 1))  # (B, 1024, S/16, S/16)
        tokens = self.transformer(self.embedding(x))  # (B, (S/16)^2, 768)
        x = tokens.transpose(1, 2).unflatten(2, (self.grid, self.grid))
        return self.head(self.decoder(x, skips))  # the decoder gives (B, 16, S, S)


class ResNet(nn.Module):
    """Weight-standardised ResNet-50 without its fourth stage.

    The max-pooling has no padding, so stage 1 works on S/4 - 1 pixels (55 for 224). Stage 2 comes
    out at S/8 all the same; only the skip of stage 1 is one pixel short and gets a row of zeros at
    the bottom and a column of zeros at the right. True for every S that is a multiple of 16.
    """

    def __init__(self) -> None:
        super().__init__()
        self.root = nn.Sequential(
            OrderedDict(
                conv=StandardisedConv2d(IMAGE_CHANNELS, ROOT_WIDTH, 7, 2, 3, bias=False),
                norm=nn.GroupNorm(GROUPS, ROOT_WIDTH, GROUP_NORM_EPS),
                relu=nn.ReLU(inplace=True),
            )
        )
        first, second, third = RESNET_WIDTHS
        self.block1 = residual_units(ROOT_WIDTH, first, RESNET_UNITS[0], stride=1)
        self.block2 = residual_units(first, second, RESNET_UNITS[1], stride=2)
        self.block3 = residual_units(second, third, RESNET_UNITS[2], stride=2)

    def forward(self, x: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Map ``(B, 3, S, S)`` to ``(B, 1024, S/16, S/16)`` and the skips, deepest first."""
        half = self.root(x)  # (B, 64, S/2, S/2)
        quarter = self.block1(functional.max_pool2d(half, 3, 2))  # (B, 256, S/4 - 1, S/4 - 1)
        eighth = self.block2(quarter)  # (B, 512, S/8, S/8)
        return self.block3(eighth), [eighth, functional.pad(quarter, (0, 1, 0, 1)), half]


class StandardisedConv2d(nn.Conv2d):
    """Convolution whose weights have mean 0 and variance 1 in every output channel."""

    def forward(self, input: Tensor) -> Tensor:
        weight = functional.layer_norm(self.weight, self.weight.shape[1:], eps=WEIGHT_EPS)
        return functional.conv2d(input, weight, self.bias, self.stride, self.padding)


def residual_units(in_dim: int, out_dim: int, count: int, stride: int) -> nn.Sequential:
    """One stage; its first unit changes channels and stride."""
    units = [ResidualUnit(in_dim, out_dim, stride)]
    units += [ResidualUnit(out_dim, out_dim, 1) for _ in range(count - 1)]
    return nn.Sequential(OrderedDict((f"unit{i}", unit) for i, unit in enumerate(units, start=1)))


class ResidualUnit(nn.Module):
    """Bottleneck 1x1, 3x3, 1x1, each with group normalisation; ReLU after the sum."""

    def __init__(self, in_dim: int, out_dim: int, stride: int) -> None:
        super().__init__()
        dim = out_dim // BOTTLENECK_RATIO
        self.conv1 = StandardisedConv2d(in_dim, dim, 1, bias=False)
        self.norm1 = nn.GroupNorm(GROUPS, dim, GROUP_NORM_EPS)
        self.conv2 = StandardisedConv2d(dim, dim, 3, stride, 1, bias=False)
        self.norm2 = nn.GroupNorm(GROUPS, dim, GROUP_NORM_EPS)
        self.conv3 = StandardisedConv2d(dim, out_dim, 1, bias=False)
        self.norm3 = nn.GroupNorm(GROUPS, out_dim, GROUP_NORM_EPS)
        self.shortcut = Projection(in_dim, out_dim, stride) if in_dim != out_dim else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(B, in_dim, h, w)`` to ``(B, out_dim, h / stride, w / stride)``."""
        y = functional.relu(self.norm1(self.conv1(x)), inplace=True)
        y = functional.relu(self.norm2(self.conv2(y)), inplace=True)
        y = self.norm3(self.conv3(y))
        return functional.relu(y + self.shortcut(x), inplace=True)


class Projection(nn.Module):
    """Shortcut of a stage's first unit: strided 1x1 and a group norm of one channel per group."""

    def __init__(self, in_dim: int, out_dim: int, stride: int) -> None:
        super().__init__()
        self.conv = StandardisedConv2d(in_dim, out_dim, 1, stride, bias=False)
        self.norm = nn.GroupNorm(out_dim, out_dim, PROJECTION_NORM_EPS)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(self.conv(x))


class Embedding(nn.Module):
    """Every cell of the map becomes a token and gets a learned position; no class token."""

    def __init__(self, tokens: int) -> None:
        super().__init__()
        self.project = nn.Conv2d(RESNET_WIDTHS[-1], HIDDEN, 1)
        self.position = nn.Parameter(torch.zeros(1, tokens, HIDDEN))
        self.dropout = nn.Dropout(DROPOUT)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(B, 1024, g, g)`` to ``(B, g * g, 768)``."""
        return self.dropout(self.project(x).flatten(2).transpose(1, 2) + self.position)


class Transformer(nn.Module):
    """The encoder of ViT-B: 12 layers and a last normalisation."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(*(TransformerLayer() for _ in range(LAYERS)))
        self.norm = nn.LayerNorm(HIDDEN, eps=LAYER_NORM_EPS)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(B, N, 768)`` to the same shape."""
        return self.norm(self.layers(x))


class TransformerLayer(nn.Module):
    """Pre-normalised attention and MLP, both residual."""

    def __init__(self) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(HIDDEN, eps=LAYER_NORM_EPS)
        self.attention = Attention()
        self.norm2 = nn.LayerNorm(HIDDEN, eps=LAYER_NORM_EPS)
        self.mlp = MLP()

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(B, N, 768)`` to the same shape."""
        x = x + self.attention(self.norm1(x))
        return x + self.mlp(self.norm2(x))


class Attention(nn.Module):
    """Multi-head self-attention, 12 heads of 64; without dropout, as in the authors' setting."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = (HIDDEN // HEADS) ** -0.5
        self.query = nn.Linear(HIDDEN, HIDDEN)
        self.key = nn.Linear(HIDDEN, HIDDEN)
        self.value = nn.Linear(HIDDEN, HIDDEN)
        self.out = nn.Linear(HIDDEN, HIDDEN)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(B, N, 768)`` to the same shape."""
        query, key, value = (
            layer(x).unflatten(-1, (HEADS, -1)).transpose(1, 2)
            for layer in (self.query, self.key, self.value)
        )  # (B, 12, N, 64)
        weights = (self.scale * query @ key.transpose(-2, -1)).softmax(dim=-1)
        return self.out((weights @ value).transpose(1, 2).flatten(2))


class MLP(nn.Module):
    """Two linear layers with GELU, dropout after each."""

    def __init__(self) -> None:
        super().__init__()
        self.fc1 = nn.Linear(HIDDEN, MLP_WIDTH)
        self.fc2 = nn.Linear(MLP_WIDTH, HIDDEN)
        self.dropout = nn.Dropout(DROPOUT)
        for layer in (self.fc1, self.fc2):
            nn.init.xavier_uniform_(layer.weight)
            nn.init.normal_(layer.bias, std=MLP_BIAS_STD)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(B, N, 768)`` to the same shape."""
        return self.dropout(self.fc2(self.dropout(functional.gelu(self.fc1(x)))))


class Decoder(nn.Module):
    """Cascaded upsampler: a 3x3 convolution, then four doublings of the side."""

    def __init__(self) -> None:
        super().__init__()
        self.reduce = ConvNormReLU(HIDDEN, DECODER_WIDTHS[0])
        widths = zip(DECODER_WIDTHS[:-1], SKIP_WIDTHS, DECODER_WIDTHS[1:], strict=True)
        self.blocks = nn.ModuleList(DecoderBlock(*triple) for triple in widths)

    def forward(self, x: Tensor, skips: list[Tensor]) -> Tensor:
        """Map ``(B, 768, g, g)`` and the skips, deepest first, to ``(B, 16, 16g, 16g)``."""
        x = self.reduce(x)
        for block, skip in zip(self.blocks, [*skips, None], strict=True):
            x = block(x, skip)
        return x


class DecoderBlock(nn.Module):
    """Bilinear doubling with aligned corners, concatenation [x, skip], two convolutions."""

    def __init__(self, in_dim: int, skip_dim: int, out_dim: int) -> None:
        super().__init__()
        self.conv1 = ConvNormReLU(in_dim + skip_dim, out_dim)
        self.conv2 = ConvNormReLU(out_dim, out_dim)

    def forward(self, x: Tensor, skip: Tensor | None) -> Tensor:
        """Map ``(B, in_dim, s, s)`` and ``(B, skip_dim, 2s, 2s)`` to ``(B, out_dim, 2s, 2s)``."""
        x = functional.interpolate(x, scale_factor=2, mode="bilinear", align_corners=True)
        if skip is not None:
            x = torch.cat([x, skip], dim=1)
        return self.conv2(self.conv1(x))


class ConvNormReLU(nn.Sequential):
    """3x3 convolution without bias, batch normalisation, ReLU."""

    def __init__(self, in_dim: int, out_dim: int) -> None:
        super().__init__(
            nn.Conv2d(in_dim, out_dim, 3, padding=1, bias=False),
            nn.BatchNorm2d(out_dim),
            nn.ReLU(inplace=True),
        )
