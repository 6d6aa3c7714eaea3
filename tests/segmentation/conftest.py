"""Trainings with weights that nobody trained: what they find is arbitrary, and the same wherever it is computed."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from torch import nn

from salstm import jobs, recipes
from salstm.data import datasets, phantoms
from salstm.files import write_json
from salstm.recipes import Recipe, given
from salstm.training import checkpoint
from salstm.training.model import FEATURES, assemble
from salstm.vocabulary import SELECTIONS

SPLIT = {"name": "groups", "validation": 0.2, "test": 0.5, "seed": 0}
RAW: dict[str, Callable[[Path], Path]] = {
    "acdc": lambda raw: phantoms.acdc(raw, patients=3, seed=1, size=(40, 48), slices=(4, 5)),
    "isic2018": lambda raw: phantoms.isic2018(raw, images=4, seed=1, size=(40, 56)),
    "cvc_clinicdb": lambda raw: phantoms.cvc_clinicdb(raw, sequences=3, frames=4, seed=1),
}


def build(in_channels: int, out_channels: int, image_size: int) -> nn.Module:
    del image_size
    inner = nn.Conv2d(in_channels, FEATURES, 5, padding=2)
    return nn.Sequential(inner, nn.GELU(), nn.Conv2d(FEATURES, out_channels, 3, padding=1))


class Training:
    """A raw folder, its prepared cases, a training's folder and what `predict` made of the test cases."""

    def __init__(
        self,
        home: Path,
        name: str,
        recipe: Recipe,
        variant: str = "stack",
        raw: Path | None = None,
    ) -> None:
        self.raw, self.cases, self.run = raw or home / "raw", home / "cases", home / "cell"
        if raw is None:
            RAW[name](self.raw)
        datasets.prepare(name, self.raw, self.cases, split=SPLIT, size=32)
        entry = datasets.DATASETS[name]
        options: dict[str, Any] = {
            "channels": entry.channels,
            "classes": len(entry.classes),
            "seed": 3,
        }
        model = assemble(build, recipe, variant=variant, **options)
        for selection in SELECTIONS:
            checkpoint.save_weights(self.run / f"{selection}.safetensors", model.state_dict())
        hashed = hashlib.sha256((self.cases / "manifest.json").read_bytes()).hexdigest()
        identity = {"dataset": name, "baseline": "unet", "variant": variant, "seed": 0}
        record = {
            "recipe": given(recipe),
            "channels": entry.channels,
            "classes": list(entry.classes),
            "identity": identity,
            "data_manifest_sha256": hashed,
        }
        write_json(self.run / "run.json", record)
        where: dict[str, Any] = {"cases": self.cases, "out": home / "predictions"}
        jobs.predict(build, self.run, **where, device="cpu", threads=1)
        with np.load(home / "predictions/best_val.npz") as file:
            self.predicted = dict(file)


@pytest.fixture(scope="session")
def small() -> Recipe:
    """At 32 pixels; how it would be trained does not matter."""
    return recipes.load(
        {
            **{"activation": "softmax", "augment": "none", "auxiliary": False, "batch": 2},
            **{"border": "authors", "deterministic": True, "epochs": 1, "evaluate_every": 1},
            **{"frames": 3, "freeze_norm_after": None, "scales": None, "size": 32},
            **{"normalise": None, "precision": "float32", "pretrained": False},
            "loss": {"name": "cross_entropy_dice", "cross_entropy": 0.5, "dice": 0.5},
            "optimizer": {"name": "adam", "lr": 1e-3, "weight_decay": 0.0},
            "schedule": {"name": "poly", "power": 0.9},
        }
    )


@pytest.fixture(scope="session")
def acdc(tmp_path_factory: pytest.TempPathFactory, small: Recipe) -> Training:
    return Training(tmp_path_factory.mktemp("acdc"), "acdc", small)


@pytest.fixture(scope="session")
def isic(tmp_path_factory: pytest.TempPathFactory, small: Recipe) -> Training:
    alone = replace(small, frames=1, border=None)
    return Training(tmp_path_factory.mktemp("isic"), "isic2018", alone, "plain")


@pytest.fixture(scope="session")
def cvc(tmp_path_factory: pytest.TempPathFactory, small: Recipe) -> Training:
    return Training(tmp_path_factory.mktemp("cvc"), "cvc_clinicdb", small)
