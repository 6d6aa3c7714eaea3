"""NIfTI volumes, read with messages that say which file is wrong and what to do."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from salstm.data.readers.orientation import Oriented, canonical


def header(path: Path) -> Any:
    """Open a volume without reading its voxels.

    Returns:
        nibabel's image of three dimensions.

    Raises:
        FileNotFoundError: no such file.
        ValueError: not NIfTI, or not of three dimensions.
    """
    import nibabel

    return _opened(path, nibabel.Nifti1Image.from_filename)


def read(path: Path) -> tuple[np.ndarray, tuple[float, float, float]]:
    """Read a whole volume. A gzip file is read to its end, since only there its checksum stands.

    Returns:
        The voxels ``(X, Y, Z)`` in stored order, with the header's scaling applied, and the spacing
        ``(x, y, z)`` in mm.

    Raises:
        FileNotFoundError: no such file.
        ValueError: damaged, cut off, not of three dimensions, or with values that are not finite.
    """
    image = _opened(path, _whole)
    x, y, z = (float(side) for side in image.header.get_zooms()[:3])
    return _voxels(path, image), (x, y, z)


def read_oriented(path: Path) -> Oriented:
    """Read a whole volume and bring it to LPS, whatever its axes are.

    Raises:
        FileNotFoundError: no such file.
        ValueError: as in ``read``, or an affine with an axis that points nowhere.
    """
    image = _opened(path, _whole)
    voxels = _voxels(path, image)
    try:
        return canonical(voxels, image.affine)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


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


def _voxels(path: Path, image: Any) -> np.ndarray:
    try:
        array = np.asanyarray(image.dataobj)
    except (OSError, ValueError) as error:
        raise _damaged(path, error) from error
    if not np.isfinite(array).all():
        raise ValueError(
            f"{path}: has values that are not finite; delete the file and fetch it again"
        )
    return array


def _whole(path: Path) -> Any:
    import nibabel

    content = path.read_bytes()
    return nibabel.Nifti1Image.from_bytes(
        gzip.decompress(content) if path.suffix == ".gz" else content
    )


def _opened(path: Path, opener: Callable[[Path], Any]) -> Any:
    from nibabel.filebasedimages import ImageFileError
    from nibabel.spatialimages import HeaderDataError
    from nibabel.wrapstruct import WrapStructError

    if not path.is_file():
        raise FileNotFoundError(
            f"{path}: missing; unpack the archive again, or fetch this file again"
        )
    try:
        image = opener(path)
    except (
        ImageFileError,
        HeaderDataError,
        WrapStructError,
        OSError,
        EOFError,
        zlib.error,
    ) as error:
        raise _damaged(path, error) from error
    if len(image.shape) != 3:
        raise ValueError(
            f"{path}: shape {image.shape}; three dimensions are expected; fetch this file again"
        )
    return image


def _damaged(path: Path, error: Exception) -> ValueError:
    reason = " ".join(str(error).split()) or type(error).__name__
    return ValueError(
        f"{path}: cannot be read ({reason}); a whole NIfTI file is expected; the download was cut "
        f"off or damaged: delete the file and fetch it again"
    )
