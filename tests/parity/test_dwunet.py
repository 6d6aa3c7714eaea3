"""DWUNet has no authors' code: it is held against a version by hand and against UNet."""

from __future__ import annotations

import re

import pytest
import torch
from torch import Tensor
from torch.nn import functional

import baselines
from tests.parity import authors, counts

pytestmark = pytest.mark.parity

SIZE = 48


def build(name: str) -> torch.nn.Module:
    network = baselines.build(name, in_channels=3, out_channels=2, image_size=SIZE)
    return network.double().eval()


@pytest.fixture
def state() -> dict[str, Tensor]:
    """Weights and statistics by the rule of the golden outputs."""
    entries = build("dwunet").state_dict().items()
    return {name: authors.entry(name, tuple(v.shape), i) for i, (name, v) in enumerate(entries)}


@pytest.fixture
def logits(state: dict[str, Tensor]) -> Tensor:
    return output("dwunet", state)


def output(name: str, state: dict[str, Tensor]) -> Tensor:
    network = build(name)
    network.load_state_dict(state, strict=True)
    with torch.no_grad():
        return network(authors.image(3, SIZE, seed=7))


def by_hand(state: dict[str, Tensor], x: Tensor) -> Tensor:
    """The network one channel and one layer at a time."""

    def separable(x: Tensor, at: str) -> Tensor:
        kernels, offsets = state[f"{at}.0.weight"], state[f"{at}.0.bias"]
        planes = [
            functional.conv2d(x[:, c : c + 1], kernels[c : c + 1], offsets[c : c + 1], padding=1)
            for c in range(x.shape[1])
        ]
        mixing = state[f"{at}.1.weight"][:, :, 0, 0]
        mixed = torch.einsum("oc,bchw->bohw", mixing, torch.cat(planes, dim=1))
        return mixed + state[f"{at}.1.bias"][:, None, None]

    def norm(x: Tensor, at: str) -> Tensor:
        names = ("running_mean", "running_var", "weight", "bias")
        mean, variance, scale, offset = (state[f"{at}.{name}"][:, None, None] for name in names)
        return (x - mean) / (variance + 1e-5).sqrt() * scale + offset

    def double(x: Tensor, at: str) -> Tensor:
        x = norm(separable(x, f"{at}.0"), f"{at}.1").relu()
        return norm(separable(x, f"{at}.3"), f"{at}.4").relu()

    def up(x: Tensor, copied: Tensor, at: str) -> Tensor:
        x = functional.conv_transpose2d(
            x, state[f"{at}.enlarge.weight"], state[f"{at}.enlarge.bias"], stride=2
        )
        return double(torch.cat([x, copied], dim=1), f"{at}.convs")

    e0 = double(x, "stem")
    e1 = double(functional.max_pool2d(e0, 2), "down.0.convs")
    e2 = double(functional.max_pool2d(e1, 2), "down.1.convs")
    e3 = double(functional.max_pool2d(e2, 2), "down.2.convs")
    e4 = double(functional.max_pool2d(e3, 2), "down.3.convs")
    x = up(up(up(up(e4, e3, "up.0"), e2, "up.1"), e1, "up.2"), e0, "up.3")
    return functional.conv2d(x, state["head.weight"], state["head.bias"])


def product_kernels(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """UNet's entries: each pair of separable layers multiplied out to one 3x3 convolution."""
    dense = dict(state)
    for name in filter(re.compile(r"(stem|convs)\.[03]\.0\.weight$").search, state):
        conv = name.removesuffix(".0.weight")
        plane, plane_bias = dense.pop(f"{conv}.0.weight"), dense.pop(f"{conv}.0.bias")
        mix, mix_bias = dense.pop(f"{conv}.1.weight"), dense.pop(f"{conv}.1.bias")
        dense[f"{conv}.weight"] = mix * plane.transpose(0, 1)  # (O, I, 1, 1) * (1, I, 3, 3)
        dense[f"{conv}.bias"] = mix_bias + mix[:, :, 0, 0] @ plane_bias
    return dense


def test_is_the_function_by_hand(state: dict[str, Tensor], logits: Tensor):
    expected = by_hand(state, authors.image(3, SIZE, seed=7))
    assert authors.relative(logits.numpy(), expected.numpy()) < 1e-12


def test_is_the_unet_of_the_product_kernels(state: dict[str, Tensor], logits: Tensor):
    expected = output("unet", product_kernels(state))
    assert authors.relative(logits.numpy(), expected.numpy()) < 1e-12


def test_counts_match_the_specification():
    counts.check("dwunet")


def test_takes_its_own_names_only(state: dict[str, Tensor]):
    assert baselines.from_authors("dwunet", state).keys() == state.keys()
    theirs = authors.entries(authors.load("unet"))
    with pytest.raises(KeyError, match=r"no authors' code exists.*unexpected: \['conv1\.conv\.0"):
        baselines.from_authors("dwunet", theirs)
