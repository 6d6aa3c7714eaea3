"""Recipes: layers, what acts and what does not, what no training would accept, and a text that names the weights."""

from __future__ import annotations

import csv
import dataclasses
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import baselines
from salstm import config, limits, recipes
from salstm.parameters import Choice
from salstm.recipes import RecipeError
from salstm.vocabulary import cells

ROOT = Path(__file__).parent.parent
SMALL = ("config.demo.yaml", "config.small.yaml", "config.frames.yaml")


@pytest.fixture
def paper() -> dict:
    return checked(config.load(ROOT / "config.yaml"))


NOTHING: dict[str, list[str]] = {"synapse": [], "acdc": [], "isic2018": [], "cvc_clinicdb": []}


def checked(settings: dict) -> dict:
    return config.checked(settings, baselines.names(), baselines.problems)


def laid(over: dict[str, Any]) -> dict:
    """config.yaml with something laid over it, not checked."""
    return config.merge(config.load(ROOT / "config.yaml"), over)


def resolved(settings: dict, dataset: str, baseline: str, variant: str) -> dict[str, Any]:
    return recipes.given(recipes.resolve(settings, dataset, baseline, variant))


def test_salstm_on_mtunet_and_acdc_is_the_authors_release(paper):
    assert resolved(paper, "acdc", "mtunet", "salstm") == {
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


def test_the_texts_of_the_papers_cells_are_those_that_name_the_weights_there_are(paper):
    """A digest ties weights and checkpoints to their recipe: where one changes, what was trained is set aside."""
    with (ROOT / "tests/recipe_digests.csv").open(encoding="utf-8", newline="") as file:
        expected = {tuple(row.values())[:3]: row["digest"] for row in csv.DictReader(file)}
    names = {(one.dataset, one.baseline, one.variant) for one in cells(paper)}
    assert {name: recipes.digest(recipes.resolve(paper, *name)) for name in names} == expected


@pytest.mark.parametrize("name", [None, *SMALL])
def test_a_recipe_is_its_text(name):
    settings = checked(laid(config.load(ROOT / name) if name else {}))
    for cell in cells({**settings, "variants": ["plain", "salstm", "convlstm"]}):
        recipe = recipes.resolve(settings, cell.dataset, cell.baseline, cell.variant)
        text = recipes.dump(recipe)
        again = recipes.load(json.loads(text))
        assert again == recipe
        assert recipes.dump(again) == text


def test_later_layers_win_and_a_new_name_replaces_the_old_parameters(paper):
    recipe = recipes.resolve(paper, "synapse", "transunet", "plain")
    momentum = {"lr": 0.01, "momentum": 0.9, "weight_decay": 1e-4}
    assert recipe.optimizer == Choice("sgd", momentum)
    assert (recipe.batch, recipe.epochs, recipe.iterations) == (24, None, 13950)
    paper["recipes"]["overrides"] = {"epochs": 2, "optimizer": {"lr": 0.5}}
    recipe = recipes.resolve(paper, "synapse", "transunet", "plain")
    assert (recipe.epochs, recipe.iterations) == (2, None), "what is given last says how long"
    assert recipe.rate == 0.5
    assert recipe.optimizer.parameters["momentum"] == 0.9


def test_what_does_not_act_is_left_out(paper):
    plain = resolved(paper, "acdc", "mtunet", "plain")
    assert plain["frames"] == 1
    assert "attention_size" not in plain
    assert "border" not in plain
    control = resolved(paper, "acdc", "mtunet", "convlstm")
    assert control["border"] == "authors"
    assert "attention_size" not in control
    still = resolved(paper, "synapse", "mtunet", "salstm")
    assert still["frames"] == 1
    assert "border" not in still


def test_auxiliary_losses_do_not_apply_under_a_module(paper):
    assert recipes.resolve(paper, "synapse", "merit", "plain").auxiliary is True
    assert recipes.resolve(paper, "synapse", "merit", "salstm").auxiliary is False


def test_equal_recipes_give_equal_text_whatever_the_order(recipe):
    text = recipes.given(recipe)
    turned = recipes.load(dict(reversed(text.items())))
    assert recipes.dump(turned) == recipes.dump(recipe)
    assert recipes.dump({"b": 1, "a": {"d": 2, "c": 3}}) == '{"a":{"c":3,"d":2},"b":1}'
    other = dataclasses.replace(recipe, epochs=3)
    assert recipes.digest(recipe) == recipes.digest(turned) != recipes.digest(other)


def test_the_wiring_acts_where_a_recurrent_module_sees_one_frame(paper):
    paper["recipes"]["defaults"]["wiring"] = "patches"
    found = {
        (dataset, variant): recipes.resolve(paper, dataset, "mtunet", variant).wiring
        for dataset in ("synapse", "acdc")
        for variant in ("plain", "salstm", "lstmsa", "stack", "convlstm")
    }
    acts = {key for key, value in found.items() if value}
    assert acts == {("synapse", one) for one in ("salstm", "lstmsa", "convlstm")}


def test_a_reduced_run_with_the_constant_scale_says_that_its_attention_is_flatter():
    small = {"grid": {**NOTHING, "acdc": ["mtunet"]}, "recipes": {"overrides": {"size": 64}}}
    found = limits.reasons(checked(laid(small)), checked(laid({})))
    assert found[-1] == (
        "flatter attention than in config.yaml: acdc/mtunet scores 1/12 (attention_size: released keeps them)"
    )
    small["recipes"]["overrides"]["attention_size"] = "released"  # type: ignore[index]
    assert not any(
        "attention" in one for one in limits.reasons(checked(laid(small)), checked(laid({})))
    )


def test_a_reduced_run_in_epochs_is_told_from_one_in_iterations():
    small = {"grid": {**NOTHING, "synapse": ["mtunet"]}, "recipes": {"overrides": {"epochs": 3}}}
    found = limits.reasons(checked(laid(small)), checked(laid({})))
    assert found == [
        "shorter trainings than in config.yaml: synapse/mtunet 453 of 18500 iterations"
    ]
    small["recipes"]["overrides"] = {"iterations": 18499}
    found = limits.reasons(checked(laid(small)), checked(laid({})))
    assert found == ["fewer iterations than in config.yaml: synapse/mtunet 18499 of 18500"]


def test_scales_belong_to_the_size_that_they_were_given_with(paper):
    cell = ("cvc_clinicdb", "hardnet_dfus", "plain")
    assert recipes.resolve(paper, *cell).scales == (256, 320, 320, 384, 384, 448)
    paper["recipes"]["overrides"] = {"size": 64}
    assert recipes.resolve(paper, *cell).scales is None
    paper["recipes"]["overrides"] = {"size": 64, "scales": [64, 128]}
    assert recipes.resolve(paper, *cell).scales == (64, 128)


def test_the_side_of_training_windows_belongs_to_the_size_it_was_given_with(paper):
    cell = ("cvc_clinicdb", "fanet", "plain")
    recipe = recipes.resolve(paper, *cell)
    assert (recipe.size, recipe.side) == (352, 264)
    paper["recipes"]["overrides"] = {"size": 64}
    recipe = recipes.resolve(paper, *cell)
    assert (recipe.size, recipe.side, recipe.train_size) == (64, 64, None)


@pytest.mark.parametrize(
    ("frames", "batch", "drop_last", "batches"),
    [
        (16, 8, None, 2),
        (17, 8, None, 2),  # of a single item there are no batch statistics
        (18, 8, None, 3),
        (18, 8, True, 2),
        (18, 8, False, 3),
        (7, 8, True, 1),  # fewer than a batch are one step
        (1, 8, None, 1),
        (3, 1, None, 3),
        # The authors' own counts: DCSAU-Net on ISIC2018, FCBFormer on CVC-ClinicDB.
        (1868, 16, True, 116),
        (490, 16, True, 30),
    ],
)
def test_steps_of_an_epoch(recipe, frames, batch, drop_last, batches):
    recipe = dataclasses.replace(recipe, batch=batch, drop_last=drop_last)
    assert recipe.batches(frames) == batches


def test_iterations_do_not_depend_on_the_frames_and_epochs_do(recipe):
    recipe = dataclasses.replace(recipe, epochs=None, iterations=13950, batch=24)
    assert recipe.length(2211) == (150, 13950)  # TransUNet's 18 volumes of Synapse
    assert recipe.length(1824) == (184, 13950)  # 15 of them; the last epoch is cut
    recipe = dataclasses.replace(recipe, epochs=150, iterations=None)
    assert recipe.length(2211) == (150, 13950)
    assert recipe.length(1824) == (150, 11400)


NETWORKS = "recipes.networks"
REFUSED = {
    "a parameter of another loss": (
        {"isic2018": {"unet": {"loss": {"name": "soft_dice", "kernel": 3}}}},
        r"recipes\.grid\.isic2018\.unet\.loss\.kernel: loss soft_dice, parameter 'kernel': unknown",
    ),
    "a parameter of another optimizer": (
        {"isic2018": {"unet": {"optimizer": {"name": "adam", "lr": 0.1, "momentum": 0.9}}}},
        r"unet\.optimizer\.momentum: optimizer adam, parameter 'momentum': unknown\. Available: lr, weight",
    ),
    "a parameter that is missing": (
        {"isic2018": {"unet": {"loss": {"name": "structure"}}}},
        r"recipes\.grid\.isic2018\.unet\.loss: loss structure needs kernel",
    ),
    "a parameter of another schedule, where the name stands in an earlier layer": (
        {"isic2018": {"unet": {"schedule": {"power": 0.9}}}},
        r"unet\.schedule\.power: schedule step, parameter 'power': unknown\. .*every, gamma, min_lr",
    ),
    "an even kernel": (
        {"cvc_clinicdb": {"esfpnet": {"loss": {"kernel": 14}}}},
        r"esfpnet\.loss\.kernel: 14 does not fit\. An odd number of pixels",
    ),
    "several sizes under softmax": (
        {"acdc": {"mtunet": {"scales": [224, 256]}}},
        r"recipes\.grid\.acdc\.mtunet\.scales: they make soft masks, which softmax does not take",
    ),
    "how long to train, twice": (
        {"acdc": {"mtunet": {"epochs": 3, "iterations": 100}}},
        r"recipes\.grid\.acdc\.mtunet\.iterations: found epochs 3 and iterations 100, one of the two",
    ),
    "a side for training beside several scales": (
        {"cvc_clinicdb": {"hardnet_dfus": {"train_size": 320}}},
        r"hardnet_dfus\.train_size: a batch has one of the scales already",
    ),
    "a side for training that the network does not take": (
        {"cvc_clinicdb": {"fanet": {"train_size": 261}}},
        r"fanet\.train_size: fanet: input of 261x261 pixels; .* multiples of 8",
    ),
    "a side for training of a network that is built for one": (
        {"acdc": {"mtunet": {"train_size": 192}}},
        r"acdc\.mtunet\.train_size: mtunet is built for one size; leave it out",
    ),
    "patches that do not fill the map": (
        {"synapse": {"daeformer": {"size": 240, "wiring": "patches"}}},
        r"synapse\.daeformer\.wiring: patches of 32 pixels do not fill sides of 240; use frames",
    ),
    "sigmoid for several classes": (
        {"acdc": {"mtunet": {"activation": "sigmoid", "loss": {"name": "bce"}}}},
        r"acdc\.mtunet\.activation: sigmoid is for one class, acdc has 3; use softmax",
    ),
    "a loss of the other activation": (
        {"acdc": {"mtunet": {"loss": {"name": "soft_dice"}}}},
        r"acdc\.mtunet\.loss\.name: soft_dice is not for outputs under activation softmax",
    ),
    "one item under batch norms of 1x1 maps": (
        {"isic2018": {"dcsaunet": {"batch": 1}}},
        r"isic2018\.dcsaunet\.batch: a batch of 1 passes dcsaunet in pieces of 1, .* need 2 items",
    ),
    "a mean for colours on grey frames": (
        {"acdc": {"mtunet": {"normalise": {"mean": [0.4, 0.5, 0.6], "std": [0.2]}}}},
        r"mtunet\.normalise\.mean: 3 values for frames of acdc, which have 1 channel: 1 is allowed",
    ),
    "two deviations": (
        {"isic2018": {"unet": {"normalise": {"mean": [0.5], "std": [0.2, 0.3]}}}},
        r"unet\.normalise\.std: 2 values for frames of isic2018, which have 3 channels",
    ),
    "an unknown augmentation": (
        {"acdc": {"mtunet": {"augment": "rotflop"}}},
        r"mtunet\.augment: 'rotflop' is not allowed, did you mean rotflip\?",
    ),
    "a size that the network does not take": (
        {"acdc": {"mtunet": {"size": 100}}},
        r"recipes\.grid\.acdc\.mtunet\.size: mtunet: input of 100x100 pixels; .* multiples of 32",
    ),
    "auxiliary outputs that are not there": (
        {"isic2018": {"unet": {"auxiliary": True}}},
        r"isic2018\.unet\.auxiliary: unet has no auxiliary outputs",
    ),
    "weights that nobody published": (
        {"isic2018": {"unet": {"pretrained": True}}},
        r"isic2018\.unet\.pretrained: unet has no published backbone weights",
    ),
    "an unknown parameter": (
        {"cvc_clinicdb": {"esfpnet": {"loss": {"kernle": 15}}}},
        r"recipes\.grid\.cvc_clinicdb\.esfpnet\.loss: unknown key 'kernle', did you mean kernel\?",
    ),
}


@pytest.mark.parametrize(("layer", "message"), REFUSED.values(), ids=REFUSED.keys())
def test_what_no_training_accepts_is_refused_with_its_place(layer, message):
    with pytest.raises(config.ConfigError, match=message):
        checked(laid({"recipes": {"grid": layer}}))


def test_the_place_is_that_of_the_layer_that_gives_the_key():
    loss = {"loss": {"name": "soft_dice", "kernel": 3}}
    for layer, place in (
        ({"overrides": loss}, r"recipes\.overrides\.loss\.kernel"),
        ({"networks": {"unet": loss}}, r"recipes\.networks\.unet\.loss\.kernel"),
        # config.yaml's own datasets.isic2018.loss is soft_dice: a file laid over it adds the parameter.
        ({"datasets": {"isic2018": {"loss": {"kernel": 3}}}}, r"recipes\.datasets\.isic2018\.loss"),
    ):
        with pytest.raises(config.ConfigError, match=place):
            checked(laid({"recipes": layer}))


def test_pieces_of_a_batch_that_leave_one_item_are_the_machines_fault(paper):
    three = {"grid": {"isic2018": {"dcsaunet": {"batch": 3}}}}
    with pytest.raises(
        config.ConfigError, match=r"machine\.micro_batch: a batch of 3 .*pieces of 2, 1"
    ):
        checked(laid({"machine": {"micro_batch": 2}, "recipes": three}))
    checked(laid({"machine": {"micro_batch": 3}, "recipes": three}))
    with pytest.raises(config.ConfigError, match=r"machine\.micro_batch: a batch of 16 passes fan"):
        checked(laid({"machine": {"micro_batch": 1}}))


def test_pieces_are_as_even_as_can_be():
    assert recipes.pieces(8, None) == [8]
    assert recipes.pieces(8, 4) == [4, 4]
    assert recipes.pieces(8, 3) == [3, 3, 2]
    assert recipes.pieces(9, 4) == [3, 3, 3]
    assert recipes.pieces(3, 2) == [2, 1]
    for count in range(1, 40):
        for most in range(1, 40):
            parts = recipes.pieces(count, most)
            assert sum(parts) == count
            assert max(parts) <= most
            assert 1 not in parts or count == 1 or most == 1 or (most == 2 and count % 2)


def test_a_text_of_a_training_is_checked_alike(recipe):
    text = recipes.given(recipe)
    for change, message in (
        ({"loss": {"name": "soft_dice", "kernel": 3}}, r"recipe\.loss\.kernel: loss soft_dice"),
        ({"loss": {"name": "soft_dyce"}}, r"recipe\.loss\.name: 'soft_dyce' is not allowed, did"),
        ({"epochs": 0}, r"recipe\.epochs: 0 is less than the minimum of 1"),
        ({"border": None}, r"recipe\.border: None is not allowed"),
        ({"epoch": 3}, r"recipe: unknown key 'epoch', did you mean epochs\?"),
        ({"scales": [32]}, r"recipe\.scales: they make soft masks"),
    ):
        with pytest.raises(RecipeError, match=message):
            recipes.load({**text, **change})
    with pytest.raises(RecipeError, match=r"recipe: 'batch' is a required property"):
        recipes.load({key: value for key, value in text.items() if key != "batch"})
    with pytest.raises(RecipeError, match=r"recipe: found neither epochs nor iterations, one"):
        recipes.load({key: value for key, value in text.items() if key != "epochs"})
    with pytest.raises(RecipeError, match=r"iterations: found epochs 2 and iterations 9, one of"):
        recipes.load({**text, "iterations": 9})
    with pytest.raises(RecipeError, match="softmax does not take"):
        dataclasses.replace(recipe, scales=(32,))


def test_texts_are_read_as_the_numbers_that_are_wanted():
    """`snakemake --config` makes texts of what is nested, and YAML of 1e-3."""
    over = {
        "epochs": "3",
        "optimizer": {"name": "adam", "lr": "1e-3", "weight_decay": "0"},
        "deterministic": "true",
        "freeze_norm_after": "null",
        "attention_size": "49.5",
        "normalise": {"mean": ["0.5"], "std": ["0.25"]},
    }
    found = resolved(checked(laid({"recipes": {"overrides": over}})), "acdc", "mtunet", "salstm")
    assert found["optimizer"] == {"name": "adam", "lr": 1e-3, "weight_decay": 0}
    assert (found["epochs"], found["deterministic"], found["attention_size"]) == (3, True, 49.5)
    assert found["freeze_norm_after"] is None
    assert found["normalise"] == {"mean": (0.5,), "std": (0.25,)}
    for wrong in ("1e-", "nan", "inf"):
        with pytest.raises(config.ConfigError, match="is not of type 'number'"):
            checked(laid({"recipes": {"overrides": {"optimizer": {"lr": wrong}}}}))


def test_a_plan_is_refused_by_snakemake_itself(tmp_path):
    own = tmp_path / "own.yaml"
    own.write_text("recipes: { networks: { unet: { loss: { name: soft_dice, kernel: 3 } } } }\n")
    command = ["snakemake", "-n", "--quiet", "--cores", "1", "--configfile", str(own)]
    result = subprocess.run(
        [sys.executable, "-m", *command], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert result.returncode == 1
    assert "recipes.networks.unet.loss.kernel: loss soft_dice, parameter 'kernel'" in result.stdout
