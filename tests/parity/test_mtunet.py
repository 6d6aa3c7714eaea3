"""MT-UNet is the authors' function, and its attention in closed form is their double loop."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

import baselines
from baselines.mtunet import model
from tests.parity import authors, counts

pytestmark = pytest.mark.parity


@pytest.mark.extended
def test_counts_match_the_authors():
    counts.check("mtunet")


def loop_over_positions(attention: model.GaussianAxialAttention, x: Tensor) -> Tensor:
    """The attention position by position, as the paper writes it; x is (B, P, P, D)."""
    query, key, value = attention.query(x), attention.key(x), attention.value(x)
    images, rows, columns, _ = x.shape
    result = []
    for b in range(images):
        for r in range(rows):
            for c in range(columns):
                total = torch.zeros_like(value[b, r, c])
                for line, centre in ((b, r, slice(None)), c), ((b, slice(None), c), r):
                    distance = torch.arange(rows, dtype=x.dtype) - centre
                    gauss = -attention.shift * distance**2 - attention.bias
                    weights = torch.softmax(key[line] @ query[b, r, c] + gauss, dim=0)
                    total = total + weights @ value[line]
                result.append(total)
    return torch.stack(result).reshape(x.shape)


@pytest.mark.parametrize("windows", [1, 2, 4, 7])
def test_gaussian_attention_is_the_loop_over_positions(windows):
    torch.manual_seed(windows)
    attention = model.GaussianAxialAttention(8, windows).double()
    x = torch.randn(2, windows, windows, 8, dtype=torch.float64, requires_grad=True)
    target = torch.randn_like(x)
    variables = [x, *attention.parameters()]
    ours, loop = attention(x), loop_over_positions(attention, x)
    torch.testing.assert_close(ours, loop, rtol=1e-12, atol=1e-12)
    ours_gradients = torch.autograd.grad((ours * target).sum(), variables)
    loop_gradients = torch.autograd.grad((loop * target).sum(), variables)
    for ours_gradient, loop_gradient in zip(ours_gradients, loop_gradients, strict=True):
        torch.testing.assert_close(ours_gradient, loop_gradient, rtol=1e-11, atol=1e-11)
    gradient = dict(
        zip((n for n, _ in attention.named_parameters()), ours_gradients[1:], strict=True)
    )
    assert abs(gradient["bias"].item()) < 1e-12, "the bias cancels in the softmax"
    assert (abs(gradient["shift"].item()) > 1e-3) == (windows > 1)


@pytest.mark.parametrize(("side", "padding"), [(28, 0), (14, 2), (7, 1), (5, 3), (3, 1), (2, 2)])
def test_padding_is_zero_but_for_the_corner(side, padding):
    x = torch.randn(1, side, side, 3)
    expected = torch.zeros(1, side + padding, side + padding, 3)
    expected[:, :side, :side] = x
    expected[:, side:, side:] = x[:, side - padding :, side - padding :]
    assert torch.equal(model.pad_with_corner(x, padding), expected)
    assert model.LocalGlobalAttention(8, side).windows * model.WINDOW == side + padding


def test_windows_are_cut_row_by_row_and_put_together_again():
    x = torch.arange(64.0).reshape(1, 8, 8, 1)
    windows = model.to_windows(x, 2)
    assert torch.equal(windows[0, 0, 1, :5, 0], torch.tensor([4.0, 5, 6, 7, 12]))
    assert torch.equal(model.from_windows(windows), x.permute(0, 3, 1, 2))


def test_external_attention_adds_up_to_one_over_the_memory():
    attention = model.ExternalAttention(16).double()
    for layer in (attention.query, attention.memory_values, attention.out):
        nn.init.zeros_(layer.bias)
    nn.init.ones_(attention.memory_values.weight)
    nn.init.eye_(attention.out.weight)
    x = torch.randn(1, 3, 3, 16, dtype=torch.float64)
    torch.testing.assert_close(attention(x), torch.ones_like(x), rtol=0, atol=1e-6)


@pytest.mark.parametrize("size", [96, 160])
def test_runs_at_sizes_whose_maps_need_other_padding(size):
    network = baselines.build("mtunet", in_channels=1, out_channels=2, image_size=size).eval()
    with torch.no_grad():
        logits = network(torch.rand(1, 1, size, size))
        assert logits.shape == (1, 2, size, size)
        assert torch.isfinite(logits).all()
        with pytest.raises(ValueError, match=f"built for {size}"):
            network(torch.rand(1, 1, 224, 224))


def test_entries_that_do_not_fit_are_named():
    entries = authors.load("mtunet")["names"]
    state = {str(name): torch.zeros(1) for name in entries}
    assert len(state) - len(baselines.from_authors("mtunet", state)) == 20
    with pytest.raises(KeyError, match=r"unexpected.*stem\.extra"):
        baselines.from_authors("mtunet", {**state, "stem.extra": torch.zeros(1)})
    del state["SegmentationHead.bias"]
    with pytest.raises(KeyError, match=r"missing.*head\.bias"):
        baselines.from_authors("mtunet", state)
