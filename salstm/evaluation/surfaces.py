"""Metrics of surfaces beyond those that every scores.csv has; computed where the configuration names them.

| | both empty | prediction empty | reference empty |
|---|---|---|---|
| nsd | NaN | 0 | 0 |

They read the surfaces' distances that HD95 is computed from.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from salstm.evaluation.look import Look
from salstm.evaluation.metrics import surface_dice


def nsd(look: Look) -> float:
    """Normalised surface distance: share of both surfaces within the class's own tolerance of the other.

    Nikolov et al., arXiv 1809.04430, counted in surface voxels as MONAI does (theirs weighs a voxel by the area of its
    piece of the surface).

    >>> import numpy as np
    >>> from salstm.evaluation.metrics import compare
    >>> pixels = np.array([[True, False, False, False]]), np.array([[True, False, True, True]])
    >>> nsd(Look(compare(*pixels), *pixels, tolerance=2.0))  # to one: 0; back: 0, 2, 3
    0.75
    """
    return surface_dice(replace(look.pair, tolerance=look.tolerance))


FUNCTIONS: dict[str, Callable[[Look], float]] = {"nsd": nsd}
