"""What the vocabulary names appears wherever its kind is shown, and nothing else is accepted."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

import baselines
from salstm import config, exports, figures, report, tables, vocabulary
from salstm.analysis import analyse, results
from salstm.columns import COLUMNS
from salstm.data.datasets import DATASETS
from salstm.tables import ranking
from salstm.vocabulary import METRICS, PROTOCOLS, SHOWN, VARIANTS, Identity
from tests import synthetic
from tests.synthetic import Made

ROOT = Path(__file__).parents[1]
ALL = tuple(VARIANTS)
MADE = Made(grid={"acdc": ("mtunet",)}, variants=ALL, cases=4, epochs=2)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report in which every metric is declared and every variant is compared."""
    root = tmp_path_factory.mktemp("site")
    folder, out = synthetic.collect(root / "collected", MADE), root / "site"
    statistics = {"metrics": SHOWN, "modules": vocabulary.MODULES, "resamples": 100}
    claims = synthetic.claims(folder / "claims.yaml", MADE.grid)
    analyse.write(folder, claims, statistics, MADE.grid)
    tables.write(folder, synthetic.cards(), statistics, out / "tables")
    figures.write(folder, root / "results", synthetic.cards(), statistics, out / "figures")
    exports.write(folder, root / "results", statistics, out / "data")
    report.write(folder, root / "results", synthetic.cards(), statistics, out / "index.html")
    return out


@pytest.mark.extended
@pytest.mark.parametrize("name", SHOWN)
def test_a_metric_that_is_accepted_is_shown_wherever_metrics_are(site, name):
    metric = METRICS[name]
    head, dashed = metric.heading("mm"), name.replace("_", "-")
    for protocol in PROTOCOLS:
        text = (site / f"tables/acdc_{protocol}.md").read_text()
        unit = metric.unit_in("mm" if protocol == "strict" else "voxel")
        assert f"| {metric.label} [{unit}] {VARIANTS['plain'].label} |" in text
        assert "values a metric undefined and left out: " in text
        assert f"protocol {protocol}: {metric.label} [{unit}] by class" in text
        assert (site / f"data/challenger_acdc_{protocol}_{name}.csv").is_file()
    assert f"gain in {head}" in (site / f"tables/acdc_gains-{dashed}.md").read_text()
    assert f"{metric.label} {ranking.COLUMNS[0]}" in (site / "tables/acdc_ranking.csv").read_text()
    assert f"{metric.label}, rank penalty" in (site / "tables/acdc_ranks.csv").read_text()
    assert f"{head} optimism" in (site / "tables/acdc_selection.csv").read_text()
    assert f">{metric.label}: rank in the draws<" in (site / "figures/ranking-acdc.svg").read_text()
    assert f">{metric.axis('mm')}<" in (site / "figures/spread-acdc.svg").read_text()
    assert f">{metric.label}, " in (site / "figures/forest-acdc.svg").read_text()
    page = (site / "index.html").read_text()
    assert f'colspan="5" scope="colgroup">{metric.label}</th>' in page
    assert f'id="acdc_gains_{name}"' in page


@pytest.mark.parametrize("name", ALL)
def test_a_variant_has_its_name_and_colour_in_tables_figures_and_page(site, name):
    variant, shown = VARIANTS[name], results.variant_name(name)
    for table in ("cost", "ranks", "selection", "ranking"):
        assert f"mtunet,{shown}," in (site / f"tables/acdc_{table}.csv").read_text().replace(
            "MT-UNet", "mtunet"
        )
    drawn = (site / "figures/spread-acdc.svg").read_text()
    assert variant.colour in drawn
    assert f">{shown}<" in drawn
    page = (site / "index.html").read_text()
    for colour in (variant.light, variant.dark):
        assert f"--{name}: {colour};" in page


def test_nothing_is_shown_that_is_not_declared(tmp_path):
    folder = synthetic.collect(tmp_path / "collected", MADE)
    tables.write(folder, synthetic.cards(), {"metrics": ["assd"]}, tmp_path / "tables")
    for path in (tmp_path / "tables").glob("*.csv"):
        assert "Dice" not in path.read_text().splitlines()[0], path.name


def test_the_schema_accepts_exactly_what_there_is():
    paper = config.load(ROOT / "config.yaml")
    networks = baselines.names()
    for name in METRICS:
        laid = config.merge(paper, {"statistics": {"metrics": [name]}})
        if name in SHOWN:
            assert config.checked(laid, networks)["statistics"]["metrics"] == [name]
        else:
            with pytest.raises(config.ConfigError, match=rf"statistics.metrics.0: '{name}' is not"):
                config.checked(laid, networks)
    laid = config.merge(paper, {"variants": list(ALL), "statistics": {"protocol": "paper"}})
    assert config.checked(laid, networks)["variants"] == list(ALL)
    bare = {key: value for key, value in paper.items() if key not in ("statistics", "variants")}
    checked = config.checked(bare, networks)
    assert checked["variants"] == ["plain", "salstm", "lstmsa"]
    assert checked["statistics"]["metrics"] == ["dice", "hd95"]
    assert checked["statistics"]["modules"] == ["salstm", "lstmsa"]
    assert set(checked["grid"]) == set(DATASETS)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"grid": {"acdcc": ["unet"]}}, "grid: unknown key 'acdcc', did you mean acdc?"),
        (
            {"datasets": {"isic": {"raw": "x"}}},
            "datasets: unknown key 'isic', did you mean isic2018?",
        ),
        ({"statistics": {"metrics": ["dise"]}}, "'dise' is not allowed, did you mean dice?"),
        ({"statistics": {"metrics": []}}, "statistics.metrics: [] should be non-empty"),
        ({"statistics": {"modules": ["plain"]}}, "statistics.modules.0: 'plain' is not allowed"),
        ({"statistics": {"protocol": "stict"}}, "'stict' is not allowed, did you mean strict?"),
    ],
)
def test_a_wrong_name_is_refused_with_the_nearest(change, message):
    laid = config.merge(config.load(ROOT / "config.yaml"), change)
    with pytest.raises(config.ConfigError, match=re.escape(message)):
        config.checked(laid, baselines.names())


def test_a_name_without_its_function_is_refused(monkeypatch):
    paper = config.load(ROOT / "config.yaml")
    for names, entry in (
        (METRICS, vocabulary.Metric("f2", "F2", "%", "higher")),
        (
            VARIANTS,
            vocabulary.Variant(
                "stack2", "s", "salstm.modules.none", False, "c", "l", "d", "-", (0, 0), 0
            ),
        ),
    ):
        with monkeypatch.context() as patch:
            patch.setitem(names, entry.name, entry)
            laid = config.merge(
                paper, {"variants": ["plain", *([entry.name] * (names is VARIANTS))]}
            )
            with pytest.raises(
                config.ConfigError, match=rf"'{entry.name}' .*: no function {entry.name}"
            ):
                config.checked(laid, baselines.names())


def test_a_table_without_a_column_is_an_error_with_its_name(tmp_path):
    folder = synthetic.collect(tmp_path, MADE)
    for name in ("scores", "cells"):
        path = folder / f"{name}.csv"
        text = path.read_text()
        path.write_text(text.replace("seed", "sead", 1))
        with pytest.raises(ValueError, match=rf"{path}: no column seed; .* run collect"):
            results.read(folder)
        path.write_text(text)
    assert list(results.read(folder).cost.columns) == list(COLUMNS["cost"])


def test_cells_are_in_the_grids_order():
    grid = {"grid": {"b": ["y", "x"], "a": ["z"]}, "variants": ["p", "q"], "seeds": [1, 0]}
    found = list(vocabulary.cells(grid))
    assert found[:3] == [("b", "y", "p", 1), ("b", "y", "p", 0), ("b", "y", "q", 1)]
    assert len(found) == 12
    assert list(vocabulary.cells(grid, "a")) == found[-4:]
    assert Identity.of({"seed": 1, "variant": "p", "baseline": "y", "dataset": "b"}) == found[0]
    assert found[0].folder(Path("results")).as_posix() == "results/b/y/p/seed1"


def test_every_variants_head_and_metric_is_described_once():
    assert len({metric.label for metric in METRICS.values()}) == len(METRICS)
    assert len({variant.colour for variant in VARIANTS.values()}) == len(VARIANTS)
    assert {name for name, metric in METRICS.items() if not metric.better} == {"volume_error"}
    assert not METRICS["volume_error"].shown
    for metric in METRICS.values():
        assert metric.shown <= bool(metric.better)


def test_it_imports_nothing_of_ours():
    code = "import sys, json, salstm.vocabulary; print(json.dumps([m for m in sys.modules if m.startswith('salstm')]))"
    out = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    assert json.loads(out) == ["salstm", "salstm.vocabulary"]
