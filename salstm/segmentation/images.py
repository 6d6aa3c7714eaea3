"""Images of one's own as a training's network takes them, and the way back to the file's own geometry."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from salstm.data import guards
from salstm.data.augment.intensity import NORMALISATIONS
from salstm.data.case import Case
from salstm.data.datasets import DATASETS
from salstm.data.readers import acdc, pairing, pictures, samples, tiff, volumes
from salstm.data.readers.orientation import Oriented, restore
from salstm.data.resize import on_grid

VOLUME_ENDINGS = (".nii", ".nii.gz")
USUAL_AXES = {"acdc": acdc.AXES}
"""Where the axes of a dataset's volumes point whose header does not say."""
SHORT_AXIS = {"acdc"}
"""Datasets whose stacks lie askew: the thick slices come first, as in their readers."""
_BACK = {6: 8, 8: 6}
"""The orientation that undoes one; each other one undoes itself."""


@dataclass(frozen=True)
class Preparation:
    """How the cases of a training were prepared.

    Attributes:
        dataset: its name.
        channels: 1 grey, 3 RGB.
        size: side of the stored frames in pixels; None for the native size.
        normalise: a name of ``salstm.data.augment.intensity``.
        axes: where the axes of volumes point whose header does not say; None for what the dataset's reader says.
    """

    dataset: str
    channels: int
    size: int | None
    normalise: str
    axes: str | None = None

    @property
    def of_volumes(self) -> bool:
        """Whether its cases are volumes (CT, MR); else they are pictures."""
        return self.normalise != "none"

    @property
    def endings(self) -> tuple[str, ...]:
        """What the names of its files end with, in small letters."""
        return VOLUME_ENDINGS if self.of_volumes else pictures.ENDINGS


@dataclass(frozen=True)
class Image:
    """One image, read.

    Attributes:
        path: its file.
        frames: on the stored grid: ``(D, H, W)`` float32 or ``(D, H, W, 3)`` uint8.
        native: rows and columns of the frames as they were read.
        back: from labels or values ``(D, rows, columns, ...)`` in native size to the axes of the file.
    """

    path: Path
    frames: np.ndarray
    native: tuple[int, int]
    back: Callable[[np.ndarray], np.ndarray]

    def case(self, stack: str, first: int) -> Case:
        """Its row, as the inference takes it."""
        depth, height, width = self.frames.shape[:3]
        unknown = (float("nan"),) * 3
        name, channels = str(self.path), 3 if self.frames.ndim == 4 else 1
        sizes = (depth, height, width, channels, *self.native)
        return Case(name, name, "test", stack, first, *sizes, *unknown)


def read(path: Path, prepared: Preparation) -> Image:
    """Read an image as the dataset's reader does, with its guards, normalised and resized as its cases were.

    Raises:
        FileNotFoundError: no such file.
        ValueError: another kind of file, damaged, or values that cannot be right; the message names it.
    """
    check_kind(path, prepared)
    array, back = _volume(path, prepared) if prepared.of_volumes else _picture(path, prepared)
    blank = np.zeros(array.shape[:3], np.uint8)
    if prepared.normalise == "hu" and (wrong := guards.hounsfield(array, blank, {})):
        raise ValueError(f"{path}: {wrong}")
    if array.min() == array.max():
        raise ValueError(f"{path}: every value is {array.min():g}; there is nothing to see in it")
    frames, _ = on_grid(NORMALISATIONS[prepared.normalise](array), blank, prepared.size)
    return Image(path, frames, (array.shape[1], array.shape[2]), back)


def check_kind(path: Path, prepared: Preparation) -> None:
    """Refuse a file whose name says that it is of another kind than the training's cases.

    Raises:
        FileNotFoundError: no such file.
        ValueError: another kind.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file")
    if not path.name.lower().endswith(prepared.endings):
        kind = "volumes" if prepared.of_volumes else "pictures"
        endings = ", ".join(prepared.endings)
        raise ValueError(
            f"{path}: the training is of {kind} ({prepared.dataset}), whose names end with {endings}"
        )


def stem(path: Path) -> str:
    """A file's name without its ending, ``.nii.gz`` being one."""
    name = path.name
    for ending in sorted(VOLUME_ENDINGS, key=len, reverse=True):
        if name.lower().endswith(ending):
            return name[: -len(ending)]
    return path.stem


def within(path: Path, prepared: Preparation) -> list[Path]:
    """The images in a folder, in natural order; the file itself if it is one.

    Raises:
        FileNotFoundError: a folder without an image of the training's kind.
    """
    if not path.is_dir():
        return [path]
    inside = (one for one in path.iterdir() if one.is_file() and not one.name.startswith("."))
    found = [one for one in inside if one.name.lower().endswith(prepared.endings)]
    if not found:
        raise FileNotFoundError(f"{path}: no file in it ends with {', '.join(prepared.endings)}")
    return sorted(found, key=lambda one: pairing.natural(one.name))


def orientation(path: Path) -> int:
    """How a picture is turned before it is shown: the tag of EXIF and of TIFF, 1 for upright."""
    from PIL import Image as Pillow

    with path.open("rb") as file:
        start = file.read(4)
    if start in tiff.MAGIC:
        return tiff.read(path, samples.MOST_PIXELS).orientation
    with Pillow.open(path) as picture:
        return int(picture.getexif().get(samples.ORIENTATION, 1))


def _volume(path: Path, prepared: Preparation) -> tuple[np.ndarray, Callable[..., np.ndarray]]:
    from salstm.data.readers import nifti

    said = prepared.axes or USUAL_AXES.get(prepared.dataset)
    volume = volumes.read(path, said, "--axes")
    entry = DATASETS[prepared.dataset]
    moved, order = volume, [0, 1, 2]
    if prepared.dataset in SHORT_AXIS or entry.settings is not None:
        moved, _ = volumes.slices_first(volume, volume)
        order = _order(volume)
    stored = nifti.header(path).affine
    if stored is None:
        stored = volumes.affine_of(str(said), (1.0, 1.0, 1.0))

    def back(values: np.ndarray) -> np.ndarray:
        turned = np.transpose(values, np.argsort(order))
        return restore(turned, stored)

    return moved.array, back


def _order(volume: Oriented) -> list[int]:
    """Where ``slices_first`` takes each axis from, asked with a volume of three unequal sides."""
    sides = (2, 3, 5)
    asked = Oriented(np.zeros(sides), volume.spacing_mm, volume.affine, volume.codes)
    return [sides.index(side) for side in volumes.slices_first(asked, asked)[0].array.shape]


def _picture(path: Path, prepared: Preparation) -> tuple[np.ndarray, Callable[..., np.ndarray]]:
    colour: Any = pictures.read_rgb(path)
    turned = orientation(path)
    if prepared.channels == 1:
        if (colour != colour[..., :1]).any():
            raise ValueError(f"{path}: has colours; the training is of grey pictures")
        colour = colour[..., 0].astype(np.float32) / np.float32(255)

    def back(values: np.ndarray) -> np.ndarray:
        return np.ascontiguousarray(samples.upright(values[0], _BACK.get(turned, turned)))

    return colour[None], back
