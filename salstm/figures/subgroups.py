"""Subgroups: a panel for each kind, every network a dot and the mean of a variant's networks a line."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from salstm.analysis.results import Collected, Frame, dataset_name, variant_name
from salstm.figures import style
from salstm.tables import subgroups
from salstm.vocabulary import METRICS, STRICT

if TYPE_CHECKING:
    from matplotlib.axes import Axes

PANEL = 1.9
"""Height of a panel in inches."""
TURNED = 8
"""Names of more subgroups than this stand upright."""


def draw(
    data: Collected, dataset: str, kinds: Sequence[str], metric: str, out: Path
) -> dict[str, Any] | None:
    """Draw ``subgroups-<dataset>`` in a folder.

    Args:
        data: what was collected.
        dataset: one of the datasets.
        kinds: of subgroups; those that the dataset has not are left out.
        metric: that is drawn.
        out: the folder.

    Returns:
        What the report says about the figure; None if the dataset has no subgroups.
    """
    found = {kind: levels for kind in kinds if (levels := subgroups.levels(data, dataset, kind))}
    if not found:
        return None
    variants, unit = data.variants, ""
    with style.styled() as pyplot:
        size = (7.2, PANEL * len(found) + 0.4)
        figure, grid = pyplot.subplots(len(found), figsize=size, squeeze=False)
        for axes, (kind, levels) in zip(grid[:, 0], found.items(), strict=True):
            unit = str(levels[0][1]["unit"].iloc[0])
            _panel(axes, levels, metric, variants)
            axes.set_title(kind.replace("_", " "))
            axes.set_ylabel(METRICS[metric].axis(unit))
        _legend(figure, variants)
        figure.tight_layout(rect=(0, 0, 1, 1 - 0.3 / size[1]))
        style.save(figure, out / f"subgroups-{dataset}")
    return _facts(dataset, metric, found)


def _panel(
    axes: Axes, levels: Sequence[tuple[str, Frame]], metric: str, variants: list[str]
) -> None:
    step = 0.7 / len(variants)
    for at, (_, rows) in enumerate(levels):
        means = subgroups.means(rows, metric)
        for number, variant in enumerate(variants):
            values = [value for (_, name), value in means.items() if name == variant]
            place = at + step * (number - (len(variants) - 1) / 2)
            shade = style.colour(variant)
            axes.scatter([place] * len(values), values, s=9, color=shade, alpha=0.6, linewidths=0)
            if values:
                mean = sum(values) / len(values)
                axes.hlines(mean, place - step * 0.4, place + step * 0.4, color=shade, lw=1.8)
    names = [f"{level}\nn = {rows['case'].nunique()}" for level, rows in levels]
    turned: dict[str, Any] = {"rotation": 90, "fontsize": 6} if len(levels) > TURNED else {}
    axes.set_xticks(range(len(levels)), names, **turned)
    axes.set_xlim(-0.5, len(levels) - 0.5)
    axes.grid(visible=False, axis="x")
    axes.tick_params(axis="x", length=0)


def _legend(figure: Any, variants: list[str]) -> None:
    from matplotlib.lines import Line2D

    marks = [
        Line2D([], [], color=style.colour(one), lw=1.8, label=variant_name(one)) for one in variants
    ]
    figure.legend(handles=marks, loc="upper left", ncols=len(marks), handlelength=1.4)


def _facts(dataset: str, metric: str, found: dict[str, list[tuple[str, Frame]]]) -> dict[str, Any]:
    counted = "; ".join(
        f"{kind}: " + ", ".join(f"{level} {rows['case'].nunique()}" for level, rows in levels)
        for kind, levels in found.items()
    )
    label = METRICS[metric].label
    return {
        "file": f"subgroups-{dataset}",
        "kind": "subgroups",
        "dataset": dataset,
        "title": f"{dataset_name(dataset)}: {label} by subgroup (exploration)",
        "caption": f"Each dot is a network, the line the mean of a variant's networks; {label}, protocol {STRICT}, "
        "mean over cases, classes and seeds; n cases. Exploration: nothing is tested, and differences between small "
        "subgroups are mostly chance.",
        "alt": f"{label} by subgroup on {dataset_name(dataset)}; cases: {counted}.",
    }
