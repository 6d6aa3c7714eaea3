"""A GPU computes what the CPU computes: ``pytest -m gpu``, where there is one.

``SALSTM_TEST_DEVICE=cpu pytest -m gpu tests/test_gpu.py`` runs these tests without one, which proves the tests.
"""

from __future__ import annotations

import copy
import math
import os
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import baselines
from benchmarks import gpu as benchmark
from salstm import config, devices, recipes
from salstm.cost.probe import synthetic_batch
from salstm.data.datasets import DATASETS
from salstm.data.store import Store
from salstm.modules import attach
from salstm.parameters import Choice
from salstm.training import step
from salstm.training.inference import View, predict
from salstm.training.machine import Machine
from salstm.training.model import assemble, untrained
from salstm.vocabulary import VARIANTS, cells

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.filterwarnings("ignore:.*TracerWarning"),
]
PAPER = config.checked(config.load(Path(__file__).parent.parent / "config.yaml"), baselines.names())
CELLS = sorted({c[:3] for c in cells(PAPER)})


@pytest.fixture
def gpu() -> Iterator[torch.device]:
    """The device under test, with float32 that is float32 in convolutions as well."""
    before = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = False
    yield torch.device(os.environ.get("SALSTM_TEST_DEVICE", "cuda"))
    torch.backends.cudnn.allow_tf32 = before


def outputs_and_gradients(network: nn.Module, images: Tensor) -> list[Tensor]:
    """On the CPU, whatever computed them."""
    logits = network(images)
    weight = torch.linspace(-1, 1, logits.numel(), device=images.device, dtype=images.dtype)
    gradients = torch.autograd.grad((logits.flatten() * weight).sum(), [*network.parameters()])
    return [one.detach().cpu() for one in (logits, *gradients)]


def assert_same_function(network: nn.Module, images: Tensor, gpu: torch.device) -> None:
    """Outputs and gradients in float64, where rounding explains nothing."""
    network, images = network.double().eval(), images.double()
    there = copy.deepcopy(network).to(gpu)
    expected = outputs_and_gradients(network, images)
    for one, other in zip(outputs_and_gradients(there, images.to(gpu)), expected, strict=True):
        scale = max(1.0, float(other.abs().max()))
        torch.testing.assert_close(one, other, rtol=1e-8, atol=1e-9 * scale)


@pytest.mark.parametrize("name", baselines.names())
def test_a_network_is_the_same_function(gpu, name):
    side = baselines.card(name)["input"]["test_size"]
    torch.manual_seed(0)
    network = baselines.build(name, in_channels=3, out_channels=2, image_size=side)
    assert_same_function(network, torch.rand(2, 3, side, side), gpu)


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_module_is_the_same_function(gpu, variant):
    torch.manual_seed(0)
    network = nn.Conv2d(1, 3 if variant == "plain" else 64, 3, padding=1)
    assert_same_function(attach(network, variant, 3), torch.rand(2, 3, 1, 20, 24), gpu)


def stepped(
    names: tuple[str, str, str], precision: str, device: torch.device, machine: Machine
) -> tuple[float, float]:
    """The loss of a cell's first and second step at the smallest size, with its own loss and optimizer."""
    dataset, baseline, variant = names
    side = baselines.card(baseline)["input"]["test_size"]
    recipe = recipes.resolve(PAPER, *names)
    small = {"size": side, "train_size": None, "batch": 2, "pretrained": False}
    recipe = replace(recipe, **small, precision=precision)
    optimizer = Choice.of({**recipe.optimizer.block(), "lr": 1e-5})
    recipe = replace(recipe, optimizer=optimizer)
    facts = DATASETS[dataset]
    model = untrained(partial(baselines.build, baseline), recipe, variant, facts).to(device).train()
    for module in model.modules():
        # A GPU draws other numbers.
        if isinstance(module, nn.modules.dropout._DropoutNd):
            module.p = 0.0
        if "drop_prob" in vars(module):  # of whole paths, in timm and smp
            vars(module)["drop_prob"] = 0.0
    moving = step.Step(model, recipe, machine, device)
    batch = synthetic_batch(recipe, facts.channels)
    return moving(batch, "step 1", side), moving(batch, "step 2", side)


@pytest.mark.parametrize("names", CELLS, ids="-".join)
def test_a_cell_steps_as_on_a_cpu_in_float32_and_nearly_so_in_bfloat16(gpu, names):
    expected = stepped(names, "float32", torch.device("cpu"), Machine())
    assert stepped(names, "float32", gpu, Machine()) == pytest.approx(expected, rel=1e-2, abs=1e-2)
    halved = stepped(names, "bfloat16", gpu, Machine())
    assert halved == pytest.approx(expected, rel=0.25, abs=0.25), (
        "FANet's hard pixels differ by 0.19"
    )


@pytest.mark.parametrize(
    "options",
    [{"channels_last": True}, {"recompute": True}, {"micro_batch": 1}, {"compile": True}],
    ids=lambda options: next(iter(options)),
)
def test_options_of_the_machine_change_no_loss(gpu, options):
    names = ("acdc", "mtunet", "salstm")
    expected = stepped(names, "float32", gpu, Machine())
    # Batch statistics see fewer items in a micro-batch.
    rel = 0.1 if "micro_batch" in options else 1e-3
    assert stepped(names, "float32", gpu, Machine(**options)) == pytest.approx(expected, rel=rel)


def test_float16_steps_with_a_scaled_loss(gpu):
    losses = stepped(("isic2018", "unet", "salstm"), "float16", gpu, Machine())
    assert all(math.isfinite(loss) for loss in losses)


def test_predictions_are_those_of_the_cpu(gpu, cases_folder, recipe):
    store, view = Store(cases_folder), View.of(recipe, 1)
    build = partial(baselines.build, "unet")
    model = assemble(build, recipe, variant="salstm", channels=1, classes=3, seed=0).eval()
    cases, cpu = store.split("test"), torch.device("cpu")
    expected = [labels for _, labels in predict(model, store, cases, view, cpu)]
    found = [labels for _, labels in predict(model.to(gpu), store, cases, view, gpu)]
    for one, other in zip(found, expected, strict=True):
        assert (one == other).mean() > 0.999, "more than ties of rounding"


def test_memory_that_runs_out_for_real_is_made_to_suffice(gpu, recipe):
    if gpu.type != "cuda":
        pytest.skip("no GPU memory to run out of")
    recipe = replace(recipe, size=256, batch=16)
    build = partial(baselines.build, "unet")
    model = assemble(build, recipe, variant="salstm", channels=1, classes=3, seed=0).to(gpu)
    moving = step.Step(model.train(), recipe, Machine(), gpu)
    whole = torch.cuda.get_device_properties(gpu).total_memory
    torch.cuda.empty_cache()
    torch.cuda.set_per_process_memory_fraction(6e9 / whole, gpu)
    try:
        assert math.isfinite(moving(synthetic_batch(recipe, 1), "step 1", 256))
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0, gpu)
    assert model.recompute
    assert 1 <= moving.micro_batch < 16


def test_as_many_gpus_are_found_as_torch_sees(gpu):
    if gpu.type == "cuda":
        assert len(devices.visible()) == torch.cuda.device_count()


def test_the_table_of_the_training_step(gpu):
    """At a small size: the figures themselves come from ``make bench``."""
    rows = list(benchmark.figures(gpu.type, size=64, batch=1, pairs=1))
    assert {row.unit for row in rows} >= {"s", "it/s", "%"}
    assert all(row.ours > 0 for row in rows)
