"""Does the module help, whatever the trainings were? The variance of trainings beside that of patients.

A gain G of a module over plain, averaged over S trainings of plain and S' of the module, varies because other patients
could have been tested and because other trainings could have been drawn. Its variance is V_groups + s^2 (1 / S + 1 /
S'), where s is the standard deviation of a training's mean, and (G - truth) / sqrt(V) is compared with Student's t of
Satterthwaite's degrees of freedom. Three trainings tell little about s, so it is shared: the variances of a network's
variants are pooled, and those of a dataset's networks are drawn together by an empirical Bayes prior (Smyth 2004),
which weighs at most as much as a network's own trainings. What was tried beside it, and how often each is wrong:
docs/statistics.md.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Numbers = Floats | np.float64
POWER = 0.8
"""Share of the studies that find a gain which counts as detectable."""
STEPS = 20
"""Of Newton's method for the inverse of the trigamma function, which is exact to 1e-8 after five."""


@dataclass(frozen=True)
class Shared:
    """The variance of a training's mean, of each network.

    Attributes:
        variance: moderated; NaN where no variant of a network has two trainings.
        degrees: of freedom of that variance.
    """

    variance: Floats
    degrees: Floats


@dataclass(frozen=True)
class Estimate:
    """A gain with the variance of trainings and of patients.

    Attributes:
        mean: the gain.
        error: its standard error; NaN where it cannot be known.
        degrees: of freedom of the error.
    """

    mean: float
    error: float
    degrees: float

    def interval(self, level: float) -> tuple[float, float]:
        """The gain's confidence interval; NaN without an error."""
        half = quantile((1 + level) / 2, self.degrees) * self.error
        return self.mean - half, self.mean + half

    @property
    def p(self) -> float:
        """Two-sided p of no gain; NaN without an error or where nothing varies."""
        from scipy.special import stdtr

        if not self.error > 0:
            return math.nan
        return float(2 * stdtr(self.degrees, -abs(self.mean) / self.error))


def quantile(share: float, degrees: float) -> float:
    """Of Student's t."""
    from scipy.special import stdtrit

    return float(stdtrit(degrees, share))


def detectable(error: float, degrees: float, level: float, tests: int) -> float:
    """The smallest gain that `POWER` of the studies find, as the first of a Holm family.

    Args:
        error: standard error of a gain.
        degrees: of freedom of the error.
        level: of the intervals; 1 - level is what the family may err.
        tests: in the family.
    """
    alpha = (1 - level) / tests
    return (quantile(1 - alpha / 2, degrees) + quantile(POWER, degrees)) * error


def combined(
    groups: Numbers, free: Numbers, trainings: Numbers, degrees: Numbers
) -> tuple[Floats, Floats]:
    """The standard error of two independent parts, and Satterthwaite's degrees of freedom.

    Args:
        groups: variance of the gain between groups.
        free: its degrees of freedom: groups - 1.
        trainings: variance of the gain between trainings.
        degrees: of freedom of that.

    Returns:
        The error, and its degrees of freedom; where nothing varies, those of the groups. Any shapes that broadcast.
    """
    total = np.asarray(groups + trainings)
    parts = np.asarray(groups**2 / free + trainings**2 / degrees)
    start = np.broadcast_to(np.asarray(free, dtype=np.float64), total.shape)
    return np.sqrt(total), np.divide(total**2, parts, out=start.copy(), where=parts > 0)


def moderated(variances: Floats, degrees: Floats) -> Shared:
    """Draw the variances of a dataset's networks together.

    The prior is an inverse gamma distribution, fitted to the logarithms of the variances by their mean and variance
    (Smyth 2004, section 6.2). It never weighs more than the network's own trainings: a handful of networks can look
    equal by luck.

    Args:
        variances: of a training's mean, (..., networks), pooled over a network's variants; NaN where there is none.
        degrees: of freedom of each, the same shape.

    Returns:
        Both of the same shape; a network alone keeps its own.
    """
    variances, degrees = np.broadcast_arrays(
        np.asarray(variances, dtype=np.float64), np.asarray(degrees, dtype=np.float64)
    )
    centre, prior = _prior(variances, degrees)
    weight = np.minimum(prior, degrees)
    shared = (weight * centre + degrees * variances) / (weight + degrees)
    return Shared(shared, np.where(np.isnan(shared), np.nan, weight + degrees))


def _prior(variances: Floats, degrees: Floats) -> tuple[Floats, Floats]:
    """Centre and degrees of freedom of the prior, (..., 1); 0 degrees where it cannot be known."""
    from scipy.special import digamma, polygamma

    known = (variances > 0) & (degrees > 0)
    count = known.sum(-1, keepdims=True)
    half = np.where(known, degrees, 2.0) / 2
    logs = np.where(
        known, np.log(np.where(known, variances, 1.0)) - digamma(half) + np.log(half), 0.0
    )
    mean = logs.sum(-1, keepdims=True) / np.maximum(count, 1)
    spread = np.where(known, (logs - mean) ** 2, 0.0).sum(-1, keepdims=True) / np.maximum(
        count - 1, 1
    )
    own = np.where(known, polygamma(1, half), 0.0).sum(-1, keepdims=True) / np.maximum(count, 1)
    excess = spread - own
    unequal = excess > 0
    prior = np.where(unequal, 2 * _inverse_trigamma(np.where(unequal, excess, 1.0)), np.inf)
    finite = np.where(unequal, prior, 2.0) / 2
    pooled = np.where(known, variances * degrees, 0.0).sum(-1, keepdims=True)
    pooled = pooled / np.maximum(np.where(known, degrees, 0.0).sum(-1, keepdims=True), 1)
    centre = np.where(unequal, np.exp(mean + digamma(finite) - np.log(finite)), pooled)
    return centre, np.where(count > 1, prior, 0.0)


def _inverse_trigamma(values: Floats) -> Floats:
    """Newton's method on the reciprocal, from 0.5 + 1 / x, whence it converges from one side (Smyth 2004, appendix)."""
    from scipy.special import polygamma

    y = 0.5 + 1 / values
    for _ in range(STEPS):
        found = polygamma(1, y)
        y = y + found * (1 - found / values) / polygamma(2, y)
    return y
