"""Metrics that are measured where the configuration names them: by hand, empty masks, MONAI and torchmetrics on 200.

``pytest -s -m extended tests/evaluation/test_chosen_metrics.py`` prints the largest difference from each of them.
"""

from __future__ import annotations

import doctest
import math
import sys
from typing import Any

import numpy as np
import pytest

from salstm.evaluation import objects, scoring, sizes, surfaces
from salstm.evaluation.look import Chosen, Look, Thirds
from salstm.evaluation.metrics import compare, values
from salstm.vocabulary import MEASURED, METRICS
from tests.evaluation.test_metrics import EMPTY, SQUARE, draw, smooth_pair
from tests.evaluation.test_scoring import IDENTITY, Store, volume

MORE = tuple(scoring.FUNCTIONS)


def look(prediction, reference, spacing=None, **more: Any) -> Look:
    return Look(compare(prediction, reference, spacing), prediction, reference, **more)


def measured(*pair, **more: Any) -> dict[str, float]:
    one = look(*pair, **more)
    return {name: function(one) for name, function in scoring.FUNCTIONS.items()}


def test_every_metric_that_can_be_chosen_has_an_example_that_holds():
    assert {*MORE} == {*METRICS} - {*MEASURED, "ece"}  # of probabilities: test_calibration.py
    finder, runner = doctest.DocTestFinder(), doctest.DocTestRunner(verbose=False)
    for module in (surfaces, objects):
        for name, function in module.FUNCTIONS.items():
            assert METRICS[name].module == module.__name__.rpartition(".")[2]
            (found,) = finder.find(function, name, globs=vars(module).copy())
            assert found.examples, f"{name}: no example in its docstring"
            assert runner.run(found).failed == 0, name


class TestByHand:
    #   two lesions, of which the second is touched by too small a prediction, and one invented pixel
    REFERENCE = draw(
        "##......",
        "##...##.",
        ".....##.",
        "........",
    )
    PREDICTION = draw(
        "###.....",
        "##......",
        "......#.",
        "#.......",
    )

    def test_an_object_counts_once_and_is_found_above_half(self):
        # IoU 4/5 and 1/4: one of two is found; of three predicted two are false.
        row = measured(self.PREDICTION, self.REFERENCE, thirds=Thirds(3, 5))
        assert row["object_recall"] == 1 / 2
        assert row["object_precision"] == 1 / 3
        assert row["object_f1"] == pytest.approx(2 * 1 / (2 + 3))
        assert (row["missed_objects"], row["false_objects"]) == (1, 2)
        # Both lesions have 4 pixels: all are medium.
        assert math.isnan(row["recall_small"])
        assert row["recall_medium"] == 1 / 2
        assert math.isnan(row["recall_large"])

    def test_half_is_not_enough(self):
        # Two predicted halves of one object have an IoU of 1/2 each: neither is it.
        row = measured(draw("#.", "#."), draw("##", "##"))
        assert row["object_recall"] == row["object_precision"] == 0

    def test_corners_connect(self):
        assert sizes.components(draw("#.", ".#"))[1] == 1
        assert list(sizes.of_objects(draw("#..", "..#"))) == [1, 1]

    def test_merged_objects_are_found_where_one_outweighs_the_rest(self):
        # One predicted object over both: IoU 4/7 with the larger, 1/7 with the smaller.
        row = measured(draw("#######"), draw("####..#"))
        assert (row["missed_objects"], row["false_objects"]) == (1, 0)

    def test_nsd_has_the_tolerance_of_its_class(self):
        # Columns 0-1 and 2-3 in rows of 1 mm: distances 2, 1, 1, 2 in each row.
        pair = draw("##..", "##.."), draw("..##", "..##")
        assert surfaces.nsd(look(*pair, tolerance=1.0)) == 0.5
        assert surfaces.nsd(look(*pair, tolerance=1.9)) == 0.5
        assert surfaces.nsd(look(*pair, tolerance=2.0)) == 1
        assert surfaces.nsd(look(*pair, spacing=(1.0, 0.5), tolerance=1.0)) == 1


UNDEFINED = {
    "both": (EMPTY, EMPTY, {"missed_objects": 0, "false_objects": 0}),
    "prediction": (
        EMPTY,
        SQUARE,
        {
            **dict.fromkeys(("nsd", "object_f1", "object_recall", "recall_medium"), 0),
            **{"missed_objects": 1, "false_objects": 0},
        },
    ),
    "reference": (
        SQUARE,
        EMPTY,
        {
            **dict.fromkeys(("nsd", "object_f1", "object_precision"), 0),
            **{"missed_objects": 0, "false_objects": 1},
        },
    ),
}


@pytest.mark.parametrize("case", UNDEFINED)
@pytest.mark.parametrize("ndim", [2, 3])
def test_undefined_is_nan(case, ndim):
    prediction, reference, defined = UNDEFINED[case]
    if ndim == 3:
        prediction, reference = prediction[None], reference[None]
    row = measured(prediction, reference, thirds=Thirds(3, 5))
    for name, value in row.items():
        assert value == defined[name] if name in defined else math.isnan(value), name


class TestScored:
    """Through scoring: tolerances by class and unit, thirds from the references, columns only where they are asked."""

    def frame(self, *asked: str, unit: str = "mm", **tolerances: float):
        store = Store().add("v", volume(), spacing=(3.0, 1.0, 1.0)).add("w", volume())
        predictions = {"last": {"v": np.roll(volume(), 1, axis=2), "w": volume()}}
        chosen = Chosen(metrics=asked, tolerances=tolerances, unit=unit)
        return scoring.score(predictions, store, ["a", "b"], IDENTITY, chosen=chosen)

    def test_nothing_asked_changes_nothing(self):
        before, after = self.frame(), self.frame("nsd", "object_f1", a=1.0, b=2.0)
        more = ["nsd", "object_f1", "nsd_tolerance"]
        assert list(after.columns) == [*before.columns, *more]
        assert after[list(before.columns)].equals(before)

    def test_tolerances_are_in_mm_and_hold_in_native_size(self):
        frame = self.frame("nsd", a=0.5, b=1.0)
        rows = {
            (row["scope"], row["class"]): row
            for row in frame.to_dict("records")
            if row["case"] == "v"
        }
        assert rows["native", "a"]["nsd_tolerance"] == 0.5
        assert rows["native", "b"]["nsd_tolerance"] == 1.0
        assert rows["stored", "a"]["nsd_tolerance"] == rows["inner", "b"]["nsd_tolerance"] == 2.0
        # One column to the right: every distance is 0 or 1 mm.
        assert rows["native", "b"]["nsd"] == 1
        assert 0 < rows["native", "a"]["nsd"] < 1

    def test_where_the_unit_is_another_the_tolerance_is_two_of_it(self):
        frame = self.frame("nsd", unit="pixel", a=0.5, b=0.5)
        assert set(frame["nsd_tolerance"]) == {2.0}
        assert set(self.frame("nsd", unit="", a=0.5, b=0.5)["nsd_tolerance"]) == {0.5, 2.0}

    def test_thirds_are_of_all_test_references(self):
        labels = np.zeros((1, 16, 16), np.uint8)
        store = Store()
        for number, side in enumerate((2, 4, 6)):
            one = labels.copy()
            one[0, 1 : 1 + side, 1 : 1 + side] = 1
            store.add(f"v{number}", one)
        perfect = {f"v{number}": store.labels(case) for number, case in enumerate(store.cases)}
        perfect["v0"] = labels
        chosen = Chosen(metrics=("recall_small", "recall_medium", "recall_large"))
        frame = scoring.score({"last": perfect}, store, ["a"], IDENTITY, chosen=chosen)
        rows = frame[frame["scope"] == "native"].set_index("case")
        found = rows[["recall_small", "recall_medium", "recall_large"]]
        assert found.loc["v0"].dropna().to_dict() == {"recall_small": 0}
        assert found.loc["v1"].dropna().to_dict() == {"recall_medium": 1}
        assert found.loc["v2"].dropna().to_dict() == {"recall_large": 1}

    def test_two_sizes_cannot_be_cut_in_three(self):
        assert sizes.thirds([1, 2]) is None
        assert sizes.thirds([1, 2, 3]) == pytest.approx(Thirds(5 / 3, 7 / 3))


def kinds(generator: np.random.Generator, number: int):
    """Two masks of each kind in turn: blobs that may touch the border, speckle, single voxels, one empty, both."""
    ndim = 2 + number % 2
    kind = number // 2 % 5
    prediction, reference = smooth_pair(generator, ndim)
    if kind == 1:
        shape = reference.shape
        prediction, reference = generator.random((2, *shape)) > 0.7
    elif kind == 2:
        prediction, reference = np.zeros_like(prediction), np.zeros_like(reference)
        for mask in (prediction, reference):
            mask.flat[generator.integers(mask.size)] = True
    elif kind == 3:
        prediction = np.zeros_like(prediction)
    elif kind == 4 and number % 4 < 2:
        prediction, reference = np.zeros_like(prediction), np.zeros_like(reference)
    return prediction, reference


@pytest.mark.extended
@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::UserWarning")
def test_monai_on_200_random_pairs():
    """Blobs, speckle, single voxels, empty masks, all touching the border at times, 2D and 3D, unequal spacing."""
    import torch
    from monai.metrics.confusion_matrix import (
        compute_confusion_matrix_metric,
        get_confusion_matrix,
    )
    from monai.metrics.meaniou import compute_iou
    from monai.metrics.panoptic_quality import compute_panoptic_quality
    from monai.metrics.surface_dice import compute_surface_dice
    from monai.metrics.surface_distance import compute_average_surface_distance

    generator, worst, defined = np.random.default_rng(5), {}, {}
    for number in range(200):
        prediction, reference = kinds(generator, number)
        spacing = [float(value) for value in generator.uniform(0.5, 10, prediction.ndim)]
        tolerance = float(generator.uniform(0.5, 10))
        one = look(prediction, reference, spacing, tolerance=tolerance)
        ours = values(one.pair) | {name: make(one) for name, make in scoring.FUNCTIONS.items()}
        masks: Any = [torch.from_numpy(mask)[None, None] for mask in (prediction, reference)]
        options: dict[str, Any] = {"include_background": True, "spacing": spacing}
        counted = get_confusion_matrix(masks[0].float(), masks[1].float())
        instances: Any = [
            torch.from_numpy(sizes.components(mask)[0]) for mask in (prediction, reference)
        ]
        theirs = {
            "nsd": compute_surface_dice(*masks, class_thresholds=[tolerance], **options),
            "assd": compute_average_surface_distance(masks[0], masks[1], symmetric=True, **options),
            "iou": compute_iou(masks[0], masks[1], ignore_empty=True),
            "precision": compute_confusion_matrix_metric("precision", counted),
            "recall": compute_confusion_matrix_metric("recall", counted),
            "object_f1": compute_panoptic_quality(*instances, metric_name="rq"),
        }
        for name, value in theirs.items():
            if differs_by_convention(name, prediction, reference, ours[name], float(value)):
                continue
            assert ours[name] == pytest.approx(float(value), rel=1e-5, abs=1e-5, nan_ok=True), (
                number,
                name,
            )
            difference = abs(ours[name] - float(value))
            worst[name] = max(worst.get(name, 0.0), 0.0 if math.isnan(difference) else difference)
            defined[name] = defined.get(name, 0) + (not math.isnan(difference))
    for name, value in worst.items():
        said = f"{name}: {defined[name]} of 200 defined in both, largest difference {value:.1e}"
        sys.stdout.write(said + "\n")
        assert defined[name] >= 100


def differs_by_convention(name, prediction, reference, ours: float, theirs: float) -> bool:
    """Where MONAI gives an empty mask a number and we say that it is undefined, or the other way round; asserted."""
    empty = not prediction.any(), not reference.any()
    if not any(empty):
        return False
    if name == "assd":
        assert math.isnan(ours)
        assert not math.isfinite(theirs)
        return True
    if name == "iou" and empty == (False, True):
        assert (ours, math.isnan(theirs)) == (0, True)
        return True
    if name == "object_f1" and all(empty):
        assert math.isnan(ours)
        assert theirs == 0
        return True
    return False
