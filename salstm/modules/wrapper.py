"""A network and a head as one module over windows of frames: what ``attach`` builds."""

from __future__ import annotations

import importlib
import math
from collections.abc import Iterable

import torch
from torch import Tensor, nn

from salstm.modules.attention import AttentionSize
from salstm.modules.convlstm import CHANNELS
from salstm.modules.heads import Centre, Head
from salstm.modules.recompute import recomputed
from salstm.vocabulary import PLAIN, VARIANTS


class Attached(nn.Module):
    """A network with a head: from windows ``(B, T, C, H, W)`` to logits ``(B, classes, H, W)``.

    - T = 3: previous, centre and next frame pass the network one after the other, in this order,
      in training as in evaluation, so BatchNorm sees three passes a step, as in the authors' code.
      (One batch of 3 B frames would be another function in training, and in evaluation it was
      slower on a CPU: 0.85x for MT-UNet, 0.96x for U-Net.)
    - T = 1: the frame stands for its neighbours too, and the network runs once. The authors'
      interface, called with three equal images, would run it three times.
      Deviation: in training BatchNorm's running statistics take one step instead of three equal
      ones, and dropout draws once; dropout apart, logits and gradients are the same.

    Inference over a volume or video, every frame through the network once, every gate convolution
    once per direction, same logits::

        features = torch.cat([model.features(frame) for frame in frames])
        logits = model.volume(features, [(k - 1, k, k + 1) for k in range(1, len(features) - 1)])

    and ``model.head(previous, centre, following)`` turns features ``(B, 64, H, W)`` into logits.
    All three work for ``plain`` as well, whose features are its logits.

    Attributes:
        network: the network; its entries in the state dict are ``network.*``.
        head: what the variant adds (``head.*``): ``head(previous, centre, following)``.

    Args:
        network: from ``(B, C, H, W)`` to ``(B, channels, H, W)``.
        head: the variant's head.
        variant: its name, for messages.
        channels: of the features that the head takes.
    """

    recompute = False
    """Whether training computes the network's activations again instead of keeping them: less memory, same numbers."""

    def __init__(self, network: nn.Module, head: Head, variant: str, channels: int) -> None:
        super().__init__()
        self.network = network
        self.head = head
        self.variant = variant
        self.channels = channels

    def features(self, frames: Tensor) -> Tensor:
        """The network's output for frames of any role.

        Args:
            frames: ``(N, C, H, W)``.

        Returns:
            ``(N, 64, H, W)``; for ``plain`` the logits ``(N, classes, H, W)``.

        Raises:
            ValueError: the network gives another number of channels, or auxiliary outputs.
        """
        features = self._pass(frames)
        if not isinstance(features, Tensor):
            raise ValueError(
                f"{self.variant}: the network gives a {type(features).__name__}; one tensor of "
                f"{self.channels} channels is expected: build the network without auxiliary "
                f"outputs, or call eval()"
            )
        return self._checked(features)

    def forward(self, images: Tensor) -> Tensor | tuple[Tensor, ...]:
        """The logits of the middle frame.

        Args:
            images: ``(B, 3, C, H, W)`` (previous, centre, next) or ``(B, 1, C, H, W)``.

        Returns:
            ``(B, classes, H, W)``.

        Raises:
            ValueError: another shape, or a network that does not fit (see ``features``).
        """
        frames = split(images)
        if len(frames) == 1:
            centre = self.features(frames[0])
            return self.head(centre, centre, centre)
        previous, centre, following = (self.features(frame) for frame in frames)
        return self.head(previous, centre, following)

    def volume(self, features: Tensor, triples: Iterable[Iterable[int]]) -> Tensor:
        """The logits of many windows over the frames of one volume or video.

        Args:
            features: ``features`` of its N frames, ``(N, 64, H, W)``.
            triples: M windows (previous, centre, next) as indices into the N frames: rows of a
                list, an array or a tensor. A frame may play its own neighbour, as at the borders
                (0, 0, 2), or everywhere (k, k, k). Centres in order keep the memory small.

        Returns:
            ``(M, classes, H, W)``, in the order of the triples.

        Raises:
            ValueError: no triple, or one that is not three indices from 0 to N - 1.
        """
        rows = [tuple(int(index) for index in triple) for triple in triples]
        if not rows:
            raise ValueError("triples: none given; at least one (previous, centre, next) is needed")
        windows = []
        for row in rows:
            if len(row) != 3 or min(row) < 0 or max(row) >= len(features):
                raise ValueError(
                    f"triples: found {row}; three indices from 0 to {len(features) - 1} are "
                    f"allowed, (previous, centre, next) among the {len(features)} frames"
                )
            windows.append((row[0], row[1], row[2]))
        return self.head.volume(self._checked(features), windows)

    def _pass(self, frames: Tensor) -> Tensor | tuple[Tensor, ...]:
        if self.recompute and self.training and torch.is_grad_enabled():
            return recomputed(self.network, frames)
        return self.network(frames)

    def _checked(self, features: Tensor) -> Tensor:
        # A traced shape is a tensor; whoever traces has run the network before.
        tracing = torch.jit.is_tracing()  # pyright: ignore[reportPrivateImportUsage]
        if not tracing and features.shape[1] != self.channels:
            raise ValueError(
                f"{self.variant}: features of shape {tuple(features.shape)}; "
                f"(B, {self.channels}, H, W) is expected: build the network with "
                f"out_channels={self.channels}"
            )
        return features


class Plain(Attached):
    """The network alone on the middle frame of the window; its neighbours are not looked at."""

    def forward(self, images: Tensor) -> Tensor | tuple[Tensor, ...]:
        """The network's logits for the middle frame.

        Args:
            images: ``(B, 3, C, H, W)`` or ``(B, 1, C, H, W)``.

        Returns:
            ``(B, classes, H, W)``; where the network has auxiliary outputs, its tuple ``(logits,
            *auxiliary)`` in training mode, passed through.
        """
        frames = split(images)
        outputs = self._pass(frames[len(frames) // 2])
        self._checked(outputs[0] if isinstance(outputs, tuple) else outputs)
        return outputs


def split(images: Tensor) -> tuple[Tensor, ...]:
    """The one or three frames ``(B, C, H, W)`` of windows ``(B, T, C, H, W)``.

    Raises:
        ValueError: another rank, or T other than 1 and 3.
    """
    frames = images.unbind(1) if images.ndim == 5 else ()
    if len(frames) not in (1, 3):
        raise ValueError(
            f"images of shape {tuple(images.shape)}; (B, 3, C, H, W) with previous, centre and "
            f"next frame and (B, 1, C, H, W) are allowed"
        )
    return frames


def build(
    network: nn.Module,
    variant: str,
    classes: int,
    attention_size: AttentionSize,
    wiring: str = "frames",
) -> Attached:
    """Build what ``salstm.modules.attach`` returns, for a variant that exists."""
    if classes < 1:
        raise ValueError(f"{variant}: classes is {classes}; it must be at least 1")
    if attention_size not in ("map", "released") and not _positive(attention_size):
        raise ValueError(
            f"{variant}: attention_size is {attention_size!r}; "
            f"a positive number, 'map' or 'released' is allowed"
        )
    if wiring == "patches" and not VARIANTS[variant].recurrent:
        raise ValueError(f"{variant}: has no recurrent net that could read patches in turn")
    if variant == PLAIN:
        return Plain(network, Centre(), variant, classes)
    entry = VARIANTS[variant]
    head = getattr(importlib.import_module(entry.module), variant)
    options = (attention_size,) if entry.attention else ()
    built = head(classes, *options)
    if wiring == "patches":
        built.patches = True
    return Attached(network, built, variant, CHANNELS)


def _positive(size: float | str) -> bool:
    return isinstance(size, int | float) and math.isfinite(size) and size > 0
