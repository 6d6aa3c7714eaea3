"""Folds through the real commands: 29 phantom videos in five, each case tested once, strict filled."""

from __future__ import annotations

import csv
import re
import shutil
from collections import Counter

import pytest

from tests.workflow.test_workflow import change, checkout, snakemake

CELL = "results/tiny/cvc_clinicdb/unet/plain/seed0"
VIDEOS = {
    "raw": "raw",
    "phantom": {"sequences": 29, "frames": 4, "seed": 0, "size": [32, 40]},
    "split": {"name": "folds"},
    "size": 32,
}
GRID = {
    "grid": {"synapse": [], "acdc": [], "isic2018": [], "cvc_clinicdb": ["unet"]},
    "datasets": {"cvc_clinicdb": VIDEOS},
    "recipes": {"networks": {"unet": {"size": 32}}, "overrides": {"epochs": 1, "batch": 16}},
}


@pytest.mark.extended
def test_strict_has_every_case_of_29_videos_once_and_a_lost_fold_runs_again_alone(tmp_path):
    folder = checkout(tmp_path)
    change(folder, **GRID)
    first = snakemake(folder)
    assert first.returncode == 0, first.stdout[-3000:] + first.stderr[-3000:]
    with (folder / CELL / "scores.csv").open() as file:
        rows = list(csv.DictReader(file))
    chosen = [row for row in rows if (row["selection"], row["scope"]) == ("best_val", "native")]
    assert set(Counter(row["case"] for row in chosen).values()) == {1}
    assert len({row["group"] for row in chosen}) == 29
    table = (folder / "reports/tiny/tables/cvc_clinicdb_strict.md").read_text()
    assert f"n = {len(chosen)} test cases" in table
    assert "Left empty" not in table
    assert re.search(r"\| UNet\S* \| \S*\d+\.\d\d", table), table
    assert "Nothing to be done" in snakemake(folder).stderr

    shutil.rmtree(folder / CELL / "fold3")
    (folder / CELL / "scores.csv").unlink()
    plan = snakemake(folder, "-n", f"{CELL}/scores.csv").stdout
    counts = dict(re.findall(r"^(\w+) +(\d+)$", plan, flags=re.MULTILINE))
    assert (counts["train"], counts["predict"], counts["score"]) == ("1", "1", "1")
    assert "fold=/fold3" in plan
