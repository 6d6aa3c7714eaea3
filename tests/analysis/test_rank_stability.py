"""Ranks on bootstrap draws: against scipy, and with holes."""

import math

import numpy as np
import pytest
from scipy import stats

from salstm.analysis.rank_stability import rank_stability
from salstm.analysis.statistics import draws


def test_ranks_and_shares():
    # three algorithms that never change places, best in the middle
    values = np.random.default_rng(0).normal([0, 1, 0.5], 0.01, (12, 3))
    found = rank_stability(values, np.arange(12) // 2, np.random.default_rng(0), resamples=200)
    assert found.ranks.tolist() == [3, 1, 2]
    assert (found.tau == 1).all()
    np.testing.assert_allclose(found.shares, [[0, 0, 1], [1, 0, 0], [0, 1, 0]], atol=1e-12)
    turned = rank_stability(-values, np.arange(12) // 2, np.random.default_rng(0), resamples=50)
    assert turned.ranks.tolist() == [1, 3, 2]


def test_tau_equals_scipy():
    values = np.random.default_rng(1).normal(size=(10, 6))
    groups = np.arange(10)
    found = rank_stability(values, groups, np.random.default_rng(2), resamples=50)
    drawn = next(iter(draws(10, np.random.default_rng(2), 50, width=36)))
    for tau, weights in zip(found.tau, drawn, strict=True):
        again = np.average(values, axis=0, weights=weights)
        expected, _ = stats.kendalltau(again, values.mean(0))
        assert tau == pytest.approx(expected)
    np.testing.assert_allclose(found.shares.sum(1), 1)


def test_an_algorithm_without_values():
    values = np.column_stack([np.random.default_rng(0).normal(size=(8, 2)), np.full(8, math.nan)])
    found = rank_stability(values, np.arange(8), np.random.default_rng(0), resamples=20)
    assert math.isnan(found.ranks[2])
    assert np.isnan(found.shares[2]).all()
    assert np.isfinite(found.tau).all()


def test_nothing():
    empty = rank_stability(np.empty((0, 2)), np.empty(0), np.random.default_rng(0), resamples=5)
    assert np.isnan(empty.ranks).all()
    one = rank_stability(np.ones((4, 1)), np.arange(4), np.random.default_rng(0), resamples=5)
    assert one.ranks.tolist() == [1]
    assert np.isnan(one.tau).all()
