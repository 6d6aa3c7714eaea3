"""What a part of the page shows, as its title says it: from tables and figures that are there, without new numbers."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from salstm.analysis.comparisons import BETTER, WORSE
from salstm.analysis.results import Frame, network_name, variant_name
from salstm.figures.flags import FEWEST
from salstm.tables.layout import SCRATCH, Table
from salstm.vocabulary import METRICS


def gains(comparisons: Frame, dataset: str) -> str:
    """In how many networks each module is better by the first metric, and in how many clearly."""
    rows = comparisons[comparisons["dataset"] == dataset].dropna(subset="improvement")
    if rows.empty:
        return ""
    metric = str(rows["metric"].iloc[0])
    rows = rows[rows["metric"] == metric]
    parts = []
    for module, found in rows.groupby("module", sort=False):
        better = int((found["improvement"] > 0).sum())
        parts.append(f"{_module(str(module))} is better in {better} of {len(found)}{_clear(found)}")
    return f"By {METRICS[metric].label}, {'; '.join(parts)}"


def best(table: Table) -> str:
    """The best number of the first metric, and whose it is."""
    if not table.columns:
        return ""
    group = table.columns[0].group
    for row in table.rows:
        for column, cell in zip(table.columns, row.cells, strict=True):
            if column.group == group and cell.mark == "best":
                network = row.labels[0].removesuffix(SCRATCH)
                name = network + (f" + {column.name}" if column.name != "plain" else "")
                return f"Best mean {group}: {cell.text}, {name}"
    return ""


def worst(figure: Mapping[str, Any] | None, cards: Mapping[str, Any]) -> str:
    """The worst case of all, whose it is and what it scores."""
    found = (figure or {}).get("worst")
    if not found:
        return ""
    metric = METRICS[found["metric"]]
    name = _cell(found["baseline"], found["variant"], cards)
    return (
        f"Worst case: {found['case']}, {metric.label} {found['value'] * metric.scale:.1f}, {name}"
    )


def cost(table: Table | None) -> str:
    """How many times the plain network's multiply-adds each variant takes."""
    columns = table.columns if table else ()
    at = next(
        (i for i, one in enumerate(columns) if one.group == "Multiply-adds" and one.name == "×"), -1
    )
    if table is None or at < 0:
        return ""
    taken: dict[str, list[float]] = {}
    for row in table.rows:
        if row.labels[1].startswith("+ ") and not math.isnan(row.cells[at].value):
            taken.setdefault(row.labels[1].removeprefix("+ "), []).append(row.cells[at].value)
    parts = [f"{name} {_range(values)}" for name, values in taken.items()]
    return f"Multiply-adds, times plain: {', '.join(parts)}" if parts else ""


def curves(figure: Mapping[str, Any] | None, history: Frame) -> str:
    """How many trainings went wrong, or why that is not seen; nothing where none has left an epoch."""
    if figure is None:
        return "One epoch a training: no curve" if history["epoch"].nunique() == 1 else ""
    flagged = len(figure["flagged"])
    if not flagged and not figure["judged"]:
        return f"Trainings of under {FEWEST} epochs: too short to judge by their curves"
    who = f"{flagged} training{'s' * (flagged != 1)}" if flagged else "No training"
    return f"{who} diverged, stayed flat or collapsed"


def order(figure: Mapping[str, Any] | None) -> str:
    """How many pairs are told apart, as the figure says it."""
    return str(figure["alt"]).partition(": ")[2].rstrip(".").capitalize() if figure else ""


def headline(rows: Sequence[Mapping[str, Any]]) -> str:
    """A dataset in one sentence.

    Args:
        rows: of ``verdict.summary`` that are of this dataset, one a module.
    """
    found = [one for row in rows for one in row["metrics"] if one["compared"]]
    if not found:
        return "Nothing to compare yet"
    compared = sum(one["compared"] for one in found)
    better = sum(one["clearly_better"] for one in found)
    worse = sum(one["clearly_worse"] for one in found)
    if not better + worse:
        return f"None of {compared} comparisons tells a module from plain"
    return f"Of {compared} comparisons {better} are clearly better and {worse} clearly worse with a module"


def _clear(found: Frame) -> str:
    better, worse = ((found["verdict"] == one).sum() for one in (BETTER, WORSE))
    return f" (clearly in {better}" + (f", clearly worse in {worse})" if worse else ")")


def _module(name: str) -> str:
    return variant_name(name).removeprefix("+ ")


def _cell(baseline: str, variant: str, cards: Mapping[str, Any]) -> str:
    name = variant_name(variant)
    return f"{network_name(baseline, cards)} {name}"


def _range(values: Iterable[float]) -> str:
    low, high = min(values), max(values)
    return f"{low:.1f}" if f"{low:.1f}" == f"{high:.1f}" else f"{low:.1f} to {high:.1f}"
