"""nnU-Net's augmentation of 2D patches, after nnUNetTrainer and batchgeneratorsv2 0.3.6."""

from __future__ import annotations

import numpy as np

from salstm.data.augment import colour
from salstm.data.augment.geometry import Pair, affine_sources, flipped, rotation, warp


def nnunet(frames: np.ndarray, label: np.ndarray, generator: np.random.Generator) -> Pair:
    """Rotation and scaling, noise, blur, brightness, contrast, low resolution, gamma, mirroring, each by its odds.

    On frames of mean 0 and deviation 1 (of the window, each channel), as theirs; brought back afterwards, nothing is
    cut. Rotate by up to 180 degrees, p 0.2; scale by 0.7 to 1.4, p 0.2; linear, the mean outside. Noise, deviation up
    to 0.1, p 0.1. Blur, sigma 0.5 to 1, p 0.2, each channel p 0.5. Brightness times 0.75 to 1.25, p 0.15; contrast
    likewise, kept in its range, p 0.15. Every second to every pixel, enlarged, p 0.25, each channel p 0.5. Gamma 0.7 to
    1.5 of the negative, p 0.1, of the image, p 0.3, mean and deviation kept. Mirror each axis, p 1/2.

    Args:
        frames: float32 ``(T, H, W)`` or uint8 ``(T, H, W, 3)``, which is returned as float32 up to 255 and beyond.
        label: ``(H, W)``.
        generator: where the draw comes from.
    """
    values = frames.astype(np.float32) if frames.ndim == 4 else frames[..., None]
    mean = values.mean(axis=(0, 1, 2))
    deviation = np.maximum(values.std(axis=(0, 1, 2)), np.float32(1e-8))
    values, label = _moved((values - mean) / deviation, label, generator)
    values = _painted(values, generator)
    for axis in (0, 1):
        if generator.random() < 0.5:
            values, label = flipped(values, label, axis)
    values = (values * deviation + mean).astype(np.float32)
    return (values if frames.ndim == 4 else values[..., 0]), label


def _moved(values: np.ndarray, label: np.ndarray, generator: np.random.Generator) -> Pair:
    angle = generator.uniform(-180, 180) if generator.random() < 0.2 else 0.0
    scale = generator.uniform(0.7, 1.4) if generator.random() < 0.2 else 1.0
    if angle == 0 and scale == 1:
        return values, label
    height, width = label.shape
    # Theirs reads at the scaled place: a scale above 1 makes things small.
    sources = affine_sources((height, width), rotation(angle) / scale)
    return warp(values, label, sources, border="constant")


def _painted(values: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """The changes of intensity, in their order."""
    if generator.random() < 0.1:
        values = colour.noise(values, generator.uniform(0, 0.1), generator)
    channels = [values[..., index] for index in range(values.shape[-1])]
    if generator.random() < 0.2:
        channels = [
            colour.gaussian_blur(one, generator.uniform(0.5, 1), 9)
            if generator.random() < 0.5
            else one
            for one in channels
        ]
    if generator.random() < 0.15:
        channels = [one * np.float32(_factor(generator, 0.75, 1.25)) for one in channels]
    if generator.random() < 0.15:
        channels = [_contrasted(one, _factor(generator, 0.75, 1.25)) for one in channels]
    if generator.random() < 0.25:
        channels = [
            _coarse(one, generator.uniform(0.5, 1)) if generator.random() < 0.5 else one
            for one in channels
        ]
    for odds, sign in ((0.1, -1), (0.3, 1)):
        if generator.random() < odds:
            channels = [sign * _gamma(sign * one, _factor(generator, 0.7, 1.5)) for one in channels]
    return np.stack(channels, axis=-1)


def _factor(generator: np.random.Generator, low: float, high: float) -> float:
    """Below and above 1 alike often."""
    return generator.uniform(low, 1) if generator.random() < 0.5 else generator.uniform(1, high)


def _contrasted(values: np.ndarray, factor: float) -> np.ndarray:
    mean = values.mean()
    return np.clip((values - mean) * np.float32(factor) + mean, values.min(), values.max())


def _coarse(values: np.ndarray, share: float) -> np.ndarray:
    """Fewer pixels, the nearest ones, then linear between them, the outer ones repeated."""
    found = values
    for axis in (1, 2):
        size = values.shape[axis]
        count = max(1, round(size * share))
        picked = np.floor((np.arange(count) + 0.5) * size / count).astype(int)
        place = np.clip((np.arange(size) + 0.5) * count / size - 0.5, 0, count - 1)
        low = np.minimum(place.astype(int), max(count - 2, 0))
        high = np.minimum(low + 1, count - 1)
        shape = (-1, 1) if axis == 1 else (1, -1)
        upper = (place - low).astype(np.float32).reshape(shape)
        few = found.take(picked, axis=axis)
        found = few.take(low, axis=axis) * (1 - upper) + few.take(high, axis=axis) * upper
    return found


def _gamma(values: np.ndarray, exponent: float) -> np.ndarray:
    """A power of the values between their least and greatest, brought back to their mean and deviation."""
    mean, deviation, low = values.mean(), values.std(), values.min()
    reach = max(float(values.max() - low), 1e-7)
    bent = ((values - low) / reach) ** np.float32(exponent) * reach + low
    return (bent - bent.mean()) * (deviation / max(float(bent.std()), 1e-7)) + mean
