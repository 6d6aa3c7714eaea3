"""Distributions: every test case as a dot, with boxes, in the grid's order of networks and variants."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from salstm.analysis.results import Collected, Frame, dataset_name, network_name, variant_name
from salstm.evaluation import conventions
from salstm.figures import style
from salstm.tables import numbers
from salstm.vocabulary import METRICS, STRICT

if TYPE_CHECKING:
    from matplotlib.axes import Axes

PANEL = 2.15
"""Height of a metric's panel in inches."""
VECTORS = 40
"""Most cases that are drawn as shapes of their own; more are one picture inside the drawing."""


def draw(
    data: Collected, cards: Mapping[str, Any], dataset: str, metrics: Sequence[str], out: Path
) -> dict[str, Any] | None:
    """Draw ``spread-<dataset>`` in a folder, a panel for each of the metrics.

    Returns:
        What the report says about the figure; None if nothing is scored.
    """
    rows = conventions.under_protocol(data.of(dataset).scores, STRICT)
    if rows.empty:
        return None
    table, unit = per_case(rows, metrics), numbers.unit_of(rows)
    networks, variants = data.baselines(dataset), data.variants
    with style.styled() as pyplot:
        width = 0.42 * len(networks) * (len(variants) + 0.6) + 0.8
        size = (max(width, style.WIDTH), PANEL * len(metrics))
        figure, grid = pyplot.subplots(len(metrics), figsize=size, sharex=True, squeeze=False)
        axes = grid[:, 0]
        for part, metric in zip(axes, metrics, strict=True):
            _panel(part, table, metric, (networks, variants))
            part.set_ylabel(METRICS[metric].axis(unit))
        names = [network_name(one, cards) for one in networks]
        axes[-1].set_xticks(range(len(names)), names)
        axes[-1].set_xlim(-0.5, len(networks) - 0.5)
        _legend(figure, variants)
        figure.tight_layout(rect=(0, 0, 1, 1 - 0.3 / size[1]))
        style.save(figure, out / f"spread-{dataset}")
    return _facts(table, cards, dataset, metrics[0])


def per_case(rows: Frame, metrics: Sequence[str]) -> Frame:
    """The metrics of each case: means over the classes, then over the seeds.

    Args:
        rows: as from ``salstm.evaluation.conventions.under_protocol``.
        metrics: the columns.
    """
    keys = ["baseline", "variant", "case"]
    seeds = rows.groupby([*keys, "seed"], sort=False)[list(metrics)].mean()
    return seeds.groupby(keys, sort=False).mean().reset_index()


def _panel(axes: Axes, table: Frame, metric: str, order: tuple[list[str], list[str]]) -> None:
    networks, variants = order
    step = 0.8 / len(variants)
    chance = np.random.default_rng(0)
    for (baseline, variant), cases in table.groupby(["baseline", "variant"], sort=False):
        values = cases[metric].dropna().to_numpy()
        place = networks.index(baseline) + step * (
            variants.index(variant) - (len(variants) - 1) / 2
        )
        shade = style.colour(str(variant))
        jitter = place + step * chance.uniform(-0.3, 0.3, len(values))
        look: dict[str, Any] = {"rasterized": len(values) > VECTORS, "linewidths": 0, "alpha": 0.55}
        axes.scatter(jitter, values, s=7, color=shade, zorder=2, **look)
        line = {"color": shade, "linewidth": 1.2}
        axes.boxplot(
            values, positions=[place], widths=step * 0.7, showfliers=False, manage_ticks=False,
            boxprops=line, whiskerprops=line, capprops={"linewidth": 0},
            medianprops={"color": style.INK, "linewidth": 1.6}, zorder=3,
        )  # fmt: skip
    for edge in range(1, len(networks)):
        axes.axvline(edge - 0.5, color=style.GRID, lw=0.8, zorder=0)
    axes.grid(visible=False, axis="x")
    axes.tick_params(axis="x", length=0)


def _legend(figure: Any, variants: list[str]) -> None:
    from matplotlib.lines import Line2D

    marks = [
        Line2D([], [], color=style.colour(one), lw=1.6, label=variant_name(one)) for one in variants
    ]
    marks.append(Line2D([], [], color=style.INK, lw=1.6, label="median"))
    figure.legend(handles=marks, loc="upper left", ncols=len(marks), handlelength=1.4)


def _facts(table: Frame, cards: Mapping[str, Any], dataset: str, metric: str) -> dict[str, Any]:
    name = dataset_name(dataset)
    groups = table.groupby(["baseline", "variant"], sort=False)[metric]
    parts = (
        f"{network_name(baseline, cards)} {variant_name(variant)} {values.median():.3f}"
        for (baseline, variant), values in groups
    )
    return {
        "file": f"spread-{dataset}",
        "kind": "spread",
        "dataset": dataset,
        "title": f"{name}: cases",
        "caption": f"Each dot is one of {table['case'].nunique()} test cases (mean over classes and seeds), protocol "
        f"{STRICT}: a missed structure counts Dice 0 and the image's diagonal. Box: quartiles and median; whiskers: "
        "1.5 times the box at most.",
        "alt": f"{METRICS[metric].label} per case on {name}, medians: {', '.join(parts)}.",
        "worst": _worst(table, metric),
    }


def _worst(table: Frame, metric: str) -> dict[str, Any] | None:
    """The case with the worst value of all networks and variants; None where every value is undefined."""
    known = table.dropna(subset=metric)
    if known.empty:
        return None
    sign = METRICS[metric].sign
    row = known.iloc[int((sign * known[metric]).to_numpy().argmin())]
    facts = {key: str(row[key]) for key in ("baseline", "variant", "case")}
    return {**facts, "metric": metric, "value": float(row[metric])}
