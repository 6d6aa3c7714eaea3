"""What all figures share: colours that colour-blind readers tell apart, sizes, files that are equal each time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from salstm.files import replacing
from salstm.vocabulary import VARIANTS

if TYPE_CHECKING:
    from matplotlib.figure import Figure

INK = "#1a1a1b"
FAINT = "#8a8a8b"
GRID = "#d9d9da"
PAPER = "#fefefe"
WIDTH = 5.8
"""Inches of a figure that stands beside another on the page: equal widths give equal letters."""
RC: dict[Any, Any] = {
    "axes.edgecolor": FAINT,
    "axes.grid": True,
    "axes.labelcolor": INK,
    "axes.linewidth": 0.8,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlelocation": "left",
    "axes.titlesize": 9,
    "axes.titleweight": "bold",
    "figure.dpi": 100,
    "font.family": "DejaVu Sans",
    "font.size": 8,
    "grid.color": GRID,
    "grid.linewidth": 0.6,
    "legend.frameon": False,
    "savefig.dpi": 200,
    "svg.fonttype": "none",
    "svg.hashsalt": "salstm",
    "text.color": INK,
    "xtick.color": FAINT,
    "xtick.labelcolor": INK,
    "ytick.color": FAINT,
    "ytick.labelcolor": INK,
}


@contextmanager
def styled() -> Iterator[Any]:
    """Matplotlib's pyplot with our style and no display; every figure made inside is closed."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

    with mpl.rc_context(RC):
        try:
            yield pyplot
        finally:
            pyplot.close("all")


def colour(variant: str) -> str:
    """A variant's colour."""
    return VARIANTS[variant].colour


def dashes(variant: str) -> str:
    """A variant's line style."""
    return VARIANTS[variant].dashes


def save(figure: Figure, stem: Path) -> None:
    """Write ``<stem>.svg`` and ``<stem>.png``, without dates: the same figure gives the same bytes."""
    for suffix, metadata in (("svg", {"Date": None, "Creator": None}), ("png", {"Software": None})):
        with replacing(stem.with_name(f"{stem.name}.{suffix}")) as temporary:
            figure.savefig(temporary, format=suffix, metadata=metadata)
