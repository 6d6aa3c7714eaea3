"""What is compared with what: every network and both modules beside the numbers they must give.

A case is one of ours in float64 with the weights of the golden outputs, its input, and the numbers that the
authors' code computes from them. Everything is made anew by each call: a test may break what it gets.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple, cast

import numpy as np
import torch
from torch import Tensor, nn

import baselines
from salstm.modules import attach, from_authors
from tests.parity import authors, constants, separable

MODULES = ("salstm", "lstmsa")
NETWORKS = tuple(
    name
    for name in baselines.names()
    if name == "dwunet" or (authors.GOLDEN / f"{name}.npz").exists()
)
NAMES = (*NETWORKS, *MODULES)
FRAME_SEEDS = (7, 8, 9)  # of previous, centre, next
SEPARABLE_SIZE = 48


class Case(NamedTuple):
    """One comparison; ``compute`` gives one array for each of ``expected``."""

    model: nn.Module
    x: Tensor
    compute: Callable[[nn.Module, Tensor], list[np.ndarray]]
    expected: list[np.ndarray]


class Reading(NamedTuple):
    """How a network's outputs are made the authors'."""

    outputs: Callable[[nn.Module, Tensor], list[Tensor]] = lambda network, x: [network(x)]
    options: Mapping[str, Any] = MappingProxyType({})
    settle: Callable[[nn.Module], object] = lambda network: None


def probabilities(network: nn.Module, x: Tensor) -> list[Tensor]:
    """UNet_Family's networks end in a sigmoid."""
    return [network(x).sigmoid()]


def nested_probabilities(network: nn.Module, x: Tensor) -> list[Tensor]:
    """UNet_Family's NestedUNet gives four, the main one last."""
    network.training = True  # of the network alone: its layers keep their stored statistics
    main, *auxiliary = network(x)
    return [logits.sigmoid() for logits in (*auxiliary, main)]


def method(name: str) -> Callable[[nn.Module, Tensor], list[Tensor]]:
    """The outputs are what the network's method gives: a tensor, or several."""

    def outputs(network: nn.Module, x: Tensor) -> list[Tensor]:
        result = getattr(network, name)(x)
        return [result] if isinstance(result, Tensor) else list(result)

    return outputs


READINGS = {
    "unet": Reading(probabilities),
    "resunet": Reading(probabilities),
    "unetpp": Reading(nested_probabilities, {"auxiliary": True}),
    "esfpnet": Reading(method("quarter")),  # the authors' module ends there
    "merit": Reading(method("stages"), settle=constants.round_correctly),
    "fanet": Reading(options={"auxiliary": True}),
    "hardnet_dfus": Reading(options={"auxiliary": True}),
}
"""Networks whose golden outputs are other than the logits, or whose file holds more than they need."""


def make(name: str) -> Case:
    """The case of a network or a module.

    Raises:
        KeyError: an entry of the authors' is not mapped, or one of ours is not given.
    """
    if name in MODULES:
        return module(name)
    return separable_case() if name == "dwunet" else network(name)


def network(name: str) -> Case:
    """A network beside ``golden/<name>.npz``."""
    golden = authors.load(name)
    size, channels, stride = (int(golden[key]) for key in ("size", "channels", "stride"))
    reading = READINGS.get(name, Reading())
    ours = baselines.build(
        name,
        in_channels=channels,
        out_channels=int(golden["output0_shape"][0]),
        image_size=size,
        **reading.options,
    ).double()
    ours.load_state_dict(baselines.from_authors(name, authors.entries(golden)), strict=True)
    reading.settle(ours)
    count = sum(key.startswith("output") and not key.endswith("_shape") for key in golden)
    shapes = [tuple(golden[f"output{index}_shape"]) for index in range(count)]

    def compute(model: nn.Module, x: Tensor) -> list[np.ndarray]:
        with torch.no_grad():
            outputs = reading.outputs(model, x)
        assert [tuple(output.shape[1:]) for output in outputs] == shapes
        return [output[0, :, ::stride, ::stride].numpy() for output in outputs]

    x = authors.image(channels, size, int(golden["input_seed"]))
    return Case(ours.eval(), x, compute, [golden[f"output{index}"] for index in range(count)])


def separable_case() -> Case:
    """DWUNet has no authors' code: it stands beside its layers written out, one channel at a time."""
    ours = baselines.build("dwunet", in_channels=3, out_channels=2, image_size=SEPARABLE_SIZE)
    state = separable.state(ours)
    ours.double().load_state_dict(state, strict=True)
    x = authors.image(3, SEPARABLE_SIZE, seed=7)

    def compute(model: nn.Module, x: Tensor) -> list[np.ndarray]:
        with torch.no_grad():
            return [model(x).numpy()]

    return Case(ours.eval(), x, compute, [separable.forward(state, x).numpy()])


def frames() -> Tensor:
    """Three 64-channel inputs: the features of previous, centre and next, (1, 3, 64, 24, 24)."""
    return torch.stack([authors.image(64, 24, seed) for seed in FRAME_SEEDS], dim=1)


def module(variant: str) -> Case:
    """A module on the identity beside its golden file: logits, and gradients of ``(logits * W).sum()``."""
    golden = authors.load(f"{variant}_module")
    model = cast(Any, attach(nn.Identity(), variant, 4, attention_size=88 * 88)).double().eval()
    model.head.load_state_dict(from_authors(variant, authors.entries(golden)), strict=True)
    stride, shape = int(golden["stride"]), tuple(golden["output0_shape"])
    seed = int(golden["input_seed"]) + 50
    weight = torch.as_tensor(np.random.RandomState(seed).standard_normal((1, *shape)))
    norms = dict(zip(golden["gradient_names"], golden["gradient_norms"], strict=True))
    names = their_names(variant, golden)
    assert sorted(names.values()) == sorted(norms), "a parameter of the authors is not compared"

    def compute(model: nn.Module, x: Tensor) -> list[np.ndarray]:
        x = x.clone().requires_grad_()
        logits = model(x)
        assert logits.shape == weight.shape
        parameters = dict(cast(Any, model).head.named_parameters())
        of_x, *gradients = torch.autograd.grad((logits * weight).sum(), [x, *parameters.values()])
        ours = dict(zip(parameters, gradients, strict=True))
        ratios = [float(ours[key].norm()) / norms[names[key]] for key in parameters]
        outputs = [logits.detach()[0, :, ::stride, ::stride], *of_x[0, :, :, ::4, ::4]]
        return [*(output.numpy() for output in outputs), np.array(ratios)]

    expected = [golden["output0"], *golden["input_gradients"], np.ones(len(names))]
    return Case(model, frames(), compute, expected)


def their_names(variant: str, golden: dict[str, np.ndarray]) -> dict[str, str]:
    """Our names to the authors', found by sending numbered entries through ``from_authors``."""
    names = [str(name) for name in golden["names"]]
    numbered = {
        name: torch.full_like(value, index)
        for index, (name, value) in enumerate(authors.entries(golden).items())
    }
    return {ours: names[int(v.flatten()[0])] for ours, v in from_authors(variant, numbered).items()}
