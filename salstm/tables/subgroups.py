"""What each network and variant scores in each subgroup of the cases: exploration, nothing is tested."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from salstm import columns
from salstm.analysis.results import Collected, Frame, dataset_name, network_name, variant_name
from salstm.evaluation import conventions, subgroups
from salstm.tables import numbers
from salstm.tables.layout import ABSENT, Cell, Column, Row, Table, number
from salstm.tables.numbers import MEAN
from salstm.vocabulary import METRICS, STRICT

MEANING = {
    subgroups.POSITION: "Basal, mid and apical: thirds of the slices in which the reference has something, the base at "
    "the end with more foreground; slices beyond belong to the third at that end. A case is its slices of a third.",
    subgroups.SIZE: "Small, medium and large: thirds of the sizes of a class in the test cases' references, class by "
    "class, so that a case may be small in one and large in another; n counts cases that are so in any class.",
}


def levels(data: Collected, dataset: str, kind: str) -> list[tuple[str, Frame]]:
    """The subgroups of a kind: name, and rows as protocol strict scores them."""
    raw = data.of(dataset).scores
    found = [
        (level, conventions.under_protocol(rows, STRICT))
        for level, rows in subgroups.read(raw, kind)
    ]
    return [(level, rows) for level, rows in found if len(rows)]


def build(
    data: Collected,
    cards: Mapping[str, Any],
    dataset: str,
    kinds: Sequence[str],
    metrics: Sequence[str],
) -> Iterator[Table]:
    """The tables of a dataset: for each kind of subgroup and metric one, a subgroup a row.

    Args:
        data: what was collected.
        cards: by network.
        dataset: one of the datasets.
        kinds: of subgroups; those that the dataset has not are left out.
        metrics: those that are shown.
    """
    for kind in kinds:
        found = levels(data, dataset, kind)
        for metric in metrics if found else ():
            yield _table(data, cards, dataset, kind, metric, found)


def means(rows: Frame, metric: str) -> Frame:
    """Mean over cases, classes and seeds, by network and variant."""
    seeds = numbers.per_seed(rows, [metric])
    whole = seeds[seeds["class"] == MEAN]
    return whole.groupby(["baseline", "variant"], sort=False)["value"].mean()


def _table(
    data: Collected,
    cards: Mapping[str, Any],
    dataset: str,
    kind: str,
    metric: str,
    found: Sequence[tuple[str, Frame]],
) -> Table:
    part = data.of(dataset)
    cells = [(one, variant) for one in part.baselines(dataset) for variant in part.variants]
    rows = []
    for level, scored in found:
        table, count = means(scored, metric), scored["case"].nunique()
        shown = (_cell(table, cell, metric) for cell in cells)
        rows.append(Row((level,), (Cell(str(count), float(count)), *shown)))
    heading = METRICS[metric].heading(numbers.unit_of(found[0][1]))
    heads = [Column("", "n")]
    heads += [Column(network_name(one, cards), variant_name(name)) for one, name in cells]
    groups = len({group for _, scored in found for group in scored["group"]})
    notes = (
        f"n = cases, of {groups} patients or sequences; {heading}, protocol {STRICT}. Mean over the cases of each "
        "class, then over classes and seeds.",
        "Exploration: nothing here is tested, and no verdict reads it; differences between small subgroups are mostly "
        "chance.",
        *([MEANING[kind]] if kind in MEANING else []),
        *_cuts(kind, found),
    )
    title = f"{dataset_name(dataset)}: {METRICS[metric].label} by {kind.replace('_', ' ')} (exploration)"
    key = f"{dataset}_by-{kind.replace('_', '-')}_{metric}"
    return Table(
        key, title, (kind.replace("_", " ").capitalize(),), tuple(heads), tuple(rows), notes
    )


def _cell(table: Frame, cell: tuple[str, str], metric: str) -> Cell:
    if cell not in table.index:
        return Cell(ABSENT)
    value = float(table[cell]) * METRICS[metric].scale
    return Cell(number(value), value)


def _cuts(kind: str, found: Sequence[tuple[str, Frame]]) -> Iterator[str]:
    """Where the thirds of the sizes were cut: the largest small and the largest medium one."""
    if kind != subgroups.SIZE:
        return
    ends: dict[str, list[float]] = {}
    for _, rows in found[:2]:
        for name, each in rows.groupby("class", sort=False)[columns.SIZE].max().items():
            ends.setdefault(str(name), []).append(float(each))
    first = found[0][1].iloc[0]
    unit = {"mm": "mm³ or mm²"}.get(str(first["unit"]), "of the frame")
    listed = (f"{name} {' and '.join(f'{each:.3g}' for each in cut)}" for name, cut in ends.items())
    yield f"Largest small and largest medium, {unit}: {'; '.join(listed)}."
