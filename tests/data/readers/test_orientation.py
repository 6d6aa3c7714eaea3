"""Orientation: whatever way a volume is stored, its slices come out alike, and go back exactly."""

from __future__ import annotations

import itertools

import nibabel
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from nibabel import orientations

from salstm.data.readers import orientation

CODES = [
    "".join(axis)
    for order in itertools.permutations(("LR", "PA", "SI"))
    for axis in itertools.product(*order)
]
shapes = st.tuples(*[st.integers(1, 7)] * 3)
sides = st.tuples(*[st.floats(0.3, 12)] * 3)


def affine_of(codes: str, spacing: tuple[float, float, float], origin=(5.0, -7.0, 11.0)):
    """Affine of a volume with these axes; spacing in stored order."""
    turn = orientations.ornt_transform(
        orientations.axcodes2ornt(codes), orientations.axcodes2ornt("RAS")
    )
    affine = np.zeros((4, 4))
    for stored, (world, sign) in enumerate(turn):
        affine[int(world), stored] = sign * spacing[stored]
    affine[:3, 3], affine[3, 3] = origin, 1
    assert "".join(orientations.aff2axcodes(affine)) == codes
    return affine


def test_there_are_48_orientations():
    assert len(set(CODES)) == 48


def test_a_volume_by_hand():
    """Two voxels along x stored right to left, so to the patient's left; the second is brighter."""
    stored = np.array([10, 20]).reshape(2, 1, 1)
    left = orientation.canonical(stored, np.diag([-1.5, -2.0, 3.0, 1.0]))
    assert left.codes == "LPS"
    assert left.array[0, 0].tolist() == [10, 20]
    right = orientation.canonical(stored, np.diag([1.5, 2.0, 3.0, 1.0]))
    assert right.codes == "RAS"
    assert right.array[0, 0].tolist() == [20, 10]
    assert right.spacing_mm == (3.0, 2.0, 1.5)


@given(st.sampled_from(CODES), shapes, sides, st.integers(0, 2**32 - 1))
def test_there_and_back_is_the_identity(codes, shape, spacing, seed):
    stored = np.random.default_rng(seed).integers(0, 14, shape, dtype=np.uint8)
    affine = affine_of(codes, spacing)
    volume = orientation.canonical(stored, affine)
    np.testing.assert_array_equal(orientation.restore(volume.array, affine), stored)


@given(st.sampled_from(CODES), shapes, sides)
def test_every_voxel_keeps_its_place_in_the_patient(codes, shape, spacing):
    """The world coordinate of a voxel is the same before and after, whatever moved where."""
    affine = affine_of(codes, spacing)
    number = np.arange(np.prod(shape)).reshape(shape)
    volume = orientation.canonical(number, affine)
    before = np.stack(np.nonzero(number >= 0)) * 1.0
    z, y, x = np.unravel_index(np.argsort(volume.array, axis=None), volume.array.shape)
    after = np.stack([x, y, z])
    np.testing.assert_allclose(
        volume.affine[:3, :3] @ after + volume.affine[:3, 3:],
        affine[:3, :3] @ before + affine[:3, 3:],
        atol=1e-9,
    )
    np.testing.assert_allclose(
        volume.affine[:3, :3], np.diag(volume.spacing_mm[::-1]) * (-1, -1, 1)
    )


@given(st.sampled_from(CODES), st.sampled_from(CODES), shapes, sides)
def test_the_same_anatomy_stored_in_two_ways_is_one_volume(one, other, shape, spacing):
    anatomy = np.arange(np.prod(shape)).reshape(shape)
    image = nibabel.Nifti1Image(anatomy, affine_of(one, spacing), dtype="int64")
    turn = orientations.ornt_transform(*map(orientations.axcodes2ornt, (one, other)))
    again = image.as_reoriented(turn.astype(int).tolist())
    first = orientation.canonical(anatomy, np.asarray(image.affine))
    second = orientation.canonical(np.asanyarray(again.dataobj), np.asarray(again.affine))
    np.testing.assert_array_equal(first.array, second.array)
    assert first.spacing_mm == pytest.approx(second.spacing_mm)
    assert orientation.offset_voxels(first, second) < 1e-6


def test_an_oblique_affine_goes_by_its_nearest_axes():
    angle = np.deg2rad(20)
    turned = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    affine = np.diag([-1.0, -1.0, 2.0, 1.0])
    affine[:2, :2] = -turned * 1.25
    volume = orientation.canonical(np.zeros((3, 4, 5)), affine)
    assert volume.codes == "LPS"
    assert volume.spacing_mm == pytest.approx((2.0, 1.25, 1.25))


def test_offset_counts_voxels_of_the_shortest_side():
    affine = np.diag([-0.5, -0.5, 3.0, 1.0])
    moved = affine.copy()
    moved[0, 3] = 2.0
    here, there = (orientation.canonical(np.zeros((4, 4, 4)), one) for one in (affine, moved))
    assert orientation.offset_voxels(here, there) == pytest.approx(4)


def test_an_affine_with_a_lost_axis_is_refused():
    with pytest.raises(ValueError, match=r"an axis points nowhere.*fetch the file again"):
        orientation.canonical(np.zeros((2, 2, 2)), np.diag([1.0, 1.0, 0.0, 1.0]))
