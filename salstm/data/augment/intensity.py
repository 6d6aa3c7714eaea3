"""Normalisation of a whole case at preparation, before any resizing."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

HU_WINDOW = (-125.0, 275.0)


def none(image: np.ndarray) -> np.ndarray:
    """The values as they are: grey becomes float32, RGB stays uint8."""
    return image if image.ndim == 4 else image.astype(np.float32)


def minmax99(image: np.ndarray) -> np.ndarray:
    """Clip the brightest 1 % of a volume, then stretch it to [0, 1].

    The upper bound is the volume's 99th percentile, the lower one its minimum. A constant volume
    becomes 0.

    Deviation: ours. The normalisation of the ACDC package that the authors train on is in no public
    file; MT-UNet#29 reports values in about [-1, 1] and a script "modified from TransUNet's", which
    clips and scales to [0, 1].

    Args:
        image: ``(D, H, W)``, any number type, finite.

    Returns:
        ``(D, H, W)`` float32 in [0, 1].
    """
    image = image.astype(np.float32, copy=False)
    low, high = float(image.min()), float(np.percentile(image, 99))
    if high <= low:
        return np.zeros_like(image)
    scaled = np.minimum(image, np.float32(high))
    scaled -= np.float32(low)
    scaled /= np.float32(high - low)
    return scaled


def hu(image: np.ndarray) -> np.ndarray:
    """Clip a CT volume to [-125, 275] HU and scale that window to [0, 1].

    TransUNet's window (datasets/README.md) with fixed bounds, as MERIT's script has them: a grey
    value means the same in every volume. Where a volume's own extremes are used instead, as
    TransUNet's text can be read, the two differ only for volumes that do not reach both bounds.

    Args:
        image: ``(D, H, W)`` in Hounsfield units, any number type, finite.

    Returns:
        ``(D, H, W)`` float32 in [0, 1].
    """
    low, high = HU_WINDOW
    scaled = image.astype(np.float32)
    np.clip(scaled, low, high, out=scaled)
    scaled -= np.float32(low)
    scaled /= np.float32(high - low)
    return scaled


NORMALISATIONS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "none": none,
    "minmax99": minmax99,
    "hu": hu,
}
