"""Normalisation of a case."""

from __future__ import annotations

import numpy as np

from salstm.data.augment.intensity import minmax99, none


def test_minmax99_clips_the_brightest_hundredth_and_fills_zero_to_one():
    image = np.arange(-100.0, 901.0).reshape(1, 7, 143)  # 99th percentile: 890
    result = minmax99(image)
    assert result.dtype == np.float32
    assert result.min() == 0
    assert result.max() == 1
    assert (result == 1).sum() == 11  # 890 to 900
    np.testing.assert_allclose(result[image == 395], 0.5, rtol=1e-6)


def test_minmax99_takes_any_number_type_and_a_constant_volume():
    ramp = np.arange(200, dtype=np.int16).reshape(2, 10, 10)
    np.testing.assert_array_equal(minmax99(ramp), minmax99(ramp.astype(np.float64)))
    np.testing.assert_array_equal(minmax99(np.full((1, 3, 3), 7)), 0)


def test_none_keeps_values_and_the_bytes_of_rgb():
    grey = np.array([[[-3, 4000]]], dtype=np.int16)
    assert none(grey).dtype == np.float32
    np.testing.assert_array_equal(none(grey), grey)
    rgb = np.zeros((1, 2, 2, 3), np.uint8)
    assert none(rgb) is rgb
