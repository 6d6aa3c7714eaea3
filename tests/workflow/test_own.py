"""Datasets of one's own from files to a report, without a line of code."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import yaml

from tests.data.readers.test_folder import HEARTS, hearts, pairs
from tests.workflow.test_workflow import TINY, checkout, environment, snakemake

NAMES = ("skin", "hearts")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A checkout, with pictures of eight patients in one folder and an nnU-Net dataset in another."""
    root = checkout(tmp_path)
    pairs(root / "pictures", [f"{patient}{number}" for patient in "abcdefgh" for number in (1, 2)])
    hearts(root / "Dataset001_Hearts", patients=6)
    blocks = {
        "skin": {"raw": "pictures", "classes": {"lesion": 255}, "group": "^.", "label": "My skin"},
        "hearts": {"raw": "Dataset001_Hearts", "classes": HEARTS, "group": "patient[0-9]+"},
    }
    frames = {"skin": 1, "hearts": 3}
    text = {
        **TINY,
        "variants": ["plain", "salstm"],
        "grid": {"acdc": [], "synapse": [], "isic2018": [], "cvc_clinicdb": [], "skin": ["unet"]},
        "datasets": {
            name: {**block, "reader": "folder", "size": 32, "frames": frames[name]}
            for name, block in blocks.items()
        },
        "statistics": {"modules": ["salstm"], "resamples": 100},
        "recipes": {"overrides": {"size": 32, "epochs": 1, "batch": 4, "attention_size": 64}},
    }
    text["grid"] = {**text["grid"], "hearts": ["unet", "dwunet"]}
    (root / "tiny.yaml").write_text(yaml.safe_dump(text))
    return root


def salstm(folder: Path, *arguments: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-m", "salstm", *arguments],
        cwd=folder, env=environment(), capture_output=True, text=True, check=False,
    )  # fmt: skip


@pytest.mark.extended
def test_they_are_planned_looked_at_and_checked(folder):
    files = ("--config", "config.yaml", "tiny.yaml")
    shown = salstm(folder, "doctor", *files)
    assert shown.returncode == 0, shown.stdout + shown.stderr
    assert "pictures: 16 cases" in shown.stdout
    assert "Dataset001_Hearts: 12 cases" in shown.stdout
    shown = salstm(folder, "plan", *files)
    assert shown.returncode == 0, shown.stderr
    assert "skin 11/2/3 (raw files)" in shown.stdout
    assert "hearts 33/5/10 (raw files)" in shown.stdout
    done = snakemake(folder, "data")
    assert done.returncode == 0, done.stdout + done.stderr
    for name in NAMES:
        table = pd.read_csv(folder / f"results/tiny/{name}/audit.csv", dtype=str)
        assert set(table["split"]) >= {"train", "val", "test"}
    (folder / "pictures/masks/a1.png").unlink()
    done = snakemake(folder, "data")
    assert done.returncode == 1
    assert "images/a1.png: has no mask in pictures/masks" in done.stdout + done.stderr
    shown = salstm(folder, "doctor", *files)
    assert shown.returncode == 1
    assert "images/a1.png: has no mask" in shown.stdout


@pytest.mark.extended
def test_every_network_trains_on_them_and_the_report_has_their_tables(folder):
    done = snakemake(folder)
    assert done.returncode == 0, done.stdout + done.stderr
    page = (folder / "reports/tiny/index.html").read_text(encoding="utf-8")
    assert "My skin" in page
    assert "A dataset that the configuration declares" in page
    tables = {path.name for path in (folder / "reports/tiny/tables").glob("*.csv")}
    for name in NAMES:
        assert any(one.startswith(f"{name}_") for one in tables), tables
    again = snakemake(folder, "-n")
    assert "Nothing to be done" in again.stdout + again.stderr
