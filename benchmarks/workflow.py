"""What a user waits for: the plan of a large grid, the scores of a test set, the report of a full grid."""

from __future__ import annotations

import json
import math
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median

import numpy as np
from numpy.typing import NDArray

from benchmarks.figures import Figure, seconds
from benchmarks.hd95 import RADII
from salstm import config as configuration
from salstm.data.case import Case
from salstm.data.datasets import DATASETS
from salstm.evaluation import conventions, scoring
from tests import synthetic

ROOT = Path(__file__).parent.parent
NONE = math.nan


def figures(repeats: int = 3) -> Iterator[Figure]:
    """Plans of 360 and 600 trainings, scoring of 12 abdominal CTs, the report of 60 cells with 5 seeds."""
    yield _plan(3, "3 s", repeats)
    yield _plan(5, "3 s", repeats)
    yield _plan(5, "3 s", repeats, "--quiet")
    yield from _scoring()
    yield _report()


def _plan(seeds: int, reach: str, repeats: int, *options: str) -> Figure:
    """The paper's grid with some seeds; without --quiet every job is described, which takes a third of the time.

    A seed is 120 trainings: one of each of 45 cells, and five, one a fold, of the 15 of CVC-ClinicDB.
    """
    command = [sys.executable, "-m", "snakemake", "-n", *options]
    command += ["--config", f"seeds={list(range(seeds))}"]
    taken = [seconds(lambda: _quiet(command)) for _ in range(repeats + 1)][1:]
    name = f"{' '.join(['snakemake -n', *options])}, {120 * seeds} trainings"
    setting = f"median of {repeats}"
    return Figure(name, setting, NONE, median(taken), "s", NONE, reach)


def _scoring() -> Iterator[Figure]:
    """One test set of Synapse in a process of its own: all metrics, scopes and conventions."""
    code = (
        "from benchmarks.workflow import score_synapse; score_synapse();"
        "import torch; from salstm.training.resources import peak_bytes; print(peak_bytes(torch.device('cpu')) / 1e9)"
    )
    start = time.perf_counter()
    ended = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True, text=True
    )
    taken = time.perf_counter() - start
    setting = (
        "12 volumes of 512x512x120 from 224, 8 organs; imports and drawing the organs included"
    )
    name = "scoring a Synapse test set"
    yield Figure(name, setting, NONE, taken, "s", NONE, "60 s")
    yield Figure(f"{name}, memory", setting, NONE, float(ended.stdout), "GB", NONE, "2 GB")


class Abdomens:
    """Twelve CT volumes with eight ellipsoid organs at native size, as ``salstm.evaluation.scoring.Source``."""

    def __init__(self) -> None:
        self.cases = [
            Case(
                id=f"case{number:04d}", group=f"case{number:04d}", split="test", stack=f"case{number:04d}",
                first=120 * number, depth=120, height=224, width=224, channels=1, native_height=512,
                native_width=512, spacing_z=3.0, spacing_y=0.8, spacing_x=0.8,
            )
            for number in range(12)
        ]  # fmt: skip
        self.centres = np.random.default_rng(0).uniform((40, 120, 120), (80, 390, 390), (8, 3))

    def labels(self, case: Case, /) -> NDArray[np.uint8]:
        """Reference on the stored grid."""
        return self.native(case)[:, ::16, ::16].repeat(7, 1).repeat(7, 2)

    def native(self, case: Case, /) -> NDArray[np.uint8]:
        """Reference in native size."""
        return self._organs(1.0)

    def stack_bounds(self, case: Case, /) -> tuple[int, int]:
        """Numbers of the first and last frame of the volume."""
        return case.first, case.first + case.depth - 1

    def prediction(self, case: Case) -> NDArray[np.uint8]:
        """Organs a tenth too large on the stored grid."""
        return self._organs(1.1)[:, ::16, ::16].repeat(7, 1).repeat(7, 2)

    def _organs(self, growth: float) -> NDArray[np.uint8]:
        labels = np.zeros((120, 512, 512), np.uint8)
        for number, (centre, radii) in enumerate(zip(self.centres, RADII, strict=True), start=1):
            ends = [
                (max(0, int(c - growth * r)), min(size, int(c + growth * r) + 2))
                for c, r, size in zip(centre, radii, labels.shape, strict=True)
            ]
            box = tuple(slice(*one) for one in ends)
            scaled = [
                ((grid - c) / (growth * r)) ** 2
                for grid, c, r in zip(np.ogrid[box], centre, radii, strict=True)
            ]
            level = scaled[0] + scaled[1] + scaled[2]
            labels[box][level <= 1] = number
        return labels


def score_synapse() -> None:
    """Score the test set once, every metric and scope, then under every convention."""
    store = Abdomens()
    identity = {"dataset": "synapse", "baseline": "transunet", "variant": "plain", "seed": 0}
    predictions = {"best_val": {case.id: store.prediction(case) for case in store.cases}}
    table = scoring.score(predictions, store, DATASETS["synapse"].classes, identity)
    for name in conventions.CONVENTIONS:
        conventions.apply(table, name)


def _report() -> Figure:
    """Tables, claims, figures, exports and page of a synthetic grid, from its collected files; no pictures of cases."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        config = configuration.load(ROOT / "config.yaml")
        collected = synthetic.collect(
            folder / "collected", synthetic.Made(grid=config["grid"], seeds=range(5), cases=20)
        )
        statistics = json.dumps(config["statistics"])
        grid = {key: config[key] for key in ("grid", "variants")} | {"seeds": list(range(5))}
        source = ["--collected", str(collected)]
        steps: list[list[str]] = [
            ["claims", *source, "--statistics", statistics, "--grid", json.dumps(grid)],
            ["tables", *source, "--statistics", statistics, "--out", str(folder / "tables")],
            ["figures", *source, "--results", str(folder), "--out", str(folder / "figures")],
            ["export", *source, "--results", str(folder), "--out", str(folder / "data")],
            ["report", *source, "--results", str(folder), "--figures", str(folder / "figures"),
             "--out", str(folder / "index.html")],
        ]  # fmt: skip
        taken = seconds(lambda: [_quiet([sys.executable, "-m", "salstm", *one]) for one in steps])
    setting = "60 cells x 5 seeds, 20 cases each, 10,000 resamples; without pictures of cases"
    return Figure("report of a synthetic full grid", setting, NONE, taken, "s", NONE, "60 s")


def _quiet(command: list[str]) -> None:
    subprocess.run(
        command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
