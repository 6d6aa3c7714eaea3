"""Recomputing saves memory and changes nothing: outputs, gradients, running statistics, dropout."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from salstm.modules import attach


class Deep(nn.Module):
    """Convolutions with every kind of state that a second pass could move."""

    def __init__(self, out_channels: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(1, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU(), nn.Dropout(0.3),
            nn.Conv2d(16, 16, 3, padding=1), nn.BatchNorm2d(16, momentum=None), nn.GELU(),
            nn.Conv2d(16, 16, 3, padding=1), nn.InstanceNorm2d(16, track_running_stats=True), nn.SiLU(),
            nn.Conv2d(16, out_channels, 1),
        )  # fmt: skip

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layers(x)


MAP = 2 * 16 * 16 * 16 * 4
"""Bytes of one map of 16 channels; the network keeps more than nine of them."""


def step(model: nn.Module) -> tuple[torch.Tensor, int]:
    """One training step from seed 1: the output, and the bytes kept for the backward pass."""
    kept: dict[int, int] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    images = torch.randn(2, 3, 1, 16, 16, generator=torch.Generator().manual_seed(0))
    torch.manual_seed(1)
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        output = model(images)
    output.square().mean().backward()
    return output.detach(), sum(kept.values())


@pytest.mark.parametrize("variant", ["plain", "salstm", "lstmsa"])
def test_a_step_is_bitwise_the_same_and_keeps_less(variant):
    torch.manual_seed(0)
    kept = attach(Deep(3 if variant == "plain" else 64), variant, 3).train()
    again = copy.deepcopy(kept)
    again.recompute = True
    (expected, much), (found, little) = step(kept), step(again)
    assert torch.equal(found, expected)
    for (name, one), other in zip(kept.named_parameters(), again.parameters(), strict=True):
        assert one.grad is not None, name
        assert other.grad is not None, name
        assert torch.equal(one.grad, other.grad), name
    for (name, one), other in zip(kept.named_buffers(), again.buffers(), strict=True):
        assert torch.equal(one, other), name
    passes, activations = 1 if variant == "plain" else 3, 9 * MAP
    assert much - little >= passes * activations


def test_the_settings_of_the_norms_come_back():
    model = attach(Deep(3), "plain", 3).train()
    model.recompute = True
    step(model)
    momenta = [one.momentum for one in model.modules() if hasattr(one, "momentum")]
    assert momenta == [0.1, None, 0.1]
    assert int(model.get_buffer("network.layers.1.num_batches_tracked")) == 1
