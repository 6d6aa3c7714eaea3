"""The workflow on a real SLURM of one node (`cluster.sh`): a cancelled and a requeued training go on, the report is
whole.

Deselected by default: it needs root, Debian's `slurm-wlm` and `munge`, and `make slurm`. Where one of them is missing
it fails and says so. Run with `python -m pytest -m slurm`; docs/clusters.md says when it ran last and what came out.
"""

from __future__ import annotations

import csv
import importlib.util
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml

from tests.workflow.test_workflow import TINY, folder

__all__ = ["folder"]  # the fixture: a checkout without results

pytestmark = pytest.mark.slurm
SCRIPT = Path(__file__).parent / "cluster.sh"
EPOCHS = 12
SEEDS = [0, 1, 2]


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[None]:
    assert importlib.util.find_spec("snakemake_executor_plugin_slurm"), "run: make slurm"
    state = tmp_path / "cluster"
    started = subprocess.run([SCRIPT, "start", state], capture_output=True, text=True, check=False)
    assert started.returncode == 0, started.stderr
    yield
    subprocess.run([SCRIPT, "stop", state], check=True)


def output(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def running() -> dict[int, str]:
    """Numbers of the trainings that run, by seed."""
    rows = output("squeue", "--noheader", "--states=running", "--format=%i %k").splitlines()
    return {int(row.rsplit("_", 1)[1]): row.split()[0] for row in rows if "rule_train" in row}


def gpu(number: str) -> str:
    """Which of the pretended GPUs a job has."""
    return re.findall(r"GRES=gpu:1\(IDX:(\d)\)", output("scontrol", "show", "job", "-d", number))[0]


def wait(what: str, true: Callable[[], bool], seconds: float = 600) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, f"{what}: not in {seconds} s"
        time.sleep(0.2)


def test_a_cancelled_and_a_requeued_training_go_on_and_the_report_is_whole(folder, cluster):
    recipes = {**TINY["recipes"], "overrides": {**TINY["recipes"]["overrides"], "epochs": EPOCHS}}
    (folder / "tiny.yaml").write_text(yaml.safe_dump({**TINY, "seeds": SEEDS, "recipes": recipes}))
    locks = folder / "locks"
    run = folder / "run.log"
    logs = [folder / f"results/tiny/acdc/unet/plain/seed{seed}/logs/train.log" for seed in SEEDS]
    command = [
        *(sys.executable, "-m", "snakemake", "--workflow-profile", "profiles/slurm"),
        *("--configfile", "tiny.yaml", "--set-threads", "train=1", "predict=1"),
        *("--slurm-init-seconds-before-status-checks", "2"),
        *("--seconds-between-status-checks", "2", "--latency-wait", "5"),
    ]
    root = str(Path(__file__).parents[3])
    environment = {**os.environ, "PYTHONPATH": root, "SALSTM_LOCKS": str(locks)}
    environment.pop("CUDA_VISIBLE_DEVICES", None)
    with run.open("w") as file:
        snakemake = subprocess.Popen(command, cwd=folder, env=environment, stdout=file, stderr=file)

    def trains(seed: int) -> bool:
        assert snakemake.poll() is None, run.read_text()[-3000:]
        return logs[seed].is_file() and "epoch 2/" in logs[seed].read_text()

    seen = set()
    try:
        while len(seen) < 2:
            wait("a training", lambda: any(trains(seed) for seed in set(SEEDS) - seen))
            seed = next(seed for seed in sorted(set(SEEDS) - seen) if trains(seed))
            numbers = running()
            gpus = [gpu(number) for number in numbers.values()]
            assert len(gpus) == len(set(gpus)) <= 2
            output(*(["scontrol", "requeue"] if seen else ["scancel"]), numbers[seed])
            seen.add(seed)
        assert snakemake.wait(1200) == 0, run.read_text()[-3000:]
    finally:
        # What is left of its jobs ends with the cluster.
        snakemake.kill()
        snakemake.wait()
    for seed in SEEDS:
        assert ("going on after epoch" in logs[seed].read_text()) == (seed in seen), seed
    with (folder / "results/tiny/collected/tiny/cells.csv").open(newline="") as file:
        assert [row["state"] for row in csv.DictReader(file)] == ["done"] * len(SEEDS)
    assert (folder / "reports/tiny/index.html").is_file()
    assert not locks.exists(), "a job took a GPU slot of its own, though SLURM had given it one"
