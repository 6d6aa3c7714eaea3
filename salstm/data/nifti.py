"""NIfTI volumes, read with messages that say which file is wrong and what to do."""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import Any

import numpy as np


def read(path: Path) -> Any:
    """Open a volume; the voxels are read later.

    Returns:
        nibabel's image.

    Raises:
        FileNotFoundError: no such file.
        ValueError: not NIfTI, damaged, or not of three dimensions.
    """
    import nibabel
    from nibabel.filebasedimages import ImageFileError

    if not path.is_file():
        raise FileNotFoundError(
            f"{path}: missing; unpack the archive again, or fetch this file again"
        )
    try:
        image = nibabel.load(path)
    except (ImageFileError, OSError, EOFError, zlib.error) as error:
        raise _damaged(path, error) from error
    shape = getattr(image, "shape", ())
    if len(shape) != 3:
        raise ValueError(
            f"{path}: shape {shape}; three dimensions are expected; fetch this file again"
        )
    return image


def voxels(path: Path, image: Any) -> np.ndarray:
    """The voxels in stored order with nibabel's scaling applied: ``(X, Y, Z)``.

    Raises:
        ValueError: the file is cut off or damaged, or has values that are not finite.
    """
    try:
        array = np.asanyarray(image.dataobj)
    except (OSError, EOFError, zlib.error, ValueError) as error:
        raise _damaged(path, error) from error
    if not np.isfinite(array).all():
        raise ValueError(f"{path}: has values that are not finite; fetch this file again")
    return array


def as_labels(path: Path, array: np.ndarray, allowed: range) -> np.ndarray:
    """Labels as uint8, whatever number type the file has.

    Raises:
        ValueError: values that are not allowed; the message names the file, the values and the
            cure.
    """
    found = np.unique(array)
    if wrong := [float(value) for value in found if value not in allowed]:
        shown = ", ".join(f"{value:g}" for value in wrong[:5]) + (", ..." if len(wrong) > 5 else "")
        raise ValueError(
            f"{path}: label {shown}; {allowed.start} to {allowed.stop - 1} are allowed; "
            f"this is not the official label file, or it was resampled with interpolation: fetch "
            f"it again"
        )
    return array.astype(np.uint8)


def _damaged(path: Path, error: Exception) -> ValueError:
    return ValueError(
        f"{path}: cannot be read ({error or type(error).__name__}); a whole NIfTI file is "
        f"expected; the download was cut off or damaged: delete the file and fetch it again"
    )
