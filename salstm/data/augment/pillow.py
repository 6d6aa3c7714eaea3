"""PIL's own operations, frame by frame, for recipes whose authors use PIL.

Frames are uint8 ``(N, H, W, 3)`` or ``(N, H, W)``; a label is one of the latter.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from PIL import Image, ImageEnhance

NEAREST, LINEAR, CUBIC = (
    Image.Resampling.NEAREST,
    Image.Resampling.BILINEAR,
    Image.Resampling.BICUBIC,
)
ENHANCERS = {
    "brightness": ImageEnhance.Brightness,
    "contrast": ImageEnhance.Contrast,
    "saturation": ImageEnhance.Color,
    "sharpness": ImageEnhance.Sharpness,
}


def each(frames: np.ndarray, operation: Callable[[Image.Image], Image.Image]) -> np.ndarray:
    """The operation on every frame; all results must have one size."""
    return np.stack([np.asarray(operation(Image.fromarray(frame))) for frame in frames])


def enhanced(frames: np.ndarray, name: str, factor: float) -> np.ndarray:
    """``ImageEnhance``: 1 as it is; 0 black, the frame's mean grey, its grey, or smoothed.

    Args:
        frames: RGB.
        name: a key of ``ENHANCERS``.
        factor: the same for all frames.
    """
    return each(frames, lambda image: ENHANCERS[name](image).enhance(factor))


def rotated(frames: np.ndarray, degrees: float, resample: Image.Resampling = NEAREST) -> np.ndarray:
    """Rotate counter-clockwise about the middle, same size, black outside."""
    return each(frames, lambda image: image.rotate(degrees, resample=resample))


def rotated_whole(frames: np.ndarray, degrees: float) -> np.ndarray:
    """Rotate onto a canvas that holds everything, nearest; then cut out the middle."""
    return each(frames, lambda image: _middle(image.rotate(degrees, expand=True), image.size))


def resized(frames: np.ndarray, height: int, width: int, resample: Image.Resampling) -> np.ndarray:
    """Resize on PIL's grid: the outer edges of the images coincide."""
    return each(frames, lambda image: image.resize((width, height), resample))


def scaled_whole(
    frames: np.ndarray, factor: float, resample: Image.Resampling = CUBIC
) -> np.ndarray:
    """Resize by a factor; then cut out the middle, or pad with black, to the old size."""

    def operation(image: Image.Image) -> Image.Image:
        width, height = (max(1, round(side * factor)) for side in image.size)
        return _middle(image.resize((width, height), resample), image.size)

    return each(frames, operation)


def _middle(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    left, top = ((a - b) // 2 for a, b in zip(image.size, size, strict=True))
    right, bottom = ((a + b) // 2 for a, b in zip(image.size, size, strict=True))
    return image.crop((left, top, right, bottom))
