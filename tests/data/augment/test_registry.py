"""``rotflip`` is the TransUNet family's RandomGenerator: its branches, its odds, scipy's pixels."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from salstm.data.augment import augmentation
from salstm.data.augment.registry import none, rotated, rotflip, turned

DRAWS = 12_000


@pytest.fixture(scope="module")
def outcomes() -> Counter[str]:
    """How often each distinguishable outcome appears on an image without symmetry."""
    image = np.arange(1, 41 * 41 + 1).reshape(41, 41)
    names = {image.tobytes(): "same"}
    for quarters in range(4):
        for axis in (0, 1):
            flipped = np.flip(np.rot90(image, quarters), axis)
            names.setdefault(
                flipped.tobytes(), f"flip {quarters % 2 ^ axis} {quarters // 2 ^ axis}"
            )
    for angle in set(range(-20, 20)) - {0}:
        turn = np.asarray(ndimage.rotate(image, angle, order=0, reshape=False))
        assert turn.tobytes() not in names
        names[turn.tobytes()] = f"angle {angle}"
    generator = np.random.default_rng(20240805)
    results = (rotflip(image[None], image, generator)[1] for _ in range(DRAWS))
    return Counter(names[np.ascontiguousarray(result).tobytes()] for result in results)


def near(count: int, probability: float) -> bool:
    """Within four standard deviations."""
    return abs(count - DRAWS * probability) < 4 * (DRAWS * probability * (1 - probability)) ** 0.5


def test_half_of_the_draws_are_flips_each_reflection_alike(outcomes):
    flips = {name: count for name, count in outcomes.items() if name.startswith("flip")}
    assert near(sum(flips.values()), 0.5)
    assert len(flips) == 4  # turn and flip: the square's four reflections, each by two ways
    assert all(near(count, 0.125) for count in flips.values())


def test_a_quarter_is_a_small_rotation_of_any_whole_angle_from_minus_20_to_19(outcomes):
    angles = {name: count for name, count in outcomes.items() if name.startswith("angle")}
    assert len(angles) == 39  # the fortieth is 0 degrees
    assert near(sum(angles.values()), 0.25 * 39 / 40)
    assert all(near(count, 0.25 / 40) for count in angles.values())


def test_the_rest_is_left_alone(outcomes):
    assert near(outcomes["same"], 0.25 + 0.25 / 40)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 60), st.integers(1, 60), st.integers(-20, 19))
def test_rotation_is_scipys_to_the_last_pixel(height, width, angle):
    labels = np.random.default_rng(0).integers(1, 200, (height, width), dtype=np.uint8)
    expected = ndimage.rotate(labels, angle, order=0, reshape=False)
    np.testing.assert_array_equal(rotated(labels, angle, first=0), expected)


@pytest.mark.parametrize("shape", [(3, 224, 224), (3, 256, 216), (2, 97, 101, 3)])
def test_rotation_treats_every_frame_and_channel_as_scipy_does(shape):
    frames = np.random.default_rng(1).uniform(0.1, 1, shape).astype(np.float32)
    for angle in (-20, -7, 0, 1, 19):
        expected = ndimage.rotate(frames, angle, axes=(2, 1), order=0, reshape=False)
        result = rotated(frames, angle, first=1)
        np.testing.assert_array_equal(result, expected)
        assert result.dtype == np.float32


def test_turn_then_flip_by_hand():
    image = np.array([[1, 2, 3], [4, 5, 6]])
    np.testing.assert_array_equal(turned(image, 0, 0, first=0), [[4, 5, 6], [1, 2, 3]])
    np.testing.assert_array_equal(turned(image, 1, 1, first=0), [[6, 3], [5, 2], [4, 1]])


@pytest.mark.parametrize("shape", [(3, 12, 17), (3, 12, 17, 3)])
def test_frames_and_label_get_the_same_draw(shape):
    label = np.random.default_rng(2).integers(1, 200, shape[1:3], dtype=np.uint8)
    frames = np.empty(shape, np.uint8)
    frames[:] = label if len(shape) == 3 else label[..., None]
    seen = set()
    for seed in range(60):
        changed, truth = rotflip(frames, label, np.random.default_rng(seed))
        for frame in (
            changed if len(shape) == 3 else np.moveaxis(changed, -1, 1).reshape(-1, *truth.shape)
        ):
            np.testing.assert_array_equal(frame, truth)
        seen.add(truth.tobytes())
    assert len(seen) > 10


def test_none_changes_nothing_and_the_input_is_never_written_to():
    frames, label = np.ones((3, 8, 8), np.float32), np.ones((8, 8), np.uint8)
    frames.flags.writeable = label.flags.writeable = False
    generator = np.random.default_rng(0)
    same = none(frames, label, generator)
    assert same[0] is frames
    assert same[1] is label
    for _ in range(40):
        rotflip(frames, label, generator)


def test_an_augmentation_is_the_function_of_its_name():
    assert augmentation("rotflip") is rotflip
    with pytest.raises(
        ValueError, match=r"augmentation 'rotflop': unknown\. Did you mean rotflip\?"
    ):
        augmentation("rotflop")
