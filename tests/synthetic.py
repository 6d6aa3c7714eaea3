"""Made-up collected results: small, seeded, with the holes that real ones have."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from salstm.columns import COLUMNS, chosen
from salstm.data.datasets import DATASETS
from salstm.files import write_csv
from salstm.vocabulary import IDENTITY, METRICS, cells

GRID = {"acdc": ("mtunet", "transunet"), "isic2018": ("unet",)}
SHIFT = {"plain": 0.0, "salstm": 0.02, "lstmsa": 0.01}
SCOPES = {"stored": "voxel", "inner": "voxel", "native": "mm"}


@dataclass(frozen=True)
class Made:
    """What is made.

    Attributes:
        grid: networks of each dataset.
        variants: of every network.
        seeds: of every variant.
        cases: test cases of a dataset.
        states: cells that are not done -> state and reason.
        divided: dataset -> groups that its split divides.
        split: what the runs were trained on.
        bounds: whether the rows that no network predicted were measured.
    """

    grid: Mapping[str, Sequence[str]] = field(default_factory=lambda: dict(GRID))
    variants: Sequence[str] = ("plain", "salstm", "lstmsa")
    seeds: Sequence[int] = (0, 1)
    cases: int = 6
    epochs: int = 4
    states: Mapping[tuple[str, str, str, int], tuple[str, str]] = field(default_factory=dict)
    divided: Mapping[str, int] = field(default_factory=dict)
    split: str = "paper"
    bounds: bool = False

    def identities(self) -> list[dict]:
        return [one._asdict() for one in cells(vars(self))]


def collect(folder: Path, made: Made | None = None) -> Path:
    """Write the files as ``salstm.analysis.collect`` does; returns the folder."""
    made = made or Made()
    states = pd.DataFrame([_cell(made, identity) for identity in made.identities()])
    done = states.loc[states["state"] == "done", list(IDENTITY)].to_dict("records")
    kept = done[:1] if any(one["variant"] != "plain" for one in done) else []
    parts = {
        "cells": [states],
        "scores": [_scores(made, one) for one in done],
        "history": [_history(made, one) for one in done],
        "cost": [pd.DataFrame([_cost(one)]) for one in done if one["seed"] == made.seeds[0]],
        "sparsity": [_sparsity(one) for one in kept],
        "bounds": [_bounds(made, one) for one in made.grid] if made.bounds else [],
    }
    for name, frames in parts.items():
        table = pd.concat(frames, ignore_index=True) if frames else pd.DataFrame()
        names = [*COLUMNS[name], *chosen(table.columns)]
        write_csv(folder / f"{name}.csv", table.reindex(columns=names))
    return folder


def claims(path: Path, grid: Mapping[str, Sequence[str]] | None = None) -> Path:
    """Write a short claims.yaml about a grid; returns the path. The whole one takes seconds to judge."""
    fixed: dict[str, Any] = {"source": "abstract", "modules": ["salstm", "lstmsa"]}
    fixed["grid"] = {dataset: list(names) for dataset, names in (grid or GRID).items()}
    better: dict[str, Any] = {
        "id": "better",
        "text": "They improve all.",
        "reading": "Each mean is better.",
    }
    cheap: dict[str, Any] = {
        "id": "cheap",
        "text": "They cost nothing.",
        "reading": "At most 5 % more.",
    }
    better |= {"kind": "improves", "measures": ["dice", "hd95"]}
    cheap |= {"kind": "costs_no_more", "measures": ["macs"], "tolerance": 0.05}
    content = {"seeds": 3, "claims": [{**one, **fixed} for one in (better, cheap)]}
    path.write_text(json.dumps(content), encoding="utf-8")  # JSON is YAML
    return path


def cards() -> dict:
    """Cards of two networks; one publishes a number that compares, one that does not."""
    published = [
        {
            "dataset": "acdc",
            "metric": "dice",
            "value": 90.0,
            "unit": "percent",
            "classes": {"RV": 88.0, "Myo": 89.0, "left_x": 1.0},
            "protocol": "all slices",
            "source": "paper, table 2",
            "verified": True,
            "comparable": True,
            "split": "paper",
            "selection": "last",
            "grid": "native",
            "why": "same lists",
        },
        {
            "dataset": "acdc",
            "metric": "hd95",
            "value": 1.5,
            "unit": "voxels",
            "protocol": "all slices",
            "source": "paper, table 2 (recalled)",
            "verified": False,
            "comparable": False,
            "why": "other data",
        },
    ]
    return {
        "mtunet": _card("MT-UNet", published),
        "transunet": _card("TransUNet", []),
        "unet": _card("U_Net & co", []),
    }


def _card(title: str, published: list) -> dict:
    return {
        "title": title,
        "paper": {
            "title": f"About {title}",
            "authors": "A. Author",
            "venue": "V",
            "year": 2022,
            "url": "https://example.org/paper",
        },
        "code": {"url": "https://example.org/code", "commit": "abc", "file": "m.py"},
        "licence": "MIT",
        "datasets": ["acdc"],
        "input": {"size": 224, "multiple_of": 32, "smallest": 64, "fixed": True, "channels": "1"},
        "counts": [
            {"in_channels": 1, "outputs": 4, "size": 224, "parameters": 79075064},
            {
                "in_channels": 1,
                "outputs": 9,
                "size": 224,
                "parameters": 79075389,
                "macs": 40469036032,
            },
        ],
        "unused": [],
        "features64": "the head",
        "auxiliary": {"outputs": 0, "note": "none"},
        "weights": {"scratch": title == "U_Net & co", "note": "defaults"},
        "published": published,
        "recipe": "Adam",
        "deviations": ["one", "two"],
        "unverified": ["three"],
    }


SCRATCH = ("mtunet",)


def _cell(made: Made, identity: dict) -> dict:
    key = tuple(identity[name] for name in IDENTITY)
    state, reason = made.states.get(key, ("done", ""))  # type: ignore[call-overload]
    known = state == "done"
    return {
        **identity,
        "state": state,
        "reason": reason,
        "epochs": made.epochs if known else None,
        "iterations": made.epochs * 10 if known else None,
        "looks": made.epochs // 2 if known else None,
        "split": made.split if known else None,
        "grid": "native" if known else None,
        "wiring": None,
        "best_val_epoch": 3 if known else None,
        "best_test_epoch": 4 if known else None,
        "parameters": 7_000_000 + 1_640_000 * (identity["variant"] != "plain") if known else None,
        "seconds": 12.5 if known else None,
        "pretrained": identity["baseline"] not in SCRATCH if known else None,
        "phantom": False,
        "recipe": "0123456789abcdef" if known else None,
        "command": "python -m salstm train --recipe '{\"a\":1}'" if known else None,
    }


def _generator(identity: dict) -> np.random.Generator:
    return np.random.default_rng([*"/".join(map(str, identity.values())).encode()])


def _scores(made: Made, identity: dict) -> pd.DataFrame:
    generator = _generator(identity)
    rows = []
    for selection in ("best_test", "best_val", "last"):
        for scope, unit in SCOPES.items():
            for case in range(made.cases):
                for label in DATASETS[identity["dataset"]].classes:
                    rows.append(_row(generator, identity, selection, scope, unit, case, label))
    return pd.DataFrame(rows).assign(divided_groups=made.divided.get(identity["dataset"], 0))


def _row(generator, identity, selection, scope, unit, case, label) -> dict:
    reference = 0 if generator.random() < 0.05 else int(generator.integers(50, 500))
    prediction = 0 if generator.random() < 0.05 else int(generator.integers(50, 500))
    dice = float(generator.uniform(0.7, 0.9)) + SHIFT.get(identity["variant"], 0.0)
    distance = float(generator.uniform(1, 9))
    both, one = reference > 0 and prediction > 0, reference > 0 or prediction > 0
    overlap = dice if both else 0.0 if one else np.nan
    far = distance if both else np.nan
    return {
        **identity,
        "selection": selection,
        "scope": scope,
        "case": f"{case:03d}",
        "group": f"{case // 2:02d}",
        "class": label,
        "reference_voxels": reference,
        "prediction_voxels": prediction,
        "tp": int(dice * min(reference, prediction)),
        "fp": 3,
        "fn": 2,
        **_values(overlap, far),
        "diagonal": 100.0,
        "unit": unit,
    }


def _bounds(made: Made, dataset: str) -> pd.DataFrame:
    """An oracle that loses 2 % and a pixel, nothing at all, and one case twice with Dice 0.9."""
    rows = []
    for name, cases, dice, voxels in (
        ("oracle", made.cases, 0.98, 90),
        ("annotators", 1, 0.9, 80),
        ("empty", made.cases, 0.0, 0),
    ):
        for scope, unit in SCOPES.items():
            for case in range(cases):
                for label in DATASETS[dataset].classes:
                    key = {"dataset": dataset, "bound": name, "scope": scope, "class": label}
                    key |= {"case": f"{case:03d}", "group": f"{case // 2:02d}", "unit": unit}
                    counts = {
                        "reference_voxels": 100,
                        "prediction_voxels": voxels,
                        "diagonal": 100.0,
                    }
                    rows.append({**key, **counts, **_values(dice, 1.0 if voxels else np.nan)})
    return pd.DataFrame(rows)


def _values(overlap: float, far: float) -> dict[str, float]:
    """A value of every metric, those of the vocabulary that are not named here included."""
    known = {"iou": overlap / (2 - overlap), "volume_error": 0.1}
    known |= {"hd": far * 2, "hd95": far, "hd95_directed": far * 0.9, "assd": far / 2}
    return {
        name: known.get(name, far if metric.is_distance else overlap)
        for name, metric in METRICS.items()
    }


def _history(made: Made, identity: dict) -> pd.DataFrame:
    generator = _generator(identity)
    epoch = np.arange(1, made.epochs + 1)
    values = 0.9 - 0.5 / epoch + generator.normal(0, 0.01, made.epochs)
    val = np.where(epoch % 2 == 0, values, np.nan)
    return pd.DataFrame(
        {
            **identity,
            "epoch": epoch,
            "iteration": epoch * 10,
            "lr": 1e-3 / epoch,
            "loss": 1 / epoch,
            "val_dice": val,
            "test_dice": val - 0.02,
            "seconds": 3.0,
        }
    )


def _sparsity(identity: dict) -> pd.DataFrame:
    axes = [("salstm", "lstmsa", "attention"), ("train", "test"), ("a", "b"), range(4)]
    rows = pd.MultiIndex.from_product(axes, names=["model", "split", "case", "layer"])
    table = rows.to_frame(index=False).assign(ratio=0.8, seed=identity["seed"])
    table["l1"] = 0.5 / (1 + table["layer"]) + 0.1 * (table["case"] == "b")
    return table.assign(**{name: identity[name] for name in IDENTITY[:2]})


def _cost(identity: dict) -> dict:
    module = identity["variant"] != "plain"
    counts = {"parameters": 7_765_508 + 1_639_428 * module, "macs": 12_103_000_000 * (1 + module)}
    heavier = {"transunet": 3.0, "merit": 5.0, "missformer": 0.7, "daeformer": 1.6}
    counts["macs"] *= heavier.get(identity["baseline"], 1.0)
    counts["latency_seconds"] = counts["macs"] / 8e11
    return {**{name: identity[name] for name in IDENTITY[:3]}, **counts}
