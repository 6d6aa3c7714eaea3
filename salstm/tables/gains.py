"""The declared comparisons of one dataset and metric: gain, interval, tests, and the noise of the seeds."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from salstm.analysis.results import Frame, dataset_name, network_name, variant_name
from salstm.tables.layout import ABSENT, Cell, Column, Row, Table, number
from salstm.vocabulary import METRICS, PROTOCOLS

_COUNTS = ("cases", "groups", "seeds", "unpaired")
_PATIENTS = ("patients_low", "patients_high")


def build(
    comparisons: Frame, cards: Mapping[str, Any], dataset: str, metric: str, unit: str
) -> Table:
    """The table of a dataset and metric, a network and module a row.

    Args:
        comparisons: as ``salstm.analysis.analyse`` wrote them.
        cards: by network.
        dataset: one of the datasets there.
        metric: one of the metrics there.
        unit: of its distances.
    """
    chosen = (comparisons["dataset"] == dataset) & (comparisons["metric"] == metric)
    rows = comparisons[chosen].to_dict("records")
    name = METRICS[metric].heading(unit)
    columns = [Column(name, one) for one in ("plain", "module", "gain", "from", "to")]
    columns += [Column("Test", one) for one in ("p", "p (Holm)", "verdict", "detectable")]
    columns += [Column("Trainings", one) for one in ("sd", "luck")]
    columns += [Column("These trainings, new patients", one) for one in ("from", "to", "p", "d")]
    columns += [Column("n", one) for one in _COUNTS]
    return Table(
        f"{dataset}_gains_{metric}",
        f"{dataset_name(dataset)}: gain in {name}",
        ("Network", "Variant"),
        tuple(columns),
        tuple(
            Row(
                (network_name(row["baseline"], cards), variant_name(row["module"])),
                tuple(_cells(row)),
            )
            for row in rows
        ),
        _notes(rows),
    )


def ends(row: Mapping[str, Any], names: tuple[str, str] = ("low", "high")) -> tuple[float, float]:
    """The interval of a gain, which has its sign turned for distances; lower end first."""
    low, high = (row[name] for name in names)
    return (low, high) if METRICS[row["metric"]].sign > 0 else (-high, -low)


def probability(value: float) -> str:
    """A p value as text."""
    if math.isnan(value):
        return ABSENT
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def _cells(row: Mapping[str, Any]) -> list[Cell]:
    unit, low, high = METRICS[row["metric"]].scale, *ends(row)
    values = [row["plain"], row["with_module"], row["improvement"], low, high]
    cells = [_cell(value * unit, row, signed=at > 1) for at, value in enumerate(values)]
    cells += [Cell(probability(row[key]), row[key]) for key in ("p", "p_holm")]
    said = row["verdict"]
    cells.append(Cell(said if isinstance(said, str) and said else ABSENT))
    cells += [_cell(row[key] * unit, row) for key in ("detectable", "seed_sd", "luck")]
    cells += [_cell(end * unit, row, signed=True) for end in ends(row, _PATIENTS)]
    cells.append(Cell(probability(row["patients_p"]), row["patients_p"]))
    cells.append(_cell(row["effect_size"], row, signed=True))
    return cells + [Cell(f"{int(row[key])}", float(row[key])) for key in _COUNTS]


def _cell(value: float, row: Mapping[str, Any], *, signed: bool = False) -> Cell:
    why = row["reason"] if isinstance(row["reason"], str) else ""
    left = f"{int(row['pairs_left_out'])} pairs left out" if row["pairs_left_out"] else ""
    text = number(value, signed=signed).replace("inf", "∞")
    return Cell(text, value, title=why or left)


def _notes(rows: list[dict[str, Any]]) -> tuple[str, ...]:
    if not rows:
        return ()
    first = rows[0]
    seeds = max(int(row["seeds"]) for row in rows)
    notes = [
        f"Protocol {first['protocol']}: {PROTOCOLS[first['protocol']].description}",
        "Gain: module minus plain on the same cases and classes, the sign turned for distances; from, to: "
        f"{100 * first['level']:.0f} % interval over trainings and groups (patients, sequences): does the module help?",
        f"p: of no gain, over trainings and groups; Holm: corrected for all {int(first['family'])} declared tests, "
        "run or not, the only p that decides. Detectable: the smallest gain that 80 % of such studies would find; "
        "undecided is not 'no effect'.",
        "sd: of a training's mean, shared over the variants of a network and the networks of a dataset; luck: what "
        "95 % of gains stay inside that have no other cause than the trainings.",
        "These trainings, new patients: interval drawn over groups and p by their signs, which say nothing about "
        "another training; d: mean over sd of the groups' gains. Unpaired: cases that not every training has.",
    ]
    if seeds < 2:
        notes[2] = (
            "One seed: how far a gain varies between trainings is not known, so nothing here says whether the module "
            "helps; what is left is about these trainings and new patients."
        )
    return tuple(notes)
