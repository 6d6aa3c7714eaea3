"""Photographs and their masks: JPEG, PNG and TIFF, in colour, with messages that name the file."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from salstm.data.readers import masks, samples

ENDINGS = (".jpg", ".jpeg", ".png", ".tif", ".tiff", ".bmp")
"""What picture files end with, in any case."""

_NEARLY_BLACK = 4096
"""Highest value of a picture of 16 bits that uses 12 of them: it would come out black."""


def is_picture(path: Path) -> bool:
    """Whether a file's name ends like a picture's."""
    return path.suffix.lower() in ENDINGS


def read_rgb(path: Path) -> np.ndarray:
    """Read a colour picture, upright.

    A grey picture becomes three equal channels. Transparency is dropped: the stored colours are taken as they
    are. Of 16 bits the upper eight are kept.

    Returns:
        ``(H, W, 3)`` uint8.

    Raises:
        FileNotFoundError: no such file.
        ValueError: damaged, or of a kind whose colours are not certain.
    """
    found = samples.read(path)
    colour = found.colour
    if found.premultiplied:
        raise ValueError(
            f"{path}: its colours are multiplied with a transparency that is not opaque; what they "
            f"were before is not in the file; save it without transparency"
        )
    if colour.dtype == np.uint16:
        colour = _upper_bits(path, colour)
    if colour.dtype != np.uint8:
        raise ValueError(
            f"{path}: {colour.shape} {colour.dtype}; (rows, columns, 3) uint8 is expected; save it "
            f"with 8 bits, or fetch this file again"
        )
    if colour.ndim == 2:
        colour = np.repeat(colour[..., None], 3, axis=2)
    return np.ascontiguousarray(colour)


def read_mask(path: Path, shape: tuple[int, ...] | None = None) -> np.ndarray:
    """Read a mask, upright; foreground as ``masks.foreground`` decides.

    Args:
        path: the file.
        shape: ``(H, W)`` of its picture; None where there is none.

    Returns:
        ``(H, W)`` uint8, 0 and 1.

    Raises:
        FileNotFoundError: no such file.
        ValueError: damaged, of another shape, or values that can be read in more than one way.
    """
    found = samples.read(path)
    if shape is not None and found.colour.shape[:2] != tuple(shape):
        raise ValueError(
            f"{path}: {found.colour.shape[:2]} pixels, its picture has {tuple(shape)} (rows, columns); both "
            f"must be alike; fetch both files again"
        )
    try:
        return masks.foreground(found).astype(np.uint8)
    except ValueError as error:
        raise ValueError(f"{path}: {error}; correct the mask, or fetch this file again") from error


def _upper_bits(path: Path, colour: np.ndarray) -> np.ndarray:
    highest = int(colour.max(initial=0))
    if 0 < highest < _NEARLY_BLACK:
        raise ValueError(
            f"{path}: {colour.shape} uint16 with values up to {highest}, nearly black for 16 bits; "
            f"save it with 8 bits"
        )
    return (colour >> 8).astype(np.uint8)
