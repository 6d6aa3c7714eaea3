"""MT-UNet: a U-Net whose deep stages mix local, Gaussian-weighted axial and external attention.

Top-down: ``MTUNet`` is figure 1 of the paper, ``MixedTransformer`` its module of two attentions,
``LocalGlobalAttention`` and ``ExternalAttention`` the two. Inside the transformer stages maps are
channels-last, ``(B, s, s, D)``. Paper: arXiv 2111.04734; layer facts: the authors' MTUNet.py.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

IMAGE_CHANNELS = 3
STEM_WIDTHS = (64, 128, 256)  # at strides 1, 2, 4
ENCODER_WIDTHS = (256, 512)  # at strides 8, 16
BOTTLENECK_WIDTH = 1024  # at stride 32
STEM_STRIDE = 8
WINDOW = 4
WINDOW_HEADS = 8
MEMORY_UNITS = 64
EXTERNAL_HEADS = 32
EXTERNAL_EXPANSION = 4
NORM_EPS = 1e-6
EXTERNAL_EPS = 1e-9


class MTUNet(nn.Module):
    """Mixed Transformer U-Net.

    Args:
        in_channels: 1 (repeated to 3, as the authors do) or 3.
        out_channels: channels of the logits.
        image_size: side of the input, a multiple of 32, at least 64. Only this size is accepted:
            the position table has one row per stride-8 cell.
    """

    def __init__(self, in_channels: int, out_channels: int, image_size: int) -> None:
        super().__init__()
        self.repeats = IMAGE_CHANNELS // in_channels
        grid = image_size // STEM_STRIDE
        first, second = ENCODER_WIDTHS
        self.stem = Stem(grid)
        self.encoder = nn.ModuleList(
            [EncoderStage(first, second, grid), EncoderStage(second, BOTTLENECK_WIDTH, grid // 2)]
        )
        self.bottleneck = mixed_transformers(BOTTLENECK_WIDTH, grid // 4)
        self.decoder = nn.ModuleList(
            [
                DecoderStage(BOTTLENECK_WIDTH, second, second, grid // 2),
                DecoderStage(second, first, second, grid),
            ]
        )
        self.cnn_decoder = CNNDecoder(second)
        self.head = nn.Conv2d(STEM_WIDTHS[0], out_channels, 1)

    def forward(self, image: Tensor) -> Tensor:
        """Map ``(B, in_channels, S, S)`` to logits ``(B, out_channels, S, S)``."""
        x, features = self.stem(image.repeat(1, self.repeats, 1, 1))  # (B, S/8, S/8, 256)
        skips = []
        for stage in self.encoder:
            x, skip = stage(x)  # (B, S/16, S/16, 512), (B, S/32, S/32, 1024)
            skips.append(skip)
        x = self.bottleneck(x)
        for stage, skip in zip(self.decoder, reversed(skips), strict=True):
            x = stage(x, skip)  # (B, S/16, S/16, 512), (B, S/8, S/8, 512)
        return self.head(self.cnn_decoder(channels_first(x), features))


class Stem(nn.Module):
    """Three residual blocks with max-pooling, then tokens with a learned position each."""

    def __init__(self, grid: int) -> None:
        super().__init__()
        low, middle, high = STEM_WIDTHS
        self.grid = grid
        self.block1 = DoubleConv(IMAGE_CHANNELS, low)
        self.block2 = DoubleConv(low, middle)
        self.block3 = DoubleConv(middle, high)
        self.to_tokens = ConvNormReLU(high, ENCODER_WIDTHS[0], 1)
        self.position_embedding = nn.Parameter(torch.zeros(1, grid * grid, ENCODER_WIDTHS[0]))

    def forward(self, x: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Map ``(B, 3, S, S)`` to ``(B, S/8, S/8, 256)`` and the skips at strides 1, 2, 4."""
        skips = []
        for block in (self.block1, self.block2, self.block3):
            x = block(x)
            skips.append(x)
            x = functional.max_pool2d(x, 2)
        x = channels_last(self.to_tokens(x))
        return x + self.position_embedding.unflatten(1, (self.grid, self.grid)), skips


class EncoderStage(nn.Module):
    """Two mixed transformer modules, then a strided convolution; the skip lies between."""

    def __init__(self, dim: int, next_dim: int, grid: int) -> None:
        super().__init__()
        self.blocks = mixed_transformers(dim, grid)
        self.down = ConvNormReLU(dim, next_dim, kernel=2, stride=2)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Map ``(B, s, s, D)`` to ``(B, s/2, s/2, 2D)`` and the skip ``(B, s, s, D)``."""
        skip = self.blocks(x)
        return channels_last(self.down(channels_first(skip))), skip


class DecoderStage(nn.Module):
    """Transposed convolution, concatenation [x, skip], two mixed transformer modules.

    A 1x1 convolution comes between where the concatenation (``2 * skip_dim``) is wider than
    ``dim``; at stride 8 it is not (256 + 256 = 512) and the authors have none.
    """

    def __init__(self, deep_dim: int, skip_dim: int, dim: int, grid: int) -> None:
        super().__init__()
        self.up = nn.ConvTranspose2d(deep_dim, skip_dim, 2, stride=2)
        self.reduce = nn.Identity() if 2 * skip_dim == dim else nn.Conv2d(2 * skip_dim, dim, 1)
        self.blocks = mixed_transformers(dim, grid)

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        """Map ``(B, s/2, s/2, deep_dim)`` and ``(B, s, s, skip_dim)`` to ``(B, s, s, dim)``."""
        x = torch.cat([self.up(channels_first(x)), channels_first(skip)], dim=1)
        return self.blocks(channels_last(self.reduce(x)))


class CNNDecoder(nn.Module):
    """Three times: transposed convolution, concatenation [skip, x], residual block."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        low, middle, high = STEM_WIDTHS
        self.up1 = nn.ConvTranspose2d(dim, high, 2, stride=2)
        self.block1 = DoubleConv(2 * high, high)
        self.up2 = nn.ConvTranspose2d(high, middle, 2, stride=2)
        self.block2 = DoubleConv(2 * middle, middle)
        self.up3 = nn.ConvTranspose2d(middle, low, 2, stride=2)
        self.block3 = DoubleConv(2 * low, low)

    def forward(self, x: Tensor, skips: list[Tensor]) -> Tensor:
        """Map ``(B, 512, S/8, S/8)`` and the skips at strides 1, 2, 4 to ``(B, 64, S, S)``."""
        full, half, quarter = skips
        x = self.block1(torch.cat([quarter, self.up1(x)], dim=1))
        x = self.block2(torch.cat([half, self.up2(x)], dim=1))
        return self.block3(torch.cat([full, self.up3(x)], dim=1))


class ConvNorm(nn.Module):
    """Convolution and batch normalisation."""

    def __init__(
        self, in_dim: int, out_dim: int, kernel: int, stride: int = 1, *, bias: bool = False
    ) -> None:
        super().__init__()
        padding = (kernel - 1) // 2
        self.conv = nn.Conv2d(in_dim, out_dim, kernel, stride, padding, bias=bias)
        self.norm = nn.BatchNorm2d(out_dim)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(self.conv(x))


class ConvNormReLU(ConvNorm):
    """Convolution, batch normalisation, ReLU."""

    def forward(self, x: Tensor) -> Tensor:
        return functional.relu(super().forward(x), inplace=True)


class DoubleConv(nn.Module):
    """Two 3x3 convolutions and a residual: ``ReLU(h + residual(h))``, h the second's output."""

    def __init__(self, in_dim: int, out_dim: int) -> None:
        super().__init__()
        self.conv1 = ConvNormReLU(in_dim, out_dim, 3)
        self.conv2 = ConvNorm(out_dim, out_dim, 3)
        self.residual = ConvNorm(out_dim, out_dim, 1, bias=True)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv2(self.conv1(x))
        return functional.relu(x + self.residual(x), inplace=True)


def mixed_transformers(dim: int, grid: int) -> nn.Sequential:
    """Two modules in a row, as at every level."""
    return nn.Sequential(MixedTransformer(dim, grid), MixedTransformer(dim, grid))


class MixedTransformer(nn.Module):
    """Mixed transformer module: local-global attention, then external attention, both residual.

    Attention within a sample, then to a memory that all samples share; no MLP, no dropout.
    """

    def __init__(self, dim: int, grid: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(dim, eps=NORM_EPS)
        self.local_global = LocalGlobalAttention(dim, grid)
        self.norm2 = nn.LayerNorm(dim, eps=NORM_EPS)
        self.external = ExternalAttention(dim)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(B, s, s, D)`` to the same shape."""
        x = x + self.local_global(self.norm1(x))
        return x + self.external(self.norm2(x))


class LocalGlobalAttention(nn.Module):
    """Local-global Gaussian-weighted self-attention (paper, section 2.2).

    Attention inside 4x4 windows; each window's 16 tokens are summed up in one; axial attention
    between those, weighted by a learned Gaussian of the distance; fused with the local result.

    Args:
        dim: channels D.
        grid: side s of the map. With P = ceil(s / 4), the map is padded to 4P x 4P.
    """

    def __init__(self, dim: int, grid: int) -> None:
        super().__init__()
        self.grid = grid
        self.windows = -(-grid // WINDOW)
        self.window = WindowAttention(dim)
        self.summary = WindowSummary(dim)
        self.axial = GaussianAxialAttention(dim, self.windows)
        self.fuse = nn.Conv2d(2 * dim, dim, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(B, s, s, D)`` to the same shape."""
        padding = WINDOW * self.windows - self.grid
        local = self.window(to_windows(pad_with_corner(x, padding), self.windows))
        between = self.axial(self.summary(local))  # (B, P, P, D)
        between = functional.interpolate(
            channels_first(between), scale_factor=WINDOW, mode="bilinear", align_corners=True
        )  # (B, D, 4P, 4P)
        x = self.fuse(torch.cat([between, from_windows(local)], dim=1))
        return channels_last(x[:, :, : self.grid, : self.grid])


class WindowAttention(nn.Module):
    """Multi-head self-attention among the 16 tokens of each window, padding included."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.scale = (dim // WINDOW_HEADS) ** -0.5
        self.query = nn.Linear(dim, dim)
        self.key = nn.Linear(dim, dim)
        self.value = nn.Linear(dim, dim)
        self.out = nn.Linear(dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(B, P, P, 16, D)`` to the same shape."""
        query, key, value = (
            layer(x).unflatten(-1, (WINDOW_HEADS, -1)).transpose(-3, -2)
            for layer in (self.query, self.key, self.value)
        )  # (B, P, P, 8, 16, D/8)
        weights = (self.scale * query @ key.transpose(-2, -1)).softmax(dim=-1)
        return self.out((weights @ value).transpose(-3, -2).flatten(-2))


class WindowSummary(nn.Module):
    """Weighted mean of a window's tokens; the weights come from their plain mean.

    The paper's lightweight dynamic convolution ("DLightConv").
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.weights = nn.Linear(dim, WINDOW * WINDOW)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(B, P, P, 16, D)`` to ``(B, P, P, D)``."""
        weights = self.weights(x.mean(dim=-2)).softmax(dim=-1)  # (B, P, P, 16)
        return (weights.unsqueeze(-2) @ x).squeeze(-2)


class GaussianAxialAttention(nn.Module):
    """Single-head axial attention, unscaled, with a learned Gaussian of the distance.

    ``bias`` cancels in the softmax; it is kept because the authors' optimiser decays it.
    Deviation: the authors' output layer, which no forward pass reads, is not created.
    """

    squared_distance: Tensor

    def __init__(self, dim: int, windows: int) -> None:
        super().__init__()
        self.query = nn.Linear(dim, dim)
        self.key = nn.Linear(dim, dim)
        self.value = nn.Linear(dim, dim)
        self.shift = nn.Parameter(torch.randn(1).abs())
        self.bias = nn.Parameter(-torch.randn(1).abs())
        position = torch.arange(float(windows))
        distance = position[:, None] - position
        self.register_buffer("squared_distance", distance.square(), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(B, P, P, D)`` to the same shape."""
        penalty = self.shift * self.squared_distance + self.bias  # (P, P)
        return gaussian_axial_attention(self.query(x), self.key(x), self.value(x), penalty)


def gaussian_axial_attention(query: Tensor, key: Tensor, value: Tensor, penalty: Tensor) -> Tensor:
    """Sum of attention along the own row and attention along the own column.

    Closed form of the authors' double loop over positions: ``out[r, c] =
    sum_j softmax_j(q[r, c] . k[r, j] - penalty[c, j]) v[r, j]
    + sum_i softmax_i(q[r, c] . k[i, c] - penalty[r, i]) v[i, c]``.

    Args:
        query: ``(B, P, P, D)``.
        key: ``(B, P, P, D)``.
        value: ``(B, P, P, D)``.
        penalty: ``(P, P)``, shift * squared distance + bias.

    Returns:
        ``(B, P, P, D)``.
    """
    rows = _attention(query, key, value, penalty)
    query, key, value = (x.transpose(1, 2) for x in (query, key, value))
    return rows + _attention(query, key, value, penalty).transpose(1, 2)


def _attention(query: Tensor, key: Tensor, value: Tensor, penalty: Tensor) -> Tensor:
    return (query @ key.transpose(-2, -1) - penalty).softmax(dim=-1) @ value


class ExternalAttention(nn.Module):
    """Attention to 64 memory units that are shared by all samples, heads of D/8 channels.

    Softmax over the tokens, then each token's weights are divided by their sum over the units.
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        wide = EXTERNAL_EXPANSION * dim
        self.query = nn.Linear(dim, wide)
        self.memory_keys = nn.Linear(wide // EXTERNAL_HEADS, MEMORY_UNITS)
        self.memory_values = nn.Linear(MEMORY_UNITS, wide // EXTERNAL_HEADS)
        self.out = nn.Linear(wide, dim)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(B, s, s, D)`` to the same shape."""
        query = self.query(x.flatten(1, 2)).unflatten(-1, (EXTERNAL_HEADS, -1))
        weights = self.memory_keys(query).softmax(dim=1)  # (B, s*s, 32, 64)
        weights = weights / (EXTERNAL_EPS + weights.sum(dim=-1, keepdim=True))
        return self.out(self.memory_values(weights).flatten(-2)).reshape(x.shape)


def pad_with_corner(x: Tensor, padding: int) -> Tensor:
    """Pad at the bottom and the right with zeros, but for the corner block.

    The new ``padding x padding`` block in the bottom-right corner repeats the map's own
    bottom-right block, so the map must be at least that wide: inputs of 64 pixels or more.

    Args:
        x: ``(B, s, s, D)``.
        padding: rows and columns to add, at most s.

    Returns:
        ``(B, s + padding, s + padding, D)``.
    """
    if padding == 0:
        return x
    corner = x[:, -padding:, -padding:]
    bottom = functional.pad(corner, (0, 0, x.shape[2], 0))  # (B, padding, s + padding, D)
    return torch.cat([functional.pad(x, (0, 0, 0, padding)), bottom], dim=1)


def to_windows(x: Tensor, windows: int) -> Tensor:
    """Cut ``(B, 4P, 4P, D)`` into ``(B, P, P, 16, D)``, tokens row by row; P is ``windows``."""
    x = x.unflatten(2, (windows, WINDOW)).unflatten(1, (windows, WINDOW))  # (B, P, 4, P, 4, D)
    return x.transpose(2, 3).flatten(3, 4)


def from_windows(x: Tensor) -> Tensor:
    """Put ``(B, P, P, 16, D)`` together to a map ``(B, D, 4P, 4P)``."""
    x = x.unflatten(3, (WINDOW, WINDOW)).permute(0, 5, 1, 3, 2, 4)  # (B, D, P, 4, P, 4)
    return x.flatten(4, 5).flatten(2, 3)


def channels_first(x: Tensor) -> Tensor:
    """View ``(B, s, s, D)`` as ``(B, D, s, s)``."""
    return x.permute(0, 3, 1, 2)


def channels_last(x: Tensor) -> Tensor:
    """View ``(B, D, s, s)`` as ``(B, s, s, D)``."""
    return x.permute(0, 2, 3, 1)
