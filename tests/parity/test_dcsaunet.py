"""DCSAU-Net against the authors' own outputs."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

import baselines
from baselines.dcsaunet.model import Bottleneck, SplitAttention
from tests.parity import counts

pytestmark = pytest.mark.parity


@pytest.mark.extended
def test_counts_match_the_authors():
    counts.check("dcsaunet")


def test_unexpected_entry_is_named():
    for name in ("down5.0.conv1.weight", "down1.0.conv4.weight", "pfc.input_layer.1.weight", "x"):
        with pytest.raises(KeyError, match=name.replace(".", r"\.")):
            baselines.from_authors("dcsaunet", {name: torch.zeros(1)})


def test_two_instances_train_apart():
    # The authors' module-level singleton would change the second network with the first.
    options = {"in_channels": 1, "out_channels": 2, "image_size": 16}
    first = baselines.build("dcsaunet", **options).train()
    second = baselines.build("dcsaunet", **options)
    before = {key: value.clone() for key, value in second.state_dict().items()}
    torch.nn.init.zeros_(first.get_parameter("down.0.0.reduce.0.weight"))
    first(torch.rand(2, 1, 16, 16))
    assert all(torch.equal(value, before[key]) for key, value in second.state_dict().items())


def test_split_attention_weighs_two_branches_channel_by_channel():
    torch.manual_seed(1)
    module = SplitAttention(4).double().eval()
    x = torch.randn(2, 4, 5, 5, dtype=torch.float64)
    halves = functional.relu(module.split(x))
    first, second = halves[:, :4], halves[:, 4:]
    second = functional.relu(module.refine(first + second))
    scores = module.weigh(
        functional.relu(module.squeeze((first + second).mean((2, 3), keepdim=True)))
    )
    expected = torch.zeros_like(x)
    for b in range(2):
        for c in range(4):
            one, two = scores[b, c, 0, 0].exp(), scores[b, 4 + c, 0, 0].exp()
            expected[b, c] = (one * first[b, c] + two * second[b, c]) / (one + two)
    torch.testing.assert_close(module(x), expected)


def test_stages_average_where_the_authors_do():
    network = baselines.build("dcsaunet", in_channels=3, out_channels=1, image_size=16)
    blurred = [
        name
        for name, module in network.named_modules()
        if isinstance(module, Bottleneck) and isinstance(module.blur, torch.nn.AvgPool2d)
    ]
    assert blurred == ["down.1.0", "down.2.0", "down.3.0", "up.0.0", "up.1.0", "up.2.0"]


def test_training_on_one_image_fails_as_the_authors_does():
    network = baselines.build("dcsaunet", in_channels=3, out_channels=1, image_size=16).train()
    with pytest.raises(ValueError, match="more than 1 value per channel"):
        network(torch.rand(1, 3, 16, 16))
