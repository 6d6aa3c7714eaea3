"""One folder that says what a GPU does here, in at most twelve minutes: ``make gpu-check``.

Parts run one after the other, the most telling first, each in a process of its own that is stopped at its limit. What
is measured is on disk, whole, after every row; ``index.md`` is written again after every part. So it can be cut at any
time. Needs torch 2.11 or newer and what ``requirements-gpu-check.txt`` lists, no Snakemake.

``--device cpu --small`` runs the same parts without a GPU at a size that says nothing about speed, which tests them.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import os
import platform
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import asdict, replace
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import baselines
from benchmarks.figures import ROOT
from benchmarks.gpu_page import Asked, page, paper
from salstm.files import write_json

MINUTES = 12.0
PACKAGES = ("torch", "torchvision", "triton", "numpy", "scipy", "pandas", "timm")
NETWORKS = (("mtunet", "plain"), ("mtunet", "salstm"), ("mtunet", "lstmsa"), ("unet", "plain"))
"""Whose steps are timed under every setting: cells of ACDC."""
SMALL = [("isic2018", "dwunet", "plain"), ("isic2018", "dwunet", "salstm")]
"""Cells whose steps prove a part."""
NO, YES, GRAPHS = "no", "yes", "cuda graphs"
"""A step without the compiler, with it as the option ``compile`` has it, and with its kernels recorded and replayed."""
SETTINGS = [
    (precision, last, compiled)
    for compiled in (NO, YES, GRAPHS)
    for last in (False, True)
    for precision in ("float32", "tf32", "bfloat16")
]
PR_SET_PDEATHSIG = 1
LEAST = 5.0
"""Seconds below which no part is begun."""


def environment(asked: Asked) -> Iterator[dict[str, Any]]:
    """Hardware, driver and versions."""
    import torch

    found = {name: _version(name) for name in PACKAGES}
    gpu: dict[str, Any] = {}
    if asked.device == "cuda":
        facts = torch.cuda.get_device_properties(0)
        gpu = {"gpu": facts.name, "memory_gb": round(facts.total_memory / 1e9, 1)}
        gpu |= {"capability": f"{facts.major}.{facts.minor}", "cuda": torch.version.cuda}
        gpu["driver"] = _printed(
            "nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"
        )
    machine = {
        "cores": os.cpu_count(),
        "machine": platform.machine(),
        "system": platform.platform(),
    }
    commit = _printed("git", "-C", str(ROOT), "rev-parse", "HEAD")
    yield {"device": asked.device, **gpu, **machine, "python": platform.python_version(), **found,
           "commit": commit}  # fmt: skip


def step(asked: Asked) -> Iterator[dict[str, Any]]:
    """The training step of the released code's equivalent beside ours: ratio, rate, memory, share of the peak."""
    from benchmarks import gpu

    if asked.small:
        found = gpu.figures(asked.device, size=64, batch=1, pairs=1, precisions=("fp32",))
    else:
        found = gpu.figures(asked.device)
    yield from map(asdict, found)


def cells(asked: Asked) -> Iterator[dict[str, Any]]:
    """A window and a frame of every cell of the plan, the cheapest claim first; also into ``probe.csv``."""
    from salstm import vocabulary
    from salstm.cost import probe
    from salstm.files import read_csv

    settings = paper()
    chosen = sorted(
        {one[:3] for one in vocabulary.cells({**settings, "seeds": [0]})},
        key=lambda one: (one[1] != "mtunet", one[0] != "acdc"),
    )
    for dataset, network, variant in SMALL if asked.small else chosen:
        here = {**settings, "grid": {dataset: [network]}, "variants": [variant]}
        if asked.small:
            small = {"size": 64, "batch": 2}
            recipes = {**here["recipes"], "overrides": {**here["recipes"]["overrides"], **small}}
            here["recipes"] = recipes
        out, device = asked.out / "probe.csv", _device(asked)
        probe.probe(_builder, here, out, device, iterations=1 if asked.small else 8)
        rows = read_csv(out).to_dict("records")
        key = (dataset, network, variant)
        yield next(one for one in rows if key == (one["dataset"], one["baseline"], one["variant"]))


def layouts(asked: Asked) -> Iterator[dict[str, Any]]:
    """Steps of networks and modules in every precision and layout, with the compiler, with CUDA graphs."""
    for setting in SETTINGS[:2] if asked.small else SETTINGS:
        for cell in [("dwunet", "salstm")] if asked.small else NETWORKS:
            yield _setting(asked, cell, *setting)


def tests(asked: Asked) -> Iterator[dict[str, Any]]:
    """``pytest -m gpu``, as much as fits: a row a test."""
    chosen = ["-k", "same_function and unet"] if asked.small else []
    command = [sys.executable, "-m", "pytest", "-m", "gpu", "-v", "--no-header", "-p", "no:cacheprovider",
               "tests/test_gpu.py", *chosen]  # fmt: skip
    environ = {**os.environ, "SALSTM_TEST_DEVICE": asked.device, "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(
        command, cwd=ROOT, env=environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        for line in process.stdout or ():
            name, _, rest = line.strip().partition(" ")
            outcome = rest.split(" ")[0]
            if "::" in name and outcome in ("PASSED", "FAILED", "ERROR", "SKIPPED"):
                yield {"test": name.split("::", 1)[1], "outcome": outcome.lower()}


def training(asked: Asked) -> Iterator[dict[str, Any]]:
    """Epochs of MT-UNet with SALSTM on ACDC's prepared cases, evaluations included: a row an epoch.

    At a small size two epochs of the smallest network, as MT-UNet's takes minutes on a CPU.
    """
    if asked.cases is None:
        return
    from salstm import recipes
    from salstm.data.datasets import DATASETS
    from salstm.data.store import Store
    from salstm.training import trainer
    from salstm.training.machine import Machine
    from salstm.training.model import untrained

    network, variant = ("dwunet", "plain") if asked.small else ("mtunet", "salstm")
    recipe = recipes.resolve(paper(), "acdc", network, variant)
    if asked.small:
        recipe = replace(recipe, size=64, batch=2, epochs=2, iterations=None)
    store, dataset = Store(asked.cases), DATASETS["acdc"]
    known = {"seed": 0, "classes": dataset.classes, "key": "gpu-check", "device": _device(asked)}
    known |= {"inner_test": True, "machine": Machine(workers=0 if asked.small else 4)}
    for epochs in range(1, recipe.length(1)[0] + 1):
        # Each goes on from the checkpoint of the one before.
        setting = trainer.Setting(
            recipe=replace(recipe, epochs=epochs), folder=asked.out / "training", **known
        )
        model = untrained(_builder(network), recipe, variant, dataset)
        yield trainer.train(model, store, setting).history[-1]


PARTS: dict[str, tuple[Callable[[Asked], Iterable[dict[str, Any]]], float]] = {
    "environment": (environment, 60),
    "step": (step, 150),
    "cells": (cells, 270),
    "layouts": (layouts, 150),
    "tests": (tests, 150),
    "training": (training, 600),
}
"""Name -> what yields its rows, and how many seconds it may take; by worth."""


def run(asked: Asked) -> None:
    """Every part, as long as there is time, and the page after each."""
    asked.out.mkdir(parents=True, exist_ok=True)
    end = time.monotonic() + 60 * asked.minutes
    states: dict[str, str] = dict.fromkeys(PARTS, "not begun")
    about = {name: (work.__doc__ or "").splitlines()[0] for name, (work, _) in PARTS.items()}
    for name, (_, limit) in PARTS.items():
        left = end - time.monotonic()
        if left < LEAST:
            break
        states[name] = "running"
        page(asked, states, about)
        states[name] = _part(asked, name, min(limit, left))
        page(asked, states, about)
        print(f"{name}: {states[name]}", flush=True)


def one_part(asked: Asked, name: str, parent: int | None) -> None:
    """A part in this process: its rows are on disk after each of them."""
    _end_with_parent(parent)
    rows: list[dict[str, Any]] = []
    for row in PARTS[name][0](asked):
        rows.append(row)
        write_json(asked.out / f"{name}.json", rows)


def _part(asked: Asked, name: str, limit: float) -> str:
    """Run a part as a process; how it ended. What it printed is in ``NAME.log``."""
    command = [sys.executable, "-m", "benchmarks.gpu_check", *_options(asked), "--part", name]
    command += ["--parent", str(os.getpid())]
    started = time.monotonic()
    with (asked.out / f"{name}.log").open("w", encoding="utf-8") as log:
        process = subprocess.Popen(
            command, cwd=ROOT, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
        )
        try:
            code = process.wait(limit)
        except subprocess.TimeoutExpired:
            return f"stopped at its limit of {limit:.0f} s; what it had is below"
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, 9)  # with the processes that it started
            process.wait()
    taken = f"{time.monotonic() - started:.0f} s"
    return f"done in {taken}" if code == 0 else f"failed after {taken}: see {name}.log"


def _end_with_parent(parent: int | None) -> None:
    """Ask Linux to end this process with the one that started it, however that ends.

    Raises:
        SystemExit: that one ended while this one was still importing.
    """
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if parent is not None and os.getppid() != parent:
        raise SystemExit(f"the check (process {parent}) that began this part has ended")


def _options(asked: Asked) -> list[str]:
    options = ["--out", str(asked.out), "--device", asked.device, "--minutes", str(asked.minutes)]
    options += ["--small"] if asked.small else []
    return options + (["--cases", str(asked.cases)] if asked.cases else [])


def _setting(
    asked: Asked, cell: tuple[str, str], precision: str, last: bool, compiled: str
) -> dict[str, Any]:
    """Time a step of a cell of ACDC in one setting; what failed is a row, too."""
    import torch

    from salstm import recipes
    from salstm.cost import probe
    from salstm.data.datasets import DATASETS
    from salstm.training.machine import Machine
    from salstm.training.model import untrained
    from salstm.training.resources import peak_bytes
    from salstm.training.step import Step

    settings, device = paper(), _device(asked)
    recipe = recipes.resolve(settings, "acdc", *cell)
    recipe = replace(recipe, precision="float32" if precision == "tf32" else precision)
    if asked.small:
        recipe = replace(recipe, size=64, batch=2)
    row = {"network": cell[0], "variant": cell[1], "precision": precision,
           "channels_last": last, "compiled": compiled}  # fmt: skip
    before = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32
    torch.set_float32_matmul_precision("high" if precision == "tf32" else "highest")
    torch.backends.cudnn.allow_tf32 = precision == "tf32"
    try:
        model = untrained(_builder(cell[0]), recipe, cell[1], DATASETS["acdc"]).to(device)
        if last:
            model.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
        if device.type == "cuda":
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats(device)
        working = Step(model, recipe, Machine(compile=compiled == YES), device)
        if compiled == GRAPHS:
            working.forward = torch.compile(
                model, options={"fallback_random": True, "triton.cudagraphs": True}
            )
        times = probe._training(working, DATASETS["acdc"].channels, 1 if asked.small else 10)
        seconds = sorted(times)[len(times) // 2]
        return {
            **row,
            "batch": recipe.batch,
            "step_s": seconds,
            "peak_gb": peak_bytes(device) / 1e9,
        }
    except (RuntimeError, ValueError, TypeError) as error:
        return {**row, "error": str(error).splitlines()[0][:200]}
    finally:
        torch.set_float32_matmul_precision(before[0])
        torch.backends.cudnn.allow_tf32 = before[1]


def _builder(name: str) -> Any:
    return partial(baselines.build, name)


def _device(asked: Asked) -> Any:
    import torch

    return torch.device(asked.device)


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""


def _printed(*command: str) -> str:
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=20).stdout.strip()
    except (OSError, subprocess.TimeoutExpired):
        return ""


def main() -> None:
    """All parts, or one of them."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu_check", description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("gpu-check"), help="the folder")
    parser.add_argument("--device", default="cuda", choices=("cuda", "cpu"))
    parser.add_argument("--small", action="store_true", help="prove the parts, measure nothing")
    parser.add_argument("--minutes", type=float, default=MINUTES)
    parser.add_argument("--cases", type=Path, help="prepared cases of ACDC, to train on")
    parser.add_argument("--part", choices=sorted(PARTS), help="this one, in this process")
    parser.add_argument("--parent", type=int, help="with --part: the process that it ends with")
    given = vars(parser.parse_args())
    name, parent = given.pop("part"), given.pop("parent")
    asked = Asked(**{**given, "out": given["out"].resolve()})
    if name:
        one_part(asked, name, parent)
        return
    import torch

    if asked.device == "cuda" and not torch.cuda.is_available():
        raise SystemExit(
            "no GPU that torch sees; --device cpu --small proves the parts without one"
        )
    run(asked)
    print(json.dumps(str(asked.out / "index.md")))


if __name__ == "__main__":
    main()
