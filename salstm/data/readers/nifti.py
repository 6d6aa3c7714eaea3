"""NIfTI files, read with messages that say which file is wrong and what to do."""

from __future__ import annotations

import gzip
import io
from pathlib import Path
from typing import IO, Any

import numpy as np

from salstm.data.readers.grid import Grid, grid

_GZIP = b"\x1f\x8b"
_LAYERS = 3
"""Times that a file may be compressed; some download tools do it once more."""
_HEADER = {348: 352, 540: 544}
"""Bytes of a header, by the number that it begins with: NIfTI-1 and NIfTI-2."""


def header(path: Path) -> Grid:
    """Read where the voxels lie, and no voxel.

    Raises:
        FileNotFoundError: no such file.
        ValueError: not NIfTI, or as ``grid`` says.
    """
    _check_there(path)
    try:
        with path.open("rb") as file:
            start = _unpacking(file).read(max(_HEADER.values()))
        kind = _kind(start)
        raw, checked = _headers(start, kind)
        shape = _shape(path, checked)
    except _RefusedError:
        raise
    except Exception as error:  # a header of foreign bytes may break anything
        raise _damaged(path, error) from error
    return grid(path, raw, checked, shape)


def read(path: Path) -> tuple[np.ndarray, Grid]:
    """Read a whole volume. A gzip file is read to its end, since only there its checksum stands.

    What the file is, is seen in its first bytes: plain or gzip, NIfTI-1 or NIfTI-2.

    Returns:
        The voxels ``(X, Y, Z)`` in stored order, with the header's scaling applied, and where they lie.

    Raises:
        FileNotFoundError: no such file.
        ValueError: damaged, cut off, in colour, not of three dimensions (axes of one voxel after the third
            do not count), with values that are not finite, or as ``grid`` says.
    """
    _check_there(path)
    try:
        content = _unpacked(path.read_bytes())
        kind = _kind(content)
        raw, checked = _headers(content, kind)
        shape = _shape(path, checked)
        _check_numbers(path, checked)
        _check_length(checked, len(content))
        array = _scaled(content, checked, shape)
    except _RefusedError:
        raise
    except Exception as error:  # as above
        raise _damaged(path, error) from error
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise ValueError(
            f"{path}: has values that are not finite; delete the file and fetch it again"
        )
    return array, grid(path, raw, checked, shape)


def _scaled(content: bytes, checked: Any, shape: tuple[int, int, int]) -> np.ndarray:
    """The voxels as nibabel scales them, without the copy that it reads from a stream; read-only where not scaled."""
    from nibabel.volumeutils import apply_read_scaling

    count = int(np.prod(shape, dtype=object))
    start = int(checked.get_data_offset())
    stored = np.frombuffer(content, checked.get_data_dtype(), count, start)
    scaling: list[Any] = [
        np.asanyarray(default if value is None else value)
        for value, default in zip(checked.get_slope_inter(), (1.0, 0.0), strict=True)
    ]
    return apply_read_scaling(stored.reshape(shape, order="F"), *scaling)


class _RefusedError(ValueError):
    """A message that names the file already."""


def _check_there(path: Path) -> None:
    if not path.is_file():
        raise FileNotFoundError(
            f"{path}: missing; unpack the archive again, or fetch this file again"
        )


def _unpacked(content: bytes) -> bytes:
    for _ in range(_LAYERS):
        if not content.startswith(_GZIP):
            break
        content = gzip.decompress(content)
    return content


def _unpacking(file: IO[bytes]) -> IO[bytes]:
    for _ in range(_LAYERS):
        start = file.read(2)
        file.seek(0)
        if start != _GZIP:
            break
        file = gzip.GzipFile(fileobj=file, mode="rb")  # type: ignore[assignment]
    return file


def _kind(content: bytes) -> Any:
    """Nibabel's class of the file."""
    import nibabel

    size = content[:4]
    if 540 in (int.from_bytes(size, "little"), int.from_bytes(size, "big")):
        return nibabel.Nifti2Image
    return nibabel.Nifti1Image


def _headers(content: bytes, kind: Any) -> tuple[Any, Any]:
    """The header as it is stored, and as nibabel corrects it."""
    raw = kind.header_class.from_fileobj(io.BytesIO(content), check=False)
    return raw, kind.header_class.from_fileobj(io.BytesIO(content), check=True)


def _shape(path: Path, checked: Any) -> tuple[int, int, int]:
    shape = tuple(int(side) for side in checked.get_data_shape())
    if len(shape) < 3 or any(side != 1 for side in shape[3:]) or min(shape) < 1:
        raise _RefusedError(
            f"{path}: shape {shape}; three dimensions are expected; fetch this file again"
        )
    return shape[:3]


def _check_numbers(path: Path, checked: Any) -> None:
    dtype = checked.get_data_dtype()
    if dtype.kind not in "buif":
        what = "colours (RGB)" if dtype.names else f"numbers of type {dtype}"
        raise _RefusedError(
            f"{path}: holds {what}; one number a voxel is expected; this is a picture of the "
            f"volume, not the volume: fetch this file again"
        )


def _check_length(checked: Any, length: int) -> None:
    """Before memory is taken for what a broken header promises."""
    voxels = int(np.prod(checked.get_data_shape(), dtype=object))
    needed = int(checked["vox_offset"]) + voxels * checked.get_data_dtype().itemsize
    if needed > length:
        raise ValueError(f"{length} bytes, its header promises {needed}")


def _damaged(path: Path, error: Exception) -> ValueError:
    reason = " ".join(str(error).split()) or type(error).__name__
    return ValueError(
        f"{path}: cannot be read ({reason}); a whole NIfTI file is expected; the download was cut "
        f"off or damaged: delete the file and fetch it again"
    )
