"""Photometric changes are torchvision's, PIL's and OpenCV's; all frames get the same."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from scipy import ndimage
from torchvision.transforms import v2

from salstm.data.augment import colour, masks, pillow

functional: Any = v2.functional  # its annotations know tensors only


@pytest.fixture
def frames() -> np.ndarray:
    """Two RGB frames in [0, 1], with grey, black, white and saturated pixels among them."""
    result = np.random.default_rng(0).random((2, 40, 50, 3), dtype=np.float32)
    result[0, 0, :4] = [[0, 0, 0], [1, 1, 1], [0.5, 0.5, 0.5], [1, 0, 0]]
    result[0, 1, :4] = [[1, 1, 0], [0, 1, 1], [0, 0, 1], [1, 0, 1]]
    return result


def channels_first(frames: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.moveaxis(frames, -1, 1).copy())


UNIT = float(np.finfo(np.float32).eps) / 2
"""The rounding of a number below 1; colours are such numbers, and each step of a formula adds one."""
STEPS = 16  # of the longest formula, theirs and ours together
HUE = 6 * STEPS * UNIT  # a channel moves six times as fast as the hue


@pytest.mark.parametrize(
    ("name", "factors"),
    [
        ("brightness", (0.0, 0.6, 1.0, 1.4)),
        ("contrast", (0.0, 0.5, 1.0, 1.5)),
        ("saturation", (0.0, 0.75, 1.0, 1.25)),
        ("hue", (-0.5, -0.2, -0.01, 0.0, 0.01, 0.37, 0.5)),
    ],
)
def test_jitter_is_torchvisions(frames, name, factors):
    for factor in factors:
        theirs = getattr(functional, f"adjust_{name}")(channels_first(frames), factor)
        ours = getattr(colour, name)(frames, factor)
        atol = HUE if name == "hue" else STEPS * UNIT
        np.testing.assert_allclose(ours, np.moveaxis(theirs.numpy(), 1, -1), rtol=0, atol=atol)
        assert ours.dtype == np.float32
        assert ours.min() >= 0
        assert ours.max() <= 1


def test_neutral_factors_change_nothing(frames):
    for name, neutral in (("brightness", 1), ("contrast", 1), ("saturation", 1), ("hue", 0)):
        np.testing.assert_allclose(getattr(colour, name)(frames, neutral), frames, atol=1e-6)


def test_hue_of_a_third_moves_the_channels_round(frames):
    np.testing.assert_allclose(colour.hue(frames, 1 / 3), np.roll(frames, 1, axis=-1), atol=HUE)


@pytest.mark.parametrize(("sigma", "size"), [(0.001, 25), (0.3, 25), (1.0, 5), (2.0, 25)])
def test_blur_is_torchvisions(frames, sigma, size):
    theirs = functional.gaussian_blur(channels_first(frames), [size, size], [sigma, sigma])
    ours = colour.gaussian_blur(frames, sigma, size)
    np.testing.assert_allclose(ours, np.moveaxis(theirs.numpy(), 1, -1), atol=1e-5)
    assert ours.dtype == np.float32
    grey = colour.gaussian_blur(frames[..., 0], sigma, size)
    np.testing.assert_allclose(grey, ours[..., 0], atol=1e-6)


def test_blur_of_sigma_1_and_5_taps_by_hand():
    point = np.zeros((1, 9, 9), np.float32)
    point[0, 4, 4] = 1
    taps = np.exp([-2, -0.5, 0, -0.5, -2])
    taps /= taps.sum()
    blurred = colour.gaussian_blur(point, 1.0, 5)[0]
    np.testing.assert_allclose(blurred[2:7, 2:7], np.outer(taps, taps), rtol=1e-5)
    assert blurred[1].max() == blurred[7].max() == 0


def test_noise_is_one_field_for_all_frames():
    frames = np.stack([np.zeros((200, 200, 3), np.float32), np.ones((200, 200, 3), np.float32)])
    noisy = colour.noise(frames, 1.275, np.random.default_rng(1))
    field = noisy[0]
    np.testing.assert_allclose(noisy[1] - 1, field, atol=1e-6)
    assert noisy.dtype == np.float32
    assert abs(field.mean()) < 4 * 1.275 / field.size**0.5
    assert abs(field.std() - 1.275) < 4 * 1.275 / (2 * field.size) ** 0.5
    assert abs(np.corrcoef(field[..., 0].ravel(), field[..., 1].ravel())[0, 1]) < 0.02


def test_holes_are_black_inside_the_image_and_at_the_same_places():
    frames = np.ones((3, 30, 20, 3), np.uint8)
    for seed in range(50):
        result = colour.holes(frames, np.array([[4, 6]]), np.random.default_rng(seed))
        hole = result[0, ..., 0] == 0
        assert hole.sum() == 24
        rows, columns = np.flatnonzero(hole.any(axis=1)), np.flatnonzero(hole.any(axis=0))
        assert (len(rows), len(columns)) == (4, 6)
        assert (result == result[0, ..., :1]).all()
    assert frames.min() == 1


def test_holes_reach_every_corner_and_a_hole_too_large_is_cut():
    generator = np.random.default_rng(2)
    frames = np.ones((1, 7, 6), np.float32)
    covered = np.zeros((7, 6), bool)
    for _ in range(300):
        covered |= colour.holes(frames, np.array([[3, 2]]), generator)[0] == 0
    assert covered.all()
    assert colour.holes(frames, np.array([[20, 20]]), generator).max() == 0


@pytest.mark.parametrize("name", ["brightness", "contrast", "saturation"])
def test_enhancing_is_torchvisions_on_pil_images(frames, name):
    bytes_ = (frames * 255).astype(np.uint8)
    adjust = getattr(functional, f"adjust_{name}")
    for factor in (0.5, 1.0, 1.43):
        ours = pillow.enhanced(bytes_, name, factor)
        theirs = [np.asarray(adjust(Image.fromarray(frame), factor)) for frame in bytes_]
        np.testing.assert_array_equal(ours, np.stack(theirs))
    np.testing.assert_array_equal(pillow.enhanced(bytes_, name, 1), bytes_)


def test_rotating_is_torchvisions_on_pil_images(frames):
    bytes_ = (frames * 255).astype(np.uint8)
    for resample, mode in (
        (pillow.NEAREST, v2.InterpolationMode.NEAREST),
        (pillow.LINEAR, v2.InterpolationMode.BILINEAR),
    ):
        ours = pillow.rotated(bytes_, 23.7, resample)
        for frame, turned in zip(bytes_, ours, strict=True):
            theirs = functional.rotate(Image.fromarray(frame), 23.7, interpolation=mode)
            np.testing.assert_array_equal(turned, np.asarray(theirs))


def test_scaling_whole_cuts_or_pads_about_the_middle():
    frame = np.zeros((1, 21, 31), np.uint8)
    frame[0, 8:13, 12:19] = 255  # 5 x 7 about the middle
    larger, smaller = pillow.scaled_whole(frame, 1.25)[0], pillow.scaled_whole(frame, 0.75)[0]
    assert larger.shape == smaller.shape == (21, 31)
    assert abs((larger > 127).sum() / 35 - 1.25**2) < 0.4
    assert abs((smaller > 127).sum() / 35 - 0.75**2) < 0.3
    for result in (larger, smaller):
        centre = ndimage.center_of_mass(result)
        np.testing.assert_allclose(centre, (10, 15), atol=0.6)
    white = pillow.scaled_whole(np.full((1, 40, 40), 255, np.uint8), 0.75)[0]
    np.testing.assert_array_equal(white[5:35, 5:35], 255)
    assert white.sum() == 255 * 30 * 30


def test_rotating_whole_loses_only_what_leaves_the_frame():
    frame = np.arange(1, 36, dtype=np.uint8).reshape(1, 5, 7)
    np.testing.assert_array_equal(pillow.rotated_whole(frame, 180)[0], frame[0, ::-1, ::-1])
    np.testing.assert_array_equal(pillow.rotated_whole(frame, 0), frame)
    quarter = pillow.rotated_whole(frame, 90)[0]
    np.testing.assert_array_equal(quarter[:, 1:6], np.rot90(frame[0])[1:6])
    assert quarter[:, [0, 6]].max() == 0


def test_masks_of_classes_and_back():
    label = np.array([[0, 1, 2], [3, 0, 1]], np.uint8)
    planes = masks.planes(label)
    assert planes.shape == (3, 2, 3)
    assert set(np.unique(planes)) == {0, 255}
    np.testing.assert_array_equal(masks.label(planes, label), label)
    assert masks.label(planes, label).dtype == np.uint8
    empty = np.zeros((2, 2), np.uint8)
    np.testing.assert_array_equal(masks.label(masks.planes(empty), empty), empty)
    soft = np.array([[[127, 128]], [[200, 90]]], np.uint8)
    np.testing.assert_array_equal(masks.label(soft, label), [[2, 1]])


def test_dilation_and_erosion_by_hand():
    point = np.zeros((1, 5, 5), np.uint8)
    point[0, 2, 2] = 255
    cross = np.zeros((5, 5), np.uint8)
    cross[2, 1:4] = cross[1:4, 2] = 255
    np.testing.assert_array_equal(masks.dilated(point, 3)[0], cross)
    np.testing.assert_array_equal(masks.eroded(cross[None], 3)[0], point[0])
    # Side 2: each pixel looks at itself, the one above and the one to the left.
    corner = np.zeros((5, 5), np.uint8)
    corner[2, 2] = corner[3, 2] = corner[2, 3] = 255
    np.testing.assert_array_equal(masks.dilated(point, 2)[0], corner)
    full = np.full((1, 5, 5), 255, np.uint8)
    for side in (2, 3, 4):  # outside the image there is nothing to erode from
        np.testing.assert_array_equal(masks.eroded(full, side), full)
        assert masks.dilated(point, side)[0].astype(bool).sum() == masks.ELLIPSES[side].sum()
