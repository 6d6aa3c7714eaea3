"""The package as pip installs it: the wheel has everything, and `salstm` works from another folder, fetch to report."""

from __future__ import annotations

import json
import os
import shutil
import site
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
RECIPE = {
    "activation": "sigmoid", "augment": "rotflip", "auxiliary": False, "batch": 4, "deterministic": False,
    "epochs": 1, "evaluate_every": 1, "frames": 1, "freeze_norm_after": None, "scales": None, "loss": {"name": "bce"},
    "normalise": None, "optimizer": {"name": "adam", "lr": 1e-3}, "precision": "float32", "pretrained": False,
    "schedule": {"name": "constant"}, "size": 32, "attention_size": "map",
}  # fmt: skip
GRID = {"grid": {"isic2018": ["unet"]}, "variants": ["salstm"], "seeds": [0]}
PHANTOM = {"images": 8, "seed": 0, "size": [32, 40]}
SPLIT = {"name": "groups", "validation": 0.2, "test": 0.2, "seed": 0}
STATISTICS = {"resamples": 100}
RESULTS = "results/tiny"
PLACE = f"{RESULTS}/isic2018"
CELL = f"{PLACE}/unet/salstm/seed0"
COMMANDS = [
    f"fetch --dataset isic2018 --raw raw --phantom {json.dumps(PHANTOM)} --out {PLACE}/raw.json",
    f"prepare --dataset isic2018 --raw raw --manifest {PLACE}/raw.json --split {json.dumps(SPLIT)} --size 32"
    f" --threads 1 --out {PLACE}/cases",
    f"check --dataset isic2018 --cases {PLACE}/cases --out {PLACE}/audit.csv",
    f"train --dataset isic2018 --baseline unet --variant salstm --seed 0 --recipe {json.dumps(RECIPE)}"
    f" --cases {PLACE}/cases --out {CELL} --device cpu --threads 1",
    f"predict --run {CELL} --cases {PLACE}/cases --device cpu --threads 1",
    f"score --run {CELL} --cases {PLACE}/cases --out {CELL}/scores.csv",
    f"cost --dataset isic2018 --baseline unet --recipes {json.dumps({'salstm': RECIPE})} --threads 1"
    f" --out {PLACE}/unet/cost.csv",
    f"sparsity --runs {CELL} --cases {PLACE}/cases --layers 2 --count 1 --device cpu --threads 1"
    f" --out {PLACE}/unet/sparsity.csv",
    f"collect --results {RESULTS} --grid {json.dumps(GRID)} --out collected",
    f"claims --collected collected --claims {ROOT}/claims.yaml --statistics {json.dumps(STATISTICS)}"
    f" --grid {json.dumps(GRID)}",
    f"tables --collected collected --statistics {json.dumps(STATISTICS)} --out report/tables",
    f"figures --collected collected --results {RESULTS} --out report/figures",
    f"export --collected collected --results {RESULTS} --out report/data",
    f"report --collected collected --results {RESULTS} --out report/index.html",
    "networks",
    f"plan --config {ROOT}/config.yaml",
]
IN_ONE_PROCESS = """
import json, sys
from salstm import cli
for command in json.loads(sys.argv[1]):
    assert cli.main(command) == 0, command
"""


def split(command: str) -> list[str]:
    """A command at its spaces, but for those inside of JSON."""
    words: list[str] = []
    for part in command.split(" "):
        inside = bool(words) and words[-1].count("{") > words[-1].count("}")
        words[-1:] = [f"{words[-1]} {part}"] if inside else [*words[-1:], part]
    return words


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from a copy of the checkout, which stays clean."""
    folder = tmp_path_factory.mktemp("wheel")
    ignored = shutil.ignore_patterns("__pycache__")
    for name in ("salstm", "baselines"):
        shutil.copytree(ROOT / name, folder / "source" / name, ignore=ignored)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, folder / "source")
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run(
        [*command, "--wheel-dir", folder, folder / "source"], check=True, capture_output=True
    )
    return next(folder.glob("*.whl"))


@pytest.fixture(scope="module")
def program(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`salstm` of an environment of its own, which borrows the libraries of this one."""
    folder = tmp_path_factory.mktemp("venv")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    packages = next(folder.glob("lib/python3*/site-packages"))
    (packages / "borrowed.pth").write_text("\n".join(site.getsitepackages()))
    pip = [sys.executable, "-m", "pip", "--python", folder / "bin/python", "install", "--quiet"]
    subprocess.run([*pip, "--no-deps", "--no-index", wheel], check=True, capture_output=True)
    return folder / "bin/salstm"


def run(*command: str | Path, folder: Path) -> subprocess.CompletedProcess:
    there = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    return subprocess.run(
        list(map(str, command)), cwd=folder, env=there, capture_output=True, text=True, check=False
    )


def test_every_file_of_the_packages_is_in_the_wheel(wheel):
    with zipfile.ZipFile(wheel) as archive:
        packed = set(archive.namelist())
    listed = subprocess.run(
        ["git", "ls-files", "salstm", "baselines"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split()  # fmt: skip
    missing = [name for name in listed if name not in packed and (ROOT / name).exists()]
    assert listed
    assert missing == []


def test_the_command_is_on_the_path_and_says_its_name(program, tmp_path):
    said = run(program, "--help", folder=tmp_path)
    assert said.returncode == 0, said.stderr
    assert said.stdout.startswith("usage: salstm ")
    wrong = run(program, "plan", folder=tmp_path)
    assert wrong.returncode == 1
    assert "name its file by --config" in wrong.stderr


@pytest.mark.extended
def test_every_command_from_fetch_to_report_runs_in_another_folder(program, tmp_path):
    python = program.with_name("python")
    commands = json.dumps([split(one) for one in COMMANDS])
    said = run(python, "-c", IN_ONE_PROCESS, commands, folder=tmp_path)
    assert said.returncode == 0, said.stderr[-3000:]
    assert (tmp_path / "report/index.html").stat().st_size > 10_000
    place = run(python, "-c", "import salstm; print(salstm.__file__)", folder=tmp_path).stdout
    assert str(program.parent.parent) in place
