"""What a module does to each network: paired differences with intervals, tests and seed noise.

All functions take rows as `salstm.evaluation.conventions` scores them, and average in this order: seeds, then
classes, then cases. A difference is module minus plain of the same case, class and seed; where one
of the two is undefined or was not run, the pair is left out and counted.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from salstm.analysis import statistics
from salstm.columns import CELL, COLUMNS
from salstm.evaluation import conventions
from salstm.vocabulary import ATTENTION, DECLARED, METRICS, PLAIN, SELECTIONS, STRICT

COMPARISON = COLUMNS["comparisons"][:-3]
"""Without what is the same in every row: family, level, protocol."""


@dataclass(frozen=True)
class Family:
    """The tests that were declared before the run; nothing else is tested.

    Attributes:
        modules: variants that are compared with plain.
        metrics: columns that are compared.
        protocol: name in `salstm.vocabulary.PROTOCOLS`.
        resamples: bootstrap and permutation draws.
        level: of the intervals; 1 - level is the level of the tests.
        method: of the intervals, as in `salstm.analysis.statistics.interval`.
    """

    modules: Sequence[str] = ATTENTION
    metrics: Sequence[str] = DECLARED
    protocol: str = STRICT
    resamples: int = 10_000
    level: float = 0.95
    method: str = "robust"


def compare(
    scores: pd.DataFrame,
    grid: Mapping[str, Sequence[str]],
    family: Family,
    generator: np.random.Generator,
) -> pd.DataFrame:
    """Compare every module with plain on every network, and adjust for all of these tests.

    Args:
        scores: raw rows of `salstm.evaluation.scoring.score` of any number of runs.
        grid: dataset -> its networks: all that were declared, run or not.
        family: the declared tests.
        generator: source of chance.

    Returns:
        One row of `COMPARISON` per dataset, network, module and metric, in the declared order.
        `difference` is module - plain with its interval (`low`, `high`); `improvement` is the same
        with the sign turned for distances. Where nothing can be compared the numbers are NaN and
        `reason` says why; the row still counts in Holm's adjustment.
    """
    rows = conventions.under_protocol(scores, family.protocol)
    refused = conventions.refusals(scores, family.protocol)
    table = []
    for dataset, baselines in grid.items():
        for baseline in baselines:
            cell = _where(rows, dataset=dataset, baseline=baseline)
            for module in family.modules:
                for metric in family.metrics:
                    key = dict(zip(COMPARISON, (dataset, baseline, module, metric), strict=False))
                    row = _compared(cell, module, metric, family, generator)
                    table.append({**key, **row, "reason": refused.get(dataset, row["reason"])})
    frame = pd.DataFrame(table, columns=list(COMPARISON))
    return frame.assign(p_holm=statistics.holm(frame["p"].to_numpy(dtype=np.float64)))


def paired(rows: pd.DataFrame, module: str, metric: str) -> tuple[pd.DataFrame, int]:
    """Pair a module with plain on one network.

    Args:
        rows: scored rows of one dataset and network, under one selection.
        module: the variant.
        metric: the column.

    Returns:
        A frame with one row per case: `group`, `case`, `plain`, `module`, `difference`, each the
        mean over the seeds that both have and the classes; and how many pairs (case, class, seed)
        were left out because a value is undefined.
    """
    keys = ["group", "case", "class", "seed"]
    sides = [_where(rows, variant=name).filter([*keys, metric]) for name in (PLAIN, module)]
    pairs = sides[0].merge(sides[1], on=keys, suffixes=("_plain", "_module"))
    plain, changed = (pairs[f"{metric}_{name}"].to_numpy() for name in ("plain", "module"))
    values = pairs.filter(keys).assign(plain=plain, module=changed, difference=changed - plain)
    values = values.dropna()
    left_out = len(pairs) - len(values)
    means = {name: (name, "mean") for name in ("plain", "module", "difference")}
    for key in ("seed", "class"):
        keys.remove(key)
        values = values.groupby(keys).agg(**means).reset_index()
    return values, left_out


def over_seeds(rows: pd.DataFrame, metrics: Sequence[str]) -> pd.DataFrame:
    """Mean and standard deviation over the seeds of each dataset, network and variant.

    Args:
        rows: scored rows, under one selection for each dataset.
        metrics: the columns.

    Returns:
        Columns dataset, baseline, variant, metric, mean, sd (NaN for one seed), seeds; sorted.
    """
    means = conventions.average(rows, metrics)
    long = means.melt([*CELL, "seed"], list(metrics), "metric", "value")
    grouped = long.groupby([*CELL, "metric"])
    columns = {"mean": ("value", "mean"), "sd": ("value", "std"), "seeds": ("value", "count")}
    return grouped.agg(**columns).reset_index()


def optimism(scores: pd.DataFrame, convention: str, metrics: Sequence[str]) -> pd.DataFrame:
    """What choosing the weights on the test set is worth, cell by cell.

    Args:
        scores: raw rows.
        convention: name in `salstm.evaluation.conventions.CONVENTIONS`.
        metrics: the columns.

    Returns:
        Columns dataset, baseline, variant, seed, metric, last, best_val, best_test (NaN where a
        selection is missing) and optimism = best_test - best_val.
    """
    means = conventions.average(conventions.apply(scores, convention), metrics)
    long = means.melt([*CELL, "seed", "selection"], list(metrics), "metric", "value")
    wide = long.pivot(index=[*CELL, "seed", "metric"], columns="selection", values="value")
    for name in SELECTIONS:
        if name not in wide.columns:
            wide = wide.assign(**{name: math.nan})
    gain = wide["best_test"].to_numpy() - wide["best_val"].to_numpy()
    return wide.filter(list(SELECTIONS)).assign(optimism=gain).reset_index()


def ranks(scores: pd.DataFrame, selection: str, metric: str) -> pd.DataFrame:
    """Rank of every network and variant of a dataset under each convention.

    Args:
        scores: raw rows.
        selection: 'last', 'best_val' or 'best_test'.
        metric: the column.

    Returns:
        Columns dataset, baseline, variant, then one rank per convention: 1 is best, ties share the
        better one, NaN where the mean is undefined.
    """
    columns = {}
    for name in conventions.CONVENTIONS:
        rows = conventions.apply(_where(scores, selection=selection), name)
        means = conventions.average(rows, [metric]).groupby(list(CELL)).agg(value=(metric, "mean"))
        order = means.groupby("dataset").rank(
            method="min", ascending=METRICS[metric].better == "lower"
        )
        columns[name] = order["value"]
    return pd.DataFrame(columns).reset_index()


def _compared(
    cell: pd.DataFrame,
    module: str,
    metric: str,
    family: Family,
    generator: np.random.Generator,
) -> dict[str, float | str]:
    values, left_out = paired(cell, module, metric)
    data = statistics.clusters(
        values["difference"].to_numpy(dtype=np.float64), values["group"].to_numpy()
    )
    sign = METRICS[metric].sign
    low, high = statistics.interval(
        data, generator, method=family.method, level=family.level, resamples=family.resamples
    )
    noise = _seed_sd(cell, module, metric)
    return {
        "plain": _mean(values["plain"].to_numpy()),
        "with_module": _mean(values["module"].to_numpy()),
        "difference": data.mean,
        "low": low,
        "high": high,
        "improvement": sign * data.mean,
        "groups_improved": float(np.mean(sign * data.means > 0)) if len(data.sums) else math.nan,
        "p": statistics.sign_flip(data, generator, family.resamples),
        "p_wilcoxon": statistics.wilcoxon(data),
        "smallest_p": statistics.smallest_p(len(data.sums), family.resamples),
        "effect_size": sign * statistics.effect_size(data),
        "seed_sd": noise,
        "gain_over_seed_sd": sign * data.mean / noise if noise > 0 else math.nan,
        "cases": len(values),
        "groups": len(data.sums),
        "seeds": len(_seeds(cell, PLAIN) & _seeds(cell, module)),
        "pairs_left_out": left_out,
        "reason": _reason(cell, module, len(values)),
    }


def _reason(cell: pd.DataFrame, module: str, cases: int) -> str:
    """Why there is nothing to compare; empty if there is."""
    variants = set(cell["variant"])
    missing = [variant for variant in (PLAIN, module) if variant not in variants]
    if missing:
        return f"no scores of {' and '.join(missing)}"
    return "" if cases else "no seed, or no defined value, in common"


def _seed_sd(cell: pd.DataFrame, module: str, metric: str) -> float:
    """Standard deviation over seeds of the mean, pooled over plain and the module."""
    means = over_seeds(_where(cell, variant=(PLAIN, module)), [metric])
    spreads = means["sd"].to_numpy(dtype=np.float64)
    return float(np.sqrt(np.mean(spreads**2))) if len(spreads) == 2 else math.nan


def _seeds(cell: pd.DataFrame, variant: str) -> set[int]:
    return set(_where(cell, variant=variant)["seed"].tolist())


def _mean(values: NDArray) -> float:
    return float(np.mean(values)) if len(values) else math.nan


def _where(rows: pd.DataFrame, **wanted: str | Sequence[str]) -> pd.DataFrame:
    """Rows whose columns have the wanted value, or one of them."""
    keep = np.ones(len(rows), dtype=np.bool_)
    for name, value in wanted.items():
        values = [value] if isinstance(value, str) else list(value)
        keep &= np.isin(rows[name].to_numpy(dtype=object), values)
    return rows.loc[keep]
