"""Small, medium, large: thirds of the reference's sizes, fixed from the test cases before anything is predicted.

A size is a volume in mm³ (2D: an area in mm²) where the spacing is known, else a share of the frame, because frames of
different size show different amounts of the same thing.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

import numpy as np

from salstm.evaluation.look import Thirds, components

LEAST = 3
"""Sizes that can be cut in three."""


def voxel(shape: tuple[int, ...], spacing: tuple[float, ...], unit: str) -> float:
    """Size of a voxel.

    Args:
        shape: of the frame or volume.
        spacing: of the grid.
        unit: of the spacing.
    """
    return math.prod(spacing) if unit == "mm" else 1 / math.prod(shape)


def thirds(sizes: Iterable[float]) -> Thirds | None:
    """Where a third and two thirds of the sizes lie; None for fewer than `LEAST`."""
    known = np.array(list(sizes), dtype=np.float64)
    return Thirds(*np.quantile(known, [1 / 3, 2 / 3]).tolist()) if len(known) >= LEAST else None


def of_objects(mask: np.ndarray) -> Iterator[int]:
    """Voxels of each connected component of a mask."""
    labels, count = components(mask)
    yield from np.bincount(labels.ravel(), minlength=count + 1)[1:].tolist()
