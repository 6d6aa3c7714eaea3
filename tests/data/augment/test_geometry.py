"""Warps read where scipy, torchvision and the libraries' own formulas read; labels stay labels."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import interpolate, ndimage
from torchvision.transforms import v2

from salstm.data.augment.geometry import (
    affine_sources,
    flipped,
    linear,
    nearest,
    piecewise_sources,
    rotation,
    warp,
)

SCIPY = {"constant": "grid-constant", "reflect": "mirror"}


def picture(height: int, width: int, seed: int = 0) -> np.ndarray:
    """A smooth random frame in [0, 1], float32."""
    rough = np.random.default_rng(seed).random((height, width))
    smooth = ndimage.gaussian_filter(rough, 1.5)
    return ((smooth - smooth.min()) / max(float(np.ptp(smooth)), 1e-9)).astype(np.float32)


maps = st.tuples(
    st.floats(-180, 180),
    st.floats(0.4, 2.5),
    st.floats(0.4, 2.5),
    st.floats(-9, 9),
    st.floats(-9, 9),
)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 40), st.integers(1, 40), maps, st.sampled_from(sorted(SCIPY)))
def test_an_affine_warp_is_scipys(height, width, numbers, border):
    angle, wide, high, right, down = numbers
    matrix = rotation(angle) @ np.diag([wide, high])
    sources = affine_sources((height, width), matrix, shift=(right, down))
    back = np.linalg.inv(matrix)[::-1, ::-1]  # scipy: rows first, from the result to the source
    middle = (np.array([height, width]) - 1) / 2
    offset = middle - back @ (middle + np.array([down, right]))
    whole = np.vstack([np.column_stack([back, offset]), [0, 0, 1]])
    frame = picture(height, width)
    expected = ndimage.affine_transform(frame, whole, order=1, mode=SCIPY[border])
    np.testing.assert_allclose(linear(frame[None], sources, border)[0], expected, atol=2e-5)
    labels = np.arange(1, height * width + 1).reshape(height, width)
    fractions = np.abs(np.stack(sources) % 1 - 0.5).min(axis=0)
    expected = ndimage.affine_transform(labels, whole, order=0, mode=SCIPY[border])
    result = nearest(labels, sources, border, first=0)
    clear = fractions > 1e-6  # not half way between two pixels
    np.testing.assert_array_equal(result[clear], np.asarray(expected)[clear])


@pytest.mark.parametrize("angle", [-160.0, -33.0, 0.0, 12.5])
@pytest.mark.parametrize(("height", "width"), [(48, 48), (37, 52)])
def test_an_affine_warp_is_torchvisions(angle, height, width):
    scale, shear, shift = 1.3, 14.0, (5.4137, -3.3171)
    matrix = scale * rotation(angle) @ np.array([[1, -np.tan(np.deg2rad(shear))], [0, 1]])
    sources = affine_sources((height, width), matrix, shift=shift)
    frames = np.stack([picture(height, width, seed) for seed in range(3)])

    def theirs(mode: v2.InterpolationMode) -> np.ndarray:
        tensor = torch.from_numpy(frames)
        arguments = (angle, list(shift), scale, [shear, 0.0])
        return v2.functional.affine(tensor, *arguments, interpolation=mode).numpy()

    smooth = linear(frames, sources, "constant")
    np.testing.assert_allclose(smooth, theirs(v2.InterpolationMode.BILINEAR), atol=1e-4)
    near = nearest(frames, sources, "constant", first=1)
    different = near != theirs(v2.InterpolationMode.NEAREST)  # float32 grids tip some ties
    assert different.mean() < 2e-3


def test_quarter_turns_are_exact_and_clockwise():
    frame = np.arange(25, dtype=np.float32).reshape(5, 5)
    for quarters in range(4):
        sources = affine_sources((5, 5), rotation(90 * quarters))
        expected = np.rot90(frame, -quarters)
        np.testing.assert_array_equal(nearest(frame, sources, "reflect", first=0), expected)
        np.testing.assert_allclose(linear(frame[None], sources, "reflect")[0], expected, atol=1e-5)


def test_a_shift_by_hand_at_both_borders():
    line = np.array([[10, 20, 30, 40]], dtype=np.float32)
    by_three_halves = affine_sources((1, 4), np.eye(2), shift=(1.5, 0))
    #  reads at -1.5, -0.5, 0.5, 1.5
    np.testing.assert_allclose(linear(line[None], by_three_halves, "constant")[0], [[0, 5, 15, 25]])
    np.testing.assert_allclose(
        linear(line[None], by_three_halves, "reflect")[0], [[25, 15, 15, 25]]
    )
    by_two = affine_sources((1, 4), np.eye(2), shift=(2, 0))
    np.testing.assert_array_equal(nearest(line, by_two, "constant", first=0), [[0, 0, 10, 20]])
    np.testing.assert_array_equal(nearest(line, by_two, "reflect", first=0), [[30, 20, 10, 20]])


def test_opencvs_rotation_about_half_a_pixel_beside_the_middle():
    # cv2.getRotationMatrix2D((2, 2), 90, 1) = [[0, 1, 0], [-1, 0, 4]]: (x, y) goes to (y, 4 - x).
    frame = np.arange(16).reshape(4, 4)
    sources = affine_sources((4, 4), rotation(-90), centre=(2, 2))
    result = nearest(frame, sources, "constant", first=0)
    for y in range(4):
        for x in range(1, 4):
            assert result[4 - x, y] == frame[y, x]
    assert (result[0] == 0).all()  # x = 4 lies outside


def test_the_identity_changes_nothing():
    frames = np.random.default_rng(1).integers(0, 256, (3, 9, 7, 3), dtype=np.uint8)
    label = np.arange(63, dtype=np.uint8).reshape(9, 7)
    for border in SCIPY:
        for order in (0, 1):
            sources = affine_sources((9, 7), np.eye(2))
            same = warp(frames, label, sources, border=border, order=order)
            np.testing.assert_array_equal(same[0], frames)
            np.testing.assert_array_equal(same[1], label)
            assert same[0].dtype == same[1].dtype == np.uint8


def test_whole_numbers_are_rounded_and_stay_in_range():
    frames = np.random.default_rng(2).integers(0, 256, (1, 30, 30, 3), dtype=np.uint8)
    sources = affine_sources((30, 30), 1.1 * rotation(17))
    exact = linear(frames.astype(np.float32), sources, "reflect")
    np.testing.assert_array_equal(linear(frames, sources, "reflect"), np.rint(exact))


@pytest.mark.parametrize("shape", [(3, 20, 26), (3, 20, 26, 3)])
def test_every_frame_and_channel_is_read_alike(shape):
    frames = np.random.default_rng(3).random(shape, dtype=np.float32)
    sources = affine_sources((20, 26), rotation(20) * 0.8, shift=(2.5, 1))
    for read in (
        lambda array: linear(array, sources, "reflect"),
        lambda array: nearest(array, sources, "reflect", first=1),
    ):
        whole = read(frames)
        planes = np.moveaxis(frames.reshape(*shape[:3], -1), -1, 1).reshape(-1, 20, 26)
        alone = np.stack([read(plane[None])[0] for plane in planes])
        back = np.moveaxis(alone.reshape(3, -1, 20, 26), 1, -1).reshape(shape)
        np.testing.assert_allclose(whole, back, atol=1e-6)


def test_frames_and_label_move_together_and_are_not_written_to():
    label = np.random.default_rng(4).integers(0, 4, (24, 31), dtype=np.uint8)
    frames = np.repeat(label[None, ..., None], 3, axis=-1)
    frames.flags.writeable = label.flags.writeable = False
    jitter = np.random.default_rng(5).normal(0, 0.03, (3, 4, 2))
    for sources in (
        affine_sources((24, 31), rotation(33), shift=(3, -2)),
        piecewise_sources((24, 31), jitter),
    ):
        image, truth = warp(frames, label, sources, border="constant", order=0)
        np.testing.assert_array_equal(image[0, ..., 1], truth)
        assert set(np.unique(truth)) <= set(range(4))
    for axis in (0, 1):
        image, truth = flipped(frames, label, axis)
        np.testing.assert_array_equal(image[0, ..., 2], truth)
        np.testing.assert_array_equal(truth, label[::-1] if axis == 0 else label[:, ::-1])


@pytest.mark.parametrize("grid", [(2, 2), (2, 4), (3, 3), (4, 2), (4, 4)])
@pytest.mark.parametrize(("height", "width"), [(40, 40), (33, 47)])
def test_piecewise_interpolates_the_moved_points_over_qhulls_triangles(grid, height, width):
    jitter = np.random.default_rng(grid).normal(0, 0.03, (*grid, 2))
    rows, columns = np.linspace(0, height, grid[0]), np.linspace(0, width, grid[1])
    y, x = np.meshgrid(rows, columns, indexing="ij")
    goal_y = np.clip(y + jitter[..., 0] * height, 0, height - 1)
    goal_x = np.clip(x + jitter[..., 1] * width, 0, width - 1)
    points = np.stack([x.ravel(), y.ravel()], axis=1)
    goals = np.stack([goal_y.ravel(), goal_x.ravel()], axis=1)
    field = interpolate.LinearNDInterpolator(points, goals)
    pixels = np.meshgrid(np.arange(width, dtype=float), np.arange(height, dtype=float))
    expected = field(*pixels)
    sources = piecewise_sources((height, width), jitter)
    np.testing.assert_allclose(np.stack(sources, axis=-1), expected, atol=1e-8)
    assert sources[0].min() > -1e-9
    assert sources[0].max() < height - 1 + 1e-9


def test_piecewise_without_jitter_only_shrinks_the_last_pixel_away():
    rows, columns = piecewise_sources((21, 41), np.zeros((2, 2, 2)))
    np.testing.assert_allclose(rows[:, 7], np.arange(21) * 20 / 21, atol=1e-9)
    np.testing.assert_allclose(columns[3], np.arange(41) * 40 / 41, atol=1e-9)


def test_an_unknown_border_is_refused():
    sources = affine_sources((3, 3), np.eye(2))
    with pytest.raises(ValueError, match=r"border 'reflekt': unknown. Did you mean reflect\?"):
        nearest(np.zeros((3, 3)), sources, "reflekt", first=0)
