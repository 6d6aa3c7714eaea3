"""How far a ranking depends on the scoring rule, and a score on the choice of the weights."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from salstm.analysis import comparisons
from salstm.analysis.results import Collected, Series, dataset_name, network_name, variant_name
from salstm.evaluation import conventions
from salstm.tables import numbers
from salstm.tables.layout import ABSENT, Cell, Column, Row, Table, convention_note, number
from salstm.vocabulary import METRICS, PROTOCOLS, SELECTIONS, STRICT


def by_convention(
    data: Collected, cards: Mapping[str, Any], dataset: str, metrics: Sequence[str]
) -> Table:
    """Ranks of all networks and variants of a dataset under every convention; 'moves' is how far they go."""
    part = data.of(dataset)
    selection = PROTOCOLS[STRICT].selection
    columns, ranked = [], {}
    for metric in metrics:
        table = comparisons.ranks(part.scores, selection, metric)
        table = table.set_index(["baseline", "variant"]).drop(columns="dataset")
        ranked[metric] = table.dropna(axis=1, how="all")
        columns += [
            Column(f"{METRICS[metric].label}, rank", one) for one in (*ranked[metric], "moves")
        ]
    rows = [
        Row(
            (network_name(baseline, cards), variant_name(variant)),
            tuple(cell for table in ranked.values() for cell in _ranks(table, baseline, variant)),
        )
        for baseline in part.baselines(dataset)
        for variant in part.variants
    ]
    return Table(
        f"{dataset}_ranks",
        f"{dataset_name(dataset)}: rank under each scoring rule",
        ("Network", "Variant"),
        tuple(columns),
        tuple(rows),
        (
            "The same predictions (weights chosen on validation), scored under each rule; 1 is best, equal means share "
            "the better rank. Moves: the largest rank minus the smallest; bold where it is not 0.",
            *map(convention_note, conventions.CONVENTIONS),
            *(f"Not strict: {why}." for why in conventions.refusals(part.scores, STRICT).values()),
        ),
    )


def by_selection(
    data: Collected, cards: Mapping[str, Any], dataset: str, metrics: Sequence[str]
) -> Table:
    """Scores of a dataset under each choice of weights, and what choosing on the test set adds."""
    part = data.of(dataset)
    convention = PROTOCOLS[STRICT].convention_for(dataset)
    scores = comparisons.optimism(part.scores, convention, metrics)
    shown = [*SELECTIONS, "optimism"]
    means = scores.groupby(["baseline", "variant", "metric"])[shown].mean()
    unit = numbers.unit_in(data, dataset)
    names = [*(one.label for one in SELECTIONS.values()), "optimism"]
    falling = [METRICS[metric].label for metric in metrics if METRICS[metric].sign < 0]
    less = f" (for {' and '.join(falling)} it takes off)" if falling else ""
    rows = [
        Row(
            (network_name(baseline, cards), variant_name(variant)),
            tuple(
                _score(means, (baseline, variant, metric), name)
                for metric in metrics
                for name in shown
            ),
        )
        for baseline in part.baselines(dataset)
        for variant in part.variants
    ]
    return Table(
        f"{dataset}_selection",
        f"{dataset_name(dataset)}: choice of the weights",
        ("Network", "Variant"),
        tuple(Column(METRICS[metric].heading(unit), name) for metric in metrics for name in names),
        tuple(rows),
        (
            f"Convention {convention}, means over classes, cases and seeds. Optimism: best test minus best val, "
            f"which is what choosing the weights on the test set adds to a published score{less}.",
            *(f"Not strict: {why}." for why in conventions.refusals(part.scores, STRICT).values()),
        ),
    )


def moved(table: Table) -> str:
    """What a table of ranks shows, in words; nothing if it is empty."""
    parts = []
    for at, column in enumerate(table.columns):
        known = [row.cells[at].value for row in table.rows if not math.isnan(row.cells[at].value)]
        if column.name == "moves" and known:
            name, count = column.group.split(",")[0], sum(value > 0 for value in known)
            most = f"by up to {max(known):.0f} place{'s' * (max(known) != 1)}"
            parts.append(f"{name} moves {count} of {len(known)}" + f", {most}" * (count > 0))
    return "; ".join(parts)


def optimistic(table: Table) -> str:
    """What choosing on the test set adds, in words; nothing if nothing is scored."""
    parts = []
    for at, column in enumerate(table.columns):
        known = [row.cells[at].value for row in table.rows if not math.isnan(row.cells[at].value)]
        if column.name == "optimism" and known:
            mean = number(sum(known) / len(known), signed=True)
            parts.append(f"{column.group} by {mean}")
    return f"choosing on the test set moves {', '.join(parts)}" if parts else ""


def _ranks(table: Any, baseline: str, variant: str) -> list[Cell]:
    if (baseline, variant) not in table.index:
        return [Cell(ABSENT)] * (len(table.columns) + 1)
    row: Series = table.loc[(baseline, variant)]
    cells = [Cell(number(value, 0), float(value)) for value in row]
    moves = float(row.max() - row.min())
    return [*cells, Cell(number(moves, 0), moves, mark="best" if moves > 0 else "")]


def _score(means: Any, key: tuple[str, str, str], name: str) -> Cell:
    if key not in means.index:
        return Cell(ABSENT)
    value = float(means.loc[key, name]) * METRICS[key[2]].scale
    return Cell(number(value, signed=name == "optimism"), value)
