"""What a module does to each network: paired gains, with the variance of patients and of trainings.

All functions take rows as `salstm.evaluation.conventions` scores them, and average in the tables' order: cases,
classes, seeds. A difference is module minus plain on the same cases and classes (`salstm.analysis.case_values`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from salstm.analysis import case_values, statistics, trainings
from salstm.analysis.case_values import Pairs
from salstm.analysis.results import Frame, Series
from salstm.columns import CELL, COLUMNS
from salstm.evaluation import conventions
from salstm.vocabulary import ATTENTION, DECLARED, METRICS, PLAIN, SELECTIONS, STRICT

COMPARISON = COLUMNS["comparisons"][:-3]
"""Without what is the same in every row: family, level, protocol."""
KEY = COMPARISON[:4]
"""Dataset, network, module and metric: what names a comparison."""
BETTER, WORSE, UNDECIDED = "better", "worse", "undecided"
SEEDS = 3
"""Trainings of each variant that a verdict needs."""


@dataclass(frozen=True)
class Family:
    """The tests that were declared before the run; nothing else is tested.

    Attributes:
        modules: variants that are compared with plain.
        metrics: columns that are compared.
        exploratory: columns that are shown and never compared.
        subgroups: kinds of subgroups whose scores are shown and never compared.
        protocol: name in `salstm.vocabulary.PROTOCOLS`.
        resamples: bootstrap and permutation draws.
        level: of the intervals; 1 - level is the level of the tests.
        method: of the patients' intervals, as in `salstm.analysis.statistics.interval`.
    """

    modules: Sequence[str] = ATTENTION
    metrics: Sequence[str] = DECLARED
    exploratory: Sequence[str] = ()
    subgroups: Sequence[str] = ()
    protocol: str = STRICT
    resamples: int = 10_000
    level: float = 0.95
    method: str = "robust"

    @property
    def named(self) -> list[str]:
        """Metrics that are shown: compared or explored."""
        return [*self.metrics, *self.exploratory]


def clear(
    row: Mapping[str, Any], level: float, *, seeds: int = SEEDS, limits: Sequence[str] = ()
) -> str:
    """Whether a comparison is beyond chance: the one place where that is decided.

    Args:
        row: a comparison, with p_holm of its family.
        level: of the intervals.
        seeds: trainings of each variant that a verdict needs.
        limits: why this run cannot decide about accuracy, whatever it finds.

    Returns:
        `BETTER` or `WORSE`; `UNDECIDED` where it may be chance, or the run cannot decide; empty where nothing was
        compared.
    """
    if math.isnan(row["improvement"]):
        return ""
    able = row["seeds"] >= seeds and not row["unpaired"] and not limits
    if not (able and row["p_holm"] <= 1 - level):
        return UNDECIDED
    return BETTER if row["improvement"] > 0 else WORSE


def compare(
    scores: pd.DataFrame,
    grid: Mapping[str, Sequence[str]],
    family: Family,
    generator: np.random.Generator,
    *,
    seeds: int = SEEDS,
    limits: Sequence[str] = (),
) -> pd.DataFrame:
    """Compare every module with plain on every network, and adjust for all of these tests.

    Args:
        scores: raw rows of `salstm.evaluation.scoring.score` of any number of runs.
        grid: dataset -> its networks: all that were declared, run or not.
        family: the declared tests.
        generator: source of chance.
        seeds: trainings of each variant that a verdict needs.
        limits: why this run cannot decide about accuracy.

    Returns:
        One row of `COMPARISON` per dataset, network, module and metric, in the declared order. `difference` is module -
        plain; `improvement` is the same with the sign turned for distances. `low`, `high`, `p`, `p_holm` answer "does
        the module help?" and carry the variance of trainings and patients (NaN for one seed); `patients_low`,
        `patients_high`, `patients_p` are about these trainings and new patients. Where nothing can be compared the
        numbers are NaN and `reason` says why; the row still counts in Holm's adjustment.
    """
    rows = conventions.under_protocol(scores, family.protocol)
    refused = conventions.refusals(scores, family.protocol)
    table: list[dict[str, Any]] = []
    for dataset, baselines in grid.items():
        part = _where(rows, dataset=dataset)
        noise = training_noise(part, family.metrics)
        for baseline in baselines:
            cell: Frame = _where(part, baseline=baseline)
            spreads = {name: case_values.spread(cell, name) for name in family.metrics}
            for module in family.modules:
                for metric in family.metrics:
                    key = (dataset, baseline, module, metric)
                    pairs = case_values.paired(spreads[metric], module)
                    row = dict(zip(COMPARISON, key, strict=False))
                    row |= _compared(pairs, METRICS[metric].sign, family, generator)
                    row |= _deciding(row, pairs, noise.get((baseline, metric), NO_NOISE), family)
                    row |= {"unit": str(cell["unit"].iloc[0]) if len(cell) else ""}
                    why = _reason(cell, module, len(pairs.table))
                    table.append(row | {"reason": refused.get(dataset, why)})
    frame = pd.DataFrame(table).reindex(columns=list(COMPARISON))
    return judged(frame, family.level, seeds=seeds, limits=limits)


def judged(
    table: pd.DataFrame, level: float, *, seeds: int = SEEDS, limits: Sequence[str] = ()
) -> pd.DataFrame:
    """Comparisons as one family: `p_holm`, the smallest gain that its first step can find, and `verdict`.

    Args:
        table: rows of `COMPARISON`: all that were declared.
        level: of the intervals.
        seeds: trainings of each variant that a verdict needs.
        limits: why this run cannot decide about accuracy.
    """
    table = table.assign(p_holm=statistics.holm(table["p"].to_numpy(dtype=np.float64)))
    records = table.to_dict("records")
    errors = (np.hypot(row["group_error"], row["training_error"]) for row in records)
    gains = [
        trainings.detectable(float(error), row["degrees"], level, len(table))
        for error, row in zip(errors, records, strict=True)
    ]
    verdicts = [clear(row, level, seeds=seeds, limits=limits) for row in records]
    return table.assign(detectable=gains, verdict=verdicts)


@dataclass(frozen=True)
class Noise:
    """How far a training's mean moves, of a network.

    Attributes:
        variance: moderated over the networks of the dataset.
        degrees: of freedom of it.
    """

    variance: float
    degrees: float


NO_NOISE = Noise(math.nan, math.nan)


def training_noise(rows: pd.DataFrame, metrics: Sequence[str]) -> dict[tuple[str, str], Noise]:
    """The variance of a training's mean on a dataset, by network and metric, shared over its variants and networks.

    Args:
        rows: scored rows of one dataset, under one selection.
        metrics: the columns.
    """
    known: Frame = over_seeds(rows, metrics).dropna(subset="sd")
    known = known.assign(free=known["seeds"] - 1, sum=(known["seeds"] - 1) * known["sd"] ** 2)
    found = {}
    for metric, part in known.groupby("metric"):
        networks = part.groupby("baseline")[["sum", "free"]].sum()
        free = networks["free"].to_numpy(dtype=np.float64)
        shared = trainings.moderated(networks["sum"].to_numpy(dtype=np.float64) / free, free)
        for name, *noise in zip(networks.index, shared.variance, shared.degrees, strict=True):
            found[str(name), str(metric)] = Noise(*map(float, noise))
    return found


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
    pairs: Pairs, sign: int, family: Family, generator: np.random.Generator
) -> dict[str, float | int]:
    """What these trainings say about new patients."""
    table = pairs.table
    data = statistics.clusters(
        table["difference"].to_numpy(dtype=np.float64), table["group"].to_numpy()
    )
    low, high = statistics.interval(
        data, generator, method=family.method, level=family.level, resamples=family.resamples
    )
    return {
        "plain": _mean(table["plain"]),
        "with_module": _mean(table["module"]),
        "difference": data.mean,
        "patients_low": low,
        "patients_high": high,
        "improvement": sign * data.mean,
        "groups_improved": float(np.mean(sign * data.means > 0)) if len(data.sums) else math.nan,
        "patients_p": statistics.sign_flip(data, generator, family.resamples),
        "p_wilcoxon": statistics.wilcoxon(data),
        "smallest_p": statistics.smallest_p(len(data.sums), family.resamples),
        "effect_size": sign * statistics.effect_size(data),
        "group_error": data.error,
        "cases": len(table),
        "groups": len(data.sums),
        "seeds": pairs.seeds,
        "unpaired": pairs.unpaired,
        "pairs_left_out": pairs.left_out,
    }


def _deciding(
    row: Mapping[str, Any], pairs: Pairs, noise: Noise, family: Family
) -> dict[str, float]:
    """Does the module help: the interval and p that carry the variance of trainings, too."""
    share = sum(1 / max(len(one), 1) for one in pairs.trainings)
    known = pairs.seeds > 1 and row["groups"] > 1
    variance = noise.variance * share if known else math.nan
    between = row["group_error"] ** 2
    error, degrees = trainings.combined(
        np.float64(between),
        np.float64(row["groups"] - 1),
        np.float64(variance),
        np.float64(noise.degrees),
    )
    estimate = trainings.Estimate(row["difference"], float(error), float(degrees))
    low, high = estimate.interval(family.level)
    luck = trainings.quantile((1 + family.level) / 2, noise.degrees) * math.sqrt(variance)
    return {
        "low": low,
        "high": high,
        # Where nothing varies at all, the signs of the groups are what is left.
        "p": row["patients_p"] if error == 0 else estimate.p,
        "degrees": estimate.degrees,
        "seed_sd": math.sqrt(noise.variance) if pairs.seeds > 1 else math.nan,
        "training_error": math.sqrt(variance),
        "interaction": _interaction(pairs),
        "luck": luck,
    }


def _interaction(pairs: Pairs) -> float:
    """Variance of one training's mean that comes from how it meets each patient; NaN for one seed.

    The mean of both variants. It is in the variance between groups, divided by the seeds, and so what more seeds take
    from that.
    """
    if pairs.seeds < 2 or pairs.table.empty:
        return math.nan
    groups, found = pairs.table["group"].to_numpy(), []
    for values in pairs.trainings:
        rest = values - values.mean(1, keepdims=True)
        rest -= rest.mean(0)
        errors = [statistics.clusters(one, groups).error ** 2 for one in rest]
        found.append(sum(errors) / (len(values) - 1))
    return float(np.mean(found))


def _reason(cell: pd.DataFrame, module: str, cases: int) -> str:
    """Why there is nothing to compare; empty if there is."""
    variants = set(cell["variant"])
    missing = [variant for variant in (PLAIN, module) if variant not in variants]
    if missing:
        return f"no scores of {' and '.join(missing)}"
    return "" if cases else "no case with a defined value in every training"


def _mean(values: Series) -> float:
    return float(np.mean(values.to_numpy())) if len(values) else math.nan


def _where(rows: pd.DataFrame, **wanted: str | Sequence[str]) -> pd.DataFrame:
    """Rows whose columns have the wanted value, or one of them."""
    keep = np.ones(len(rows), dtype=np.bool_)
    for name, value in wanted.items():
        values = [value] if isinstance(value, str) else list(value)
        keep &= np.isin(rows[name].to_numpy(dtype=object), values)
    return rows.loc[keep]
