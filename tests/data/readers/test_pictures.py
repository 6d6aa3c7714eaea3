"""Pictures and masks: colours kept, masks above 127, files that others misread."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from salstm.data.readers import pictures

COLOURS = np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)
GREY = np.arange(30, dtype=np.uint8).reshape(5, 6)


def save(path: Path, array: np.ndarray, mode: str | None = None) -> Path:
    if path.suffix == ".tif":
        tifffile.imwrite(path, array, photometric="rgb" if array.ndim == 3 else "minisblack")
    else:
        picture = Image.fromarray(array)
        (picture.convert(mode) if mode else picture).save(path)
    return path


@pytest.mark.parametrize("ending", [".png", ".tif"])
def test_colours_are_kept_exactly(tmp_path, ending):
    array = pictures.read_rgb(save(tmp_path / f"a{ending}", COLOURS))
    np.testing.assert_array_equal(array, COLOURS)


def test_rgb_tagged_minisblack_is_read_in_colour(videos):
    """The files of CVC-ClinicDB: Pillow refuses them, naive readers see the red channel as grey."""
    path = videos / "CVC-ClinicDB" / "Original" / "1.tif"
    with tifffile.TiffFile(path) as file:
        page = file.pages[0]
        assert isinstance(page, tifffile.TiffPage)
        assert page.photometric == tifffile.PHOTOMETRIC.MINISBLACK
        assert page.samplesperpixel == 3
    with pytest.raises(OSError, match="cannot identify image file"):
        Image.open(path)
    array = pictures.read_rgb(path)
    assert array.shape == (40, 52, 3)
    red, green, blue = array[5:-5, 5:-5].reshape(-1, 3).mean(0)
    assert red > green + 30 > blue + 30


def test_other_modes_become_rgb(tmp_path):
    grey = pictures.read_rgb(save(tmp_path / "grey.png", GREY))
    np.testing.assert_array_equal(grey, np.stack([GREY] * 3, -1))
    np.testing.assert_array_equal(pictures.read_rgb(save(tmp_path / "grey.tif", GREY)), grey)
    alpha = pictures.read_rgb(save(tmp_path / "alpha.png", COLOURS, "RGBA"))
    np.testing.assert_array_equal(alpha, COLOURS)


@pytest.mark.parametrize("ending", [".png", ".tif"])
def test_a_mask_is_what_lies_above_127(tmp_path, ending):
    stored = np.array([[0, 1, 126, 127], [128, 129, 254, 255]], dtype=np.uint8)
    mask = pictures.read_mask(save(tmp_path / f"m{ending}", stored), (2, 4))
    assert mask.tolist() == [[0, 0, 0, 0], [1, 1, 1, 1]]
    assert mask.dtype == np.uint8


def test_masks_of_one_bit_and_in_colour_are_read(tmp_path):
    stored = np.array([[0, 255], [255, 0]], dtype=np.uint8)
    for name, mode in (("bit.png", "1"), ("colour.png", "RGB"), ("palette.png", "P")):
        mask = pictures.read_mask(save(tmp_path / name, stored, mode), (2, 2))
        assert mask.tolist() == [[0, 1], [1, 0]], mode
    mask = pictures.read_mask(save(tmp_path / "colour.tif", np.stack([stored] * 3, -1)), (2, 2))
    assert mask.tolist() == [[0, 1], [1, 0]]
    tifffile.imwrite(tmp_path / "bool.tif", stored > 0, photometric="minisblack")
    assert pictures.read_mask(tmp_path / "bool.tif", (2, 2)).tolist() == [[0, 1], [1, 0]]


def test_a_mask_of_another_size_is_refused(tmp_path):
    path = save(tmp_path / "m.png", GREY)
    with pytest.raises(ValueError, match=r"m\.png: \(5, 6\) pixels, its picture has \(6, 5\)"):
        pictures.read_mask(path, (6, 5))


def test_16_bits_that_are_nearly_black_are_refused(tmp_path):
    path = save(tmp_path / "m.tif", GREY.astype(np.uint16))
    with pytest.raises(ValueError, match=r"m\.tif: a mask of the values 0, 1, .* 29 \(uint16\)"):
        pictures.read_mask(path, (5, 6))
    with pytest.raises(ValueError, match=r"m\.tif: .* uint16 with values up to 29, nearly black"):
        pictures.read_rgb(path)


def test_a_mask_of_many_colours_is_refused(tmp_path):
    path = save(tmp_path / "m.tif", COLOURS)
    with pytest.raises(ValueError, match=r"m\.tif: a mask of several colours \(\("):
        pictures.read_mask(path, (5, 7))


@pytest.mark.parametrize("ending", [".png", ".jpg", ".tif"])
@pytest.mark.parametrize("damage", ["half", "nothing", "web page"])
def test_a_damaged_picture_is_named_with_the_cure(tmp_path, ending, damage):
    big = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    path = save(tmp_path / f"a{ending}", big)
    content = path.read_bytes()
    made = {"half": content[: len(content) // 2], "nothing": b"", "web page": b"<html>log in"}
    path.write_bytes(made[damage])
    with pytest.raises(ValueError, match=f"a{ending}: cannot be read.*delete the file and fetch"):
        pictures.read_rgb(path)


def test_a_missing_picture_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"a\.png: missing"):
        pictures.read_rgb(tmp_path / "a.png")
