"""Resizing on the authors' grid: ``scipy.ndimage.zoom`` of every slice, faster.

Corner-aligned (``grid_mode=False``), ``mode="constant"``: rows 0 and H-1 of the input fall on rows
0 and H'-1 of the output; cubic splines (order 3) may overshoot the input's range
(networks_synapse_acdc.md 2.3, 2.4).
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

_LARGEST = 1024  # pixels a side; above, the matrices cost more memory than they save time


def resize(array: np.ndarray, height: int, width: int, order: int) -> np.ndarray:
    """Resize every slice; with order 0 also the way back to native size, for predictions.

    Order 0 gathers by index and equals scipy's result exactly, its quirk included: for some sizes
    the last row or column lies outside by a rounding error and becomes 0. Higher orders are two
    matrix products in float64 with scipy's own one-dimensional operators; they equal scipy's result
    to the rounding of the output type.

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
    if max(rows, columns) > _LARGEST:
        return _zoomed(array, height, width, order)
    along_rows, along_columns = _operator(rows, height, order), _operator(columns, width, order)
    return (along_rows @ array @ along_columns.T).astype(array.dtype)


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
    planes = np.moveaxis(image, -1, 1).astype(np.float32)  # (D, 3, H, W)
    resized = np.clip(np.rint(resize(planes, size, size, 3)), 0, 255)
    return np.moveaxis(resized, 1, -1).astype(np.uint8), labels


def _nearest(array: np.ndarray, height: int, width: int) -> np.ndarray:
    rows, columns = _sources(array.shape[-2], height), _sources(array.shape[-1], width)
    result = array[..., np.maximum(rows, 0), :][..., np.maximum(columns, 0)]
    result[..., rows < 0, :] = 0
    result[..., columns < 0] = 0
    return result


@lru_cache(maxsize=256)
def _sources(old: int, new: int) -> np.ndarray:
    """Source index of each of ``new`` positions, -1 where scipy finds it outside."""
    position = np.arange(new) * ((old - 1) / (new - 1) if new > 1 else 1.0)
    index = np.floor(position + 0.5).astype(np.intp)
    index[position > old - 1] = -1
    return index


def _zoomed(array: np.ndarray, height: int, width: int, order: int) -> np.ndarray:
    from scipy.ndimage import zoom

    rows, columns = array.shape[-2:]
    slices = array.reshape(-1, rows, columns)
    factors = (height / rows, width / columns)
    zoomed = np.stack([np.asarray(zoom(one, factors, order=order)) for one in slices])
    return zoomed.reshape(*array.shape[:-2], height, width)


@lru_cache(maxsize=64)
def _operator(old: int, new: int, order: int) -> np.ndarray:
    """Scipy's zoom of one axis as a ``(new, old)`` float64 matrix: it is linear, separable."""
    from scipy.ndimage import zoom

    columns = [np.asarray(zoom(one, new / old, order=order)) for one in np.eye(old)]
    return np.stack(columns, axis=1)
