"""How firm a ranking is: ranks on bootstrap draws of the groups, and a test of every pair.

This is exploration beside the declared family of ``salstm.analysis.comparisons``: it decides no
claim. Means are over cases, classes and seeds, as in the tables. The pairs of a dataset and metric are corrected among
themselves (Holm).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from salstm.analysis import case_values, comparisons, rank_stability, statistics, trainings
from salstm.analysis.comparisons import NO_NOISE, Noise
from salstm.analysis.results import Frame
from salstm.columns import COLUMNS
from salstm.vocabulary import METRICS

Algorithm = tuple[str, str]


@dataclass(frozen=True)
class Values:
    """The values of one dataset and metric.

    Attributes:
        algorithms: (network, variant) of each column, in the order of the scores.
        values: (cases, algorithms); NaN where undefined.
        groups: of each case.
        seeds: trainings of each algorithm.
        noise: how far a training's mean moves, of each algorithm.
    """

    algorithms: list[Algorithm]
    values: np.ndarray
    groups: np.ndarray
    seeds: np.ndarray
    noise: list[Noise]


def per_case(rows: Frame, metric: str) -> Values:
    """The value of every case and algorithm (`salstm.analysis.case_values`).

    Args:
        rows: of one dataset, as from ``salstm.evaluation.conventions.under_protocol``.
        metric: the column.
    """
    order = list(dict.fromkeys(zip(rows["baseline"], rows["variant"], strict=True)))
    wide = case_values.algorithms(rows, metric, order)
    known = rows.dropna(subset=metric).groupby(["baseline", "variant"])["seed"].nunique()
    noise = comparisons.training_noise(rows, [metric])
    return Values(
        order,
        wide.to_numpy(dtype=np.float64),
        wide.index.get_level_values(0).to_numpy(),
        np.array([known.get(one, 0) for one in order]),
        [noise.get((baseline, metric), NO_NOISE) for baseline, _ in order],
    )


def rank(
    scores: Frame,
    metrics: Sequence[str],
    generator: np.random.Generator,
    *,
    level: float = 0.95,
    resamples: int = 10_000,
    seeds: int = comparisons.SEEDS,
    limits: Sequence[str] = (),
) -> tuple[Frame, Frame, Frame]:
    """Rank all networks and variants of each dataset, again on draws of the groups, and test every pair.

    Args:
        scores: rows as from ``salstm.evaluation.conventions.under_protocol``.
        metrics: the columns.
        generator: source of chance.
        level: of the intervals.
        resamples: bootstrap draws and sign flips.
        seeds: trainings of each that telling a pair apart needs.
        limits: why this run cannot decide about accuracy.

    Returns:
        Three frames, with the columns of ranking.csv, shares.csv and pairs.csv (``salstm.columns``). ranking: rank, its
        interval over the draws, the share of draws in which it is first, Kendall's tau of the draws to the ranking
        (mean), and why there is no interval (``reason``). shares: the share of the draws with each rank. pairs: the
        better of each pair over the other, the mean gain (positive), p with the variance of trainings and patients,
        after Holm, and by sign flips of the groups alone (``patients_p``); ``verdict`` as of ``comparisons.clear``.
    """
    tables: tuple[list, list, list] = ([], [], [])
    for dataset, metric in itertools.product(dict.fromkeys(scores["dataset"]), metrics):
        values = per_case(scores[scores["dataset"] == dataset], metric)
        sign = METRICS[metric].sign
        stable = rank_stability.rank_stability(
            sign * values.values, values.groups, generator, resamples=resamples
        )
        parts = (
            _ranking(values, stable, level),
            _shares(values, stable),
            _pairs(values, sign, generator, resamples, (level, seeds, limits)),
        )
        for rows, part in zip(tables, parts, strict=True):
            rows += [{"dataset": dataset, "metric": metric, **row} for row in part]
    frames = [
        pd.DataFrame(rows, columns=list(COLUMNS[name]))
        for rows, name in zip(tables, ("ranking", "shares", "pairs"), strict=True)
    ]
    return frames[0], frames[1], frames[2]


def reason(algorithms: int, groups: int) -> str:
    """Why a ranking cannot be drawn again; empty if it can."""
    if algorithms < 2:
        return "one network and variant: there is nothing to rank"
    if groups < 2:
        return f"{groups} patient or sequence: drawing it again changes nothing"
    return ""


def _ranking(values: Values, stable: rank_stability.Stability, level: float) -> Iterator[dict]:
    groups = len(np.unique(values.groups))
    why = reason(len(values.algorithms), groups)
    tau = (
        float(np.nanmean(stable.tau))
        if len(stable.tau) and not why and not np.isnan(stable.tau).all()
        else math.nan
    )
    for (baseline, variant), place, shares in zip(
        values.algorithms, stable.ranks, stable.shares, strict=True
    ):
        low, high = (_quantile(shares, (1 + side * level) / 2) for side in (-1, 1))
        known = not why and not math.isnan(place)
        yield {
            "baseline": baseline,
            "variant": variant,
            "rank": float(place),
            "low": low if known else math.nan,
            "high": high if known else math.nan,
            "first": float(shares[0]) if known else math.nan,
            "tau": tau,
            "groups": groups,
            "least_p": statistics.smallest_p(groups),
            "reason": why,
        }


def _quantile(shares: np.ndarray, at: float) -> float:
    """The rank below or at which that share of the draws lies."""
    return (
        float(1 + np.searchsorted(np.cumsum(shares), at - 1e-9))
        if not np.isnan(shares).any()
        else math.nan
    )


def _shares(values: Values, stable: rank_stability.Stability) -> Iterator[dict]:
    for (baseline, variant), shares in zip(values.algorithms, stable.shares, strict=True):
        for at, share in enumerate(shares, start=1):
            yield {"baseline": baseline, "variant": variant, "at": at, "share": float(share)}


def _pairs(
    values: Values,
    sign: int,
    generator: np.random.Generator,
    resamples: int,
    rule: tuple[float, int, Sequence[str]],
) -> Iterator[dict]:
    places = list(itertools.combinations(range(len(values.algorithms)), 2))
    if not places:
        return
    first, second = np.array(places).T
    gains = sign * (values.values[:, first] - values.values[:, second])
    known = ~np.isnan(gains)
    means = np.divide(
        np.nansum(gains, axis=0), known.sum(0), out=np.full(len(places), np.nan), where=known.any(0)
    )
    alone = statistics.sign_flips(gains, values.groups, generator, resamples)
    p = np.array([_p(values, pair, gain) for pair, gain in zip(places, gains.T, strict=True)])
    level, seeds, limits = rule
    for (left, right), gain, raw, holm, flipped in zip(
        places, means, p, statistics.holm(p), alone, strict=True
    ):
        better, worse = (left, right) if not gain < 0 else (right, left)
        row = {"improvement": abs(float(gain)), "p_holm": float(holm), "unpaired": 0}
        row["seeds"] = int(min(values.seeds[left], values.seeds[right]))
        yield {
            "baseline": values.algorithms[better][0],
            "variant": values.algorithms[better][1],
            "over_baseline": values.algorithms[worse][0],
            "over_variant": values.algorithms[worse][1],
            "gain": abs(float(gain)),
            "p": float(raw),
            "p_holm": float(holm),
            "patients_p": float(flipped),
            "seeds": row["seeds"],
            "verdict": comparisons.clear(row, level, seeds=seeds, limits=limits),
        }


def _p(values: Values, pair: tuple[int, int], gains: np.ndarray) -> float:
    """The p of a pair with the variance of trainings and patients; NaN for one seed."""
    left, right = pair
    data = statistics.clusters(gains, values.groups)
    if min(values.seeds[left], values.seeds[right]) < 2 or len(data.sums) < 2:
        return math.nan
    parts = [
        (values.noise[one].variance / values.seeds[one], values.noise[one].degrees)
        for one in (left, right)
    ]
    variance = sum(one for one, _ in parts)
    own = sum(one**2 / degrees for one, degrees in parts)
    # Two variants of a network share one estimate of it.
    shared = values.algorithms[left][0] == values.algorithms[right][0]
    degrees = parts[0][1] if shared or not own > 0 else variance**2 / own
    numbers = (data.error**2, len(data.sums) - 1.0, variance, degrees)
    error, free = trainings.combined(*map(np.float64, numbers))
    return trainings.Estimate(data.mean, float(error), float(free)).p
