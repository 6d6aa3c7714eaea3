"""How sparse the attention's output is across stacked modules: our reading of the paper's motivation figure."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from salstm.analysis.results import Collected, Frame, dataset_name, network_name
from salstm.figures import style
from salstm.tables.sparsity import MEASURES, MODELS, said
from salstm.vocabulary import PLAIN

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SPLITS = {"train": "-", "test": "--"}
COLOURS = {"attention": PLAIN}
"""Self-attention has no module: it is drawn in the colour of the plain network."""
LABELS = {"l1": "L1 norm per entry", "ratio": "L1 norm / L2 norm, of 1"}


def draw(
    data: Collected, cards: Mapping[str, Any], dataset: str, out: Path
) -> dict[str, Any] | None:
    """Draw ``sparsity-<dataset>`` in a folder.

    Returns:
        What the report says about the figure; None if nothing was measured.
    """
    rows = data.of(dataset).sparsity
    if rows.empty:
        return None
    with style.styled() as pyplot:
        figure, axes = pyplot.subplots(1, len(MEASURES), figsize=(7.2, 3.1), sharex=True)
        for part, measure in zip(axes, MEASURES, strict=True):
            _panel(part, rows, measure)
            part.set_title(LABELS[measure])
            part.set_xlabel("layer")
        _legend(figure, [model for model in MODELS if (rows["model"] == model).any()])
        figure.tight_layout(rect=(0, 0, 1, 0.91))
        style.save(figure, out / f"sparsity-{dataset}")
    name, network = dataset_name(dataset), network_name(str(rows["baseline"].iloc[0]), cards)
    return {
        "file": f"sparsity-{dataset}",
        "kind": "sparsity",
        "dataset": dataset,
        "title": f"{name}: attention's output across stacked modules",
        "caption": f"{name}, {network}: the trained module applied again and again to its own output, "
        "and self-attention without a ConvLSTM; solid: training cases, dashed: test cases, band: one standard "
        "deviation between cases. Left: mean absolute value. Right: the same against the root mean square, which does "
        "not depend on the scale; a left curve that falls beside a level right one is an output that shrinks.",
        "alt": f"Stacked modules on {name}. {said(data, dataset)}",
    }


def _panel(axes: Axes, rows: Frame, measure: str) -> None:
    from matplotlib.ticker import MaxNLocator

    for (model, split), part in rows.groupby(["model", "split"], sort=False):
        layers = part.groupby("layer")[measure]
        mean, sd = layers.mean(), layers.std().fillna(0)
        shade = style.colour(COLOURS.get(str(model), str(model)))
        axes.plot(mean.index, mean, color=shade, ls=SPLITS[str(split)], lw=1.5, zorder=3)
        low, high = (mean - sd).to_numpy(), (mean + sd).to_numpy()
        axes.fill_between(mean.index, low, high, color=shade, alpha=0.15, lw=0, zorder=2)
    axes.set_ylim(bottom=0)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))


def _legend(figure: Any, models: list[str]) -> None:
    from matplotlib.lines import Line2D

    marks = [
        Line2D([], [], color=style.colour(COLOURS.get(one, one)), lw=1.6, label=MODELS[one])
        for one in models
    ]
    marks += [
        Line2D([], [], color=style.INK, ls=line, lw=1.2, label=split)
        for split, line in SPLITS.items()
    ]
    figure.legend(handles=marks, loc="upper left", ncols=len(marks), handlelength=1.8)
