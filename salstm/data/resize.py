"""Resizing on the authors' grid: ``scipy.ndimage.zoom`` of every slice, faster.

Corner-aligned (``grid_mode=False``), ``mode="constant"``: rows 0 and H-1 of the input fall on rows
0 and H'-1 of the output; cubic splines (order 3) may overshoot the input's range
(TransUNet's datasets/dataset_synapse.py and utils.py).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np

_BLOCK = 32  # rows of the result of one product
_NOTHING = 1e-18  # weights below it are left out: rounding alone is larger
_AT_ONCE = 2**20  # values (8 MiB) made float64 once, not for each band: the bands overlap


def resize(array: np.ndarray, height: int, width: int, order: int) -> np.ndarray:
    """Resize every slice; with order 0 also the way back to native size, for predictions.

    Order 0 gathers by index and equals scipy's result exactly, its quirk included: for some sizes
    the last row or column lies outside by a rounding error and becomes 0. Higher orders are two
    matrix products in float64; they equal scipy's result to the rounding of the output type.

    Args:
        array: ``(..., H, W)``. For order > 0 a floating type.
        height: rows of the result, in pixels.
        width: columns of the result, in pixels.
        order: 0 nearest (labels), 1 linear, 3 cubic spline (images).

    Returns:
        ``(..., height, width)``, same type as ``array``; the array itself if it has that size
        already.

    Raises:
        ValueError: empty slices, a size below 1, or an integer array with order > 0.
    """
    rows, columns = array.shape[-2:]
    if min(rows, columns, height, width) < 1:
        raise ValueError(
            f"resize: from {rows}x{columns} to {height}x{width} pixels; sides start at 1"
        )
    if (rows, columns) == (height, width):
        return array
    if order == 0:
        return _nearest(array, height, width)
    if not np.issubdtype(array.dtype, np.floating):
        raise ValueError(
            f"resize: {array.dtype} with order {order}; convert to float32 first, or use order 0"
        )
    narrow = _along_rows(array, height, order)
    return _along_columns(narrow, width, order).astype(array.dtype, order="C")


def on_grid(
    image: np.ndarray, label: np.ndarray, size: int | None
) -> tuple[np.ndarray, np.ndarray]:
    """Bring a normalised case to square frames: cubic for the image, nearest for the label.

    Args:
        image: ``(D, H, W)`` float32 or ``(D, H, W, 3)`` uint8.
        label: ``(D, H, W)`` uint8.
        size: side in pixels, or None to leave both as they are.

    Returns:
        ``(D, size, size)`` float32 or ``(D, size, size, 3)`` uint8 (rounded, clipped to 0..255),
        and the label.
    """
    if size is None:
        return image, label
    labels = resize(label, size, size, 0)
    if image.ndim == 3:
        return resize(image, size, size, 3), labels
    if image.shape[1:3] == (size, size):
        return image, labels
    depth, rows, columns, _ = image.shape
    narrow = _along_rows(image.reshape(depth, rows, columns * 3), size, 3)
    planes = np.moveaxis(narrow.reshape(depth, size, columns, 3), -1, 1)  # (D, 3, size, W)
    resized = np.clip(np.rint(_along_columns(planes, size, 3)), 0, 255)
    return np.moveaxis(resized, 1, -1).astype(np.uint8, order="C"), labels


def _nearest(array: np.ndarray, height: int, width: int) -> np.ndarray:
    rows, columns = _sources(array.shape[-2], height), _sources(array.shape[-1], width)
    result = array[..., np.maximum(rows, 0), :][..., np.maximum(columns, 0)]
    result[..., rows < 0, :] = 0
    result[..., columns < 0] = 0
    return result


@lru_cache(maxsize=256)
def _sources(old: int, new: int) -> np.ndarray:
    """Source index of each of ``new`` positions, -1 where scipy finds it outside."""
    position = _positions(old, new)
    index = np.floor(position + 0.5).astype(np.intp)
    index[position > old - 1] = -1
    return index


def _positions(old: int, new: int) -> np.ndarray:
    """Where each of ``new`` positions lies among the ``old`` ones; rounded as scipy rounds."""
    return np.arange(new) * ((old - 1) / (new - 1) if new > 1 else 1.0)


def _along_rows(array: np.ndarray, height: int, order: int) -> np.ndarray:
    """Resize the last axis but one: ``(..., H, W)`` of any type to float64 ``(..., height, W)``."""
    result = np.empty((*array.shape[:-2], height, array.shape[-1]))
    if array.size <= _AT_ONCE:
        array = array.astype(np.float64, copy=False)
    first = 0
    for reach, block in _blocks(array.shape[-2], height, order):
        rows = array[..., reach, :].astype(np.float64, copy=False)
        np.matmul(block, rows, out=result[..., first : first + len(block), :])
        first += len(block)
    return result


def _along_columns(array: np.ndarray, width: int, order: int) -> np.ndarray:
    return _along_rows(array.swapaxes(-1, -2), width, order).swapaxes(-1, -2)


@lru_cache(maxsize=128)
def _blocks(old: int, new: int, order: int) -> tuple[tuple[slice, np.ndarray], ...]:
    """The operator as bands of rows, each with the input that it reads.

    A spline reaches far in theory, forty samples in float64: most of a large operator is zero, and
    bands take half the time for 512 to 224 pixels, a third for photographs.
    """
    operator = _operator(old, new, order)
    bands = (operator[start : start + _BLOCK] for start in range(0, new, _BLOCK))
    reaches = ((np.flatnonzero(band.any(axis=0)), band) for band in bands)
    spans = ((slice(used[0], used[-1] + 1) if used.size else slice(0, 1), b) for used, b in reaches)
    return tuple((span, band[:, span].copy()) for span, band in spans)


def _operator(old: int, new: int, order: int) -> np.ndarray:
    """Scipy's zoom of one axis as a ``(new, old)`` float64 matrix: it is linear, separable."""
    position = _positions(old, new)
    first = np.floor(position)
    weights = np.zeros((new, old))
    for tap, weight in enumerate(_WEIGHTS[order](position - first), start=-(order // 2)):
        index = np.abs((first + tap).astype(np.intp)) % max(2 * (old - 1), 1)
        np.add.at(weights, (np.arange(new), np.minimum(index, 2 * (old - 1) - index)), weight)
    weights[position > old - 1] = 0
    if order == 3 and old > 1:
        weights = _unfiltered(weights)
        weights[np.abs(weights) < _NOTHING] = 0
    return weights


def _unfiltered(weights: np.ndarray) -> np.ndarray:
    """Weights of samples from those of cubic spline coefficients, mirrored about the outer samples.

    Coefficients c give the samples B c, with 1/6, 4/6 and 1/6 in a row of B; so weights w of
    coefficients are the weights w B^-1 of samples.
    """
    from scipy.linalg import solve_banded

    old = weights.shape[1]
    bands = np.repeat([[1 / 6], [4 / 6], [1 / 6]], old, axis=1)  # of the transpose of B
    bands[0, -1] = bands[2, 0] = 2 / 6
    return np.ascontiguousarray(solve_banded((1, 1), bands, weights.T).T)


def _linear(t: np.ndarray) -> tuple[np.ndarray, ...]:
    return 1 - t, t


def _cubic(t: np.ndarray) -> tuple[np.ndarray, ...]:
    """The cubic B-spline at distances 1 + t, t, 1 - t and 2 - t."""
    u = 1 - t
    return u**3 / 6, (4 - 6 * t**2 + 3 * t**3) / 6, (4 - 6 * u**2 + 3 * u**3) / 6, t**3 / 6


_WEIGHTS: dict[int, Callable[[np.ndarray], tuple[np.ndarray, ...]]] = {1: _linear, 3: _cubic}
