"""How firm an order is: against brute force, with holes, and empty for a reason."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pandas as pd
import pytest

from salstm.analysis import analyse, ranking, results, statistics
from salstm.evaluation import conventions
from salstm.figures import ranking as figure
from salstm.tables import ranking as table
from tests import synthetic
from tests.synthetic import Made


def made(values: dict[str, list[float]], groups: list[str], **more: Any) -> Any:
    """Scored rows of one class and seed: network -> its values by case."""
    rows = [
        {
            "dataset": "acdc",
            "baseline": name,
            "variant": "plain",
            "seed": 0,
            "selection": "best_val",
            "class": "a",
            **more,
        }
        | {"case": f"{at}", "group": groups[at], "dice": value}
        for name, found in values.items()
        for at, value in enumerate(found)
    ]
    return pd.DataFrame(rows)


def ranked(rows, metrics=("dice",), resamples=4000) -> tuple[Any, Any, Any]:
    return ranking.rank(rows, metrics, np.random.default_rng(1), resamples=resamples)


VALUES = {"a": [0.9, 0.8, 0.7, 0.2], "b": [0.8, 0.85, 0.6, 0.5], "c": [0.1, 0.2, 0.3, 0.25]}
GROUPS = ["p", "p", "q", "r"]


def brute_force() -> dict[tuple[str, int], float]:
    """Share of all draws of three groups from three in which a network has a rank."""
    counts: dict[tuple[str, int], float] = {}
    for draw in itertools.product("pqr", repeat=3):
        cases = [at for one in draw for at, group in enumerate(GROUPS) if group == one]
        means = {
            name: float(np.mean([found[at] for at in cases])) for name, found in VALUES.items()
        }
        for name, mean in means.items():
            place = 1 + sum(1 for other in means.values() if other > mean)
            counts[name, place] = counts.get((name, place), 0) + 1 / 27
    return counts


def test_shares_of_ranks_are_those_of_all_draws():
    table, shares, _ = ranked(made(VALUES, GROUPS), resamples=40_000)
    expected = brute_force()
    for row in shares.to_dict("records"):
        assert row["share"] == pytest.approx(
            expected.get((row["baseline"], row["at"]), 0), abs=0.01
        )
    assert table["rank"].tolist() == [2, 1, 3]  # b: 0.6875, a: 0.65
    first = table.set_index("baseline")["first"]
    assert first["c"] == 0
    assert table.loc[2, ["low", "high"]].tolist() == [2, 3]  # c beats a where r is drawn thrice


def test_distances_are_ranked_the_other_way():
    rows = made(VALUES, GROUPS).assign(hd95=lambda frame: -frame["dice"])
    both, _, pairs = ranked(rows, ("dice", "hd95"))
    ranks = [part["rank"].tolist() for _, part in both.groupby("metric", sort=False)]
    assert ranks[0] == ranks[1]
    gains = [part["gain"].tolist() for _, part in pairs.groupby("metric", sort=False)]
    assert gains[0] == pytest.approx(gains[1])


def test_pairs_name_the_better_one_and_are_corrected_together():
    _, _, pairs = ranked(made(VALUES, GROUPS))
    assert list(zip(pairs["baseline"], pairs["over_baseline"], strict=True)) == [
        ("b", "a"), ("a", "c"), ("b", "c"),
    ]  # fmt: skip
    assert pairs["gain"].tolist() == pytest.approx([0.0375, 0.4375, 0.475])
    # one seed: another training is unknown, so that nothing is told apart
    assert pairs["p"].isna().all()
    assert set(pairs["verdict"]) == {"undecided"}


def test_pairs_are_told_apart_over_trainings():
    """b is above c by 0.5 in every training, a and b swap places from one training to the next."""
    shifts = [
        {"a": 0.1, "b": 0.0, "c": 0.0},
        {"a": -0.1, "b": 0.0, "c": 0.01},
        {"a": 0.0, "b": 0.02, "c": 0.0},
    ]
    level = {"a": 0.8, "b": 0.8, "c": 0.3}
    ripple = np.linspace(-0.01, 0.01, 12)
    frames = [
        made({name: [level[name] + by[name] + one for one in ripple] for name in level}, [str(at) for at in range(12)])
        .assign(seed=seed)
        for seed, by in enumerate(shifts)
    ]  # fmt: skip
    _, _, pairs = ranked(pd.concat(frames))
    found = {(row["baseline"], row["over_baseline"]): row for row in pairs.to_dict("records")}
    assert {key: row["verdict"] for key, row in found.items()} == {
        ("b", "a"): "undecided", ("a", "c"): "better", ("b", "c"): "better",
    }  # fmt: skip
    assert found["b", "a"]["patients_p"] < 0.001  # by the patients alone it would be certain
    assert pairs["p_holm"].tolist() == pytest.approx(
        statistics.holm(pairs["p"].to_numpy()).tolist()
    )


@pytest.mark.parametrize("groups", [1, 7, 16, 30])
def test_many_sign_flips_at_once_are_the_single_ones(groups):
    generator = np.random.default_rng(groups)
    labels = generator.integers(0, groups, 80)
    values = generator.normal(0.1, 1, (80, 5))
    values[generator.random((80, 5)) < 0.1] = np.nan
    values[:, 4] = np.nan
    found = statistics.sign_flips(values, labels, np.random.default_rng(0), 20_000)
    single = [
        statistics.sign_flip(statistics.clusters(one, labels), np.random.default_rng(0), 20_000)
        for one in values.T
    ]
    near = {"abs": 0.015} if groups > statistics.EXACT else {"rel": 1e-12}
    assert found == pytest.approx(single, nan_ok=True, **near)
    assert np.isnan(found[4])


@pytest.mark.parametrize(
    ("values", "groups", "why"),
    [(VALUES, ["p"] * 4, "1 patient or sequence"), ({"a": VALUES["a"]}, GROUPS, "nothing to rank")],
)
def test_what_cannot_be_drawn_again_says_why(values, groups, why, tmp_path):
    frames = ranked(made(values, groups))
    found = frames[0]
    assert found["reason"].str.contains(why).all()
    assert found[["low", "high", "first", "tau"]].isna().all().all()
    judged: dict[str, Any] = dict(zip(("ranking", "shares", "pairs"), frames, strict=True))
    grid = {"acdc": tuple(values)}
    data = results.read(synthetic.collect(tmp_path, Made(grid=grid, variants=("plain",))))
    assert figure.draw(data, judged, synthetic.cards(), "acdc", tmp_path) is None
    shown = table.build(data, judged, synthetic.cards(), "acdc")
    assert shown is not None
    assert why in shown.notes[0]


def test_nothing_scored_ranks_nothing():
    assert all(frame.empty for frame in ranked(made(VALUES, GROUPS).iloc[:0]))


def test_a_network_without_a_value_is_ranked_nowhere():
    found, shares, pairs = ranked(made({**VALUES, "c": [np.nan] * 4}, GROUPS))
    assert np.isnan(found["rank"][2])
    assert shares.loc[shares["baseline"] == "c", "share"].isna().all()
    assert pairs["patients_p"].isna().tolist() == [False, True, True]


def test_table_and_figure_of_a_whole_run(tmp_path):
    grid = {"acdc": ("mtunet", "transunet"), "isic2018": ("unet",)}
    folder = synthetic.collect(tmp_path, Made(grid=grid, cases=12))
    claims = synthetic.claims(folder / "claims.yaml")
    analyse.write(folder, claims, {"resamples": 500}, grid)
    before = (folder / "ranking.csv").read_bytes()
    analyse.write(folder, claims, {"resamples": 500}, grid)
    assert (folder / "ranking.csv").read_bytes() == before
    data = results.read(folder)
    judged = {one: results.judged(folder, one) for one in ("ranking", "shares", "pairs")}
    facts = figure.draw(data, judged, synthetic.cards(), "acdc", tmp_path)
    assert facts is not None
    assert "0 of 15 pairs" in facts["alt"] or "of 30 pairs" in facts["alt"]
    assert "over trainings and groups" in facts["caption"]
    shown = table.build(data, judged, synthetic.cards(), "acdc")
    assert shown is not None
    assert len(shown.rows) == 6
    scored: Any = conventions.under_protocol(data.of("acdc").scores, "strict")
    means = scored.groupby(["baseline", "variant", "seed", "case"])["dice"].mean()
    means = (
        means.groupby(["baseline", "variant", "case"])
        .mean()
        .groupby(["baseline", "variant"])
        .mean()
    )
    expected = means.rank(ascending=False)
    for row, (baseline, variant) in zip(
        shown.rows, itertools.product(grid["acdc"], data.variants), strict=True
    ):
        assert row.cells[0].value == expected[baseline, variant]
    assert shown.notes[-1].startswith("Exploration")
