"""Masks: the classes of a label as soft masks of their own, as authors with one class treat theirs."""

from __future__ import annotations

import numpy as np

# OpenCV's MORPH_ELLIPSE; the anchor is the pixel at (side // 2, side // 2).
ELLIPSES = {
    2: np.array([[0, 1], [1, 1]], dtype=bool),
    3: np.array([[0, 1, 0], [1, 1, 1], [0, 1, 0]], dtype=bool),
    4: np.array([[0, 0, 1, 0], [1, 1, 1, 1], [1, 1, 1, 1], [1, 1, 1, 1]], dtype=bool),
}


def planes(label: np.ndarray) -> np.ndarray:
    """0 or 255 for each class from 1 to the highest in the label, at least one; uint8 (K, H, W)."""
    classes = np.arange(1, max(int(label.max()), 1) + 1)
    return (label == classes[:, None, None]).astype(np.uint8) * np.uint8(255)


def label(planes: np.ndarray, like: np.ndarray) -> np.ndarray:
    """The label of soft masks: a class where its mask is above 127, the highest if several are.

    Args:
        planes: uint8 ``(K, H, W)``, plane k for class k + 1.
        like: gives the type.
    """
    classes = np.arange(1, len(planes) + 1)[:, None, None]
    return np.where(planes > 127, classes, 0).max(axis=0).astype(like.dtype)


def dilated(planes: np.ndarray, side: int) -> np.ndarray:
    """The highest value under an ellipse around each pixel; beyond the image nothing counts."""
    from scipy.ndimage import maximum_filter

    return np.asarray(maximum_filter(planes, footprint=ELLIPSES[side][None], mode="constant"))


def eroded(planes: np.ndarray, side: int) -> np.ndarray:
    """The lowest value under an ellipse around each pixel; beyond the image nothing counts."""
    from scipy.ndimage import minimum_filter

    footprint = ELLIPSES[side][None]
    return np.asarray(minimum_filter(planes, footprint=footprint, mode="constant", cval=255))
