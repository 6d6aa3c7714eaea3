"""How much of the grid is done, what is not and why, and what a reader must know first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from salstm.analysis.collect import STATES
from salstm.analysis.results import Collected, Frame, dataset_name, network_name, variant_name
from salstm.data.datasets import DATASETS
from salstm.vocabulary import IMPORTED


def states(data: Collected) -> dict[str, int]:
    """Cells in each state."""
    counts = data.cells["state"].value_counts()
    return {state: int(counts.get(state, 0)) for state in STATES}


def matrix(data: Collected, cards: Mapping[str, Any]) -> list[dict[str, Any]]:
    """One row per dataset and network: for each variant how many seeds are in which state."""
    rows = []
    for dataset in data.datasets:
        for baseline in data.baselines(dataset):
            chosen = _of(data.cells, dataset=dataset, baseline=baseline)
            cells = [_tally(_of(chosen, variant=variant)) for variant in data.variants]
            name = network_name(baseline, cards)
            rows.append({"dataset": dataset_name(dataset), "network": name, "cells": cells})
    return rows


def gaps(data: Collected, cards: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Every cell that is not done, with its state and the reason."""
    open_cells = data.cells[data.cells["state"] != "done"]
    return [
        {
            "dataset": dataset_name(row["dataset"]),
            "network": network_name(row["baseline"], cards),
            "variant": variant_name(row["variant"]),
            "seed": row["seed"],
            "state": row["state"],
            "reason": row["reason"],
        }
        for row in open_cells.to_dict("records")
    ]


def notices(data: Collected, phantoms: Sequence[str]) -> list[dict[str, str]]:
    """What a reader must know before the first number."""
    shown = []
    phantom = [dataset for dataset in data.datasets if dataset in phantoms]
    if phantom:
        which = _listed(phantom)
        text = f"The data of {which} are phantoms that this program made: simple shapes in the official file layout. "
        text += "The numbers show that the pipeline works. They say nothing about the networks or the modules."
        shown.append({"kind": "warning", "title": "Phantom data", "text": text})
    if alone := [dataset for dataset in data.datasets if DATASETS[dataset].frames == 1]:
        which = _listed(alone)
        text = f"On {which} a case has no neighbours that a module could use: the frame stands for its neighbours too "
        text += "(the released interface, called with three equal images). The paper's own 2D wiring is not public."
        wired = data.cells.loc[data.cells["wiring"] == "patches", "dataset"].unique()
        if cut := [dataset for dataset in alone if dataset in wired]:
            text += f" Not so on {_listed(cut)} (wiring: patches): there the features are cut into patches of 32 x 32 "
            text += "pixels, which the modules read in zigzag order, ahead and back, as a public follow-up does: "
            text += "another function, whose numbers do not compare with those of the other wiring."
        shown.append({"kind": "note", "title": "2D wiring", "text": text})
    if data.cells["seed"].nunique() == 1:
        text = "There is no standard deviation over seeds, and a difference may be seed noise."
        shown.append({"kind": "note", "title": "One seed", "text": text})
    return shown


def folded(records: Mapping[str, Mapping[str, Any]]) -> list[dict[str, str]]:
    """That the cases of a dataset are in folds; nothing where none are.

    Args:
        records: of the trainings, by key.
    """
    folds: dict[str, int] = {}
    for record in records.values():
        if number := record.get("fold"):
            dataset = record["identity"]["dataset"]
            folds[dataset] = max(number, folds.get(dataset, 0))
    if not folds:
        return []
    which = ", ".join(f"{dataset_name(one)} ({count} folds)" for one, count in folds.items())
    text = f"{which}: every case is tested once, by a training that saw nothing of its patient or video sequence. A "
    text += "seed is one training a fold; its scores are those of all folds together, each under its own weights."
    return [{"kind": "note", "title": "Cross-validation", "text": text}]


def imported(records: Mapping[str, Mapping[str, Any]]) -> list[dict[str, str]]:
    """That another program made the predictions of some rows; nothing where none are.

    Args:
        records: of the trainings, by key.
    """
    rows = {
        (one["identity"]["baseline"], one["identity"]["dataset"]): len(one[IMPORTED])
        for one in records.values()
        if one.get(IMPORTED)
    }
    if not rows:
        return []
    which = ", ".join(
        f"{name} on {dataset_name(dataset)} ({count} files)"
        for (name, dataset), count in rows.items()
    )
    text = f"{which}: another program made these predictions; they were scored here like all others. How they were "
    text += "trained and chosen is not known here; they are in no declared comparison and no claim."
    return [{"kind": "warning", "title": "Imported predictions", "text": text}]


def _listed(datasets: Sequence[str]) -> str:
    """Names as a sentence lists them."""
    *most, last = map(dataset_name, datasets)
    return f"{', '.join(most)} and {last}" if most else last


def _tally(cells: Frame) -> dict[str, Any]:
    counts = {state: int((cells["state"] == state).sum()) for state in STATES}
    worst = next((state for state in ("failed", "running", "missing") if counts[state]), "done")
    text = ", ".join(f"{count} {state}" for state, count in counts.items() if count)
    return {"done": counts["done"], "of": len(cells), "state": worst, "text": text}


def _of(frame: Frame, **values: str) -> Frame:
    for name, value in values.items():
        frame = frame[frame[name] == value]
    return frame
