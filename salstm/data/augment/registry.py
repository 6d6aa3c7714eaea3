"""The TransUNet family's augmentation, and none."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from salstm.data.augment.geometry import Pair


def none(frames: np.ndarray, label: np.ndarray, generator: np.random.Generator) -> Pair:
    """Change nothing."""
    del generator
    return frames, label


def rotflip(frames: np.ndarray, label: np.ndarray, generator: np.random.Generator) -> Pair:
    """RandomGenerator of TransUNet's datasets/dataset_synapse.py, which its family shares.

    Probability 1/2: a rotation by 0, 90, 180 or 270 degrees, then always one flip, along rows or
    columns. Probability 1/4: a rotation by -20 to +19 whole degrees, nearest neighbour for frames
    and label, zeros outside. Else nothing.

    Args:
        frames: ``(T, H, W)`` or ``(T, H, W, 3)``.
        label: ``(H, W)``.
        generator: where the draw comes from.

    Returns:
        Both, changed alike; H and W change places with the quarter turns.
    """
    if generator.random() > 0.5:
        quarters, axis = int(generator.integers(4)), int(generator.integers(2))
        return turned(frames, quarters, axis, first=1), turned(label, quarters, axis, first=0)
    if generator.random() > 0.5:
        angle = int(generator.integers(-20, 20))
        return rotated(frames, angle, first=1), rotated(label, angle, first=0)
    return frames, label


def turned(array: np.ndarray, quarters: int, axis: int, *, first: int) -> np.ndarray:
    """Rotate by quarter turns, then flip.

    Args:
        array: holds the rows in axis ``first`` and the columns in the next.
        quarters: turns by 90 degrees, as in ``numpy.rot90``.
        axis: 0 flips the rows, 1 the columns.
        first: axis of the rows.
    """
    return np.flip(np.rot90(array, quarters, axes=(first, first + 1)), first + axis)


def rotated(array: np.ndarray, angle: int, *, first: int) -> np.ndarray:
    """Rotate about the centre, nearest neighbour, same size, zeros outside.

    Equal to ``scipy.ndimage.rotate(array, angle, order=0, reshape=False)``: one gather for all
    frames, where scipy goes frame by frame.

    Args:
        array: holds the rows in axis ``first`` and the columns in the next.
        angle: degrees.
        first: axis of the rows.
    """
    height, width = array.shape[first : first + 2]
    source, outside = _sources(height, width, angle)
    flat = array.reshape(*array.shape[:first], height * width, *array.shape[first + 2 :])
    result = flat.take(source, axis=first)
    result[(slice(None),) * first + (outside,)] = 0
    return result.reshape(array.shape)


@lru_cache(maxsize=40)
def _sources(height: int, width: int, angle: int) -> tuple[np.ndarray, np.ndarray]:
    """Flat source index of every pixel, and the flat indices of pixels whose source is outside.

    Scipy's arithmetic, step by step, so that ties round alike.
    """
    from scipy.special import cosdg, sindg

    cosine, sine = float(cosdg(angle)), float(sindg(angle))
    matrix = np.array([[cosine, sine], [-sine, cosine]])
    centre = (np.array([height, width]) - 1) / 2
    shift = centre - matrix @ centre
    rows, columns = np.arange(height, dtype=float)[:, None], np.arange(width, dtype=float)
    y = matrix[0, 0] * rows + matrix[0, 1] * columns + shift[0]
    x = matrix[1, 0] * rows + matrix[1, 1] * columns + shift[1]
    outside = (y < 0) | (y > height - 1) | (x < 0) | (x > width - 1)
    source = np.floor(y + 0.5).astype(np.intp) * width + np.floor(x + 0.5).astype(np.intp)
    source[outside] = 0
    return source.ravel(), np.flatnonzero(outside)
