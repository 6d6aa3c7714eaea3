"""A cell's training."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from salstm.jobs.models import device_of
from salstm.vocabulary import IDENTITY

if TYPE_CHECKING:
    import torch

    from salstm.jobs.models import Build
    from salstm.modules.wrapper import Attached
    from salstm.recipes import Recipe
    from salstm.training.machine import Machine
    from salstm.training.trainer import State


def train(
    build: Build,
    identity: Mapping[str, Any],
    recipe: Recipe,
    *,
    cases: Path,
    out: Path,
    device: str = "auto",
    threads: int = 0,
    machine: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Train a cell, or go on where an earlier run of it stopped.

    Args:
        build: builds the network.
        identity: dataset, baseline, variant, seed; and where the cases are in folds, which ``fold`` is tested, from 1.
            Each fold has a seed of its own, which follows from the two: the folds of a seed do not share their luck.
        recipe: as ``salstm.recipes.resolve`` gives it.
        cases: folder of the prepared cases.
        out: folder of the training: gets three selections of weights, history.csv, run.json.
        device: auto, cpu or cuda.
        threads: CPU threads; 0 leaves torch's own number.
        machine: the block ``machine`` of a configuration; changes no science.

    Returns:
        The run record, as in run.json.

    Raises:
        ValueError: the cases cannot be trained on, or a recipe that does not fit.
        TrainingError: see ``salstm.training.trainer.train``.
    """
    import hashlib
    import shutil

    from salstm import provenance
    from salstm.data import datasets, splits
    from salstm.data.store import Store
    from salstm.files import write_json
    from salstm.recipes import digest, given
    from salstm.training import trainer
    from salstm.training.loader import mixed
    from salstm.training.model import assemble

    fold = identity.get("fold")
    store = Store(cases).fold(fold)
    seed = identity["seed"] if fold is None else mixed(identity["seed"], fold)
    splits.check_trainable(store.manifest["source"], store.cases)
    chosen = device_of(device, threads)
    options = _machine(machine or {}, chosen, threads)
    dataset = datasets.DATASETS[datasets.check(identity["dataset"])]
    model = assemble(
        build,
        recipe,
        variant=identity["variant"],
        channels=store.cases[0].channels,
        classes=len(dataset.classes),
        seed=seed,
    )
    data = hashlib.sha256((cases / "manifest.json").read_bytes()).hexdigest()
    setting = trainer.Setting(
        recipe=recipe,
        seed=seed,
        classes=dataset.classes,
        key=f"{digest(recipe)}-{seed}-{data[:16]}",
        folder=out,
        device=chosen,
        inner_test=dataset.frames == 3,
        machine=options,
        bar=_watched(),
    )
    started = provenance.now()
    state = trainer.train(model, store, setting)
    record = {
        "identity": {key: identity[key] for key in IDENTITY},
        **({} if fold is None else {"fold": fold}),
        "classes": list(dataset.classes),
        "channels": store.cases[0].channels,
        "recipe": given(recipe),
        "recipe_digest": digest(recipe),
        "split": store.manifest["source"].get("split", {}),
        "grid": "native" if store.is_native else "resized",
        "trained": trainer.amount(state),
        "data_manifest_sha256": data,
        "best": state.best,
        **_circumstances(model, state, options, chosen, started),
    }
    write_json(out / "run.json", record)
    shutil.rmtree(out / "checkpoint")
    return record


def _machine(options: Mapping[str, Any], device: torch.device, threads: int) -> Machine:
    from dataclasses import replace

    from salstm.training.machine import Machine

    machine = Machine.of(dict(options))
    if machine.workers is not None:
        return machine
    # On a CPU the cores are busy with the model.
    return replace(machine, workers=max(1, threads or 4) if device.type == "cuda" else 0)


def _watched() -> bool:
    """Whether a progress bar is of use: a log file, and what runs several trainings at once, want lines."""
    import sys

    written = (type(one) is logging.FileHandler for one in logging.getLogger().handlers)
    return sys.stderr.isatty() and not any(written)


def _circumstances(
    model: Attached, state: State, machine: Machine, device: torch.device, started: str
) -> dict[str, Any]:
    """The part of a run record that decides no number: when, where, how long, by which command."""
    from dataclasses import asdict

    from salstm import provenance

    return {
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


def _describe(device: torch.device) -> dict[str, Any]:
    import torch

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
