"""GPU slots on pretended GPUs: never shared, freed on any death, only the ids the caller allowed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import baselines
from salstm import config, devices, recipes

ROOT = Path(__file__).parent.parent
JOB = """
import sys, time
from pathlib import Path
from salstm import devices
with devices.claim(Path(sys.argv[1]), poll_s=0.02) as gpu:
    log = Path(sys.argv[2])
    with log.open("a") as file:
        file.write(f"{gpu} {time.monotonic()} start\\n")
    time.sleep(float(sys.argv[3]))
    with log.open("a") as file:
        file.write(f"{gpu} {time.monotonic()} stop\\n")
"""


def start(folder: Path, log: Path, seconds: float, visible: str) -> subprocess.Popen:
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": visible}
    environment.pop("SLURM_JOB_ID", None)
    arguments = [sys.executable, "-c", JOB, str(folder), str(log), str(seconds)]
    return subprocess.Popen(arguments, cwd=ROOT, env=environment)


def wait_for(log: Path, text: str, seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if log.is_file() and text in log.read_text():
            return
        time.sleep(0.02)
    raise AssertionError(f"{text!r} did not appear in {seconds} s")


def test_six_jobs_on_two_gpus_never_share_one(tmp_path):
    log = tmp_path / "log"
    jobs = [start(tmp_path / "locks", log, 0.2, "0,1") for _ in range(6)]
    assert all(job.wait(60) == 0 for job in jobs)
    events = [line.split() for line in log.read_text().splitlines()]
    assert len(events) == 12
    for gpu in ("0", "1"):
        states = [state for name, _, state in events if name == gpu]
        assert states == ["start", "stop"] * (len(states) // 2)
    assert {name for name, _, _ in events} == {"0", "1"}


def test_only_the_allowed_uuid_is_used(tmp_path):
    log = tmp_path / "log"
    jobs = [start(tmp_path / "locks", log, 0.05, "GPU-aa-bb") for _ in range(2)]
    assert all(job.wait(60) == 0 for job in jobs)
    assert {line.split()[0] for line in log.read_text().splitlines()} == {"GPU-aa-bb"}


def test_a_killed_job_frees_its_slot(tmp_path):
    log = tmp_path / "log"
    first = start(tmp_path / "locks", log, 600, "0")
    wait_for(log, "start")
    first.send_signal(signal.SIGKILL)
    first.wait(20)
    second = start(tmp_path / "locks", log, 0, "0")
    assert second.wait(30) == 0


def test_visible_ids(monkeypatch, tmp_path):
    for name in ("nvidia0", "nvidia10", "nvidia2", "nvidiactl"):
        (tmp_path / name).touch()
    monkeypatch.setattr(devices, "DEVICES", tmp_path)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert devices.visible() == ["0", "2", "10"]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3, GPU-x,-1,4")
    assert devices.visible() == ["3", "GPU-x"]
    assert devices.slots(2) == 4
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert devices.visible() == []
    assert devices.slots() == os.cpu_count()


def test_slurm_has_chosen_already(monkeypatch, tmp_path):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    with devices.claim(tmp_path / "locks") as gpu:
        assert gpu is None
        assert os.environ["CUDA_VISIBLE_DEVICES"] == "1"
    assert not (tmp_path / "locks").exists()


def test_the_gpus_of_one_slurm_allocation_are_shared_out_among_its_jobs(monkeypatch, tmp_path):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    with devices.claim(tmp_path) as first:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
        with devices.claim(tmp_path) as second:
            assert {first, second} == {"0", "1"}
            monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
            # Another allocation's GPU 0 is another GPU: it is free.
            monkeypatch.setenv("SLURM_JOB_ID", "8")
            with devices.claim(tmp_path) as third:
                assert third == "0"


def test_gpus_that_slurm_did_not_give_are_not_claimed(monkeypatch, tmp_path):
    for name in ("nvidia0", "nvidia1"):
        (tmp_path / name).touch()
    monkeypatch.setattr(devices, "DEVICES", tmp_path)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    with devices.claim(tmp_path / "locks") as gpu:
        assert gpu is None
    assert "CUDA_VISIBLE_DEVICES" not in os.environ
    assert not (tmp_path / "locks").exists()


def test_jobs_learn_how_many_share_a_gpu(monkeypatch, tmp_path):
    monkeypatch.setenv(devices.JOBS_PER_GPU, "1")
    devices.share(3)
    assert devices.shared() == 3
    monkeypatch.setenv(devices.LOCKS, str(tmp_path))
    assert devices.lock_folder() == tmp_path
    monkeypatch.delenv(devices.LOCKS)
    assert devices.lock_folder().name == f"salstm-gpu-{os.getuid()}"


@pytest.mark.parametrize("jobs", [1, 2])
def test_jobs_per_gpu_share_a_gpu_only_as_often_as_allowed(monkeypatch, tmp_path, jobs):
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    held = []
    for _ in range(jobs):
        held.append(devices._first_free(tmp_path, ["0"], jobs))
    assert all(held)
    assert devices._first_free(tmp_path, ["0"], jobs) is None
    for descriptor, _ in held:
        os.close(descriptor)


COMMAND = """
import sys, time, types
from pathlib import Path
log, seconds = Path(sys.argv[1]), float(sys.argv[2])

def train(build, identity, recipe, **paths):
    import os
    for state in ("start", "stop"):
        with log.open("a") as file:
            file.write(f"{os.environ['CUDA_VISIBLE_DEVICES']} {time.monotonic()} {state}\\n")
        time.sleep(seconds)

run = types.ModuleType("salstm.jobs")
run.train = train
sys.modules["salstm.jobs"] = run
import salstm
salstm.jobs = run
from salstm import cli
arguments = "train --dataset acdc --baseline unet --variant plain --seed 0 --cases c --out o --recipe".split()
sys.exit(cli.main([*arguments, sys.argv[3]]))
"""
"""``python -m salstm train`` with the training itself replaced by a short sleep: no torch, only the slots."""


def command(tmp_path: Path, visible: str, jobs: int = 1) -> subprocess.Popen:
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": visible, devices.JOBS_PER_GPU: str(jobs)}
    environment[devices.LOCKS] = str(tmp_path / "locks")
    environment.pop("SLURM_JOB_ID", None)
    paper = config.checked(config.load(ROOT / "config.yaml"), baselines.names())
    recipe = recipes.dump(recipes.resolve(paper, "acdc", "unet", "plain"))
    arguments = [sys.executable, "-c", COMMAND, str(tmp_path / "log"), "0.1", recipe]
    return subprocess.Popen(arguments, cwd=ROOT, env=environment)


def most_at_once(log: Path) -> dict[str, int]:
    """By GPU, how many trainings held it at the same time."""
    events = [line.split() for line in log.read_text().splitlines()]
    most: dict[str, int] = {}
    for gpu in {name for name, _, _ in events}:
        steps = [1 if state == "start" else -1 for name, _, state in events if name == gpu]
        most[gpu] = max(sum(steps[: end + 1]) for end in range(len(steps)))
    return most


@pytest.mark.extended
@pytest.mark.parametrize(
    ("visible", "gpus"), [("0,1", {"0", "1"}), ("GPU-1a2b-3c", {"GPU-1a2b-3c"})]
)
def test_six_trainings_never_share_a_gpu(tmp_path, visible, gpus):
    jobs = [command(tmp_path, visible) for _ in range(6)]
    assert [job.wait(120) for job in jobs] == [0] * 6
    assert (tmp_path / "log").read_text().count("stop") == 6
    assert most_at_once(tmp_path / "log") == dict.fromkeys(gpus, 1)


@pytest.mark.extended
def test_two_jobs_per_gpu_are_two_at_most(tmp_path):
    jobs = [command(tmp_path, "5", jobs=2) for _ in range(5)]
    assert [job.wait(120) for job in jobs] == [0] * 5
    assert most_at_once(tmp_path / "log")["5"] <= 2


def test_a_slot_is_free_only_when_the_loader_processes_are_gone_too(tmp_path):
    """They hold the lock with their parent; a GPU whose memory they may use is not given away."""
    claimed = devices._first_free(tmp_path, ["0"], 1)
    assert claimed is not None
    child = os.fork()
    if child == 0:
        time.sleep(600)
        os._exit(0)
    os.close(claimed[0])
    try:
        assert devices._first_free(tmp_path, ["0"], 1) is None
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    assert devices._first_free(tmp_path, ["0"], 1) is not None
