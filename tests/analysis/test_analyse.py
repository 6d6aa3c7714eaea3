"""The command ``claims``: two tables, the same each time; limits; and the exports beside."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from rocrate.rocrate import ROCrate

from salstm import config, exports, limits
from salstm.analysis import analyse, results
from salstm.crate import SOFTWARE
from salstm.evaluation import conventions
from salstm.files import write_json
from tests import synthetic
from tests.synthetic import Made

ROOT = Path(__file__).parents[2]
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
        analyse.write(
            folder, synthetic.claims(folder / "claims.yaml"), {"resamples": 200}, synthetic.GRID
        )
        written.append(
            [(folder / f"{name}.csv").read_bytes() for name in ("claims", "comparisons")]
        )
    assert written[0] == written[1]


def test_nothing_done_still_makes_both_tables(tmp_path):
    states = {tuple(one.values()): ("missing", "not started") for one in Made().identities()}
    folder = synthetic.collect(tmp_path, Made(states=states))
    analyse.write(folder, CLAIMS, {"resamples": 200}, synthetic.GRID)
    comparisons = results.judged(folder, "comparisons")
    assert comparisons["improvement"].isna().all()
    assert (comparisons["reason"] != "").all()
    assert set(results.judged(folder, "claims")["verdict"]) == {"undecided"}


def test_the_declared_family_is_what_config_says(tmp_path):
    folder = synthetic.collect(tmp_path, Made())
    declared = {"modules": ["salstm"], "metrics": ["dice"], "resamples": 200, "level": 0.9}
    analyse.write(folder, synthetic.claims(folder / "claims.yaml"), declared, synthetic.GRID)
    comparisons = results.judged(folder, "comparisons")
    assert len(comparisons) == 3
    assert set(comparisons["family"]) == {3}
    assert set(comparisons["level"]) == {0.9}


def test_a_whole_run_has_no_limits():
    assert limits.reasons(checked(), checked()) == []


def test_phantoms_and_small_recipes_are_limits():
    demo = config.load(ROOT / "config.demo.yaml")
    found = limits.reasons(checked(demo), checked())
    assert found[0] == "phantom data: synapse, acdc, isic2018, cvc_clinicdb"
    assert found[1].startswith(
        "another split than in config.yaml: synapse groups 0.2 0.34 0 where it has strict"
    )
    assert found[2].startswith(
        "another size than in config.yaml: synapse 64 where it has the native size"
    )
    assert found[3].startswith("fewer epochs than in config.yaml: isic2018/unet 4 of 150")
    assert found[4].startswith("smaller images than in config.yaml: isic2018/unet 32 of 256")


@pytest.mark.parametrize(
    ("laid", "reason"),
    [
        (
            {"recipes": {"grid": {"acdc": {"merit": {"optimizer": {"lr": 1.0e-6}}}}}},
            "another recipe than in config.yaml: acdc/merit optimizer",
        ),
        (
            {"recipes": {"networks": {"merit": {"pretrained": False}}}},
            "another recipe than in config.yaml: synapse/merit pretrained and 1 more",
        ),
        (
            {
                "datasets": {
                    "acdc": {
                        "split": {"name": "groups", "validation": 0.1, "test": 0.05, "seed": 0}
                    }
                }
            },
            "another split than in config.yaml: acdc groups 0.1 0.05 0 where it has strict",
        ),
        (
            {"datasets": {"acdc": {"frames": 1}}},
            "another frames than in config.yaml: acdc 1 where it has 3",
        ),
    ],
    ids=["rate", "weights", "split", "frames"],
)
def test_another_run_than_the_shipped_one_is_a_limit(laid, reason):
    assert reason in limits.reasons(checked(laid), checked())


def test_the_same_run_that_tests_fewer_cases_is_a_limit():
    listed = [f"patient{number:03d}" for number in range(1, 151)]
    whole = pd.DataFrame({"group": listed, "case": listed})
    assert limits.fewer_cases(whole, "acdc") == ""
    cut = whole[whole["group"] < "patient010"]
    assert limits.fewer_cases(cut, "acdc").startswith(
        "fewer test cases than in the published split: acdc "
    )
    assert limits.fewer_cases(whole.assign(group="x", case="y"), "acdc") == ""


def test_a_network_of_ones_own_is_no_limit():
    own = {"grid": {"synapse": [], "acdc": ["unet"], "isic2018": [], "cvc_clinicdb": []}}
    own["recipes"] = {"networks": {"unet": {"epochs": 1}}}  # type: ignore[assignment]
    assert limits.reasons(checked(own), checked()) == []


@pytest.fixture
def exported(tmp_path: Path) -> Path:
    folder = synthetic.collect(tmp_path, Made())
    analyse.write(
        folder, synthetic.claims(folder / "claims.yaml"), {"resamples": 200}, synthetic.GRID
    )
    exports.write(folder, tmp_path, {}, tmp_path / "data")
    return tmp_path


def test_challenger_reads_one_value_per_task_case_and_algorithm(exported):
    names = {path.name for path in (exported / "data").iterdir()}
    tables = {
        f"challenger_{place}_{one}_{two}.csv"
        for place in ("acdc", "isic2018")  # no network is on both: no file of all
        for one in ("paper", "strict")
        for two in ("dice", "hd95")
    }
    copies = {f"{one}.csv" for one in exports.COPIED}
    assert names == tables | copies | {"means.json", "nnunet", "ro-crate-metadata.json"}
    table: Any = pd.read_csv(
        exported / "data/challenger_acdc_strict_dice.csv", dtype={"TestCase": str}
    )
    assert list(table.columns) == ["Task", "TestCase", "Algorithm", "MetricValue"]
    assert not table.duplicated(["Task", "TestCase", "Algorithm"]).any()
    rows = conventions.under_protocol(results.read(exported).scores, "strict")
    one = rows[
        (rows["dataset"] == "acdc") & (rows["class"] == "LV") & (rows["case"] == "001")
        & (rows["baseline"] == "mtunet") & (rows["variant"] == "salstm")
    ]  # fmt: skip
    keys = ["Task", "TestCase", "Algorithm"]
    value = table.set_index(keys).loc[("acdc/LV", "001", "mtunet+salstm"), "MetricValue"]
    assert value == pytest.approx(one["dice"].mean())


def test_a_table_of_all_datasets_has_the_algorithms_that_are_everywhere():
    rows = [("acdc/RV", "a", "unet+plain"), ("acdc/RV", "a", "unet+salstm"), ("acdc/RV", "a", "mtunet+plain"),
            ("isic2018/lesion", "b", "unet+plain"), ("isic2018/lesion", "b", "unet+salstm")]  # fmt: skip
    table = pd.DataFrame(rows, columns=["Task", "TestCase", "Algorithm"])
    made = dict(exports.challenges(table, ["acdc", "isic2018"]))
    assert list(made) == ["acdc", "isic2018", "all"]
    assert len(made["acdc"]) == 3
    assert set(made["all"]["Algorithm"]) == {"unet+plain", "unet+salstm"}
    alone = dict(exports.challenges(table[:3], ["acdc"]))
    assert list(alone) == ["acdc"]


def test_the_summary_has_nnunets_keys_and_means(exported):
    found = json.loads((exported / "data/means.json").read_text())
    assert len(found) == 18
    cell = found["acdc/mtunet/plain/seed0"]
    assert cell["labels"] == {"1": "RV", "2": "MYO", "3": "LV"}
    assert set(cell["mean"]["1"]) == {"Dice", "IoU", "FN", "FP", "TN", "TP", "n_pred", "n_ref"}
    scores: Any = pd.read_csv(exported / "scores.csv")
    rows = scores[
        (scores["dataset"] == "acdc") & (scores["baseline"] == "mtunet") & (scores["variant"] == "plain")
        & (scores["seed"] == 0) & (scores["scope"] == "native") & (scores["selection"] == "best_val")
    ]  # fmt: skip
    means = rows.groupby("class")["dice"].mean()
    assert cell["mean"]["2"]["Dice"] == pytest.approx(means["MYO"])
    assert cell["foreground_mean"]["Dice"] == pytest.approx(means.mean())


def test_every_cell_is_written_case_by_case_with_true_negatives():
    columns = ("case", "class", "tp", "fp", "fn", "prediction_voxels", "reference_voxels")
    rows = [("a", "RV", 5, 1, 2, 6, 7), ("a", "MYO", 0, 0, 0, 0, 0), ("b", "RV", 0, 3, 0, 3, 0)]
    scores = pd.DataFrame(rows, columns=list(columns)).assign(
        dataset="acdc", baseline="unet", variant="plain", seed=0, scope="native", selection="best_val",
        dice=[10 / 13, np.nan, 0.0], iou=[5 / 8, np.nan, 0.0],
    )  # fmt: skip
    data: Any = SimpleNamespace(scores=scores)
    ((name, found),) = exports.summaries(data, {"acdc": {"a": 100, "b": 50}})
    assert name == "acdc/unet/plain/seed0"
    first, second = found["metric_per_case"]
    assert first["metrics"]["1"] == {
        "TN": 92, "Dice": 10 / 13, "IoU": 5 / 8, "FN": 2, "FP": 1, "TP": 5, "n_pred": 6, "n_ref": 7,
    }  # fmt: skip
    assert first["metrics"]["2"]["Dice"] is None
    assert first["metrics"]["2"]["TN"] == 100
    assert (second["prediction_file"], second["metrics"]["1"]["TN"]) == ("b", 47)
    assert found["mean"]["1"]["Dice"] == pytest.approx(5 / 13)
    assert found["foreground_mean"]["Dice"] is None  # MYO is nowhere defined: nnU-Net's nan
    ((_, unknown),) = exports.summaries(data, {})
    assert unknown["mean"]["1"]["TN"] is None


def test_the_crate_describes_every_file_and_every_run(tmp_path):
    states = {("acdc", "mtunet", "salstm", 1): ("failed", "train: the loss is nan")}
    folder = synthetic.collect(tmp_path / "collected", Made(states=states))
    record = {
        "started": "2026-01-01T10:00:00+00:00", "finished": "2026-01-02T10:00:00+00:00", "recipe_digest": "d1g",
        "command": "python -m salstm train", "environment": {"commit": {"id": "abc123", "changed": True}},
    }  # fmt: skip
    write_json(folder / "runs.json", {"acdc/mtunet/plain/seed0": record})
    for name in ("one", "two"):
        exports.write(folder, tmp_path / "results", {}, tmp_path / name)
    written = (tmp_path / "one/ro-crate-metadata.json").read_bytes()
    assert written == (tmp_path / "two/ro-crate-metadata.json").read_bytes()
    crate: Any = ROCrate(tmp_path / "one")  # the library reads what it is given
    files = {one.id for one in crate.data_entities}
    there = {
        path.relative_to(tmp_path / "one").as_posix() for path in (tmp_path / "one").rglob("*.*")
    }
    assert files == there - {"ro-crate-metadata.json"}
    summary: Any = crate.get("means.json")
    content = (tmp_path / "one/means.json").read_bytes()
    assert summary["sha256"] == hashlib.sha256(content).hexdigest()
    done, failed = (
        crate.get(f"#train-acdc-mtunet-{one}") for one in ("plain-seed0", "salstm-seed1")
    )
    assert done["startTime"] == record["started"]
    assert "python -m salstm train; recipe d1g" in done["description"]
    assert failed["actionStatus"] == "http://schema.org/FailedActionStatus"
    assert failed["error"] == "train: the loss is nan"
    assert "abc123 with changed files" in crate.get(SOFTWARE)["softwareVersion"]
    assert str(crate.root_dataset["datePublished"]) == record["finished"]
    assert done["result"].id == "nnunet/acdc-mtunet-plain-seed0.json"
    assert done["agent"].id == "#operator"
    assert crate.root_dataset["license"]["@id"] == crate.root_dataset["license"].id
    context = json.loads(written)["@context"]
    assert context[1]["sha256"] == "http://schema.org/sha256"
    assert crate.get("#data-acdc")["creditText"].startswith("Bernard")


def test_exports_of_nothing(tmp_path):
    states = {tuple(one.values()): ("missing", "not started") for one in Made().identities()}
    exports.write(synthetic.collect(tmp_path, Made(states=states)), tmp_path, {}, tmp_path / "data")
    assert json.loads((tmp_path / "data/means.json").read_text()) == {}
    assert (tmp_path / "data/challenger_acdc_paper_dice.csv").read_text().count("\n") == 1


def test_made_up_data_are_known_without_being_told(tmp_path):
    folder = synthetic.collect(tmp_path, Made(seeds=(0, 1, 2)))
    cells: Any = pd.read_csv(folder / "cells.csv")
    cells.assign(phantom=cells["dataset"] == "acdc").to_csv(folder / "cells.csv", index=False)
    claims = synthetic.claims(folder / "claims.yaml")
    analyse.write(folder, claims, {"resamples": 100}, synthetic.GRID)
    judged = results.judged(folder, "claims").set_index("claim")
    assert judged.loc["better", "missing"].str.startswith("phantom data: acdc").all()
    assert set(results.judged(folder, "comparisons")["verdict"]) == {"undecided"}
    assert set(results.judged(folder, "pairs")["verdict"]) == {"undecided"}
    # said once, where the configuration says it, too
    analyse.write(folder, claims, {"resamples": 100}, synthetic.GRID, ["phantom data: acdc"])
    judged = results.judged(folder, "claims").set_index("claim")
    assert (judged.loc["better", "missing"].str.count("phantom data") == 1).all()
