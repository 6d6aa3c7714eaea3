"""What networks and modules cost, and how sparse the attention's output is."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from salstm.jobs.models import assembled, device_of

if TYPE_CHECKING:
    from salstm.jobs.models import Build

log = logging.getLogger(__name__)

LATENCY_S = 1.0
"""Longest time for the repeats of one latency, in seconds."""


def sparsity(
    builder: Callable[[str], Build],
    runs: Sequence[Path],
    *,
    cases: Path,
    out: Path,
    layers: int = 10,
    count: int = 4,
    device: str = "auto",
    threads: int = 0,
) -> None:
    """Measure how sparse the attention's output is: a stack of each trained module and of plain self-attention.

    Args:
        builder: gives the function that builds a network, from its name; without published weights.
        runs: folders of trainings of one network with several modules.
        cases: folder of the prepared cases.
        out: the table, CSV, layer by layer.
        layers: modules in the stack.
        count: cases of each split.
        device: auto, cpu or cuda.
        threads: CPU threads; 0 leaves torch's own number.
    """
    import pandas as pd

    from salstm import sparsity as stacks
    from salstm.data.store import Store
    from salstm.files import read_json, write_csv
    from salstm.modules import ATTENTION_SIZE
    from salstm.recipes import load
    from salstm.training import checkpoint, inference

    chosen = device_of(device, threads)
    rows: list[dict[str, Any]] = []
    for folder in runs:
        record = read_json(folder / "run.json")
        store = Store(cases).fold(record.get("fold"))
        identity, recipe = record["identity"], load(record["recipe"])
        model = assembled(builder(identity["baseline"]), record, chosen)
        model.load_state_dict(checkpoint.load_weights(folder / "best_val.safetensors"))
        steps = {identity["variant"]: stacks.module(model.head)}
        if not rows:
            steps["attention"] = stacks.attention(recipe.attention_size or ATTENTION_SIZE)
        view = inference.View.of(recipe, record["channels"])
        known = {key: identity[key] for key in ("dataset", "baseline", "seed")}
        measured = stacks.rows(steps, model, store, view, chosen, layers=layers, count=count)
        rows += [{**known, **row} for row in measured]
        log.info("%s: %d layers measured", identity["variant"], layers)
    write_csv(out, pd.DataFrame(rows))


def cost(
    build: Build,
    dataset: str,
    baseline: str,
    recipes: Mapping[str, Mapping[str, Any]],
    out: Path,
    *,
    threads: int = 0,
) -> None:
    """Count parameters, multiply-adds and latency of a network under each variant.

    Args:
        build: builds the network, without published weights.
        dataset: its name.
        baseline: the network's name.
        recipes: by variant.
        out: the table, CSV, one row a variant.
        threads: CPU threads; 0 leaves torch's own number.
    """
    import time
    from dataclasses import replace

    import pandas as pd
    import torch

    from salstm.cost import flops
    from salstm.data import datasets
    from salstm.files import write_csv
    from salstm.recipes import load
    from salstm.training import inference
    from salstm.training.model import untrained

    device = device_of("cpu", threads)
    entry = datasets.DATASETS[datasets.check(dataset)]
    rows = []
    for variant, layers in recipes.items():
        recipe = replace(load(layers), auxiliary=False)
        model = untrained(build, recipe, variant, entry)
        example = torch.zeros(1, recipe.frames, entry.channels, recipe.size, recipe.size)
        started = time.monotonic()
        inference.ready(model, device)
        figures = flops.cost(model, example.to(device), seconds=LATENCY_S)
        log.info("%s %s: counted in %.1f s", baseline, variant, time.monotonic() - started)
        rows.append({"dataset": dataset, "baseline": baseline, "variant": variant, **figures})
    write_csv(out, pd.DataFrame(rows))


def probe(
    builder: Callable[[str], Build],
    settings: Mapping[str, Any],
    out: Path,
    *,
    device: str = "auto",
    threads: int = 0,
) -> None:
    """Time a few iterations of every cell of a grid on this machine, for its plan.

    Args:
        builder: gives the function that builds a network, from its name; without published weights.
        settings: the checked configuration.
        out: the table, CSV; rows of other cells and of the other kind of device stay.
        device: auto, cpu or cuda.
        threads: CPU threads; 0 leaves torch's own number.
    """
    from salstm.cost import probe as timing

    timing.probe(builder, settings, out, device_of(device, threads))
