"""What a grid will cost and what of it is done, dataset by dataset, before anything runs."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from salstm import recipes
from salstm.cards import authors_report
from salstm.cost import estimate
from salstm.data.datasets import DATASETS
from salstm.data.frame_counts import Amounts, amounts
from salstm.files import occupied
from salstm.vocabulary import Identity, cells, folds_of

KINDS = ("gpu", "cpu")
COLUMNS = (
    *("dataset", "cells", "trainings", "done", "begun", "epochs", "iterations"),
    *("GPU-hours", "left", "CPU-hours", "left", "disk [GB]"),
)
CELL_COLUMNS = (
    *("dataset", "network", "variant", "steps", "epochs", "an epoch", "batch", "looks", "authors"),
)


@dataclass
class Row:
    """A dataset's share of the plan.

    Attributes:
        name: of the dataset.
        amounts: its frames; None in the row of all datasets.
        cells: networks times variants.
        states: trainings by state: done, begun, changed (done with another recipe), open.
        epochs: of all trainings.
        iterations: of all trainings.
        hours: of all trainings with their predictions, by kind of device.
        left: the same, of those that are not done; a begun one counts whole.
        bytes: of prepared cases and weights, when all is done: what those of done trainings take, at most what the
            others can.
        checkpoint: bytes that the largest running training needs beside.
        measured: trainings whose time rests on a probe, by kind of device.
        unknown: names of networks whose card has no count and that no probe measured.
    """

    name: str
    amounts: Amounts | None = None
    cells: int = 0
    states: Counter[str] = field(default_factory=Counter)
    epochs: int = 0
    iterations: int = 0
    hours: dict[str, float] = field(default_factory=lambda: dict.fromkeys(KINDS, 0.0))
    left: dict[str, float] = field(default_factory=lambda: dict.fromkeys(KINDS, 0.0))
    bytes: float = 0.0
    checkpoint: float = 0.0
    measured: Counter[str] = field(default_factory=Counter)
    unknown: set[str] = field(default_factory=set)

    @property
    def trainings(self) -> int:
        """Trainings in any state."""
        return self.states.total()

    def add(self, other: Row) -> None:
        """Count another row in."""
        self.cells += other.cells
        self.states += other.states
        self.epochs += other.epochs
        self.iterations += other.iterations
        for kind in KINDS:
            self.hours[kind] += other.hours[kind]
            self.left[kind] += other.left[kind]
        self.bytes += other.bytes
        self.checkpoint = max(self.checkpoint, other.checkpoint)
        self.measured += other.measured
        self.unknown |= other.unknown


def plan(
    settings: Mapping[str, Any],
    cards: Mapping[str, Any],
    results: Path,
    figures: estimate.Figures,
) -> list[Row]:
    """One row for each dataset of the grid, and one for all of them.

    Args:
        settings: the checked configuration.
        cards: by the network's name.
        results: folder of this configuration's results; need not be there.
        figures: what a window and a frame cost.
    """
    chosen = [name for name, networks in settings["grid"].items() if networks]
    rows = [_row(dict(settings), name, cards, results, figures) for name in chosen]
    total = Row("all")
    for row in rows:
        total.add(row)
    return [*rows, total]


def table(rows: list[Row], figures: estimate.Figures) -> str:
    """The plan for a terminal, with the figures that it rests on."""
    lines = _aligned([COLUMNS, *(_texts(row) for row in rows)], 1)
    return "\n".join([*lines, "", *_notes(rows, figures)]) + "\n"


def by_cell(settings: Mapping[str, Any], cards: Mapping[str, Any], results: Path) -> str:
    """How long each cell trains, how often it looks at the test cases, and which weights its authors report.

    Args:
        settings: the checked configuration.
        cards: by the network's name.
        results: folder of this configuration's results; need not be there.
    """
    lines: list[tuple[str, ...]] = [CELL_COLUMNS]
    frames = {
        name: amounts(name, settings["datasets"][name], results / name / "cases")
        for name, networks in settings["grid"].items()
        if networks
    }
    for dataset, baseline, variant, _ in cells({**settings, "seeds": settings["seeds"][:1]}):
        recipe = recipes.resolve(dict(settings), dataset, baseline, variant)
        work = estimate.work(recipe, variant, frames[dataset], cards[baseline])
        steps = recipe.batches(frames[dataset].train)
        length = (work.iterations, work.epochs, steps, recipe.batch, work.looks)
        said = authors_report(cards[baseline], dataset, variant)
        lines.append((dataset, baseline, variant, *(f"{one:,}" for one in length), said))
    notes = [
        "steps: of the optimizer. looks: evaluations of the test cases while training. last, best val, best test are",
        "kept of every training; authors: which of them the network's (of a module: SALSTM's) authors report.",
    ]
    return "\n".join([*_aligned(lines, 3), "", *notes]) + "\n"


def _row(
    settings: dict[str, Any],
    name: str,
    cards: Mapping[str, Any],
    results: Path,
    figures: estimate.Figures,
) -> Row:
    block = settings["datasets"][name]
    counted = amounts(name, block, results / name / "cases")
    row = Row(name, counted)
    row.bytes = estimate.cases_bytes(counted, block["size"], DATASETS[name].channels)
    seeds, folds = settings["seeds"], folds_of(block["split"])
    for _, baseline, variant, _ in cells({**settings, "seeds": seeds[:1]}, name):
        recipe = recipes.resolve(settings, name, baseline, variant)
        names = [Identity(name, baseline, variant, seed) for seed in seeds]
        folders = [results / one for cell in names for one in cell.trainings(folds)]
        states = [state(folder, recipes.digest(recipe)) for folder in folders]
        row.add(
            _cell(
                (name, baseline, variant),
                recipe,
                counted,
                cards[baseline],
                figures,
                Counter(states),
            )
        )
        done = [folder for folder, state in zip(folders, states, strict=True) if state == "done"]
        row.bytes += sum(occupied(folder.glob("*.safetensors")) for folder in done)
    return row


def _cell(
    cell: tuple[str, str, str],
    recipe: recipes.Recipe,
    counted: Amounts,
    card: Mapping[str, Any],
    figures: estimate.Figures,
    states: Counter[str],
) -> Row:
    """All trainings of a cell: of each seed and, where the cases are in folds, of each fold."""
    work = estimate.work(recipe, cell[2], counted, card)
    trainings, left = states.total(), states.total() - states["done"]
    row = Row(cell[0], cells=1, states=states)
    row.epochs, row.iterations = trainings * work.epochs, trainings * work.iterations
    row.bytes = left * _known(estimate.weights_bytes(work))
    row.checkpoint = _known(estimate.checkpoint_bytes(work))
    for kind in KINDS:
        hours = sum(figures.seconds(cell, kind, recipe, work)) / 3600
        if math.isnan(hours):
            row.unknown.add(cell[1])
            continue
        row.hours[kind], row.left[kind] = trainings * hours, left * hours
        if figures.measured(cell, kind, recipe):
            row.measured[kind] = trainings
    return row


def _aligned(lines: list[tuple[str, ...]], names: int) -> list[str]:
    """Lines whose columns begin alike in the first, the names, and end alike in the rest."""
    widths = [max(len(line[place]) for line in lines) for place in range(len(lines[0]))]
    return [
        "  ".join(
            text.ljust(width) if place < names else text.rjust(width)
            for place, (text, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    ]


def state(folder: Path, digest: str) -> str:
    """A training's state from its folder: done, begun, changed, or open."""
    record = folder / "run.json"
    try:
        digest_there = json.loads(record.read_text(encoding="utf-8"))["recipe_digest"]
        return "done" if digest_there == digest else "changed"
    except FileNotFoundError:
        pass
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"{record}: not as train writes it ({type(error).__name__}: {error}); delete its folder to train again"
        ) from error
    checkpoint = folder / "checkpoint"
    return "begun" if checkpoint.is_dir() and any(checkpoint.iterdir()) else "open"


def _texts(row: Row) -> tuple[str, ...]:
    unknown = "+?" if row.unknown else ""
    return (
        row.name,
        *(f"{count:,}" for count in (row.cells, row.trainings, row.states["done"])),
        f"{row.states['begun']:,}",
        *(f"{count:,}" for count in (row.epochs, row.iterations)),
        *(_amount(hours[kind]) + unknown for kind in KINDS for hours in (row.hours, row.left)),
        _amount(row.bytes / 1e9),
    )


def _notes(rows: list[Row], figures: estimate.Figures) -> list[str]:
    total = rows[-1]
    notes = [
        "All hours are estimates. GPU-hours: one GPU's; CPU-hours: those of a machine without one. Training, its",
        "evaluations and the predictions after it; loading, scoring and the report are not in it.",
    ]
    for kind in KINDS:
        measured = total.measured[kind]
        counted = total.trainings - measured
        parts = [f"{measured} trainings as measured in {figures.probe}"] if measured else []
        if counted:
            parts.append(
                f"{counted} by the multiply-adds on the networks' cards at {estimate.SPEED[kind]:.1e} a second "
                f"(stored: {STORED[kind]})"
            )
        notes.append(f"{kind.upper()}: {'; '.join(parts)}.")
    frames = [
        f"{row.name} {row.amounts.train:,}/{row.amounts.val:,}/{row.amounts.test:,} ({row.amounts.source})"
        for row in rows
        if row.amounts
    ]
    notes.append(f"Frames to train/validate/test: {', '.join(frames)}.")
    native = " (without isic2018's label maps in native size)" if _lacks_native(rows) else ""
    notes.append(
        f"Disk, at most: prepared cases{native} and the weights of all trainings, which are fewer where selections "
        f"are of the same epoch; each running training needs up to {_amount(total.checkpoint / 1e9)} GB more."
    )
    if total.states["changed"]:
        notes.append(
            f"{total.states['changed']} trainings are there with another recipe and will run again."
        )
    if total.unknown:
        notes.append(
            f"+?: no multiply-adds on the cards of {', '.join(sorted(total.unknown))}; their hours are not in it. "
            f"Measure them: python -m salstm plan --probe"
        )
    if total.measured.total() < len(KINDS) * total.trainings:
        notes.append("Better figures, from this machine: python -m salstm plan --probe")
    return notes


STORED = {
    "gpu": "the authors' logs on ACDC, GPU not named; a recent one is several times faster",
    "cpu": "two shared cores of a Xeon",
}


def _lacks_native(rows: list[Row]) -> bool:
    return any(row.amounts is not None and row.amounts.pixels is None for row in rows)


def _known(value: float) -> float:
    return 0.0 if math.isnan(value) else value


def _amount(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 else f"{value:.2g}"
