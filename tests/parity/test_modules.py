"""SALSTM and LSTMSA beside the authors' modules: what ``test_parity`` does not show.

The network is the identity: the three 64-channel inputs are the features of the three frames.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from tests.parity import authors, cases
from tests.parity.measure import UNITS, measure

pytestmark = pytest.mark.parity


def tolerance(variant: str) -> float:
    """Of the logits, the first output that is compared."""
    return measure(variant).tolerances[0]


def difference(variant: str, logits: Tensor) -> float:
    golden = authors.load(f"{variant}_module")
    stride = int(golden["stride"])
    return authors.relative(logits[0, :, ::stride, ::stride].numpy(), golden["output0"])


@pytest.mark.parametrize("variant", cases.MODULES)
def test_volume_is_the_authors_too(variant):
    model: Any = cases.make(variant).model
    with torch.no_grad():
        logits = model.volume(model.features(cases.frames()[0]), [(0, 1, 2)])
    assert difference(variant, logits) < tolerance(variant)


@pytest.mark.parametrize("variant", cases.MODULES)
def test_order_of_frames_gates_and_directions_matters(variant):
    """The comparison would not pass with any two of these exchanged."""

    def seen(model: Any, x: Tensor) -> bool:
        with torch.no_grad():
            return difference(variant, model(x)) > UNITS * tolerance(variant)

    case = cases.make(variant)
    model: Any = case.model
    for order in ([2, 1, 0], [1, 0, 2], [0, 2, 1]):
        assert seen(model, case.x[:, order]), order
    for order in ([1, 0, 2, 3], [0, 2, 1, 3], [2, 1, 0, 3], [3, 1, 2, 0], [0, 3, 2, 1]):
        model = cases.make(variant).model
        for net in (model.head.forward_net, model.head.reverse_net):
            for value in net.cell.conv.parameters():
                value.data = torch.cat([value.chunk(4)[k] for k in order])
        assert seen(model, case.x), order
    model = cases.make(variant).model
    model.head.forward_net, model.head.reverse_net = model.head.reverse_net, model.head.forward_net
    assert seen(model, case.x), "directions"
    model = cases.make(variant).model
    for net in (model.head.forward_net, model.head.reverse_net):
        net.attention_size = "map"
    assert seen(model, case.x), "attention_size"
