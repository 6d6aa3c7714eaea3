"""Training curves: a column a network, its loss above and its Dice below."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from salstm.analysis.results import Collected, Frame, dataset_name, network_name, variant_name
from salstm.figures import flags, style

if TYPE_CHECKING:
    from matplotlib.axes import Axes

PANEL = (2.3, 1.75)
"""Width and height of a panel in inches."""
DICE = {"val_dice": ("-", 1.4), "test_dice": (":", 1.0)}
LABELS = {"val_dice": "Dice, validation", "test_dice": "Dice, test"}


def draw(
    data: Collected, cards: Mapping[str, Any], dataset: str, out: Path
) -> dict[str, Any] | None:
    """Draw ``curves-<dataset>`` in a folder.

    Returns:
        What the report says about the figure; None if no training of the dataset has a curve: one epoch is none,
        unless it went wrong.
    """
    history = data.of(dataset).history
    if history["epoch"].nunique() < 2 and not flags.flagged(history, cards):
        return None
    baselines = [one for one in data.baselines(dataset) if (history["baseline"] == one).any()]
    with style.styled() as pyplot:
        size = (max(PANEL[0] * len(baselines) + 0.4, style.WIDTH), PANEL[1] * 2 + 0.75)
        figure, axes = pyplot.subplots(
            2, len(baselines), figsize=size, squeeze=False, sharex="col", sharey="row"
        )
        for column, baseline in enumerate(baselines):
            runs = history[history["baseline"] == baseline]
            _loss(axes[0, column], runs)
            _dice(axes[1, column], runs)
            axes[0, column].set_title(network_name(baseline, cards))
        _label(axes)
        _legend(figure, data.variants)
        figure.tight_layout(rect=(0, 0, 1, 1 - 0.3 / size[1]))
        style.save(figure, out / f"curves-{dataset}")
    return _facts(data, cards, dataset, history)


def _loss(axes: Axes, runs: Frame) -> None:
    for (variant, _), run in runs.groupby(["variant", "seed"], sort=False):
        look: dict[str, Any] = {
            "color": style.colour(str(variant)),
            "ls": style.dashes(str(variant)),
        }
        axes.plot(run["epoch"], run["loss"], lw=1.1, alpha=0.85, marker=_marker(run), ms=3, **look)


def _dice(axes: Axes, runs: Frame) -> None:
    for (variant, _), run in runs.groupby(["variant", "seed"], sort=False):
        for name, (line, width) in DICE.items():
            known = run.dropna(subset=name)
            look: dict[str, Any] = {"color": style.colour(str(variant)), "ls": line, "lw": width}
            axes.plot(known["epoch"], known[name], marker=_marker(known), ms=3, alpha=0.85, **look)


def _marker(run: Frame) -> str:
    # A line of a few points is easily mistaken for a trend.
    return "o" if len(run) <= 12 else ""


def _label(axes: Any) -> None:
    from matplotlib.ticker import MaxNLocator

    axes[0, 0].set_ylabel("training loss")
    axes[1, 0].set_ylabel("Dice")
    # With room for the marks of short trainings.
    axes[0, 0].set_ylim(0, 1.04 * axes[0, 0].get_ylim()[1])
    for bottom in axes[1]:
        bottom.set_xlabel("epoch")
        bottom.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=5, min_n_ticks=1))


def _legend(figure: Any, variants: list[str]) -> None:
    from matplotlib.lines import Line2D

    lines = [
        Line2D([], [], color=style.colour(one), ls=style.dashes(one), label=variant_name(one))
        for one in variants
    ]
    lines += [
        Line2D([], [], color=style.INK, ls=line, lw=width, label=LABELS[name])
        for name, (line, width) in DICE.items()
    ]
    figure.legend(
        handles=lines, loc="upper left", ncols=len(lines), handlelength=1.8, columnspacing=1.4
    )


def _facts(
    data: Collected, cards: Mapping[str, Any], dataset: str, history: Frame
) -> dict[str, Any]:
    runs = len(history.drop_duplicates(["baseline", "variant", "seed"]))
    planned = int((data.cells["dataset"] == dataset).sum())
    name = dataset_name(dataset)
    return {
        "file": f"curves-{dataset}",
        "kind": "curves",
        "dataset": dataset,
        "title": f"{name}: training curves",
        "caption": f"{runs} of {planned} trainings, one line each. Above: training loss. Below: Dice (fraction) on "
        "validation (solid) and test (dotted), as the training itself measured it to choose weights: "
        f"per slice-stack on the stored grid, not under a protocol of the tables. {flags.RULES}",
        "flagged": flags.flagged(history, cards),
        "judged": flags.judged(history),
        "alt": _alt(name, history, cards),
    }


def _alt(name: str, history: Frame, cards: Mapping[str, Any]) -> str:
    best: Mapping[Any, float] = history.groupby(["baseline", "variant"], sort=False)[
        "val_dice"
    ].max()
    parts = (
        f"{network_name(one[0], cards)} {variant_name(one[1])} {value:.3f}"
        for one, value in best.items()
    )
    return f"Training curves on {name}. Best validation Dice: {', '.join(parts)}."
