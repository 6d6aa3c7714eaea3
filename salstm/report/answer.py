"""The first screen: the answer with its interval, what the run can and cannot tell, and how much was run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from salstm.analysis.results import Collected, dataset_name
from salstm.report import provenance
from salstm.report.verdict import EVERYWHERE
from salstm.tables.layout import ABSENT


def cards(
    answers: Sequence[Mapping[str, Any]],
    heads: Sequence[str],
    rows: Sequence[Mapping[str, Any]],
) -> list[dict[str, Any]]:
    """For each module its verdict, and by metric the mean gain over all networks with its interval.

    Args:
        answers: of ``verdict.answers``.
        heads: the metrics, of ``verdict.summary``.
        rows: of ``verdict.summary``; those over all datasets are shown, or those of the one dataset there is.
    """
    verdicts = {one["module"]: one for one in answers}
    places = [row for row in rows if row["dataset"] == EVERYWHERE] or list(rows)
    return [
        {
            "module": row["module"],
            "name": row["name"].removeprefix("+ "),
            "verdict": verdicts.get(row["module"], {}).get("verdict", "undecided"),
            "by": verdicts.get(row["module"], {}).get("by", ""),
            "lines": [
                {"metric": head, "text": _line(one)}
                for head, one in zip(heads, row["metrics"], strict=True)
            ],
        }
        for row in places
    ]


def limits(why: str, rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What the run can tell, and the reasons why it cannot tell more.

    Args:
        why: reasons that keep the claims about accuracy undecided, parted by semicolons.
        rows: of ``verdict.summary``.
    """
    found = [
        f"{row['dataset']} {row['metrics'][0]['detectable']}"
        for row in {one["dataset"]: one for one in rows}.values()
        if row["metrics"] and row["metrics"][0]["detectable"] != ABSENT
    ]
    return {"reasons": [one for one in why.split("; ") if one], "detectable": ", ".join(found)}


def extent(
    data: Collected, states: Mapping[str, int], trainings: Sequence[Mapping[str, Any]]
) -> list[str]:
    """How much was run, in a few lines."""
    cells, done = data.cells, states["done"]
    total, seeds = sum(states.values()), cells["seed"].nunique()
    lines = [
        f"{done} of {total} cells done",
        f"{_count(cells['dataset'].nunique(), 'dataset')}, {_count(cells['baseline'].nunique(), 'network')}, "
        f"{_count(len(data.variants), 'variant')}, {_count(seeds, 'seed')}",
    ]
    tested = data.scores.drop_duplicates(["dataset", "case"]).groupby("dataset").size()
    if len(tested):
        counted = (f"{dataset_name(one)} {tested[one]}" for one in data.datasets if one in tested)
        lines.append(f"Test cases: {', '.join(counted)}")
    if trainings:
        spent = provenance.duration(sum(one["seconds"] or 0 for one in trainings))
        lines.append(f"{_count(len(trainings), 'training')}, {spent} in all")
    return lines


def _line(one: Mapping[str, Any]) -> str:
    if not one["compared"]:
        return "none compared"
    better = f"better in {one['better']} of {one['compared']}, clearly in {one['clearly_better']}"
    worse = f", clearly worse in {one['clearly_worse']}" if one["clearly_worse"] else ""
    return (f"mean gain {one['mean']}; " if one["mean"] != ABSENT else "") + better + worse


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'s' * (number != 1)}"
