"""Masks of one's own classes, each with the number that the files have for it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from salstm.data.readers import pictures, samples
from salstm.data.readers.labels import ROUNDING, as_labels
from salstm.data.readers.masks import THRESHOLD


def read(path: Path, classes: Mapping[str, int], shape: tuple[int, ...]) -> np.ndarray:
    """Read the mask of a picture.

    The stored numbers count: those of a palette, or of grey; where both fit and differ, the mask is refused. Of a
    single class the colours of a palette count, not its numbers, and a mask may also be in black and white, smoothed
    or not, or transparent, as ``pictures.read_mask`` takes it.

    Args:
        path: the file.
        classes: name -> number in the file.
        shape: ``(H, W)`` of the picture.

    Returns:
        ``(H, W)`` uint8: 0 for the background, then 1, 2 and so on in the order of ``classes``.

    Raises:
        FileNotFoundError: no such file.
        ValueError: damaged, of another shape, or values that are no class's.
    """
    found = samples.read(path)
    if found.colour.shape[:2] != tuple(shape):
        raise ValueError(
            f"{path}: {found.colour.shape[:2]} pixels, its picture has {tuple(shape)} (rows, columns); both must be "
            f"alike"
        )
    numbers = {0, *classes.values()}
    opaque = found.alpha is None or bool((found.alpha == found.alpha[:1, :1]).all())
    stored = [one for one in (found.index, _grey(found.colour)) if one is not None]
    fitting = [one for one in stored if opaque and set(np.unique(one).tolist()) <= numbers]
    if len(classes) == 1 and (found.index is not None or not fitting):
        return _single(path, classes, shape, stored)
    if not fitting:
        what = (
            f"the values {_listed(set(np.unique(stored[0]).tolist()) - numbers)}"
            if stored
            else "colours"
        )
        raise ValueError(f"{path}: has {what}; {named(classes)} and 0 are expected; {CURE}")
    if (fitting[0] != fitting[-1]).any():
        raise ValueError(
            f"{path}: the numbers of its palette and its grey values show two different masks; save it as grey"
        )
    return renumbered(fitting[0], classes)


def _single(
    path: Path, classes: Mapping[str, int], shape: tuple[int, ...], stored: list[np.ndarray]
) -> np.ndarray:
    """A mask of one class in black and white; what is neither white nor the class's number is refused."""
    highest = max((int(one.max(initial=0)) for one in stored), default=255)
    if 1 < highest <= THRESHOLD and highest not in classes.values():
        raise ValueError(
            f"{path}: has the values {highest}; {named(classes)} and 0 are expected; {CURE}"
        )
    return pictures.read_mask(path, shape)


def _grey(colour: np.ndarray) -> np.ndarray | None:
    if colour.ndim == 2:
        return colour
    return colour[..., 0] if (colour == colour[..., :1]).all() else None


CURE = "correct the mask, or the numbers in datasets.<name>.classes"


def of_volume(path: Path, array: np.ndarray, classes: Mapping[str, int]) -> np.ndarray:
    """Labels of a volume as ``read`` gives them; a label this near to a whole number (``ROUNDING``) is that number.

    Raises:
        ValueError: values that are no class's.
    """
    values = array if array.dtype.kind in "bui" else np.rint(array)
    wrong = ~np.isin(values, [0, *classes.values()])
    if values is not array:
        wrong |= np.abs(array - values) > ROUNDING
    if wrong.any():
        found = np.unique(array[wrong]).tolist()
        raise ValueError(
            f"{path}: has the values {_listed(set(found))}; {named(classes)} and 0 are expected; {CURE}"
        )
    return renumbered(as_labels(path, values, range(max(classes.values()) + 1)), classes)


def renumbered(values: np.ndarray, classes: Mapping[str, int]) -> np.ndarray:
    """Numbers of the files to 1, 2 and so on, in the order of ``classes``."""
    table = np.zeros(max(int(values.max(initial=0)), *classes.values()) + 1, dtype=np.uint8)
    for number, value in enumerate(classes.values(), start=1):
        table[value] = number
    return table[values]


def named(classes: Mapping[str, int]) -> str:
    """Classes with their numbers, for a message."""
    return ", ".join(f"{value} ({name})" for name, value in classes.items())


def _listed(values: set[float]) -> str:
    shown = ", ".join(f"{value:.10g}" for value in sorted(values)[:6])
    return f"{shown}, ..." if len(values) > 6 else shown
