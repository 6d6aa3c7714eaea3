"""SALSTM and LSTMSA against the authors' modules: logits and gradients, in float64.

The network is the identity: the three 64-channel inputs are the features of the three frames.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from salstm.modules import attach, from_authors
from tests.parity import authors

pytestmark = pytest.mark.parity

MODULES = ("salstm", "lstmsa")
SEEDS = (7, 8, 9)  # of previous, centre, next
TOLERANCE = 1e-12


def images() -> Tensor:
    return torch.stack([authors.image(64, 24, seed) for seed in SEEDS], dim=1)


def module(variant: str, golden: dict[str, np.ndarray]) -> Any:
    model = attach(nn.Identity(), variant, 4, attention_size=88 * 88).double().eval()
    model.head.load_state_dict(from_authors(variant, authors.entries(golden)), strict=True)
    return model


def sampled(logits: Tensor, golden: dict[str, np.ndarray]) -> np.ndarray:
    stride = int(golden["stride"])
    return logits[0, :, ::stride, ::stride].detach().numpy()


def their_names(variant: str, golden: dict[str, np.ndarray]) -> dict[str, str]:
    """Our names to the authors', found by sending numbered entries through ``from_authors``."""
    names = [str(name) for name in golden["names"]]
    numbered = {
        name: torch.full_like(value, index)
        for index, (name, value) in enumerate(authors.entries(golden).items())
    }
    return {ours: names[int(v.flatten()[0])] for ours, v in from_authors(variant, numbered).items()}


@pytest.mark.parametrize("variant", MODULES)
def test_logits_and_gradients_are_the_authors(variant):
    golden = authors.load(f"{variant}_module")
    model = module(variant, golden)
    x = images().requires_grad_()
    logits = model(x)
    assert tuple(logits.shape[1:]) == tuple(golden["output0_shape"])
    assert authors.relative(sampled(logits, golden), golden["output0"]) < TOLERANCE

    seed = int(golden["input_seed"]) + 50
    weight = torch.as_tensor(np.random.RandomState(seed).standard_normal(tuple(logits.shape)))
    (logits * weight).sum().backward()
    assert x.grad is not None
    ours = x.grad[0, :, :, ::4, ::4].numpy()
    for frame, theirs in zip(ours, golden["input_gradients"], strict=True):
        assert authors.relative(frame, theirs) < TOLERANCE

    norms = dict(zip(golden["gradient_names"], golden["gradient_norms"], strict=True))
    names = their_names(variant, golden)
    for name, parameter in model.head.named_parameters():
        assert parameter.grad is not None
        norm = float(parameter.grad.norm())
        assert norm == pytest.approx(norms.pop(names[name]), rel=TOLERANCE, abs=0), name
    assert not norms, "a parameter of the authors is not compared"


@pytest.mark.parametrize("variant", MODULES)
def test_volume_is_the_authors_too(variant):
    golden = authors.load(f"{variant}_module")
    model = module(variant, golden)
    with torch.no_grad():
        features = model.features(images()[0])
        logits = model.volume(features, [(0, 1, 2)])
    assert authors.relative(sampled(logits, golden), golden["output0"]) < TOLERANCE


@pytest.mark.parametrize("variant", MODULES)
def test_order_of_frames_gates_and_directions_matters(variant):
    """The figures above would not pass with any two of these exchanged."""
    golden = authors.load(f"{variant}_module")

    def difference(model: Any, x: Tensor) -> float:
        with torch.no_grad():
            return authors.relative(sampled(model(x), golden), golden["output0"])

    for order in ([2, 1, 0], [1, 0, 2], [0, 2, 1]):
        assert difference(module(variant, golden), images()[:, order]) > 1e-3, order
    for order in ([1, 0, 2, 3], [0, 2, 1, 3], [2, 1, 0, 3], [3, 1, 2, 0], [0, 3, 2, 1]):
        model = module(variant, golden)
        for net in (model.head.forward_net, model.head.reverse_net):
            for value in net.cell.conv.parameters():
                value.data = torch.cat([value.chunk(4)[k] for k in order])
        assert difference(model, images()) > 1e-3, order
    model = module(variant, golden)
    model.head.forward_net, model.head.reverse_net = model.head.reverse_net, model.head.forward_net
    assert difference(model, images()) > 1e-3, "directions"
    entries = from_authors(variant, authors.entries(golden))
    model = attach(nn.Identity(), variant, 4, attention_size="map").double().eval()
    model.head.load_state_dict(entries)
    assert difference(model, images()) > 1e-6, "attention_size"
