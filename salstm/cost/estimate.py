"""What a training costs before it runs: iterations, seconds, memory and disk from its recipe. Estimates, all of them.

The time is counted work at a speed. Work: multiply-adds of the network (its card) and of the module on it, scaled with
the pixels, for every window of every epoch (a training step is taken as three forward passes) and every frame that
is evaluated or predicted. Speed: what `python -m salstm plan --probe` measured for the very cell, else `SPEED`.
Loading, which runs beside a GPU, and scoring are not in it.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from salstm.data.frame_counts import Amounts
from salstm.optimisation.optimizers import MOMENTS
from salstm.recipes import Recipe
from salstm.vocabulary import SELECTIONS, VARIANTS

SPEED = {"gpu": 4.0e12, "cpu": 1.0e11}
"""Multiply-adds a second. gpu: the authors' two logs (MT-UNet with each module on ACDC, 992 and 1054 minutes for 200
epochs of 1304 windows and 416 evaluated frames, 287e9 a window as released; their GPU is not named). cpu: a step of the
same on two shared cores of a Xeon, 8.3 s a window. A recent data-centre GPU is several times faster."""

STEP = 3
"""A training step in forward passes: one forward, two backward."""

MARGIN = 2
"""Jobs ask for this many times their estimated time: the estimate is one."""

START_MINUTES = 30
"""Time to start on a slow shared disk, and what small networks spend beside multiply-adds."""

UNKNOWN_MINUTES = 2880
"""Asked for where a card has no count."""

BASE_MEMORY_MB = 4000
"""Main memory of a process that has loaded torch and its GPU libraries, rounded up."""


@dataclass(frozen=True)
class Work:
    """What a training does.

    Attributes:
        epochs: passes over the training frames.
        iterations: optimizer steps.
        windows: training windows over all epochs.
        looks: evaluations on the test cases, the last included.
        evaluated: frames that the evaluations predict while training.
        selections: weights that can differ at the end; selections of the same epoch are kept and predicted once.
        predicted: test frames that are predicted, with that many weights.
        window_macs: multiply-adds of one forward pass over a training window; NaN where the card has no count.
        frame_macs: the same for a frame of a volume that is predicted.
        parameters: of network and module; NaN where the card has no count.
        moments: tensors of a parameter's size that the optimizer keeps.
        area: pixels of a training window over those of a window at one scale: 1 but for several scales.
    """

    epochs: int
    iterations: int
    windows: int
    looks: int
    evaluated: int
    selections: int
    predicted: int
    window_macs: float
    frame_macs: float
    parameters: float
    moments: int
    area: float


def work(recipe: Recipe, variant: str, amounts: Amounts, card: Mapping[str, Any]) -> Work:
    """Count what a training does.

    Args:
        recipe: as ``salstm.recipes.resolve`` gives it.
        variant: plain or a module.
        amounts: the dataset's frames.
        card: of the network.
    """
    epochs, iterations = recipe.length(amounts.train)
    evaluations = math.ceil(epochs / recipe.evaluate_every)
    # The last epoch is evaluated; where nothing validates, it is the best on validation, too.
    selections = min(evaluations, len(SELECTIONS) - (amounts.val == 0))
    sides = recipe.scales or [recipe.side]
    trained, full = sum(side**2 for side in sides) / len(sides), recipe.size**2
    counts = card.get("counts") or [{}]
    counted = next((row for row in counts if "macs" in row), {"macs": math.nan, "size": 1})
    network = counted["macs"] / counted["size"] ** 2
    head = VARIANTS[variant]
    window, frame = head.macs
    return Work(
        epochs=epochs,
        iterations=iterations,
        windows=min(epochs * amounts.train, iterations * recipe.batch),
        looks=evaluations,
        evaluated=evaluations * (amounts.val + amounts.test),
        selections=selections,
        predicted=selections * amounts.test,
        window_macs=trained * (network * recipe.frames + (window if recipe.frames == 3 else frame)),
        frame_macs=full * (network + frame),
        parameters=counts[0].get("parameters", math.nan) + head.parameters,
        moments=MOMENTS[recipe.optimizer.name],
        area=trained / recipe.side**2,
    )


class Figures:
    """Seconds of a window and a frame by kind of device: measured by a probe where there is one, else counted.

    Args:
        probe: a file that ``salstm.cost.probe`` wrote; need not be there.
    """

    def __init__(self, probe: Path) -> None:
        self.probe = probe
        self.rows: dict[tuple[str, ...], dict[str, str]] = {}
        if probe.is_file():
            with probe.open(encoding="utf-8", newline="") as file:
                for row in csv.DictReader(file):
                    key = (row["dataset"], row["baseline"], row["variant"], row["kind"])
                    self.rows[key] = row

    def measured(
        self, cell: tuple[str, str, str], kind: str, recipe: Recipe
    ) -> dict[str, str] | None:
        """The probe's row of a cell (dataset, baseline, variant), if it is of this size and precision."""
        row = self.rows.get((*cell, kind))
        if row and (row["size"], row["precision"]) == (str(recipe.size), recipe.precision):
            return row
        return None

    def seconds(
        self, cell: tuple[str, str, str], kind: str, recipe: Recipe, work: Work
    ) -> tuple[float, float]:
        """Seconds of the training, evaluations included, and of the prediction after it, on one device.

        Args:
            cell: dataset, baseline, variant.
            kind: gpu or cpu.
            recipe: of the cell.
            work: of the cell.
        """
        row = self.measured(cell, kind, recipe)
        if row:
            window, frame = work.area * float(row["seconds_window"]), float(row["seconds_frame"])
        else:
            window, frame = (
                STEP * work.window_macs / SPEED[kind],
                work.frame_macs / SPEED[kind],
            )
        return work.windows * window + work.evaluated * frame, work.predicted * frame


def minutes(seconds: float) -> int:
    """The time that a job asks a scheduler for: `MARGIN` times the estimate, and `START_MINUTES`.

    Args:
        seconds: the estimate; NaN, where there is none, gives `UNKNOWN_MINUTES`.
    """
    if math.isnan(seconds):
        return UNKNOWN_MINUTES
    return START_MINUTES + math.ceil(MARGIN * seconds / 60)


def memory_mb(work: Work, amounts: Amounts, side: int) -> int:
    """The main memory that a training on a GPU asks for, in megabytes.

    Libraries, the weights with moments and two copies while a checkpoint is written, and the memory map of the images.
    On a CPU the activations come on top, which are not known: give ``mem_mb`` yourself there.

    Args:
        work: of the training.
        amounts: the dataset's frames.
        side: of the recipe's images in pixels.
    """
    known = 0 if math.isnan(work.parameters) else work.parameters
    states = known * 4 * (work.moments + 4)
    return BASE_MEMORY_MB + math.ceil((states + amounts.total * side**2 * 4) / 1e6)


def weights_bytes(work: Work) -> float:
    """Most bytes of a finished training's weights: less where selections are of the same epoch."""
    return work.selections * 4 * work.parameters


def checkpoint_bytes(work: Work) -> float:
    """Most bytes that a running training needs beside, which is while a checkpoint is written.

    Three states of model and moments (the last two, and the one that is written) and four weights (two that each of the
    last two states refers to, and one that only the state before them did).
    """
    return 4 * work.parameters * (3 * (1 + work.moments) + 4)


def cases_bytes(amounts: Amounts, size: int | None, channels: int) -> float:
    """Bytes of a dataset's prepared cases; without the native label maps where their size is not known.

    Args:
        amounts: the dataset's frames.
        size: side of the stored frames in pixels; None: native.
        channels: 1 (float32) or 3 (8 bits each).
    """
    native = amounts.pixels or 0
    pixels = native if size is None else size**2
    stored = pixels * ((4 if channels == 1 else 3) + 1)
    return amounts.total * (stored + (0 if size is None else native))
