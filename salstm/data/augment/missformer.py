"""MISSFormer's and DAEFormer's augmentation: up to four of ten changes, after imgaug 0.4.0."""

from __future__ import annotations

import numpy as np

from salstm.data.augment import colour
from salstm.data.augment.geometry import (
    Pair,
    affine_sources,
    flipped,
    piecewise_sources,
    rotation,
    warp,
)

NOISE_SIGMA = 0.005 * 255  # meant for images up to 255; theirs end at 1


def missformer(frames: np.ndarray, label: np.ndarray, generator: np.random.Generator) -> Pair:
    """Four of ten at most: ``SomeOf((0, 4))`` of imgaug, in the authors' dataset_synapse.py.

    Zero to four of the ten changes below, each number alike, none twice, in random order, each on
    the result of the one before. Warps: frames linear, label nearest, zeros outside. Nothing is cut
    to [0, 1]. The label keeps whatever classes it has; the authors split it into nine planes.

    Args:
        frames: float32 ``(T, H, W)`` in [0, 1]; uint8 ``(T, H, W, 3)`` is divided by 255 first and
            returned as float32, multiplied by 255.
        label: ``(H, W)``.
        generator: where the draw comes from.
    """
    unit = np.float32(255 if frames.dtype == np.uint8 else 1)
    frames = frames / unit
    count = generator.integers(5)
    for index in generator.permutation(len(CHANGES))[:count]:
        frames, label = CHANGES[index](frames, label, generator)
    return frames * unit, label


def upside_down(frames: np.ndarray, label: np.ndarray, generator: np.random.Generator) -> Pair:
    """Probability 1/2."""
    return flipped(frames, label, 0) if generator.random() < 0.5 else (frames, label)


def left_to_right(frames: np.ndarray, label: np.ndarray, generator: np.random.Generator) -> Pair:
    """Probability 1/2."""
    return flipped(frames, label, 1) if generator.random() < 0.5 else (frames, label)


def noise(frames: np.ndarray, label: np.ndarray, generator: np.random.Generator) -> Pair:
    """Gaussian, sigma 1.275: it drowns the image, as in the authors' training."""
    return colour.noise(frames, NOISE_SIGMA, generator), label


def blur(frames: np.ndarray, label: np.ndarray, generator: np.random.Generator) -> Pair:
    """Gaussian, sigma 1, 5 x 5."""
    del generator
    return colour.gaussian_blur(frames, 1.0, 5), label


def gain(frames: np.ndarray, label: np.ndarray, generator: np.random.Generator) -> Pair:
    """LinearContrast 0.5 to 1.5; for floating images it turns about 0."""
    return frames * np.float32(generator.uniform(0.5, 1.5)), label


def scale(frames: np.ndarray, label: np.ndarray, generator: np.random.Generator) -> Pair:
    """Width and height each times 0.5 to 2."""
    return _affine(frames, label, np.diag(generator.uniform(0.5, 2, 2)))


def rotate(frames: np.ndarray, label: np.ndarray, generator: np.random.Generator) -> Pair:
    """By up to 40 degrees."""
    return _affine(frames, label, rotation(generator.uniform(-40, 40)))


def shear(frames: np.ndarray, label: np.ndarray, generator: np.random.Generator) -> Pair:
    """By up to 16 degrees, the same along y and then along x, as scikit-image up to 0.20 has it."""
    angle = np.deg2rad(generator.uniform(-16, 16))
    along_y = np.array([[np.cos(angle), 0], [np.sin(angle), 1]])
    along_x = np.array([[1, -np.sin(angle)], [0, np.cos(angle)]])
    return _affine(frames, label, along_x @ along_y)


def piecewise(frames: np.ndarray, label: np.ndarray, generator: np.random.Generator) -> Pair:
    """PiecewiseAffine: 2 to 4 by 2 to 4 points, sigma 0.008 to 0.03 of the side."""
    grid = generator.integers(2, 5, 2)
    jitter = generator.normal(0, generator.uniform(0.008, 0.03), (*grid, 2))
    return warp(frames, label, piecewise_sources(label.shape, jitter), border="constant")


def translate(frames: np.ndarray, label: np.ndarray, generator: np.random.Generator) -> Pair:
    """By up to a fifth of the width and of the height."""
    shift = generator.uniform(-0.2, 0.2, 2) * label.shape[::-1]
    return _affine(frames, label, np.eye(2), shift=(shift[0], shift[1]))


def _affine(
    frames: np.ndarray,
    label: np.ndarray,
    linear: np.ndarray,
    shift: tuple[float, float] = (0.0, 0.0),
) -> Pair:
    sources = affine_sources(label.shape, linear, shift=shift)
    return warp(frames, label, sources, border="constant")


CHANGES = (
    upside_down,
    left_to_right,
    noise,
    blur,
    gain,
    scale,
    rotate,
    shear,
    piecewise,
    translate,
)
