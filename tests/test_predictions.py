"""Predictions of a finished training: each set of weights once, whatever the number of selections that are it."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from salstm import jobs
from salstm.files import write_json
from salstm.recipes import Recipe, given
from salstm.training import checkpoint, inference
from salstm.training.model import assemble
from salstm.vocabulary import SELECTIONS

CLASSES = ["RV", "MYO", "LV"]


def build(in_channels: int, out_channels: int, image_size: int) -> nn.Module:
    del image_size
    return nn.Conv2d(in_channels, out_channels, 3, padding=1)


@pytest.fixture
def calls(monkeypatch) -> list[int]:
    """One entry for each pass over the test cases."""
    passes: list[int] = []
    original = inference.predict

    def counted(*arguments):
        passes.append(1)
        return original(*arguments)

    monkeypatch.setattr(inference, "predict", counted)
    return passes


def weights(recipe: Recipe, seed: int) -> dict[str, torch.Tensor]:
    model = assemble(build, recipe, variant="plain", channels=1, classes=3, seed=seed)
    return model.state_dict()


def predict(recipe: Recipe, cases: Path, folder: Path) -> dict[str, dict[str, np.ndarray]]:
    facts = {
        "recipe": given(recipe),
        "channels": 1,
        "classes": CLASSES,
        "identity": {"dataset": "acdc", "variant": "plain"},
    }
    write_json(folder / "run.json", facts)
    jobs.predict(build, folder, cases=cases, out=folder / "predictions", device="cpu", threads=1)
    found = {}
    for selection in SELECTIONS:
        with np.load(folder / f"predictions/{selection}.npz") as file:
            found[selection] = dict(file)
    return found


def alike(one: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> bool:
    return one.keys() == other.keys() and all(np.array_equal(one[key], other[key]) for key in one)


def inodes(folder: Path) -> list[int]:
    return [(folder / f"predictions/{one}.npz").stat().st_ino for one in SELECTIONS]


@pytest.mark.parametrize("put", [lambda a, b: b.hardlink_to(a), shutil.copyfile])
def test_equal_weights_are_predicted_once(cases_folder, recipe, tmp_path, calls, put):
    """Also where the links are broken, as `cp -r` does."""
    seeds = {"last": 0, "best_val": 1, "best_test": 1}
    for selection in ("last", "best_val"):
        path = tmp_path / "cell" / f"{selection}.safetensors"
        checkpoint.save_weights(path, weights(recipe, seeds[selection]))
    put(tmp_path / "cell/best_val.safetensors", tmp_path / "cell/best_test.safetensors")
    found = predict(recipe, cases_folder, tmp_path / "cell")
    assert len(calls) == 2
    last, best_val, best_test = inodes(tmp_path / "cell")
    assert last != best_val == best_test
    # The same numbers as by three passes over weights of their own.
    for selection, seed in seeds.items():
        alone = tmp_path / selection
        for number, name in enumerate(SELECTIONS):
            other = seed if name == selection else 10 + number
            checkpoint.save_weights(alone / f"{name}.safetensors", weights(recipe, other))
        assert alike(found[selection], predict(recipe, cases_folder, alone)[selection])
    assert len(calls) == 2 + 3 * 3
    assert not alike(found["last"], found["best_val"])


def test_new_weights_of_one_selection_leave_the_others_predictions(
    cases_folder, recipe, tmp_path, calls
):
    first = tmp_path / "last.safetensors"
    checkpoint.save_weights(first, weights(recipe, 0))
    for selection in ("best_val", "best_test"):
        (tmp_path / f"{selection}.safetensors").hardlink_to(first)
    before = predict(recipe, cases_folder, tmp_path)
    assert (len(calls), len(set(inodes(tmp_path)))) == (1, 1)
    checkpoint.save_weights(tmp_path / "best_val.safetensors", weights(recipe, 1))
    after = predict(recipe, cases_folder, tmp_path)
    assert alike(before["last"], after["last"])
    assert alike(before["best_test"], after["best_test"])
    assert not alike(before["best_val"], after["best_val"])
    last, best_val, best_test = inodes(tmp_path)
    assert last == best_test != best_val
