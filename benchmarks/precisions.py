"""Fifty training steps of every cell in float32 and in bfloat16, from the same start on the same made-up batches.

``python -m benchmarks.precisions --machine WORD [--dataset NAME]`` keeps losses, iterations per second and peak memory
in ``docs/measured/precisions-WORD.csv``, a row a cell and precision; rows of other cells stay. Meant for a GPU.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import torch

import baselines
from benchmarks.figures import ROOT, TARGET
from salstm import config as configuration
from salstm.cost.probe import synthetic_batch
from salstm.data.datasets import DATASETS
from salstm.files import write_csv
from salstm.recipes import Recipe, resolve
from salstm.training.machine import Machine
from salstm.training.model import untrained
from salstm.training.resources import peak_bytes
from salstm.training.step import Step
from salstm.vocabulary import cells

KEY = ["dataset", "baseline", "variant", "precision"]
PRECISIONS = ("float32", "bfloat16")
BATCHES = 10
"""Different batches, gone through in turn."""
LAST = 10
"""Steps whose mean loss is compared."""


def rows(
    settings: dict[str, Any], device: torch.device, iterations: int = 50
) -> Iterator[dict[str, Any]]:
    """Train every cell of a grid in both precisions.

    Args:
        settings: a checked configuration; its first seed alone.
        device: a CPU does it too, slowly and with other memory.
        iterations: steps of each.

    Yields:
        A row: the key, batch, micro-batch, first and last losses, iterations per second after the first five, peak
        memory, device.
    """
    for cell in cells({**settings, "seeds": settings["seeds"][:1]}):
        names = (cell.dataset, cell.baseline, cell.variant)
        for precision in PRECISIONS:
            recipe = replace(resolve(settings, *names), precision=precision)
            yield dict(zip(KEY, (*names, precision), strict=True)) | _trained(
                names, recipe, device, iterations
            )


def _trained(
    names: tuple[str, str, str], recipe: Recipe, device: torch.device, iterations: int
) -> dict[str, Any]:
    dataset = DATASETS[names[0]]
    model = untrained(partial(baselines.build, names[1]), recipe, names[2], dataset).to(device)
    step = Step(model.train(), recipe, Machine(), device)
    batches = [synthetic_batch(recipe, dataset.channels, seed) for seed in range(BATCHES)]
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    losses, times = [], []
    for number in range(iterations):
        started = time.perf_counter()
        # The loss is read on the host: the step has ended by then, but for the optimizer's last kernels.
        losses.append(step(batches[number % BATCHES], f"step {number}", recipe.side))
        times.append(time.perf_counter() - started)
    timed = times[5:] or times
    return {
        "size": recipe.size,
        "batch": recipe.batch,
        "micro_batch": step.micro_batch,
        "first_loss": losses[0],
        "last_loss": sum(losses[-LAST:]) / len(losses[-LAST:]),
        "iterations": iterations,
        "iterations_per_second": len(timed) / sum(timed),
        "peak_memory_gb": peak_bytes(device) / 1e9,
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu",
        "torch": torch.__version__,
    }


def keep(path: Path, made: Iterable[dict[str, Any]]) -> None:
    """Write each row when it comes, in place of an older one of the same cell and precision."""
    kept = pd.read_csv(path).to_dict("records") if path.is_file() else []
    for row in made:
        kept = [one for one in kept if any(one[name] != row[name] for name in KEY)] + [row]
        write_csv(path, pd.DataFrame(kept).sort_values(KEY))
        print(" ".join(str(row[name]) for name in KEY), f"loss {row['last_loss']:.4f}", flush=True)


def main() -> None:
    """The grid of config.yaml, or one dataset of it."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.precisions", description=__doc__)
    parser.add_argument("--machine", required=True, help="a word that names this machine")
    parser.add_argument("--dataset", choices=sorted(DATASETS), help="this one alone")
    parser.add_argument("--device", default="cuda")
    arguments = parser.parse_args()
    settings = configuration.checked(configuration.load(ROOT / "config.yaml"), baselines.names())
    if arguments.dataset:
        settings["grid"] = {arguments.dataset: settings["grid"][arguments.dataset]}
    made = rows(settings, torch.device(arguments.device))
    keep(TARGET / f"precisions-{arguments.machine}.csv", made)


if __name__ == "__main__":
    main()
