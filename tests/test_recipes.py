"""Recipes: layers, what acts and what does not, and a text that is equal when the recipe is."""

from __future__ import annotations

from pathlib import Path

import pytest

import baselines
from salstm import config, recipes
from salstm.data import datasets
from salstm.vocabulary import cells

ROOT = Path(__file__).parent.parent


@pytest.fixture
def paper() -> dict:
    return config.checked(config.load(ROOT / "config.yaml"), baselines.names())


def test_salstm_on_mtunet_and_acdc_is_the_authors_release(paper):
    assert recipes.resolve(paper, "acdc", "mtunet", "salstm") == {
        "activation": "softmax",
        "attention_size": 7744,
        "augment": "rotflip",
        "auxiliary": False,
        "batch": 8,
        "border": "authors",
        "deterministic": False,
        "epochs": 200,
        "evaluate_every": 1,
        "frames": 3,
        "freeze_norm_after": None,
        "scales": None,
        "loss": {"name": "cross_entropy_dice", "cross_entropy": 0.5, "dice": 0.5},
        "normalise": None,
        "optimizer": {"name": "adam", "lr": 1e-4, "weight_decay": 1e-4},
        "precision": "float32",
        "pretrained": False,
        "schedule": {"name": "poly", "power": 0.9},
        "size": 224,
    }


def test_later_layers_win_and_a_new_name_replaces_the_old_parameters(paper):
    recipe = recipes.resolve(paper, "synapse", "transunet", "plain")
    assert recipe["optimizer"] == {"name": "sgd", "lr": 0.01, "momentum": 0.9, "weight_decay": 1e-4}
    assert (recipe["batch"], recipe["epochs"]) == (24, 150)
    paper["recipes"]["overrides"] = {"epochs": 2, "optimizer": {"lr": 0.5}}
    recipe = recipes.resolve(paper, "synapse", "transunet", "plain")
    assert recipe["epochs"] == 2
    assert recipe["optimizer"]["lr"] == 0.5
    assert recipe["optimizer"]["momentum"] == 0.9


def test_what_does_not_act_is_left_out(paper):
    plain = recipes.resolve(paper, "acdc", "mtunet", "plain")
    assert plain["frames"] == 1
    assert "attention_size" not in plain
    assert "border" not in plain
    control = recipes.resolve(paper, "acdc", "mtunet", "convlstm")
    assert control["border"] == "authors"
    assert "attention_size" not in control
    still = recipes.resolve(paper, "synapse", "mtunet", "salstm")
    assert still["frames"] == 1
    assert "border" not in still


def test_auxiliary_losses_do_not_apply_under_a_module(paper):
    assert recipes.resolve(paper, "synapse", "merit", "plain")["auxiliary"] is True
    assert recipes.resolve(paper, "synapse", "merit", "salstm")["auxiliary"] is False


def test_equal_recipes_give_equal_text_whatever_the_order():
    one, other = {"b": 1, "a": {"d": 2, "c": 3}}, {"a": {"c": 3, "d": 2}, "b": 1}
    assert recipes.dump(one) == recipes.dump(other) == '{"a":{"c":3,"d":2},"b":1}'
    assert recipes.digest(one) == recipes.digest(other) != recipes.digest({"a": 1})


def test_every_cell_of_the_paper_has_a_size_that_its_network_takes(paper):
    for dataset, baseline, variant, _ in cells(paper):
        recipe = recipes.resolve(paper, dataset, baseline, variant)
        baselines.check_size(baseline, recipe["size"], recipe["size"])
        if recipe["pretrained"]:
            assert baselines.card(baseline)["weights"]["file"]
        if recipe["auxiliary"]:
            assert baselines.card(baseline)["auxiliary"]["outputs"]
        assert recipe["activation"] == "softmax" or datasets.DATASETS[dataset].binary


def test_scales_belong_to_the_size_that_they_were_given_with(paper):
    assert recipes.resolve(paper, "cvc_clinicdb", "hardnet_dfus", "plain")["scales"][0] == 256
    paper["recipes"]["overrides"] = {"size": 64}
    assert recipes.resolve(paper, "cvc_clinicdb", "hardnet_dfus", "plain")["scales"] is None
    paper["recipes"]["overrides"] = {"size": 64, "scales": [64, 128]}
    assert recipes.resolve(paper, "cvc_clinicdb", "hardnet_dfus", "plain")["scales"] == [64, 128]
