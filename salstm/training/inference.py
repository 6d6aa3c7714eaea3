"""Label maps of whole cases: every frame passes the network once, however many windows it is part of."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol, Self

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from salstm.data.case import Case
from salstm.data.resize import resize
from salstm.data.square import box, squared
from salstm.data.store import Store
from salstm.modules.wrapper import Attached
from salstm.recipes import Recipe
from salstm.training.windows import Window, neighbours, network_input

log = logging.getLogger(__name__)


class Watcher(Protocol):
    """Sees the probabilities of a case that is being predicted (``salstm.evaluation.calibration.Kept``)."""

    def add(self, place: int, probabilities: np.ndarray, labels: np.ndarray) -> None:
        """A frame of the case: its number, ``(classes, H, W)`` and ``(H, W)`` on the stored grid."""
        ...

    def done(self) -> None:
        """All frames were seen."""
        ...


Watch = Callable[[Case], Watcher]


@dataclass(frozen=True, kw_only=True)
class View(Window):
    """How frames reach the network in a prediction: the window of a recipe, many at once.

    Attributes:
        batch: frames that pass the network at once.
        restore: what is brought to the stored grid: 'labels', by nearest neighbour, as the TransUNet family does; or
            'logits', linearly, corners not aligned, before they become labels, as the polyp networks do.
    """

    batch: int
    restore: str = "labels"

    @classmethod
    def of(cls, recipe: Recipe, channels: int, **more: Any) -> Self:
        """The view of a recipe on frames of 1 or 3 channels."""
        return super().of(
            recipe, channels, batch=recipe.batch, restore=recipe.restore or "labels", **more
        )


def ready(network: nn.Module, device: torch.device) -> None:
    """Put a network on the device that is to predict, in evaluation mode, in the order of memory that is faster there.

    On a CPU that is channels innermost: 1.0 to 1.9 times as fast, equal but for rounding (``benchmarks.networks``). On
    a GPU it stays as it is: nothing was measured there.
    """
    network.to(device).eval()
    if device.type == "cpu":
        # torch's stub of nn.Module.to has no such overload.
        network.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]


def predict(
    model: Attached,
    store: Store,
    cases: Iterable[Case],
    view: View,
    device: torch.device,
    watch: Watch | None = None,
) -> Iterator[tuple[Case, np.ndarray]]:
    """Predict cases one after the other; cases of one stack (a video's frames), if neighbours, together.

    When the memory runs out, fewer frames pass the network at once from then on; the labels are the same.

    Args:
        model: ready to predict.
        store: the prepared cases.
        cases: those that are predicted.
        view: how frames reach the network.
        device: of the model.
        watch: makes what sees the probabilities of a case; it may be called again for a case that ran out of memory.

    Yields:
        The case and its labels ``(D, H, W)`` uint8 on the stored grid.

    Raises:
        torch.OutOfMemoryError: memory for one frame at a time is not enough.
    """
    model.eval()
    for _, group in itertools.groupby(cases, key=lambda case: case.stack):
        together = list(group)
        while (labels := _labels(model, store, together, view, device, watch)) is None:
            view = _halved(view, device)
        yield from zip(together, labels, strict=True)


@torch.no_grad()
def logits(
    model: Attached, store: Store, cases: Sequence[Case], view: View, device: torch.device
) -> Iterator[Tensor]:
    """Logits of the frames of cases of one stack, in order, chunk by chunk: ``(n, classes, size, size)``.

    Equal to feeding one window at a time (tests/test_inference.py: 1e-5).
    """
    first, last = store.stack_bounds(cases[0])
    centres = [case.first + place for case in cases for place in range(case.depth)]
    if view.frames == 1:
        for start in range(0, len(centres), view.batch):
            chunk = centres[start : start + view.batch]
            features = _features(model, store, chunk, view, device)
            yield model.head(features, features, features)
        return
    triples = [neighbours(centre, first, last, view.border) for centre in centres]
    numbers = sorted({number for triple in triples for number in triple})
    place = {number: index for index, number in enumerate(numbers)}
    features = _features(model, store, numbers, view, device)
    yield model.volume(features, [tuple(place[number] for number in row) for row in triples])


def to_labels(logits: Tensor) -> Tensor:
    """``(N, C, H, W)`` logits to ``(N, H, W)`` uint8: the largest of C channels, or one channel above 0."""
    if logits.shape[1] == 1:
        return (logits[:, 0] > 0).to(torch.uint8)
    return logits.argmax(1).to(torch.uint8)


def _features(
    model: Attached, store: Store, numbers: list[int], view: View, device: torch.device
) -> Tensor:
    chunks = []
    for start in range(0, len(numbers), view.batch):
        frames = np.stack([store.frame(number) for number in numbers[start : start + view.batch]])
        blank = np.zeros(frames.shape[1:3], np.uint8)
        images = network_input(squared(frames, blank, view.size, view.resize)[0], view)
        chunks.append(model.features(torch.from_numpy(images).to(device)))
    return torch.cat(chunks)


def _labels(
    model: Attached,
    store: Store,
    cases: Sequence[Case],
    view: View,
    device: torch.device,
    watch: Watch | None,
) -> list[np.ndarray] | None:
    """Each case's labels; None when the memory ran out and fewer frames at once may help."""
    sizes = [(case.height, case.width) for case in cases for _ in range(case.depth)]
    watchers = [watch(case) for case in cases] if watch else []
    places = [(one, at) for one, case in enumerate(cases) for at in range(case.depth)]
    try:
        frames: list[np.ndarray] = []
        for chunk in logits(model, store, cases, view, device):
            here = slice(len(frames), len(frames) + len(chunk))
            frames += _restored(chunk, sizes[here], view)
            if watchers:
                seen = zip(
                    places[here], probable(chunk, sizes[here], view), frames[here], strict=True
                )
                for (one, at), probabilities, labels in seen:
                    watchers[one].add(at, probabilities, labels)
        for watcher in watchers:
            watcher.done()
        rest = iter(frames)
        return [np.stack(list(itertools.islice(rest, case.depth))) for case in cases]
    except torch.OutOfMemoryError:
        if view.batch == 1:
            raise
    return None


def _restored(logits: Tensor, sizes: Sequence[tuple[int, int]], view: View) -> list[np.ndarray]:
    """Labels ``(H, W)`` of each frame on its stored grid of that size."""
    found: list[np.ndarray] = []
    for size, group in itertools.groupby(range(len(sizes)), key=lambda place: sizes[place]):
        numbers = list(group)
        place = box(*size, view.size, view.resize)
        part = logits[numbers[0] : numbers[-1] + 1, :, place.rows, place.columns]
        if view.restore == "logits":
            part = functional.interpolate(part.float(), size, mode="bilinear", align_corners=False)
        found += list(resize(to_labels(part).cpu().numpy(), *size, 0))
    return found


def probable(logits: Tensor, sizes: Sequence[tuple[int, int]], view: View) -> Iterator[np.ndarray]:
    """Probabilities ``(classes, H, W)`` float32 of each frame on its stored grid of that size, without the background.

    A single logit goes through a sigmoid, several through a softmax. Where the recipe restores labels, which have no
    values between them, probabilities are restored linearly.
    """
    for size, group in itertools.groupby(range(len(sizes)), key=lambda place: sizes[place]):
        numbers = list(group)
        place = box(*size, view.size, view.resize)
        part = logits[numbers[0] : numbers[-1] + 1, :, place.rows, place.columns].float()
        if view.restore == "logits":
            part = functional.interpolate(part, size, mode="bilinear", align_corners=False)
        part = part.sigmoid() if part.shape[1] == 1 else part.softmax(1)[:, 1:]
        if tuple(part.shape[2:]) != size:
            part = functional.interpolate(part, size, mode="bilinear", align_corners=False)
        yield from part.cpu().numpy()


def _halved(view: View, device: torch.device) -> View:
    if device.type == "cuda":
        torch.cuda.empty_cache()
    log.warning("out of memory: predicting %d frames at a time from now on", view.batch // 2)
    return replace(view, batch=view.batch // 2)
