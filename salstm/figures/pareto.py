"""Accuracy against cost: a panel for each measure of cost, with the front that nothing else beats."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from salstm.analysis.results import Collected, Frame, dataset_name, network_name, variant_name
from salstm.figures import style
from salstm.tables import numbers
from salstm.vocabulary import DICE, METRICS, PLAIN, STRICT

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COSTS = {
    "macs": ("multiply-adds of one prediction [G]", 1e9),
    "latency_seconds": ("latency of one prediction [ms]", 1e-3),
}


def draw(
    data: Collected, cards: Mapping[str, Any], dataset: str, out: Path
) -> dict[str, Any] | None:
    """Draw ``pareto-<dataset>`` in a folder.

    Returns:
        What the report says about the figure; None if no network is both scored and counted.
    """
    table = points(data, dataset)
    costs = [name for name in COSTS if table[name].notna().any()]
    if not costs:
        return None
    with style.styled() as pyplot:
        size = (style.WIDTH, 3.1)
        figure, axes = pyplot.subplots(1, len(costs), figsize=size, squeeze=False, sharey=True)
        for part, name in zip(axes[0], costs, strict=True):
            _panel(part, table.dropna(subset=name), name, cards)
        axes[0, 0].set_ylabel(METRICS[DICE].heading(""))
        _legend(figure, data.variants)
        figure.tight_layout(rect=(0, 0, 1, 1 - 0.3 / size[1]))
        style.save(figure, out / f"pareto-{dataset}")
    return _facts(table, cards, dataset, costs)


def points(data: Collected, dataset: str) -> Frame:
    """A row per network and variant that is scored and counted: Dice (mean over seeds) and its costs."""
    tidy = numbers.comparison(data, {}, dataset, STRICT, (DICE,))
    means = tidy.loc[tidy["class"] == numbers.MEAN, ["baseline", "variant", "mean"]].dropna()
    return means.merge(data.of(dataset).cost, on=["baseline", "variant"])


def front(table: Frame, cost: str) -> Frame:
    """The rows that no other beats in both: cheaper first, each one better than all before."""
    ordered = table.sort_values([cost, "mean"], ascending=[True, False])
    best = ordered["mean"].cummax().shift(fill_value=float("-inf"))
    return ordered[ordered["mean"] > best]


def _panel(axes: Axes, table: Frame, cost: str, cards: Mapping[str, Any]) -> None:
    label, unit = COSTS[cost]
    best = front(table, cost)
    axes.step(
        best[cost] / unit, best["mean"] * 100, where="post", color=style.FAINT, lw=5, alpha=0.3
    )
    # From left to right one name above its dot and one below: neighbours cost nearly the same.
    for at, baseline in enumerate(dict.fromkeys(table.sort_values(cost)["baseline"])):
        rows = table[table["baseline"] == baseline]
        plain = rows[rows["variant"] == PLAIN]
        for row in rows.to_dict("records"):
            shade, place = style.colour(row["variant"]), (row[cost] / unit, row["mean"] * 100)
            axes.plot(*place, "o", ms=6, color=shade, mec=style.PAPER, mew=0.8, zorder=3)
            if not plain.empty:
                start = plain[cost].iloc[0] / unit, plain["mean"].iloc[0] * 100
                axes.plot(*zip(start, place, strict=True), color=shade, lw=0.9, alpha=0.6, zorder=2)
        named = (plain if not plain.empty else rows).iloc[0]
        axes.annotate(
            network_name(baseline, cards), (named[cost] / unit, named["mean"] * 100),
            (-5, -9 if at % 2 else 4), fontsize=7,
            textcoords="offset points", zorder=4, ha="right",
        )  # fmt: skip
    _scale(axes, table[cost] / unit, label)


def _scale(axes: Axes, values: Any, label: str) -> None:
    """A logarithmic axis with plain numbers, wide enough for the names on the left."""
    from matplotlib.ticker import LogLocator, StrMethodFormatter

    low, high = values.min() / 3.6, values.max() * 1.25
    axes.set_xscale("log")
    axes.set_xlim(low, high)
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if high < 100 * low else (1, 3)))
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axes.xaxis.set_minor_locator(LogLocator(subs=()))
    axes.margins(y=0.12)
    axes.set_xlabel(label)


def _legend(figure: Any, variants: list[str]) -> None:
    from matplotlib.lines import Line2D

    dot: dict[str, Any] = {"marker": "o", "ls": "", "ms": 6}
    marks = [
        Line2D([], [], color=style.colour(one), **dot, label=variant_name(one)) for one in variants
    ]
    marks.append(Line2D([], [], color=style.FAINT, lw=5, alpha=0.3, label="Pareto front"))
    figure.legend(handles=marks, loc="upper left", ncols=len(marks), handlelength=1.4)


def _facts(
    table: Frame, cards: Mapping[str, Any], dataset: str, costs: list[str]
) -> dict[str, Any]:
    name, parts = dataset_name(dataset), []
    for cost in costs:
        named = [
            f"{network_name(row['baseline'], cards)} {variant_name(row['variant'])}"
            for row in front(table, cost).to_dict("records")
        ]
        parts.append(f"{COSTS[cost][0].split(' of')[0]}: {', '.join(named)}")
    return {
        "file": f"pareto-{dataset}",
        "kind": "pareto",
        "dataset": dataset,
        "title": f"{name}: accuracy against cost",
        "caption": f"Dice under protocol {STRICT}, mean over seeds; a line leads from a plain network to the same "
        f"network with a module. On the Pareto front (nothing cheaper is better), {'; '.join(parts)}.",
        "alt": f"Accuracy against cost on {name}. On the front, {'; '.join(parts)}.",
    }
