"""UNetPlusPlus computes what UNet_Family's NestedUNet does, but for that one's four sigmoids."""

from __future__ import annotations

import pytest
import torch

import baselines
from tests.parity import authors, counts

pytestmark = pytest.mark.parity


def test_the_main_logits_need_no_auxiliary_heads():
    state = baselines.from_authors("unetpp", authors.entries(authors.load("unetpp")))
    options = {"in_channels": 3, "out_channels": 1, "image_size": 32}
    supervised = baselines.build("unetpp", **options, auxiliary=True)
    plain = baselines.build("unetpp", **options)
    supervised.load_state_dict(state)
    plain.load_state_dict({key: state[key] for key in state if "auxiliary" not in key})
    x = authors.image(3, 48, seed=1).float()
    with torch.no_grad():
        assert torch.equal(supervised.eval()(x), plain.eval()(x))


@pytest.mark.extended
def test_counts_match_the_authors():
    counts.check("unetpp")


def test_authors_entries_must_fit_exactly():
    entries = authors.entries(authors.load("unetpp"))
    with pytest.raises(KeyError, match=r"unexpected: \['final5.bias'\]"):
        baselines.from_authors("unetpp", entries | {"final5.bias": torch.zeros(1)})
    del entries["conv1_2.conv.0.bias"]
    with pytest.raises(KeyError, match=r"missing: \['conv1_2.conv.0.bias'\]"):
        baselines.from_authors("unetpp", entries)
