"""The columns of the CSV files that commands hand on: who writes them and who reads them take them from here."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from salstm.vocabulary import IDENTITY, MEASURED, METRICS

CELL = IDENTITY[:3]
"""Dataset, network and variant: a cell of the comparison, over its seeds."""
TEXT = (*CELL, "selection", "case", "group", "class")
"""Columns of names, which are no numbers and never undefined: a case may be called 001 or NA."""
SUBGROUP = "by_"
"""What columns begin with whose cells name a subgroup; of a case that is in none they are empty."""
SCORE_KEYS = (*IDENTITY, "selection", "scope", "case", "group", "class")
"""What names a row of scores.csv, in the order of sorting."""
VOXELS = ("reference_voxels", "prediction_voxels", "tp", "fp", "fn")

COLUMNS: dict[str, tuple[str, ...]] = {
    "cells": (
        *IDENTITY,
        "state",
        "reason",
        "epochs",
        "iterations",
        "looks",
        "split",
        "grid",
        "wiring",
        "best_val_epoch",
        "best_test_epoch",
        "parameters",
        "seconds",
        "joules",
        "training_bytes",
        "pretrained",
        "phantom",
        "recipe",
        "command",
    ),
    "scores": (*SCORE_KEYS, *VOXELS, *MEASURED, "diagonal", "unit", "divided_groups"),
    "cost": (
        *CELL,
        "parameters",
        "parameters_trainable",
        "parameters_module",
        "macs",
        "flops",
        "macs_module",
        "macs_fvcore",
        "macs_torch",
        "activations",
        "elements_light",
        "operators_counted",
        "operators_ignored",
        "latency_seconds",
        "latency_repeats",
        "throughput_per_second",
        "latency_device",
        "peak_memory_bytes",
    ),
    "history": (
        *IDENTITY,
        "epoch",
        "iteration",
        "lr",
        "loss",
        "val_dice",
        "test_dice",
        "seconds",
    ),
    "sparsity": (
        "dataset",
        "baseline",
        "seed",
        "model",
        "split",
        "case",
        "layer",
        "l1",
        "ratio",
    ),
    "bounds": (
        "dataset",
        "bound",
        "scope",
        "case",
        "group",
        "class",
        *VOXELS,
        *MEASURED,
        "diagonal",
        "unit",
    ),
    "comparisons": (
        "dataset",
        "baseline",
        "module",
        "metric",
        "unit",
        "plain",
        "with_module",
        "difference",
        "low",
        "high",
        "improvement",
        "groups_improved",
        "p",
        "p_holm",
        "degrees",
        "patients_low",
        "patients_high",
        "patients_p",
        "p_wilcoxon",
        "smallest_p",
        "effect_size",
        "seed_sd",
        "group_error",
        "training_error",
        "interaction",
        "luck",
        "detectable",
        "cases",
        "groups",
        "seeds",
        "unpaired",
        "pairs_left_out",
        "verdict",
        "reason",
        "family",
        "level",
        "protocol",
    ),
    "claims": (
        "claim",
        "module",
        "measure",
        "protocol",
        "family",
        "own_family",
        "verdict",
        "declared",
        "done",
        "better",
        "clearly_better",
        "clearly_worse",
        "estimate",
        "low",
        "high",
        "evidence",
        "missing",
        "text",
        "reading",
        "source",
    ),
    "ranking": (
        *CELL,
        "metric",
        "rank",
        "low",
        "high",
        "first",
        "tau",
        "groups",
        "least_p",
        "reason",
    ),
    "shares": (*CELL, "metric", "at", "share"),
    "pairs": (
        "dataset",
        "metric",
        "baseline",
        "variant",
        "over_baseline",
        "over_variant",
        "gain",
        "p",
        "p_holm",
        "patients_p",
        "seeds",
        "verdict",
    ),
}
"""By the file's name without its ending."""
TOLERATED = "nsd_tolerance"
"""Column of the tolerance that a row's NSD was measured with, in the row's unit; there where NSD is."""
SIZE = "reference_size"
"""Column of the size that the subgroups of sizes are cut by: mm³ (mm² in 2D), or share of the frame."""
CHOSEN = (*(name for name in METRICS if name not in MEASURED), TOLERATED, SIZE)
"""Columns that scores.csv and bounds.csv have beyond ``COLUMNS`` where the configuration asks for them."""
COLLECTED = ("cells", "scores", "cost", "history", "sparsity", "bounds")
"""What ``collect`` writes."""
JUDGED = ("comparisons", "claims", "ranking", "shares", "pairs")
"""What ``claims`` writes beside."""


def is_text(name: str) -> bool:
    """Whether a column's cells are names, which may be called 001 or NA."""
    return name in TEXT or name.startswith(SUBGROUP)


def chosen(there: Iterable[str]) -> list[str]:
    """Those of a table's columns that a configuration asked for, in their order."""
    known = set(there)
    subgroups = sorted(name for name in known if name.startswith(SUBGROUP))
    return [*(name for name in CHOSEN if name in known), *subgroups]


def check(path: Path, columns: Iterable[str], wanted: Iterable[str]) -> None:
    """Refuse a table that lacks a column.

    Args:
        path: of the table, for the message.
        columns: those that it has.
        wanted: those that are read.

    Raises:
        ValueError: names the file and the columns.
    """
    there = set(columns)
    if missing := [name for name in wanted if name not in there]:
        raise ValueError(f"{path}: no column {', '.join(missing)}")
