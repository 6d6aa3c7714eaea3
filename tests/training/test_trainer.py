"""Training: resumes bitwise, fails with a reason, selects, and keeps the effective batch when memory is short."""

from __future__ import annotations

import dataclasses
import itertools
import math
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from salstm.cost import estimate
from salstm.data.frame_counts import Amounts
from salstm.data.store import Store
from salstm.modules.wrapper import Attached
from salstm.optimisation import optimizers
from salstm.parameters import Choice
from salstm.recipes import Recipe
from salstm.training import checkpoint, trainer
from salstm.training.machine import Machine
from salstm.training.model import assemble

CLASSES = ("RV", "MYO", "LV")


class Small(nn.Module):
    """A network of two convolutions with batch norm and dropout: everything that carries state."""

    def __init__(self, in_channels: int, out_channels: int, image_size: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(in_channels, 8, 3, padding=1),
            nn.BatchNorm2d(8),
            nn.ReLU(),
            nn.Dropout(0.1),
            nn.Conv2d(8, out_channels, 1),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layers(x)


def setting(recipe: Recipe, folder: Path, *, seed: int = 0, key: str = "k") -> trainer.Setting:
    return trainer.Setting(
        recipe=recipe,
        seed=seed,
        classes=CLASSES,
        key=key,
        folder=folder,
        device=torch.device("cpu"),
        inner_test=True,
    )


def model(recipe: Recipe, variant: str = "plain", seed: int = 0, network: Any = Small):
    return assemble(network, recipe, variant=variant, channels=1, classes=3, seed=seed)


def run(
    cases: Path, recipe: Recipe, folder: Path, *, seed: int = 0, variant: str = "plain"
) -> trainer.State:
    return trainer.train(
        model(recipe, variant, seed), Store(cases), setting(recipe, folder, seed=seed)
    )


def first(network: nn.Module) -> torch.Tensor:
    return network.get_parameter("network.layers.0.weight")


def weights(folder: Path, selection: str = "last") -> dict[str, torch.Tensor]:
    return load_file(folder / f"{selection}.safetensors")


def equal(one: dict, other: dict) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[key], other[key]) for key in one)


class Stop(BaseException):
    """A kill in mid-epoch, as far as the trainer can tell."""


@pytest.mark.parametrize("variant", ["plain", pytest.param("salstm", marks=pytest.mark.extended)])
def test_a_run_stopped_in_mid_epoch_ends_with_the_weights_of_an_undisturbed_one(
    cases_folder, recipe, tmp_path, monkeypatch, variant
):
    recipe = replace(recipe, epochs=3)
    run(cases_folder, recipe, tmp_path / "whole", variant=variant)
    steps = 0
    original = trainer.Trainer._step

    def dying(self, batch):
        nonlocal steps
        steps += 1
        if steps == self.loader.batches * 2 - 1:  # in the second epoch
            raise Stop
        return original(self, batch)

    monkeypatch.setattr(trainer.Trainer, "_step", dying)
    with pytest.raises(Stop):
        run(cases_folder, recipe, tmp_path / "cut", variant=variant)
    monkeypatch.undo()
    assert not (tmp_path / "cut" / "last.safetensors").exists()
    torch.manual_seed(99)  # whatever the process did before
    run(cases_folder, recipe, tmp_path / "cut", variant=variant)
    for selection in trainer.SELECTIONS:
        assert equal(weights(tmp_path / "whole", selection), weights(tmp_path / "cut", selection))
    curves = [
        pd.read_csv(tmp_path / name / "history.csv").drop(columns=["seconds", "evaluation_seconds"])
        for name in ("whole", "cut")
    ]
    pd.testing.assert_frame_equal(curves[0], curves[1])


def test_seeds_change_everything_and_the_same_seed_nothing(cases_folder, recipe, tmp_path):
    recipe = replace(recipe, epochs=1)
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        run(cases_folder, recipe, tmp_path / name, seed=seed)
    assert equal(weights(tmp_path / "a"), weights(tmp_path / "b"))
    assert not equal(weights(tmp_path / "a"), weights(tmp_path / "c"))


@pytest.mark.parametrize("workers", [0, 2])
def test_a_training_of_iterations_stops_at_the_step_and_the_schedule_ends_there(
    cases_folder, recipe, tmp_path, workers
):
    recipe = replace(recipe, epochs=None, iterations=5, batch=16, evaluate_every=9)
    frames = sum(case.depth for case in Store(cases_folder).split("train"))
    steps = recipe.batches(frames)
    assert 5 % steps, "the last epoch is cut"
    chosen = replace(setting(recipe, tmp_path), machine=Machine(workers=workers))
    state = trainer.train(model(recipe), Store(cases_folder), chosen)
    assert (state.iteration, state.epoch) == (5, -(-5 // steps))
    curve = pd.read_csv(tmp_path / "history.csv")
    assert curve["iteration"].tolist() == [*range(steps, 5, steps), 5]
    # Poly, one step late: step 4 runs at the rate after three of five.
    assert curve["lr"].iloc[-1] == pytest.approx(1e-3 * (1 - 3 / 5) ** 0.9)
    assert curve["test_dice"].notna().tolist() == [False] * (len(curve) - 1) + [True]


def test_a_cut_training_that_was_stopped_ends_with_the_weights_of_an_undisturbed_one(
    cases_folder, recipe, tmp_path, monkeypatch
):
    recipe = replace(recipe, epochs=None, iterations=5, batch=16)
    run(cases_folder, recipe, tmp_path / "whole")
    taken, original = itertools.count(), trainer.Trainer._step

    def dying(self, batch):
        if next(taken) == 4:
            raise Stop
        return original(self, batch)

    monkeypatch.setattr(trainer.Trainer, "_step", dying)
    with pytest.raises(Stop):
        run(cases_folder, recipe, tmp_path / "cut")
    monkeypatch.undo()
    run(cases_folder, recipe, tmp_path / "cut")
    assert equal(weights(tmp_path / "whole"), weights(tmp_path / "cut"))


@pytest.mark.parametrize("drop_last", [None, True])
def test_a_last_batch_joins_a_step_unless_it_is_dropped(cases_folder, recipe, tmp_path, drop_last):
    store = Store(cases_folder)
    frames = sum(case.depth for case in store.split("train"))
    recipe = replace(recipe, epochs=1, batch=frames - 2, drop_last=drop_last)
    made = trainer.Trainer(model(recipe), store, setting(recipe, tmp_path))
    sizes = [len(batch["label"]) for batch in made.loader.epoch(0)]
    assert sizes == [frames - 2] if drop_last else sizes == [frames - 2, 2]


def test_workers_change_nothing(cases_folder, recipe, tmp_path):
    recipe = replace(recipe, epochs=2)  # the loader's processes outlive the first
    run(cases_folder, recipe, tmp_path / "none")
    two = dataclasses.replace(setting(recipe, tmp_path / "two"), machine=Machine(workers=2))
    trainer.train(model(recipe), Store(cases_folder), two)
    assert equal(weights(tmp_path / "none"), weights(tmp_path / "two"))


def test_a_checkpoint_of_another_recipe_is_set_aside(cases_folder, recipe, tmp_path, caplog):
    scratch = tmp_path / "checkpoint"
    checkpoint.save(scratch / "state.pt", {"model": {}}, "other")
    recipe = replace(recipe, epochs=1)
    run(cases_folder, recipe, tmp_path)
    assert "belongs to another recipe or data (other, this one is k)" in caplog.text
    assert (scratch / "state.pt.set-aside").is_file()
    assert weights(tmp_path)


def test_a_damaged_checkpoint_is_set_aside(cases_folder, recipe, tmp_path, caplog):
    (tmp_path / "checkpoint").mkdir()
    (tmp_path / "checkpoint" / "state.pt").write_bytes(b"PK\x03\x04 cut short")
    recipe = replace(recipe, epochs=1)
    run(cases_folder, recipe, tmp_path)
    assert "cannot be read" in caplog.text
    assert weights(tmp_path)


def test_a_loss_that_is_not_finite_stops_with_the_cases_of_the_batch(
    cases_folder, recipe, tmp_path
):
    class Broken(Small):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return super().forward(x) * math.nan

    broken = model(recipe, network=Broken)
    with pytest.raises(
        trainer.TrainingError,
        match=r"epoch 1, iteration 1: the loss is nan; cases .*patient00\d_E",
    ):
        trainer.train(broken, Store(cases_folder), setting(recipe, tmp_path))
    assert not (tmp_path / "last.safetensors").exists()


def test_out_of_memory_halves_what_passes_at_once_and_keeps_the_batch(
    cases_folder, recipe, tmp_path, caplog
):
    class Hungry(Small):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            if len(x) > 2 and self.training:
                raise torch.OutOfMemoryError("fake")
            return super().forward(x)

    recipe = replace(recipe, epochs=1)
    state = trainer.train(
        model(recipe, network=Hungry), Store(cases_folder), setting(recipe, tmp_path)
    )
    assert state.micro_batch == 2
    assert "2 items at a time from now on, the batch stays 8" in caplog.text
    frames = sum(case.depth for case in Store(cases_folder).split("train"))
    assert state.iteration == math.ceil(frames / 8) - (frames % 8 == 1)


@pytest.mark.extended
def test_out_of_memory_first_takes_what_changes_no_number(
    cases_folder, recipe, tmp_path, caplog, monkeypatch
):
    run(cases_folder, recipe, tmp_path / "undisturbed", variant="salstm")
    passes = Attached._pass

    def hungry(self, frames: torch.Tensor) -> Any:
        outputs = passes(self, frames)
        if self.training and not self.recompute:
            raise torch.OutOfMemoryError("fake, after dropout was drawn and statistics have moved")
        return outputs

    monkeypatch.setattr(Attached, "_pass", hungry)
    state = run(cases_folder, recipe, tmp_path / "short", variant="salstm")
    assert state.micro_batch == 8
    assert caplog.text.count("activations are computed again from now on") == 1
    assert equal(weights(tmp_path / "undisturbed"), weights(tmp_path / "short"))


@pytest.mark.extended
def test_out_of_memory_halves_where_computing_again_was_not_enough(
    cases_folder, recipe, tmp_path, caplog, monkeypatch
):
    passes = Attached._pass

    def hungry(self, frames: torch.Tensor) -> Any:
        if self.training and not (self.recompute and len(frames) <= 2):
            raise torch.OutOfMemoryError("fake")
        return passes(self, frames)

    monkeypatch.setattr(Attached, "_pass", hungry)
    state = run(cases_folder, replace(recipe, epochs=1), tmp_path, variant="lstmsa")
    assert state.micro_batch == 2
    assert caplog.text.index("computed again") < caplog.text.index("4 items at a time")


def test_out_of_memory_with_one_item_ends_clearly(cases_folder, recipe, tmp_path):
    class Starved(Small):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            raise torch.OutOfMemoryError("fake")

    with pytest.raises(
        trainer.TrainingError, match="out of memory on cpu with a single item of 32 pixels"
    ):
        trainer.train(
            model(recipe, network=Starved), Store(cases_folder), setting(recipe, tmp_path)
        )


class Pooled(Small):
    """With a batch norm of 1x1 maps, as DCSAU-Net and FANet have."""

    def __init__(self, in_channels: int, out_channels: int, image_size: int) -> None:
        super().__init__(in_channels, out_channels, image_size)
        self.gate = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.BatchNorm2d(out_channels))
        self.passes: list[int] = []

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.training:
            self.passes.append(len(x))
        logits = super().forward(x)
        return logits + self.gate(logits)


@pytest.mark.parametrize(("batch", "micro_batch"), [(3, 2), (5, 2), (8, 1)])
def test_a_single_item_under_a_batch_norm_of_1x1_maps_is_refused_by_name(
    cases_folder, recipe, tmp_path, batch, micro_batch
):
    with pytest.raises(
        trainer.TrainingError,
        match=rf"epoch 1, iteration \d+: a single item .* The recipe's batch is {batch}, of which {micro_batch} pass",
    ):
        on(
            Machine(micro_batch=micro_batch),
            replace(recipe, batch=batch),
            cases_folder,
            tmp_path,
            Pooled,
        )


def test_pieces_are_split_evenly_so_that_none_is_left_over(cases_folder, recipe, tmp_path):
    network = model(recipe := replace(recipe, batch=9, epochs=1), network=Pooled)
    here = replace(setting(recipe, tmp_path), machine=Machine(micro_batch=4))
    trainer.train(network, Store(cases_folder), here)
    assert isinstance(network.network, Pooled)
    assert network.network.passes[:3] == [3, 3, 3]
    assert 1 not in network.network.passes


def test_halving_leaves_no_single_item_where_two_fit(cases_folder, recipe, tmp_path):
    class Hungry(Pooled):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            if len(x) > 2 and self.training:
                raise torch.OutOfMemoryError("fake")
            return super().forward(x)

    state = on(Machine(), replace(recipe, batch=6, epochs=1), cases_folder, tmp_path, Hungry)
    assert state.micro_batch == 2


def test_accumulated_gradients_are_those_of_the_whole_batch(cases_folder, recipe, tmp_path):
    # Without batch norm and with a loss that is a mean over pixels, micro-batches change nothing.
    recipe = replace(
        recipe,
        loss=Choice.of({"name": "cross_entropy_dice", "cross_entropy": 1.0, "dice": 0.0}),
        frames=1,
    )
    results = []
    for micro in (8, 3):
        network = model(recipe, network=lambda **k: nn.Conv2d(1, 4, 3, padding=1))
        here = dataclasses.replace(setting(recipe, tmp_path), machine=Machine(micro_batch=micro))
        training = trainer.Trainer(network, Store(cases_folder), here)
        training._step(next(training.loader.epoch(0)))
        results.append([p.grad.clone() for p in network.parameters() if p.grad is not None])
    assert all(
        torch.allclose(one, two, rtol=1e-4, atol=1e-6) for one, two in zip(*results, strict=True)
    )


def test_the_best_epochs_are_those_of_the_curve(cases_folder, recipe, tmp_path):
    recipe = replace(recipe, epochs=4)
    state = run(cases_folder, recipe, tmp_path)
    curve = pd.read_csv(tmp_path / "history.csv")
    for selection, column in (("best_val", "val_dice"), ("best_test", "test_dice")):
        best = state.best[selection]
        assert best["score"] == curve[column].max()
        assert best["epoch"] == curve["epoch"][curve[column].idxmax()]


def scored(monkeypatch, val: list[float], test: list[float]) -> None:
    """Evaluations that give these scores, epoch by epoch."""
    scores = {"val": iter(val), "test": iter(test)}
    monkeypatch.setattr(trainer.Trainer, "_score", lambda self, cases, split: next(scores[split]))


@pytest.mark.parametrize(
    ("val", "test", "epochs"),
    [
        ([0.1, 0.2, 0.3], [0.1, 0.2, 0.3], {"last": 3, "best_val": 3, "best_test": 3}),
        ([0.1, 0.3, 0.2], [0.1, 0.3, 0.2], {"last": 3, "best_val": 2, "best_test": 2}),
        ([0.1, 0.3, 0.2], [0.1, 0.2, 0.3], {"last": 3, "best_val": 2, "best_test": 3}),
        ([0.3, 0.2, 0.1], [0.1, 0.3, 0.2], {"last": 3, "best_val": 1, "best_test": 2}),
        ([0.3, 0.2, 0.1], [0.3, 0.2, 0.4], {"last": 3, "best_val": 1, "best_test": 3}),
    ],
)
def test_selections_of_one_epoch_are_one_file_and_hold_its_weights(
    cases_folder, recipe, tmp_path, monkeypatch, val, test, epochs
):
    recipe = dataclasses.replace(recipe, epochs=3)
    seen: dict[int, dict[str, torch.Tensor]] = {}
    original = trainer.Trainer._save

    def save(self, *, improved):
        seen[self.state.epoch] = {k: v.clone() for k, v in self.model.state_dict().items()}
        original(self, improved=improved)

    monkeypatch.setattr(trainer.Trainer, "_save", save)
    scored(monkeypatch, val, test)
    run(cases_folder, recipe, tmp_path)
    for one, other in itertools.combinations(epochs, 2):
        pair = [tmp_path / f"{name}.safetensors" for name in (one, other)]
        assert pair[0].samefile(pair[1]) == (epochs[one] == epochs[other])
    for selection, epoch in epochs.items():
        assert equal(weights(tmp_path, selection), seen[epoch])


def test_the_checkpoint_keeps_one_file_an_epoch_and_no_more_than_the_plan_says(
    cases_folder, recipe, tmp_path, monkeypatch
):
    """Every epoch of a training whose bests part, meet again, and part."""
    recipe = dataclasses.replace(recipe, epochs=7)
    scored(monkeypatch, [0.1, 0.2, 0.3, 0.0, 0.5, 0.6, 0.7], [0.2, 0.1, 0.0, 0.3, 0.4, 0.5, 0.1])
    most, left = {"states": 0, "weights": 0}, []
    original = checkpoint.save

    def save(path, state, key):
        names = [one.name for one in path.parent.iterdir()]
        # One more state is being written.
        most["states"] = max(most["states"], 1 + sum("state.pt" in name for name in names))
        most["weights"] = max(most["weights"], sum("safetensors" in name for name in names))
        original(path, state, key)
        left.append({int(*re.findall(r"\d+", name)) for name in names if "epoch" in name})

    monkeypatch.setattr(checkpoint, "save", save)
    run(cases_folder, recipe, tmp_path)
    assert all(
        {*best} <= files
        for best, files in zip([{1}, {2, 1}, {3, 1}, {3, 4}, {5}, {6}, {7, 6}], left, strict=True)
    )
    assert most == {"states": 3, "weights": 4}
    work = dataclasses.replace(
        estimate.work(
            recipe, "plain", Amounts(4, 1, 1, "prepared", None), {"counts": [{"parameters": 1}]}
        ),
        moments=2,
    )
    assert estimate.checkpoint_bytes(work) == 4 * (3 * 3 + 4)


def test_evaluation_follows_its_schedule_and_the_last_epoch_is_always_scored(
    cases_folder, recipe, tmp_path
):
    recipe = replace(recipe, epochs=5, evaluate_every=2)
    run(cases_folder, recipe, tmp_path)
    curve = pd.read_csv(tmp_path / "history.csv")
    assert curve["val_dice"].notna().tolist() == [False, True, False, True, True]
    # Of an epoch without one: two looks at a clock.
    share = curve["evaluation_seconds"].to_numpy() / curve["seconds"].to_numpy()
    assert share[[1, 3, 4]].min() > 10 * share[[0, 2]].max()
    assert share.max() < 1


def test_frozen_norms_keep_their_statistics(cases_folder, recipe, tmp_path):
    recipe = replace(recipe, epochs=2, freeze_norm_after=1)
    network = model(recipe)
    training = trainer.Trainer(network, Store(cases_folder), setting(recipe, tmp_path))
    training._epoch()
    before = {k: v.clone() for k, v in network.state_dict().items() if "running" in k}
    weight = first(network).detach().clone()
    training._epoch()
    after = network.state_dict()
    assert all(torch.equal(before[key], after[key]) for key in before)
    assert not torch.equal(weight, first(network))


@pytest.mark.extended
def test_recomputed_activations_train_the_same_weights(cases_folder, recipe, tmp_path):
    run(cases_folder, recipe, tmp_path / "kept", variant="salstm")
    again = replace(setting(recipe, tmp_path / "again"), machine=Machine(recompute=True))
    network = model(recipe, "salstm")
    trainer.train(network, Store(cases_folder), again)
    assert network.recompute
    assert equal(weights(tmp_path / "kept"), weights(tmp_path / "again"))


def test_optimizers_are_named_and_checked():
    layer = nn.Linear(2, 2)
    assert isinstance(
        optimizers.build(layer, Choice.of({"name": "sgd", "lr": 1.0, "momentum": 0.9})),
        torch.optim.SGD,
    )
    with pytest.raises(ValueError, match="Available: adam, adamw, sgd"):
        optimizers.build(layer, Choice.of({"name": "lion", "lr": 1.0}))
    with pytest.raises(ValueError, match="optimizer adam, parameter 'momentum'"):
        optimizers.build(layer, Choice.of({"name": "adam", "lr": 1.0, "momentum": 0.9}))


class Sides(Small):
    """Notes the sides of what it is trained on."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.training:
            SIDES.append(x.shape[-1])
        return super().forward(x)


SIDES: list[int] = []


def scaled(cases: Path, recipe: Recipe, folder: Path) -> None:
    recipe = replace(
        recipe,
        activation="sigmoid",
        loss=Choice.of({"name": "soft_dice"}),
        scales=[16, 32],
        batch=4,
    )
    recipe = replace(recipe, schedule=Choice.of({"name": "constant"}))
    network = assemble(Sides, recipe, variant="plain", channels=1, classes=1, seed=0)
    trainer.train(network, Store(cases), setting(recipe, folder))


def test_every_batch_has_a_size_of_the_list_and_a_resumed_run_draws_the_same(
    cases_folder, recipe, tmp_path
):
    SIDES.clear()
    scaled(cases_folder, replace(recipe, epochs=3), tmp_path / "whole")
    whole = list(SIDES)
    assert set(whole) == {16, 32}
    SIDES.clear()
    scaled(cases_folder, replace(recipe, epochs=1), tmp_path / "parts")
    scaled(cases_folder, replace(recipe, epochs=3), tmp_path / "parts")
    assert whole == SIDES
    assert equal(weights(tmp_path / "whole"), weights(tmp_path / "parts"))


def test_scales_want_a_sigmoid(recipe):
    with pytest.raises(ValueError, match="softmax does not take; set scales to null"):
        replace(recipe, scales=[16])


def on(
    machine: Machine, recipe: Recipe, cases: Path, folder: Path, network: Any = Small
) -> trainer.State:
    """Train with these options."""
    here = dataclasses.replace(setting(recipe, folder), machine=machine)
    return trainer.train(model(recipe, network=network), Store(cases), here)


# Adam divides by a gradient's size: for a bias before a batch norm, which has none, it makes steps of rounding.
SGD = Choice.of({"name": "sgd", "lr": 0.01, "momentum": 0.9})


def assert_close(one: Path, other: Path) -> None:
    pairs = [weights(folder) for folder in (one, other)]
    assert pairs[0].keys() == pairs[1].keys()
    for key in pairs[0]:
        torch.testing.assert_close(pairs[0][key], pairs[1][key], rtol=1e-4, atol=1e-5)


class Dry(Small):
    """No dropout, which follows the order in memory; and a layer that shows the order of its channels."""

    def __init__(self, in_channels: int, out_channels: int, image_size: int) -> None:
        super().__init__(in_channels, out_channels, image_size)
        self.layers[3] = nn.Identity()
        self.layers[4] = nn.Conv2d(8, out_channels, 3, padding=1)


def test_channels_last_is_the_same_training_up_to_rounding(cases_folder, recipe, tmp_path):
    recipe = replace(recipe, optimizer=SGD)
    for name, chosen in (("first", False), ("last", True)):
        network = model(recipe, network=Dry)
        here = dataclasses.replace(
            setting(recipe, tmp_path / name), machine=Machine(channels_last=chosen)
        )
        trainer.train(network, Store(cases_folder), here)
        assert network.get_parameter("network.layers.4.weight").is_contiguous() != chosen
    assert_close(tmp_path / "last", tmp_path / "first")


@pytest.mark.parametrize("optimizer", [SGD, Choice.of({"name": "adam", "lr": 1e-3, "eps": 0.1})])
def test_a_training_goes_on_in_another_order_of_memory(cases_folder, recipe, tmp_path, optimizer):
    """Fused optimizers pair a weight with its momentum by their places in memory."""
    recipe = replace(recipe, optimizer=optimizer, schedule=Choice.of({"name": "constant"}))
    for name, orders in (("same", (False, False)), ("other", (False, True))):
        for epochs, chosen in enumerate(orders, start=1):
            options = Machine(channels_last=chosen)
            on(options, replace(recipe, epochs=epochs), cases_folder, tmp_path / name, Dry)
    assert_close(tmp_path / "other", tmp_path / "same")


def test_compiled_steps_change_no_name_and_no_prediction(
    cases_folder, recipe, tmp_path, monkeypatch
):
    modes = []

    def compiled(network: nn.Module, **options: Any):
        def call(x: torch.Tensor) -> Any:
            modes.append(network.training)
            return network(x)

        return call

    monkeypatch.setattr(torch, "compile", compiled)
    on(Machine(compile=True), recipe, cases_folder, tmp_path / "compiled")
    assert modes
    assert all(modes), "evaluation passes the compiler, too"
    run(cases_folder, recipe, tmp_path / "plain")
    assert equal(weights(tmp_path / "compiled"), weights(tmp_path / "plain"))


@pytest.mark.slow
def test_the_compiler_itself_gives_the_same_training_up_to_rounding(cases_folder, recipe, tmp_path):
    recipe = replace(recipe, epochs=1, optimizer=SGD)
    for name, chosen in (("plain", False), ("compiled", True)):
        on(Machine(compile=chosen), recipe, cases_folder, tmp_path / name)
    assert_close(tmp_path / "compiled", tmp_path / "plain")


def test_a_micro_batch_is_kept_when_a_training_goes_on(cases_folder, recipe, tmp_path):
    recipe = replace(recipe, epochs=1)
    folder = tmp_path / "cell"
    on(Machine(micro_batch=3), recipe, cases_folder, folder)
    state = on(Machine(), replace(recipe, epochs=2), cases_folder, folder)
    assert (state.micro_batch, state.epoch) == (3, 2)
    state = on(Machine(micro_batch=2), replace(recipe, epochs=3), cases_folder, folder)
    assert state.micro_batch == 2
    state = on(Machine(micro_batch=100), recipe, cases_folder, tmp_path / "other")
    assert state.micro_batch == recipe.batch


@pytest.mark.gpu
def test_a_gpu_trains_bitwise_the_same_twice_and_again_after_a_stop(cases_folder, recipe, tmp_path):
    for name, epochs in (("a", [2]), ("b", [2]), ("cut", [1, 2])):
        for last in epochs:
            here = dataclasses.replace(
                setting(
                    replace(recipe, epochs=last, schedule=Choice.of({"name": "constant"})),
                    tmp_path / name,
                ),
                device=torch.device("cuda"),
            )
            trainer.train(model(recipe, "salstm"), Store(cases_folder), here)
    assert equal(weights(tmp_path / "a"), weights(tmp_path / "b"))
    assert equal(weights(tmp_path / "a"), weights(tmp_path / "cut"))
