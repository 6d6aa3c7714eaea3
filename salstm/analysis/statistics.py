"""Is a difference between two trainings more than chance? Clustered by patient or sequence.

The unit of chance is the group (a patient's two volumes, a video's frames are no independent
observations), the estimate is the mean over cases. An estimate over groups g with sums s_g and
sizes n_g is sum(s_g) / sum(n_g). Nothing here draws without a generator from the caller, and
nothing is tested that the caller did not declare. Undefined is NaN.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

EXACT = 20  # groups up to which all sign patterns are gone through: 2**20, in 0.1 s
BATCH = 2**22  # drawn numbers held at one time


@dataclass(frozen=True)
class Clusters:
    """Values summed by group.

    Attributes:
        sums: of the values of each group.
        sizes: defined values in each group, at least 1.
    """

    sums: Floats
    sizes: Floats

    @property
    def mean(self) -> float:
        """Mean over the values; NaN without any."""
        return float(self.sums.sum() / self.sizes.sum()) if len(self.sums) else math.nan

    @property
    def means(self) -> Floats:
        """Mean of each group."""
        return self.sums / self.sizes

    @property
    def error(self) -> float:
        """Standard error of the mean, between groups; NaN for fewer than two groups."""
        if len(self.sums) < 2:
            return math.nan
        rest = self.sums - self.mean * self.sizes
        spread = len(rest) / (len(rest) - 1) * float(rest @ rest)
        return math.sqrt(spread) / float(self.sizes.sum())


def clusters(values: Floats, groups: NDArray) -> Clusters:
    """Sum values by group.

    Args:
        values: one per case; NaN values are left out, and groups that have no other.
        groups: the group of each value.

    Returns:
        The groups in sorted order.
    """
    values = np.asarray(values, dtype=np.float64)
    defined = ~np.isnan(values)
    _, index = np.unique(np.asarray(groups)[defined], return_inverse=True)
    sizes = np.bincount(index).astype(np.float64)
    sums = np.zeros(len(sizes))
    np.add.at(sums, index, values[defined])
    return Clusters(sums, sizes)


def interval(
    data: Clusters,
    generator: np.random.Generator,
    *,
    method: str = "robust",
    level: float = 0.95,
    resamples: int = 10_000,
) -> tuple[float, float]:
    """Confidence interval of the mean over cases, by resampling groups.

    Simulated coverage of the 95 % interval, 1,000 studies of each kind (symmetric, skewed, heavy-
    tailed, lognormal differences) with 8 to 60 groups: robust 93.4 to 96.8 %, studentised 91.5 to
    96.0, t 90.0 to 97.0; percentile and BCa, not offered here, 85 to 95.6. With 5 groups robust has 95 to 98 %, with
    4 percentile and BCa have under 81. Where the mean hangs on rare failures that a small study
    need not contain, none holds (robust 84 to 87 % below 20 groups).

    Args:
        data: values by group.
        generator: source of chance; not used by 't'.
        method: 'robust' (each end the farther one of 't' and 'studentised'), 't' (Student's t with
            the standard error between groups) or 'studentised' (bootstrap of the t statistic).
        level: coverage aimed at.
        resamples: bootstrap draws.

    Returns:
        (low, high); NaN for fewer than two groups. A mean without spread has no width.

    Raises:
        ValueError: unknown method.
    """
    if method not in METHODS:
        raise ValueError(f"method: found {method!r}, allowed are {', '.join(METHODS)}")
    if len(data.sums) < 2:
        return math.nan, math.nan
    if data.error <= 1e-12 * abs(data.mean) or data.error == 0:
        return data.mean, data.mean
    return METHODS[method](data, generator, level, resamples)


def sign_flip(data: Clusters, generator: np.random.Generator, resamples: int = 10_000) -> float:
    """Two-sided p of the mean, under random signs of the groups' sums.

    Exact (all sign patterns) up to `EXACT` groups, else by drawing, with the observed pattern
    among the drawn ones.

    Args:
        data: differences by group.
        generator: source of chance; not used where the test is exact.
        resamples: draws where it is not.

    Returns:
        p, at least `smallest_p`; NaN without groups.
    """
    sums = np.abs(data.sums)
    if not len(sums):
        return math.nan
    observed = abs(float(data.sums.sum())) - 1e-9 * float(sums.sum())
    if len(sums) <= EXACT:
        totals = np.zeros(1)
        for size in sums[1:]:  # the first sign is fixed: the other half mirrors this one
            totals = np.concatenate((totals + size, totals - size))
        return float(np.mean(np.abs(totals + sums[0]) >= observed))
    extreme = 0
    for count in _batches(resamples, len(sums)):
        signs = generator.integers(0, 2, (count, len(sums)), dtype=np.int8)
        extreme += int(np.count_nonzero(np.abs(sums.sum() - 2 * (signs @ sums)) >= observed))
    return (extreme + 1) / (resamples + 1)


def sign_flips(
    values: Floats, groups: NDArray, generator: np.random.Generator, resamples: int = 10_000
) -> Floats:
    """`sign_flip` of many columns at one time; all of them see the same signs.

    Args:
        values: differences, one row per case, one column per test; NaN values are left out.
        groups: the group of each case.
        generator: source of chance; not used where the test is exact.
        resamples: draws where it is not.

    Returns:
        p of each column; NaN where a column has no value. Exact up to `EXACT` groups of all columns together.
    """
    sums, defined = _by_group(np.asarray(values, dtype=np.float64), groups)
    observed = np.abs(sums.sum(0)) - 1e-9 * np.abs(sums).sum(0)
    exact = len(sums) <= EXACT
    extreme, drawn = np.zeros(sums.shape[1]), 0
    for signs in _all_signs(len(sums)) if exact else _some_signs(len(sums), generator, resamples):
        extreme += np.count_nonzero(np.abs(signs @ sums) >= observed, axis=0)
        drawn += len(signs)
    p = extreme / drawn if exact else (extreme + 1) / (drawn + 1)
    return np.where(defined, p, np.nan)


def wilcoxon(data: Clusters) -> float:
    """Two-sided p of Wilcoxon's signed-rank test on the groups' means.

    Args:
        data: differences by group.

    Returns:
        p (zeros split between the signs); 1 if all means are zero, NaN without groups.
    """
    from scipy import stats

    if not len(data.sums):
        return math.nan
    if not data.means.any():
        return 1.0
    result: Any = stats.wilcoxon(data.means, zero_method="zsplit")
    return float(result.pvalue)


def smallest_p(groups: int, resamples: int = 10_000) -> float:
    """Smallest two-sided p that `sign_flip` can reach: with few groups nothing is significant."""
    if groups < 1:
        return math.nan
    return 2.0 ** (1 - groups) if groups <= EXACT else 1 / (resamples + 1)


def holm(p: Floats) -> Floats:
    """Adjust p values for a family of tests (Holm's step-down method).

    Args:
        p: all p values of the declared family; NaN where a test could not be made. It still counts
            as a member: a gap must not make the others easier.

    Returns:
        Adjusted values in the same order, NaN where p is.
    """
    p = np.asarray(p, dtype=np.float64)
    order = np.argsort(p, kind="stable")  # NaN last
    factors = np.arange(len(p), 0, -1)
    adjusted = np.minimum(np.maximum.accumulate(p[order] * factors), 1)
    result = np.empty_like(p)
    result[order] = adjusted
    return np.where(np.isnan(p), np.nan, result)


def effect_size(data: Clusters) -> float:
    """Mean of the groups' means over their sd (Cohen's d for pairs); NaN below two groups."""
    if len(data.sums) < 2:
        return math.nan
    spread = float(data.means.std(ddof=1))
    return float(data.means.mean()) / spread if spread > 0 else math.nan


def _by_group(values: Floats, groups: NDArray) -> tuple[Floats, NDArray[np.bool_]]:
    """Sums of each column by group, and which columns have a value at all."""
    _, index = np.unique(np.asarray(groups), return_inverse=True)
    sums = np.zeros((int(index.max()) + 1 if len(index) else 0, values.shape[1]))
    np.add.at(sums, index, np.nan_to_num(values))
    return sums, np.asarray(np.logical_not(np.isnan(values)).any(axis=0))


def _all_signs(groups: int) -> Iterator[Floats]:
    """Every pattern of signs, the first one fixed (the other half mirrors it), in batches."""
    count, size = 2 ** max(groups - 1, 0), 2**14
    for start in range(0, count, size):
        numbers = np.arange(start, min(start + size, count))[:, None]
        bits = numbers >> np.arange(max(groups - 1, 0)) & 1
        fixed = np.ones((len(numbers), min(groups, 1)))
        yield np.hstack((fixed, 1.0 - 2 * bits)).astype(np.float64)


def _some_signs(groups: int, generator: np.random.Generator, resamples: int) -> Iterator[Floats]:
    for count in _batches(resamples, groups):
        drawn = generator.integers(0, 2, (count, groups), dtype=np.int8)
        yield (1.0 - 2 * drawn).astype(np.float64)


def _batches(resamples: int, width: int) -> list[int]:
    size = max(1, BATCH // max(width, 1))
    return [min(size, resamples - start) for start in range(0, resamples, size)]


def draws(
    groups: int, generator: np.random.Generator, resamples: int, width: int | None = None
) -> Iterator[Floats]:
    """Bootstrap draws of groups, in batches.

    Args:
        groups: their number; without any nothing is drawn.
        generator: source of chance.
        resamples: draws in all.
        width: numbers that the caller holds for each draw, which sets the size of a batch; default: groups.

    Yields:
        How often each group was drawn, (draws, groups).
    """
    if not groups:
        return
    shares = np.full(groups, 1 / groups)
    for size in _batches(resamples, width or groups):
        yield generator.multinomial(groups, shares, size).astype(np.float64)


def _resampled(
    data: Clusters, generator: np.random.Generator, resamples: int
) -> tuple[Floats, Floats]:
    """Mean and its standard error in each bootstrap draw."""
    means, errors = [], []
    s, n = data.sums, data.sizes
    for weights in draws(len(s), generator, resamples):
        total = weights @ n
        mean = weights @ s / total
        spread = weights @ (s * s) - 2 * mean * (weights @ (s * n)) + mean**2 * (weights @ (n * n))
        means.append(mean)
        errors.append(np.sqrt(np.maximum(spread, 0) * len(s) / (len(s) - 1)) / total)
    return np.concatenate(means), np.concatenate(errors)


def _student(
    data: Clusters, generator: np.random.Generator, level: float, resamples: int
) -> tuple[float, float]:
    from scipy.special import stdtrit

    half = float(stdtrit(len(data.sums) - 1, (1 + level) / 2)) * data.error
    return data.mean - half, data.mean + half


def _studentised(
    data: Clusters, generator: np.random.Generator, level: float, resamples: int
) -> tuple[float, float]:
    means, errors = _resampled(data, generator, resamples)
    with np.errstate(divide="ignore", invalid="ignore"):
        t = (means - data.mean) / errors
    t = np.where(errors > 0, t, np.where(means == data.mean, 0, np.copysign(np.inf, t)))
    low, high = np.quantile(t, [(1 - level) / 2, (1 + level) / 2], method="inverted_cdf")
    return data.mean - float(high) * data.error, data.mean - float(low) * data.error


def _robust(
    data: Clusters, generator: np.random.Generator, level: float, resamples: int
) -> tuple[float, float]:
    both = [method(data, generator, level, resamples) for method in (_student, _studentised)]
    return min(low for low, _ in both), max(high for _, high in both)


Method = Callable[[Clusters, np.random.Generator, float, int], tuple[float, float]]
METHODS: dict[str, Method] = {
    "robust": _robust,
    "t": _student,
    "studentised": _studentised,
}
