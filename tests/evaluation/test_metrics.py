"""Metrics: values derived by hand from drawings, every empty case, medpy and MONAI as oracles."""

import doctest
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from salstm.evaluation import distances, metrics

EMPTY = np.zeros((4, 4), bool)
SQUARE = np.zeros((4, 4), bool)
SQUARE[1:3, 1:3] = True

UNDEFINED = {  # (prediction, reference) -> what is not NaN
    "both": (EMPTY, EMPTY, {}),
    "prediction": (
        EMPTY,
        SQUARE,
        {"dice": 0, "iou": 0, "recall": 0, "surface_dice": 0, "volume_error": -1},
    ),
    "reference": (SQUARE, EMPTY, {"dice": 0, "iou": 0, "precision": 0, "surface_dice": 0}),
}


def draw(*rows):
    """A 2D mask from text: # is inside."""
    return np.array([[letter == "#" for letter in row] for row in rows])


def smooth_pair(generator, ndim):
    """Two overlapping random blobs, up to 24 voxels a side; some touch the array's border."""
    from scipy.ndimage import gaussian_filter

    shape = generator.integers(3, 24, ndim)
    base = generator.standard_normal(shape)
    pair = []
    for _ in range(2):
        field = gaussian_filter(base + generator.standard_normal(shape), generator.uniform(0, 2))
        pair.append(field > np.quantile(field, generator.uniform(0.2, 0.95)))
    return pair


def test_every_metric_has_an_example_that_holds():
    finder, runner = doctest.DocTestFinder(), doctest.DocTestRunner(verbose=False)
    for name, function in metrics.FUNCTIONS.items():
        (found,) = finder.find(function, name, globs=vars(metrics).copy())
        assert found.examples, f"{name}: no example in its docstring"
        assert runner.run(found).failed == 0, name


class TestByHand:
    def test_shifted_square_with_unequal_spacing(self):
        #   prediction   reference     spacing: rows 3 mm, columns 1 mm
        prediction = draw(
            "##..",
            "##..",
            "....",
        )
        reference = draw(
            "..##",
            "..##",
            "....",
        )
        # Each pixel is on the surface (2 x 2). Nearest, along the row: column 0 -> 2, column 1 -> 1
        # and back: distances 2, 1, 2, 1 each way.
        row = metrics.measure(prediction, reference, (3.0, 1.0), tolerance=1.0)
        assert row["dice"] == row["iou"] == row["precision"] == row["recall"] == 0
        assert row["hd"] == row["hd95"] == row["hd95_directed"] == 2
        assert row["assd"] == 1.5
        assert row["surface_dice"] == 0.5
        assert row["volume_error"] == 0
        # Turned by 90 degrees the same steps cost 3 mm each.
        row = metrics.measure(prediction.T, reference.T, (3.0, 1.0), tolerance=1.0)
        assert row["hd"] == 6
        assert row["assd"] == 4.5
        assert row["surface_dice"] == 0

    def test_counts_and_ratios(self):
        prediction = draw(
            "###.",
            "....",
        )
        reference = draw(
            ".###",
            "...#",
        )
        # tp = 2 (columns 1, 2), fp = 1 (column 0), fn = 2 (column 3 twice)
        row = metrics.measure(prediction, reference)
        assert metrics.counts(prediction, reference) == (2, 1, 2)
        assert [row[k] for k in ("prediction_voxels", "reference_voxels")] == [3, 4]
        assert row["dice"] == pytest.approx(2 * 2 / 7)
        assert row["iou"] == pytest.approx(2 / 5)
        assert row["precision"] == pytest.approx(2 / 3)
        assert row["recall"] == pytest.approx(2 / 4)
        assert row["volume_error"] == pytest.approx(-1 / 4)

    def test_pooled_and_directed_percentiles_differ(self):
        # reference: one pixel at column 0; prediction: the same pixel and one at column 10.
        prediction, reference = np.zeros((2, 1, 11), bool)
        prediction[0, [0, 10]] = True
        reference[0, 0] = True
        # prediction -> reference: 0, 10; reference -> prediction: 0. Linear interpolation:
        # pooled (0, 0, 10): position 0.95 * 2 = 1.9 -> 9; directed: 0.95 * 1 -> 9.5, and 0.
        assert metrics.hd95(metrics.compare(prediction, reference)) == pytest.approx(9)
        assert metrics.hd95_directed(metrics.compare(prediction, reference)) == pytest.approx(9.5)
        assert metrics.hd(metrics.compare(prediction, reference)) == 10
        assert metrics.assd(metrics.compare(prediction, reference)) == pytest.approx(10 / 3)
        assert metrics.surface_dice(
            metrics.compare(prediction, reference, tolerance=9.9)
        ) == pytest.approx(2 / 3)

    def test_surface_is_the_shell(self):
        #   full 5 x 5: at the border of the array everything beyond counts as outside
        assert (distances._surface(np.ones((5, 5), bool)) == draw(
            "#####",
            "#...#",
            "#...#",
            "#...#",
            "#####",
        )).all()  # fmt: skip
        # diagonal neighbours do not matter (connectivity 1): the centre of a plus is inside
        plus = draw(".#.", "###", ".#.")
        assert (distances._surface(plus) == draw(".#.", "#.#", ".#.")).all()

    def test_inner_voxels_do_not_move_distances(self):
        # a 3 x 3 x 3 cube against its hollow shell: same surface, one voxel of difference
        cube = np.zeros((5, 5, 5), bool)
        cube[1:4, 1:4, 1:4] = True
        hollow = cube.copy()
        hollow[2, 2, 2] = False
        row = metrics.measure(cube, hollow)
        assert row["fp"] == 1
        # the hole's six face neighbours were surface already: the shell of 26 voxels is all surface
        assert row["hd"] == 0
        assert row["surface_dice"] == 1

    def test_single_voxels_in_3d(self):
        prediction, reference = np.zeros((2, 4, 4, 4), bool)
        prediction[0, 0, 0] = True
        reference[3, 2, 1] = True
        # offsets 3, 2, 1 with spacing 2, 1.5, 10: sqrt(36 + 9 + 100)
        row = metrics.measure(prediction, reference, (2, 1.5, 10), tolerance=12.05)
        assert row["hd"] == row["hd95"] == row["hd95_directed"] == pytest.approx(math.sqrt(145))
        assert row["assd"] == pytest.approx(math.sqrt(145))
        assert row["surface_dice"] == 1
        assert row["dice"] == 0

    def test_identical_masks(self):
        row = metrics.measure(SQUARE, SQUARE.copy(), 0.7)
        assert row["dice"] == row["iou"] == row["precision"] == row["recall"] == 1
        assert row["hd"] == row["hd95"] == row["hd95_directed"] == row["assd"] == 0
        assert row["surface_dice"] == 1

    def test_touching_borders(self):
        # columns 0-1 against columns 2-3 of a 2 x 4 image: they touch, and fill it to every border
        left, right = draw("##..", "##.."), draw("..##", "..##")
        assert metrics.hd(metrics.compare(left, right)) == 2
        assert metrics.assd(metrics.compare(left, right)) == 1.5
        full = np.ones((2, 4), bool)
        # left -> full: 0; full -> left: columns 2, 3 at 1, 2 -> pooled 4 x 0, 4 x 0, 2 x 1, 2 x 2
        assert metrics.assd(metrics.compare(left, full)) == pytest.approx(6 / 12)
        assert metrics.dice(metrics.compare(left, full)) == pytest.approx(2 * 4 / 12)


class TestEmpty:
    @pytest.mark.parametrize("case", UNDEFINED)
    @pytest.mark.parametrize("ndim", [2, 3])
    def test_undefined_is_nan(self, case, ndim):
        prediction, reference, defined = UNDEFINED[case]
        if ndim == 3:
            prediction, reference = prediction[None], reference[None]
        row = metrics.measure(prediction, reference, 2.0, 1.0)
        for name in metrics.FUNCTIONS:
            if name in defined:
                assert row[name] == defined[name], name
            else:
                assert math.isnan(row[name]), name

    def test_counts_of_empty_masks(self):
        assert metrics.counts(EMPTY, EMPTY) == (0, 0, 0)
        assert metrics.counts(EMPTY, SQUARE) == (0, 0, 4)
        assert metrics.counts(SQUARE, EMPTY) == (0, 4, 0)
        assert metrics.compare(EMPTY, SQUARE).directed is None
        assert metrics.union_box(EMPTY, EMPTY) == (slice(0, 0), slice(0, 0))

    def test_arrays_without_voxels(self):
        nothing = np.zeros((0, 4, 4), bool)
        assert math.isnan(metrics.measure(nothing, nothing)["dice"])


class TestBadArguments:
    def test_labels_are_refused(self):
        with pytest.raises(TypeError, match="prediction: found dtype uint8, allowed is bool"):
            metrics.dice(metrics.compare(SQUARE.astype(np.uint8), SQUARE))  # type: ignore[arg-type]

    def test_shapes(self):
        with pytest.raises(ValueError, match=r"found shapes \(4, 4\) and \(3, 4\)"):
            metrics.dice(metrics.compare(SQUARE, SQUARE[:3]))
        with pytest.raises(ValueError, match="found 1 dimensions"):
            metrics.dice(metrics.compare(SQUARE[0], SQUARE[0]))

    @pytest.mark.parametrize("spacing", [0, -1, math.nan, (1, 2, 3), (1, 0), (1, math.inf)])
    def test_spacing(self, spacing):
        with pytest.raises(ValueError, match="spacing: found"):
            metrics.hd95(metrics.compare(SQUARE, SQUARE, spacing))

    @pytest.mark.parametrize("tolerance", [-1, math.nan, math.inf])
    def test_tolerance(self, tolerance):
        with pytest.raises(ValueError, match="tolerance: found"):
            metrics.measure(SQUARE, SQUARE, 1, tolerance)


class TestOracles:
    def test_medpy_on_200_random_pairs(self):
        """HD95, HD, ASSD and Dice equal medpy's to 1e-9, 2D and 3D, unequal spacing."""
        from medpy.metric import binary as medpy

        generator = np.random.default_rng(0)
        for k in range(200):
            ndim = 2 + k % 2
            prediction, reference = smooth_pair(generator, ndim)
            spacing = tuple(generator.uniform(0.5, 10, ndim))
            row = metrics.measure(prediction, reference, spacing)
            arguments = (prediction, reference, spacing)
            assert row["hd95"] == pytest.approx(medpy.hd95(*arguments), rel=0, abs=1e-9)
            assert row["hd"] == pytest.approx(medpy.hd(*arguments), rel=0, abs=1e-9)
            assert row["assd"] == pytest.approx(medpy.assd(*arguments), rel=0, abs=1e-9)
            assert row["dice"] == pytest.approx(medpy.dc(prediction, reference), rel=0, abs=1e-12)
            assert row["iou"] == pytest.approx(medpy.jc(prediction, reference), rel=0, abs=1e-12)
            assert row["recall"] == pytest.approx(medpy.recall(prediction, reference), abs=1e-12)
            assert row["precision"] == pytest.approx(medpy.precision(prediction, reference))

    @pytest.mark.filterwarnings("ignore:monai.metrics.utils get_mask_edges:FutureWarning")
    def test_monai_on_random_pairs(self):
        """The directed variant, ASSD and surface Dice equal MONAI's (which works in float32)."""
        import torch
        from monai.metrics.hausdorff_distance import compute_hausdorff_distance
        from monai.metrics.surface_dice import compute_surface_dice

        generator = np.random.default_rng(1)
        for k in range(60):
            ndim = 2 + k % 2
            prediction, reference = smooth_pair(generator, ndim)
            spacing = [float(value) for value in generator.uniform(0.5, 10, ndim)]
            row = metrics.measure(prediction, reference, spacing, tolerance=3.0)
            one, other = (torch.from_numpy(mask)[None, None] for mask in (prediction, reference))
            options: dict[str, Any] = {"include_background": True, "spacing": spacing}
            theirs = compute_hausdorff_distance(one, other, percentile=95, **options)
            assert row["hd95_directed"] == pytest.approx(theirs.item(), rel=1e-5)
            theirs = compute_hausdorff_distance(one, other, **options)
            assert row["hd"] == pytest.approx(theirs.item(), rel=1e-5)
            theirs = compute_surface_dice(one, other, class_thresholds=[3.0], **options)
            assert row["surface_dice"] == pytest.approx(theirs.item(), abs=1e-6)


SHAPES = st.one_of(
    arrays.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=7),
    arrays.array_shapes(min_dims=3, max_dims=3, min_side=1, max_side=5),
)
PAIRS = SHAPES.flatmap(
    lambda shape: st.tuples(arrays.arrays(np.bool_, shape), arrays.arrays(np.bool_, shape))
)
SYMMETRIC = ("dice", "iou", "hd", "hd95", "hd95_directed", "assd", "surface_dice")
DISTANCES = ("hd", "hd95", "hd95_directed", "assd")


def same(one, other, factor=1.0):
    return other == pytest.approx(factor * one, abs=1e-12, nan_ok=True)


class TestProperties:
    @settings(deadline=None, derandomize=True)
    @given(PAIRS)
    def test_symmetry(self, pair):
        one, other = metrics.measure(*pair), metrics.measure(pair[1], pair[0])
        assert all(same(one[name], other[name]) for name in SYMMETRIC)
        assert same(one["precision"], other["recall"])

    @settings(deadline=None, derandomize=True)
    @given(PAIRS, st.sampled_from([0.25, 0.7, 3.0]))
    def test_distances_scale_with_the_spacing(self, pair, factor):
        one = metrics.measure(pair[0], pair[1], 1.0, tolerance=1.2)
        other = metrics.measure(pair[0], pair[1], factor, tolerance=1.2 * factor)
        assert all(same(one[name], other[name], factor) for name in DISTANCES)
        assert all(same(one[name], other[name]) for name in ("dice", "surface_dice"))

    @settings(deadline=None, derandomize=True)
    @given(PAIRS, st.tuples(*[st.integers(0, 3)] * 6))
    def test_translation_and_padding_change_nothing(self, pair, pads):
        widths = [(pads[2 * axis], pads[2 * axis + 1]) for axis in range(pair[0].ndim)]
        one = metrics.measure(*pair)
        other = metrics.measure(np.pad(pair[0], widths), np.pad(pair[1], widths))
        assert all(same(one[name], other[name]) for name in one)

    @settings(deadline=None, derandomize=True)
    @given(PAIRS)
    def test_order_and_bounds(self, pair):
        row = metrics.measure(*pair)
        assert row["tp"] + row["fn"] == row["reference_voxels"] == np.count_nonzero(pair[1])
        if not math.isnan(row["hd"]):
            assert row["hd95"] <= row["hd"] + 1e-12
            assert row["hd95_directed"] <= row["hd"] + 1e-12
            assert row["assd"] <= row["hd"] + 1e-12
        if not math.isnan(row["dice"]):
            assert row["iou"] == pytest.approx(row["dice"] / (2 - row["dice"]))
            assert 0 <= row["surface_dice"] <= 1
