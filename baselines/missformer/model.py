"""MISSFormer: a hierarchical Transformer U-Net with a Transformer context bridge.

Feature maps are channel-last here, (B, h, w, C): a Linear or LayerNorm acts on each pixel's
channels, and the map's tokens (B, h*w, C) are its flattening. Sources: the paper (arXiv 2109.07162,
IEEE TMI 2023) and a specification of the authors' networks/MISSFormer.py and networks/segformer.py.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

WIDTHS = (64, 128, 320, 512)  # encoder stages, at 1/4, 1/8, 1/16 and 1/32 of the input
HEADS = (1, 2, 5, 8)  # 64 channels each
REDUCTIONS = (
    8,
    4,
    2,
    1,
)  # side of the square of pixels that makes one key: all stages have H*W/32^2 keys
BLOCKS = 2  # Transformer blocks in each stage of encoder and decoder
BRIDGE_LAYERS = 4
TOKEN = 64  # width of the bridge's tokens; every stage's width is a multiple of it


class MISSFormer(nn.Module):
    """Encoder, bridge over all four scales, decoder with one skip connection per scale.

    Sides must be multiples of 32; no size is built in.
    """

    def __init__(self, out_channels: int) -> None:
        super().__init__()
        self.encoder = Encoder()
        self.bridge = Bridge()
        # The authors' deepest decoder stage only expands: its blocks and its merging Linear, which
        # they never call, are not created.
        self.expand = PatchExpand(512, 256, factor=2)
        self.decoder = nn.ModuleList(
            [
                DecoderStage(256, stage=2, out_dim=160, factor=2),
                DecoderStage(160, stage=1, out_dim=64, factor=2),
                DecoderStage(64, stage=0, out_dim=64, factor=4),
            ]
        )
        self.head = nn.Conv2d(64, out_channels, 1)
        for module in (self.expand, self.decoder, self.head):
            module.apply(xavier)

    def forward(self, image: Tensor) -> Tensor:
        """Image (B, 1 or 3, H, W) to logits (B, out_channels, H, W); 1 channel is repeated to 3."""
        skips = self.bridge(self.encoder(image.expand(-1, 3, -1, -1)))
        x = self.expand(skips[3])  # (B, H/16, W/16, 256)
        for stage, skip in zip(self.decoder, (skips[2], skips[1], skips[0]), strict=True):
            x = stage(x, skip)  # 160 channels at 1/8, 64 at 1/4, 64 at full size
        return self.head(channel_first(x)).contiguous()


class Encoder(nn.Module):
    """Four stages of overlapping patch embedding, enhanced Transformer blocks and LayerNorm."""

    def __init__(self) -> None:
        super().__init__()
        self.stages = nn.ModuleList([EncoderStage(stage) for stage in range(4)])

    def forward(self, image: Tensor) -> list[Tensor]:
        """Maps (B, h, w, C): 64 channels at 1/4 size, 128 at 1/8, 320 at 1/16, 512 at 1/32."""
        x = image.permute(0, 2, 3, 1)
        maps = []
        for stage in self.stages:
            x = stage(x)
            maps.append(x)
        return maps


class EncoderStage(nn.Module):
    """Patch embedding, two blocks, LayerNorm."""

    def __init__(self, stage: int) -> None:
        super().__init__()
        width = WIDTHS[stage]
        self.embed = (
            PatchEmbed(3, width, kernel=7, stride=4)
            if stage == 0
            else PatchEmbed(WIDTHS[stage - 1], width, kernel=3, stride=2)
        )
        self.blocks = blocks(stage)
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


class Block(nn.Module):
    """Enhanced Transformer block: x + attention(LN x), then x + enhanced Mix-FFN(LN x)."""

    def __init__(self, dim: int, heads: int, reduction: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(dim)
        self.attention = ReducedAttention(dim, heads, reduction)
        self.norm2 = nn.LayerNorm(dim)
        self.ffn = EnhancedMixFFN(dim)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attention(self.norm1(x))
        return x + self.ffn(self.norm2(x))


def blocks(stage: int) -> nn.Sequential:
    """The Transformer blocks of one scale; encoder and decoder have the same."""
    return nn.Sequential(
        *(Block(WIDTHS[stage], HEADS[stage], REDUCTIONS[stage]) for _ in range(BLOCKS))
    )


class ReducedAttention(nn.Module):
    """Self-attention of a map (B, h, w, C) with keys and values from a smaller copy of it."""

    def __init__(self, dim: int, heads: int, reduction: int) -> None:
        super().__init__()
        self.heads = heads
        self.q = nn.Linear(dim, dim)
        self.reduce = Reduction(dim, reduction) if reduction > 1 else nn.Identity()
        self.kv = nn.Linear(dim, 2 * dim)
        self.proj = nn.Linear(dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        q = self.q(x).flatten(1, 2)  # (B, h*w, C)
        k, v = self.kv(self.reduce(x)).flatten(1, 2).chunk(2, dim=-1)  # (B, h*w/R^2, C) each
        return self.proj(attend(q, k, v, self.heads)).view_as(x)


class Reduction(nn.Module):
    """Non-overlapping squares of pixels become one pixel each; LayerNorm."""

    def __init__(self, dim: int, side: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(dim, dim, side, stride=side)
        self.norm = nn.LayerNorm(dim)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(convolve(self.conv, x))


class EnhancedMixFFN(nn.Module):
    """Feed-forward network with a depthwise convolution, a skip around it, LayerNorm of the sum.

    The authors compute ``fc1`` twice, with the same result, and create two more LayerNorms that
    they never use.
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        hidden = 4 * dim
        self.fc1 = nn.Linear(dim, hidden)
        self.depthwise = nn.Conv2d(hidden, hidden, 3, padding=1, groups=hidden)
        self.norm = nn.LayerNorm(hidden)
        self.activation = nn.GELU()
        self.fc2 = nn.Linear(hidden, dim)

    def forward(self, x: Tensor) -> Tensor:
        x = self.fc1(x)
        x = self.norm(convolve(self.depthwise, x) + x)
        return self.fc2(self.activation(x))


class Bridge(nn.Module):
    """Enhanced Transformer context bridge: four layers over the tokens of all scales together."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList([BridgeLayer() for _ in range(BRIDGE_LAYERS)])

    def forward(self, maps: list[Tensor]) -> list[Tensor]:
        """Four maps (B, h, w, C) to four of the same shapes."""
        tokens = cut(maps)  # (B, N, 64); 6076 tokens at 224
        for layer in self.layers:
            tokens = layer(tokens, maps)
        return glue(tokens, maps)


class BridgeLayer(nn.Module):
    """Attention over all tokens, then a feed-forward network on each scale's map.

    The second LayerNorm acts on tokens of 64 channels, not, as in a block, on whole pixels.
    """

    def __init__(self) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(TOKEN)
        self.attention = BridgeAttention()
        self.norm2 = nn.LayerNorm(TOKEN)
        self.ffns = nn.ModuleList([EnhancedMixFFN(width) for width in WIDTHS])

    def forward(self, tokens: Tensor, like: list[Tensor]) -> Tensor:
        tokens = tokens + self.attention(self.norm1(tokens), like)
        maps = glue(self.norm2(tokens), like)
        return tokens + cut([ffn(x) for ffn, x in zip(self.ffns, maps, strict=True)])


class BridgeAttention(nn.Module):
    """One-head attention, (B, N, 64) to the same shape, from all tokens to the reduced ones."""

    def __init__(self) -> None:
        super().__init__()
        self.q = nn.Linear(TOKEN, TOKEN)
        self.reduce = BridgeReduction()
        self.kv = nn.Linear(TOKEN, 2 * TOKEN)
        self.proj = nn.Linear(TOKEN, TOKEN)

    def forward(self, tokens: Tensor, like: list[Tensor]) -> Tensor:
        k, v = self.kv(self.reduce(glue(tokens, like))).chunk(2, dim=-1)
        return self.proj(attend(self.q(tokens), k, v, heads=1))


class BridgeReduction(nn.Module):
    """Four maps to the tokens that the bridge's keys and values are made of.

    The three larger maps are reduced to the size of the smallest, n pixels, which stays as it is:
    n, 2n, 5n and 8n tokens (784 at 224).
    """

    def __init__(self) -> None:
        super().__init__()
        self.convs = nn.ModuleList(
            [
                nn.Conv2d(width, width, side, stride=side)
                for width, side in zip(WIDTHS[:3], REDUCTIONS[:3], strict=True)
            ]
        )
        self.norm = nn.LayerNorm(TOKEN)

    def forward(self, maps: list[Tensor]) -> Tensor:
        """Maps (B, h, w, C) to tokens (B, 16 n, 64)."""
        reduced = [
            self.recut(conv(channel_first(x))) for conv, x in zip(self.convs, maps[:3], strict=True)
        ]
        return self.norm(torch.cat([*reduced, cut(maps[3:])], dim=1))

    @staticmethod
    def recut(x: Tensor) -> Tensor:
        """Cut a channel-first map (B, 64 m, h, w) of n pixels into tokens (B, m n, 64).

        As in the authors' code, feature k of token j is channel m*k + j // n of pixel j % n. That
        is not what ``cut`` does: its tokens are 64 consecutive channels of one pixel.
        """
        return x.flatten(2).reshape(x.shape[0], TOKEN, -1).transpose(1, 2)


class DecoderStage(nn.Module):
    """Concatenate the skip connection, merge, two blocks, expand."""

    def __init__(self, in_dim: int, *, stage: int, out_dim: int, factor: int) -> None:
        super().__init__()
        width = WIDTHS[stage]
        self.merge = nn.Linear(in_dim + width, width)
        self.blocks = blocks(stage)
        self.expand = PatchExpand(width, out_dim, factor)

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        x = self.merge(torch.cat([x, skip], dim=-1))  # (B, h, w, width)
        return self.expand(self.blocks(x))  # (B, factor*h, factor*w, out_dim)


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


def cut(maps: list[Tensor]) -> Tensor:
    """Cut each pixel's channels into consecutive tokens: maps (B, h, w, 64 m) to (B, N, 64)."""
    return torch.cat([x.flatten(1).unflatten(1, (-1, TOKEN)) for x in maps], dim=1)


def glue(tokens: Tensor, like: list[Tensor]) -> list[Tensor]:
    """The inverse of ``cut``: tokens (B, N, 64) to maps of the shapes of ``like``."""
    counts = [x.shape[1] * x.shape[2] * (x.shape[3] // TOKEN) for x in like]
    return [
        part.reshape(x.shape) for part, x in zip(tokens.split(counts, dim=1), like, strict=True)
    ]


def attend(q: Tensor, k: Tensor, v: Tensor, heads: int) -> Tensor:
    """Scaled dot-product attention: q (B, N, C), k and v (B, M, C) to (B, N, C).

    Heads lie in a row in C. Plain matrix products: multiply-add counters see them.
    """
    q, k, v = (x.unflatten(-1, (heads, -1)).transpose(1, 2) for x in (q, k, v))
    weights = (q * q.shape[-1] ** -0.5) @ k.transpose(-2, -1)  # (B, heads, N, M)
    return (weights.softmax(dim=-1) @ v).transpose(1, 2).flatten(2)


def convolve(conv: nn.Conv2d, x: Tensor) -> Tensor:
    """Convolve a map (B, h, w, C); its permuted view is what PyTorch calls channels-last."""
    return conv(channel_first(x)).permute(0, 2, 3, 1)


def channel_first(x: Tensor) -> Tensor:
    """(B, h, w, C) to (B, C, h, w), a view."""
    return x.permute(0, 3, 1, 2)


def xavier(module: nn.Module) -> None:
    """The authors' initialisation of the decoder; encoder and bridge keep PyTorch's defaults."""
    if isinstance(module, nn.Linear | nn.Conv2d):
        nn.init.xavier_uniform_(module.weight)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
