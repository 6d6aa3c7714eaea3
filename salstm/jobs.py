"""The workflow's jobs as functions of plain arguments: for the command line, a notebook, another program.

One function a rule, which reads and writes the paths it is given and no others (but for the checkpoint of a running
training, which lies beside the weights). A folder of a cell holds its weights, ``history.csv`` and ``run.json``.

Libraries are imported inside: what needs no torch starts without it, and the fingerprint of a job
(``salstm.fingerprint``) starts at its function.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from salstm.vocabulary import IDENTITY, SELECTIONS

if TYPE_CHECKING:
    import pandas as pd
    import torch
    from torch import nn

    from salstm.data.store import Store
    from salstm.evaluation.look import Chosen
    from salstm.modules.wrapper import Attached
    from salstm.recipes import Recipe
    from salstm.segmentation.run import Request
    from salstm.training.machine import Machine
    from salstm.training.trainer import State
    from salstm.vocabulary import Identity

    Build = Callable[..., nn.Module]
    """Builds a network: ``(in_channels=, out_channels=, image_size=, **options)``, as ``baselines.build`` does."""

log = logging.getLogger(__name__)

LATENCY_S = 1.0
"""Longest time for the repeats of one latency, in seconds."""


def fetch(
    dataset: str,
    raw: Path,
    out: Path,
    *,
    phantom: Mapping[str, Any] | None = None,
    changes: str = "none",
    sources: Path | None = None,
    everything: bool = False,
) -> None:
    """Find, make or download a dataset's raw files and list them with their hashes.

    Args:
        dataset: its name.
        raw: folder of the raw data.
        out: the list, JSON.
        phantom: parameters of the built-in stand-in; None for real data.
        changes: what a plan saw of the raw files; kept in the list (``salstm.data.acquire.listing``).
        sources: another file like salstm/data/acquire/sources.yaml.
        everything: also what only the official split uses.

    Raises:
        FileNotFoundError: data that are not there and cannot be downloaded; says what to do.
        FileExistsError: phantoms are asked for where real data lie.
    """
    from salstm.data.acquire import listing

    if phantom is not None:
        from salstm.data import phantoms

        phantoms.ensure(dataset, raw, phantom)
    else:
        from salstm.data.acquire import download

        download.fetch(dataset, raw, listed=sources, everything=everything)
    listing.write(out, dataset, raw, changes)


def prepare(
    dataset: str,
    raw: Path,
    manifest: Path,
    out: Path,
    *,
    split: Mapping[str, Any],
    size: int | None,
    axes: str | None = None,
    threads: int = 1,
) -> None:
    """Turn raw files into cases: one orientation, one size, split, one memory map.

    Args:
        dataset: its name.
        raw: folder of the raw data.
        manifest: the list that ``fetch`` wrote.
        out: folder of the prepared cases.
        split: as in config.yaml.
        size: side of the stored frames in pixels; None for the native size.
        axes: where the axes of volumes point whose header does not say, like 'LPS'.
        threads: cases that are read at once.
    """
    from salstm.data import datasets
    from salstm.data.acquire import listing

    options = {"split": split, "size": size, "axes": axes, "manifest": listing.files(manifest)}
    datasets.prepare(dataset, raw, out, **options, threads=threads)


def check(dataset: str, cases: Path, out: Path) -> None:
    """Audit prepared cases: counts, sizes, intensities, class volumes, duplicates, groups on both sides."""
    from salstm.data import audit, datasets
    from salstm.data.store import Store
    from salstm.files import write_csv

    classes = datasets.DATASETS[datasets.check(dataset)].classes
    table = audit.audit(Store(cases), classes)
    write_csv(out, table)
    audit.judge(table)


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
    chosen = _device(device, threads)
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


def predict(
    build: Build,
    run: Path,
    *,
    cases: Path,
    out: Path,
    device: str = "auto",
    threads: int = 0,
    calibration: bool = False,
    maps: bool = False,
) -> None:
    """Predict the test cases with each selection of a cell's weights.

    Selections with the same weights are predicted once; their files are one.

    Args:
        build: builds the network, without published weights.
        run: folder of the training, with what ``train`` left.
        cases: folder of the prepared cases.
        out: folder that gets ``<selection>.npz``: labels of every test case on the stored grid.
        device: auto, cpu or cuda.
        threads: CPU threads; 0 leaves torch's own number.
        calibration: also writes ``calibration.csv``, the expected calibration error of each case and class.
        maps: also writes the probabilities of each case, ``probabilities/<selection>/<case>.npz``: large.
    """
    import numpy as np

    from salstm.data.store import Store
    from salstm.evaluation.calibration import Keeper
    from salstm.files import read_json, replacing, same, share
    from salstm.recipes import load
    from salstm.training import checkpoint, inference

    record = read_json(run / "run.json")
    store = Store(cases).fold(record.get("fold"))
    chosen = _device(device, threads)
    model = _assembled(build, record, chosen)
    view = inference.View.of(load(record["recipe"]), record["channels"])
    predicted: dict[Path, Path] = {}
    keeper = Keeper(store.labels, record["classes"], out, maps=maps)
    watched = calibration or maps
    for selection in SELECTIONS:
        weights, path = run / f"{selection}.safetensors", out / f"{selection}.npz"
        if twin := next((known for known in predicted if same(known, weights)), None):
            share(predicted[twin], path)
            keeper.same(selection, twin.stem)
            log.info("%s: the weights of %s", selection, twin.stem)
            continue
        predicted[weights] = path
        model.load_state_dict(checkpoint.load_weights(weights))
        watch = keeper.of(selection) if watched else None
        cases_of = inference.predict(model, store, store.split("test"), view, chosen, watch)
        labels = {case.id: prediction for case, prediction in cases_of}
        # An open file keeps numpy from appending .npz to the temporary name.
        with replacing(path) as temporary, temporary.open("wb") as file:
            np.savez_compressed(file, allow_pickle=False, **labels)
        log.info("%s: %d cases predicted", selection, len(labels))
    if calibration:
        keeper.write()


def segment(
    build: Build,
    run: Path,
    paths: Sequence[Path],
    out: Path,
    request: Request,
    *,
    device: str = "auto",
    threads: int = 0,
) -> None:
    """Segment images of one's own with a trained cell, as ``predict`` does its test cases.

    Args:
        build: builds the network, without published weights.
        run: folder of the training, with what ``train`` left.
        paths: images, or folders of them: NIfTI volumes where the training was of volumes, else pictures.
        out: folder that gets a label map of each, in native size and the file's own geometry, and segmentation.json.
        request: which weights, and how.
        device: auto, cpu or cuda.
        threads: CPU threads; 0 leaves torch's own number.

    Raises:
        FileNotFoundError: no weights, no manifest, no image.
        ValueError: what cannot be segmented, every file of it named; the others are done.
    """
    from dataclasses import replace

    from salstm.files import read_json
    from salstm.recipes import load
    from salstm.segmentation import run as applied
    from salstm.training import checkpoint, inference

    record = read_json(run / "run.json")
    prepared = applied.preparation(run, record, request)
    plan = applied.planned(paths, out, prepared, request)
    chosen = _device(device, threads)
    model = _assembled(build, record, chosen)
    model.load_state_dict(checkpoint.load_weights(run / f"{request.selection}.safetensors"))
    view = inference.View.of(load(record["recipe"]), record["channels"])
    view = replace(view, batch=request.batch) if request.batch else view
    trained = applied.Trained(model, view, record["classes"], prepared, chosen)
    facts = {key: record[key] for key in ("identity", "recipe_digest") if key in record}
    with applied.summarised(out, trained, plan, {**facts, "selection": request.selection}):
        applied.segment(trained, plan, request)


def score(
    runs: Sequence[Path],
    predictions: Sequence[Path],
    cases: Path,
    out: Path,
    *,
    chosen: Mapping[str, Any] | None = None,
) -> None:
    """Score a cell's predictions: every metric, every test case, every scope.

    Args:
        runs: folders of the cell's trainings, for their run.json: one, or one a fold.
        predictions: folders that ``predict`` wrote, one a training.
        cases: folder of the prepared cases.
        out: the table, CSV.
        chosen: what is measured beyond the columns of every scores.csv, as ``salstm.choices.of`` says it.

    Raises:
        ValueError: trainings of different cells or recipes; a case that is tested twice, or by none.
    """
    from collections import ChainMap

    import numpy as np

    from salstm.data.store import Store
    from salstm.evaluation import scoring
    from salstm.evaluation.calibration import joined
    from salstm.evaluation.look import Chosen
    from salstm.files import read_json, write_csv

    records, store = [read_json(one / "run.json") for one in runs], Store(cases)
    record = scoring.same_cell(records, len(store.folds))
    by_selection = {
        name: [np.load(one / f"{name}.npz") for one in predictions] for name in SELECTIONS
    }
    for parts in by_selection.values():
        scoring.check_once(parts, [one.id for one in store.split("test")])
    labels = {name: ChainMap(*parts) for name, parts in by_selection.items()}
    # Records of before 0.2.0 name none.
    options = {"postprocess": record["recipe"].get("postprocess", "none")}
    known = (record["classes"], record["identity"])
    asked = Chosen(**(chosen or {}))
    scores = scoring.score(labels, store, *known, **options, chosen=asked)
    scores = joined(scores, predictions) if "ece" in asked.metrics else scores
    write_csv(out, _in_subgroups(scores, asked, store, cases, record["identity"]["dataset"]))


def _in_subgroups(
    scores: pd.DataFrame, asked: Chosen, store: Store, cases: Path, dataset: str
) -> pd.DataFrame:
    """Scores of test cases with the columns of the subgroups that are asked for."""
    from salstm.evaluation import scoring, subgroups

    if not asked.subgroups:
        return scores
    voxels = {one.id: scoring.voxel(one) for one in store.split("test")}
    return subgroups.labelled(scores, asked.subgroups, cases, dataset, voxels)


def import_predictions(
    theirs: Identity,
    folder: Path,
    results: Path,
    *,
    names: Path | None = None,
    axes: str | None = None,
    chosen: Mapping[str, Any] | None = None,
) -> Path:
    """Score label files that another program wrote, as a network of a run.

    Args:
        theirs: dataset, the name of what made them, as tables print it after ``imported-``, variant and seed.
        folder: a file for each tested case: volumes as NIfTI, or pictures; in the image's own size.
        results: results/<name> of the run, for the prepared cases; gets the cell.
        names: a CSV file with columns file and case, where files are not called as their cases.
        axes: where the axes of volumes point whose header does not say, like 'LPS'.
        chosen: as for ``score``; what needs probabilities is undefined.

    Returns:
        The cell's folder: ``scores.csv``, a ``history.csv`` without rows, ``run.json`` with the files' hashes.

    Raises:
        FileNotFoundError: a case without a file.
        ValueError: a file too many, of another size, with unknown labels; the message names it.
        FileExistsError: the cell is there.
    """
    import hashlib

    import pandas as pd

    from salstm import provenance
    from salstm.columns import COLUMNS
    from salstm.data import datasets
    from salstm.data.readers.npy import sha256
    from salstm.data.store import Store
    from salstm.evaluation import outside
    from salstm.evaluation.look import Chosen
    from salstm.files import write_csv, write_json
    from salstm.publication.members import checked_name
    from salstm.vocabulary import IMPORTED, VARIANTS, check

    dataset = theirs.dataset
    entry = datasets.DATASETS[datasets.check(dataset)]
    check("variant", theirs.variant, VARIANTS)
    cell = theirs._replace(baseline=f"{IMPORTED}-{checked_name('name', theirs.baseline)}")
    place = cell.folder(results)
    if place.exists():
        raise FileExistsError(f"{place}: is there; name another seed, or remove it")
    cases = results / dataset / "cases"
    store = Store(cases)
    files = outside.listed(folder, store.split("test"), names)
    asked = Chosen(**(chosen or {}))
    scores = outside.score(files, store, entry, cell._asdict(), axes, asked)
    scores = _in_subgroups(scores, asked, store, cases, dataset)
    record = {
        "identity": cell._asdict(),
        IMPORTED: {
            path.name: {"case": case, "sha256": sha256(path)} for case, path in files.items()
        },
        "classes": list(entry.classes),
        "recipe_digest": IMPORTED,
        "split": store.manifest["source"].get("split", {}),
        "data_manifest_sha256": hashlib.sha256((cases / "manifest.json").read_bytes()).hexdigest(),
        "finished": provenance.now(),
        "command": provenance.command(),
        "environment": provenance.environment(),
    }
    write_json(place / "run.json", record)
    curve = [one for one in COLUMNS["history"] if one not in IDENTITY]
    write_csv(place / "history.csv", pd.DataFrame(columns=curve))
    write_csv(place / "scores.csv", scores)  # last: it makes the cell done
    return place


def bounds(
    dataset: str, cases: Path, out: Path, *, chosen: Mapping[str, Any] | None = None
) -> None:
    """Score what no network predicted: the reference on the stored grid, an empty mask, a second annotation.

    Args:
        dataset: its name.
        cases: folder of the prepared cases.
        out: the table, CSV.
        chosen: as for ``score``.
    """
    from salstm.data import datasets
    from salstm.data.store import Store
    from salstm.evaluation import bounds as rows
    from salstm.evaluation.look import Chosen
    from salstm.files import write_csv

    classes = datasets.DATASETS[datasets.check(dataset)].classes
    write_csv(out, rows.measure(Store(cases), classes, dataset, Chosen(**(chosen or {}))))


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

    chosen = _device(device, threads)
    rows: list[dict[str, Any]] = []
    for folder in runs:
        record = read_json(folder / "run.json")
        store = Store(cases).fold(record.get("fold"))
        identity, recipe = record["identity"], load(record["recipe"])
        model = _assembled(builder(identity["baseline"]), record, chosen)
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

    device = _device("cpu", threads)
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

    timing.probe(builder, settings, out, _device(device, threads))


def _assembled(build: Build, record: Mapping[str, Any], device: torch.device) -> Attached:
    """The model of a run record, before its weights, ready to predict."""
    from salstm.recipes import load
    from salstm.training import inference
    from salstm.training.model import assemble

    model = assemble(
        build,
        load(record["recipe"]),
        variant=record["identity"]["variant"],
        channels=record["channels"],
        classes=len(record["classes"]),
        seed=0,
    )
    inference.ready(model, device)
    return model


def _device(name: str, threads: int) -> torch.device:
    """The device of that name, after the threads are set.

    Raises:
        RuntimeError: a GPU is asked for, and torch sees none.
    """
    import torch

    if threads:
        torch.set_num_threads(threads)
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name.startswith("cuda") and not torch.cuda.is_available():
        raise RuntimeError(
            f"device {name}: torch {torch.__version__} sees no GPU; use --device cpu"
        )
    return torch.device(name)


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
