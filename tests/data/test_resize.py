"""``resize`` is ``scipy.ndimage.zoom`` of every slice."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from salstm.data import resize as module
from salstm.data.resize import resize


def zoomed(array: np.ndarray, height: int, width: int, order: int) -> np.ndarray:
    """The authors' call, slice by slice."""
    rows, columns = array.shape[-2:]
    slices: Any = array.reshape(-1, rows, columns)
    factors = (height / rows, width / columns)
    result = [np.asarray(ndimage.zoom(one, factors, order=order)) for one in slices]
    return np.stack(result).reshape(*array.shape[:-2], height, width)


sides = st.integers(1, 130)


@settings(max_examples=150, deadline=None)
@given(sides, sides, sides, sides)
def test_nearest_is_scipys_to_the_last_pixel(rows, columns, height, width):
    labels = np.random.default_rng(0).integers(1, 200, (2, rows, columns), dtype=np.uint8)
    np.testing.assert_array_equal(
        resize(labels, height, width, 0), zoomed(labels, height, width, 0)
    )


@pytest.mark.parametrize("side", [154, 216, 232, 248, 256, 288, 428, 512])
def test_nearest_is_scipys_both_ways_between_acdc_and_network_sizes(side):
    labels = np.random.default_rng(side).integers(1, 5, (1, side, side), dtype=np.uint8)
    there = resize(labels, 224, 224, 0)
    np.testing.assert_array_equal(there, zoomed(labels, 224, 224, 0))
    np.testing.assert_array_equal(resize(there, side, side, 0), zoomed(there, side, side, 0))


def test_nearest_repeats_scipys_lost_last_row():
    labels = np.ones((1, 232, 256), dtype=np.uint8)
    there = resize(labels, 224, 224, 0)
    assert (there[:, -1] == 0).all()
    assert (there[:, :-1] == 1).all()


@settings(max_examples=40, deadline=None)
@given(*[st.integers(1, 60)] * 4)
def test_cubic_is_scipys(rows, columns, height, width):
    image = np.random.default_rng(1).uniform(-1, 1, (2, rows, columns))
    expected = zoomed(image, height, width, 3)
    np.testing.assert_allclose(resize(image, height, width, 3), expected, atol=1e-12)


@pytest.mark.parametrize("order", [1, 3])
def test_float32_comes_back_rounded_once(order):
    image = np.random.default_rng(2).uniform(0, 1, (3, 256, 216)).astype(np.float32)
    result = resize(image, 224, 224, order)
    assert result.dtype == np.float32
    np.testing.assert_allclose(result, zoomed(image, 224, 224, order), atol=3e-7)


@pytest.mark.parametrize(
    ("shape", "size"),
    [
        ((1300, 1025), (256, 352)),
        ((2000, 40), (225, 56)),
        ((1030, 1100), (1200, 1056)),
        ((1100, 9), (1, 3)),
    ],
)
def test_large_pictures_are_scipys(shape, size):
    height, width = size
    image = np.random.default_rng(3).uniform(-1, 1, (1, *shape))
    np.testing.assert_allclose(
        resize(image, height, width, 3), zoomed(image, height, width, 3), atol=1e-12
    )


def test_a_band_that_scipy_finds_outside_is_0():
    """A last row that is alone in its band, lost as scipy loses it."""
    old, new = next(
        (old, new)
        for old in range(300, 3000)
        for new in range(module._BLOCK + 1, 600, module._BLOCK)
        if module._positions(old, new)[-1] > old - 1
    )
    image = np.ones((1, old, 3))
    result = resize(image, new, 3, 3)
    np.testing.assert_allclose(result, zoomed(image, new, 3, 3), atol=1e-12)
    assert (result[:, -1] == 0).all()


@pytest.mark.parametrize("at_once", [0, 2**30])
def test_colours_are_resized_plane_by_plane_then_rounded_once(monkeypatch, at_once):
    monkeypatch.setattr(module, "_AT_ONCE", at_once)
    image = np.random.default_rng(5).integers(0, 256, (1, 1100, 37, 3), dtype=np.uint8)
    label = (image[..., 0] > 127).astype(np.uint8)
    frames, labels = module.on_grid(image, label, 64)
    for channel in range(3):
        plane = zoomed(image[..., channel].astype(float), 64, 64, 3)
        np.testing.assert_array_equal(frames[..., channel], np.clip(np.rint(plane), 0, 255))
    np.testing.assert_array_equal(labels, zoomed(label, 64, 64, 0))
    assert frames.flags.c_contiguous


def test_same_size_is_untouched():
    image = np.zeros((2, 5, 6))
    assert resize(image, 5, 6, 3) is image


def test_a_label_survives_there_and_back_on_a_finer_grid():
    labels = np.random.default_rng(4).integers(0, 4, (2, 20, 31), dtype=np.uint8)
    np.testing.assert_array_equal(resize(resize(labels, 58, 91, 0), 20, 31, 0), labels)


@pytest.mark.parametrize(
    ("shape", "size", "message"),
    [((1, 0, 4), (2, 2), "from 0x4"), ((1, 4, 4), (0, 2), "to 0x2 pixels")],
)
def test_impossible_sizes_are_refused(shape, size, message):
    with pytest.raises(ValueError, match=message):
        resize(np.zeros(shape), size[0], size[1], 3)


def test_integers_are_not_interpolated():
    with pytest.raises(ValueError, match="uint8 with order 3; convert to float32"):
        resize(np.zeros((1, 4, 4), np.uint8), 8, 8, 3)
