"""TIFF files: samples as tifffile gives them, with what the tags say of their meaning."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np

MAGIC = (b"II*\x00", b"MM\x00*", b"II+\x00", b"MM\x00+")
_JPEG = (6, 7, 34892)
"""Compressions whose decoder gives RGB where the tag says YCbCr."""


@dataclass(frozen=True)
class Page:
    """The first page of a file.

    Attributes:
        array: ``(H, W)`` or ``(H, W, samples)``; unsigned integers fill the range of their type, but
            for the numbers of a palette.
        colours: ``GREY``, ``RGB``, ``CMYK`` or ``PALETTE``.
        palette: ``(numbers, 3)`` uint8.
        orientation: 1 to 8; 1 is upright.
        premultiplied: colours are multiplied with the extra sample, and that is not opaque.
    """

    array: np.ndarray
    colours: str
    palette: np.ndarray | None
    orientation: int
    premultiplied: bool


def read(path: Path, most: int) -> Page:
    """Read a file of one picture.

    Three samples tagged MINISBLACK are RGB: CVC-ClinicDB's files are such. Pillow refuses them, OpenCV
    gives the red channel as grey, SimpleITK one channel.

    Args:
        path: the file.
        most: pixels that a picture may have.

    Raises:
        ValueError: cut off, of several pictures, or of a kind that is not read.
    """
    import tifffile

    with tifffile.TiffFile(path) as file:
        page = cast("tifffile.TiffPage", file.pages[0])
        _check(file, page, path.stat().st_size, most)
        array = _rows_columns_samples(page)
        tag = page.tags.get("Orientation")
        orientation = int(tag.value) if tag else 1
        colours = _colours(page, 1 if array.ndim == 2 else array.shape[2])
        if colours == "PALETTE":
            return Page(array, colours, _palette(page, array), orientation, False)
        array = _full_range(page, array)
        if int(page.photometric) == 0:
            array = np.iinfo(array.dtype).max - array
        multiplied = 1 in map(int, page.extrasamples)
        opaque = multiplied and (array[..., -1] == np.iinfo(array.dtype).max).all()
        return Page(array, colours, None, orientation, multiplied and not opaque)


def _check(file: Any, page: Any, size: int, most: int) -> None:
    ends = np.add(page.dataoffsets, page.databytecounts)
    # tifffile would fill up with zeros
    if max(ends, default=0) > size or 0 in page.databytecounts or not len(ends):
        raise ValueError("cut off")
    if page.imagewidth * page.imagelength > most:
        raise ValueError(f"{page.imagewidth} x {page.imagelength} pixels; at most {most} are read")
    twins = [one for one in file.pages if one.shape == page.shape]
    if len(twins) > 1:
        raise ValueError(f"{len(twins)} pictures of one size; a file of one picture is expected")


def _rows_columns_samples(page: Any) -> np.ndarray:
    array = page.asarray()
    if page.axes == "SYX":
        array = np.moveaxis(array, 0, -1)
    elif page.axes not in ("YX", "YXS"):
        raise ValueError(f"axes {page.axes}; rows, columns and samples are expected")
    # One sample a pixel may still be an axis.
    return array[..., 0] if array.ndim == 3 and array.shape[2] == 1 else array


def _colours(page: Any, samples: int) -> str:
    """What the samples are, or a refusal that names the tag."""
    photometric, compression = int(page.photometric), int(page.compression)
    known = {0: "GREY", 1: "GREY", 2: "RGB", 3: "PALETTE", 5: "CMYK", 6: "RGB"}.get(photometric)
    fits = {
        "GREY": samples in ((1, 2) if photometric == 0 else (1, 2, 3, 4)),
        "RGB": samples in (3, 4),
        "PALETTE": samples == 1,
        "CMYK": samples in (4, 5) and page.bitspersample == 8,
    }
    # Ink in JPEG may be stored turned round; YCbCr outside of it is not converted by tifffile.
    undone = (photometric == 5 and compression in _JPEG) or (
        photometric == 6 and compression not in _JPEG
    )
    if known is None or not fits[known] or undone:
        name = getattr(page.photometric, "name", photometric)
        raise ValueError(
            f"photometric interpretation {name} with {samples} samples of {page.bitspersample} bits, "
            f"compression {compression}, is not read; save it as RGB or grey of 8 bits"
        )
    return known


def _palette(page: Any, array: np.ndarray) -> np.ndarray:
    colours = page.colormap
    if colours is None or array.dtype.kind != "u" or array.max(initial=0) >= colours.shape[1]:
        raise ValueError("palette colours without a palette that has them all")
    # Like libtiff: some writers put 8 bits where 16 belong.
    return (colours >> 8 if colours.max() > 255 else colours).T.astype(np.uint8)


def _full_range(page: Any, array: np.ndarray) -> np.ndarray:
    """Unsigned integers of any number of bits, spread over 8 or 16; other types as they are."""
    if array.dtype == bool:
        return array.astype(np.uint8) * np.uint8(255)
    bits = page.bitspersample
    if array.dtype.kind != "u" or bits in (8, 16):
        _check_type(page, array)
        return array
    if bits > 16:
        raise ValueError(f"{bits} bits a sample; up to 16 are read; save it with 8 bits")
    target = np.uint8 if bits < 8 else np.uint16
    most = np.iinfo(target).max
    return ((array.astype(np.uint32) * most + (2**bits - 1) // 2) // (2**bits - 1)).astype(target)


def _check_type(page: Any, array: np.ndarray) -> None:
    plain = int(page.photometric) == 1 and array.ndim == 2
    if array.dtype.kind != "u" and not plain:
        raise ValueError(f"samples of {array.dtype}; unsigned integers are expected")
