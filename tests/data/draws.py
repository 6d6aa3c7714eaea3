"""Windows to augment, and counting of draws: within four standard deviations, by a fixed seed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import ndimage

from salstm.data.augment import MODULES, augmentation

AUGMENTATIONS = {name: augmentation(name) for name in MODULES}
DRAWS = 1500


def window(
    side: int = 48, frames: int = 3, classes: int = 2, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Smooth RGB frames and a label of blobs."""
    generator = np.random.default_rng(seed)
    image = ndimage.gaussian_filter(generator.random((frames, side, side, 3)), (0, 1.5, 1.5, 0))
    image = (image - image.min()) / np.ptp(image)
    height = ndimage.gaussian_filter(generator.random((side, side)), 4)
    edges = np.quantile(height, np.linspace(0.5, 1, classes)[:-1])
    return (image * 255).astype(np.uint8), np.digitize(height, edges).astype(np.uint8)


class Calls(list):
    """Arguments of every call of a function that goes on doing its work."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, module: Any, name: str) -> None:
        super().__init__()
        original = getattr(module, name)

        def listener(*args: Any, **kwargs: Any) -> Any:
            self.append((args, kwargs))
            return original(*args, **kwargs)

        monkeypatch.setattr(module, name, listener)


def near(count: int, probability: float, draws: int = DRAWS) -> bool:
    """Within four standard deviations."""
    return abs(count - draws * probability) < 4 * (draws * probability * (1 - probability)) ** 0.5


def fills(values: list[float], low: float, high: float) -> bool:
    """Uniform between the two: extremes and mean."""
    array, width = np.array(values), high - low
    margin = 12 / len(array) * width
    return bool(
        low <= array.min() < low + margin
        and high - margin < array.max() <= high
        and abs(array.mean() - (low + high) / 2) < 4 * width / (12 * len(array)) ** 0.5
    )


def many(name: str, side: int = 24, frames: int = 1) -> None:
    image, label = window(side, frames)
    generator = np.random.default_rng(20240805)
    for _ in range(DRAWS):
        AUGMENTATIONS[name](image, label, generator)
