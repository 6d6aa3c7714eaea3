"""How a ranking holds when the groups are drawn again."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from salstm.analysis.statistics import Floats, draws


@dataclass(frozen=True)
class Stability:
    """How a ranking holds when the groups are drawn again.

    Attributes:
        ranks: of each algorithm on all groups, 1 is best; NaN where it has no value.
        tau: Kendall's tau of each draw's ranking to that one; NaN for fewer than two algorithms.
        shares: shares[a, r] of the draws in which algorithm a has rank r + 1.
    """

    ranks: Floats
    tau: Floats
    shares: Floats


def rank_stability(
    values: Floats,
    groups: NDArray,
    generator: np.random.Generator,
    *,
    resamples: int = 10_000,
) -> Stability:
    """Rank algorithms by their mean over cases, and again on bootstrap draws of the groups.

    Args:
        values: one row per case, one column per algorithm, more is better; NaN values are left out of the means.
        groups: the group of each case.
        generator: source of chance.
        resamples: bootstrap draws.

    Returns:
        Ranks, taus and rank shares; in a draw, ties share the better rank, an algorithm without a
        value has the last one.
    """
    values = np.asarray(values, dtype=np.float64)
    _, index = np.unique(np.asarray(groups), return_inverse=True)
    number = int(index.max()) + 1 if len(index) else 0
    member = np.zeros((number, len(index)))
    member[index, np.arange(len(index))] = 1
    sums, sizes = member @ np.nan_to_num(values), member @ ~np.isnan(values)
    full = _ratio(sums.sum(0), sizes.sum(0))
    known = ~np.isnan(full)
    ranks = np.where(known, 1 + (full[None] > full[:, None]).sum(1), np.nan)
    order = np.sign(full[known][:, None] - full[known])
    taus, shares = [], np.zeros((values.shape[1], values.shape[1]))
    for weights in draws(number, generator, resamples, width=max(number, values.shape[1] ** 2)):
        means = np.nan_to_num(_ratio(weights @ sums, weights @ sizes), nan=-np.inf)
        for row, better in zip(shares, _better(means), strict=True):
            row += np.bincount(better, minlength=len(row)) / resamples
        pairs = np.sign(np.nan_to_num(means[:, known][:, :, None] - means[:, known][:, None]))
        taus.append(_ratio((pairs * order).sum((1, 2)), _norm(pairs, order)))
    shares[~known] = np.nan
    return Stability(ranks, np.concatenate(taus) if taus else np.empty(0), shares)


def _better(means: Floats) -> NDArray[np.intp]:
    """For each algorithm and draw, how many others have a higher mean."""
    return (means[:, None, :] > means[:, :, None]).sum(2).T


def _norm(pairs: Floats, order: Floats) -> Floats:
    """Kendall's tau-b: pairs without a tie, on both sides."""
    return np.sqrt((pairs**2).sum((1, 2)) * (order**2).sum())


def _ratio(part: Floats, total: Floats) -> Floats:
    return np.divide(part, total, out=np.full(np.shape(part), np.nan), where=np.asarray(total) > 0)
