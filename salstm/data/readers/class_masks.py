"""Masks of one's own classes, each with the number that the files have for it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from salstm.data.readers import pictures, samples
from salstm.data.readers.labels import ROUNDING, as_labels


def read(path: Path, classes: Mapping[str, int], shape: tuple[int, ...]) -> np.ndarray:
    """Read the mask of a picture.

    The stored numbers count: those of a palette, or of grey. Of a single class a mask may also be in black and
    white, smoothed or not, or transparent, as ``pictures.read_mask`` takes it.

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
    values = found.colour if found.index is None else found.index
    if values.ndim == 3 and (values == values[..., :1]).all():
        values = values[..., 0]
    if values.shape[:2] != tuple(shape):
        raise ValueError(
            f"{path}: {values.shape[:2]} pixels, its picture has {tuple(shape)} (rows, columns); both must be alike"
        )
    numbers = {0, *classes.values()}
    distinct = set(np.unique(values).tolist()) if values.ndim == 2 else set()
    plain = found.alpha is None or (found.alpha == found.alpha[:1, :1]).all()
    if values.ndim == 2 and distinct <= numbers and plain:
        return renumbered(values, classes)
    if len(classes) == 1 and (values.ndim == 3 or not plain or max(distinct) > 127):
        return pictures.read_mask(path, shape)
    what = "several colours" if values.ndim == 3 else f"the values {_listed(distinct - numbers)}"
    raise ValueError(f"{path}: has {what}; {named(classes)} and 0 are expected; {CURE}")


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
