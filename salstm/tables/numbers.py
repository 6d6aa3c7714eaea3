"""The numbers of the comparison, tidy and in full precision; nothing is rounded here.

Order of aggregation: the cases of each class, then the classes, then the seeds.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from salstm.analysis.results import Collected, Frame, Series, classes_of
from salstm.evaluation import conventions
from salstm.tables import published
from salstm.vocabulary import METRICS, PROTOCOLS, SELECTIONS, STRICT

MEAN = "mean"
"""Stands in the column ``class`` for the mean over the classes."""
_KEYS = ["baseline", "variant", "metric", "class"]


def comparison(
    data: Collected,
    cards: Mapping[str, Any],
    dataset: str,
    protocol: str,
    metrics: Sequence[str],
) -> Frame:
    """Every number of a dataset's tables under a protocol.

    Args:
        data: what was collected.
        cards: by network.
        dataset: as in config.yaml.
        protocol: a name in ``salstm.vocabulary.PROTOCOLS``.
        metrics: those that are shown.

    Returns:
        One row per network, variant, metric and class (and ``mean`` over the classes), in the grid's order, also
        for cells without scores. ``mean`` and ``sd`` are over the seeds (sd NaN with one), ``seeds`` those that
        were scored; ``values`` is how many (seed, case, class) stand behind it, ``undefined`` how many of them
        were NaN and left out, ``missed`` and ``invented`` how many structures; ``rank`` is 1 for the best of a
        metric and class. Then the published number, and ours minus it where the two can be compared: a run of the
        number's split, with the weights that it was published with (``held``, which need not be the protocol's own).
        ``refused`` says why the protocol shows nothing of the dataset, where it does not.
    """
    part = data.of(dataset)
    rows = conventions.under_protocol(part.scores, protocol)
    frame = _grid(part, dataset, metrics).merge(_summary(rows, metrics), on=_KEYS, how="left")
    for count in ("seeds", "values", "undefined", "missed", "invented", "cases"):
        frame[count] = frame[count].fillna(0).astype(int)
    frame["rank"] = _rank(frame)
    distances = [name for name in metrics if METRICS[name].is_distance]
    frame["unit"] = np.where(frame["metric"].isin(distances), unit_of(rows), "fraction")
    chosen = PROTOCOLS[protocol]
    refused = conventions.refusals(part.scores, protocol).get(dataset, "")
    fixed: dict[str, Any] = {"dataset": dataset, "protocol": protocol, "refused": refused}
    fixed |= {"convention": chosen.convention_for(dataset), "selection": chosen.selection}
    return _with_published(frame.assign(**fixed), cards, _others(part, protocol, metrics))[
        [*fixed, *_KEYS, *(name for name in frame.columns if name not in _KEYS), *_PUBLISHED]
    ]


def per_seed(rows: Frame, metrics: Sequence[str]) -> Frame:
    """Average scored rows over the cases of each class, then over the classes, seed by seed.

    Args:
        rows: of one dataset, as from ``salstm.evaluation.conventions.under_protocol``.
        metrics: the columns.

    Returns:
        Columns baseline, variant, seed, metric, class (a name, or ``mean``), value.
    """
    keys = ["baseline", "variant", "seed"]
    metrics = list(metrics)
    classes = rows.groupby([*keys, "class"], sort=False)[metrics].mean().reset_index()
    means = classes.groupby(keys, sort=False)[metrics].mean().reset_index()
    both = pd.concat([classes, means.assign(**{"class": MEAN})], ignore_index=True)
    return both.melt([*keys, "class"], metrics, var_name="metric")


def unit_of(rows: Frame) -> str:
    """Unit of the distances: 'mm', 'voxel', 'pixel', or several joined."""
    units = [] if "unit" not in rows else sorted(rows["unit"].dropna().unique())
    return " and ".join(units) or "voxel"


def units(data: Collected, comparisons: Frame) -> dict[str, str]:
    """Unit of the distances of each dataset under the protocol of the declared comparisons."""
    protocol = declared(comparisons)
    return {dataset: unit_in(data, dataset, protocol) for dataset in data.datasets}


def declared(comparisons: Frame) -> str:
    """Protocol of the declared comparisons."""
    return str(comparisons["protocol"].iloc[0]) if len(comparisons) else STRICT


def unit_in(data: Collected, dataset: str, protocol: str = STRICT) -> str:
    """Unit of the distances of a dataset under a protocol."""
    rows = data.of(dataset).scores
    scope = conventions.CONVENTIONS[PROTOCOLS[protocol].convention_for(dataset)].scope
    return unit_of(rows[rows["scope"] == scope])


def _summary(rows: Frame, metrics: Sequence[str]) -> Frame:
    """Mean and sd over seeds, and the counts behind them."""
    seeds = per_seed(rows, metrics).groupby(_KEYS, sort=False)["value"]
    table = seeds.agg(mean="mean", sd="std", seeds="count").reset_index()
    return table.merge(_counts(rows, metrics), on=_KEYS, how="left")


def _counts(rows: Frame, metrics: Sequence[str]) -> Frame:
    """How many values stand behind each number, and how many of them are holes."""
    tally = rows.assign(
        missed=rows["state"].to_numpy() == "missed", invented=rows["state"].to_numpy() == "invented"
    )
    long = tally.melt(
        ["baseline", "variant", "class", "case", "missed", "invented"],
        list(metrics),
        var_name="metric",
    )
    long["undefined"] = long["value"].isna()
    both = pd.concat([long, long.assign(**{"class": MEAN})], ignore_index=True)
    return (
        both.groupby(_KEYS, sort=False)
        .agg(
            cases=("case", "nunique"),
            values=("value", "size"),
            undefined=("undefined", "sum"),
            missed=("missed", "sum"),
            invented=("invented", "sum"),
        )
        .reset_index()
    )


def _grid(part: Collected, dataset: str, metrics: Sequence[str]) -> Frame:
    """All rows that a dataset's tables have, done or not; an imported network may have one variant alone."""
    classes = [*classes_of(dataset), MEAN]
    pairs = itertools.product(part.baselines(dataset), part.variants)
    cells = pd.DataFrame(pairs, columns=["baseline", "variant"])
    axes = pd.MultiIndex.from_product([list(metrics), classes], names=["metric", "class"])
    return cells.merge(axes.to_frame(index=False), how="cross")


def _rank(frame: Frame) -> Series:
    """1 for the best of each metric and class; NaN where there is no number."""
    signed = -frame["mean"] * [METRICS[name].sign for name in frame["metric"]]
    return signed.groupby([frame["metric"], frame["class"]]).rank(method="min")


_PUBLISHED = ("published", "held", "difference", "comparable", "verified", "source", "why")

Means = Mapping[tuple[str, ...], float]
"""By selection, network, variant, metric and class."""


@dataclass(frozen=True)
class _Others:
    """What published numbers are held against: our means with each selection of weights, the run's split and grid."""

    means: Means
    split: str
    grid: str


def _others(part: Collected, protocol: str, metrics: Sequence[str]) -> _Others:
    found: dict[tuple[str, ...], float] = {}
    for selection in SELECTIONS if protocol == published.COMPARABLE_UNDER else ():
        rows = conventions.under_protocol(part.scores, protocol, selection)
        means = per_seed(rows, metrics).groupby(_KEYS, sort=False)["value"].mean()
        for key, value in means.items():
            baseline, variant, metric, name = key  # type: ignore[misc] # of _KEYS
            found[(selection, baseline, variant, metric, name)] = float(value)
    facts = (
        " and ".join(sorted(map(str, part.cells[name].dropna().unique())))
        for name in ("split", "grid")
    )
    return _Others(found, *facts)


def _with_published(frame: Frame, cards: Mapping[str, Any], others: _Others) -> Frame:
    rows = [_published(row, cards, others) for row in frame.to_dict("records")]
    extra = pd.DataFrame(rows, columns=list(_PUBLISHED), index=frame.index)
    extra["difference"] = extra["held"].astype(float) - extra["published"].astype(float)
    return frame.join(extra)


def _published(row: Mapping[str, Any], cards: Mapping[str, Any], others: _Others) -> dict[str, Any]:
    card = cards.get(row["baseline"], {})
    number = published.find(card, row["dataset"], row["metric"], row["variant"])
    if number is None:
        return {"published": np.nan}
    name = published.plain_name(row["class"])
    value = number["value"] if row["class"] == MEAN else number["classes"].get(name, np.nan)
    reason = _not_held(row, number, others)
    key = tuple(str(row[name]) for name in _KEYS)
    held = np.nan if reason else others.means.get((number["selection"], *key), np.nan)
    why = f"{reason}; {number['why']}" if reason else f"{_held_words(number)}; {number['why']}"
    return {
        "published": value,
        "held": held,
        "comparable": not reason,
        "verified": number["verified"],
        "source": number["source"],
        "why": why.rstrip("; "),
    }


def _not_held(row: Mapping[str, Any], number: Mapping[str, Any], others: _Others) -> str:
    """Why a published number cannot be held against ours; '' if it can."""
    if row["protocol"] != published.COMPARABLE_UNDER:
        return "published under another protocol"
    if not number["comparable"]:
        return "not comparable"
    if number["split"] != others.split:
        ours = others.split or "not recorded"
        return f"published on split {number['split']}, this run's is {ours}"
    if number["grid"] != others.grid:
        ours = others.grid or "not recorded"
        return f"published on a {number['grid']} grid, this run's is {ours}"
    return ""


def _held_words(number: Mapping[str, Any]) -> str:
    label = SELECTIONS[number["selection"]].words
    same = f"split ({number['split']}) and grid ({number['grid']})"
    return f"compared with this run's weights {label}, on the same {same}"
