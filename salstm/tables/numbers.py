"""The numbers of the comparison, tidy and in full precision; nothing is rounded here.

Order of aggregation: the cases of each class, then the classes, then the seeds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from salstm.analysis.results import Collected, Frame, Series, classes_of
from salstm.evaluation import conventions
from salstm.tables import published
from salstm.vocabulary import METRICS, PROTOCOLS, STRICT

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
        metric and class. Then the published number and ours minus it. ``refused`` says why the protocol shows
        nothing of the dataset, where it does not.
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
    return _with_published(frame.assign(**fixed), cards)[
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
    declared = comparisons["protocol"].iloc[0] if len(comparisons) else STRICT
    protocol, by_dataset = PROTOCOLS[declared], {}
    for dataset in data.datasets:
        scope = conventions.CONVENTIONS[protocol.convention_for(dataset)].scope
        rows = data.scores
        by_dataset[dataset] = unit_of(rows[(rows["dataset"] == dataset) & (rows["scope"] == scope)])
    return by_dataset


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
    """All rows that a dataset's tables have, done or not."""
    classes = [*classes_of(dataset), MEAN]
    cells = part.cells.drop_duplicates(["baseline", "variant"])[["baseline", "variant"]]
    axes = pd.MultiIndex.from_product([list(metrics), classes], names=["metric", "class"])
    return cells.merge(axes.to_frame(index=False), how="cross")


def _rank(frame: Frame) -> Series:
    """1 for the best of each metric and class; NaN where there is no number."""
    signed = -frame["mean"] * [METRICS[name].sign for name in frame["metric"]]
    return signed.groupby([frame["metric"], frame["class"]]).rank(method="min")


_PUBLISHED = ("published", "difference", "comparable", "verified", "source", "why")


def _with_published(frame: Frame, cards: Mapping[str, Any]) -> Frame:
    rows = [_published(row, cards) for row in frame.to_dict("records")]
    extra = pd.DataFrame(rows, columns=list(_PUBLISHED), index=frame.index)
    extra["difference"] = frame["mean"] - extra["published"].astype(float)
    return frame.join(extra)


def _published(row: Mapping[str, Any], cards: Mapping[str, Any]) -> dict[str, Any]:
    card = cards.get(row["baseline"], {})
    number = published.find(card, row["dataset"], row["metric"], row["variant"])
    if number is None:
        return {"published": np.nan}
    name = published.plain_name(row["class"])
    value = number["value"] if row["class"] == MEAN else number["classes"].get(name, np.nan)
    fits = row["protocol"] == published.COMPARABLE_UNDER
    why = number["why"] if fits else f"published under another protocol; {number['why']}"
    return {
        "published": value,
        "comparable": number["comparable"] and fits,
        "verified": number["verified"],
        "source": number["source"],
        "why": why.rstrip("; "),
    }
