"""The smallest gain that a grid can detect, for a number of seeds: from measured variances, or from an assumption."""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from salstm.analysis import trainings
from salstm.analysis.results import Frame, dataset_name
from salstm.data import splits
from salstm.data.datasets import DATASETS
from salstm.vocabulary import DICE, FOLDS, METRICS

SEEDS = (3, 5, 10)


@dataclass(frozen=True)
class Noise:
    """What a gain varies by on a dataset, as a share of 1 of Dice.

    Attributes:
        groups: patients or sequences that are tested.
        lasting: variance of the gain between groups that no number of trainings takes away.
        interaction: variance of one training's mean that comes from how it meets each patient.
        training: variance of one training's mean.
        source: where these are from.
    """

    groups: int
    lasting: float
    interaction: float
    training: float
    source: str


TRAINING_SD, GROUP_SD = 0.005, 0.03
"""Assumed before any training: half a point between trainings, 3 points between the groups' gains."""


def measured(comparisons: Frame, dataset: str) -> Noise | None:
    """The median over the networks and modules of a dataset; None before two trainings of both variants.

    Args:
        comparisons: as `salstm.analysis.analyse` wrote them.
        dataset: its name.
    """
    rows = comparisons[(comparisons["dataset"] == dataset) & (comparisons["metric"] == DICE)]
    rows = rows[(rows["seeds"] > 1) & rows["seed_sd"].notna()]
    if rows.empty:
        return None
    meets = 2 * rows["interaction"] / rows["seeds"]
    lasting = np.maximum(rows["group_error"] ** 2 - meets, 0)
    return Noise(
        int(rows["groups"].median()),
        lasting=float(np.median(lasting)),
        interaction=float(np.median(rows["interaction"])),
        training=float(np.median(rows["seed_sd"] ** 2)),
        source=f"measured, {len(rows)} comparisons",
    )


def assumed(groups: int) -> Noise:
    """Before any training."""
    said = f"assumed: sd {100 * TRAINING_SD:g} points of trainings, {100 * GROUP_SD:g} of groups' gains"
    return Noise(groups, GROUP_SD**2 / max(groups, 1), 0.0, TRAINING_SD**2, said)


def detectable(noise: Noise, seeds: int, variants: int, level: float, tests: int) -> float:
    """The gain that 4 of 5 studies find with so many seeds, as the first of a Holm family; NaN below two groups.

    Args:
        noise: of the dataset.
        seeds: trainings of each variant.
        variants: that share the estimate of a network's training variance.
        level: of the intervals.
        tests: in the family.
    """
    if noise.groups < 2:
        return math.nan
    between = noise.lasting + 2 * noise.interaction / seeds
    free = (noise.groups - 1.0, variants * (seeds - 1.0))
    numbers = (between, free[0], 2 * noise.training / seeds, free[1])
    error, degrees = trainings.combined(*map(np.float64, numbers))
    return trainings.detectable(float(error), float(degrees), level, tests)


def table(config: Mapping[str, Any], comparisons: Frame, results: Path) -> str:
    """For a terminal: a line a dataset, the smallest detectable gain in points of Dice for each of `SEEDS`.

    Args:
        config: the checked configuration.
        comparisons: of its whole grid; no rows before there are any.
        results: folder of its results, for the prepared cases.
    """
    family = config["statistics"]
    networks = sum(len(names) for names in config["grid"].values())
    tests = networks * len(family["modules"]) * len(family["metrics"])
    lines = [
        f"Smallest gain in {METRICS[DICE].label} (points) that 4 of 5 studies find, first of {tests} tests (Holm):"
    ]
    lines.append(_line("dataset", "groups", [f"{one} seeds" for one in SEEDS], "from"))
    for dataset, names in config["grid"].items():
        if not names:
            continue
        noise = measured(comparisons, dataset)
        if noise is None:
            noise = assumed(tested(dataset, config["datasets"][dataset]["split"], results))
        found = (
            detectable(noise, seeds, len(config["variants"]), family["level"], tests)
            for seeds in SEEDS
        )
        # One group never tells anything; how many there are may be known only when the cases are prepared.
        unknown = "never" if noise.groups else "?"
        sizes = [unknown if math.isnan(one) else f"{100 * one:.2f}" for one in found]
        lines.append(_line(dataset_name(dataset), str(noise.groups or "?"), sizes, noise.source))
    lines.append(
        "A smaller gain may be there and stay undecided, which is not 'no effect'. docs/statistics.md"
    )
    return "\n".join(lines) + "\n"


def tested(dataset: str, split: Mapping[str, Any], results: Path) -> int:
    """Groups that are tested: of the prepared cases, else as published, of folds all; 0 where neither is there."""
    cases = results / dataset / "cases" / "cases.csv"
    if cases.is_file():
        with cases.open(encoding="utf-8", newline="") as file:
            return len({row["group"] for row in csv.DictReader(file) if row["split"] == "test"})
    if split["name"] == FOLDS:
        return DATASETS[dataset].published_groups
    try:
        return list(splits.load(dataset, split["name"]).values()).count("test")
    except (ValueError, FileNotFoundError):
        return 0


def _line(dataset: str, groups: str, sizes: Sequence[str], source: str) -> str:
    return f"{dataset:14} {groups:>6}  " + " ".join(f"{one:>8}" for one in sizes) + f"  {source}"
