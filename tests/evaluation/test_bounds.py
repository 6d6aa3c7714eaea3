"""What no network predicted: values by hand, on grids where resizing costs something."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from salstm.columns import COLUMNS
from salstm.data import writing
from salstm.data.case import RawCase
from salstm.data.store import Store
from salstm.evaluation import bounds
from tests.data.conftest import readings, volume

CLASSES = ("RV", "MYO", "LV")


def prepared(folder: Path, cases: list[RawCase], parts: dict[str, str], size: int | None) -> Store:
    source = {"dataset": "acdc", "split": {"name": "x"}}
    writing.write(folder, readings(cases), parts, size=size, normalise="none", source=source)
    return Store(folder)


def striped(name: str) -> RawCase:
    """64 x 64 pixels; the class is one column wide, so a grid of half the side keeps all or nothing of it."""
    case = volume(name, 3, 64, 64)
    label = np.zeros_like(case.label)
    label[:, :, 20] = 1
    return replace(case, label=label, spacing_mm=(1.0, 1.0, 1.0))


def value(table, bound: str, scope: str, metric: str = "dice") -> float:
    rows = table[(table["bound"] == bound) & (table["scope"] == scope) & (table["class"] == "RV")]
    return float(rows[metric].mean())


def test_where_nothing_is_resized_the_oracle_is_perfect_and_empty_is_nothing(tmp_path):
    opened = prepared(tmp_path / "s", [volume("a"), volume("b")], {"a": "test", "b": "train"}, None)
    table = bounds.measure(opened, CLASSES, "acdc")
    assert list(table.columns) == list(COLUMNS["bounds"])
    assert set(table["case"]) == {"a"}
    assert set(table["bound"]) == {"oracle", "empty"}
    for scope in ("stored", "inner", "native"):
        assert value(table, "oracle", scope) == 1
        assert value(table, "oracle", scope, "hd95") == 0
        assert value(table, "empty", scope) == 0
        assert np.isnan(value(table, "empty", scope, "hd95"))


def test_the_oracle_pays_for_the_grid_in_native_size_alone(tmp_path):
    """A column of one pixel becomes one of two, or none: Dice 2 * 64 / (64 + 128) = 2/3, or 0."""
    opened = prepared(tmp_path / "s", [striped("a")], {"a": "test"}, 32)
    table = bounds.measure(opened, CLASSES, "acdc")
    kept = (opened.labels(opened.cases[0]) == 1).any()
    assert value(table, "oracle", "native") == pytest.approx(2 / 3 if kept else 0)
    if kept:
        assert value(table, "oracle", "stored") == 1


def test_two_annotations_are_one_against_the_other_on_every_grid(tmp_path):
    """The second expert's block is two columns further: 8 of 10 columns are common, Dice 0.8; HD95 is 2 columns."""
    first = volume("a", 4, 32, 32)
    label = np.zeros_like(first.label)
    label[:, 4:20, 4:14] = 1
    moved = np.zeros_like(label)
    moved[:, 4:20, 6:16] = 1
    first = replace(first, label=label, spacing_mm=(1.0, 1.0, 3.0))
    second = replace(first, id="b", group="b", stack="b", label=moved)
    parts = {"a": "train", "b": "unused", "c": "test"}
    opened = prepared(tmp_path / "s", [first, second, volume("c", 4, 32, 32)], parts, None)
    table = bounds.measure(opened, CLASSES, "acdc")
    rows = table[table["bound"] == "annotators"]
    assert set(rows["case"]) == {"a"}
    assert set(rows["group"]) == {"a"}
    for scope in ("stored", "inner", "native"):
        assert value(table, "annotators", scope) == pytest.approx(0.8)
    assert value(table, "annotators", "native", "hd95") == pytest.approx(6.0)
    assert value(table, "annotators", "stored", "hd95") == pytest.approx(2.0)
    inner = rows[(rows["scope"] == "inner") & (rows["class"] == "RV")]
    assert inner["reference_voxels"].tolist() == [2 * 16 * 10]
