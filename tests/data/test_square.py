"""Frames become squares as their networks' authors do it: stretched, or padded without resampling."""

from __future__ import annotations

import numpy as np
import pytest

from salstm.data.resize import on_grid
from salstm.data.square import Box, box, squared


def picture(height: int, width: int, channels: int = 3) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(0)
    frames = generator.integers(1, 256, (2, height, width, channels), dtype=np.uint8)
    label = (generator.random((height, width)) < 0.5).astype(np.uint8)
    return frames, label


def test_a_frame_of_cvc_clinicdb_is_padded_to_384_without_resampling():
    frames, label = picture(288, 384)
    square, truth = squared(frames, label, 384, "pad")
    assert square.shape == (2, 384, 384, 3)
    assert box(288, 384, 384, "pad") == Box(48, 0, 288, 384)
    np.testing.assert_array_equal(square[:, 48:336], frames)
    np.testing.assert_array_equal(truth[48:336], label)
    assert not square[:, :48].any()
    assert not square[:, 336:].any()
    assert not truth[:48].any()


@pytest.mark.parametrize(("height", "width"), [(30, 40), (40, 30), (50, 50), (17, 64)])
def test_padding_keeps_the_ratio_of_the_sides(height, width):
    place = box(height, width, 96, "pad")
    assert max(place.height, place.width) == 96
    assert place.height / place.width == pytest.approx(height / width, rel=0.03)
    above, beside = 96 - place.top - place.height, 96 - place.left - place.width
    assert above - place.top in (0, 1)
    assert beside - place.left in (0, 1)
    frames, label = picture(height, width)
    square, truth = squared(frames, label, 96, "pad")
    assert square[:, place.rows, place.columns].mean() == pytest.approx(frames.mean(), rel=0.05)
    outside = square.copy()
    outside[:, place.rows, place.columns] = 0
    assert not outside.any()
    assert set(np.unique(truth)) <= {0, 1}


def test_stretching_first_is_what_the_preparation_does():
    frames, label = picture(28, 38)
    square, truth = squared(frames, label, 32, "before")
    images, labels = on_grid(frames, label[None], 32)
    np.testing.assert_array_equal(square, images)
    np.testing.assert_array_equal(truth, labels[0])


def test_what_is_zoomed_after_the_augmentation_is_left_alone():
    frames, label = picture(28, 38)
    square, truth = squared(frames, label, 32, "after")
    assert square is frames
    assert truth is label


def test_grey_frames_are_padded_alike():
    frames = np.random.default_rng(1).random((3, 10, 20), dtype=np.float32)
    square, _ = squared(frames, np.zeros((10, 20), np.uint8), 20, "pad")
    np.testing.assert_array_equal(square[:, 5:15], frames)
    assert square.dtype == np.float32
