"""Every way of storing a picture or a mask that files came in: Pillow's pixels, or a refusal.

Pillow decodes all of these by itself; our reader goes by tifffile for TIFF and by imagecodecs for PNG of
16 bits, so the two are independent there.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image, ImageOps

from salstm.data.readers import pictures, samples

GENERATOR = np.random.default_rng(5)
COLOURS = GENERATOR.integers(0, 256, (16, 24, 3), dtype=np.uint8)
GREY = GENERATOR.integers(0, 256, (16, 24), dtype=np.uint8)
TRUTH = np.zeros((16, 24), dtype=np.uint8)
TRUTH[3:9, 2:13] = 1
TRUTH[6:12, 10:16] = 1
Save = Callable[[Path], Any]


def of_pillow(path: Path) -> np.ndarray:
    with Image.open(path) as picture:
        upright = ImageOps.exif_transpose(picture)
        assert upright is not None
        return np.asarray(upright.convert("RGB"))


def tiff(array: np.ndarray, **options: Any) -> Save:
    return lambda path: tifffile.imwrite(path, array, **options)


def pillow(array: np.ndarray, mode: str | None = None, **options: Any) -> Save:
    def save(path: Path) -> None:
        picture = Image.fromarray(array)
        (picture.convert(mode) if mode else picture).save(path, **options)

    return save


def with_exif(orientation: int) -> Save:
    exif = Image.Exif()
    exif[samples.ORIENTATION] = orientation
    return pillow(COLOURS, exif=exif)


def turned(orientation: int, array: np.ndarray, photometric: str) -> Save:
    tag = [(samples.ORIENTATION, "H", 1, orientation, True)]
    # Compressed: Pillow garbles a turned grey file that it maps into memory.
    return tiff(array, photometric=photometric, extratags=tag, compression="zlib")


def palette(colours: list[int], index: np.ndarray, **options: Any) -> Save:
    def save(path: Path) -> None:
        picture = Image.fromarray(index).convert("L")
        picture = Image.frombytes("P", picture.size, picture.tobytes())
        picture.putpalette(colours)
        picture.save(path, **options)

    return save


RAMP = [value for k in range(256) for value in (k, 255 - k, (3 * k) % 256)]

PICTURES: dict[str, Save] = {
    "WhiteIsZero.tif": tiff(GREY, photometric="miniswhite"),
    "WhiteIsZero of one bit.tif": tiff(GREY > 90, photometric="miniswhite"),
    "one bit.tif": tiff(GREY > 90, photometric="minisblack"),
    "four bits.tif": tiff(GREY >> 4, bitspersample=4, photometric="minisblack"),
    "palette.tif": palette(RAMP, GREY),
    "CMYK.tif": pillow(COLOURS, "CMYK"),
    "CMYK deflated.tif": pillow(COLOURS, "CMYK", compression="tiff_adobe_deflate"),
    "planes.tif": tiff(np.moveaxis(COLOURS, -1, 0), photometric="rgb", planarconfig="separate"),
    "tiles.tif": tiff(COLOURS, photometric="rgb", tile=(16, 16), compression="lzw"),
    "big.tif": tiff(COLOURS, photometric="rgb", bigtiff=True),
    "big endian.tif": tiff(COLOURS, photometric="rgb", byteorder=">"),
    "transparent.tif": tiff(np.dstack([COLOURS, GREY]), photometric="rgb", extrasamples=["unassalpha"]),
    "packbits.tif": pillow(COLOURS, compression="packbits"),
    "CCITT.tif": pillow(GREY > 90, "1", compression="group4"),
    "palette.png": palette(RAMP, GREY),
    "palette of two bits.png": palette(RAMP[:12], GREY >> 6, bits=2),
    "palette with a transparent colour.png": palette(RAMP, GREY, transparency=7),
    "one bit.png": pillow(GREY > 90),
    "grey and alpha.png": pillow(np.dstack([GREY, GREY[::-1]]), "RGBA"),
    "CMYK.jpg": pillow(COLOURS, "CMYK"),
    "grey.jpg": pillow(GREY),
    "a PNG in truth.jpg": lambda path: pillow(COLOURS)(path.with_suffix(".png"))
    or path.with_suffix(".png").rename(path),
    "a TIFF in truth.png": tiff(COLOURS, photometric="rgb"),
    **{f"EXIF {k}.jpg": with_exif(k) for k in range(1, 9)},
    **{f"EXIF {k}.png": with_exif(k) for k in range(1, 9)},
    **{f"orientation {k}.tif": turned(k, COLOURS, "rgb") for k in range(1, 9)},
    **{f"orientation {k}, WhiteIsZero.tif": turned(k, GREY, "miniswhite") for k in (3, 6)},
}  # fmt: skip


@pytest.mark.parametrize("name", PICTURES)
def test_a_picture_is_what_pillow_shows(tmp_path, name):
    path = tmp_path / name
    PICTURES[name](path)
    np.testing.assert_array_equal(pictures.read_rgb(path), of_pillow(path))


@pytest.mark.parametrize("name", ["deep.tif", "deep.png"])
@pytest.mark.parametrize("array", [COLOURS, GREY], ids=["colour", "grey"])
@pytest.mark.parametrize("promoted", [lambda a: a * np.uint16(257), lambda a: a.astype("u2") << 8])
def test_16_bits_give_back_the_eight_they_came_from(tmp_path, name, array, promoted):
    import imagecodecs

    deep = promoted(array.astype(np.uint16))
    if name.endswith("tif"):
        tifffile.imwrite(tmp_path / name, deep, photometric="rgb" if deep.ndim == 3 else None)
    else:
        (tmp_path / name).write_bytes(imagecodecs.png_encode(deep))
    expected = array if array.ndim == 3 else np.stack([array] * 3, -1)
    np.testing.assert_array_equal(pictures.read_rgb(tmp_path / name), expected)


def test_jpeg_in_tiff_is_in_colour(tmp_path):
    smooth = np.dstack([np.full((32, 32), k, np.uint8) for k in (200, 90, 40)])
    tifffile.imwrite(tmp_path / "a.tif", smooth, photometric="rgb", compression="jpeg")
    with tifffile.TiffFile(tmp_path / "a.tif") as file:
        page = file.pages[0]
        assert isinstance(page, tifffile.TiffPage)
        assert page.photometric == tifffile.PHOTOMETRIC.YCBCR
    np.testing.assert_allclose(pictures.read_rgb(tmp_path / "a.tif"), smooth, atol=3)
    np.testing.assert_allclose(of_pillow(tmp_path / "a.tif"), smooth, atol=3)


REFUSED: dict[str, Save] = {
    "LAB.tif": pillow(COLOURS, "LAB"),
    "premultiplied.tif": tiff(np.dstack([COLOURS, GREY]), photometric="rgb", extrasamples=["assocalpha"]),
    "float.tif": tiff(GREY.astype(np.float32), photometric="minisblack"),
    "signed.tif": tiff(GREY.astype(np.int16), photometric="minisblack"),
    "12 bits in 16.tif": tiff(GREY.astype(np.uint16) * 16, photometric="minisblack"),
    "five samples.tif": tiff(np.dstack([COLOURS, GREY, GREY]), photometric="rgb"),
    "two pictures.tif": tiff(np.stack([COLOURS, COLOURS]), photometric="rgb"),
    "a web page.png": lambda path: path.write_bytes(b"<html>log in</html>"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_a_picture_of_uncertain_colours_is_refused_with_its_name(tmp_path, name):
    REFUSED[name](tmp_path / name)
    with pytest.raises(ValueError, match=name):
        pictures.read_rgb(tmp_path / name)


def test_premultiplied_colours_without_transparency_are_the_colours(tmp_path):
    opaque = np.dstack([COLOURS, np.full_like(GREY, 255)])
    tifffile.imwrite(tmp_path / "a.tif", opaque, photometric="rgb", extrasamples=["assocalpha"])
    np.testing.assert_array_equal(pictures.read_rgb(tmp_path / "a.tif"), COLOURS)


@pytest.mark.parametrize("name", ["a.png", "a.tif"])
def test_more_pixels_than_a_photograph_has_are_refused_before_they_fill_the_memory(tmp_path, name):
    Image.new("1", (30_000, 7_000)).save(tmp_path / name)
    with pytest.raises(ValueError, match=rf"{name}: .*(exceeds limit|at most) "):
        pictures.read_rgb(tmp_path / name)


def rgba(colour: np.ndarray, alpha: np.ndarray) -> Save:
    return pillow(np.dstack([colour] * (1 if colour.ndim == 3 else 3) + [alpha]).astype(np.uint8))


def deep_png(array: np.ndarray) -> Save:
    import imagecodecs

    return lambda path: path.write_bytes(imagecodecs.png_encode(array.astype(np.uint16)))


Z, T = np.zeros_like(TRUTH), TRUTH
VOC, DARK, EXCHANGED = [0, 0, 0, 128, 0, 0], [0, 0, 0, 1, 1, 1], [255, 255, 255, 0, 0, 0]
MASKS: dict[str, Save] = {
    "0 and 255.png": pillow(T * np.uint8(255)),
    "0 and 1.png": pillow(T),
    "1 and 2.png": pillow(T + np.uint8(1)),
    "0 and 100.png": pillow(T * np.uint8(100)),
    "one bit.png": pillow(T > 0),
    "in colour.png": pillow(np.dstack([T * np.uint8(255)] * 3)),
    "red on black.png": pillow(np.dstack([T * np.uint8(255), Z, Z])),
    "palette, white.png": palette([0, 0, 0, 255, 255, 255], T),
    "palette, dark red.png": palette(VOC, T),
    "palette, almost black.png": palette(DARK, T),
    "palette, all black.png": palette([0] * 6, T),
    "palette, the first is white.png": palette(EXCHANGED, 1 - T),
    "palette, dark red.tif": palette(VOC, T),
    "quantized by Pillow.png": lambda path: Image.fromarray(T * np.uint8(255)).quantize().save(path),
    "alpha, black.png": rgba(Z, T * 255),
    "alpha, white.png": rgba(Z + 255, T * 255),
    "alpha, coloured.png": rgba(np.full((*Z.shape, 3), (250, 10, 20)), T * 255),
    "alpha, 0 and 1.png": rgba(Z, T),
    "alpha and colour agree.png": rgba(T * 255, T * 255),
    "alpha says nothing.png": rgba(T * 255, Z),
    "alpha, grey.png": pillow(np.dstack([Z, T * np.uint8(255)])),
    "alpha by a transparent palette colour.png": palette([0] * 6, T, transparency=0),
    "16 bits, 0 and 1.png": deep_png(T),
    "16 bits, 0 and 255.png": deep_png(T * 255),
    "16 bits, 0 and 65535.png": deep_png(T * np.uint16(65535)),
    "16 bits in colour, 0 and 1.png": deep_png(np.dstack([T] * 3)),
    "0 and 1.tif": tiff(T),
    "16 bits, 0 and 1.tif": tiff(T.astype(np.uint16)),
    "32 bits.tif": tiff(T.astype(np.int32)),
    "float.tif": tiff(T.astype(np.float32)),
    "WhiteIsZero.tif": tiff((1 - T) * np.uint8(255), photometric="miniswhite"),
    "WhiteIsZero of one bit.tif": tiff(T == 0, photometric="miniswhite"),
    "four bits.tif": tiff(T, bitspersample=4),
    "CMYK.tif": pillow(np.dstack([T * np.uint8(255)] * 3), "CMYK"),
}  # fmt: skip


@pytest.mark.parametrize("name", MASKS)
def test_a_mask_of_two_values_is_read_whatever_they_are(tmp_path, name):
    MASKS[name](tmp_path / name)
    mask = pictures.read_mask(tmp_path / name, TRUTH.shape)
    np.testing.assert_array_equal(mask, TRUTH)
    assert mask.dtype == np.uint8


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_mask_is_turned_like_its_picture(tmp_path, orientation):
    turned(orientation, TRUTH * np.uint8(255), "minisblack")(tmp_path / "m.tif")
    expected = of_pillow(tmp_path / "m.tif")[..., 0] > 127
    np.testing.assert_array_equal(pictures.read_mask(tmp_path / "m.tif"), expected)


def smoothed(sigma: float) -> np.ndarray:
    from scipy.ndimage import gaussian_filter

    return np.rint(gaussian_filter(TRUTH * 255.0, sigma)).astype(np.uint8)


@pytest.mark.parametrize("sigma", [0.4, 0.7, 1.0])
@pytest.mark.parametrize("ending", ["png", "tif"])
def test_a_smoothed_mask_is_what_lies_above_127(tmp_path, sigma, ending):
    (pillow if ending == "png" else tiff)(smoothed(sigma))(tmp_path / f"m.{ending}")
    mask = pictures.read_mask(tmp_path / f"m.{ending}")
    np.testing.assert_array_equal(mask, smoothed(sigma) > 127)


@pytest.mark.parametrize("quality", [30, 75, 95])
@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_a_mask_that_went_through_jpeg_is_what_lies_above_127(tmp_path, quality, mode):
    pillow(TRUTH * np.uint8(255), mode, quality=quality)(tmp_path / "m.jpg")
    with Image.open(tmp_path / "m.jpg") as picture:
        decoded = np.asarray(picture.convert("L"))
    assert len(np.unique(decoded)) > 8
    np.testing.assert_array_equal(pictures.read_mask(tmp_path / "m.jpg"), decoded > 127)


def test_an_edge_of_few_values_is_no_class(tmp_path):
    """Drawn in twice the size and halved: 0, 64, 128, 191, 255."""
    y, x = np.mgrid[:80, :80]
    disc = Image.fromarray((np.hypot(y - 41, x - 37) < 30).astype(np.uint8) * 255)
    disc.resize((40, 40), Image.Resampling.BOX).save(tmp_path / "m.png")
    with Image.open(tmp_path / "m.png") as picture:
        stored = np.asarray(picture)
    assert 3 <= len(np.unique(stored)) <= 8
    np.testing.assert_array_equal(pictures.read_mask(tmp_path / "m.png"), stored > 127)


def test_one_value_is_empty_or_full(tmp_path):
    for name, value, expected in (("empty.png", 0, 0), ("full.png", 255, 1)):
        pillow(Z + np.uint8(value))(tmp_path / name)
        assert (pictures.read_mask(tmp_path / name) == expected).all()


CLASSES = np.zeros_like(TRUTH)
CLASSES[2:8, 2:8], CLASSES[9:15, 9:20] = 1, 2
UNCERTAIN: dict[str, tuple[Save, str]] = {
    "1 alone.png": (pillow(Z + np.uint8(1)), "the value 1 "),
    "200 alone.png": (pillow(Z + np.uint8(200)), "the value 200 "),
    "three classes.png": (pillow(CLASSES), "the values 0, 1, 2 "),
    "three classes.tif": (tiff(CLASSES), "the values 0, 1, 2 "),
    "a class and void.png": (pillow(np.choose(CLASSES, [0, 1, 255]).astype(np.uint8)), "0, 1, 255"),
    "cup and disc.png": (pillow(np.choose(CLASSES, [255, 128, 0]).astype(np.uint8)), "0, 128, 255"),
    "dim.png": (pillow(smoothed(0.7) // 3), r"the values 0, .*\.\.\. 85"),
    "two colours.png": (pillow(np.where(T[..., None], (255, 0, 0), (0, 255, 0)).astype(np.uint8)), "colours"),
    "palette of three.png": (palette([0, 0, 0, 128, 0, 0, 0, 128, 0], CLASSES), "several colours"),
    "colour against alpha.png": (rgba((1 - T) * 255, T * 255), "two different masks"),
    "negative.tif": (tiff(-T.astype(np.int16)), "negative"),
    "not a number.tif": (tiff(np.where(T, np.nan, 0).astype(np.float32)), "not finite"),
    "soft float.tif": (tiff(smoothed(0.7).astype(np.float32) / 255), "0 to 255 are expected"),
}  # fmt: skip


@pytest.mark.parametrize("name", UNCERTAIN)
def test_a_mask_that_can_be_read_in_two_ways_is_refused_with_its_values(tmp_path, name):
    save, message = UNCERTAIN[name]
    save(tmp_path / name)
    with pytest.raises(ValueError, match=f"{name}: .*{message}"):
        pictures.read_mask(tmp_path / name, TRUTH.shape)
