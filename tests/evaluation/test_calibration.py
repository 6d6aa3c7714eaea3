"""Calibration: values derived by hand, MONAI and torchmetrics on 200 random maps, and the road from weights to scores.

``pytest -s -m extended tests/evaluation/test_calibration.py`` prints the largest difference from each of them.
"""

from __future__ import annotations

import doctest
import math
import sys
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from salstm.columns import COLUMNS
from salstm.data.store import Store
from salstm.evaluation import calibration
from salstm.evaluation.calibration import Keeper, Kept, binned, ece, region
from salstm.files import read_csv
from salstm.training import inference
from salstm.training.model import assemble


def test_the_example_holds():
    (found,) = doctest.DocTestFinder().find(ece, "ece", globs=vars(calibration).copy())
    assert found.examples
    assert doctest.DocTestRunner(verbose=False).run(found).failed == 0


class TestByHand:
    def test_a_perfect_and_a_useless_network(self):
        truth = np.array([True, False, True, False])
        assert ece(binned(truth.astype(float), truth)) == 0
        assert ece(binned(1.0 - truth, truth)) == 1
        assert ece(binned(np.full(4, 0.5), truth)) == 0  # half of them are positive: calibrated

    def test_bins_have_their_lower_edge_and_the_last_one_too(self):
        sums = binned(np.array([0.0, 0.5, 0.499, 1.0]), np.array([False, True, False, True]), 2)
        assert sums[0].tolist() == [2, 2]
        assert sums[1].tolist() == pytest.approx([0.499, 1.5])
        assert sums[2].tolist() == [0, 2]

    def test_frames_add_up(self):
        generator = np.random.default_rng(0)
        values, truth = generator.random(100), generator.random(100) < 0.3
        halves = binned(values[:40], truth[:40]) + binned(values[40:], truth[40:])
        assert ece(halves) == pytest.approx(ece(binned(values, truth)))

    def test_no_pixel_is_undefined(self):
        assert math.isnan(ece(np.zeros((3, 15))))


class TestRegion:
    def test_box_of_both_with_a_margin_inside_the_frame(self):
        prediction, reference = np.zeros((2, 32, 64), int)
        prediction[0, 10] = 1
        reference[5, 20] = 2
        # Rows 0 to 5 and 2 more, not below 0; columns 10 to 20 and 4 more each way.
        assert region(prediction, reference) == (slice(0, 8), slice(6, 25))
        assert region(0 * prediction, 0 * reference) is None

    def test_background_far_away_does_not_hide_the_error(self):
        reference = np.zeros((1, 64, 64), int)
        reference[0, 30:34, 30:34] = 1
        probabilities = np.where(reference == 1, 0.6, 0.0)
        told: list[dict[str, Any]] = []
        kept = Kept(reference, ["a"], None, told.extend)
        kept.add(0, probabilities, reference[0])
        kept.done()
        # 12 x 12 pixels in the box: 16 of them say 0.6 and are all right.
        assert told[0]["ece"] == pytest.approx(16 * 0.4 / 144)

    def test_an_empty_frame_is_left_out_and_an_empty_case_undefined(self):
        told: list[dict[str, Any]] = []
        kept = Kept(np.zeros((2, 8, 8), int), ["a"], None, told.extend)
        for place in range(2):
            kept.add(place, np.full((1, 8, 8), 0.3), np.zeros((8, 8), int))
        kept.done()
        assert math.isnan(told[0]["ece"])


def monai_error(values: torch.Tensor, truth: torch.Tensor) -> float:
    from monai.metrics.calibration import CalibrationErrorMetric

    metric = CalibrationErrorMetric(num_bins=15, metric_reduction="none")
    metric(y_pred=values[None, None], y=truth[None, None].float())
    return float(torch.as_tensor(metric.aggregate()))


def torchmetrics_error(values: torch.Tensor, truth: torch.Tensor) -> float:
    functional = pytest.importorskip(
        "torchmetrics.functional.classification", reason="torchmetrics is no dependency of ours"
    )
    return float(functional.binary_calibration_error(values, truth.long(), n_bins=15))


@pytest.mark.extended
@pytest.mark.parametrize("theirs", [monai_error, torchmetrics_error])
def test_other_tools_on_200_random_maps(theirs):
    generator, worst = np.random.default_rng(8), 0.0
    for number in range(200):
        shape = tuple(generator.integers(1, 24, 2 + number % 2))
        sharpness = generator.uniform(0.1, 8)
        values = 1 / (1 + np.exp(-sharpness * generator.standard_normal(shape)))
        values = values.astype(np.float32)
        truth = generator.random(shape) < generator.choice([0.0, 0.05, 0.5, 1.0])
        ours, value = ece(binned(values, truth)), theirs(*map(torch.from_numpy, (values, truth)))
        assert ours == pytest.approx(value, abs=2e-5), number
        worst = max(worst, abs(ours - value))
    sys.stdout.write(f"{theirs.__name__}: largest difference {worst:.1e}\n")


@pytest.mark.parametrize("restore", ["labels", "logits"])
def test_labels_are_the_same_and_probabilities_say_them(cases_folder, recipe, tmp_path, restore):
    """What is watched changes nothing; where logits are restored, the largest probability is the label."""
    recipe = replace(recipe, frames=1, augment="none", batch=3, restore=restore)
    network = nn.Conv2d(1, 4, 3, padding=1)
    model = assemble(lambda **k: network, recipe, variant="plain", channels=1, classes=3, seed=0)
    store, view = Store(cases_folder), inference.View.of(recipe, 1)
    keeper = Keeper(store.labels, ["a", "b", "c"], tmp_path, maps=True)
    run = (model.eval(), store, store.split("test"), view, torch.device("cpu"))
    plain = list(inference.predict(*run))
    watched = list(inference.predict(*run, keeper.of("last")))
    for (case, labels), (_, same) in zip(plain, watched, strict=True):
        assert np.array_equal(labels, same)
        with np.load(tmp_path / f"probabilities/last/{case.id}.npz") as maps:
            kept = maps["probabilities"]
        assert kept.shape == (3, *labels.shape)
        whole = np.concatenate([1 - kept.sum(0, keepdims=True), kept])
        certain = np.sort(whole, axis=0)[-1] - np.sort(whole, axis=0)[-2] > 0.01
        if restore == "logits" or labels.shape[1:] == (recipe.size, recipe.size):
            assert np.array_equal(whole.argmax(0)[certain], labels[certain])
    keeper.same("best_val", "last")
    keeper.write()
    table: Any = read_csv(tmp_path / calibration.FILE)
    assert set(table["selection"]) == {"last", "best_val"}
    assert len(table) == 2 * 3 * len(plain)
    assert table["ece"].between(0, 1).all()


class TestJoined:
    def scores(self) -> pd.DataFrame:
        keys = {"selection": "last", "class": "a"}
        rows = [
            {**keys, "scope": scope, "case": case}
            for scope in ("stored", "native")
            for case in "xy"
        ]
        return pd.DataFrame(rows).reindex(columns=[*COLUMNS["scores"], "ece"])

    def test_every_scope_of_a_case_gets_its_value_also_over_folds(self, tmp_path):
        for fold, (case, value) in enumerate((("x", 0.1), ("y", 0.2))):
            row = {"selection": "last", "case": case, "class": "a", "ece": value}
            (tmp_path / str(fold)).mkdir()
            pd.DataFrame([row]).to_csv(tmp_path / str(fold) / calibration.FILE, index=False)
        scores = self.scores()
        done = calibration.joined(scores, [tmp_path / "0", tmp_path / "1"])
        assert list(done.columns) == list(scores.columns)
        assert done["ece"].tolist() == [0.1, 0.2, 0.1, 0.2]

    def test_without_it_the_message_says_what_to_do(self, tmp_path):
        with pytest.raises(FileNotFoundError, match=r"set probabilities\.calibration in the"):
            calibration.joined(self.scores(), [tmp_path])
