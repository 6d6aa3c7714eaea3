"""The authors' logs: read right, paired by case, and Bland-Altman figures by hand."""

import math

import numpy as np
import pandas as pd
import pytest

from salstm.analysis import authors_logs
from salstm.columns import COLUMNS


def scored(shift, *, cases=None, seeds=(0, 1), variant="salstm", baseline="mtunet"):
    """Our rows for their cases: their value plus a shift, split over classes and seeds."""
    theirs = authors_logs.cases()
    rows = []
    for record in theirs.loc[theirs["variant"] == variant].to_dict("records"):
        if cases is not None and record["case"] not in cases:
            continue
        for seed in seeds:
            for name, offset in (("RV", -0.3), ("MYO", 0.1), ("LV", 0.2)):
                away = offset + (0.5 if seed else -0.5) * (len(seeds) > 1)
                row = dict.fromkeys(COLUMNS["scores"], 1.0) | {
                    "dataset": "acdc",
                    "baseline": baseline,
                }
                row |= {"variant": variant, "seed": seed, "scope": "inner", "class": name}
                row |= {"selection": record["selection"], "case": record["case"]}
                row |= {"group": record["case"][:10], "dice": record["dice"] + shift + away}
                row |= {"hd95": record["hd95"] + 2 * shift + away, "prediction_voxels": 9}
                rows.append(row)
    return pd.DataFrame(rows, columns=list(COLUMNS["scores"]))


class TestLogs:
    def test_cases(self):
        table = authors_logs.cases()
        assert len(table) == 160
        assert table.groupby(["variant", "selection"])["case"].nunique().tolist() == [40] * 4
        assert len({case[:10] for case in table["case"]}) == 20

    @pytest.mark.parametrize(
        ("variant", "selection", "dice", "hd95"),
        [
            ("salstm", "last", 0.928303, 1.112486),
            ("salstm", "best_test", 0.930260, 1.087111),
            ("lstmsa", "last", 0.926679, 1.139978),
            ("lstmsa", "best_test", 0.928719, 1.078726),
        ],
    )
    def test_means_are_the_published_ones(self, variant, selection, dice, hd95):
        table = authors_logs.cases()
        kept = (table["variant"] == variant) & (table["selection"] == selection)
        assert table.loc[kept, "dice"].to_numpy().mean() == pytest.approx(dice, abs=2e-6)
        assert table.loc[kept, "hd95"].to_numpy().mean() == pytest.approx(hd95, abs=2e-6)

    def test_curves(self):
        table = pd.read_csv(authors_logs.FOLDER / "authors_acdc_curves.csv")
        assert table["variant"].value_counts().to_dict() == {"salstm": 200, "lstmsa": 200}
        best = table.loc[table["variant"] == "salstm", "mean_dice"].to_numpy()
        assert best.argmax() + 1 == 175

    def test_names(self):
        assert authors_logs.our_case("case_002_volume_ED.npz") == "patient002_ED"
        assert authors_logs.our_case("case_095_volume_ES") == "patient095_ES"
        with pytest.raises(ValueError, match="found 'case_002_sliceED_1', allowed is the form"):
            authors_logs.our_case("case_002_sliceED_1")


class TestPairs:
    def test_all_cases(self):
        pairs = authors_logs.paired(scored(0.01))
        assert len(pairs) == 40 * 2 * 2
        dice = pairs.loc[pairs["metric"] == "dice"]
        assert dice["difference"].to_numpy() == pytest.approx(np.full(80, 0.01))
        assert set(pairs["group"]) == {case[:10] for case in pairs["case"]}

    def test_only_what_both_have(self):
        cases = {"patient002_ED", "patient049_ES"}
        ours = scored(0.0, cases=cases)
        foreign = ours.assign(case="patient101_ED")
        other = scored(0.0, baseline="transunet")
        pairs = authors_logs.paired(pd.concat([ours, foreign, other]))
        assert set(pairs["case"]) == cases
        assert len(pairs) == 2 * 2 * 2

    def test_nothing_in_common(self):
        empty = authors_logs.paired(scored(0.0, cases=set()))
        assert len(empty) == 0
        assert len(authors_logs.agreement(empty, np.random.default_rng())) == 0


class TestAgreement:
    def test_by_hand(self):
        # differences 1, 3 (patient a), 2, 2 (patient b): bias 2, sd sqrt(2/3), limits -+ 1.96 sd
        pairs = pd.DataFrame(
            {
                "variant": "salstm",
                "selection": "last",
                "metric": "hd95",
                "case": ["a1", "a2", "b1", "b2"],
                "group": ["a", "a", "b", "b"],
                "ours": [2.0, 5, 5, 6],
                "theirs": [1.0, 2, 3, 4],
                "mean": [1.5, 3.5, 4, 5],
                "difference": [1.0, 3, 2, 2],
            }
        )
        (row,) = authors_logs.agreement(pairs, np.random.default_rng(0)).to_dict("records")
        assert (row["cases"], row["groups"]) == (4, 2)
        assert (row["ours"], row["theirs"], row["bias"]) == (4.5, 2.5, 2)
        assert row["sd"] == pytest.approx(math.sqrt(2 / 3))
        assert row["upper_limit"] == pytest.approx(2 + 1.96 * math.sqrt(2 / 3))
        assert row["lower_limit"] == pytest.approx(2 - 1.96 * math.sqrt(2 / 3))
        expected = np.polyfit(pairs["mean"], pairs["difference"], 1)[0]
        assert row["slope"] == pytest.approx(expected)

    def test_a_constant_shift_has_no_spread(self):
        pairs = authors_logs.paired(scored(-0.02))
        table = authors_logs.agreement(pairs, np.random.default_rng(0), resamples=200)
        assert table[["selection", "metric"]].to_numpy().tolist() == [
            ["best_test", "dice"],
            ["best_test", "hd95"],
            ["last", "dice"],
            ["last", "hd95"],
        ]
        row = table.to_dict("records")[0]
        assert row["bias"] == row["low"] == row["high"] == pytest.approx(-0.02)
        assert row["sd"] == pytest.approx(0, abs=1e-12)
        assert row["slope"] == pytest.approx(0, abs=1e-9)

    def test_one_case(self):
        pairs = authors_logs.paired(scored(0.1, cases={"patient002_ED"}, seeds=[0]))
        row = authors_logs.agreement(pairs, np.random.default_rng(0)).to_dict("records")[0]
        assert row["bias"] == pytest.approx(0.1)
        assert math.isnan(row["sd"])
        assert math.isnan(row["low"])
        assert math.isnan(row["upper_limit"])
