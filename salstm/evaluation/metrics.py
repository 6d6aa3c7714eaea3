"""Overlap, surface and volume metrics of two boolean masks, in 2D or 3D.

Every function takes masks of equal shape and, where distances matter, the spacing of the grid in
the order of the axes. Distances are in the unit of the spacing; without a spacing they are in
voxels. **Undefined is NaN**, never 0 or 1: what an undefined value counts as is a convention and
lives in `salstm.evaluation.conventions`.

| | both empty | prediction empty | reference empty |
|---|---|---|---|
| dice, iou, surface_dice | NaN | 0 | 0 |
| precision | NaN | NaN | 0 |
| recall | NaN | 0 | NaN |
| hd, hd95, hd95_directed, assd | NaN | NaN | NaN |
| volume_error | NaN | -1 | NaN |

The surface of a mask is what medpy takes: its voxels with at least one face (in 2D: edge) neighbour
outside the mask, and what lies beyond the image counts as outside.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.bool_]
Spacing = float | Sequence[float] | NDArray[np.floating] | None
Voxels = NDArray[np.intp]
Directed = tuple[NDArray[np.float64], NDArray[np.float64]]

PERCENTILE = 95
METRICS = (
    "dice",
    "iou",
    "precision",
    "recall",
    "hd",
    "hd95",
    "hd95_directed",
    "assd",
    "surface_dice",
    "volume_error",
)


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


def dice(prediction: Mask, reference: Mask) -> float:
    """Dice: 2 tp / (2 tp + fp + fn). NaN if both masks are empty, 0 if one is."""
    return _overlaps(*counts(prediction, reference))["dice"]


def iou(prediction: Mask, reference: Mask) -> float:
    """Intersection over union: tp / (tp + fp + fn). NaN if both masks are empty, 0 if one is."""
    return _overlaps(*counts(prediction, reference))["iou"]


def precision(prediction: Mask, reference: Mask) -> float:
    """Precision: tp / (tp + fp). NaN if the prediction is empty."""
    return _overlaps(*counts(prediction, reference))["precision"]


def recall(prediction: Mask, reference: Mask) -> float:
    """Recall: tp / (tp + fn). NaN if the reference is empty."""
    return _overlaps(*counts(prediction, reference))["recall"]


def volume_error(prediction: Mask, reference: Mask) -> float:
    """Relative volume error, signed: (predicted - true) / true. NaN if the reference is empty."""
    return _overlaps(*counts(prediction, reference))["volume_error"]


def hd(prediction: Mask, reference: Mask, spacing: Spacing = None) -> float:
    """Hausdorff distance: the largest surface distance of both directions, in the spacing's unit.

    Args:
        prediction: boolean mask.
        reference: boolean mask of the same shape.
        spacing: one positive number, one per axis, or None for voxels.

    Returns:
        The distance; NaN if either mask is empty.
    """
    return _summary(surface_distances(prediction, reference, spacing))["hd"]


def hd95(prediction: Mask, reference: Mask, spacing: Spacing = None) -> float:
    """95th percentile of the surface distances of both directions, pooled (medpy's definition).

    Args:
        prediction: boolean mask.
        reference: boolean mask of the same shape.
        spacing: one positive number, one per axis, or None for voxels.

    Returns:
        The distance; NaN if either mask is empty.
    """
    return _summary(surface_distances(prediction, reference, spacing))["hd95"]


def hd95_directed(prediction: Mask, reference: Mask, spacing: Spacing = None) -> float:
    """The larger of the two directed 95th percentiles of surface distances (MONAI's definition).

    Args:
        prediction: boolean mask.
        reference: boolean mask of the same shape.
        spacing: one positive number, one per axis, or None for voxels.

    Returns:
        The distance; NaN if either mask is empty.
    """
    return _summary(surface_distances(prediction, reference, spacing))["hd95_directed"]


def assd(prediction: Mask, reference: Mask, spacing: Spacing = None) -> float:
    """Average symmetric surface distance: the mean over the surface voxels of both masks, pooled.

    Args:
        prediction: boolean mask.
        reference: boolean mask of the same shape.
        spacing: one positive number, one per axis, or None for voxels.

    Returns:
        The distance; NaN if either mask is empty.
    """
    return _summary(surface_distances(prediction, reference, spacing))["assd"]


def surface_dice(
    prediction: Mask, reference: Mask, spacing: Spacing = None, *, tolerance: float
) -> float:
    """Share of the surface voxels of both masks that lie within a tolerance of the other surface.

    Args:
        prediction: boolean mask.
        reference: boolean mask of the same shape.
        spacing: one positive number, one per axis, or None for voxels.
        tolerance: largest distance that still counts, in the spacing's unit.

    Returns:
        A share from 0 to 1; NaN if both masks are empty, 0 if one is.
    """
    return measure(prediction, reference, spacing, tolerance)["surface_dice"]


def measure(
    prediction: Mask, reference: Mask, spacing: Spacing = None, tolerance: float = 1.0
) -> dict[str, float]:
    """Compute every metric of a pair of masks at once: one crop, one surface per mask.

    Args:
        prediction: boolean mask.
        reference: boolean mask of the same shape.
        spacing: one positive number, one per axis, or None for voxels.
        tolerance: tolerance of the surface Dice, in the spacing's unit.

    Returns:
        `reference_voxels`, `prediction_voxels`, `tp`, `fp`, `fn`, then `METRICS` in order; empty
        masks as in the table above.
    """
    _check(prediction, reference)
    scale = _scale(spacing, prediction.ndim)
    if not (math.isfinite(tolerance) and tolerance >= 0):
        raise ValueError(f"tolerance: found {tolerance}, allowed are finite numbers from 0")
    box = union_box(prediction, reference)
    prediction, reference = prediction[box], reference[box]
    tp, fp, fn = counts(prediction, reference)
    directed = _directed(prediction, reference, scale) if tp + fp and tp + fn else None
    row = {"reference_voxels": tp + fn, "prediction_voxels": tp + fp, "tp": tp, "fp": fp, "fn": fn}
    values = _overlaps(tp, fp, fn) | _summary(directed)
    values["surface_dice"] = 0.0 if tp + fp + fn else math.nan
    if directed is not None:
        within = sum(np.count_nonzero(distances <= tolerance) for distances in directed)
        values["surface_dice"] = within / sum(len(distances) for distances in directed)
    return row | {name: values[name] for name in METRICS}


def surface_distances(
    prediction: Mask, reference: Mask, spacing: Spacing = None
) -> Directed | None:
    """Distances from each surface voxel of one mask to the nearest of the other, both ways.

    Args:
        prediction: boolean mask.
        reference: boolean mask of the same shape.
        spacing: one positive number, one per axis, or None for voxels.

    Returns:
        (prediction to reference, reference to prediction), unordered; None if either mask is empty.
    """
    _check(prediction, reference)
    scale = _scale(spacing, prediction.ndim)
    box = union_box(prediction, reference)
    prediction, reference = prediction[box], reference[box]
    if not (prediction.any() and reference.any()):
        return None
    return _directed(prediction, reference, scale)


def union_box(prediction: Mask, reference: Mask) -> tuple[slice, ...]:
    """Return the smallest box, as slices, that holds both masks; an empty box if both are empty."""
    union, box = prediction | reference, []
    for axis in range(union.ndim):
        filled = np.flatnonzero(union.any(axis=tuple({*range(union.ndim)} - {axis})))
        start, stop = (int(filled[0]), int(filled[-1]) + 1) if len(filled) else (0, 0)
        box.append(slice(start, stop))
        union = union[(slice(None),) * axis + (box[-1],)]  # later axes look at the rest only
    return tuple(box)


def surface(mask: Mask) -> Mask:
    """Return the voxels of a mask that have a face neighbour outside it (or outside the array)."""
    padded = _padded(mask)
    found = np.zeros_like(padded)
    found.ravel()[_surface(padded)] = True
    return found[(slice(1, -1),) * mask.ndim]


def _directed(prediction: Mask, reference: Mask, scale: NDArray[np.float64]) -> Directed:
    """Surface distances both ways; neither mask may be empty."""
    ours, theirs = _padded(prediction), _padded(reference)
    shape, start, end = ours.shape, _surface(ours), _surface(theirs)
    return _nearest(start, end, shape, scale), _nearest(end, start, shape, scale)


def _padded(mask: Mask) -> Mask:
    """Copy with a margin of one voxel, so that every voxel of the mask has all its neighbours."""
    padded = np.zeros([size + 2 for size in mask.shape], dtype=np.bool_)
    padded[(slice(1, -1),) * mask.ndim] = mask
    return padded


def _surface(padded: Mask) -> Voxels:
    """Flat indices of the surface: looks at the mask's voxels only, not at the whole array."""
    flat = padded.ravel()
    voxels = np.flatnonzero(flat)
    inside = np.ones(len(voxels), dtype=np.bool_)
    for stride in padded.strides:  # of one byte a voxel
        inside &= flat[voxels - stride] & flat[voxels + stride]
    return voxels[~inside]


def _nearest(
    start: Voxels, end: Voxels, shape: tuple[int, ...], scale: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Distances from the voxels of one surface to the nearest of another, neither empty."""
    from scipy.spatial import KDTree  # 0.2 s: loaded at the first distance, not with the package

    shared = np.zeros(math.prod(shape), dtype=np.bool_)
    shared[end] = True
    apart = start[~shared[start]]  # a voxel on both surfaces is at distance 0: no query
    distances = np.zeros(len(start))
    if len(apart):
        # Sliding-midpoint splits: on grid points they build faster than medians and find the same.
        tree = KDTree(_points(end, shape, scale), balanced_tree=False, compact_nodes=False)
        distances[: len(apart)] = tree.query(_points(apart, shape, scale))[0]
    return distances


def _points(
    voxels: Voxels, shape: tuple[int, ...], scale: NDArray[np.float64]
) -> NDArray[np.float64]:
    return np.stack(np.unravel_index(voxels, shape), axis=1) * scale


def _overlaps(tp: int, fp: int, fn: int) -> dict[str, float]:
    return {
        "dice": _ratio(2 * tp, 2 * tp + fp + fn),
        "iou": _ratio(tp, tp + fp + fn),
        "precision": _ratio(tp, tp + fp),
        "recall": _ratio(tp, tp + fn),
        "volume_error": _ratio(fp - fn, tp + fn),
    }


def _ratio(part: int, whole: int) -> float:
    return part / whole if whole else math.nan


def _summary(directed: Directed | None) -> dict[str, float]:
    if directed is None:
        return dict.fromkeys(("hd", "hd95", "hd95_directed", "assd"), math.nan)
    pooled = np.concatenate(directed)
    return {
        "hd": float(pooled.max()),
        "hd95": float(np.percentile(pooled, PERCENTILE)),
        "hd95_directed": max(float(np.percentile(one, PERCENTILE)) for one in directed),
        "assd": float(pooled.mean()),
    }


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
