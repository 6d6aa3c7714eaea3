"""UNet computes what UNet_Family's UNet.py does, but for the sigmoid at that one's end."""

from __future__ import annotations

import pytest
import torch

import baselines
from tests.parity import authors, counts

pytestmark = pytest.mark.parity


@pytest.mark.extended
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
