"""The demo as `make demo` leaves it in this checkout: every cell learned, and it is small; made first if need be.

Snakemake makes only what is missing, so a checkout trains the demo once, whoever asks first.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from salstm import config
from salstm.files import occupied
from salstm.vocabulary import cells

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "results/demo"
BACKGROUND = 0.1
"""Dice of a cell that has not learned: a prediction of background alone has 0."""


@pytest.fixture(scope="module")
def demo() -> pd.DataFrame:
    """The scores of all cells."""
    command = next(
        line for line in (ROOT / "Makefile").read_text().splitlines() if "config.demo.yaml" in line
    )
    arguments = command.split("/snakemake ")[1].split()
    subprocess.run([sys.executable, "-m", "snakemake", *arguments], cwd=ROOT, check=True)
    return pd.read_csv(RESULTS / "collected/demo/scores.csv")


@pytest.mark.slow
def test_every_cell_of_the_demo_learns(demo):
    settings = config.merge(
        config.load(ROOT / "config.yaml"), config.load(ROOT / "config.demo.yaml")
    )
    rows = demo[(demo["scope"] == "stored") & (demo["selection"] == "last")]
    means = rows.groupby(["dataset", "baseline", "variant"])["dice"].mean()
    assert set(means.index) == {(one.dataset, one.baseline, one.variant) for one in cells(settings)}
    assert means.min() > BACKGROUND, means
    assert means.mean() > 0.5, means


@pytest.mark.slow
def test_the_demo_takes_less_than_a_gigabyte(demo):
    taken = occupied(path for path in RESULTS.rglob("*"))
    assert taken < 1e9
