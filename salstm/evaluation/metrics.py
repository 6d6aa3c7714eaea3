"""Overlap, surface and volume metrics of two boolean masks, in 2D or 3D.

``measure`` takes masks of equal shape and the spacing of the grid in the order of the axes, and
gives every metric of ``salstm.vocabulary.MEASURED``: each is the function of its name here. Distances are in
the unit of the spacing; without a spacing they are in voxels. **Undefined is NaN**, never 0 or 1:
what an undefined value counts as is a convention and lives in `salstm.evaluation.conventions`.

| | both empty | prediction empty | reference empty |
|---|---|---|---|
| dice, iou, surface_dice | NaN | 0 | 0 |
| precision | NaN | NaN | 0 |
| recall | NaN | 0 | NaN |
| hd, hd95, hd95_directed, assd | NaN | NaN | NaN |
| volume_error | NaN | -1 | NaN |

The surface of a mask is what medpy takes (`salstm.evaluation.distances`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from salstm.evaluation import distances
from salstm.evaluation.distances import Directed
from salstm.vocabulary import MEASURED

Mask = NDArray[np.bool_]
Spacing = float | Sequence[float] | NDArray[np.floating] | None

PERCENTILE = 95


@dataclass(frozen=True)
class Pair:
    """What the metrics of a prediction and a reference are computed from.

    Attributes:
        tp: true positives, in voxels.
        fp: false positives.
        fn: false negatives.
        directed: distances from each surface to the other, (prediction to reference, reference to prediction), in
            the spacing's unit; None if either mask is empty.
        tolerance: of the surface Dice, in the same unit.
    """

    tp: int
    fp: int
    fn: int
    directed: Directed | None
    tolerance: float

    @cached_property
    def pooled(self) -> NDArray[np.float64]:
        """The distances of both directions; a single NaN if either mask is empty."""
        return np.array([math.nan]) if self.directed is None else np.concatenate(self.directed)


def counts(prediction: Mask, reference: Mask) -> tuple[int, int, int]:
    """Count true positives, false positives and false negatives, in voxels.

    Args:
        prediction: boolean mask.
        reference: boolean mask of the same shape.

    Returns:
        (tp, fp, fn); (0, 0, 0) if both masks are empty.
    """
    _check(prediction, reference)
    tp = int(np.count_nonzero(prediction & reference))
    return tp, int(np.count_nonzero(prediction)) - tp, int(np.count_nonzero(reference)) - tp


def compare(
    prediction: Mask, reference: Mask, spacing: Spacing = None, tolerance: float = 1.0
) -> Pair:
    """Count and measure a pair of masks once, for all metrics: one crop, one surface per mask.

    Args:
        prediction: boolean mask.
        reference: boolean mask of the same shape.
        spacing: one positive number, one per axis, or None for voxels.
        tolerance: tolerance of the surface Dice, in the spacing's unit.
    """
    _check(prediction, reference)
    scale = _scale(spacing, prediction.ndim)
    if not (math.isfinite(tolerance) and tolerance >= 0):
        raise ValueError(f"tolerance: found {tolerance}, allowed are finite numbers from 0")
    box = union_box(prediction, reference)
    prediction, reference = prediction[box], reference[box]
    tp, fp, fn = counts(prediction, reference)
    directed = distances.directed(prediction, reference, scale) if tp + fp and tp + fn else None
    return Pair(tp, fp, fn, directed, tolerance)


def measure(
    prediction: Mask, reference: Mask, spacing: Spacing = None, tolerance: float = 1.0
) -> dict[str, float]:
    """Compute every metric of this module of a pair of masks.

    Args:
        prediction: boolean mask.
        reference: boolean mask of the same shape.
        spacing: one positive number, one per axis, or None for voxels.
        tolerance: tolerance of the surface Dice, in the spacing's unit.

    Returns:
        `reference_voxels`, `prediction_voxels`, `tp`, `fp`, `fn`, then `MEASURED` in order; empty
        masks as in the table above.
    """
    return values(compare(prediction, reference, spacing, tolerance))


def values(pair: Pair) -> dict[str, float]:
    """As ``measure``, of a pair that is compared already."""
    row = {
        "reference_voxels": pair.tp + pair.fn,
        "prediction_voxels": pair.tp + pair.fp,
        "tp": pair.tp,
        "fp": pair.fp,
        "fn": pair.fn,
    }
    return row | {name: FUNCTIONS[name](pair) for name in MEASURED}


def dice(pair: Pair) -> float:
    """Dice: 2 tp / (2 tp + fp + fn).

    >>> dice(Pair(tp=2, fp=1, fn=3, directed=None, tolerance=1.0))
    0.5
    """
    return _ratio(2 * pair.tp, 2 * pair.tp + pair.fp + pair.fn)


def iou(pair: Pair) -> float:
    """Intersection over union: tp / (tp + fp + fn).

    >>> iou(Pair(tp=2, fp=1, fn=5, directed=None, tolerance=1.0))
    0.25
    """
    return _ratio(pair.tp, pair.tp + pair.fp + pair.fn)


def precision(pair: Pair) -> float:
    """Precision: tp / (tp + fp).

    >>> precision(Pair(tp=3, fp=1, fn=7, directed=None, tolerance=1.0))
    0.75
    """
    return _ratio(pair.tp, pair.tp + pair.fp)


def recall(pair: Pair) -> float:
    """Recall: tp / (tp + fn).

    >>> recall(Pair(tp=1, fp=7, fn=3, directed=None, tolerance=1.0))
    0.25
    """
    return _ratio(pair.tp, pair.tp + pair.fn)


def hd(pair: Pair) -> float:
    """Hausdorff distance: the largest surface distance of both directions.

    >>> hd(Pair(tp=1, fp=1, fn=1, directed=(np.array([0.0, 3.0]), np.array([0.0, 2.0])), tolerance=1.0))
    3.0
    """
    return float(pair.pooled.max())


def hd95(pair: Pair) -> float:
    """95th percentile of the surface distances of both directions, pooled (medpy's definition).

    >>> distances = np.arange(21.0)  # 0 to 20 in steps of 5 %
    >>> hd95(Pair(tp=1, fp=1, fn=1, directed=(distances[::2], distances[1::2]), tolerance=1.0))
    19.0
    """
    return float(np.percentile(pair.pooled, PERCENTILE))


def hd95_directed(pair: Pair) -> float:
    """The larger of the two directed 95th percentiles of surface distances (MONAI's definition).

    >>> distances = np.arange(21.0)
    >>> hd95_directed(Pair(tp=1, fp=1, fn=1, directed=(distances, 2 * distances), tolerance=1.0))
    38.0
    """
    directed = pair.directed or (pair.pooled,)
    return max(float(np.percentile(distances, PERCENTILE)) for distances in directed)


def assd(pair: Pair) -> float:
    """Average symmetric surface distance: the mean over the surface voxels of both masks, pooled.

    >>> assd(Pair(tp=1, fp=1, fn=1, directed=(np.array([0.0, 2.0, 2.0]), np.array([4.0])), tolerance=1.0))
    2.0
    """
    return float(pair.pooled.mean())


def surface_dice(pair: Pair) -> float:
    """Share of the surface voxels of both masks that lie within the tolerance of the other surface.

    >>> surface_dice(Pair(tp=1, fp=1, fn=1, directed=(np.array([0.0, 1.0, 2.0]), np.array([3.0])), tolerance=1.0))
    0.5
    """
    if pair.directed is None:
        return 0.0 if pair.tp + pair.fp + pair.fn else math.nan
    within = sum(np.count_nonzero(distances <= pair.tolerance) for distances in pair.directed)
    return float(within) / sum(len(distances) for distances in pair.directed)


def volume_error(pair: Pair) -> float:
    """Relative volume error, signed: (predicted - true) / true.

    >>> volume_error(Pair(tp=3, fp=0, fn=1, directed=None, tolerance=1.0))
    -0.25
    """
    return _ratio(pair.fp - pair.fn, pair.tp + pair.fn)


FUNCTIONS: dict[str, Callable[[Pair], float]] = {name: globals()[name] for name in MEASURED}
"""Every metric of this module -> the function above that has its name."""


def union_box(prediction: Mask, reference: Mask) -> tuple[slice, ...]:
    """Return the smallest box, as slices, that holds both masks; an empty box if both are empty."""
    union, box = prediction | reference, []
    for axis in range(union.ndim):
        filled = np.flatnonzero(union.any(axis=tuple({*range(union.ndim)} - {axis})))
        start, stop = (int(filled[0]), int(filled[-1]) + 1) if len(filled) else (0, 0)
        box.append(slice(start, stop))
        union = union[(slice(None),) * axis + (box[-1],)]  # later axes look at the rest only
    return tuple(box)


def _ratio(part: int, total: int) -> float:
    return part / total if total else math.nan


def _check(prediction: Mask, reference: Mask) -> None:
    for name, mask in (("prediction", prediction), ("reference", reference)):
        if mask.dtype != np.bool_:
            raise TypeError(
                f"{name}: found dtype {mask.dtype}, allowed is bool, compare with a label"
            )
    if prediction.shape != reference.shape:
        raise ValueError(
            f"prediction and reference: found shapes {prediction.shape} and {reference.shape}, "
            "allowed are equal shapes, bring both to one grid"
        )
    if prediction.ndim not in (2, 3):
        raise ValueError(f"masks: found {prediction.ndim} dimensions, allowed are 2 and 3")


def _scale(spacing: Spacing, ndim: int) -> NDArray[np.float64]:
    values = np.ones(ndim) if spacing is None else np.asarray(spacing, dtype=np.float64)
    if values.ndim == 0:
        values = np.full(ndim, values)
    if values.shape != (ndim,) or not (np.isfinite(values).all() and (values > 0).all()):
        raise ValueError(
            f"spacing: found {spacing}, allowed: None, a positive number, {ndim} positive numbers"
        )
    return values
