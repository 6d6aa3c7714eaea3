"""Channel attention against hand-made cases and a written-out sum."""

from __future__ import annotations

import math

import pytest
import torch

from salstm.modules.attention import channel_attention, channel_weights, scale


def draw(*shape: int, seed: int, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def test_by_hand():
    """Two channels, two positions: q = [1 0; 0 2], k = [1 1; 0 1] give q k^T = [1 0; 2 2]."""
    query = torch.tensor([[1.0, 0.0], [0.0, 2.0]]).view(1, 2, 1, 2)
    key = torch.tensor([[1.0, 1.0], [0.0, 1.0]]).view(1, 2, 1, 2)
    value = torch.tensor([[10.0, 20.0], [30.0, 40.0]]).view(1, 2, 1, 2)
    a = math.exp(0.5) / (math.exp(0.5) + 1)  # the factor is 1/2
    expected = torch.tensor([[a, 1 - a], [0.5, 0.5]])
    torch.testing.assert_close(channel_weights(query, key, 0.5)[0], expected)
    rows = [[30 - 20 * a, 40 - 20 * a], [20.0, 30.0]]
    result = channel_attention(query, key, value, 0.5)
    torch.testing.assert_close(result, torch.tensor(rows).view(1, 2, 1, 2))


def test_softmax_runs_over_the_keys_and_samples_stay_apart():
    query, key, value = (draw(3, 5, 4, 6, seed=seed) for seed in (1, 2, 3))
    result = channel_attention(query, key, value, 0.3)
    for b in range(3):
        energy = torch.einsum("qhw,khw->qk", query[b], key[b]) * 0.3
        weights = energy.exp() / energy.exp().sum(1, keepdim=True)
        torch.testing.assert_close(result[b], torch.einsum("qk,khw->qhw", weights, value[b]))


def test_memory_format_does_not_matter():
    query, key, value = (draw(2, 5, 4, 6, seed=seed) for seed in (1, 2, 3))
    q, k, v = (m.contiguous(memory_format=torch.channels_last) for m in (query, key, value))
    expected = channel_attention(query, key, value, 0.3)
    torch.testing.assert_close(channel_attention(q, k, v, 0.3), expected)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_neither_overflows_nor_rounds_the_logits(dtype):
    query, key = (draw(1, 8, 300, 300, seed=seed, dtype=torch.float32) for seed in (1, 2))
    query, key = (0.02 * query + 1).to(dtype), (0.02 * key + 1).to(dtype)
    assert (query * key).float().sum() > 8 * torch.finfo(torch.float16).max
    expected = channel_weights(query.float(), key.float(), 1 / 88)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        weights = channel_weights(query, key, 1 / 88)
        result = channel_attention(query, key, query, 1 / 88)
    assert weights.dtype == torch.float32
    torch.testing.assert_close(weights, expected, rtol=1e-3, atol=1e-6)
    assert torch.isfinite(result).all()


def test_scale():
    query = torch.zeros(1, 1, 224, 224)
    assert scale(7744, query) == pytest.approx(1 / 88)
    assert scale("map", query) == pytest.approx(1 / 224)
    assert scale("released", query) == pytest.approx(1 / 88)


@pytest.mark.parametrize("side", [32, 64, 352])
def test_the_released_regime_keeps_the_scores_of_7744_at_224_on_maps_of_any_size(side):
    """Scores are a sum over positions: of constant maps exactly, of drawn ones on average."""
    query, key = torch.full((1, 2, side, side), 0.5), torch.full((1, 2, side, side), 0.25)
    score = scale("released", query) * (query[0, 0] * key[0, 0]).sum()
    assert float(score) == pytest.approx(224 * 224 * 0.125 / 88, rel=1e-5)
    assert scale("released", query) == pytest.approx(((88 * side**2 / 50176) ** 2) ** -0.5)
