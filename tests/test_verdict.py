"""The command ``claims``: two tables, the same each time; limits; and the exports beside."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from salstm import collected, config, conventions, exports, limits, verdict
from tests import synthetic
from tests.synthetic import Made

ROOT = Path(__file__).parent.parent
CLAIMS = ROOT / "claims.yaml"


def checked(*laid: dict) -> dict[str, Any]:
    import baselines

    merged = config.load(ROOT / "config.yaml")
    for one in laid:
        merged = config.merge(merged, one)
    return config.checked(merged, baselines.names())


def test_the_same_scores_give_the_same_bytes(tmp_path):
    folder = synthetic.collect(tmp_path, Made())
    written = []
    for _ in range(2):
        verdict.write(
            folder, synthetic.claims(folder / "claims.yaml"), {"resamples": 200}, synthetic.GRID
        )
        written.append(
            [(folder / f"{name}.csv").read_bytes() for name in ("claims", "comparisons")]
        )
    assert written[0] == written[1]


def test_nothing_done_still_makes_both_tables(tmp_path):
    states = {tuple(one.values()): ("missing", "not started") for one in Made().identities()}
    folder = synthetic.collect(tmp_path, Made(states=states))
    verdict.write(folder, CLAIMS, {"resamples": 200}, synthetic.GRID)
    comparisons = collected.judged(folder, "comparisons")
    assert comparisons["improvement"].isna().all()
    assert (comparisons["reason"] != "").all()
    assert set(collected.judged(folder, "claims")["verdict"]) == {"undecided"}


def test_the_declared_family_is_what_config_says(tmp_path):
    folder = synthetic.collect(tmp_path, Made())
    declared = {"modules": ["salstm"], "metrics": ["dice"], "resamples": 200, "level": 0.9}
    verdict.write(folder, synthetic.claims(folder / "claims.yaml"), declared, synthetic.GRID)
    comparisons = collected.judged(folder, "comparisons")
    assert len(comparisons) == 3
    assert set(comparisons["family"]) == {3}
    assert set(comparisons["level"]) == {0.9}


def test_a_whole_run_has_no_limits():
    assert limits.limits(checked(), checked()) == []


def test_phantoms_and_small_recipes_are_limits():
    demo = config.load(ROOT / "config.demo.yaml")
    found = limits.limits(checked(demo), checked())
    assert found[0] == "phantom data: synapse, acdc, isic2018, cvc_clinicdb"
    assert found[1].startswith("fewer epochs than in config.yaml: synapse/missformer 4 of 400")
    assert found[2].startswith("smaller images than in config.yaml: synapse/missformer 32 of 224")


def test_a_network_of_ones_own_is_no_limit():
    own = {"grid": {"synapse": [], "acdc": ["unet"], "isic2018": [], "cvc_clinicdb": []}}
    own["recipes"] = {"networks": {"unet": {"epochs": 1}}}  # type: ignore[assignment]
    assert limits.limits(checked(own), checked()) == []


@pytest.fixture
def exported(tmp_path: Path) -> Path:
    folder = synthetic.collect(tmp_path, Made())
    verdict.write(
        folder, synthetic.claims(folder / "claims.yaml"), {"resamples": 200}, synthetic.GRID
    )
    exports.write(folder, tmp_path / "data")
    return tmp_path


def test_challenger_reads_one_value_per_task_case_and_algorithm(exported):
    names = {path.name for path in (exported / "data").iterdir()}
    tables = {
        f"challenger_{one}_{two}.csv" for one in ("paper", "strict") for two in ("dice", "hd95")
    }
    assert names == tables | {"summary.json", "claims.csv", "comparisons.csv"}
    table: Any = pd.read_csv(exported / "data/challenger_strict_dice.csv", dtype={"TestCase": str})
    assert list(table.columns) == ["Task", "TestCase", "Algorithm", "MetricValue"]
    assert not table.duplicated(["Task", "TestCase", "Algorithm"]).any()
    rows = conventions.under_protocol(collected.read(exported).scores, "strict")
    one = rows[
        (rows["dataset"] == "acdc") & (rows["class"] == "LV") & (rows["case"] == "001")
        & (rows["baseline"] == "mtunet") & (rows["variant"] == "salstm")
    ]  # fmt: skip
    keys = ["Task", "TestCase", "Algorithm"]
    value = table.set_index(keys).loc[("acdc/LV", "001", "mtunet+salstm"), "MetricValue"]
    assert value == pytest.approx(one["dice"].mean())


def test_the_summary_has_nnunets_keys_and_means(exported):
    found = json.loads((exported / "data/summary.json").read_text())
    assert len(found) == 18
    cell = found["acdc/mtunet/plain/seed0"]
    assert cell["labels"] == {"1": "RV", "2": "MYO", "3": "LV"}
    assert set(cell["mean"]["1"]) == {"Dice", "IoU", "FN", "FP", "TP", "n_pred", "n_ref"}
    scores: Any = pd.read_csv(exported / "scores.csv")
    rows = scores[
        (scores["dataset"] == "acdc") & (scores["baseline"] == "mtunet") & (scores["variant"] == "plain")
        & (scores["seed"] == 0) & (scores["scope"] == "native") & (scores["selection"] == "best_val")
    ]  # fmt: skip
    means = rows.groupby("class")["dice"].mean()
    assert cell["mean"]["2"]["Dice"] == pytest.approx(means["MYO"])
    assert cell["foreground_mean"]["Dice"] == pytest.approx(means.mean())


def test_exports_of_nothing(tmp_path):
    states = {tuple(one.values()): ("missing", "not started") for one in Made().identities()}
    exports.write(synthetic.collect(tmp_path, Made(states=states)), tmp_path / "data")
    assert json.loads((tmp_path / "data/summary.json").read_text()) == {}
    assert (tmp_path / "data/challenger_paper_dice.csv").read_text().count("\n") == 1
