"""Exploratory metrics: declared, shown apart, never tested; and what is asked for reaches the jobs, and only that."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import baselines
from salstm import choices, config, exports, tables
from salstm.analysis import analyse, collect, results
from salstm.columns import COLUMNS
from salstm.evaluation import conventions, tolerances
from salstm.files import read_csv
from salstm.tables import exploration
from salstm.vocabulary import MEASURED, METRICS
from tests import synthetic
from tests.synthetic import Made

ROOT = Path(__file__).parents[1]
MADE = Made(grid={"acdc": ("mtunet",)}, cases=4, epochs=2, bounds=True)
EXPLORED = ("nsd", "iou", "object_recall", "precision", "assd")


def laid(**statistics):
    changed = {"statistics": statistics}
    return config.checked(
        config.merge(config.load(ROOT / "config.yaml"), changed), baselines.names()
    )


class TestChoices:
    def test_a_run_that_asks_for_nothing_more_tells_its_jobs_nothing(self):
        assert choices.of(laid(exploratory=["iou", "precision"]), "acdc") == {}

    def test_what_is_tested_is_not_explored_as_well(self):
        shipped = laid()["statistics"]["exploratory"]
        assert shipped == ["iou", "precision", "recall", "assd"]
        assert {*shipped} <= {*MEASURED}  # nothing is computed for it
        laid_over = laid(metrics=["dice", "assd"])["statistics"]
        assert laid_over["exploratory"] == ["iou", "precision", "recall"]

    def test_what_is_asked_reaches_the_job_with_its_tolerances(self):
        told = choices.of(laid(metrics=["dice", "nsd"], exploratory=["object_f1"]), "synapse")
        assert told["metrics"] == ["nsd", "object_f1"]
        assert told["unit"] == "mm"
        assert told["tolerances"]["liver"] == 5.0
        assert len(told["tolerances"]) == 8

    @pytest.mark.parametrize(
        ("asked", "said"),
        [
            (None, {"RV": 2.0, "MYO": 2.0, "LV": 2.0}),
            (1.5, {"RV": 1.5, "MYO": 1.5, "LV": 1.5}),
            ({"RV": 3}, {"RV": 3.0, "MYO": 2.0, "LV": 2.0}),
        ],
    )
    def test_tolerances_of_the_configuration_go_before_those_stated(self, asked, said):
        assert tolerances.chosen("acdc", ("RV", "MYO", "LV"), asked)["tolerances"] == said

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"statistics": {"exploratory": ["volume_error"]}}, "'volume_error' is not allowed"),
            ({"statistics": {"exploratory": ["nds"]}}, "'nds' is not allowed, did you mean nsd?"),
            ({"statistics": {"exploratory": ["ece"]}}, "set probabilities.calibration to true"),
            ({"statistics": {"metrics": ["recall"]}}, "statistics.metrics.0: 'recall' is not"),
            (
                {"datasets": {"acdc": {"tolerance": {"LVV": 1}}}},
                "datasets.acdc.tolerance: no class 'LVV'; there are RV, MYO, LV",
            ),
            ({"datasets": {"acdc": {"tolerance": -1}}}, "-1 is less than the minimum of 0"),
        ],
    )
    def test_what_cannot_be_is_refused_by_name(self, change, message):
        with pytest.raises(config.ConfigError, match=re.escape(message)):
            config.checked(
                config.merge(config.load(ROOT / "config.yaml"), change), baselines.names()
            )

    def test_every_class_of_a_built_in_dataset_has_a_tolerance_and_a_reason(self):
        for name, entry in config.DATASETS.items():
            if name in tolerances.STATED:
                assert set(tolerances.STATED[name].values) == set(entry.classes), name
                assert tolerances.reason(name, tolerances.STATED[name].values) != "the default"


def test_penalty_leaves_no_hole_in_what_can_be_tested():
    """A missed, an invented and an absent structure have a value of every metric that may be declared."""
    rows: Any = pd.DataFrame(
        {"reference_voxels": [5, 0, 0, 5], "prediction_voxels": [0, 5, 0, 5], "diagonal": 9.0}
    ).assign(**dict.fromkeys(METRICS, np.nan), scope="native")
    rows.loc[3, list(METRICS)] = 0.5
    scored: Any = conventions.apply(rows, "penalty")
    for name, metric in METRICS.items():
        if metric.shown:
            worst = 9.0 if metric.is_distance else 0.0
            best = 0.0 if metric.is_distance else 1.0
            assert scored[name].tolist() == [worst, worst, best, 0.5], name


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return synthetic.collect(tmp_path_factory.mktemp("collected"), MADE)


class TestTables:
    def test_means_are_those_of_the_convention_grouped_by_kind(self, folder):
        data = results.read(folder, EXPLORED)
        read = (data.scores["scope"] == "native") & (data.scores["selection"] == "best_val")
        data.scores.loc[read[read].index[:2], "object_recall"] = np.nan
        table = exploration.build(data, synthetic.cards(), "acdc", "strict", EXPLORED)
        assert table is not None
        kinds = [column.group for column in table.columns]
        assert kinds == ["Overlap", "Overlap", "Surfaces", "Surfaces", "Objects"]
        rows: Any = conventions.under_protocol(data.scores, "strict")
        plain = rows[rows["variant"] == "plain"]
        seeds = plain.groupby(["seed", "class"])["nsd"].mean().groupby("seed").mean()
        at = [column.name for column in table.columns].index("NSD [%]")
        assert table.rows[0].cells[at].value == pytest.approx(100 * seeds.mean())
        assert table.rows[0].cells[at].sd == f"{100 * seeds.std():.2f}"
        assert table.rows[-1].labels[0] == "empty"
        text = " ".join(table.notes)
        count = rows["object_recall"]
        assert count.isna().sum() == 2
        assert f"of {len(count)} values a metric undefined and left out: Object recall 2." in text
        assert "Exploratory" in text

    def test_nothing_explored_is_tested_or_ranked(self, folder, tmp_path):
        claims = synthetic.claims(tmp_path / "claims.yaml", MADE.grid)
        declared = {"resamples": 100}
        asked = {**declared, "exploratory": list(EXPLORED)}
        analyse.write(folder, claims, declared, MADE.grid)
        names = ("comparisons", "claims", "ranking", "pairs")
        before = {name: (folder / f"{name}.csv").read_bytes() for name in names}
        analyse.write(folder, claims, asked, MADE.grid)
        assert {name: (folder / f"{name}.csv").read_bytes() for name in names} == before

    def test_the_tables_that_were_there_stay_as_they_are(self, folder, tmp_path):
        for name, statistics in (("without", {}), ("with", {"exploratory": list(EXPLORED)})):
            tables.write(folder, synthetic.cards(), statistics, tmp_path / name)
        without = {path.name: path.read_bytes() for path in (tmp_path / "without").iterdir()}
        more = {path.name: path.read_bytes() for path in (tmp_path / "with").iterdir()}
        for files in (without, more):
            del files["tables.json"]  # what the page shows: all of them
        assert {name: more[name] for name in without} == without
        assert {name.rpartition(".")[0] for name in more.keys() - without.keys()} == {
            "acdc_paper-exploratory",
            "acdc_strict-exploratory",
        }

    def test_a_metric_that_was_not_measured_is_refused_by_name(self, folder, tmp_path):
        scores: Any = read_csv(folder / "scores.csv").drop(columns="nsd")
        copy = tmp_path / "collected"
        copy.mkdir()
        for path in folder.glob("*.csv"):
            (copy / path.name).write_bytes(path.read_bytes())
        scores.to_csv(copy / "scores.csv", index=False)
        with pytest.raises(
            ValueError, match=r"scores\.csv: no column nsd, .*name it in statistics"
        ):
            exports.write(copy, tmp_path, {"exploratory": ["nsd"]}, tmp_path / "data")


def test_a_grid_without_a_scored_cell_has_its_report(tmp_path):
    states = {(*one.values(),): ("missing", "not started") for one in MADE.identities()}
    none = synthetic.collect(tmp_path / "collected", replace(MADE, states=states))
    pd.DataFrame(columns=list(COLUMNS["scores"])).to_csv(none / "scores.csv", index=False)
    asked = {"resamples": 100, "exploratory": list(EXPLORED), "subgroups": ["size", "position"]}
    claims = synthetic.claims(tmp_path / "claims.yaml", MADE.grid)
    analyse.write(none, claims, asked, MADE.grid)
    tables.write(none, synthetic.cards(), asked, tmp_path / "tables")
    assert "–" in (tmp_path / "tables/acdc_strict-exploratory.md").read_text()


def test_collect_keeps_the_columns_that_were_asked_for(tmp_path):
    place = tmp_path / "acdc/unet/plain/seed0"
    place.mkdir(parents=True)
    names = {"dataset": "acdc", "baseline": "unet", "variant": "plain", "seed": 0}
    row = {**names, "selection": "last", "scope": "native", "case": "a", "group": "a"}
    row |= {"class": "RV", "diagonal": 1.0, "unit": "mm", "divided_groups": 0}
    frame: Any = pd.DataFrame([row]).reindex(columns=list(COLUMNS["scores"]))
    frame.assign(nsd=0.25, nsd_tolerance=2.0, other=1).to_csv(place / "scores.csv", index=False)
    pd.DataFrame(columns=list(collect.CURVE)).assign(epoch=[1]).to_csv(
        place / "history.csv", index=False
    )
    (place / "run.json").write_text("{}")
    grid = {"grid": {"acdc": ["unet"]}, "variants": ["plain"], "seeds": [0]}
    collect.collect(tmp_path, grid, tmp_path / "out")
    kept: Any = read_csv(tmp_path / "out/scores.csv")
    assert list(kept.columns) == [*COLUMNS["scores"], "nsd", "nsd_tolerance"]
    assert kept["nsd"].tolist() == [0.25]
    assert {*MEASURED} <= {*kept.columns}
