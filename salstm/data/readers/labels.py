"""Label maps as whole numbers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

ROUNDING = 1e-3
"""A label this far from a whole number is that number: a scale factor or float32 leaves such traces."""


def as_labels(path: Path, array: np.ndarray, allowed: range) -> np.ndarray:
    """Labels as uint8, whatever number type the file has; the array itself where it is that already.

    Raises:
        ValueError: values that are not allowed; the message names the file, the values in all their
            digits, and the cure.
    """
    whole = array.dtype.kind in "bui"
    if whole and array.size and array.min() >= allowed.start and array.max() < allowed.stop:
        return array.astype(np.uint8, copy=False)
    rounded = array if whole else np.rint(array)
    wrong = (rounded < allowed.start) | (rounded >= allowed.stop)
    if rounded is not array:
        wrong |= np.abs(array - rounded) > ROUNDING
    if wrong.any():
        found = np.unique(array[wrong])
        shown = ", ".join(_digits(value) for value in found[:5]) + (
            ", ..." if len(found) > 5 else ""
        )
        raise ValueError(
            f"{path}: label {shown}; {allowed.start} to {allowed.stop - 1} are allowed; "
            f"this is not the official label file, or it was resampled with interpolation: fetch "
            f"it again"
        )
    return rounded.astype(np.uint8)


def _digits(value: Any) -> str:
    return np.format_float_positional(value, trim="-") if value.dtype.kind == "f" else str(value)
