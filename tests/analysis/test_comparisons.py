"""Effects: pairs, seeds, classes and cases by hand; gaps are named and still count."""

import math
from typing import Any

import numpy as np
import pandas as pd
import pytest

from salstm.analysis import case_values, comparisons, statistics
from salstm.analysis.comparisons import Family
from salstm.columns import COLUMNS
from salstm.evaluation import conventions

NAN = math.nan


def run(values, *, variant="plain", seed=0, baseline="unet", selection="best_val", **more):
    """Rows of one training on the scope native: {(group, case, class): (dice, hd95)}."""
    rows = []
    for (group, case, name), (dice, hd95) in values.items():
        row = dict.fromkeys(COLUMNS["scores"], 1.0) | {"dataset": "acdc", "baseline": baseline}
        row |= {"variant": variant, "seed": seed, "selection": selection, "scope": "native"}
        row |= {"group": group, "case": case, "class": name, "dice": dice, "hd95": hd95}
        row |= {"prediction_voxels": 5, "reference_voxels": 5, "unit": "mm"}
        row |= {"divided_groups": 0} | more
        rows.append(row)
    return pd.DataFrame(rows, columns=list(COLUMNS["scores"]))


def grid_of(generator, gains, *, groups=20, seeds=(0, 1, 2)) -> pd.DataFrame:
    """Trainings of networks with a true gain of each module: two cases a group, two classes."""
    frames = []
    cases = [(f"p{k:02}", f"p{k:02}_{t}") for k in range(groups) for t in ("ED", "ES")]
    easy = {case: generator.normal(0, 0.05) for _, case in cases}
    for baseline, by_variant in gains.items():
        for variant, gain in by_variant.items():
            for seed in seeds:
                values = {
                    (group, case, name): (0.8 + easy[case] + gain + generator.normal(0, 0.01), 5)
                    for group, case in cases
                    for name in ("RV", "LV")
                }
                frames.append(run(values, variant=variant, seed=seed, baseline=baseline))
    return pd.concat(frames, ignore_index=True)


PLAIN = {("g1", "a", "x"): (0.5, 4), ("g1", "a", "y"): (0.7, 2), ("g2", "b", "x"): (0.6, 3)}
BETTER = {("g1", "a", "x"): (0.7, 3), ("g1", "a", "y"): (0.8, 3), ("g2", "b", "x"): (0.5, 9)}


def paired(*frames, metric="dice") -> Any:
    return case_values.paired(case_values.spread(pd.concat(frames), metric), "salstm")


class TestPaired:
    def test_the_mean_over_cases_is_the_tables(self):
        """Cases, classes, seeds: class y stands in one of two cases and weighs as much as class x."""
        found = paired(run(PLAIN), run(BETTER, variant="salstm"))
        assert (found.left_out, found.unpaired, found.seeds) == (0, 0, 1)
        # class x: +0.2 in a, -0.1 in b -> +0.05; class y: +0.1 in a; mean of classes 0.075
        assert found.table["case"].tolist() == ["a", "b"]
        assert found.table["group"].tolist() == ["g1", "g2"]
        assert found.table["difference"].mean() == pytest.approx(0.075)
        # a case has a share of each class: a 0.2 / 2 + 0.1 / 1, b -0.1 / 2 (times two cases over two classes)
        assert found.table["difference"].tolist() == pytest.approx([0.2, -0.05])
        rows = pd.concat([run(PLAIN), run(BETTER, variant="salstm")])
        table = conventions.average(rows, ["dice"]).set_index("variant")["dice"]
        assert found.table["plain"].mean() == pytest.approx(table["plain"])
        assert found.table["module"].mean() == pytest.approx(table["salstm"])

    def test_where_every_case_has_every_class_it_is_the_mean_over_classes(self):
        whole = PLAIN | {("g2", "b", "y"): (0.9, 1)}
        better = BETTER | {("g2", "b", "y"): (0.8, 1)}
        found = paired(run(whole), run(better, variant="salstm"))
        assert found.table["difference"].tolist() == pytest.approx([0.15, -0.1])

    def test_seeds_are_no_pairs(self):
        """Seed 0 of plain and seed 2 of the module share as little as seeds 1 and 1: all trainings count."""
        worse = dict.fromkeys(PLAIN, (0.0, 99))
        frames = [run(PLAIN, seed=0), run(PLAIN, seed=1), run(BETTER, variant="salstm", seed=1)]
        found = paired(*frames, run(worse, variant="salstm", seed=2))
        assert [one.shape for one in found.trainings] == [(2, 2), (2, 2)]
        assert found.table["module"].mean() == pytest.approx((0.5 * (0.6 + 0.8) + 0) / 2)

    def test_what_a_training_lacks_is_left_out_of_both_and_counted(self):
        holed = BETTER | {("g2", "b", "x"): (NAN, NAN)}
        found = paired(run(PLAIN), run(holed, variant="salstm"))
        assert (found.left_out, found.unpaired) == (1, 1)
        assert found.table["case"].tolist() == ["a"]

    def test_a_case_that_one_variant_was_not_tested_on(self):
        fewer = {key: value for key, value in BETTER.items() if key[1] == "a"}
        found = paired(run(PLAIN), run(fewer, variant="salstm"))
        assert (found.left_out, found.unpaired) == (1, 1)

    @pytest.mark.parametrize("variant", ["plain", "salstm"])
    def test_one_side_only(self, variant):
        found = paired(run(PLAIN, variant=variant))
        assert (len(found.table), found.left_out, found.seeds) == (0, 0, 0)


def comparison(**changes):
    row = {"improvement": 0.1, "p_holm": 0.01, "seeds": 3, "unpaired": 0}
    return row | changes


@pytest.mark.parametrize(
    ("row", "limits", "expected"),
    [
        (comparison(), (), "better"),
        (comparison(improvement=-0.1), (), "worse"),
        (comparison(p_holm=0.051), (), "undecided"),
        (comparison(p_holm=NAN, seeds=1), (), "undecided"),
        (comparison(seeds=2), (), "undecided"),
        (comparison(unpaired=1), (), "undecided"),
        (comparison(), ("phantom data: acdc",), "undecided"),
        (comparison(improvement=NAN, p_holm=NAN), (), ""),
    ],
)
def test_what_is_clear(row, limits, expected):
    assert comparisons.clear(row, 0.95, limits=limits) == expected


def test_an_organ_that_is_invented_points_the_same_way_in_test_and_table():
    """A module +1 on 12 cases that invents the structure in 6 cases without one."""
    there = {(f"c{k}", f"c{k}", "x"): (0.8 + 0.002 * k, 5.0) for k in range(12)}
    up = {key: (dice + 0.01, far - 0.5) for key, (dice, far) in there.items()}
    nothing = {(f"e{k}", f"e{k}", "x"): (NAN, NAN) for k in range(6)}
    empty = {"reference_voxels": 0, "prediction_voxels": 0, "diagonal": 300.0}
    invents = {"reference_voxels": 0, "prediction_voxels": 40, "diagonal": 300.0}
    frames = []
    for seed in range(3):
        frames += [run(there, seed=seed), run(nothing, seed=seed, **empty)]
        frames += [
            run(up, seed=seed, variant="salstm"),
            run(nothing, seed=seed, variant="salstm", **invents),
        ]
    scores, family = pd.concat(frames), Family(modules=["salstm"], resamples=200)
    generator = np.random.default_rng(0)
    dice, far = comparisons.compare(scores, {"acdc": ["unet"]}, family, generator).to_dict(
        "records"
    )
    means = conventions.average(conventions.under_protocol(scores, "strict"), ["dice", "hd95"])
    table: Any = means.groupby("variant")[["dice", "hd95"]].mean()
    for row, metric in ((dice, "dice"), (far, "hd95")):
        assert row["difference"] == pytest.approx(
            table.loc["salstm", metric] - table.loc["plain", metric]
        )
        assert row["improvement"] < 0
        assert row["verdict"] != "better"
        assert (row["cases"], row["unpaired"], row["pairs_left_out"]) == (18, 0, 0)
    # (12 * 0.01 - 6 * 1) / 18
    assert dice["difference"] == pytest.approx(-0.3267, abs=1e-4)


class TestCompare:
    family = Family(modules=("salstm", "lstmsa"), metrics=("dice",), resamples=2000)

    def test_a_gain_and_no_gain(self):
        gains = {"unet": {"plain": 0, "salstm": 0.02, "lstmsa": 0}}
        scores = grid_of(np.random.default_rng(0), gains)
        table = comparisons.compare(
            scores, {"acdc": ["unet"]}, self.family, np.random.default_rng(1)
        )
        assert list(table.columns) == list(comparisons.COMPARISON)
        up, same = table.to_dict("records")
        assert up["difference"] == pytest.approx(0.02, abs=0.003)
        assert up["low"] < 0.02 < up["high"]
        assert up["p_holm"] == pytest.approx(2 * up["p"])
        assert up["patients_p"] == up["smallest_p"] == statistics.smallest_p(20)
        assert (up["verdict"], same["verdict"]) == ("better", "undecided")
        assert up["groups_improved"] == 1
        assert up["effect_size"] > 3
        assert same["low"] < 0 < same["high"]
        assert same["p_holm"] > 0.05
        for row in (up, same):
            assert (row["cases"], row["groups"], row["seeds"]) == (40, 20, 3)
            assert row["reason"] == ""

    def test_distances_improve_downwards(self):
        plain = {(f"g{k}", f"c{k}", "x"): (0.8, 5 + 0.1 * k) for k in range(8)}
        near = {key: (dice, hd95 - 1 - 0.1 * (hd95 - 5)) for key, (dice, hd95) in plain.items()}
        rows = pd.concat([run(plain), run(near, variant="salstm")])
        family = Family(modules=["salstm"], metrics=["hd95"], resamples=500)
        (row,) = comparisons.compare(
            rows, {"acdc": ["unet"]}, family, np.random.default_rng(0)
        ).to_dict("records")
        assert row["difference"] == pytest.approx(-1.035)
        assert row["improvement"] == pytest.approx(1.035)
        assert row["effect_size"] > 0
        assert row["groups_improved"] == 1
        assert row["patients_p"] == 2 / 2**8
        # one seed: nothing is known about another training
        assert all(math.isnan(row[name]) for name in ("low", "high", "p", "p_holm", "luck"))
        assert row["verdict"] == "undecided"

    def test_gaps_are_named_and_count_in_the_family(self):
        gains = {
            "unet": {"plain": 0, "salstm": 0.02},
            "mtunet": {"salstm": 0.02},
            "merit": {"plain": 0},
        }
        scores = grid_of(np.random.default_rng(0), gains)
        grid = {"acdc": ["unet", "mtunet", "merit", "transunet"], "synapse": ["unet"]}
        family = Family(modules=["salstm"], metrics=["dice"], resamples=500)
        table = comparisons.compare(scores, grid, family, np.random.default_rng(1))
        assert list(zip(table["dataset"], table["baseline"], strict=True)) == [
            ("acdc", "unet"),
            ("acdc", "mtunet"),
            ("acdc", "merit"),
            ("acdc", "transunet"),
            ("synapse", "unet"),
        ]
        assert table["reason"].tolist() == [
            "",
            "no scores of plain",
            "no scores of salstm",
            "no scores of plain and salstm",
            "no scores of plain and salstm",
        ]
        assert table["p_holm"].iloc[0] == pytest.approx(5 * table["p"].iloc[0])
        assert np.isnan(table["difference"].iloc[1:].to_numpy()).all()

    def test_no_scores_at_all(self):
        scores = pd.DataFrame(columns=list(COLUMNS["scores"]))
        table = comparisons.compare(
            scores, {"acdc": ["unet"]}, self.family, np.random.default_rng()
        )
        assert len(table) == 2
        assert set(table["reason"]) == {
            "no scores of plain and salstm",
            "no scores of plain and lstmsa",
        }

    def test_seed_noise(self):
        def at(value):
            return {(f"g{k}", f"c{k}", "x"): (value, 1) for k in range(4)}

        # plain 0.70, 0.74; salstm 0.78, 0.80: variances 0.0008 and 0.0002 -> sd 0.02236
        frames = [run(at(value), seed=seed) for seed, value in enumerate((0.70, 0.74))]
        frames += [
            run(at(value), seed=seed, variant="salstm") for seed, value in enumerate((0.78, 0.80))
        ]
        family = Family(modules=["salstm"], metrics=["dice"], resamples=100)
        (row,) = comparisons.compare(
            pd.concat(frames), {"acdc": ["unet"]}, family, np.random.default_rng(0)
        ).to_dict("records")
        assert row["seed_sd"] == pytest.approx(math.sqrt(0.0005))
        assert row["training_error"] == pytest.approx(math.sqrt(0.0005 * (1 / 2 + 1 / 2)))
        # nothing else varies: t with one degree of freedom of each variant
        assert row["degrees"] == pytest.approx(2)
        assert row["luck"] == pytest.approx(4.3027 * math.sqrt(0.0005), rel=1e-4)
        assert row["high"] - row["low"] == pytest.approx(2 * row["luck"])
        assert row["seeds"] == 2

    def test_same_generator_same_numbers(self):
        scores = grid_of(np.random.default_rng(0), {"unet": {"plain": 0, "salstm": 0.0}})
        one, other = (
            comparisons.compare(scores, {"acdc": ["unet"]}, self.family, np.random.default_rng(5))
            for _ in range(2)
        )
        pd.testing.assert_frame_equal(one, other)

    def test_other_selections_do_not_leak_in(self):
        scores = grid_of(np.random.default_rng(0), {"unet": {"plain": 0, "salstm": 0.0}})
        other = scores.assign(selection="best_test", dice=0.0)
        for frame in (scores, pd.concat([scores, other])):
            table = comparisons.compare(
                frame, {"acdc": ["unet"]}, self.family, np.random.default_rng(5)
            )
            assert table["plain"].iloc[0] == pytest.approx(0.8, abs=0.05)


class TestTables:
    def two_classes(self, x, y):
        return {("g1", "a", "x"): (x, 1), ("g1", "a", "y"): (y, 1)}

    def test_over_seeds(self):
        rows = pd.concat(
            [run(self.two_classes(0.5, 0.7), seed=0), run(self.two_classes(0.7, 0.9), seed=1)]
        ).assign(state="present")
        table = comparisons.over_seeds(rows, ["dice"])
        (row,) = table.to_dict("records")
        assert row["mean"] == pytest.approx(0.7)
        assert row["sd"] == pytest.approx(np.std([0.6, 0.8], ddof=1))
        assert row["seeds"] == 2
        alone = comparisons.over_seeds(rows.loc[rows["seed"] == 0], ["dice"])
        assert math.isnan(alone["sd"].iloc[0])

    def test_optimism(self):
        values = {"last": 0.6, "best_val": 0.7, "best_test": 0.75}
        frames = [
            run(self.two_classes(value, value), selection=name) for name, value in values.items()
        ]
        (row,) = comparisons.optimism(pd.concat(frames), "penalty", ["dice"]).to_dict("records")
        assert row["optimism"] == pytest.approx(0.05)
        assert {name: row[name] for name in values} == pytest.approx(values)
        (row,) = comparisons.optimism(pd.concat(frames[:2]), "penalty", ["dice"]).to_dict("records")
        assert math.isnan(row["optimism"])

    def test_ranks_flip_where_a_miss_is_free(self):
        """One network misses an organ and is exact elsewhere, the other is 2 mm off everywhere."""
        here = {("g1", "a", "x"): (0.9, 1.0), ("g1", "a", "y"): (0.9, 2.0)}
        missed = run(here, baseline="careless", hd95_directed=1.0, diagonal=100.0)
        gone = missed["class"].to_numpy() == "y"
        missed = missed.assign(
            hd95=np.where(gone, NAN, missed["hd95"]),
            hd95_directed=np.where(gone, NAN, 1.0),
            dice=np.where(gone, 0, 0.9),
            prediction_voxels=np.where(gone, 0, 5),
        )
        careful = run(dict.fromkeys(here, (0.8, 2.0)), baseline="careful", hd95_directed=2.0)
        native = pd.concat([missed, careful])
        scores = pd.concat([native.assign(scope=s) for s in ("stored", "inner", "native")])
        table = comparisons.ranks(scores, "best_val", "hd95").set_index("baseline")
        best = {name: table[name].idxmin() for name in ("transunet", "nnunet", "monai", "penalty")}
        assert best == {
            "transunet": "careless",
            "nnunet": "careless",
            "monai": "careless",
            "penalty": "careful",
        }
