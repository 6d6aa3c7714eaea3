"""The verdict: what the declared comparisons found, and which of the paper's claims stand."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from salstm.analysis import statistics
from salstm.analysis.comparisons import BETTER, WORSE
from salstm.analysis.results import Collected, Frame, dataset_name, variant_name
from salstm.tables.gains import probability
from salstm.tables.layout import ABSENT, number
from salstm.vocabulary import METRICS

VERDICTS = ("supported", "contradicted", "undecided")
EVERYWHERE = "All datasets"


def claims(table: Frame) -> tuple[list[dict[str, Any]], list[str]]:
    """The claims as the page lists them, in their order, and what all undecided ones about accuracy are missing."""
    rows = table.to_dict("records")
    for row in rows:
        row["reasons"] = _reasons(row)
    scored = [row["reasons"] for row in rows if row["reasons"] and isinstance(row["protocol"], str)]
    shared = _shared(scored) if len(scored) > 1 else []
    return [
        {
            "text": row["text"],
            "reading": row["reading"],
            "module": row["module"],
            "name": variant_name(row["module"]),
            "measure": _measure(row["measure"]),
            "verdict": row["verdict"],
            "evidence": row["evidence"],
            "missing": "; ".join(one for one in row["reasons"] if one not in shared),
        }
        for row in rows
    ], shared


def own_family(table: Frame) -> int:
    """How many tests the claims about scores are adjusted for, where that is not the configuration's family; else 0."""
    own = table[
        table["own_family"].astype(bool) & table["protocol"].map(lambda one: isinstance(one, str))
    ]
    return int(own["family"].iloc[0]) if len(own) else 0


def counts(table: Frame) -> dict[str, int]:
    """How many readings of the claims have each verdict."""
    return {name: int((table["verdict"] == name).sum()) for name in VERDICTS}


def answers(table: Frame) -> tuple[list[dict[str, str]], str]:
    """For each module in one word whether it improves every network (the first claim), by all of its measures together.

    Contradicted by one measure is contradicted; supported needs all of them.

    Returns:
        The words, with ``by``: what each measure says where they differ, or their names; and why not more.
    """
    rows = table[table["claim"] == table["claim"].iloc[0]] if len(table) else table
    said = []
    for module in dict.fromkeys(rows["module"]):
        part = {
            row["measure"]: row["verdict"]
            for row in rows[rows["module"] == module].to_dict("records")
        }
        differ = len(set(part.values())) > 1
        named = [_measure(one) + f" {verdict}" * differ for one, verdict in part.items()]
        by = (", " if differ else " and ").join(named)
        facts = {"module": str(module), "name": variant_name(str(module)), "by": by}
        said.append({**facts, "verdict": _together(list(part.values()))})
    reasons = [found for row in rows.to_dict("records") if (found := _reasons(row))]
    return said, "; ".join(_shared(reasons))


def _together(verdicts: Sequence[str]) -> str:
    supported, contradicted, undecided = VERDICTS
    if contradicted in verdicts:
        return contradicted
    return supported if set(verdicts) == {supported} else undecided


def summary(
    data: Collected, comparisons: Frame, units: Mapping[str, str]
) -> tuple[list[str], list[dict[str, Any]]]:
    """The comparisons, summed up for all datasets and for each.

    Returns:
        The metrics as headings, and one row per module and dataset, with an entry for each metric.
    """
    comparisons = comparisons[comparisons["dataset"].isin(data.datasets)]
    metrics = list(dict.fromkeys(comparisons["metric"]))
    places: list[str | None] = (
        [None, *data.datasets] if len(data.datasets) > 1 else [*data.datasets]
    )
    rows = []
    for place in places:
        part = comparisons if place is None else comparisons[comparisons["dataset"] == place]
        for module in dict.fromkeys(part["module"]):
            chosen = part[part["module"] == module]
            sums = [_summed(chosen[chosen["metric"] == one], units) for one in metrics]
            name = EVERYWHERE if place is None else dataset_name(place)
            facts = {"dataset": name, "module": module, "name": variant_name(module)}
            rows.append({**facts, "metrics": sums})
    return [_measure(one) for one in metrics], rows


def _reasons(row: Mapping[str, Any]) -> list[str]:
    return row["missing"].split("; ") if isinstance(row["missing"], str) and row["missing"] else []


def _shared(lists: list[list[str]]) -> list[str]:
    """What stands in every list, in the order of the first."""
    return [one for one in lists[0] if all(one in other for other in lists)] if lists else []


def _summed(rows: Frame, units: Mapping[str, str]) -> dict[str, Any]:
    """One metric: networks better of those compared, clearly or not, mean gain with interval, least p."""
    done = rows.dropna(subset="improvement").to_dict("records")
    gains = np.array([row["improvement"] for row in done], dtype=np.float64)
    return {
        "compared": len(done),
        "declared": len(rows),
        "better": int((gains > 0).sum()),
        "clearly_better": sum(row["verdict"] == BETTER for row in done),
        "clearly_worse": sum(row["verdict"] == WORSE for row in done),
        "detectable": _detectable(done, units),
        "mean": _mean(rows, gains, units),
        "p": probability(
            min((row["p_holm"] for row in done if row["p_holm"] >= 0), default=math.nan)
        ),
    }


def _mean(rows: Frame, gains: np.ndarray, units: Mapping[str, str]) -> str:
    """Mean over networks with its 95 % interval; nothing where distances of different units would be added up."""
    if not len(gains):
        return ABSENT
    metric = METRICS[str(rows["metric"].iloc[0])]
    known = {metric.unit_in(units[dataset]) for dataset in rows["dataset"]}
    if len(known) > 1:
        return ABSENT
    data = statistics.clusters(gains * metric.scale, np.arange(len(gains)))
    low, high = statistics.interval(data, np.random.default_rng(0), method="t")
    text = number(data.mean, signed=True) + f" {known.pop()}" * metric.is_distance
    return text if math.isnan(low) else f"{text} [{number(low)}, {number(high)}]"


def _detectable(done: Sequence[Mapping[str, Any]], units: Mapping[str, str]) -> str:
    """The smallest gain that 4 of 5 such studies find: median over the networks; nothing over several datasets."""
    found = [row["detectable"] for row in done if row["detectable"] == row["detectable"]]
    if not found or len({row["dataset"] for row in done}) > 1:
        return ABSENT
    metric = METRICS[done[0]["metric"]]
    size = number(float(np.median(found)) * metric.scale)
    return f"{size} {metric.unit_in(units[done[0]['dataset']])}" if metric.is_distance else size


def _measure(name: str) -> str:
    named = {"macs": "multiply-adds", "loss": "training loss"}
    return METRICS[name].label if name in METRICS else named.get(name, name)
