"""What ``collect`` wrote, read back: five frames that have their columns even where they have no rows."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

Frame = Any
"""A pandas DataFrame. To pandas' own annotations a column may be nearly anything, so the checker sees Any."""
Series = Any
"""A pandas Series; see Frame."""
IDENTITY = ("dataset", "baseline", "variant", "seed")
NAMES = {"plain": "plain", "salstm": "+ SALSTM", "lstmsa": "+ LSTMSA"}
DATASETS = {
    "synapse": "Synapse",
    "acdc": "ACDC",
    "isic2018": "ISIC 2018",
    "cvc_clinicdb": "CVC-ClinicDB",
}
_TEXT = ("case", "group", "class")
_COLUMNS = {
    "cells": (
        *(*IDENTITY, "state", "reason", "epochs", "parameters", "seconds", "joules"),
        *("training_bytes", "pretrained", "recipe", "command"),
    ),
    "scores": (
        *(*IDENTITY, "selection", "scope", "case", "group", "class", "reference_voxels"),
        *("prediction_voxels", "dice", "iou", "hd", "hd95", "hd95_directed", "assd", "diagonal"),
        "divided_groups",
    ),
    "cost": (*IDENTITY[:3], "parameters", "macs"),
    "sparsity": (*IDENTITY[:2], "seed", "model", "split", "case", "layer", "l1", "ratio"),
    "history": (*IDENTITY, "epoch", "iteration", "lr", "loss", "val_dice", "test_dice", "seconds"),
}
_JUDGED = {
    "ranking": (
        *(*IDENTITY[:3], "metric", "rank", "low", "high", "first", "tau", "groups", "least_p"),
        "reason",
    ),
    "shares": (*IDENTITY[:3], "metric", "at", "share"),
    "pairs": (
        *("dataset", "metric", "baseline", "variant", "over_baseline", "over_variant"),
        *("gain", "p", "p_holm"),
    ),
    "comparisons": (
        *(*IDENTITY[:2], "module", "metric", "plain", "with_module", "difference", "low", "high"),
        *(
            "improvement",
            "p",
            "p_holm",
            "smallest_p",
            "effect_size",
            "seed_sd",
            "gain_over_seed_sd",
        ),
        *("cases", "groups", "seeds", "pairs_left_out", "reason", "family", "level", "protocol"),
    ),
    "claims": (
        *("claim", "module", "measure", "protocol", "verdict", "evidence", "missing"),
        *("text", "reading"),
    ),
}


@dataclass(frozen=True)
class Collected:
    """The results of a grid.

    Attributes:
        cells: one row per cell: its state, why, and how it was made.
        scores: raw rows as of ``salstm.evaluation.scoring``.
        cost: one row per dataset, network and variant.
        history: one row per cell and epoch.
        sparsity: one row per dataset, stacked model, split, case and layer (``salstm.sparsity``).
    """

    cells: Frame
    scores: Frame
    cost: Frame
    history: Frame
    sparsity: Frame

    @property
    def datasets(self) -> list[str]:
        """The datasets of the grid, in its order."""
        return list(dict.fromkeys(self.cells["dataset"]))

    def baselines(self, dataset: str) -> list[str]:
        """The networks of a dataset, in the grid's order."""
        chosen = self.cells.loc[self.cells["dataset"] == dataset, "baseline"]
        return list(dict.fromkeys(chosen))

    @property
    def variants(self) -> list[str]:
        """The variants of the grid, in its order."""
        return list(dict.fromkeys(self.cells["variant"]))

    def of(self, dataset: str) -> Collected:
        """The part that belongs to one dataset."""
        parts = (
            frame.loc[frame["dataset"] == dataset].reset_index(drop=True)
            for frame in (self.cells, self.scores, self.cost, self.history, self.sparsity)
        )
        return Collected(*parts)


def read(folder: Path) -> Collected:
    """Read the folder that ``collect`` wrote.

    Raises:
        FileNotFoundError: one of the five files is missing; the message says what to run.
    """
    return Collected(**{name: _frame(folder / f"{name}.csv", _COLUMNS[name]) for name in _COLUMNS})


def judged(folder: Path, name: str) -> Frame:
    """Read what ``claims`` wrote beside, by the file's name: 'comparisons'; no rows if it has not run."""
    import pandas as pd

    path, columns = folder / f"{name}.csv", _JUDGED[name]
    return _frame(path, columns) if path.is_file() else pd.DataFrame(columns=list(columns))


def variant_name(variant: str) -> str:
    """A variant as tables and figures print it."""
    return NAMES.get(variant, f"+ {variant}")


def dataset_name(dataset: str) -> str:
    """A dataset as tables and figures print it."""
    return DATASETS.get(dataset, dataset)


def network_name(baseline: str, cards: dict[str, Any]) -> str:
    """A network as tables and figures print it: its card's title."""
    return str(cards.get(baseline, {}).get("title", baseline))


def classes_of(dataset: str, scores: Frame) -> list[str]:
    """The classes of a dataset in the order of their numbers; of an unknown dataset those that were scored."""
    from salstm.data.datasets import DATASETS as REGISTRY

    if dataset in REGISTRY:
        return list(REGISTRY[dataset].classes)
    return list(dict.fromkeys(scores.loc[scores["dataset"] == dataset, "class"]))


def _frame(path: Path, columns: tuple[str, ...]) -> Frame:
    import pandas as pd

    if not path.is_file():
        raise FileNotFoundError(
            f"{path}: no such file; run `python -m salstm collect --out {path.parent}` first"
        )
    frame = pd.read_csv(path, dtype=dict.fromkeys(_TEXT, str), keep_default_na=True)
    missing = [name for name in columns if name not in frame.columns]
    return frame.reindex(columns=[*frame.columns, *missing]) if missing else frame
