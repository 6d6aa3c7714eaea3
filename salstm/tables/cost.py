"""What a network costs, and what a module adds to it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from salstm.analysis.results import (
    Collected,
    Frame,
    Series,
    dataset_name,
    network_name,
    variant_name,
)
from salstm.tables.layout import COST_NOTE, Cell, Column, Row, Table, number
from salstm.vocabulary import PLAIN

COUNTS = {
    "parameters": ("Parameters", "M", 1e6, 2),
    "macs": ("Multiply-adds", "G", 1e9, 2),
    "latency_seconds": ("Latency", "ms", 1e-3, 1),
    "peak_memory_bytes": ("Peak memory", "GiB", 2.0**30, 2),
}
"""Columns of cost.csv -> heading, unit, its size, decimals; those that a run did not measure are left out."""
RUNS = {
    "seconds": ("Training", "h", 3600.0, 2),
    "joules": ("Training energy", "kWh", 3.6e6, 3),
    "training_bytes": ("Training memory", "GiB", 2.0**30, 2),
}
"""As COUNTS, from what the trainings measured themselves: means over seeds."""
SHORT = {"seconds": ("Training", "min", 60.0, 2)}
"""In place of hours where no training of the table takes one."""


def build(data: Collected, cards: Mapping[str, Any], dataset: str) -> Table:
    """The cost table of a dataset: network and variant a row; each count, and how many times the plain one's."""
    part = data.of(dataset)
    values = _values(part)
    known = {**COUNTS, **RUNS, **(SHORT if values["seconds"].max() < RUNS["seconds"][2] else {})}
    shown = {name: words for name, words in known.items() if values[name].notna().any()}
    columns = [Column(words[0], one) for words in shown.values() for one in (words[1], "×")]
    rows = [
        Row(
            (network_name(baseline, cards), variant_name(variant)),
            tuple(
                cell
                for name, words in shown.items()
                for cell in _cells(values[name], words[2:], (baseline, variant))
            ),
        )
        for baseline in part.baselines(dataset)
        for variant in part.variants
    ]
    title = f"{dataset_name(dataset)}: cost"
    return Table(
        f"{dataset}_cost", title, ("Network", "Variant"), tuple(columns), tuple(rows), NOTES
    )


NOTES = (
    COST_NOTE,
    "Training: wall time of the epochs, the GPU's energy and the most memory at any moment (of the GPU; else of "
    "the process), means over seeds; what a machine cannot tell is left out. The provenance names it.",
    "× is the multiple of the plain network.",
)


def _values(part: Collected) -> Frame:
    keys = ["baseline", "variant"]
    runs = part.cells.groupby(keys, sort=False)[list(RUNS)].mean()
    parameters = part.cells.groupby(keys, sort=False)["parameters"].max()
    counted = part.cost.set_index(keys).drop(columns="dataset")
    table = counted.reindex(counted.index.union(runs.index, sort=False))
    table["parameters"] = table["parameters"].astype(float).combine_first(parameters.astype(float))
    return table.join(runs)


def _cells(values: Series, form: tuple[float, int], of: tuple[str, str]) -> tuple[Cell, Cell]:
    """A count of a (network, variant), in a unit of a size and with some decimals, and its multiple of plain."""
    size, decimals = form
    value = float(values.get(of, math.nan)) / size
    plain = float(values.get((of[0], PLAIN), math.nan)) / size
    ratio = value / plain if plain else math.nan
    return Cell(number(value, decimals), value), Cell(number(ratio), ratio)
