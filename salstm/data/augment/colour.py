"""Colour: photometric changes of frames; every frame of a window gets the same parameters.

Floating frames, ``(T, H, W, 3)`` or ``(T, H, W)``, in [0, 1] unless said otherwise. Brightness,
contrast, saturation and hue are torchvision's for tensors: blended with black, with the frame's mean
grey or with its grey, cut to [0, 1] after each. What the authors do with PIL is in ``pillow``.
"""

from __future__ import annotations

import numpy as np

GREY = np.array([0.2989, 0.587, 0.114], dtype=np.float32)


def brightness(frames: np.ndarray, factor: float) -> np.ndarray:
    """0 black, 1 as it is."""
    return _blend(frames, 0, factor)


def contrast(frames: np.ndarray, factor: float) -> np.ndarray:
    """0 the frame's own mean grey, 1 as it is."""
    return _blend(frames, (frames @ GREY).mean(axis=(1, 2))[:, None, None, None], factor)


def saturation(frames: np.ndarray, factor: float) -> np.ndarray:
    """0 grey, 1 as it is."""
    return _blend(frames, (frames @ GREY)[..., None], factor)


def hue(frames: np.ndarray, shift: float) -> np.ndarray:
    """Turn the hue by ``shift`` of a full circle; value and saturation (HSV) stay."""
    red, green, blue = np.ascontiguousarray(np.moveaxis(frames, -1, 0))
    high = np.maximum(np.maximum(red, green), blue)
    low = np.minimum(np.minimum(red, green), blue)
    chroma = high - low
    divisor = np.where(chroma == 0, np.float32(1), chroma)
    sixths = np.where(high == green, (blue - red) / divisor + 2, (red - green) / divisor + 4)
    sixths = np.where(high == red, (green - blue) / divisor, sixths) + np.float32(6 * shift)
    sixths -= 6 * np.floor(sixths / 6)
    shares = np.abs(sixths - 3) - 1, 2 - np.abs(sixths - 2), 2 - np.abs(sixths - 4)
    return np.stack([low + chroma * np.clip(share, 0, 1) for share in shares], axis=-1)


def gaussian_blur(frames: np.ndarray, sigma: float, size: int) -> np.ndarray:
    """Blur with a sampled Gaussian, mirrored about the outer pixels.

    Args:
        frames: of any range.
        sigma: standard deviation in pixels.
        size: taps of the kernel, an odd number.
    """
    from scipy.ndimage import correlate1d

    offsets = np.arange(size) - size // 2
    kernel = np.exp(-0.5 * (offsets / sigma) ** 2)
    kernel /= kernel.sum()
    used = kernel[np.abs(offsets) <= max(int(np.abs(offsets[kernel > 1e-9]).max()), 1)]
    down = correlate1d(frames, used, axis=1, mode="mirror")
    return np.asarray(correlate1d(down, used, axis=2, mode="mirror"))


def noise(frames: np.ndarray, sigma: float, generator: np.random.Generator) -> np.ndarray:
    """Add one field of Gaussian noise to all frames; nothing is cut.

    Equal frames stay equal.

    Args:
        frames: of any range.
        sigma: standard deviation in the units of the frames.
        generator: where the field comes from, independent in each pixel and channel.
    """
    field = generator.standard_normal(frames.shape[1:], dtype=np.float32)
    return frames + np.float32(sigma) * field


def holes(frames: np.ndarray, sides: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Black rectangles anywhere inside the image, at the same places in all frames.

    Args:
        frames: of any type and range.
        sides: ``(number of holes, 2)``: height and width of each in pixels, at least 1.
        generator: where the places come from.
    """
    result = frames.copy()
    limits = frames.shape[1:3]
    for height, width in np.minimum(sides, limits):
        row = generator.integers(limits[0] - height + 1)
        column = generator.integers(limits[1] - width + 1)
        result[:, row : row + height, column : column + width] = 0
    return result


def _blend(frames: np.ndarray, other: np.ndarray | float, factor: float) -> np.ndarray:
    blended = np.float32(factor) * frames + np.float32(1 - factor) * other
    return np.clip(blended, 0, 1, out=blended)
