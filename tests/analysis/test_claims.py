"""Claims: every verdict and every reason for none, on scores whose truth is known."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from salstm.analysis import claims, comparisons
from salstm.analysis.claims import Claim, Claims
from salstm.analysis.comparisons import Family
from salstm.analysis.results import Collected
from salstm.columns import COLLECTED, COLUMNS
from salstm.data.datasets import DATASETS

FILE = Path(__file__).parents[2] / "claims.yaml"
GRID = {"acdc": ["mtunet", "merit"]}
FAMILY = Family(modules=["salstm"], metrics=["dice"], resamples=500)


def improves(**changes):
    options: dict[str, Any] = {
        "id": "better",
        "text": "t",
        "source": "s",
        "reading": "r",
        "kind": "improves",
    }
    return Claim(**options | {"modules": ["salstm"], "measures": ["dice"], "grid": GRID} | changes)


def no_more(**changes):
    return improves(id="cheap", kind="costs_no_more", measures=["macs"], tolerance=0.05, **changes)


def scored(gains, *, seeds=(0, 1, 2), groups=12, noise=0.005):
    """Rows of plain and salstm for networks with these true gains."""
    generator = np.random.default_rng(0)
    rows = []
    for baseline, gain in gains.items():
        for variant in ("plain", "salstm"):
            for seed in seeds:
                for k in range(groups):
                    value = 0.8 + gain * (variant == "salstm") + generator.normal(0, noise)
                    row = dict.fromkeys(COLUMNS["scores"], 1.0) | {
                        "dataset": "acdc",
                        "divided_groups": 0,
                    }
                    row |= {"baseline": baseline}
                    row |= {"variant": variant, "seed": seed, "selection": "best_val"}
                    row |= {"scope": "native", "case": f"c{k}", "group": f"g{k}", "class": "LV"}
                    rows.append(
                        row
                        | {"dice": value, "hd95": 1 + gain * (variant == "salstm"), "unit": "mm"}
                    )
    return pd.DataFrame(rows, columns=list(COLUMNS["scores"]))


def costs(**macs):
    """Cost rows of acdc: mtunet_salstm=2.0 and so on."""
    rows = [
        dict(zip(("baseline", "variant"), name.split("_"), strict=True)) | {"macs": value}
        for name, value in macs.items()
    ]
    return pd.DataFrame(rows, columns=["baseline", "variant", "macs"]).assign(dataset="acdc")


def collected(cost, history=None):
    parts = {name: pd.DataFrame(columns=list(COLUMNS[name])) for name in COLLECTED}
    return Collected(**parts | {"cost": cost} | ({} if history is None else {"history": history}))


def judge(
    claim, scores=None, cost=None, *, history=None, grid=GRID, family=FAMILY, seeds=3, limits=()
):
    scores = scored({}) if scores is None else scores
    cost = costs() if cost is None else cost
    rule: dict[str, Any] = {"seeds": seeds, "limits": limits}
    compared = comparisons.compare(scores, grid, family, np.random.default_rng(0), **rule)
    data = collected(cost, history)
    table = claims.evaluate(
        Claims(seeds, [claim]), compared, data, family, np.random.default_rng(0), limits=limits
    )
    assert list(table.columns) == list(COLUMNS["claims"])
    (row,) = table.to_dict("records")
    return row


class TestImproves:
    def test_supported(self):
        row = judge(improves(), scored({"mtunet": 0.03, "merit": 0.05}))
        assert row["verdict"] == "supported"
        assert row["missing"] == ""
        assert (row["declared"], row["done"], row["clearly_better"]) == (2, 2, 2)
        assert row["estimate"] == pytest.approx(0.04, abs=0.005)
        assert row["evidence"] == "2 of 2 networks better, 2 clearly; 0 clearly worse"

    def test_one_clearly_worse_contradicts(self):
        row = judge(improves(), scored({"mtunet": 0.03, "merit": -0.05}))
        assert row["verdict"] == "contradicted"
        assert (row["clearly_better"], row["clearly_worse"]) == (1, 1)

    def test_contradicted_even_if_the_rest_was_not_run(self):
        row = judge(improves(), scored({"merit": -0.05}))
        assert row["verdict"] == "contradicted"
        assert (row["declared"], row["done"]) == (2, 1)

    def test_no_clear_difference(self):
        row = judge(improves(), scored({"mtunet": 0.03, "merit": 0.0}))
        assert row["verdict"] == "undecided"
        assert row["missing"].startswith(
            "1 of 2 are neither clearly better nor clearly worse; undecided is not"
        )
        assert "ACDC" in row["missing"]

    def test_a_network_not_run(self):
        row = judge(improves(), scored({"mtunet": 0.03}))
        assert row["verdict"] == "undecided"
        assert row["missing"] == "no scores of plain and salstm: 1, acdc/merit"
        assert row["clearly_better"] == 1
        assert math.isnan(row["low"])

    @pytest.mark.parametrize("gain", [0.05, -0.05])
    def test_too_few_seeds_decide_nothing(self, gain):
        row = judge(improves(), scored({"mtunet": gain, "merit": gain}, seeds=(0, 1)))
        assert row["verdict"] == "undecided"
        assert "2 of 2 comparisons have fewer than 3 seeds" in row["missing"]
        assert (row["clearly_better"], row["clearly_worse"]) == (0, 0)

    @pytest.mark.parametrize("gain", [0.05, -0.05])
    def test_limits_decide_nothing(self, gain):
        scores = scored({"mtunet": gain, "merit": gain})
        row = judge(improves(), scores, limits=["phantom data", "2 of 200 epochs"])
        assert row["verdict"] == "undecided"
        assert row["missing"].startswith("phantom data; 2 of 200 epochs")

    def test_one_group_decides_nothing(self):
        row = judge(improves(), scored({"mtunet": 0.05, "merit": 0.05}, groups=1))
        assert row["verdict"] == "undecided"
        assert "2 of 2 are neither" in row["missing"]

    def test_other_cases_decide_nothing(self):
        scores = scored({"mtunet": 0.05, "merit": 0.05})
        fewer = scores[(scores["variant"] == "plain") | (scores["case"] < "c2")]
        row = judge(improves(), fewer)
        assert row["verdict"] == "undecided"
        # c0, c1, c10, c11 are left of twelve, for both networks
        assert (
            "2 of 2 comparisons are not of the same cases (16 without a partner)" in row["missing"]
        )

    def test_the_luck_of_the_trainings_is_no_verdict(self):
        """Trainings that differ by 2 points: 12 patients agree that the module is better, three trainings do not."""
        scores = scored({"mtunet": 0.02, "merit": 0.02})
        luck = (scores["seed"] - 1) * 0.02
        row = judge(improves(), scores.assign(dice=scores["dice"] + luck))
        assert row["verdict"] == "undecided"
        assert judge(improves(), scores)["verdict"] == "supported"

    def test_a_grid_of_ones_own_has_another_family(self):
        scores = scored({"mtunet": 0.03, "merit": 0.05})
        same = judge(improves(), scores)
        assert (same["family"], same["own_family"]) == (2, False)
        row = judge(improves(grid={"acdc": ["mtunet", "merit", "transunet"]}), scores)
        assert (row["family"], row["own_family"]) == (3, True)
        assert row["verdict"] == "undecided"
        assert row["missing"] == "not in this run's grid: 1, acdc/transunet"

    @pytest.mark.extended
    def test_no_mean_over_mm_and_pixels(self):
        scores = scored({"mtunet": -0.5, "merit": -0.5})
        other = scores.assign(dataset="isic2018", unit="pixel")
        grid = {"acdc": ["mtunet", "merit"], "isic2018": ["mtunet", "merit"]}
        family = Family(modules=["salstm"], metrics=["dice", "hd95"], resamples=200)
        both = pd.concat([scores, other])
        found = {
            measure: judge(improves(measures=[measure], grid=grid), both, grid=grid, family=family)
            for measure in ("dice", "hd95")
        }
        assert math.isnan(found["hd95"]["estimate"])
        assert found["hd95"]["verdict"] == "supported"
        assert found["dice"]["estimate"] == pytest.approx(-0.5, abs=0.01)

    def test_measure_outside_the_declared_family(self):
        row = judge(improves(measures=["hd95"]), scored({"mtunet": 0.03, "merit": 0.03}))
        assert row["verdict"] == "undecided"
        assert row["missing"] == "not in the declared family: 2, acdc/mtunet, acdc/merit"

    def test_distances(self):
        family = Family(modules=["salstm"], metrics=["hd95"], resamples=200)
        scores = scored({"mtunet": -0.5, "merit": -0.5})
        row = judge(improves(measures=["hd95"]), scores, family=family)
        assert row["verdict"] == "supported"
        assert row["estimate"] == pytest.approx(0.5)

    def test_nothing_at_all(self):
        row = judge(improves(), pd.DataFrame(columns=list(COLUMNS["scores"])))
        assert row["verdict"] == "undecided"
        assert row["done"] == 0
        assert math.isnan(row["estimate"])
        assert row["missing"] == "no scores of plain and salstm: 2, acdc/mtunet, acdc/merit"


class TestCosts:
    def test_one_above_contradicts(self):
        row = judge(no_more(), cost=costs(mtunet_plain=40.5, mtunet_salstm=287.2))
        assert row["verdict"] == "contradicted"
        assert row["evidence"] == (
            "1 of 2 networks counted, 1 cost more, acdc/mtunet the most: 7.09 times"
        )
        assert row["estimate"] == row["low"] == row["high"] == pytest.approx(287.2 / 40.5)

    def test_supported_within_the_tolerance(self):
        table = costs(mtunet_plain=40, mtunet_salstm=41, merit_plain=34, merit_salstm=30)
        row = judge(no_more(), cost=table)
        assert row["verdict"] == "supported"
        assert (row["clearly_better"], row["clearly_worse"]) == (2, 0)

    def test_counts_are_exact_whatever_the_run(self):
        table = costs(mtunet_plain=40, mtunet_salstm=41, merit_plain=34, merit_salstm=30)
        assert judge(no_more(), cost=table, limits=["phantom data"])["verdict"] == "supported"

    @pytest.mark.parametrize(
        "table",
        [
            costs(),
            costs(mtunet_plain=40.0, mtunet_salstm=40.0),
            costs(mtunet_plain=40.0, mtunet_salstm=40.0, merit_plain=34.0, merit_salstm=math.nan),
            costs(mtunet_plain=40.0, mtunet_salstm=40.0).drop(columns="macs"),
        ],
        ids=["empty", "one", "nan", "column"],
    )
    def test_gaps(self, table):
        row = judge(no_more(), cost=table)
        assert row["verdict"] == "undecided"
        assert "acdc/merit" in row["missing"]

    def test_against_a_control(self):
        table = costs(mtunet_convlstm=286.0, mtunet_salstm=287.2, mtunet_plain=40.0)
        row = judge(no_more(against="convlstm", grid={"acdc": ["mtunet"]}), cost=table)
        assert row["verdict"] == "supported"


def losses(ends, *, seeds=(0, 1, 2), epochs=20):
    """Histories of convlstm and salstm on acdc: {network: (convlstm, salstm)}, the loss at the end, a little noise."""
    generator = np.random.default_rng(7)
    rows = [
        {"dataset": "acdc", "baseline": baseline, "variant": variant, "seed": seed, "epoch": epoch}
        # before the last tenth the order is the other way round
        | {"loss": end * generator.normal(1, 0.01) if epoch > 18 else 1 / end}
        for baseline, pair in ends.items()
        for variant, end in zip(("convlstm", "salstm"), pair, strict=True)
        for seed in seeds
        for epoch in range(1, epochs + 1)
    ]
    return pd.DataFrame(rows)


class TestLosses:
    claim = improves(id="fits", kind="fits_better", measures=["loss"], against="convlstm")

    def test_lower_everywhere_is_supported(self):
        row = judge(self.claim, history=losses({"mtunet": (0.2, 0.1), "merit": (0.4, 0.3)}))
        assert row["verdict"] == "supported"
        assert row["evidence"] == "2 of 2 networks lower, 2 clearly; 0 clearly higher"
        # ratios 1/2 and 3/4; the end of 20 epochs is the last two
        assert row["estimate"] == pytest.approx(0.625, rel=0.02)
        assert (row["low"], row["high"]) == pytest.approx((0.5, 0.75), rel=0.02)

    def test_higher_once_contradicts(self):
        row = judge(self.claim, history=losses({"mtunet": (0.2, 0.1), "merit": (0.3, 0.4)}))
        assert row["verdict"] == "contradicted"

    @pytest.mark.parametrize(
        ("history", "missing"),
        [
            (losses({"mtunet": (0.2, 0.1)}), "no losses of salstm and convlstm: 1, acdc/merit"),
            (losses({"mtunet": (0.2, 0.1), "merit": (0.2, 0.1)}, seeds=(0,)), "fewer than 3 seeds"),
            (losses({"mtunet": (0.2, 0.1), "merit": (0.2, 0.1999)}), "1 of 2 are neither"),
            (None, "no losses of salstm and convlstm: 2, acdc/mtunet"),
        ],
        ids=["gap", "one seed", "equal", "nothing"],
    )
    def test_undecided(self, history, missing):
        row = judge(self.claim, history=history)
        assert row["verdict"] == "undecided"
        assert missing in row["missing"]

    def test_phantoms_decide_nothing(self):
        history = losses({"mtunet": (0.2, 0.1), "merit": (0.4, 0.3)})
        assert judge(self.claim, history=history, limits=["phantom data"])["verdict"] == "undecided"


class TestFile:
    def test_shipped_file(self):
        found = claims.read(FILE)
        assert found.seeds == 3
        assert len({claim.id for claim in found.claims}) == len(found.claims) == 5
        for claim in found.claims:
            assert set(claim.grid) <= set(DATASETS)
            assert claim.text
            assert claim.source

    def test_shipped_grid_is_the_papers(self):
        import yaml

        import baselines

        config = yaml.safe_load((FILE.parent / "config.yaml").read_text(encoding="utf-8"))
        found = {claim.id: claim for claim in claims.read(FILE).claims}
        assert found["every_network"].grid == config["grid"]
        for claim in found.values():
            for dataset, names in claim.grid.items():
                assert set(names) <= set(config["grid"][dataset]) & set(baselines.names())

    def test_empty_run_decides_nothing(self):
        family, said = Family(resamples=100), claims.read(FILE)
        scores = pd.DataFrame(columns=list(COLUMNS["scores"]))
        grid = said.claims[0].grid
        compared = comparisons.compare(scores, grid, family, np.random.default_rng(0))
        data = collected(costs())
        table = claims.evaluate(said, compared, data, family, np.random.default_rng(0))
        assert set(table["verdict"]) == {"undecided"}
        assert all(table["missing"])
        assert len(table) == 2 * 2 * 2 + 2 + 2 + 2

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"tolerances": 1}, r"every: key 'tolerances': unknown. Did you mean tolerance\?"),
            ({"kind": "improve"}, r"every: kind 'improve': unknown. Did you mean improves\?"),
            ({"reading": None}, "every: reading missing"),
        ],
    )
    def test_mistakes(self, tmp_path, change, message):
        import yaml

        entry = {"id": "every", "text": "t", "source": "s", "reading": "r", "kind": "improves"}
        entry |= {"modules": [], "measures": [], "grid": {}} | change
        entry = {key: value for key, value in entry.items() if value is not None}
        path = tmp_path / "claims.yaml"
        path.write_text(yaml.safe_dump({"seeds": 3, "claims": [entry]}), encoding="utf-8")
        with pytest.raises(ValueError, match=message):
            claims.read(path)
