"""Time a few iterations of every network and variant on this machine, for the plan."""

from __future__ import annotations

import logging
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from salstm.data.datasets import DATASETS
from salstm.files import read_csv, write_csv
from salstm.modules.wrapper import Attached
from salstm.provenance import now
from salstm.recipes import Recipe, resolve
from salstm.training.machine import Machine
from salstm.training.model import untrained
from salstm.training.step import Step
from salstm.vocabulary import cells

log = logging.getLogger(__name__)

ITERATIONS = 20
SECONDS = 10.0
"""No further step is begun after this time, though two always are: on a CPU the large networks take minutes a step."""

CPU_BATCH = 2
"""Largest batch on a CPU, where the time of a window hardly depends on it and the memory does."""


def probe(
    builder: Callable[[str], Any],
    settings: Mapping[str, Any],
    out: Path,
    device: torch.device,
    iterations: int = ITERATIONS,
) -> None:
    """Time every cell of the grid, with synthetic images, into a table with a row a cell and kind of device.

    Rows of other cells and of the other kind of device stay; the table is written after every cell.

    Args:
        builder: gives the function that builds a network, from its name; without published weights.
        settings: the checked configuration.
        out: the table.
        device: where the steps run.
        iterations: training steps that are timed.
    """
    import pandas as pd

    kind = "gpu" if device.type == "cuda" else "cpu"
    key = ["dataset", "baseline", "variant", "kind"]
    rows = read_csv(out).to_dict("records") if out.is_file() else []
    for cell in cells({**settings, "seeds": [0]}):
        names = (cell.dataset, cell.baseline, cell.variant)
        recipe = resolve(dict(settings), *names)
        measured = _cell(builder(names[1]), names, recipe, device, iterations)
        row = {**dict(zip(key, (*names, kind), strict=True)), **measured, "measured": now()}
        rows = [one for one in rows if any(one[name] != row[name] for name in key)]
        rows.append(row)
        write_csv(out, pd.DataFrame(rows).sort_values(key))
        log.info(
            "%s %s %s: %.3f s a training window, %.3f s a predicted frame",
            *(*names, row["seconds_window"], row["seconds_frame"]),
        )


def _cell(
    build: Any,
    names: tuple[str, str, str],
    recipe: Recipe,
    device: torch.device,
    iterations: int,
) -> dict[str, Any]:
    dataset = DATASETS[names[0]]
    model = untrained(build, recipe, names[2], dataset).to(device)
    batch = recipe.batch if device.type == "cuda" else min(recipe.batch, CPU_BATCH)
    step = Step(model, replace(recipe, batch=batch), Machine(), device)
    steps = _training(step, dataset.channels, iterations)
    frames = _predicting(model, recipe, dataset.channels, step.micro_batch, device, iterations)
    return {
        "size": recipe.size,
        "precision": recipe.precision,
        "batch": batch,
        "iterations": len(steps),
        "seconds_window": statistics.median(steps) / batch,
        "seconds_frame": statistics.median(frames) / step.micro_batch,
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu",
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
    }


def synthetic_batch(recipe: Recipe, channels: int, seed: int = 0) -> dict[str, Any]:
    """A batch as ``salstm.training.loader.Batches`` gives it: noisy spots, brighter where the label is 1.

    Args:
        recipe: for its batch, frames and size.
        channels: of the frames.
        seed: the spots and the noise.

    Returns:
        ``image`` ``(B, T, channels, S, S)``, ``label`` ``(B, S, S)``, and ``case``.
    """
    generator = torch.Generator().manual_seed(seed)
    count, frames, side = recipe.batch, recipe.frames, recipe.side
    coarse = torch.rand(count, 1, 4, 4, generator=generator)
    spots = functional.interpolate(coarse, (side, side), mode="bilinear")
    noise = torch.rand(count, frames, channels, side, side, generator=generator)
    return {
        "image": (spots[:, None] + 0.2 * noise) / 1.2,
        "label": (spots[:, 0] > 0.5).long(),
        "case": ["synthetic"] * count,
    }


def _training(step: Step, channels: int, iterations: int) -> list[float]:
    """Seconds of each training step on one synthetic batch."""
    batch = synthetic_batch(step.recipe, channels)
    step.model.train()
    return _timed(lambda: step(batch, "probe", step.recipe.side), step.device, iterations)


def _predicting(
    model: Attached,
    recipe: Recipe,
    channels: int,
    batch: int,
    device: torch.device,
    iterations: int,
) -> list[float]:
    """Seconds of each prediction of a batch of frames, as of a volume: every frame passes the network once."""
    frames = torch.rand(batch, channels, recipe.size, recipe.size, device=device)
    model.eval()

    def predict() -> Tensor:
        features = model.features(frames)
        return model.head(features, features, features)

    with torch.inference_mode():
        return _timed(predict, device, iterations)


def _timed(step: Callable[[], Any], device: torch.device, iterations: int) -> list[float]:
    """Seconds of each step after the first, which also chooses kernels and fills caches."""
    times: list[float] = []
    while len(times) <= iterations and (len(times) < 2 or sum(times) < SECONDS):
        started = time.perf_counter()
        step()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        times.append(time.perf_counter() - started)
    return times[1:]
