"""Scoring: scopes, units, native size and every kind of wrong input, on a small hand-made store."""

import math
import os
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from scipy.ndimage import zoom

from salstm.columns import COLUMNS, SCORE_KEYS
from salstm.data.case import Case
from salstm.evaluation import scoring
from salstm.evaluation.metrics import MEASURED, measure

IDENTITY = {"dataset": "acdc", "baseline": "unet", "variant": "plain", "seed": 3}


NO_SPACING = (math.nan,) * 3


class Store:
    """Cases with their references, as `salstm.data.store.Store` gives them, from arrays."""

    def __init__(self):
        self.cases = []
        self._labels, self._native = {}, {}

    def add(
        self, name, labels, native=None, *, stack=None, group="p1", split="test", spacing=NO_SPACING
    ):
        native = labels if native is None else native
        first = sum(case.depth for case in self.cases)
        sizes = (*labels.shape, 1, *native.shape[1:])
        self.cases.append(Case(name, group, split, stack or name, first, *sizes, *spacing))
        self._labels[name], self._native[name] = labels, native
        return self

    def labels(self, case, /):
        return self._labels[case.id]

    def native(self, case, /):
        return self._native[case.id]

    def stack_bounds(self, case, /):
        members = [one for one in self.cases if one.stack == case.stack]
        return members[0].first, members[-1].first + members[-1].depth - 1


def volume(depth=5, size=8):
    """Labels 0, 1 and 2: 1 in every slice, 2 in the middle three."""
    labels = np.zeros((depth, size, size), np.uint8)
    labels[:, 1:4, 1:4] = 1
    labels[1:-1, 5:7, 2:6] = 2
    return labels


def zoomed(labels):
    """Each slice from 8 x 8 to 12 x 16, as the authors' test code does it."""
    return np.stack([np.asarray(zoom(one, (1.5, 2), order=0)) for one in labels])


def rows_of(frame, **wanted):
    for key, value in wanted.items():
        frame = frame.loc[frame[key] == value]
    return frame.to_dict("records")


def test_every_row_says_how_many_groups_the_split_of_its_dataset_divides():
    frames = {name: volume(depth=1) for name in ("a1", "a2", "b1", "b2", "c1")}
    store = Store()
    for name, split in zip(frames, ("train", "test", "val", "train", "test"), strict=True):
        store.add(name, frames[name], stack=name[0], group=name[0], split=split)
    predictions = {"last": {name: frames[name] for name in ("a2", "c1")}}
    rows = scoring.score(predictions, store, ["a", "b"], IDENTITY)
    assert rows["divided_groups"].tolist() == [2] * len(rows)
    whole = Store().add("a2", frames["a2"], group="a").add("c1", frames["c1"], group="c")
    assert set(scoring.score(predictions, whole, ["a", "b"], IDENTITY)["divided_groups"]) == {0}


class TestScopes:
    def test_volume(self):
        labels = volume()
        prediction = np.roll(labels, 1, axis=1)
        native = zoomed(labels)
        store = Store().add("v", labels, native, spacing=(10.0, 1.5, 0.75))
        frame = scoring.score({"last": {"v": prediction}}, store, ["a", "b"], IDENTITY)
        assert list(frame.columns) == list(COLUMNS["scores"])
        assert len(frame) == 1 * 3 * 1 * 2
        restored = zoomed(prediction)
        expected = {
            "stored": (prediction, labels, (1, 1, 1), "voxel", math.sqrt(25 + 64 + 64)),
            "inner": (prediction[1:-1], labels[1:-1], (1, 1, 1), "voxel", math.sqrt(9 + 128)),
            "native": (restored, native, (10, 1.5, 0.75), "mm", math.sqrt(50**2 + 18**2 + 12**2)),
        }
        for scope, (ours, reference, spacing, unit, diagonal) in expected.items():
            for number, name in enumerate("ab", start=1):
                (row,) = rows_of(frame, scope=scope, **{"class": name})
                values = measure(ours == number, reference == number, spacing, scoring.TOLERANCE)
                assert {key: row[key] for key in values} == values
                assert row["unit"] == unit
                assert row["diagonal"] == pytest.approx(diagonal)
                assert row["group"] == "p1"

    def test_frames_of_a_video_are_scored_in_2d(self):
        # one stack of four frames: the first and the last have no inner row
        store = Store()
        for k in range(4):
            store.add(f"f{k}", volume(3)[1:2], stack="video")
        predictions = {"last": {case.id: store.labels(case) for case in store.cases}}
        frame = scoring.score(predictions, store, ["a", "b"], IDENTITY)
        assert {row["case"] for row in rows_of(frame, scope="inner")} == {"f1", "f2"}
        assert len(rows_of(frame, scope="stored")) == len(rows_of(frame, scope="native")) == 8
        assert set(frame["unit"]) == {"pixel"}
        assert set(frame["dice"]) == {1}
        assert frame["diagonal"].iloc[0] == pytest.approx(math.sqrt(128))

    def test_2d_surface_not_a_slab(self):
        # A 3 x 3 square against its ring: in 2D the hole is no surface of the ring beyond its
        # shell; a slab of depth 1 scored in 3D would be surface everywhere.
        square = np.zeros((1, 7, 7), np.uint8)
        square[0, 1:6, 1:6] = 1
        ring = square.copy()
        ring[0, 3, 3] = 0
        frame = scoring.score(
            {"last": {"i": square}}, Store().add("i", ring), ["a"], IDENTITY, tolerance=0.5
        )
        (row,) = rows_of(frame, scope="stored")
        values = measure(square[0] == 1, ring[0] == 1, 1.0, 0.5)
        assert {key: row[key] for key in values} == values
        assert row["surface_dice"] < 1

    def test_single_image_has_no_inner_row(self):
        store = Store().add("i", volume(3)[1:2], spacing=(math.nan, 0.5, 0.25))
        frame = scoring.score({"last": {"i": volume(3)[1:2]}}, store, ["a", "b"], IDENTITY)
        assert set(frame["scope"]) == {"stored", "native"}
        assert {row["unit"] for row in rows_of(frame, scope="native")} == {"mm"}
        assert rows_of(frame, scope="native")[0]["diagonal"] == pytest.approx(math.hypot(4, 2))

    @pytest.mark.parametrize("depth", [1, 2])
    def test_stacks_without_inner_frames(self, depth):
        labels = np.ones((depth, 4, 4), np.uint8)
        frame = scoring.score({"last": {"v": labels}}, Store().add("v", labels), ["a"], IDENTITY)
        assert set(frame["scope"]) == {"stored", "native"}

    @pytest.mark.parametrize("spacing", [(math.nan, 1, 1), (0, 1, 1), (1, 1, math.inf)])
    def test_unknown_spacing(self, spacing):
        store = Store().add("v", volume(), spacing=spacing)
        frame = scoring.score({"last": {"v": volume()}}, store, ["a", "b"], IDENTITY)
        assert set(frame["unit"]) == {"voxel"}


class TestRows:
    def test_missed_invented_absent(self):
        # class a: both; b: missed; c: invented; d: nowhere
        labels, prediction = volume(), volume()
        prediction[prediction == 2] = 3
        store = Store().add("v", labels)
        frame = scoring.score({"last": {"v": prediction}}, store, list("abcd"), IDENTITY)
        rows = {row["class"]: row for row in rows_of(frame, scope="stored")}
        assert rows["a"]["dice"] == 1
        assert (rows["b"]["dice"], rows["c"]["dice"]) == (0, 0)
        assert rows["b"]["prediction_voxels"] == rows["c"]["reference_voxels"] == 0
        assert rows["b"]["fn"] == rows["c"]["fp"] == 24
        for name in "bcd":
            assert math.isnan(rows[name]["hd95"])
        assert all(math.isnan(rows["d"][metric]) for metric in MEASURED)

    def test_sorted_and_complete(self):
        store = Store().add("z", volume()).add("b", volume(), group="p2")
        one = {"z": volume(), "b": volume()}
        predictions = {"last": one, "best_val": dict(reversed(one.items())), "best_test": one}
        frame = scoring.score(predictions, store, ["b", "a"], IDENTITY)
        assert len(frame) == 3 * 3 * 2 * 2
        keys = frame.filter(list(SCORE_KEYS))
        pd.testing.assert_frame_equal(keys, keys.sort_values(list(SCORE_KEYS), ignore_index=True))
        assert not keys.duplicated().any()
        assert {key: frame[key].iloc[0] for key in IDENTITY} == IDENTITY

    def test_written_and_read_back(self, tmp_path):
        prediction = np.roll(volume(), 1, axis=2)
        frame = scoring.score(
            {"last": {"v": prediction}}, Store().add("v", volume()), ["a", "b"], IDENTITY
        )
        frame.to_csv(tmp_path / "scores.csv", index=False)
        again = pd.read_csv(tmp_path / "scores.csv")
        pd.testing.assert_frame_equal(again, frame, rtol=1e-15, check_dtype=False)

    def test_no_predictions(self):
        for predictions in ({}, {"last": {}}):
            frame = scoring.score(predictions, Store().add("v", volume()), ["a"], IDENTITY)
            assert len(frame) == 0
            assert list(frame.columns) == list(COLUMNS["scores"])


class TestBadInput:
    def score(self, predictions):
        return scoring.score(predictions, Store().add("v", volume()), ["a", "b"], IDENTITY)

    def test_unknown_case(self):
        with pytest.raises(ValueError, match=r"last: found 1 predictions without a case.*is w;"):
            self.score({"last": {"w": volume()}})

    def test_uneven_selections(self):
        with pytest.raises(ValueError, match="best_val: lacks 1 cases that last has, the first"):
            self.score({"last": {"v": volume()}, "best_val": {}})
        with pytest.raises(ValueError, match="last: lacks 1 cases that best_val has"):
            self.score({"last": {}, "best_val": {"v": volume()}})

    def test_shape(self):
        with pytest.raises(ValueError, match=r"last, v: prediction: found shape \(4, 8, 8\), all"):
            self.score({"last": {"v": volume(4)}})

    def test_labels(self):
        with pytest.raises(ValueError, match="found labels 0 to 5, allowed are 0 to 2"):
            self.score({"last": {"v": np.where(volume() == 2, 5, 0).astype(np.uint8)}})
        with pytest.raises(ValueError, match="found labels -1 to 2"):
            self.score({"last": {"v": volume().astype(np.int8) - np.eye(8, dtype=np.int8)}})
        with pytest.raises(ValueError, match="found float64, allowed are integer labels"):
            self.score({"last": {"v": volume().astype(float)}})


class TestLong:
    def frame(self, **changes) -> pd.DataFrame:
        store = Store().add("v", volume())
        frame = scoring.score({"last": {"v": volume()}}, store, ["a", "b"], IDENTITY | changes)
        return frame.loc[frame["scope"] == "native"].reset_index(drop=True)

    def test_one_value_per_task_case_and_algorithm(self):
        seeds = [self.frame().assign(dice=[0.5, math.nan]), self.frame(seed=4)]
        table = scoring.long(pd.concat(seeds))
        assert list(table.columns) == ["Task", "TestCase", "Algorithm", "MetricValue"]
        assert table.to_numpy().tolist() == [
            ["acdc/a", "v", "unet+plain", 0.75],
            ["acdc/b", "v", "unet+plain", 1.0],
        ]

    def test_undefined_stays_in_the_table(self):
        table = scoring.long(self.frame().assign(hd95=math.nan), "hd95")
        assert len(table) == 2
        assert np.isnan(table["MetricValue"].to_numpy()).all()

    def test_mixed_scopes_are_refused(self):
        both = pd.concat([self.frame(), self.frame().assign(scope="stored")])
        with pytest.raises(ValueError, match="several scopes or selections"):
            scoring.long(both)


def test_imports_no_heavy_library():
    code = (
        "import sys; from salstm.evaluation import scoring, conventions;"
        "print(sorted({'torch', 'monai', 'medpy', 'matplotlib', 'nibabel'} & set(sys.modules)))"
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment
    )
    assert run.stdout.strip() == "[]"


def test_holes_are_what_the_border_does_not_reach_class_by_class_and_frame_by_frame():
    frame = np.zeros((7, 9), np.uint8)
    frame[1:6, 1:5] = 1
    frame[3, 2:4] = 0  # a hole
    frame[2:5, 6:] = 2
    frame[3, 7:] = 0  # open to the border
    filled = scoring.fill_holes(np.stack([frame, np.zeros_like(frame)]))
    expected = frame.copy()
    expected[3, 2:4] = 1
    np.testing.assert_array_equal(filled[0], expected)
    assert not filled[1].any()
    assert frame[3, 2] == 0, "the prediction itself is left alone"


def test_another_class_inside_is_no_hole():
    frame = np.ones((5, 5), np.uint8)
    frame[2, 2] = 2
    np.testing.assert_array_equal(scoring.fill_holes(frame[None])[0], frame)


def test_only_what_protocol_paper_reads_is_post_processed():
    labels = np.zeros((1, 9, 9), np.uint8)
    labels[0, 2:7, 2:7] = 1
    hollow = labels.copy()
    hollow[0, 4, 4] = 0
    store = (
        Store().add("a", labels, stack="s").add("b", labels, stack="s").add("c", labels, stack="s")
    )
    identity = {"dataset": "cvc_clinicdb", "baseline": "n", "variant": "plain", "seed": 0}
    predictions = {"last": {"b": hollow}}
    filled = scoring.score(predictions, store, ["polyp"], identity, postprocess="fill_holes")
    dice = {row["scope"]: row["dice"] for row in filled.to_dict("records")}
    missing = 2 * 24 / (24 + 25)
    assert dice == {"stored": 1.0, "inner": 1.0, "native": pytest.approx(missing)}
    raw = scoring.score(predictions, store, ["polyp"], identity)
    assert set(raw["dice"]) == {missing}


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        ([["a", "b"], ["b"]], "b is predicted by 2 of 2 trainings"),
        ([["a"], []], "b is predicted by 0 of 2 trainings"),
        ([["a", "b"], ["c"]], "c, which is no test case, is predicted by 1 of 2 trainings"),
        ([["a"], ["b"]], ""),
    ],
)
def test_every_test_case_is_predicted_once(parts, said):
    if not said:
        scoring.check_once(parts, ["a", "b"])
        return
    with pytest.raises(ValueError, match=said):
        scoring.check_once(parts, ["a", "b"])
