"""The deterministic weights and inputs behind the golden outputs of the authors' own models.

``golden/<network>.npz`` holds what the authors' released code computes in float64, in eval mode, for these
weights and this input. A re-implementation that agrees is the same function.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

GOLDEN = Path(__file__).parent / "golden"


def load(name: str) -> dict[str, np.ndarray]:
    """All arrays of one golden file."""
    with np.load(GOLDEN / f"{name}.npz", allow_pickle=False) as file:
        return dict(file)


def entry(name: str, shape: tuple[int, ...], seed: int) -> Tensor:
    """The value of one state entry, by the rule under which the golden outputs were computed."""
    if name.endswith("num_batches_tracked"):
        return torch.zeros(shape, dtype=torch.int64)
    g = np.random.RandomState(seed).standard_normal(shape)
    if name.endswith("running_var"):
        value = 1 + 0.5 * np.abs(g)
    elif name.endswith("running_mean"):
        value = 0.1 * g
    elif "position" in name:
        value = 0.02 * g
    elif name.endswith("shift"):
        value = 0.05 + 0.3 * np.abs(g)
    elif name.endswith("temperature"):
        value = 1 + 0.1 * g
    elif name.endswith("gamma"):
        value = 0.5 + 0.1 * g
    elif len(shape) >= 2:
        value = g * np.sqrt(2 / (g.size / shape[0]))
    elif name.endswith("bias"):
        value = 0.1 * g
    else:
        value = 1 + 0.1 * g
    return torch.as_tensor(np.asarray(value))


def entries(golden: dict[str, np.ndarray]) -> dict[str, Tensor]:
    """The whole state dict of the authors' model, under the authors' names."""
    base = int(golden["base_seed"])
    state = {}
    for index, (name, text) in enumerate(zip(golden["names"], golden["shapes"], strict=True)):
        shape = tuple(int(side) for side in str(text).split(",") if side)
        state[str(name)] = entry(str(name), shape, base + index)
    return state


def image(channels: int, size: int, seed: int) -> Tensor:
    """The input: (1, channels, size, size) float64."""
    row, column = np.arange(size)[:, None], np.arange(size)[None]
    wave = 0.5 + 0.4 * np.sin(0.05 * row) * np.cos(0.03 * column)
    noise = np.random.RandomState(seed).uniform(0, 1, (channels, size, size))
    return torch.as_tensor(wave + 0.4 * (noise - 0.5))[None]


def relative(ours: np.ndarray, theirs: np.ndarray) -> float:
    """Norm of the difference over the norm."""
    return float(np.linalg.norm(ours - theirs) / np.linalg.norm(theirs))
