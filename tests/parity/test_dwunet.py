"""DWUNet has no authors' code: ``test_parity`` holds it against a version by hand, this against UNet."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

import baselines
from tests.parity import authors, counts, separable
from tests.parity.measure import measure

pytestmark = pytest.mark.parity


def logits(name: str, state: dict[str, Tensor], x: Tensor) -> Tensor:
    network = baselines.build(name, in_channels=3, out_channels=2, image_size=x.shape[-1])
    network.double().eval().load_state_dict(state, strict=True)
    with torch.no_grad():
        return network(x)


@pytest.fixture
def state() -> dict[str, Tensor]:
    network = baselines.build("dwunet", in_channels=3, out_channels=2, image_size=32)
    return separable.state(network)


def test_is_the_unet_of_the_product_kernels(state: dict[str, Tensor]):
    """Multiplying kernels out rounds each weight once, which moves it by half a unit of its last place."""
    x = authors.image(3, 48, seed=7)
    product, expected = (
        logits("dwunet", state, x),
        logits("unet", separable.product_kernels(state), x),
    )
    (tolerance,) = measure("dwunet").tolerances
    assert authors.relative(product.numpy(), expected.numpy()) < tolerance


def test_counts_match_the_specification():
    counts.check("dwunet")


def test_takes_its_own_names_only(state: dict[str, Tensor]):
    assert baselines.from_authors("dwunet", state).keys() == state.keys()
    theirs = authors.entries(authors.load("unet"))
    with pytest.raises(KeyError, match=r"no authors' code exists.*unexpected: \['conv1\.conv\.0"):
        baselines.from_authors("dwunet", theirs)
