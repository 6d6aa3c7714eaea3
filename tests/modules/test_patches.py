"""A frame without neighbours as a sequence of patches, against the equations written out patch by patch."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from salstm.modules import attach
from salstm.modules.patches import cut, join


def drawn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def places(height: int, width: int) -> list[tuple[int, int]]:
    """Rows and columns of the patches in zigzag order."""
    found = []
    for row in range(height // 32):
        columns = list(range(width // 32))
        found += [(32 * row, 32 * one) for one in (columns if row % 2 == 0 else columns[::-1])]
    return found


def patch(features: Tensor, place: tuple[int, int]) -> Tensor:
    row, column = place
    return features[:, :, row : row + 32, column : column + 32]


def test_patches_come_in_zigzag_order_and_go_back():
    features = drawn(2, 3, 96, 64)
    sequence = cut(features)
    assert sequence.shape == (2, 6, 3, 32, 32)
    order = [(0, 0), (0, 32), (32, 32), (32, 0), (64, 0), (64, 32)]
    assert places(96, 64) == order
    for number, place in enumerate(order):
        assert torch.equal(sequence[:, number], patch(features, place))
    assert torch.equal(join(sequence, 96, 64), features)


def slow(head: nn.Module, features: Tensor, variant: str, size: float) -> Tensor:
    """Equations 1 to 8 with the patches of one map as the sequence."""
    order = places(*features.shape[2:])
    found = []
    for name, sequence in (("forward_net", order), ("reverse_net", order[::-1])):
        net = head.get_submodule(name)
        weight, bias = net.get_parameter("cell.conv.weight"), net.get_parameter("cell.conv.bias")
        result = torch.zeros_like(features)
        h = torch.zeros_like(patch(features, (0, 0)))
        c = torch.zeros_like(h)
        for place in sequence:
            a = F.conv2d(torch.cat([patch(features, place), h], 1), weight, bias, padding=2)
            a_i, a_f, a_o, a_g = a.split(64, 1)
            i, f, o, g = a_i.sigmoid(), a_f.sigmoid(), a_o.sigmoid(), a_g.tanh()
            c = f * c + i * g
            h = o * c.tanh()
            y = h
            if variant != "convlstm":
                q, k, v = (c + f) / 2, (g + h) / 2, h
                if variant == "lstmsa":
                    q, k, v = (
                        one
                        * F.conv2d(
                            h,
                            net.get_parameter(f"{letter}.weight"),
                            net.get_parameter(f"{letter}.bias"),
                        )
                        for one, letter in ((q, "query"), (k, "key"), (h, "value"))
                    )
                scores = torch.einsum("bqhw,bkhw->bqk", q, k) / math.sqrt(size)
                y = torch.einsum("bqk,bkhw->bqhw", scores.softmax(-1), v)
            row, column = place
            result[:, :, row : row + 32, column : column + 32] = y
        found.append(result)
    conv = head.get_submodule("conv")
    return F.conv2d(torch.cat(found, 1), conv.get_parameter("weight"), conv.get_parameter("bias"))


@pytest.mark.parametrize(
    "variant",
    ["salstm", *(pytest.param(one, marks=pytest.mark.extended) for one in ("lstmsa", "convlstm"))],
)
def test_the_logits_are_those_of_the_equations_patch_by_patch(variant):
    torch.manual_seed(1)
    model = attach(nn.Identity(), variant, 3, 1024, "patches").double().eval()
    features = drawn(2, 64, 64, 96)
    with torch.no_grad():
        found = model(features[:, None])
        expected = slow(model.head, features, variant, 1024)
        other = attach(nn.Identity(), variant, 3, 1024).double().eval()
        other.load_state_dict(model.state_dict())
        frames = other(features[:, None])
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-10)
    assert (found - frames).abs().max() > 1e-3, "it is another function than the frame thrice"


def test_every_patch_but_the_first_reaches_the_logits_of_the_one_before_it():
    """The way back: a change in the last patch is seen in the first."""
    torch.manual_seed(1)
    model = attach(nn.Identity(), "convlstm", 2, wiring="patches").eval()
    features = drawn(1, 64, 32, 96).float()
    changed = features.clone()
    changed[..., 64:] += 1
    with torch.no_grad():
        difference = (model(features[:, None]) - model(changed[:, None])).abs()
    assert difference[..., :32].max() > 1e-6


def test_three_frames_are_read_as_before():
    torch.manual_seed(1)
    one, two = (
        attach(nn.Identity(), "salstm", 2, wiring=wiring) for wiring in ("frames", "patches")
    )
    two.load_state_dict(one.state_dict())
    images = drawn(1, 3, 64, 32, 32).float()
    assert torch.equal(one(images), two(images))


def test_what_cannot_be_cut_is_refused():
    with pytest.raises(ValueError, match="features of 48x64 pixels; sides must be multiples of 32"):
        cut(drawn(1, 2, 48, 64))
    for variant in ("plain", "stack"):
        with pytest.raises(ValueError, match="has no recurrent net"):
            attach(nn.Identity(), variant, 2, wiring="patches")


def test_the_cost_of_the_sequence_is_counted():
    """By hand, a pixel of four patches: gates of the input on all, of the hidden state on three of four, twice."""
    from salstm.cost import flops

    model = attach(nn.Identity(), "convlstm", 2, wiring="patches").eval()
    counted = flops.cost(model, torch.zeros(1, 1, 64, 64, 64), seconds=0.0)["macs"]
    gates = 64 * 256 * 25
    assert counted == 64 * 64 * (2 * (gates + 3 / 4 * gates) + 128 * 2)
