"""How firm the order of a dataset is: each rank with its interval, and how many others are told apart."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from salstm.analysis.comparisons import BETTER
from salstm.analysis.results import Collected, Frame, dataset_name, network_name, variant_name
from salstm.tables.layout import Cell, Column, Row, Table, number
from salstm.vocabulary import METRICS

COLUMNS = ("rank", "from", "to", "first [%]", "better than", "worse than")


def told_apart(pair: Mapping[Any, Any]) -> bool:
    """Whether a pair is told apart after the correction."""
    return pair["verdict"] == BETTER


def few_seeds(pairs: Frame) -> str:
    """Why nothing is told apart, as the end of a sentence; empty where trainings were repeated."""
    one = len(pairs) > 0 and pairs["p"].isna().all()
    return "; without a second seed of both nothing can be told apart" if one else ""


def why_empty(ranking: Frame) -> str:
    """Why a dataset's ranking cannot be drawn again; empty if it can."""
    reasons = ranking["reason"].dropna()
    return str(reasons.iloc[0]) if len(reasons) and reasons.iloc[0] else ""


def build(
    data: Collected, judged: Mapping[str, Frame], cards: Mapping[str, Any], dataset: str
) -> Table | None:
    """The table of a dataset, a network and variant a row; None if nothing is ranked."""
    ranking, pairs = (
        judged[one][judged[one]["dataset"] == dataset] for one in ("ranking", "pairs")
    )
    if ranking.empty:
        return None
    metrics = list(dict.fromkeys(ranking["metric"]))
    table = ranking.set_index(["baseline", "variant", "metric"])
    clear = [row for row in pairs.to_dict("records") if told_apart(row)]
    rows = [
        Row(
            (network_name(baseline, cards), variant_name(variant)),
            tuple(
                cell
                for metric in metrics
                for cell in _cells(table, clear, (baseline, variant, metric))
            ),
        )
        for baseline in data.baselines(dataset)
        for variant in data.variants
    ]
    heads = [METRICS[metric].label for metric in metrics]
    columns = tuple(Column(head, name) for head in heads for name in COLUMNS)
    return Table(
        f"{dataset}_ranking",
        f"{dataset_name(dataset)}: how firm the order is",
        ("Network", "Variant"),
        columns,
        tuple(rows),
        _notes(ranking, pairs, len(metrics)),
    )


def _cells(table: Frame, clear: list[dict[Any, Any]], key: tuple[str, str, str]) -> list[Cell]:
    if key not in table.index:
        return [Cell("–")] * len(COLUMNS)
    row = table.loc[key]
    values = [float(row[name]) for name in ("rank", "low", "high")]
    cells = [Cell(number(value, 0), value) for value in values]
    first = 100 * float(row["first"])
    won = sum((one["baseline"], one["variant"], one["metric"]) == key for one in clear)
    lost = sum((one["over_baseline"], one["over_variant"], one["metric"]) == key for one in clear)
    counts = [won, lost] if not math.isnan(values[0]) else [math.nan, math.nan]
    return [*cells, Cell(number(first, 0), first), *(Cell(number(one, 0), one) for one in counts)]


def _notes(ranking: Frame, pairs: Frame, metrics: int) -> tuple[str, ...]:
    groups = int(ranking["groups"].iloc[0])
    if why := why_empty(ranking):
        return (f"No interval: {why}.",)
    return (
        f"n = {groups} patients or sequences, {len(pairs) // metrics} pairs of each metric. Patients or sequences are "
        "drawn again with replacement; a case is its mean over classes and seeds. From, to: 95 % interval of the rank; "
        "first: share of the draws in which it is the best.",
        "Better than, worse than: pairs told apart over trainings and groups, after Holm's correction for all "
        f"pairs of a metric{few_seeds(pairs)}.",
        "Exploration beside the declared comparisons: it decides no claim.",
    )
