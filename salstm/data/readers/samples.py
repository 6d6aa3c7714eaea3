"""A picture file as its samples: upright, in grey or RGB, with the number type that the file has.

What the tags say is done here, once: palettes are looked up, white-is-zero is turned round, CMYK and
the like become RGB, the orientation of EXIF and TIFF is applied. Transparency is handed on beside
the colours, which stay as they are stored: nothing is blended with a background.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np

from salstm.data.readers import tiff

ORIENTATION = 0x0112
"""The tag of EXIF and of TIFF."""
MOST_PIXELS = 178_956_970
"""Pillow's limit, for TIFF too: a header that says more is damaged, and would fill the memory."""
_PNG, _SIXTEEN_BITS_AT = b"\x89PNG\r\n\x1a\n", 24


@dataclass(frozen=True)
class Samples:
    """A decoded picture.

    Attributes:
        colour: ``(H, W)`` grey or ``(H, W, 3)`` RGB; unsigned integers fill the range of their type.
        alpha: ``(H, W)``, the opacity, where the file has one.
        index: ``(H, W)``, the stored numbers, where the file has a palette.
        premultiplied: the file says that its colours are multiplied with alpha.
    """

    colour: np.ndarray
    alpha: np.ndarray | None = None
    index: np.ndarray | None = None
    premultiplied: bool = False


def read(path: Path) -> Samples:
    """Decode a picture by its first bytes, whatever its name ends with.

    Raises:
        FileNotFoundError: no such file.
        ValueError: it cannot be decoded; the message names the file.
    """
    if not path.is_file():
        raise FileNotFoundError(
            f"{path}: missing; unpack the archive again, or fetch this file again"
        )
    try:
        with path.open("rb") as file:
            start = file.read(32)
        if start[:4] in tiff.MAGIC:
            return _upright(*_of_tiff(path))
        if start.startswith(_PNG) and start[_SIXTEEN_BITS_AT : _SIXTEEN_BITS_AT + 1] == b"\x10":
            return _upright(*_of_deep_png(path))
        return _upright(*_of_picture(path))
    except Exception as error:  # a decoder of foreign bytes may raise anything
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ValueError(
            f"{path}: cannot be read ({reason}); a whole picture is expected; the download was cut "
            f"off or damaged: delete the file and fetch it again"
        ) from error


def _of_tiff(path: Path) -> tuple[Samples, int]:
    page = tiff.read(path, MOST_PIXELS)
    array = page.array
    if page.colours == "CMYK":
        return Samples(_converted(array[..., :4], "CMYK")), page.orientation
    if page.palette is not None:
        return Samples(page.palette[array], index=array), page.orientation
    channels = 1 if array.ndim == 2 else array.shape[2]
    if channels == 1:
        return Samples(array), page.orientation
    alpha = array[..., -1] if channels in (2, 4) else None
    colour = array[..., 0] if channels == 2 else array[..., :3]
    return Samples(colour, alpha, premultiplied=page.premultiplied), page.orientation


def _of_deep_png(path: Path) -> tuple[Samples, int]:
    """16 bits a sample, of which Pillow keeps eight."""
    import imagecodecs
    from PIL import Image

    with Image.open(path) as picture:
        orientation = _orientation(picture)
    array = imagecodecs.png_decode(path.read_bytes())
    if array.ndim == 2:
        return Samples(array), orientation
    alpha = array[..., -1] if array.shape[2] in (2, 4) else None
    return Samples(array[..., 0] if array.shape[2] == 2 else array[..., :3], alpha), orientation


def _of_picture(path: Path) -> tuple[Samples, int]:
    from PIL import Image

    with Image.open(path) as picture:
        orientation = _orientation(picture)
        index = np.asarray(picture) if picture.mode == "P" else None
        if picture.has_transparency_data:
            rgba = np.asarray(picture.convert("RGBA"))
            return Samples(rgba[..., :3], rgba[..., 3], index), orientation
        if picture.mode == "1":
            return Samples(np.asarray(picture.convert("L"))), orientation
        if picture.mode in ("L", "RGB", "I", "F") or picture.mode.startswith("I;16"):
            return Samples(np.asarray(picture)), orientation
        return Samples(np.asarray(picture.convert("RGB")), index=index), orientation


def _converted(array: np.ndarray, mode: str) -> np.ndarray:
    from PIL import Image

    height, width = array.shape[:2]
    content = np.ascontiguousarray(array).tobytes()
    return np.asarray(Image.frombytes(mode, (width, height), content).convert("RGB"))


def _orientation(picture: Any) -> int:
    return int(picture.getexif().get(ORIENTATION, 1))


def _upright(samples: Samples, orientation: int) -> Samples:
    if orientation not in range(2, 9):
        return samples
    return Samples(
        cast("np.ndarray", upright(samples.colour, orientation)),
        upright(samples.alpha, orientation),
        upright(samples.index, orientation),
        samples.premultiplied,
    )


def upright(array: np.ndarray | None, orientation: int) -> np.ndarray | None:
    """Turn ``(H, W, ...)`` as the orientation says: EXIF 2.3, 4.6.4 (TIFF 6.0 has the same tag).

    tifffile's own ``reorient`` takes 7 for 8 and 8 for 7.
    """
    if array is None:
        return None
    if orientation >= 5:
        array = array.swapaxes(0, 1)
    rows = slice(None, None, -1 if orientation in (3, 4, 7, 8) else 1)
    columns = slice(None, None, -1 if orientation in (2, 3, 6, 7) else 1)
    return array[rows, columns]
