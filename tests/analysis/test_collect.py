"""Collecting cells: what is done is gathered, what is not is named with its reason."""

from __future__ import annotations

import shutil

import pandas as pd
import pytest

from salstm.analysis import collect
from salstm.analysis.results import read
from salstm.columns import COLLECTED, COLUMNS
from salstm.files import write_json

GRID = {"grid": {"acdc": ["unet", "mtunet"]}, "variants": ["plain", "salstm"], "seeds": [0]}


@pytest.fixture
def results(tmp_path):
    root = tmp_path / "results"
    done = root / "acdc/unet/plain/seed0"
    (done / "logs").mkdir(parents=True)
    pd.DataFrame(
        [
            {
                **{"dataset": "acdc", "baseline": "unet", "variant": "plain", "seed": 0},
                **{"selection": selection, "scope": "native", "case": case, "group": case},
                **{"class": "RV", "dice": 0.1 + 0.2, "unit": "mm", "divided_groups": 0},
            }
            for selection in ("best_test", "best_val", "last")
            for case in ("001", "002")
        ]
    ).reindex(columns=list(COLUMNS["scores"])).to_csv(done / "scores.csv", index=False)
    curve = pd.DataFrame({"epoch": [1], "loss": [0.5]})
    curve.reindex(columns=list(collect.CURVE)).to_csv(done / "history.csv", index=False)
    best = {"best_val": {"epoch": 3, "score": 0.9}, "best_test": {"epoch": 4, "score": 0.8}}
    write_json(
        done / "run.json",
        {"recipe": {"epochs": 5, "pretrained": False}, "best": best, "seconds": 7.5},
    )
    failed = root / "acdc/unet/salstm/seed0/logs/train.log"
    failed.parent.mkdir(parents=True)
    failed.write_text(
        "12:00:00 INFO epoch 1/5\n12:00:01 ERROR train: epoch 2, iteration 9: the loss is nan\n"
    )
    running = root / "acdc/mtunet/plain/seed0/logs/train.log"
    running.parent.mkdir(parents=True)
    running.write_text("12:00:00 INFO epoch 1/5 loss 0.3\n")
    cost = pd.DataFrame(
        {"dataset": ["acdc"], "baseline": ["unet"], "variant": ["plain"], "macs": 5}
    )
    cost.reindex(columns=list(COLUMNS["cost"])).to_csv(root / "acdc/unet/cost.csv", index=False)
    return root


def test_every_cell_is_a_row_with_its_state_and_reason(results, tmp_path):
    collect.collect(results, GRID, tmp_path / "out")
    cells = pd.read_csv(tmp_path / "out/cells.csv").set_index(["baseline", "variant"])
    assert cells["state"].to_dict() == {
        ("unet", "plain"): "done",
        ("unet", "salstm"): "failed",
        ("mtunet", "plain"): "running",
        ("mtunet", "salstm"): "missing",
    }
    assert cells.loc[("unet", "salstm"), "reason"] == "train: epoch 2, iteration 9: the loss is nan"
    assert cells.loc[("mtunet", "plain"), "reason"].startswith("train: 12:00:00 INFO epoch 1/5")
    assert cells.loc[("mtunet", "salstm"), "reason"] == "not started"
    assert cells.loc[("unet", "plain"), "best_val_epoch"] == 3


def test_scores_keep_full_precision_and_curves_get_their_identity(results, tmp_path):
    collect.collect(results, GRID, tmp_path / "out")
    assert pd.read_csv(tmp_path / "out/scores.csv")["dice"].tolist() == 6 * [0.1 + 0.2]
    curve = pd.read_csv(tmp_path / "out/history.csv")
    assert curve.columns[:4].tolist() == ["dataset", "baseline", "variant", "seed"]
    assert pd.read_csv(tmp_path / "out/cost.csv")["macs"].tolist() == [5]


def test_nothing_done_gives_empty_tables_with_columns(tmp_path):
    collect.collect(tmp_path / "results", GRID, tmp_path / "out")
    assert set(pd.read_csv(tmp_path / "out/cells.csv")["state"]) == {"missing"}
    for name in COLLECTED:
        table = pd.read_csv(tmp_path / f"out/{name}.csv")
        assert table.columns.tolist() == list(COLUMNS[name])
        assert table.empty == (name != "cells")


@pytest.mark.parametrize("file", ["unet/cost.csv", "unet/sparsity.csv", "bounds.csv"])
def test_a_network_table_without_a_column_is_an_error_with_its_name(results, tmp_path, file):
    path = results / "acdc" / file
    path.write_text("dataset,baseline,variant,parameters\nacdc,unet,plain,5\n")
    with pytest.raises(ValueError, match=rf"{path}: no column .*; delete this file and run"):
        collect.collect(results, GRID, tmp_path / "out")


def cut_in_a_row(text: str) -> str:
    return text[: text.rindex(",")]


def cut_between_rows(text: str) -> str:
    return "".join(text.splitlines(keepends=True)[:-1])


@pytest.mark.parametrize(
    ("file", "change", "why"),
    [
        ("scores.csv", cut_in_a_row, "a row without an end"),
        ("scores.csv", cut_between_rows, "the same cases for every choice of weights"),
        ("scores.csv", lambda text: text + text.splitlines()[-1] + "\n", "a case stands twice"),
        ("scores.csv", lambda text: text.replace("unit", "units", 1), "no column unit"),
        ("scores.csv", lambda text: text.splitlines()[0], "the same cases"),
        ("scores.csv", lambda text: "", "No columns to parse"),
        ("history.csv", lambda text: "", "No columns to parse"),
        ("run.json", lambda text: text[:20], "run.json"),
    ],
)
def test_a_broken_cell_is_a_failed_cell_and_the_others_are_collected(
    results, tmp_path, file, change, why
):
    whole = results / "acdc/unet/plain/seed0"
    shutil.copytree(whole, results / "acdc/mtunet/salstm/seed0")
    path = whole / file
    path.write_text(change(path.read_text()))
    collect.collect(results, GRID, tmp_path / "out")
    cells = pd.read_csv(tmp_path / "out/cells.csv").set_index(["baseline", "variant"])
    assert cells.loc[("unet", "plain"), "state"] == "failed"
    assert why in cells.loc[("unet", "plain"), "reason"]
    reason = cells.loc[("unet", "plain"), "reason"]
    assert reason.startswith(f"{path}: ")
    assert reason.endswith("; delete this file and run the same command again")
    assert cells.loc[("mtunet", "salstm"), "state"] == "done"
    assert len(pd.read_csv(tmp_path / "out/scores.csv")) == 6


def test_cases_called_like_undefined_values_are_cases(results, tmp_path):
    """A case NA beside a case 002, of a group nan: all are compared."""
    path = results / "acdc/unet/plain/seed0/scores.csv"
    path.write_text(path.read_text().replace("001,001", "NA,nan"))
    collect.collect(results, GRID, tmp_path / "out")
    scores = read(tmp_path / "out").scores
    assert sorted(set(scores["case"])) == ["002", "NA"]
    assert sorted(set(scores["group"])) == ["002", "nan"]
    assert scores["dice"].notna().all()


def test_data_that_this_program_made_are_known_from_their_list(results, tmp_path):
    collect.collect(results, GRID, tmp_path / "out")
    assert not read(tmp_path / "out").cells["phantom"].any()
    write_json(results / "acdc/raw.json", {"files": {}, "phantom": True})
    collect.collect(results, GRID, tmp_path / "out")
    assert read(tmp_path / "out").cells["phantom"].all()
