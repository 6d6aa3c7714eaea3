"""Our cases beside the authors' logs, case by case."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from salstm.analysis import authors_logs
from salstm.analysis.results import Collected, Frame, dataset_name, variant_name
from salstm.tables.layout import Cell, Column, Row, Table, number
from salstm.vocabulary import METRICS, SELECTIONS

SEED = 0
NOTES = (
    "n = volumes of our test part that stand in the authors' logs of MT-UNet with each module on ACDC. Both are means "
    "over the three classes, scored by the authors' rule: inner slices, stored grid, voxels.",
    "Difference: ours minus theirs, mean over the volumes, with its 95 % interval clustered by patient; limits: mean "
    "difference ± 1.96 standard deviations.",
    "Theirs is one training, from the logs in their repository; the reduced runs of a small configuration are not "
    "expected to agree with it.",
)


def build(data: Collected, dataset: str, resamples: int = 10_000) -> Table | None:
    """The agreement with the authors' logs, a module and selection a row; None if no case is in both."""
    pairs = authors_logs.paired(data.of(dataset).scores)
    if pairs.empty:
        return None
    table = authors_logs.agreement(pairs, np.random.default_rng(SEED), resamples=resamples)
    columns = [Column("", "n")]
    for metric in authors_logs.METRICS:
        heading = METRICS[metric].heading("voxel")
        columns += [Column(heading, one) for one in ("ours", "theirs", "difference", "limits")]
    rows = [
        Row((variant_name(names[0]), SELECTIONS[names[1]].words), tuple(_row(part)))
        for names, part in _groups(table)
    ]
    title = f"{dataset_name(dataset)}: ours and the authors' own numbers"
    return Table(
        f"{dataset}_authors", title, ("MT-UNet", "Weights"), tuple(columns), tuple(rows), NOTES
    )


def _groups(table: Frame) -> Any:
    """Pairs of (variant, selection) and their rows."""
    return table.groupby(["variant", "selection"], sort=False)


def _row(part: Frame) -> list[Cell]:
    """The cells of a module and selection: how many volumes, then each metric."""
    metrics = part.set_index("metric").to_dict("index")
    cases = int(part["cases"].iloc[0])
    cells = [Cell(str(cases), float(cases))]
    for metric in authors_logs.METRICS:
        cells += _cells(metrics[metric], METRICS[metric].scale)
    return cells


def _cells(row: Mapping[Any, Any], scale: float) -> list[Cell]:
    """Ours, theirs, difference with its interval, limits of agreement; in the column's unit."""
    ours, theirs, bias, low, high, lower, upper = (
        float(row[name]) * scale
        for name in ("ours", "theirs", "bias", "low", "high", "lower_limit", "upper_limit")
    )
    return [
        Cell(number(ours), ours),
        Cell(number(theirs), theirs),
        Cell(f"{number(bias, signed=True)} {_span(low, high)}", bias),
        Cell(_span(lower, upper), upper - lower),
    ]


def _span(low: float, high: float) -> str:
    """An interval as text; nothing where it is not defined."""
    if math.isnan(low) or math.isnan(high):
        return ""
    return f"[{number(low, signed=True)}, {number(high, signed=True)}]"
