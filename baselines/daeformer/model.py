"""DAE-Former: a Transformer U-Net whose blocks attend over space and channels at linear cost.

Feature maps are channel-last here, (B, h, w, C): a Linear (the authors' 1x1 convolution) or
LayerNorm acts on each pixel's channels, and the map's N = h*w tokens (B, N, C) are its flattening.
Sources: the paper (arXiv 2212.13504) and a specification of the authors' networks/DAEFormer.py.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

WIDTHS = (128, 320, 512)  # encoder stages, at 1/4, 1/8 and 1/16 of the input
BLOCKS = 2  # dual blocks in each stage of encoder and decoder
CHANNEL_HEADS = 8


class DAEFormer(nn.Module):
    """Three encoder stages, two decoder stages with cross-attention to the skip connection.

    Sides must be multiples of 16; no size is built in.
    """

    def __init__(self, out_channels: int) -> None:
        super().__init__()
        self.encoder = nn.ModuleList([EncoderStage(stage) for stage in range(3)])
        # The authors' deepest decoder stage only expands: its cross block, its blocks and its two
        # Linear layers, which they never call, are not created.
        self.expand = PatchExpand(512, 256, factor=2)
        self.decoder = nn.ModuleList(
            [
                DecoderStage(256, width=320, out_dim=160, factor=2),
                DecoderStage(160, width=128, out_dim=128, factor=4),
            ]
        )
        self.head = nn.Conv2d(128, out_channels, 1)
        for module in (self.expand, self.decoder, self.head):
            module.apply(xavier)

    def forward(self, image: Tensor) -> Tensor:
        """Image (B, 1 or 3, H, W) to logits (B, out_channels, H, W); 1 channel is repeated to 3."""
        x = image.expand(-1, 3, -1, -1).permute(0, 2, 3, 1)
        maps = []  # (B, H/4, W/4, 128), (B, H/8, W/8, 320), (B, H/16, W/16, 512)
        for stage in self.encoder:
            x = stage(x)
            maps.append(x)
        x = self.expand(x)  # (B, H/8, W/8, 256)
        for stage, skip in zip(self.decoder, (maps[1], maps[0]), strict=True):
            x = stage(x, skip)  # 160 channels at 1/4, 128 at full size
        return self.head(channel_first(x)).contiguous()


class EncoderStage(nn.Module):
    """Overlapping patch embedding, two dual blocks, LayerNorm."""

    def __init__(self, stage: int) -> None:
        super().__init__()
        width = WIDTHS[stage]
        self.embed = (
            PatchEmbed(3, width, kernel=7, stride=4)
            if stage == 0
            else PatchEmbed(WIDTHS[stage - 1], width, kernel=3, stride=2)
        )
        self.blocks = nn.Sequential(*(DualBlock(width) for _ in range(BLOCKS)))
        self.norm = nn.LayerNorm(width)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(self.blocks(self.embed(x)))


class PatchEmbed(nn.Module):
    """Strided convolution of overlapping patches, then LayerNorm."""

    def __init__(self, in_dim: int, dim: int, *, kernel: int, stride: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_dim, dim, kernel, stride, padding=kernel // 2)
        self.norm = nn.LayerNorm(dim)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(convolve(self.conv, x))


class DualBlock(nn.Module):
    """Attention over space, FFN, attention over channels, FFN; each is added to its input."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(dim)
        self.spatial = EfficientAttention(dim)
        self.norm2 = nn.LayerNorm(dim)
        self.ffn1 = MixFFN(dim, 4 * dim)
        self.norm3 = nn.LayerNorm(dim)
        self.channel = ChannelAttention(dim)
        self.norm4 = nn.LayerNorm(dim)
        self.ffn2 = MixFFN(dim, 4 * dim)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.spatial(self.norm1(x))
        x = x + self.ffn1(self.norm2(x))
        x = x + self.channel(self.norm3(x))
        return x + self.ffn2(self.norm4(x))


class EfficientAttention(nn.Module):
    """Efficient attention of a map, (B, h, w, C) to the same shape; one head, no scale."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.keys = nn.Linear(dim, dim)
        self.queries = nn.Linear(dim, dim)
        self.values = nn.Linear(dim, dim)
        self.proj = nn.Linear(dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        return self.proj(attend(self.keys(x), self.queries(x), self.values(x)))


class ChannelAttention(nn.Module):
    """Transpose attention of a map: channels attend to the channels of their head.

    The similarity of two channels is the cosine of their maps times a learnt temperature per head.
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.temperature = nn.Parameter(torch.ones(CHANNEL_HEADS, 1, 1))
        self.qkv = nn.Linear(dim, 3 * dim, bias=False)
        self.proj = nn.Linear(dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        qkv = self.qkv(x).flatten(1, 2).unflatten(-1, (3, CHANNEL_HEADS, -1))  # (B, N, 3, 8, C/8)
        q, k, v = qkv.permute(2, 0, 3, 4, 1).unbind()  # (B, 8, C/8, N) each
        q, k = nn.functional.normalize(q, dim=-1), nn.functional.normalize(k, dim=-1)
        weights = ((q @ k.transpose(-2, -1)) * self.temperature).softmax(dim=-1)  # (B, 8, C/8, C/8)
        out = (weights @ v).flatten(1, 2).transpose(1, 2)  # (B, N, C), heads in a row
        return self.proj(out).view_as(x)


class MixFFN(nn.Module):
    """Feed-forward network with a depthwise convolution, a skip around it, LayerNorm of the sum.

    The authors compute ``fc1`` twice, with the same result, and create two more LayerNorms that
    they never use.
    """

    def __init__(self, dim: int, hidden: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(dim, hidden)
        self.depthwise = nn.Conv2d(hidden, hidden, 3, padding=1, groups=hidden)
        self.norm = nn.LayerNorm(hidden)
        self.activation = nn.GELU()
        self.fc2 = nn.Linear(hidden, dim)

    def forward(self, x: Tensor) -> Tensor:
        x = self.fc1(x)
        x = self.norm(convolve(self.depthwise, x) + x)
        return self.fc2(self.activation(x))


class DecoderStage(nn.Module):
    """Cross block of decoder and skip connection, merge, two dual blocks, expand."""

    def __init__(self, in_dim: int, *, width: int, out_dim: int, factor: int) -> None:
        super().__init__()
        self.widen = nn.Linear(in_dim, width)
        self.cross = CrossBlock(width)
        self.merge = nn.Linear(2 * width, width)
        self.blocks = nn.Sequential(*(DualBlock(width) for _ in range(BLOCKS)))
        self.expand = PatchExpand(width, out_dim, factor)

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        x = self.merge(self.cross(self.widen(x), skip))  # (B, h, w, width)
        return self.expand(self.blocks(x))  # (B, factor*h, factor*w, out_dim)


class CrossBlock(nn.Module):
    """Decoder and skip connection, (B, h, w, C) both, to (B, h, w, 2 C).

    As in the authors' code, keys and queries are both the skip connection, without projections;
    the values are the decoder's features; one LayerNorm serves both.
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(dim)
        self.proj = nn.Linear(dim, 2 * dim)
        self.norm_context = nn.LayerNorm(2 * dim)
        self.norm2 = nn.LayerNorm(2 * dim)
        self.ffn = MixFFN(2 * dim, 4 * dim)

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        values, keys = self.norm1(x), self.norm1(skip)
        context = self.norm_context(self.proj(attend(keys, keys, values)))
        x = torch.cat([x, skip], dim=-1) + context
        return x + self.ffn(self.norm2(x))


class PatchExpand(nn.Module):
    """Each pixel becomes a square of ``factor`` x ``factor`` pixels; LayerNorm.

    Pixel (a, b) of the square takes the ``out_dim`` channels from (a*factor + b)*out_dim on.
    """

    def __init__(self, dim: int, out_dim: int, factor: int) -> None:
        super().__init__()
        self.factor = factor
        self.linear = nn.Linear(dim, factor**2 * out_dim, bias=False)
        self.norm = nn.LayerNorm(out_dim)

    def forward(self, x: Tensor) -> Tensor:
        x = self.linear(x).unflatten(-1, (self.factor, self.factor, -1))  # (B, h, w, a, b, c)
        x = (
            x.transpose(2, 3).flatten(3, 4).flatten(1, 2)
        )  # (B, h, a, w*b, c), then (B, h*a, w*b, c)
        return self.norm(x)


def attend(keys: Tensor, queries: Tensor, values: Tensor) -> Tensor:
    """Efficient attention of maps (B, h, w, C): the keys gather the values, the queries read them.

    Keys are normalised over positions, queries over channels; what passes between is C x C.
    """
    keys, queries, flat = (x.flatten(1, 2) for x in (keys, queries, values))  # (B, N, C)
    context = keys.softmax(dim=1).transpose(1, 2) @ flat  # (B, C, C): key channel by value channel
    return (queries.softmax(dim=-1) @ context).view_as(values)


def convolve(conv: nn.Conv2d, x: Tensor) -> Tensor:
    """Convolve a map (B, h, w, C); its permuted view is what PyTorch calls channels-last."""
    return conv(channel_first(x)).permute(0, 2, 3, 1)


def channel_first(x: Tensor) -> Tensor:
    """(B, h, w, C) to (B, C, h, w), a view."""
    return x.permute(0, 3, 1, 2)


def xavier(module: nn.Module) -> None:
    """The authors' initialisation of the decoder; the encoder keeps PyTorch's defaults."""
    if isinstance(module, nn.Linear | nn.Conv2d):
        nn.init.xavier_uniform_(module.weight)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
