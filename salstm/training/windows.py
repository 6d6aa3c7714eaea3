"""Windows: a frame with its two neighbours and its label, as a network takes them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Self, get_args

import numpy as np
import torch
from torch.utils.data import Dataset

from salstm import vocabulary
from salstm.data.case import Case
from salstm.data.resize import resize
from salstm.data.square import squared
from salstm.data.store import Store
from salstm.recipes import Border, Recipe

BORDERS = get_args(Border)
Augmentation = Callable[
    [np.ndarray, np.ndarray, np.random.Generator], tuple[np.ndarray, np.ndarray]
]


def neighbours(frame: int, first: int, last: int, border: str) -> tuple[int, int, int]:
    """Numbers of the previous, the centre and the next frame; none leaves the stack.

    Args:
        frame: the centre.
        first: first frame of the stack.
        last: last frame of the stack, inside it.
        border: what stands for the missing neighbour at both ends. 'replicate': the centre itself.
            'authors': the release shifts a helper index inwards but not the centre, so the first
            frame gets ``(k, k, k + 2)`` and the last ``(k - 2, k, k)`` (yeshunlong/SALSTM at
            e45f8fa); a stack of fewer than three frames has no such neighbour and is replicated.

    Returns:
        ``(previous, centre, next)``.

    Raises:
        ValueError: unknown border, or a frame outside its stack.
    """
    vocabulary.check("border", border, BORDERS)
    if not first <= frame <= last:
        raise ValueError(f"frame {frame}: outside its stack, which has frames {first} to {last}")
    if border == "authors" and last - first >= 2:
        if frame == first:
            return frame, frame, frame + 2
        if frame == last:
            return frame - 2, frame, frame
    return max(frame - 1, first), frame, min(frame + 1, last)


@dataclass(frozen=True, kw_only=True)
class Window:
    """How frames reach a network: the part of a recipe that its input needs.

    Attributes:
        frames: 3 for (previous, centre, next), 1 for the centre alone.
        border: as in ``neighbours``.
        size: side of the square result in pixels.
        channels: C; grey frames are repeated for 3.
        normalise: ``(mean, standard deviation)``, a number or one per channel each, or None.
        resize: as in ``salstm.data.square``.
        train_size: side of a training window, if it is not ``size``.
    """

    frames: int
    border: str = "replicate"
    size: int
    channels: int
    normalise: tuple[Any, Any] | None = None
    resize: str = "after"
    train_size: int | None = None

    @classmethod
    def of(cls, recipe: Recipe, channels: int, **more: Any) -> Self:
        """The window of a recipe on frames of 1 or 3 channels."""
        return cls(
            frames=recipe.frames,
            border=recipe.border or "replicate",  # a recipe of one frame has none
            size=recipe.size,
            channels=channels,
            normalise=recipe.normalise,
            resize=recipe.resize or "after",
            train_size=recipe.train_size,
            **more,
        )


class Windows(Dataset):
    """One item per frame of the given cases.

    Item ``k`` is a dict: ``image`` float32 ``(T, C, H, W)``, ``label`` int64 ``(H, W)`` of the
    centre frame, ``case`` (id) and ``frame`` (number of the centre in the store). 8-bit images are
    divided by 255. All T frames and the label get the same augmentation draw, at the stored size,
    or as a square where the window's ``resize`` says so; then, if need be, they are zoomed (image
    cubic, label nearest), as in TransUNet's datasets/dataset_synapse.py. The random generator of
    item ``k`` depends on ``(seed, epoch, k)`` alone, so neither the order of access nor the number
    of workers changes an item.

    Args:
        store: the prepared dataset.
        cases: the cases to draw from.
        window: frames, size and channels of an item, and how they are normalised.
        augment: a function from ``salstm.data.augment``, or None.
        seed: of the augmentation.

    Raises:
        ValueError: no cases, a number of frames or channels that is not 1 or 3, or 1 channel for
            RGB frames.
    """

    def __init__(
        self,
        store: Store,
        cases: Sequence[Case],
        window: Window,
        *,
        augment: Augmentation | None = None,
        seed: int = 0,
    ) -> None:
        _check_numbers(cases, window.frames, window.channels)
        self.store, self.window, self.augment, self.seed = store, window, augment, seed
        self._items = [item for case in cases for item in _items(store, case, window)]
        # In shared memory, so that workers that outlive an epoch see the change.
        self._epoch = torch.zeros((), dtype=torch.int64).share_memory_()

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch's draws. Call before iterating."""
        self._epoch.fill_(epoch)

    def __len__(self) -> int:
        return len(self._items)

    def __getitem__(self, index: int) -> dict[str, Any]:
        identity, numbers, centre = self._items[index]
        frames, label = self._augmented(index, numbers, centre)
        size = self.window.train_size or self.window.size
        return {
            "image": torch.from_numpy(network_input(frames, self.window, size)),
            "label": torch.from_numpy(resize(label, size, size, 0).astype(np.int64)),
            "case": identity,
            "frame": centre,
        }

    def _augmented(
        self, index: int, numbers: tuple[int, ...], centre: int
    ) -> tuple[np.ndarray, np.ndarray]:
        frames = np.stack([self.store.frame(number) for number in numbers])
        window = self.window
        frames, label = squared(frames, self.store.label(centre), window.size, window.resize)
        if self.augment is None:
            return frames, label
        position = range(len(self))[index]  # -1 is the last item's name too
        generator = np.random.default_rng([self.seed, int(self._epoch), position])
        return self.augment(frames, label, generator)


def network_input(frames: np.ndarray, window: Window, size: int | None = None) -> np.ndarray:
    """Frames as a network takes them: channels first, zoomed (cubic), normalised.

    Args:
        frames: ``(T, H, W)`` float32 or ``(T, H, W, 3)`` uint8, which is divided by 255.
        window: size and channels of the result, and how it is normalised.
        size: side of the result in pixels, if it is not the window's.

    Returns:
        ``(T, channels, size, size)`` float32.
    """
    size, channels = size or window.size, window.channels
    planes = frames[:, None] if frames.ndim == 3 else np.moveaxis(frames, -1, 1) / np.float32(255)
    planes = resize(planes, size, size, 3)
    if window.normalise is not None:
        mean, deviation = _columns(window.normalise)
        planes = planes - mean
        planes /= deviation
    if planes.shape[1] != channels:
        planes = np.broadcast_to(planes, (len(planes), channels, size, size))
    return np.ascontiguousarray(planes, dtype=np.float32)


def _items(store: Store, case: Case, window: Window) -> list[tuple[str, tuple[int, ...], int]]:
    vocabulary.check("border", window.border, BORDERS)
    first, last = store.stack_bounds(case)
    centres = range(case.first, case.first + case.depth)
    if window.frames == 1:
        return [(case.id, (centre,), centre) for centre in centres]
    return [(case.id, neighbours(centre, first, last, window.border), centre) for centre in centres]


def _columns(normalise: tuple[Any, Any]) -> tuple[np.ndarray, np.ndarray]:
    """Mean and deviation as ``(C, 1, 1)`` or ``(1, 1, 1)`` float32."""
    mean, deviation = (np.asarray(value, dtype=np.float32).reshape(-1, 1, 1) for value in normalise)
    if (deviation <= 0).any():
        raise ValueError(f"normalise: standard deviation {normalise[1]}; it must be positive")
    return mean, deviation


def _check_numbers(cases: Sequence[Case], frames: int, channels: int) -> None:
    if not cases:
        raise ValueError(
            "windows: no cases; the split is empty; check cases.csv of the prepared dataset"
        )
    for name, value in (("frames", frames), ("channels", channels)):
        if value not in (1, 3):
            raise ValueError(f"windows: {name} is {value}; 1 and 3 are allowed")
    if channels < cases[0].channels:
        raise ValueError("windows: channels is 1 but the frames are RGB; set channels to 3")
