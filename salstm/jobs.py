"""What a cell's jobs do with a built network: train it, predict with it, count it."""

from __future__ import annotations

import hashlib
import logging
import shutil
import sys
import time
from argparse import Namespace
from collections.abc import Callable
from dataclasses import asdict, replace
from typing import Any

import numpy as np
import torch
from torch import nn

from salstm import provenance
from salstm.data import datasets, splits
from salstm.data.store import Store
from salstm.files import replacing, write_csv, write_json
from salstm.modules import ATTENTION_SIZE
from salstm.modules.wrapper import Attached
from salstm.recipes import digest, given, load
from salstm.training import checkpoint, inference, trainer
from salstm.training.machine import Machine
from salstm.training.model import assemble, untrained
from salstm.vocabulary import SELECTIONS

log = logging.getLogger(__name__)
Build = Callable[..., nn.Module]
LATENCY_S = 1.0
"""Longest time for the repeats of one latency, in seconds."""


def train(build: Build, identity: dict[str, Any], args: Namespace) -> None:
    """Train a cell into ``args.out``: weights, history.csv, run.json.

    Args:
        build: builds the network.
        identity: dataset, baseline, variant, seed.
        args: of the command ``train``.
    """
    store = Store(args.cases)
    splits.check_trainable(store.manifest["source"], store.cases)
    device = device_of(args)
    machine = _machine(args, device)
    dataset = datasets.DATASETS[datasets.check(identity["dataset"])]
    model = assemble(
        build,
        args.recipe,
        variant=identity["variant"],
        channels=store.cases[0].channels,
        classes=len(dataset.classes),
        seed=identity["seed"],
    )
    data = hashlib.sha256((args.cases / "manifest.json").read_bytes()).hexdigest()
    setting = trainer.Setting(
        recipe=args.recipe,
        seed=identity["seed"],
        classes=dataset.classes,
        key=f"{digest(args.recipe)}-{identity['seed']}-{data[:16]}",
        folder=args.out,
        device=device,
        inner_test=dataset.frames == 3,
        machine=machine,
        # A log, and what runs several trainings at once, want lines.
        bar=sys.stderr.isatty() and args.log is None,
    )
    started = provenance.now()
    state = trainer.train(model, store, setting)
    facts = {
        "identity": identity,
        "classes": list(dataset.classes),
        "channels": store.cases[0].channels,
        "recipe": given(args.recipe),
        "recipe_digest": digest(args.recipe),
        "data_manifest_sha256": data,
        "best": state.best,
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "seconds": state.seconds,
        "joules": state.joules,
        # What memory that ran out has changed.
        "machine": {
            **asdict(machine),
            "micro_batch": state.micro_batch,
            "recompute": model.recompute,
        },
        "started": started,
        "finished": provenance.now(),
        "command": provenance.command(),
        "device": {**_describe(device), "peak_memory_bytes": state.peak_bytes},
        "environment": provenance.environment(),
    }
    write_json(args.out / "run.json", facts)
    shutil.rmtree(args.out / "checkpoint")


def predict(build: Build, made: dict[str, Any], args: Namespace) -> None:
    """Write ``predictions/<selection>.npz``: labels of every test case on the stored grid.

    Args:
        build: builds the network.
        made: the cell's run.json.
        args: of the command ``predict``.
    """
    device = device_of(args)
    store = Store(args.cases)
    model = _assembled(build, made, device)
    view = inference.View.of(load(made["recipe"]), made["channels"])
    for selection in SELECTIONS:
        weights = checkpoint.load_weights(args.run_folder / f"{selection}.safetensors")
        model.load_state_dict(weights)
        cases = inference.predict(model, store, store.split("test"), view, device)
        labels = {case.id: prediction for case, prediction in cases}
        path = args.run_folder / "predictions" / f"{selection}.npz"
        # An open file keeps numpy from appending .npz to the temporary name.
        with replacing(path) as temporary, temporary.open("wb") as file:
            np.savez_compressed(file, allow_pickle=False, **labels)
        log.info("%s: %d cases predicted", selection, len(labels))


def sparsity(
    builder: Callable[[dict[str, Any]], Build], made: list[dict[str, Any]], args: Namespace
) -> None:
    """Write ``sparsity.csv``: a stack of each trained module and of plain self-attention, layer by layer.

    Args:
        builder: gives the function that builds a run's network.
        made: the run.json of each cell in ``args.run_folders``: one network with several modules.
        args: of the command ``sparsity``.
    """
    import pandas as pd

    from salstm import sparsity as stacks

    device, store = device_of(args), Store(args.cases)
    found: list[dict[str, Any]] = []
    for folder, facts in zip(args.run_folders, made, strict=True):
        identity, recipe = facts["identity"], load(facts["recipe"])
        model = _assembled(builder(facts), facts, device)
        model.load_state_dict(checkpoint.load_weights(folder / "best_val.safetensors"))
        steps = {identity["variant"]: stacks.module(model.head)}
        if not found:
            steps["attention"] = stacks.attention(recipe.attention_size or ATTENTION_SIZE)
        view = inference.View.of(recipe, facts["channels"])
        sizes = {"layers": args.layers, "count": args.count}
        known = {key: identity[key] for key in ("dataset", "baseline", "seed")}
        rows = stacks.rows(steps, model, store, view, device, **sizes)
        found += [{**known, **row} for row in rows]
        log.info("%s: %d layers measured", identity["variant"], args.layers)
    write_csv(args.out, pd.DataFrame(found))


def cost(build: Build, args: Namespace) -> None:
    """Write one row per variant: parameters, multiply-adds, latency.

    Args:
        build: builds the network, without published weights.
        args: of the command ``cost``.
    """
    import pandas as pd

    from salstm.cost import flops as counting

    device = device_of(args)
    dataset = datasets.DATASETS[datasets.check(args.dataset)]
    rows = []
    for variant, text in args.recipes.items():
        recipe = replace(load(text), auxiliary=False)
        model = untrained(build, recipe, variant, dataset)
        example = torch.zeros(1, recipe.frames, dataset.channels, recipe.size, recipe.size)
        started = time.monotonic()
        inference.ready(model, device)
        figures = counting.cost(model, example.to(device), seconds=LATENCY_S)
        log.info("%s %s: counted in %.1f s", args.baseline, variant, time.monotonic() - started)
        rows.append(
            {"dataset": args.dataset, "baseline": args.baseline, "variant": variant, **figures}
        )
    write_csv(args.out, pd.DataFrame(rows))


def _assembled(build: Build, made: dict[str, Any], device: torch.device) -> Attached:
    """The model of a cell's run.json, before its weights, ready to predict."""
    model = assemble(
        build,
        load(made["recipe"]),
        variant=made["identity"]["variant"],
        channels=made["channels"],
        classes=len(made["classes"]),
        seed=0,
    )
    inference.ready(model, device)
    return model


def device_of(args: Namespace) -> torch.device:
    """The device that a command asks for by ``--device``; sets the threads that ``--threads`` asks for.

    Raises:
        RuntimeError: a GPU is asked for, and torch sees none.
    """
    if args.threads:
        torch.set_num_threads(args.threads)
    name = getattr(args, "device", "cpu")
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name.startswith("cuda") and not torch.cuda.is_available():
        raise RuntimeError(
            f"device {name}: torch {torch.__version__} sees no GPU; use --device cpu"
        )
    return torch.device(name)


def _machine(args: Namespace, device: torch.device) -> Machine:
    machine = Machine.of(args.machine)
    if machine.workers is not None:
        return machine
    # On a CPU the cores are busy with the model.
    return replace(machine, workers=max(1, args.threads or 4) if device.type == "cuda" else 0)


def _describe(device: torch.device) -> dict[str, Any]:
    if device.type == "cpu":
        return {"type": "cpu", "threads": torch.get_num_threads()}
    properties = torch.cuda.get_device_properties(device)
    return {
        "type": "cuda",
        "name": properties.name,
        "memory_bytes": properties.total_memory,
        "cuda": torch.version.cuda,
        "threads": torch.get_num_threads(),
    }
