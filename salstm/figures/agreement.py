"""Bland-Altman figure: our cases against those of the authors' logs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from salstm.analysis import authors_logs
from salstm.analysis.results import Collected, Frame, dataset_name, variant_name
from salstm.figures import style
from salstm.vocabulary import METRICS

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SELECTION = "best_test"
"""How the authors chose the weights that they published."""


def draw(data: Collected, dataset: str, out: Path) -> dict[str, Any] | None:
    """Draw ``agreement-<dataset>`` in a folder.

    Returns:
        What the report says about the figure; None if no case is in both.
    """
    pairs = authors_logs.paired(data.of(dataset).scores)
    pairs = pairs.loc[pairs["selection"] == SELECTION]
    if pairs.empty:
        return None
    variants = list(dict.fromkeys(pairs["variant"]))
    with style.styled() as pyplot:
        figure, axes = pyplot.subplots(1, 2, figsize=(7.2, 3.2))
        for part, metric in zip(axes, authors_logs.METRICS, strict=True):
            for variant in variants:
                chosen = (pairs["variant"] == variant) & (pairs["metric"] == metric)
                _points(part, pairs.loc[chosen], variant)
            part.axhline(0, color=style.INK, lw=0.8, zorder=1)
            part.set_xlabel(f"mean of ours and theirs, {METRICS[metric].axis('voxel')}")
            part.set_ylabel("ours − theirs")
        axes[0].legend(loc="best")
        figure.tight_layout()
        style.save(figure, out / f"agreement-{dataset}")
    return _facts(pairs, dataset)


def _points(axes: Axes, part: Frame, variant: str) -> None:
    shade, difference = style.colour(variant), part["difference"].to_numpy()
    axes.scatter(
        part["mean"], difference, s=14, color=shade, alpha=0.7, lw=0, label=variant_name(variant)
    )
    axes.axhline(difference.mean(), color=shade, lw=1.4)
    if len(difference) > 1:
        for sign in (-1, 1):
            limit = difference.mean() + sign * 1.96 * np.std(difference, ddof=1)
            axes.axhline(limit, color=shade, lw=1, ls="--")


def _facts(pairs: Frame, dataset: str) -> dict[str, Any]:
    name, cases = dataset_name(dataset), pairs["case"].nunique()
    grouped = pairs.groupby(["metric", "variant"])["difference"].mean()
    biases = ", ".join(
        f"{metric} {variant_name(str(variant))} {value:+.3f}"
        for (metric, variant), value in grouped.to_dict().items()
    )
    return {
        "file": f"agreement-{dataset}",
        "kind": "agreement",
        "dataset": dataset,
        "title": f"{name}: ours and the authors' own numbers",
        "caption": f"Bland-Altman: {cases} test volumes that stand in the authors' MT-UNet logs too, means over the "
        "classes, both scored by their rule at the weights that are best on the test cases. Line: mean difference; "
        "dashed: 1.96 standard deviations around it.",
        "alt": f"Ours minus theirs on {name}: {biases}.",
    }
