"""How firm the order is: ranks on draws of the groups as dots, and which pairs are told apart."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from salstm.analysis.results import Collected, Frame, dataset_name, network_name, variant_name
from salstm.figures import style
from salstm.tables.ranking import few_seeds, told_apart, why_empty
from salstm.vocabulary import METRICS

if TYPE_CHECKING:
    from matplotlib.axes import Axes

ROW = 0.2
"""Inches of an algorithm's line."""
LARGEST = 90.0
"""Area of the dot of a rank that every draw gives, in square points."""


def draw(
    data: Collected, judged: Mapping[str, Frame], cards: Mapping[str, Any], dataset: str, out: Path
) -> dict[str, Any] | None:
    """Draw ``ranking-<dataset>`` in a folder.

    Args:
        data: what was collected, for the order of networks and variants.
        judged: 'ranking', 'shares' and 'pairs' as ``claims`` wrote them.
        cards: by network.
        dataset: one of the datasets.
        out: the folder.

    Returns:
        What the report says about the figure; None if there is nothing to rank.
    """
    ranking, shares, pairs = (
        frame[frame["dataset"] == dataset]
        for frame in (judged[one] for one in ("ranking", "shares", "pairs"))
    )
    if ranking.empty or why_empty(ranking):
        return None
    known = set(zip(ranking["baseline"], ranking["variant"], strict=True))
    order = [
        (one, variant)
        for one in data.baselines(dataset)
        for variant in data.variants
        if (one, variant) in known
    ]
    metrics = list(dict.fromkeys(ranking["metric"]))
    with style.styled() as pyplot:
        side = max(ROW * len(order), 0.7)
        size = (2 * max(side, 2.1) + 2.2, len(metrics) * (side + 0.6))
        figure, axes = pyplot.subplots(len(metrics), 2, figsize=size, squeeze=False, sharey=True)
        for (left, right), metric in zip(axes, metrics, strict=True):
            _ranks(left, shares[shares["metric"] == metric], order)
            _map(right, pairs[pairs["metric"] == metric], order)
            name = METRICS[metric].label
            names = (f"{network_name(one, cards)} {variant_name(two)}" for one, two in order)
            labels = [f"{one}  {at}" for at, one in enumerate(names, start=1)]
            left.set_yticks(range(len(order)), labels)
            left.set_title(f"{name}: rank in the draws")
            right.set_title(f"{name}: row better than column")
        figure.tight_layout()
        style.save(figure, out / f"ranking-{dataset}")
    return _facts(ranking, pairs, dataset)


def _ranks(axes: Axes, shares: Frame, order: list[tuple[str, str]]) -> None:
    seen = shares[shares["share"] > 0]
    places = [order.index(one) for one in zip(seen["baseline"], seen["variant"], strict=True)]
    shades = [style.colour(variant) for variant in seen["variant"]]
    sizes = (LARGEST * seen["share"]).to_numpy()
    axes.scatter(seen["at"].to_numpy(), places, s=sizes, c=shades, linewidths=0, zorder=3)
    axes.set_xticks(range(1, len(order) + 1, 1 + len(order) // 16))
    axes.set_xlim(0.4, len(order) + 0.6)
    axes.set_ylim(len(order) - 0.5, -0.5)
    axes.tick_params(axis="y", length=0)


def _map(axes: Axes, pairs: Frame, order: list[tuple[str, str]]) -> None:
    rows = [row for row in pairs.to_dict("records") if row["gain"] > 0]
    for marker, size, marked in (
        ("s", 60, [row for row in rows if told_apart(row)]),
        ("o", 4, [row for row in rows if not told_apart(row)]),
    ):
        across = [order.index((row["over_baseline"], row["over_variant"])) for row in marked]
        down = [order.index((row["baseline"], row["variant"])) for row in marked]
        shades = [style.colour(row["variant"]) if marker == "s" else style.FAINT for row in marked]
        axes.scatter(across, down, s=size, marker=marker, c=shades, linewidths=0, zorder=3)
    axes.set_xticks(range(len(order)), [str(at) for at in range(1, len(order) + 1)])
    axes.set_xlim(-0.5, len(order) - 0.5)
    axes.plot(
        [-0.5, len(order) - 0.5], [-0.5, len(order) - 0.5], color=style.GRID, lw=0.8, zorder=1
    )
    axes.tick_params(length=0)


def _facts(ranking: Frame, pairs: Frame, dataset: str) -> dict[str, Any]:
    name, clear = (
        dataset_name(dataset),
        pairs[[told_apart(row) for row in pairs.to_dict("records")]],
    )
    tau = {one: part["tau"].iloc[0] for one, part in ranking.groupby("metric", sort=False)}
    short = few_seeds(pairs).replace("; without", " Without") + "." * bool(few_seeds(pairs))
    firm = ", ".join(
        f"{METRICS[str(one)].label} {value:.2f}"
        for one, value in tau.items()
        if not np.isnan(value)
    )
    return {
        "file": f"ranking-{dataset}",
        "kind": "ranking",
        "dataset": dataset,
        "title": f"{name}: how firm the order is",
        "caption": "Left: the patients or sequences are drawn again and everything is ranked on each draw; a dot's "
        "area is the share of the draws with that rank. Kendall's tau of the draws to the order found: "
        f"{firm or 'none'}. Right: a square where the row is better than the column (by the rows' numbers) beyond "
        "chance (over trainings and groups, Holm over the pairs of the panel), a dot where it is merely "
        "better. Means over classes and seeds, in the declared tests' protocol. Exploration: these pairs are not among "
        f"the declared tests and decide no claim.{short}",
        "alt": f"Order on {name}: {len(clear)} of {len(pairs)} pairs are told apart.",
    }
