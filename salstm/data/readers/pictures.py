"""Photographs and their masks: JPEG, PNG and TIFF, in colour, with messages that name the file."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import numpy as np

THRESHOLD = 127
"""A mask pixel above it is foreground. Many masks are smoothed: of CVC-ClinicDB's 612, 138 hold
values between 0 and 255, and ``> 0`` would fatten them (IoU down to 0.69 against ``> 127``)."""


def read_rgb(path: Path) -> np.ndarray:
    """Read a colour picture.

    Returns:
        ``(H, W, 3)`` uint8; a grey picture has three equal channels, transparency is dropped.

    Raises:
        FileNotFoundError: no such file.
        ValueError: damaged, or neither grey nor RGB of 8 bits.
    """
    array = _read(path, "RGB")
    if array.ndim == 2:
        array = np.repeat(array[..., None], 3, axis=2)
    if array.ndim != 3 or array.shape[2] not in (3, 4) or array.dtype != np.uint8:
        raise ValueError(
            f"{path}: {array.shape} {array.dtype}; (rows, columns, 3) uint8 is expected; fetch "
            f"this file again"
        )
    return np.ascontiguousarray(array[..., :3])


def read_mask(path: Path, shape: tuple[int, ...]) -> np.ndarray:
    """Read a mask: 1 where the stored value is above 127.

    Args:
        path: the file.
        shape: ``(H, W)`` of its picture.

    Returns:
        ``(H, W)`` uint8, 0 and 1.

    Raises:
        FileNotFoundError: no such file.
        ValueError: damaged, not of 8 bits and one channel, or of another shape.
    """
    array = _read(path, "L")
    if array.ndim == 3:  # a grey mask saved in colour
        array = array[..., 0] if (array == array[..., :1]).all() else array
    if array.dtype == bool:
        array = array.astype(np.uint8) * 255
    if array.ndim != 2 or array.dtype != np.uint8:
        raise ValueError(
            f"{path}: {array.shape} {array.dtype}; a mask of one channel and 8 bits is expected; "
            f"fetch this file again"
        )
    if array.shape != shape:
        raise ValueError(
            f"{path}: {array.shape} pixels, its picture has {shape} (rows, columns); both must be "
            f"alike; fetch both files again"
        )
    return (array > THRESHOLD).astype(np.uint8)


def _read(path: Path, mode: str) -> np.ndarray:
    if not path.is_file():
        raise FileNotFoundError(
            f"{path}: missing; unpack the archive again, or fetch this file again"
        )
    try:
        if path.suffix.lower() in (".tif", ".tiff"):
            return _read_tiff(path)
        return _read_pil(path, mode)
    except (OSError, SyntaxError, ValueError, EOFError, IndexError) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ValueError(
            f"{path}: cannot be read ({reason}); a whole picture is expected; the download was cut "
            f"off or damaged: delete the file and fetch it again"
        ) from error


def _read_tiff(path: Path) -> np.ndarray:
    """By the samples a pixel has, not by its tag.

    CVC-ClinicDB's RGB files are tagged MINISBLACK: Pillow refuses them, OpenCV gives the red
    channel as grey, SimpleITK one channel.
    """
    import tifffile

    with tifffile.TiffFile(path) as file:
        page = cast("tifffile.TiffPage", file.pages[0])
        ends = np.add(page.dataoffsets, page.databytecounts)
        if max(ends, default=0) > path.stat().st_size:  # tifffile would fill up with zeros
            raise ValueError("cut off")
        return page.asarray()


def _read_pil(path: Path, mode: str) -> np.ndarray:
    from PIL import Image

    with Image.open(path) as picture:
        return np.asarray(picture.convert(mode))
