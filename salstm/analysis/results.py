"""What ``collect`` wrote, read back: six frames that have their columns even where they have no rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from salstm import columns
from salstm.columns import COLLECTED, COLUMNS
from salstm.data.datasets import DATASETS
from salstm.files import read_csv, read_json
from salstm.vocabulary import MEASURED, METRICS, PLAIN, VARIANTS, Identity

Frame = Any
"""A pandas DataFrame. To pandas' own annotations a column may be nearly anything, so the checker sees Any."""
Series = Any
"""A pandas Series; see Frame."""


@dataclass(frozen=True)
class Collected:
    """The results of a grid.

    Attributes:
        cells: one row per cell: its state, why, and how it was made.
        scores: raw rows as of ``salstm.evaluation.scoring``.
        cost: one row per dataset, network and variant.
        history: one row per cell and epoch.
        sparsity: one row per dataset, stacked model, split, case and layer (``salstm.sparsity``).
        bounds: raw rows of what no network predicted (``salstm.evaluation.bounds``).
    """

    cells: Frame
    scores: Frame
    cost: Frame
    history: Frame
    sparsity: Frame
    bounds: Frame
    _part: dict[str, Collected] = field(default_factory=dict, init=False, repr=False, compare=False)

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
        """The part that belongs to one dataset; the last is kept, for who goes on with the same."""
        if dataset not in self._part:
            parts = (
                frame.loc[frame["dataset"] == dataset].reset_index(drop=True)
                for frame in (getattr(self, name) for name in COLLECTED)
            )
            self._part.clear()
            self._part[dataset] = Collected(*parts)
        return self._part[dataset]


def read(folder: Path, metrics: Sequence[str] = ()) -> Collected:
    """Read the folder that ``collect`` wrote.

    Args:
        folder: it.
        metrics: those that are read beside those that are measured always.

    Raises:
        FileNotFoundError: one of the files is missing; the message says what to run.
        ValueError: one lacks a column, or no cell was scored with one of the metrics; the message names both.
    """
    left_out = [name for name in METRICS if name not in MEASURED and name not in metrics]
    data = Collected(
        **{name: _frame(folder / f"{name}.csv", COLUMNS[name], left_out) for name in COLLECTED}
    )
    missing = [name for name in metrics if name not in data.scores]
    if missing and data.scores.empty:  # of a grid of which no cell is done
        nothing = data.scores.reindex(columns=[*data.scores.columns, *missing])
        return replace(data, scores=nothing.astype(dict.fromkeys(missing, "float64")))
    if missing:
        raise ValueError(
            f"{folder / 'scores.csv'}: no column {', '.join(missing)}, which is measured only where the configuration "
            f"names it: name it in statistics and run snakemake again, or score with --chosen"
        )
    return data


def runs(folder: Path) -> dict[str, dict[str, Any]]:
    """The runs' records in the folder that ``collect`` wrote, by the keys of their identities."""
    path = folder / "runs.json"
    return read_json(path) if path.is_file() else {}


def of_cell(records: Mapping[str, Any], cell: Identity) -> dict[str, Any]:
    """Of the runs' records those of a cell, by key: one, or one for each of its folds."""
    folds = f"{cell.key}/"
    return {key: one for key, one in records.items() if key == cell.key or key.startswith(folds)}


def judged(folder: Path, name: str) -> Frame:
    """Read what ``claims`` wrote beside, by the file's name: 'comparisons'; no rows if it has not run."""
    import pandas as pd

    path, names = folder / f"{name}.csv", COLUMNS[name]
    return _frame(path, names) if path.is_file() else pd.DataFrame(columns=list(names))


def variant_name(variant: str) -> str:
    """A variant as tables and figures print it."""
    return "+ " * (variant != PLAIN) + VARIANTS[variant].label


def dataset_name(dataset: str) -> str:
    """A dataset as tables and figures print it."""
    return DATASETS[dataset].label


def network_name(baseline: str, cards: Mapping[str, Any]) -> str:
    """A network as tables and figures print it: its card's title."""
    return str(cards.get(baseline, {}).get("title", baseline))


def classes_of(dataset: str) -> list[str]:
    """The classes of a dataset in the order of their numbers."""
    return list(DATASETS[dataset].classes)


def _frame(path: Path, names: tuple[str, ...], left_out: Sequence[str] = ()) -> Frame:
    if not path.is_file():
        raise FileNotFoundError(
            f"{path}: no such file; run `python -m salstm collect --out {path.parent}` first"
        )
    frame = read_csv(path, left_out=left_out)
    try:
        columns.check(path, frame.columns, names)
    except ValueError as error:
        raise ValueError(
            f"{error}; another version wrote it: run collect and claims again"
        ) from error
    return frame
