"""HarDNet-DFUS: HarDNetV2-53 ("KingNet53") and a Lawin head (authors' KingMSEG_lawin_loss4)."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

STEM_WIDTHS = (30, 60)
SQUEEZE = 20  # squeeze-and-excitation: channels over hidden units
EMBED = 768  # of each of the three deep taps
WIDTH = 512  # of the head
LOW_WIDTH = 48  # of the shallow tap, and of the boundary output
WINDOW = 8
RATIOS = (8, 4, 2)  # how much wider than its window a context is
INIT_STD = 0.02


class Stage(NamedTuple):
    """A King block, squeeze-and-excitation, a 1x1 unit and perhaps a pooling by 2."""

    channels: int
    length: int  # of the King block: number of its units
    kept: tuple[int, ...]  # nodes that its output holds besides the last one
    block_channels: int  # of the King block's output
    out_channels: int
    pool: bool


STAGES = (
    Stage(60, 9, (3, 6), 140, 120, pool=True),
    Stage(120, 9, (3, 6), 280, 240, pool=False),
    Stage(240, 15, (3, 6, 9, 12), 720, 540, pool=True),
    Stage(540, 9, (3, 6), 1260, 800, pool=True),
    Stage(800, 3, (2,), 1200, 1200, pool=False),
)
TAP_WIDTHS = (140, 540, 800, 1200)  # channels at 1/4, 1/8, 1/16, 1/32 of the input's size


class HarDNetDFUS(nn.Module):
    """Backbone, head, and with ``auxiliary`` two deep outputs and the boundary map for training."""

    def __init__(self, out_channels: int, *, auxiliary: bool = False) -> None:
        super().__init__()
        self.auxiliary = auxiliary
        self.backbone = HarDNetV2()
        self.head = LawinHead(out_channels)
        if auxiliary:
            self.deep1 = nn.Conv2d(WIDTH, out_channels, kernel_size=1)
            self.deep2 = nn.Conv2d(EMBED, out_channels, kernel_size=1)

    def forward(self, x: Tensor) -> Tensor | tuple[Tensor, ...]:
        """Map images (B, 1 or 3, H, W) to logits (B, out_channels, H, W).

        In training mode with ``auxiliary``: (main, deep1, deep2, boundary), all H x W; the first
        three have out_channels, the boundary map 48.
        """
        maps = self.maps(x)
        if not (self.auxiliary and self.training):
            return enlarge(maps[0], 4)
        return tuple(enlarge(y, times) for y, times in zip(maps, (4, 8, 8, 4), strict=True))

    def maps(self, x: Tensor) -> tuple[Tensor, ...]:
        """The outputs before enlargement: main (1/4) and with ``auxiliary`` 1/8, 1/8 and 1/4."""
        taps = self.backbone(x.expand(-1, 3, -1, -1))  # one channel stands for three
        main, fused, deepest, low = self.head(taps)
        if not self.auxiliary:
            return (main,)
        return main, self.deep1(fused), self.deep2(deepest), low


# ------------------------------------------------------------------------------------- backbone


class HarDNetV2(nn.Module):
    """Image (B, 3, H, W) to four maps with TAP_WIDTHS channels."""

    def __init__(self) -> None:
        super().__init__()
        # Deviation: the authors push a black image through here, moving all running statistics.
        self.stem = nn.Sequential(
            Unit(3, STEM_WIDTHS[0], stride=2),
            Unit(STEM_WIDTHS[0], STEM_WIDTHS[1]),
            nn.MaxPool2d(2),
        )
        self.stages = nn.ModuleList(BackboneStage(stage) for stage in STAGES)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        x = self.stem(x)  # (B, 60, H/4, W/4)
        wide, narrow = [], []
        for stage, plan in zip(self.stages, STAGES, strict=True):
            before, x = stage(x)
            wide.append(before)
            narrow.append(x)
            if plan.pool:
                x = functional.max_pool2d(x, 2)
        return wide[0], narrow[2], narrow[3], narrow[4]


class BackboneStage(nn.Module):
    """Returns the map before its last 1x1 unit and the map after it."""

    def __init__(self, plan: Stage) -> None:
        super().__init__()
        self.block = KingBlock(plan.channels, plan.length, plan.kept)
        self.excite = SqueezeExcitation(plan.block_channels)
        self.narrow = Unit(plan.block_channels, plan.out_channels, kernel_size=1)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        x = self.excite(self.block(x))
        return x, self.narrow(x)


class KingBlock(nn.Module):
    """A chain of 3x3 units: node j gets a share of node j - d for every divisor d of the length.

    With C channels and n divisors a share is C / n channels. Node 0 is the input. Node j is cut
    into shares, one for each d that divides both j and the length, smallest first; share d goes to
    node j + d, which reads its shares in the order in which they were sent.
    """

    def __init__(self, channels: int, length: int, kept: tuple[int, ...]) -> None:
        super().__init__()
        divisors = [d for d in range(1, length + 1) if length % d == 0]
        self.share = channels // len(divisors)
        self.steps = [[d for d in divisors if node % d == 0] for node in range(length + 1)]
        self.kept = (*kept, length)
        widths = [self.share * len(steps) for steps in self.steps[1:]]
        self.units = nn.ModuleList(Unit(width, width) for width in widths)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, h, w) to the kept nodes side by side; the last of them has C channels."""
        inboxes: list[list[Tensor]] = [[] for _ in self.steps]
        nodes = [x]
        for number, unit in enumerate(self.units, start=1):
            shares = nodes[-1].split(self.share, dim=1)
            for step, share in zip(self.steps[number - 1], shares, strict=True):
                inboxes[number - 1 + step].append(share)
            nodes.append(unit(torch.cat(inboxes[number], dim=1)))
        return torch.cat([nodes[number] for number in self.kept], dim=1)


class Unit(nn.Module):
    """Convolution without a bias, batch normalisation, ReLU6."""

    def __init__(
        self, in_channels: int, out_channels: int, kernel_size: int = 3, stride: int = 1
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(
            in_channels, out_channels, kernel_size, stride, padding=kernel_size // 2, bias=False
        )
        self.norm = nn.BatchNorm2d(out_channels)

    def forward(self, x: Tensor) -> Tensor:
        return functional.relu6(self.norm(self.conv(x)), inplace=True)


class SqueezeExcitation(nn.Module):
    """Scale every channel by a number in (0, 1) that depends on all channels' means."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.squeeze = nn.Linear(channels, channels // SQUEEZE, bias=False)
        self.excite = nn.Linear(channels // SQUEEZE, channels, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        means = functional.adaptive_avg_pool2d(x, 1).flatten(1)  # (B, C)
        scale = self.excite(functional.relu(self.squeeze(means))).sigmoid()
        return x * scale[:, :, None, None]


# ----------------------------------------------------------------------------------------- head


class LawinHead(nn.Module):
    """Large-window attention pyramid pooling over the three deep taps, then the shallow one."""

    def __init__(self, out_channels: int) -> None:
        super().__init__()
        self.embed_low = PixelLinear(TAP_WIDTHS[0], LOW_WIDTH)
        self.embed = nn.ModuleList(PixelLinear(width, EMBED) for width in TAP_WIDTHS[1:])
        self.fuse = Fuse(3 * EMBED)
        self.short_path = Fuse(WIDTH)
        self.image_pool = nn.Conv2d(WIDTH, WIDTH, kernel_size=1)
        self.attention = nn.ModuleList(LawinAttention(ratio) for ratio in RATIOS)
        self.gather = Fuse((2 + len(RATIOS)) * WIDTH)
        self.fuse_low = Fuse(WIDTH + LOW_WIDTH)
        self.classify = nn.Conv2d(WIDTH, out_channels, kernel_size=1)
        self.apply(_initialise)

    def forward(self, taps: tuple[Tensor, Tensor, Tensor, Tensor]) -> tuple[Tensor, ...]:
        """Map the taps to main logits (1/4), fused map (1/8), c4 (1/8) and low embedding (1/4)."""
        low = self.embed_low(taps[0])  # (B, 48, H/4, W/4)
        c2, c3, c4 = (
            enlarge(embed(tap), times)
            for embed, tap, times in zip(self.embed, taps[1:], (1, 2, 4), strict=True)
        )  # (B, 768, H/8, W/8) each
        fused = self.fuse(torch.cat([c4, c3, c2], dim=1))  # (B, 512, H/8, W/8)
        pooled = self.image_pool(functional.adaptive_avg_pool2d(fused, 1)).expand_as(fused)
        contexts = [attention(fused) for attention in self.attention]
        y = self.gather(torch.cat([self.short_path(fused), pooled, *contexts], dim=1))
        y = self.fuse_low(torch.cat([enlarge(y, 2), low], dim=1))
        return self.classify(y), fused, c4, low


class LawinAttention(nn.Module):
    """Each 8x8 window attends to the window ``ratio`` times as wide around it, seen as 8x8 patches.

    The authors cut the wide, overlapping contexts out of the map and embed the patches of each. All
    contexts that hold a place have a patch there, so we embed it once and cut afterwards: the same
    function, and for ratio 8 about a tenth of the work.
    """

    def __init__(self, ratio: int) -> None:
        super().__init__()
        self.stride = WINDOW // ratio  # between contexts, in patches
        self.heads = ratio**2
        self.depth = WIDTH // 2 // self.heads  # of a head
        self.patches = nn.Conv2d(
            WIDTH, WIDTH, kernel_size=ratio, stride=ratio, padding=WINDOW * (ratio - 1) // 2
        )
        self.patch_norm = nn.LayerNorm(WIDTH)
        self.mixing_weight = nn.Parameter(torch.empty(self.heads, WINDOW**2, WINDOW**2))
        self.mixing_bias = nn.Parameter(torch.empty(self.heads, WINDOW**2))
        self.theta = nn.Conv2d(WIDTH, WIDTH // 2, kernel_size=1)
        self.phi = nn.Conv2d(WIDTH, WIDTH // 2, kernel_size=1)
        self.g = nn.Conv2d(WIDTH, WIDTH // 2, kernel_size=1)
        self.out = nn.Conv2d(WIDTH // 2, WIDTH, kernel_size=1, bias=False)
        self.norm = nn.BatchNorm2d(WIDTH)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, 512, h, w) to the same shape; h and w are multiples of 8."""
        patches = self.patch_norm(self.patches(x).movedim(1, -1)).movedim(-1, 1)
        context = self.mix_positions(windows(patches, self.stride))  # (B, nh, nw, 512, 64)
        query = self.split(windows(self.theta(x), WINDOW))  # (B, nh, nw, heads, d, 64)
        key = self.split(per_window(self.phi, context))
        value = self.split(per_window(self.g, context))
        weights = (query.mT @ key / math.sqrt(self.depth)).softmax(dim=-1)
        y = value @ weights.mT  # (B, nh, nw, heads, d, 64)
        return x + self.norm(self.out(join(y.flatten(3, 4))))

    def mix_positions(self, context: Tensor) -> Tensor:
        """Add to each group of channels its own linear map over the 64 positions."""
        groups = self.split(context)
        mixed = torch.einsum("bhwgcp,gqp->bhwgcq", groups, self.mixing_weight)
        return context + (mixed + self.mixing_bias[:, None]).flatten(3, 4)

    def split(self, x: Tensor) -> Tensor:
        """Split channels into heads: (B, nh, nw, C, 64) to (B, nh, nw, heads, C / heads, 64)."""
        return x.unflatten(3, (self.heads, -1))


def windows(x: Tensor, stride: int) -> Tensor:
    """Cut (B, C, h, w) into 8x8 windows, one every ``stride`` pixels: (B, nh, nw, C, 64)."""
    cut = x.unfold(2, WINDOW, stride).unfold(3, WINDOW, stride)  # (B, C, nh, nw, 8, 8)
    return cut.permute(0, 2, 3, 1, 4, 5).flatten(4)


def join(x: Tensor) -> Tensor:
    """Put windows that do not overlap, (B, nh, nw, C, 64), together again: (B, C, 8 nh, 8 nw)."""
    apart = x.unflatten(4, (WINDOW, WINDOW)).permute(0, 3, 1, 4, 2, 5)  # (B, C, nh, 8, nw, 8)
    return apart.flatten(4, 5).flatten(2, 3)


def per_window(conv: nn.Conv2d, x: Tensor) -> Tensor:
    """Apply a 1x1 convolution to windows (B, nh, nw, C, 64)."""
    return conv(x.flatten(0, 2).unsqueeze(-1)).squeeze(-1).unflatten(0, x.shape[:3])


class Fuse(nn.Module):
    """1x1 convolution to 512 channels, batch normalisation, ReLU."""

    def __init__(self, in_channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, WIDTH, kernel_size=1, bias=False)
        self.norm = nn.BatchNorm2d(WIDTH)

    def forward(self, x: Tensor) -> Tensor:
        return functional.relu(self.norm(self.conv(x)), inplace=True)


class PixelLinear(nn.Linear):
    """The same linear map at every pixel: (B, C, h, w) to (B, out_features, h, w)."""

    def forward(self, input: Tensor) -> Tensor:
        return super().forward(input.movedim(1, -1)).movedim(-1, 1)


def enlarge(x: Tensor, times: int) -> Tensor:
    """Bilinear enlargement of (B, C, h, w) whose corners are not aligned."""
    if times == 1:
        return x
    return functional.interpolate(
        x, scale_factor=float(times), mode="bilinear", align_corners=False
    )


def _initialise(module: nn.Module) -> None:
    """The head's start: linear maps 0.02, convolutions by their fan-out, no biases, as the authors'."""
    if isinstance(module, nn.Conv2d):
        kernel = math.prod(module.kernel_size)
        nn.init.normal_(module.weight, std=math.sqrt(2 / (kernel * module.out_channels)))
    elif isinstance(module, nn.Linear):
        nn.init.trunc_normal_(module.weight, std=INIT_STD)
    elif isinstance(module, LawinAttention):
        nn.init.trunc_normal_(module.mixing_weight, std=INIT_STD)
        nn.init.zeros_(module.mixing_bias)
        nn.init.zeros_(module.norm.weight)  # every attention starts as the identity
    if isinstance(module, nn.Conv2d | nn.Linear) and module.bias is not None:
        nn.init.zeros_(module.bias)
