"""Conventions: each state of a row under each rule, by hand, and beside MONAI's own numbers."""

import math

import numpy as np
import pandas as pd
import pytest

from salstm.columns import COLUMNS
from salstm.evaluation import conventions
from salstm.evaluation.metrics import measure
from salstm.vocabulary import DECLARED, PROTOCOLS

NAN = math.nan
STATES = ("present", "missed", "invented", "absent")


def masks(state):
    """A prediction and a reference, 1 x 4 pixels."""
    prediction = np.array([[state in ("present", "invented"), False, False, False]])
    reference = np.array([[False, state in ("present", "missed"), False, False]])
    return prediction, reference


def raw(scopes=("stored", "inner", "native"), dataset="acdc", selection="best_val") -> pd.DataFrame:
    """One row per scope and state, the state's name as the class; diagonal 5."""
    rows = []
    for scope in scopes:
        for state in STATES:
            identity = {"dataset": dataset, "baseline": "b", "variant": "plain", "seed": 0}
            key = {"selection": selection, "scope": scope, "case": "c1", "group": "g1"}
            values = measure(*masks(state)) | {"diagonal": 5.0, "unit": "mm", "class": state}
            rows.append({**identity, **key, **values})
    return pd.DataFrame(rows, columns=list(COLUMNS["scores"]))


# The present pair: two neighbouring pixels, Dice 0, all distances 1.
EXPECTED = {  # convention -> (dice of present, missed, invented, absent), (hd95 of the same)
    "transunet": ((0, 0, 1, 0), (1, 0, 0, 0)),
    "authors": ((0, 0, 1, 0), (1, 0, 0, 0)),
    "nnunet": ((0, 0, 0, NAN), (1, NAN, NAN, NAN)),
    "monai": ((0, 0, NAN, NAN), (1, NAN, NAN, NAN)),
    "penalty": ((0, 0, 0, 1), (1, 5, 5, 0)),
}
SCOPES = {
    "transunet": "stored",
    "authors": "inner",
    "nnunet": "native",
    "monai": "native",
    "penalty": "native",
}


def test_every_convention_is_tested():
    assert set(EXPECTED) == set(SCOPES) == set(conventions.CONVENTIONS)


@pytest.mark.parametrize("name", EXPECTED)
def test_states(name):
    rows = conventions.apply(raw(), name)
    assert set(rows["scope"]) == {SCOPES[name]}
    assert list(rows["state"]) == list(rows["class"]) == list(STATES)
    dice, hd95 = EXPECTED[name]
    np.testing.assert_array_equal(rows["dice"], dice)
    np.testing.assert_array_equal(rows["iou"], dice)
    for distance in ("hd", "hd95", "hd95_directed", "assd"):
        np.testing.assert_array_equal(rows[distance], hd95)
    kept = ["tp", "fp", "fn", "precision", "recall", "volume_error"]
    kept += ["surface_dice"] * (name != "penalty")
    unfilled = raw(scopes=[SCOPES[name]])
    pd.testing.assert_frame_equal(rows.filter(kept), unfilled.filter(kept))


@pytest.mark.parametrize("name", EXPECTED)
def test_input_stays_as_it_was(name):
    scores = raw()
    conventions.apply(scores, name)
    pd.testing.assert_frame_equal(scores, raw())


def test_the_strict_rule_leaves_no_hole():
    rows = conventions.apply(raw(), "penalty")
    assert rows.filter(["dice", "iou", "hd", "hd95", "assd", "surface_dice"]).notna().all().all()
    np.testing.assert_array_equal(rows["surface_dice"].iloc[1:], [0, 0, 1])


def test_monai_takes_the_directed_distance():
    scores = raw().assign(hd95_directed=2.5)
    assert conventions.apply(scores, "monai")["hd95"].iloc[0] == 2.5
    assert conventions.apply(scores, "penalty")["hd95"].iloc[0] == 1


@pytest.mark.filterwarnings("ignore:monai.metrics.utils get_mask_edges:FutureWarning")
@pytest.mark.filterwarnings("ignore:the (prediction|ground truth) of class:UserWarning")
def test_monai_convention_equals_monai():
    """Item by item, all four states: Dice, IoU, HD95 and surface Dice; and the mean of HD95."""
    import torch
    from monai.metrics.hausdorff_distance import HausdorffDistanceMetric
    from monai.metrics.meandice import compute_dice
    from monai.metrics.meaniou import compute_iou
    from monai.metrics.surface_dice import compute_surface_dice

    rows = conventions.apply(raw(), "monai")
    both = [np.stack(one)[:, None] for one in zip(*map(masks, STATES), strict=True)]
    prediction, reference = (torch.from_numpy(one) for one in both)
    dice = compute_dice(prediction, reference, include_background=True, ignore_empty=True)
    iou = compute_iou(prediction, reference, include_background=True, ignore_empty=True)
    surface = compute_surface_dice(prediction, reference, [1.0], include_background=True)
    metric = HausdorffDistanceMetric(include_background=True, percentile=95)
    hd95 = torch.as_tensor(metric(prediction, reference))
    for name, theirs in {"dice": dice, "iou": iou, "hd95": hd95, "surface_dice": surface}.items():
        np.testing.assert_allclose(rows[name], theirs[:, 0].numpy(), rtol=1e-6, err_msg=name)
    # three of four items are dropped from their mean
    assert float(torch.as_tensor(metric.aggregate())) == rows["hd95"].mean() == 1


class TestProtocols:
    def test_paper_scores_acdc_without_end_slices(self):
        acdc = raw(selection="best_test")
        synapse = raw(dataset="synapse", selection="best_test")
        rows = conventions.under_protocol(pd.concat([acdc, synapse]), "paper")
        assert set(zip(rows["dataset"], rows["scope"], rows["convention"], strict=True)) == {
            ("acdc", "inner", "authors"),
            ("synapse", "stored", "transunet"),
        }

    def test_strict(self):
        scores = pd.concat([raw(), raw(selection="best_test"), raw(selection="last")])
        rows = conventions.under_protocol(scores, "strict")
        assert set(rows["selection"]) == {"best_val"}
        assert set(rows["scope"]) == {"native"}
        assert list(rows["hd95"]) == [1, 5, 5, 0]

    def test_strict_refuses_a_dataset_whose_split_divides_groups(self):
        leaking = raw(dataset="cvc_clinicdb").assign(divided_groups=29)
        scores = pd.concat([raw().assign(divided_groups=0), leaking])
        scores = pd.concat([scores, scores.assign(selection="best_test")])
        assert set(conventions.under_protocol(scores, "strict")["dataset"]) == {"acdc"}
        found = conventions.under_protocol(scores, "paper")
        assert set(found["dataset"]) == {"acdc", "cvc_clinicdb"}
        assert conventions.refusals(scores, "paper") == {}
        [(name, why)] = conventions.refusals(scores, "strict").items()
        assert name == "cvc_clinicdb"
        assert "divides 29 groups" in why
        assert "datasets.cvc_clinicdb.split: {name: folds}" in why

    @pytest.mark.parametrize("protocol", PROTOCOLS)
    def test_no_scores(self, protocol):
        rows = conventions.under_protocol(raw().iloc[:0], protocol)
        assert len(rows) == 0
        assert {"convention", "state", "hd95"} <= set(rows.columns)
        assert len(conventions.average(rows, DECLARED)) == 0

    def test_every_name_exists_and_is_described(self):
        for protocol in PROTOCOLS.values():
            names = {protocol.convention, *protocol.exceptions.values()}
            assert names <= set(conventions.CONVENTIONS)
            assert protocol.description.endswith(".")
        assert all(one.description.endswith(".") for one in conventions.CONVENTIONS.values())

    def test_unknown_names(self):
        with pytest.raises(ValueError, match="Did you mean penalty"):
            conventions.apply(raw(), "penalti")
        with pytest.raises(ValueError, match="Available: paper, strict"):
            conventions.under_protocol(raw(), "nope")


class TestAverage:
    def test_cases_then_classes(self):
        # class a: cases 1, 0.5 -> 0.75; class b: cases NaN, 0.25 -> 0.25; mean of classes 0.5
        # (the mean over all defined rows would be 0.583)
        rows = conventions.apply(raw(["native"]), "penalty")
        rows = rows.assign(**{
            "case": ["c1", "c2", "c1", "c2"],
            "class": ["a", "a", "b", "b"],
            "dice": [1, 0.5, NAN, 0.25],
            "hd95": [1, 3, NAN, 10],
            "state": ["present", "present", "absent", "missed"],
        })  # fmt: skip
        (row,) = conventions.average(rows, DECLARED).to_dict("records")
        assert row["dice"] == pytest.approx(0.5)
        assert row["hd95"] == pytest.approx(6)

    def test_undefined_everywhere_stays_nan(self):
        rows = conventions.apply(raw(["native"]), "nnunet").query("`class` != 'present'")
        (row,) = conventions.average(rows, DECLARED).to_dict("records")
        assert math.isnan(row["hd95"])
        assert row["dice"] == 0

    def test_runs_stay_apart(self):
        rows = conventions.apply(pd.concat([raw(), raw().assign(seed=1)]), "penalty")
        assert list(conventions.average(rows, ["dice"])["seed"]) == [0, 1]


def test_a_miss_is_perfect_only_where_papers_say_so():
    """The reason for all this: a network that predicts nothing, against one that is 1 mm off."""
    silent = raw().query("`class` == 'missed'").assign(baseline="silent", **{"class": "organ"})
    decent = raw().query("`class` == 'present'").assign(baseline="decent", **{"class": "organ"})
    best = {}
    for name in conventions.CONVENTIONS:
        means = conventions.average(conventions.apply(pd.concat([silent, decent]), name), DECLARED)
        means = means.dropna(subset=["hd95"])
        best[name] = means.sort_values("hd95")["baseline"].iloc[0]
    assert best == {
        "transunet": "silent",
        "authors": "silent",
        "nnunet": "decent",
        "monai": "decent",
        "penalty": "decent",
    }
