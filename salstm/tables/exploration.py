"""Metrics that were declared as exploratory, of each network and variant, grouped by what they look at."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from salstm.analysis.results import Collected, Frame, Series, network_name, variant_name
from salstm.analysis.results import dataset_name as name_of
from salstm.columns import TOLERATED
from salstm.evaluation import conventions, tolerances
from salstm.tables import bounds, numbers
from salstm.tables.layout import ABSENT, Cell, Column, Row, Table, convention_note, holes, number
from salstm.tables.numbers import MEAN
from salstm.vocabulary import METRICS, PROTOCOLS

KINDS = ("Overlap", "Surfaces", "Objects", "Calibration")
"""In the order of the columns."""
SAID = {
    "Surfaces": "NSD: share of the voxels of both surfaces within a tolerance of the other; ASSD: mean distance.",
    "Objects": "An object is a connected component of a class (corners connect); it is found where one predicted "
    "object has an IoU above 0.5 with it. Small, medium, large: thirds of the sizes of the test cases' own objects.",
    "Calibration": "ECE: how far a class's probability is from how often it is right, 15 bins, inside the box of each "
    "frame's foreground with a margin; on the stored grid and all frames under every protocol.",
}


def build(
    data: Collected, cards: Mapping[str, Any], dataset: str, protocol: str, metrics: Sequence[str]
) -> Table | None:
    """The table of a dataset under a protocol, a network and variant a row; None where nothing is explored.

    Args:
        data: what was collected.
        cards: by network.
        dataset: one of the datasets.
        protocol: a name in ``salstm.vocabulary.PROTOCOLS``.
        metrics: those that are explored.
    """
    if not metrics:
        return None
    metrics = sorted(metrics, key=lambda name: KINDS.index(METRICS[name].kind))
    tidy = numbers.comparison(data, {}, dataset, protocol, metrics)
    means: Frame = tidy[tidy["class"] == MEAN].set_index(["baseline", "variant", "metric"])
    part = data.of(dataset)
    rows = [
        Row(
            (network_name(baseline, cards), variant_name(variant)),
            tuple(_cell(means.loc[(baseline, variant, metric)], metric) for metric in metrics),
        )
        for baseline in part.baselines(dataset)
        for variant in part.variants
    ]
    refused = means["refused"].iloc[0]
    feet = [] if refused else bounds.find(part, dataset, protocol, metrics, MEAN)
    for one in feet:
        values = (one.value(metric, MEAN) for metric in metrics)
        rows.append(Row((one.label, ""), tuple(Cell(number(each), each) for each in values)))
    units = dict(zip(tidy["metric"], tidy["unit"].astype(str), strict=True))
    columns = (Column(METRICS[one].kind, METRICS[one].heading(units[one])) for one in metrics)
    title = f"{name_of(dataset)}, protocol {protocol}: exploratory metrics, means over classes"
    notes = (f"Left empty: {refused}.",) if refused else _notes(part, tidy, means, metrics)
    key = f"{dataset}_{protocol}_exploratory"
    return Table(
        key, title, ("Network", "Variant"), tuple(columns), tuple(rows), notes + bounds.note(feet)
    )


def _cell(row: Series, metric: str) -> Cell:
    scale = METRICS[metric].scale
    value = float(row["mean"]) * scale
    if math.isnan(value):
        return Cell(ABSENT, title=str(row["refused"]) or "undefined for every case, or not done")
    spread = "" if math.isnan(row["sd"]) else number(float(row["sd"]) * scale)
    title = f"{row['seeds']} seeds, {row['cases']} cases; {row['undefined']} of {row['values']} values undefined"
    return Cell(number(value), value, spread, title=title)


def _notes(part: Collected, tidy: Frame, means: Frame, metrics: Sequence[str]) -> tuple[str, ...]:
    first = tidy.iloc[0]
    kinds = dict.fromkeys(METRICS[one].kind for one in metrics)
    return (
        f"n = {means['cases'].max()} test cases; {holes(means)}. Exploratory: declared as such before the run, not "
        "tested, in no rank, verdict or claim.",
        f"Protocol {first['protocol']}: {PROTOCOLS[first['protocol']].description}",
        convention_note(first["convention"]),
        *(SAID[one] for one in kinds if one in SAID),
        *(_tolerances(part, str(first["convention"])) if "nsd" in metrics else ()),
    )


def _tolerances(part: Collected, convention: str) -> tuple[str, ...]:
    """With which tolerances NSD was measured, by class, and why those."""
    rows: Frame = conventions.apply(part.scores, convention)
    if TOLERATED not in rows or rows[TOLERATED].isna().all():
        return ()
    known = rows.dropna(subset=TOLERATED).drop_duplicates(["class", "unit"])
    used = dict(zip(known["class"], known[TOLERATED].astype(float), strict=True))
    unit = numbers.unit_of(known)
    listed = ", ".join(f"{name} {value:g}" for name, value in used.items())
    native = conventions.CONVENTIONS[convention].scope == "native"
    dataset = str(rows["dataset"].iloc[0])
    why = (
        tolerances.reason(dataset, used)
        if native
        else "on the stored grid, where a millimetre means nothing"
    )
    return (f"Tolerance of NSD [{unit}]: {listed} ({why}).",)
