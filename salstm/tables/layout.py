"""Where rounding and bold happen: tidy numbers become tables of text, ready for any format."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from salstm.analysis.results import (
    Collected,
    Frame,
    Series,
    dataset_name,
    network_name,
    variant_name,
)
from salstm.evaluation import conventions
from salstm.tables import bounds
from salstm.tables.numbers import MEAN
from salstm.vocabulary import METRICS, PLAIN, PROTOCOLS

MARKS = {1: "best", 2: "second"}
ABSENT = "–"
MINUS = "\N{MINUS SIGN}"
FEWER = "†"
SCRATCH = "‡"
COST_NOTE = (
    "A cost is of one prediction: a window of frames in, the middle frame's logits out. A multiply and an add count as "
    "one multiply-add (MAC)."
)
COSTS = {"parameters": ("Parameters [M]", 1e6), "macs": ("MACs [G]", 1e9)}


@dataclass(frozen=True)
class Cell:
    """One number as it is printed.

    Attributes:
        text: the rounded number, or a dash.
        value: the number in full precision and in the column's unit, for sorting; NaN if there is none.
        sd: the rounded standard deviation over seeds, or nothing.
        mark: 'best', 'second', or nothing.
        title: what a reader sees who asks for more.
        key: names what the cell shows: 'baseline/variant', for links.
    """

    text: str
    value: float = math.nan
    sd: str = ""
    mark: str = ""
    title: str = ""
    key: str = ""


BLANK = Cell("")


@dataclass(frozen=True)
class Column:
    """A column and the heading over it and its neighbours."""

    group: str
    name: str


@dataclass(frozen=True)
class Row:
    """A row: its labels (network, variant) and its cells."""

    labels: tuple[str, ...]
    cells: tuple[Cell, ...]


@dataclass(frozen=True)
class Table:
    """A finished table.

    Attributes:
        key: names files and anchors: 'acdc_strict', 'acdc_strict_dice'.
        title: what is shown.
        labels: headings of the row labels.
        columns: headings of the numbers.
        rows: in the grid's order.
        notes: what stands under the table: n, units, rules.
    """

    key: str
    title: str
    labels: tuple[str, ...]
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    notes: tuple[str, ...]


def overview(numbers: Frame, data: Collected, cards: Mapping[str, Any]) -> Table:
    """The main table: a network a row; means over the classes for each variant, the published number, the cost.

    Best and second are chosen among all networks and variants.
    """
    dataset, protocol = _names(numbers)
    means = _indexed(numbers[numbers["class"] == MEAN])
    part = data.of(dataset)
    blocks = [_metric_block(means, metric, part.variants, part) for metric in _metrics(numbers)]
    blocks += [_cost_block(part, name) for name in COSTS]
    columns = tuple(column for heads, _ in blocks for column in heads)
    scratch = from_scratch(part)
    rows = tuple(
        Row(
            (network_name(one, cards) + SCRATCH * (one in scratch),),
            tuple(cell for _, make in blocks for cell in make(one)),
        )
        for one in part.baselines(dataset)
    )
    feet = _bounds(numbers, part)
    rows += tuple(_foot(one, _metrics(numbers), blocks) for one in feet)
    title = f"{dataset_name(dataset)}, protocol {protocol}: means over classes"
    notes = (
        *_notes(numbers, part, cards, _structures(means)),
        *bounds.note(feet),
        *_scratch_note(scratch, cards),
        COST_NOTE,
    )
    return Table(f"{dataset}_{protocol}", title, ("Network",), columns, rows, notes)


def by_class(numbers: Frame, data: Collected, cards: Mapping[str, Any], metric: str) -> Table:
    """One metric class by class: a network and variant a row, and the published row where there is one.

    Best and second are chosen in each column.
    """
    dataset, protocol = _names(numbers)
    part = data.of(dataset)
    chosen = numbers[numbers["metric"] == metric]
    table, classes = _indexed(chosen), list(dict.fromkeys(chosen["class"]))
    heading = _heading(metric, chosen)
    rows: list[Row] = []
    scratch = from_scratch(part)
    for one in part.baselines(dataset):
        name = network_name(one, cards)
        ours = name + SCRATCH * (one in scratch)
        for variant in part.variants:
            cells = (_number(table.loc[(one, variant, metric, label)], part) for label in classes)
            rows.append(Row((ours, variant_name(variant)), tuple(cells)))
        known = [table.loc[(one, PLAIN, metric, label)] for label in classes if _has_plain(part)]
        if any(not math.isnan(row["published"]) for row in known):
            rows.append(Row((name, "plain, published"), tuple(_published(row) for row in known)))
    title = f"{dataset_name(dataset)}, protocol {protocol}: {heading} by class"
    columns = tuple(Column(heading, name) for name in classes)
    labels = ("Network", "Variant")
    feet = _bounds(chosen, part)
    for one in feet:
        values = (one.value(metric, label) for label in classes)
        rows.append(Row((one.label, ""), tuple(Cell(number(each), each) for each in values)))
    notes = (*_notes(chosen, part, cards), *bounds.note(feet), *_scratch_note(scratch, cards))
    return Table(f"{dataset}_{protocol}_{metric}", title, labels, columns, tuple(rows), notes)


def from_scratch(part: Collected) -> list[str]:
    """The networks of which a training that has begun started without pretrained weights, in the grid's order."""
    known = part.cells[part.cells["pretrained"].notna()]
    chosen = set(known.loc[~known["pretrained"].astype(bool), "baseline"])
    return [one for one in dict.fromkeys(part.cells["baseline"]) if one in chosen]


def column_name(variant: str) -> str:
    """A variant as a column's heading, short: a table has up to sixteen."""
    return variant_name(variant).removeprefix("+ ")


def number(value: float, decimals: int = 2, *, signed: bool = False) -> str:
    """A number as text, with a true minus sign; a dash for NaN."""
    if value is None or math.isnan(value):
        return ABSENT
    text = f"{value:+.{decimals}f}" if signed else f"{value:.{decimals}f}"
    return text.replace("-", MINUS)


_Block = tuple[list[Column], Callable[[str], Iterable[Cell]]]


def _metric_block(means: Any, metric: str, variants: list[str], part: Collected) -> _Block:
    """Columns of a metric: its variants, then the published number and the difference of the plain network."""
    heading = _heading(metric, means.reset_index())
    columns = [Column(heading, column_name(variant)) for variant in variants]
    if _has_plain(part):
        columns += [Column(heading, "published"), Column(heading, "diff.")]

    def cells(baseline: str) -> Iterable[Cell]:
        for variant in variants:
            yield _number(means.loc[(baseline, variant, metric, MEAN)], part)
        if _has_plain(part):
            row = means.loc[(baseline, PLAIN, metric, MEAN)]
            yield from (_published(row), _difference(row))

    return columns, cells


def _cost_block(part: Collected, name: str) -> _Block:
    heading, unit = COSTS[name]
    values = part.cost.set_index(["baseline", "variant"])[name].dropna()
    if name == "parameters":
        known = part.cells.dropna(subset="parameters").drop_duplicates(["baseline", "variant"])
        values = values.combine_first(known.set_index(["baseline", "variant"])["parameters"])

    def cells(baseline: str) -> Iterable[Cell]:
        for variant in part.variants:
            value = float(values.get((baseline, variant), math.nan)) / unit
            yield Cell(number(value), value, title=f"{value * unit:,.0f}" if value == value else "")

    return [Column(heading, column_name(variant)) for variant in part.variants], cells


def _bounds(numbers: Frame, part: Collected) -> list[bounds.Bound]:
    """What stands at the foot of a table; nothing where the protocol refuses the dataset."""
    if numbers["refused"].iloc[0]:
        return []
    dataset, protocol = _names(numbers)
    return bounds.find(part, dataset, protocol, _metrics(numbers), MEAN)


def _foot(bound: bounds.Bound, metrics: list[str], blocks: list[_Block]) -> Row:
    """A row of the overview: each metric once, in the first of its columns; the blocks of the costs follow."""
    values = [bound.value(metric, MEAN) for metric in metrics]
    first = [*(Cell(number(value), value) for value in values), *[BLANK] * len(COSTS)]
    cells = [
        cell
        for one, (columns, _) in zip(first, blocks, strict=True)
        for cell in (one, *[BLANK] * (len(columns) - 1))
    ]
    return Row((bound.label,), tuple(cells))


def _number(row: Series, part: Collected) -> Cell:
    """Ours: mean and sd over the seeds; where there is none, the title says why."""
    _, variant, metric, _ = row.name
    scale = METRICS[metric].scale
    value, key = row["mean"] * scale, f"{row.name[0]}/{variant}"
    if math.isnan(value):
        return Cell(ABSENT, title=_why(row, part), key=key)
    spread = "" if math.isnan(row["sd"]) else number(row["sd"] * scale)
    fewer = FEWER if row["seeds"] < part.cells["seed"].nunique() else ""
    title = f"{row['seeds']} seeds, {row['cases']} cases; {row['undefined']} of {row['values']} values undefined, "
    title += f"{row['missed']} missed, {row['invented']} invented"
    return Cell(number(value) + fewer, value, spread, MARKS.get(row["rank"], ""), title, key)


def _published(row: Series) -> Cell:
    value = row["published"] * METRICS[row.name[2]].scale
    if math.isnan(value):
        return Cell(ABSENT)
    text = number(value) + ("" if row["comparable"] else "*")
    checked = "" if row["verified"] else " (recalled, not checked)"
    return Cell(text, value, title=f"{row['source']}{checked}. {row['why']}")


def _difference(row: Series) -> Cell:
    value = row["difference"] * METRICS[row.name[2]].scale
    return Cell(number(value, signed=True), value, title="" if math.isnan(value) else row["why"])


def _why(row: Series, part: Collected) -> str:
    baseline, variant = row.name[:2]
    if row["refused"]:
        return str(row["refused"])
    if row["seeds"]:
        return "undefined for every case"
    same = (part.cells["baseline"] == baseline) & (part.cells["variant"] == variant)
    cells = part.cells[same].to_dict("records")
    return "; ".join(f"seed {one['seed']} {one['state']}: {one['reason']}" for one in cells)


def _notes(
    numbers: Frame, part: Collected, cards: Mapping[str, Any], counted: str = ""
) -> tuple[str, ...]:
    """n, units, aggregation, rule and holes: what a number means; ``counted`` is said beside n."""
    first = numbers.iloc[0]
    if first["refused"]:
        return (f"Left empty: {first['refused']}.",)
    seeds = part.cells["seed"].nunique()
    means = numbers[numbers["class"] == MEAN]
    spread = "± is the standard deviation over seeds." if seeds > 1 else "One seed: no spread."
    # What is of this table alone is one sentence: the page keeps it at the table, and the rest, once, at its foot.
    notes = [
        f"n = {means['cases'].max()} test cases, {seeds} seed{'s' * (seeds > 1)}; {holes(means)}"
        f"{counted}. {spread} Averaged over the cases of each class, then over classes, seeds last.",
        f"Protocol {first['protocol']}: {PROTOCOLS[first['protocol']].description}",
        convention_note(first["convention"]),
        "Best in bold, second underlined.",
    ]
    if (means["seeds"].between(1, seeds - 1)).any():
        notes.append(f"{FEWER} fewer seeds than planned; the list of cells says which and why.")
    if numbers["published"].notna().any():
        notes.append(
            "Published numbers are of the plain network, from its card; the difference is ours minus theirs, with the "
            "weights that they were published with. * not comparable: other data, split, selection or scoring, and no "
            "difference is shown."
        )
        notes += _comparable(means, cards)
    return tuple(notes)


def _comparable(means: Frame, cards: Mapping[str, Any]) -> list[str]:
    """With which run each comparable number is compared: split, weights and grid."""
    rows = means[means["comparable"].fillna(False).astype(bool)]
    return [
        f"{network_name(row['baseline'], cards)}: {row['why']}."
        for row in rows.drop_duplicates("baseline").to_dict("records")
    ]


def convention_note(name: str) -> str:
    """What a convention's name means."""
    return f"Convention {name}: {conventions.CONVENTIONS[name].description}"


def holes(means: Frame) -> str:
    """How many values of each metric are undefined, in words: the metrics that have any, of how many.

    Args:
        means: rows of ``salstm.tables.numbers.comparison`` for the mean over the classes.
    """
    counts = means.groupby("metric", sort=False)[["undefined", "values"]].sum()
    of = f"of {counts['values'].iloc[0]} values a metric"
    found = counts.loc[counts["undefined"] > 0, "undefined"].to_dict()
    listed = (f"{METRICS[str(name)].label} {count}" for name, count in found.items())
    return f"{of} undefined and left out: {', '.join(listed) or 'none'}"


def _structures(means: Frame) -> str:
    """How many structures each variant missed and invented; they are the same whatever the metric."""
    first = means.index.get_level_values("metric") == _metrics(means.reset_index())[0]
    one = means[first].groupby("variant", sort=False)
    counts = one[["missed", "invented"]].sum()
    parts = []
    for what in counts:
        each = (f"{variant_name(str(name))} {count}" for name, count in counts[what].items())
        parts.append(f"{what}: {', '.join(each) if counts[what].any() else 'none'}")
    return f"; structures {', '.join(parts)}"


def _scratch_note(scratch: list[str], cards: Mapping[str, Any]) -> Iterable[str]:
    """What the mark at a network's name means, and whose authors do otherwise."""
    if not scratch:
        return
    weights = {one: cards.get(one, {}).get("weights", {"scratch": True}) for one in scratch}
    others = [network_name(one, cards) for one in scratch if not weights[one]["scratch"]]
    note = f"{SCRATCH} trained from scratch: no pretrained weights."
    if others:
        note += f" The authors of {', '.join(others)} start from a pretrained backbone."
    yield note


def _indexed(numbers: Frame) -> Frame:
    return numbers.set_index(["baseline", "variant", "metric", "class"])


def _heading(metric: str, numbers: Frame) -> str:
    unit = numbers.loc[numbers["metric"] == metric, "unit"].iloc[0]
    return METRICS[metric].heading(unit)


def _metrics(numbers: Frame) -> list[str]:
    return list(dict.fromkeys(numbers["metric"]))


def _names(numbers: Frame) -> tuple[str, str]:
    return str(numbers["dataset"].iloc[0]), str(numbers["protocol"].iloc[0])


def _has_plain(part: Collected) -> bool:
    return PLAIN in part.variants
