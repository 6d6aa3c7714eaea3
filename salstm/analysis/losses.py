"""How far a training got on its own data: the loss at its end, a module beside a variant without its attention."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from salstm.analysis import trainings
from salstm.analysis.results import Frame
from salstm.columns import CELL

END = 0.1
"""Share of the epochs that are the end of a training; at least one epoch."""


def compare(
    history: Frame,
    grid: Mapping[str, Sequence[str]],
    modules: Sequence[str],
    against: str,
) -> Frame:
    """Compare the logarithms of the losses at the end: networks differ in scale. Only trainings vary here.

    Args:
        history: collected rows, one per training and epoch.
        grid: dataset -> its networks: all that were declared, run or not.
        modules: variants that are compared.
        against: with this one.

    Returns:
        One row per dataset, network and module: ratio (below 1 is better), improvement (minus the logarithm of the
        ratio; NaN where there is nothing to compare), p (NaN for one seed), seeds, unpaired (0: no cases are involved).
    """
    ends = at_the_end(history)
    means = ends.groupby(list(CELL))["log"].agg(["mean", "var", "count"])
    rows = []
    for dataset, networks in grid.items():
        noise = _noise(means, dataset)
        for baseline in networks:
            for module in modules:
                keys = [(dataset, baseline, one) for one in (module, against)]
                row = _compared(
                    [means.loc[key].tolist() for key in keys if key in means.index],
                    noise.get(baseline),
                )
                rows.append({"dataset": dataset, "baseline": baseline, "module": module, **row})
    return pd.DataFrame(rows)


def at_the_end(history: Frame) -> Frame:
    """The mean loss over the last `END` of each training's epochs: a column per identity, loss and log (NaN at 0)."""
    keys = [*CELL, "seed"]
    last = history.groupby(keys)["epoch"].transform("max")
    kept = history[history["epoch"] > np.minimum(np.floor(last * (1 - END)), last - 1)]
    ends = kept.groupby(keys)["loss"].mean().reset_index()
    values = ends["loss"].to_numpy(dtype=np.float64)
    return ends.assign(log=np.log(np.where(values > 0, values, np.nan)))


def _noise(means: Frame, dataset: str) -> dict[str, tuple[float, float]]:
    """Variance of a training's log loss and its degrees of freedom, by network of a dataset."""
    part = means[(means.index.get_level_values("dataset") == dataset) & (means["count"] > 1)]
    part = part.assign(free=part["count"] - 1, sum=part["var"] * (part["count"] - 1))
    networks = part.groupby("baseline")[["sum", "free"]].sum()
    free = networks["free"].to_numpy(dtype=np.float64)
    shared = trainings.moderated(networks["sum"].to_numpy(dtype=np.float64) / free, free)
    numbers = zip(networks.index, shared.variance, shared.degrees, strict=True)
    return {str(name): (float(variance), float(degrees)) for name, variance, degrees in numbers}


def _compared(pair: Sequence[Sequence[float]], noise: tuple[float, float] | None) -> dict[str, Any]:
    """Of mean, variance and count of both."""
    if len(pair) < 2 or any(math.isnan(one[0]) for one in pair):
        return {
            "ratio": math.nan,
            "improvement": math.nan,
            "p": math.nan,
            "seeds": 0,
            "unpaired": 0,
        }
    (log, _, count), (other, _, others) = pair
    seeds = int(min(count, others))
    row = {"ratio": math.exp(log - other), "improvement": other - log, "p": math.nan}
    if seeds > 1 and noise:
        variance, degrees = noise
        error = math.sqrt(variance * (1 / count + 1 / others))
        row["p"] = trainings.Estimate(other - log, error, degrees).p
    return row | {"seeds": seeds, "unpaired": 0}
