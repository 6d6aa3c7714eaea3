"""UNet computes what UNet_Family's UNet.py does, but for the sigmoid at that one's end."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

import baselines
from tests.parity import authors, counts

pytestmark = pytest.mark.parity


def probabilities(network: torch.nn.Module, x: Tensor) -> list[Tensor]:
    return [network(x).sigmoid()]


def probabilities_with_swapped_halves(network: torch.nn.Module, x: Tensor) -> list[Tensor]:
    first = network.get_parameter("up.3.convs.0.weight")
    first.data = torch.cat(first.data.chunk(2, dim=1)[::-1], dim=1)
    return probabilities(network, x)


def test_is_the_authors_function():
    differences = authors.parity("unet", outputs=1, read=probabilities)
    assert all(difference < 1e-10 for difference in differences)


def test_the_order_of_the_concatenation_matters():
    (difference,) = authors.parity("unet", outputs=1, read=probabilities_with_swapped_halves)
    assert difference > 0.01


def test_counts_match_the_authors():
    counts.check("unet")


def test_authors_entries_must_fit_exactly():
    entries = authors.entries(authors.load("unet"))
    extra = entries | {"conv11.weight": torch.zeros(1)}
    with pytest.raises(KeyError, match=r"unexpected: \['conv11.weight'\]"):
        baselines.from_authors("unet", extra)
    del entries["up7.bias"]
    with pytest.raises(KeyError, match=r"missing: \['up7.bias'\]"):
        baselines.from_authors("unet", entries)


def test_takes_any_multiple_of_16():
    network = baselines.build("unet", in_channels=1, out_channels=4, image_size=32).eval()
    with torch.no_grad():
        assert network(torch.zeros(1, 1, 48, 80)).shape == (1, 4, 48, 80)
