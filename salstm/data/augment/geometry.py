"""Geometry: where every pixel of a result comes from, and reading the source there.

A warp has two steps. Source coordinates, one ``(H, W)`` array of rows and one of columns, from an
affine or a piecewise affine map; then one reading per frame, linear for images and nearest for
labels. Centres of pixels have whole numbers: row 0 is the middle of the first row. Points and
matrices are in x, y order (column first), as in OpenCV, scikit-image and torchvision.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from itertools import product

import numpy as np

from salstm import vocabulary

Pair = tuple[np.ndarray, np.ndarray]
BORDERS = ("constant", "reflect")


def flipped(frames: np.ndarray, label: np.ndarray, axis: int) -> Pair:
    """Frames and label mirrored: upside down for axis 0, left to right for axis 1."""
    return np.flip(frames, axis + 1), np.flip(label, axis)


def rotation(degrees: float) -> np.ndarray:
    """Turns x towards y: on the screen, where y points down, clockwise."""
    angle = np.deg2rad(degrees)
    return np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])


def affine_sources(
    shape: tuple[int, int],
    linear: np.ndarray,
    *,
    shift: tuple[float, float] = (0.0, 0.0),
    centre: tuple[float, float] | None = None,
) -> Pair:
    """Source coordinates of an affine map.

    Args:
        shape: height and width, of the source and of the result.
        linear: 2 x 2, takes an offset (x, y) from the centre to its place in the result.
        shift: is added afterwards; (x, y) in pixels.
        centre: (x, y); the middle of the image if None.

    Returns:
        Rows and columns, float64 ``(H, W)``.
    """
    height, width = shape
    middle = np.array(centre if centre is not None else ((width - 1) / 2, (height - 1) / 2))
    back = np.linalg.inv(linear)
    start = middle - back @ (middle + np.array(shift))
    rows, columns = np.arange(height, dtype=float)[:, None], np.arange(width, dtype=float)
    return (
        back[1, 0] * columns + back[1, 1] * rows + start[1],
        back[0, 0] * columns + back[0, 1] * rows + start[0],
    )


def piecewise_sources(shape: tuple[int, int], jitter: np.ndarray) -> Pair:
    """Source coordinates of imgaug's PiecewiseAffine (0.4.0, geometric.py:3276).

    A grid of points lies over the image, from 0 to the full height and width. Each reads from where
    its jitter takes it, kept inside the image; in between, each triangle of the grid is affine.

    Args:
        shape: height and width in pixels.
        jitter: ``(rows of the grid, columns of the grid, 2)``, at least 2 x 2 points; downwards and
            rightwards, in fractions of height and width.

    Returns:
        Rows and columns, float64 ``(H, W)``.
    """
    grid_rows, grid_columns = jitter.shape[:2]
    points, corners, triangle = _triangles(shape, grid_rows, grid_columns)
    moved = points + jitter.reshape(-1, 2) * shape
    moved = np.clip(moved, 0, np.array(shape) - 1)
    ones = np.ones((*corners.shape, 1))
    maps = np.linalg.solve(np.concatenate([points[corners], ones], axis=2), moved[corners])
    rows, columns = np.arange(shape[0], dtype=float)[:, None], np.arange(shape[1], dtype=float)
    y, x = (
        maps[:, 0, k][triangle] * rows + maps[:, 1, k][triangle] * columns + maps[:, 2, k][triangle]
        for k in (0, 1)
    )
    return y, x


@lru_cache(maxsize=36)
def _triangles(
    shape: tuple[int, int], grid_rows: int, grid_columns: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The grid's points (row, column), the corners of its triangles, each pixel's triangle."""
    from scipy.spatial import Delaunay

    rows, columns = np.linspace(0, shape[0], grid_rows), np.linspace(0, shape[1], grid_columns)
    points = np.stack(np.meshgrid(rows, columns, indexing="ij"), axis=-1).reshape(-1, 2)
    # In x, y order, as scikit-image asks: of a square's two diagonals, Qhull's choice depends on it.
    mesh = Delaunay(points[:, ::-1])
    pixels = np.stack(np.meshgrid(np.arange(shape[1]), np.arange(shape[0])), axis=-1)
    triangle = mesh.find_simplex(pixels.astype(float))
    return points, mesh.simplices, triangle.astype(np.uint8)


def warp(
    frames: np.ndarray, label: np.ndarray, sources: Pair, *, border: str, order: int = 1
) -> Pair:
    """Read frames and label at the same coordinates.

    Args:
        frames: ``(T, H, W)`` or ``(T, H, W, C)``.
        label: ``(H, W)``; always read at the nearest pixel.
        sources: rows and columns to read at.
        border: as in ``nearest``.
        order: of the frames: 0 nearest, 1 linear.
    """
    truth = nearest(label, sources, border, first=0)
    if order == 0:
        return nearest(frames, sources, border, first=1), truth
    return linear(frames, sources, border), truth


def nearest(array: np.ndarray, sources: Pair, border: str, *, first: int) -> np.ndarray:
    """Values of the nearest pixels.

    Args:
        array: holds the rows in axis ``first`` and the columns in the next.
        sources: rows and columns to read at.
        border: what lies outside. 'constant': zeros; 'reflect': the image mirrored about the
            centres of its outer pixels (OpenCV's REFLECT_101, scipy's mirror).
        first: axis of the rows.
    """
    height, width = array.shape[first : first + 2]
    rows, above = _bounded(np.floor(sources[0] + 0.5), height, border)
    columns, beside = _bounded(np.floor(sources[1] + 0.5), width, border)
    flat = array.reshape(*array.shape[:first], height * width, *array.shape[first + 2 :])
    result = flat.take((rows * width + columns).ravel(), axis=first)
    result[(slice(None),) * first + (np.flatnonzero(above | beside),)] = 0
    return result.reshape(array.shape)


def linear(frames: np.ndarray, sources: Pair, border: str) -> np.ndarray:
    """Linear interpolation, all frames by one sparse operator.

    With border 'constant' the outer half of a border pixel fades into the zeros outside, as in
    OpenCV and scikit-image.

    Args:
        frames: ``(T, H, W)`` or ``(T, H, W, C)``.
        sources: rows and columns to read at, ``(H, W)``.
        border: as in ``nearest``.

    Returns:
        The shape and type of ``frames``; integers are rounded to the nearest.
    """
    from scipy.sparse import csr_array

    height, width = frames.shape[1:3]
    size = height * width
    index = np.empty((size, 4), dtype=np.int32)
    weights = np.empty((size, 4), dtype=np.float32)
    corners = product(_taps(sources[0], height, border), _taps(sources[1], width, border))
    for k, ((row, row_weight), (column, column_weight)) in enumerate(corners):
        index[:, k] = (row * width + column).ravel()
        weights[:, k] = (row_weight * column_weight).ravel()
    starts = np.arange(0, 4 * size + 1, 4, dtype=np.int32)
    operator = csr_array((weights.ravel(), index.ravel(), starts), shape=(size, size))
    pixels = frames.reshape(len(frames), size, -1).astype(np.float32)
    result = np.stack([operator @ one for one in pixels]).reshape(frames.shape)
    if np.issubdtype(frames.dtype, np.integer):
        np.rint(result, out=result)
    return result.astype(frames.dtype, copy=False)


def _taps(position: np.ndarray, size: int, border: str) -> Iterator[Pair]:
    """The pixel before each position and the one after, int32, with their weights, float32."""
    low = np.floor(position)
    upper = (position - low).astype(np.float32)
    for step, weight in ((0, 1 - upper), (1, upper)):
        index, outside = _bounded(low + step, size, border)
        weight[outside] = 0
        yield index, weight


def _bounded(index: np.ndarray, size: int, border: str) -> Pair:
    """Whole-numbered positions as int32 indices inside the image, and which have no source."""
    vocabulary.check("border", border, BORDERS)
    whole = index.astype(np.int32)
    if border == "constant":
        outside = (whole < 0) | (whole >= size)
        return np.where(outside, 0, whole), outside
    period = max(2 * (size - 1), 1)
    whole = np.abs(whole) % period
    return np.minimum(whole, period - whole), np.zeros(whole.shape, dtype=bool)
