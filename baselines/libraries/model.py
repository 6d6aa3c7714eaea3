"""What makes a library's network one of ours: its channels, its size, one map of logits."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class FromLibrary(nn.Module):
    """A library's network with our contract: frames to logits of the same height and width.

    Of several outputs (a list, a dictionary, maps stacked by deep supervision) the main one is taken. Grey frames are
    given three times to a network that takes colour alone.

    Args:
        network: from ``(B, channels, H, W)`` to logits.
        name: for messages.
        in_channels: of the frames.
        out_channels: of the logits.
        channels: that the network takes.
    """

    def __init__(
        self, network: nn.Module, name: str, in_channels: int, out_channels: int, channels: int
    ) -> None:
        super().__init__()
        self.network = network
        self.name = name
        self.in_channels, self.out_channels, self.channels = in_channels, out_channels, channels

    def forward(self, x: Tensor) -> Tensor:
        """Logits ``(B, out_channels, H, W)``.

        Raises:
            ValueError: frames of another shape, or an output of another one.
        """
        tracing = torch.jit.is_tracing()  # pyright: ignore[reportPrivateImportUsage]
        if not tracing and (x.ndim != 4 or x.shape[1] != self.in_channels):
            raise ValueError(
                f"{self.name}: input of shape {tuple(x.shape)}; (B, {self.in_channels}, H, W) is expected"
            )
        if self.channels != self.in_channels:
            x = x.expand(-1, self.channels, -1, -1)
        logits = _main(self.network(x))
        expected = (len(x), self.out_channels, *x.shape[2:])
        if not tracing and (logits is None or tuple(logits.shape) != expected):
            found = "no tensor" if logits is None else f"{tuple(logits.shape)}"
            raise ValueError(
                f"{self.name}: gives {found} for input {tuple(x.shape)}; logits {expected} are expected: a network "
                f"that gives one map of the input's size"
            )
        assert logits is not None  # else the line above has raised
        return logits


class Pyramid(nn.Module):
    """A backbone with a small head: the sum of its maps, each by a 1x1 convolution, smoothed, enlarged.

    Lin et al., Feature Pyramid Networks, CVPR 2017, without its 3x3 convolution on each level; the least that makes
    logits of a backbone's maps.

    Args:
        backbone: from frames to a list of maps, the finest first.
        widths: their channels.
        out_channels: of the logits.
        width: channels of the sum.
    """

    def __init__(
        self, backbone: nn.Module, widths: Sequence[int], out_channels: int, width: int = 128
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.lateral = nn.ModuleList(nn.Conv2d(one, width, 1) for one in widths)
        self.smooth = nn.Sequential(
            nn.Conv2d(width, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU()
        )
        self.head = nn.Conv2d(width, out_channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Logits at the size of the frames."""
        maps = [self._side(*pair) for pair in zip(self.lateral, self.backbone(x), strict=True)]
        total = maps[-1]
        for finer in reversed(maps[:-1]):
            total = finer + _enlarged(total, finer.shape[2:])
        return _enlarged(self.head(self.smooth(total)), x.shape[2:])

    @staticmethod
    def _side(lateral: nn.Module, x: Tensor) -> Tensor:
        # timm's windowed transformers give channels last.
        width = lateral.get_parameter("weight").shape[1]
        return lateral(x if x.shape[1] == width else x.permute(0, 3, 1, 2))


def _enlarged(x: Tensor, size: Sequence[int]) -> Tensor:
    if tuple(x.shape[2:]) == tuple(size):
        return x
    return F.interpolate(x, tuple(size), mode="bilinear", align_corners=False)


def _main(outputs: object) -> Tensor | None:
    """The map of logits among a network's outputs."""
    if isinstance(outputs, dict):
        outputs = outputs.get("out")
    while isinstance(outputs, list | tuple):
        outputs = outputs[0] if outputs else None
    if not isinstance(outputs, Tensor):
        return None
    return outputs[:, 0] if outputs.ndim == 5 else outputs
