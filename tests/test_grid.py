"""Every cell of the paper's grid trains two steps on phantoms: its network, variant, loss, schedule and augmentation.

Sizes and batches are the smallest that the networks take; everything else is the recipe of config.yaml.
"""

from __future__ import annotations

import math
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch

import baselines
from salstm import config, recipes
from salstm.data import datasets
from salstm.data.phantoms import PHANTOMS
from salstm.data.store import Store
from salstm.training import trainer
from salstm.training.model import assemble
from salstm.vocabulary import cells

ROOT = Path(__file__).parent.parent
PAPER = config.checked(config.load(ROOT / "config.yaml"), baselines.names())
CELLS = sorted({c[:3] for c in cells(PAPER)})
SMALL = {
    "synapse": {"volumes": 3, "seed": 0, "size": [48, 52], "slices": [6, 6]},
    "acdc": {"patients": 3, "seed": 0, "size": [32, 36], "slices": [4, 4]},
    "isic2018": {"images": 12, "seed": 0, "size": [40, 48]},
    "cvc_clinicdb": {"sequences": 4, "frames": 5, "seed": 0, "size": [48, 56]},
}


@pytest.fixture(scope="session")
def stores(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Store]:
    """One small prepared phantom of each dataset."""
    split = {"name": "groups", "validation": 0.3, "test": 0.3, "seed": 0}
    found = {}
    for name, parameters in SMALL.items():
        root = tmp_path_factory.mktemp(name)
        PHANTOMS[name](root / "raw", **parameters)
        datasets.prepare(name, root / "raw", root / "cases", split=split, size=64)
        found[name] = Store(root / "cases")
    return found


def test_the_grid_is_whole():
    assert len(CELLS) == 60
    beside = {"nnunet"}  # a row that the paper does not have
    assert {baseline for _, baseline, _ in CELLS} == set(baselines.names()) - beside


@pytest.mark.extended
@pytest.mark.parametrize(("dataset", "baseline", "variant"), CELLS)
def test_a_cell_trains_two_steps(stores, tmp_path, dataset, baseline, variant):
    facts = datasets.DATASETS[dataset]
    recipe = recipes.resolve(PAPER, dataset, baseline, variant)
    recipe = replace(
        recipe,
        size=baselines.card(baseline)["input"]["test_size"],
        batch=2,
        pretrained=False,
        scales=None,
        # In float16 the scaler skips the first steps, until its scale fits, and a CPU is slow: tests/fidelity has it.
        precision="float32",
    )
    store = stores[dataset]
    model = assemble(
        partial(baselines.build, baseline),
        recipe,
        variant=variant,
        channels=facts.channels,
        classes=len(facts.classes),
        seed=0,
    )
    setting = trainer.Setting(
        recipe=recipe,
        seed=0,
        classes=facts.classes,
        key="test",
        folder=tmp_path,
        device=torch.device("cpu"),
        inner_test=facts.frames == 3,
    )
    training = trainer.Trainer(model, store, setting)
    training.state.epoch = 1  # SSFormer's first epoch runs at rate 0
    before = [parameter.detach().clone() for parameter in model.parameters()]
    batches = training.loader.epoch(1)
    training._set_mode(0)
    for _ in range(2):
        assert training._set_rate() > 0
        assert math.isfinite(training._step(next(batches)))
    # After a warm-up from a small rate a weight of 1 may not move by a float's last digit; its gradient is there.
    assert all(parameter.grad is not None for parameter in model.parameters())
    assert sum(not torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True)) > 10
