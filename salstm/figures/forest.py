"""Forest plot: what each module changes, network by network, with its interval and the noise of the seeds."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from salstm.analysis.comparisons import BETTER, WORSE
from salstm.analysis.results import Frame, dataset_name, network_name, variant_name
from salstm.figures import style
from salstm.tables.gains import ends
from salstm.vocabulary import METRICS

if TYPE_CHECKING:
    from matplotlib.axes import Axes

ROW = 0.21
"""Inches of a module's line."""
REACH = 4.0
"""Times the largest gain or seed noise of a panel: an interval that goes farther is cut there."""
STEP = 0.36
"""Between the modules of a network, of the distance between networks."""


def draw(
    comparisons: Frame,
    units: Mapping[str, str],
    cards: Mapping[str, Any],
    dataset: str,
    out: Path,
) -> dict[str, Any] | None:
    """Draw ``forest-<dataset>`` in a folder.

    Args:
        comparisons: as ``salstm.analysis.analyse`` wrote them.
        units: of the distances of each dataset.
        cards: by network.
        dataset: one of them.
        out: the folder.

    Returns:
        What the report says about the figure; None if nothing was compared.
    """
    rows = comparisons[comparisons["dataset"] == dataset]
    if rows["improvement"].notna().sum() == 0:
        return None
    metrics, networks, modules = (
        list(dict.fromkeys(rows[name])) for name in ("metric", "baseline", "module")
    )
    with style.styled() as pyplot:
        size = (
            max(2.65 * len(metrics) + 0.5, style.WIDTH),
            ROW * len(networks) * (len(modules) + 0.8) + 1.15,
        )
        figure, axes = pyplot.subplots(1, len(metrics), figsize=size, squeeze=False, sharey=True)
        for part, metric in zip(axes[0], metrics, strict=True):
            _panel(part, rows[rows["metric"] == metric], networks, modules)
            part.set_xlabel(_heading(metric, units[dataset]))
        names = [network_name(one, cards) for one in networks]
        axes[0, 0].set_yticks(range(len(names)), names)
        axes[0, 0].set_ylim(len(networks) - 0.4, -0.6)
        _legend(figure, modules, len(metrics))
        figure.tight_layout(rect=(0, 0, 1, 1 - 0.3 / size[1]))
        style.save(figure, out / f"forest-{dataset}")
    return _facts(rows, cards, dataset)


def _panel(axes: Axes, rows: Frame, networks: list[str], modules: list[str]) -> None:
    done = rows.dropna(subset="improvement").to_dict("records")
    bound = _bound(done)
    for row in done:
        scale = METRICS[row["metric"]].scale
        place = networks.index(row["baseline"]) + _offset(modules, row["module"])
        gain, noise = row["improvement"] * scale, row["luck"] * scale
        if noise == noise:
            axes.barh(place, 2 * noise, STEP * 0.8, -noise, color=style.GRID, zorder=1)
        shade = style.colour(row["module"])
        patients = [end * scale for end in ends(row, ("patients_low", "patients_high"))]
        _interval(axes, patients, bound * scale, (place, 0.7), shade)
        _interval(axes, [end * scale for end in ends(row)], bound * scale, (place, 1.9), shade)
        face = shade if row["verdict"] in (BETTER, WORSE) else style.PAPER
        axes.plot(gain, place, "o", ms=5, mec=shade, mfc=face, mew=1.3, zorder=4)
    axes.axvline(0, color=style.INK, lw=0.9, zorder=2)
    axes.grid(visible=False, axis="y")
    axes.tick_params(axis="y", length=0)


def _interval(
    axes: Axes, ends: list[float], bound: float, line: tuple[float, float], shade: str
) -> None:
    """A line at a place, of a width; an arrow where it goes on outside of the panel."""
    place, width = line
    if any(math.isnan(end) for end in ends):
        return
    shown = [min(max(end, -bound), bound) for end in ends]
    axes.plot(shown, [place, place], color=shade, lw=width, zorder=3, solid_capstyle="butt")
    for end, cut in zip(ends, shown, strict=True):
        if end != cut:
            axes.plot(cut, place, "<" if cut < 0 else ">", ms=4, color=shade, zorder=3)


def _bound(rows: list[dict[str, Any]]) -> float:
    """How far a panel reaches: a few groups can leave an interval without an end, which must not hide the rest."""
    sizes = [abs(row["improvement"]) for row in rows]
    sizes += [row["luck"] for row in rows if row["luck"] == row["luck"]]
    return REACH * max(sizes) or 1.0


def _offset(modules: list[str], module: str) -> float:
    return STEP * (modules.index(module) - (len(modules) - 1) / 2)


def _heading(metric: str, unit: str) -> str:
    entry = METRICS[metric]
    way = "more" if entry.sign > 0 else "less"
    return f"{entry.label}, {way} by [{unit if entry.is_distance else 'points of 100'}]"


def _legend(figure: Any, modules: list[str], panels: int) -> None:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    marks: list[Any] = [
        Line2D([], [], color=style.colour(one), lw=1.6, label=variant_name(one)) for one in modules
    ]
    dot: dict[str, Any] = {"color": style.INK, "marker": "o", "ls": "", "ms": 5}
    marks += [
        Line2D([], [], **dot, label="clear"),
        Line2D([], [], **dot, mfc=style.PAPER, label="not clear"),
        Patch(color=style.GRID, label="95 % of luck"),
    ]
    columns = len(marks) if panels > 1 else 3
    figure.legend(handles=marks, loc="upper left", ncols=columns, handlelength=1.4)


def _facts(rows: Frame, cards: Mapping[str, Any], dataset: str) -> dict[str, Any]:
    name, done = dataset_name(dataset), rows.dropna(subset="improvement")
    level = float(done["level"].iloc[0])
    noise = ""
    if not done["luck"].notna().any():
        noise = " There is one seed: whether the module helps cannot be said, so there is no thick line."
    return {
        "file": f"forest-{dataset}",
        "kind": "forest",
        "dataset": dataset,
        "title": f"{name}: gains of the modules",
        "caption": f"Module minus plain on the same cases and classes, {len(done)} of {len(rows)} comparisons; the "
        f"sign is turned for distances. Thick line: {100 * level:.0f} % interval over trainings and patients or "
        "sequences (does the module help?); thin line: over patients alone (these trainings). Filled: "
        f"p ≤ {1 - level:.2g} after Holm's correction for all {int(done['family'].iloc[0])} declared tests, with "
        "enough seeds, in a run that can decide. Grey: what 95 % of gains stay inside that have no other cause than "
        "the luck of the trainings. Arrow: the interval goes on."
        f"{noise}",
        "alt": _alt(name, done, cards),
    }


def _alt(name: str, done: Frame, cards: Mapping[str, Any]) -> str:
    parts = (
        f"{network_name(row['baseline'], cards)} {variant_name(row['module'])} "
        f"{METRICS[row['metric']].label} "
        f"{row['improvement'] * METRICS[row['metric']].scale:+.2f}"
        for row in done.to_dict("records")
    )
    return f"Gains on {name}: {', '.join(parts)}."
