"""The registry of organs, and the check of their places."""

from __future__ import annotations

import numpy as np
import pytest

from salstm.data.datasets import DATASETS
from salstm.data.readers import label_maps, label_sanity, synapse

PLACES = {  # (z, y, x) of the low corner, (depth, height, width), in LPS
    "liver": ((6, 6, 2), (6, 10, 9)),
    "spleen": ((6, 12, 16), (4, 5, 4)),
    "stomach": ((6, 4, 12), (3, 4, 5)),
    "right kidney": ((1, 13, 4), (4, 3, 4)),
    "left kidney": ((2, 13, 13), (4, 3, 4)),
    "gallbladder": ((3, 4, 6), (2, 4, 4)),
    "pancreas": ((4, 8, 11), (2, 3, 6)),
    "aorta": ((0, 16, 10), (14, 2, 2)),
}


def abdomen(numbering: dict[str, int], names=tuple(PLACES)) -> np.ndarray:
    label = np.zeros((14, 20, 22), dtype=np.uint8)
    for name in names:
        corner, sides = PLACES[name]
        where = tuple(slice(low, low + side) for low, side in zip(corner, sides, strict=True))
        label[where] = numbering[name]
    return label


OURS = label_maps.numbers(label_maps.TRANSUNET)


def test_the_three_numberings_hold_the_same_eight_organs():
    eight = {label_maps.BTCV[number] for number in (1, 2, 3, 4, 6, 7, 8, 11)}
    assert set(label_maps.TRANSUNET.values()) == set(label_maps.MERIT.values()) == eight
    assert sorted(label_maps.TRANSUNET) == sorted(label_maps.MERIT) == list(range(1, 9))
    assert tuple(label_maps.TRANSUNET.values()) == synapse.CLASSES == DATASETS["synapse"].classes


def test_official_numbers_become_transunets_by_name():
    label = np.arange(14, dtype=np.uint8)
    # 0 | spleen, kidneys R L, gallbladder | esophagus | liver, stomach, aorta | IVC, veins |
    # pancreas | adrenals
    expected = [0, 7, 4, 3, 2, 0, 5, 8, 1, 0, 0, 6, 0, 0]
    assert label_maps.convert(label, label_maps.BTCV, label_maps.TRANSUNET).tolist() == expected


def test_official_numbers_become_what_merits_loader_makes_of_them():
    """{5, 9, 10, 12, 13} to 0, then 11 to 5; the rest kept (MERIT's dataset)."""
    label = np.arange(14, dtype=np.uint8)
    expected = [0, 1, 2, 3, 4, 0, 6, 7, 8, 0, 0, 5, 0, 0]
    assert label_maps.convert(label, label_maps.BTCV, label_maps.MERIT).tolist() == expected


def test_there_and_back_keeps_the_eight():
    label = np.array([[0, 1, 2, 3, 4, 5, 6, 7, 8]], dtype=np.uint8)
    for other in (label_maps.BTCV, label_maps.MERIT):
        there = label_maps.convert(label, label_maps.TRANSUNET, other)
        np.testing.assert_array_equal(label_maps.convert(there, other, label_maps.TRANSUNET), label)


def test_a_number_of_another_registry_is_refused():
    with pytest.raises(ValueError, match="organ 13: unknown; 0 to 8 are allowed"):
        label_maps.convert(np.array([13], dtype=np.uint8), label_maps.TRANSUNET, label_maps.BTCV)


def test_an_abdomen_has_no_problems():
    assert label_sanity.problems(abdomen(OURS), OURS) == []
    assert label_sanity.problems(abdomen(OURS), OURS, oriented=False) == []


def test_an_empty_or_tiny_label_has_no_problems():
    assert label_sanity.problems(np.zeros((3, 4, 5), dtype=np.uint8), OURS) == []
    few = np.zeros((3, 20, 20), dtype=np.uint8)
    few[1, :5, :5] = OURS["left kidney"]  # 25 voxels on the right, too few to judge
    few[1, :, 15:] = OURS["right kidney"]
    assert label_sanity.problems(few, OURS) == []


@pytest.mark.parametrize(
    ("axis", "words"),
    [(2, "mirrored along x"), (1, "mirrored along y"), (0, "mirrored along z")],
)
def test_a_mirrored_volume_is_noticed_where_the_axes_are_known(axis, words):
    label = np.flip(abdomen(OURS), axis)
    assert any(words in problem for problem in label_sanity.problems(label, OURS))
    assert label_sanity.problems(label, OURS, oriented=False) == []


@pytest.mark.parametrize("oriented", [True, False])
def test_swapped_kidneys_are_noticed_in_any_orientation(oriented):
    swapped = {
        **OURS,
        "left kidney": OURS["right kidney"],
        "right kidney": OURS["left kidney"],
    }
    label = abdomen(swapped)
    if not oriented:
        label = np.rot90(label, axes=(1, 2))
    problems = label_sanity.problems(label, OURS, oriented=oriented)
    assert any("left kidney lies on the liver's side" in problem for problem in problems)


def test_another_numbering_is_noticed():
    """MERIT's numbers read as TransUNet's, the confusion that erases the liver."""
    label = abdomen(label_maps.numbers(label_maps.MERIT))
    problems = label_sanity.problems(label, OURS, oriented=False)
    assert any("times the volume of" in problem for problem in problems)


def test_organs_that_the_volume_cuts_are_not_weighed():
    label = abdomen(OURS)[9:]  # only the top of the liver is left
    assert not any("volume of" in problem for problem in label_sanity.problems(label, OURS))


def test_an_organ_is_too_small_whether_or_not_the_other_one_is_cut():
    """A right adrenal gland that is taken for the pancreas, as with AMOS's numbers, under a liver that goes on."""
    label = np.zeros((8, 40, 40), dtype=np.uint8)
    label[2:, 5:35, 5:20] = 5  # up to the last slice
    label[3, 10:12, 25:30] = 6
    label[4, 10:12, 25:35] = 6
    names = {"liver": 5, "pancreas": 6}
    assert label_sanity.problems(label, names, oriented=False) == []  # 30 voxels of 2700: one in 90
    large = np.zeros((20, 60, 60), dtype=np.uint8)
    large[2:, 2:58, 2:20] = 5
    large[3, 10:12, 25:40] = 6
    [problem] = label_sanity.problems(large, names, oriented=False)
    assert (
        "the pancreas has 0.0017 times the volume of the liver; at least 0.005 is usual" in problem
    )
