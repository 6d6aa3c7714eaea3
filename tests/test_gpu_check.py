"""``make gpu-check`` on a CPU at a small size: what it leaves, also when it is killed."""

import json
import math
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from benchmarks import gpu_check
from benchmarks.gpu_check import Asked

ROOT = Path(__file__).parent.parent


def asked(folder, minutes=1.0, cases=None):
    return Asked(out=folder, device="cpu", small=True, minutes=minutes, cases=cases)


def whole(folder):
    """Names of the parts that left rows; every file must be readable to its end."""
    for path in folder.glob("*.json"):
        rows = json.loads(path.read_text())
        assert isinstance(rows, list)
        assert all(isinstance(row, dict) and row for row in rows)
    if (page := folder / "index.md").exists():
        text = page.read_text()
        assert text.startswith("# What this GPU does here\n")
        assert all(f"## {name}: " in text for name in gpu_check.PARTS)
    return {path.stem for path in folder.glob("*.json")}


@pytest.mark.extended
def test_parts_that_take_too_long_or_fail_are_told(tmp_path, monkeypatch):
    monkeypatch.setattr(gpu_check, "PARTS", {
        "environment": (gpu_check.environment, 60.0),
        "step": (gpu_check.step, 0.01),
    })  # fmt: skip
    gpu_check.run(asked(tmp_path))
    text = (tmp_path / "index.md").read_text()
    assert "## environment: done in" in text
    assert "## step: stopped at its limit" in text
    assert "says nothing about speed" in text


def test_no_time_begins_no_part(tmp_path):
    gpu_check.run(asked(tmp_path, minutes=0.01))
    assert whole(tmp_path) == set()


@pytest.mark.extended
def test_training_goes_on_where_the_epoch_before_ended(tmp_path, cases_folder):
    rows = list(gpu_check.training(asked(tmp_path, cases=cases_folder)))
    assert [row["epoch"] for row in rows] == [1, 2]
    assert rows[1]["iteration"] == 2 * rows[0]["iteration"] > 0
    assert all(math.isfinite(row["loss"]) and row["seconds"] > 0 for row in rows)
    assert all(0 <= row["val_dice"] <= 1 for row in rows)  # evaluations are in it


@pytest.mark.extended
def test_nothing_of_snakemake_is_imported():
    code = "import sys, benchmarks.gpu_check, benchmarks.gpu; sys.exit('snakemake' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


@pytest.mark.extended
def test_killed_at_a_random_moment_what_it_wrote_is_whole(tmp_path):
    command = [sys.executable, "-m", "benchmarks.gpu_check", "--device", "cpu", "--small"]
    moment = random.SystemRandom().uniform(1, 30)
    process = subprocess.Popen([*command, "--out", str(tmp_path)], cwd=ROOT)
    time.sleep(moment)
    process.send_signal(signal.SIGKILL)
    process.wait()
    time.sleep(0.5)
    assert whole(tmp_path) <= {*gpu_check.PARTS}
    # Nothing goes on writing.
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    time.sleep(2)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before


@pytest.mark.extended
def test_a_part_whose_check_was_killed_while_it_imported_writes_nothing(tmp_path):
    with subprocess.Popen([sys.executable, "-c", ""]) as ended:
        pass
    command = [sys.executable, "-m", "benchmarks.gpu_check", "--device", "cpu", "--small"]
    command += ["--out", str(tmp_path), "--part", "environment", "--parent", str(ended.pid)]
    part = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert part.returncode == 1
    assert "that began this part has ended" in part.stderr
    assert not list(tmp_path.iterdir())
