"""From a stored frame to the square that a network takes, and back: stretched or padded, before an augmentation.

Recipes of the TransUNet family augment first and zoom last (``resize: after``): of them nothing here is asked. Others
bring a frame to the network's square first (``before``), or pad it with black, so that circles stay circles (``pad``:
HarDNet-DFUS with ``--rect``).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from salstm.data.resize import on_grid, resize


class Box(NamedTuple):
    """Where a picture lies in a square, in pixels."""

    top: int
    left: int
    height: int
    width: int

    @property
    def rows(self) -> slice:
        """Its rows."""
        return slice(self.top, self.top + self.height)

    @property
    def columns(self) -> slice:
        """Its columns."""
        return slice(self.left, self.left + self.width)


def box(height: int, width: int, side: int, way: str) -> Box:
    """Where a frame of that height and width lies in the square of that side, in pixels.

    Args:
        height: of the stored frame.
        width: of the stored frame.
        side: of the square.
        way: a recipe's ``resize``; but for 'pad' the frame fills the square.
    """
    if way != "pad":
        return Box(0, 0, side, side)
    scale = side / max(height, width)
    rows, columns = max(1, round(height * scale)), max(1, round(width * scale))
    return Box((side - rows) // 2, (side - columns) // 2, rows, columns)


def squared(
    frames: np.ndarray, label: np.ndarray, side: int, way: str
) -> tuple[np.ndarray, np.ndarray]:
    """Frames and label as the augmentation gets them.

    Args:
        frames: ``(T, H, W)`` float32 or ``(T, H, W, 3)`` uint8.
        label: ``(H, W)`` uint8.
        side: of the square in pixels.
        way: a recipe's ``resize``; 'after' leaves both as they are.

    Returns:
        Both at ``side`` x ``side``, the label by nearest neighbour, 0 where nothing lies; frames cubic, of 8 bits
        rounded and cut as at preparation.
    """
    if way == "after":
        return frames, label
    if way == "before":
        frames, labels = on_grid(frames, label[None], side)
        return frames, labels[0]
    place = box(label.shape[0], label.shape[1], side, way)
    canvas = np.zeros((len(frames), side, side, *frames.shape[3:]), frames.dtype)
    canvas[:, place.rows, place.columns] = _resized(frames, place)
    truth = np.zeros((side, side), label.dtype)
    truth[place.rows, place.columns] = resize(label, place.height, place.width, 0)
    return canvas, truth


def _resized(frames: np.ndarray, place: Box) -> np.ndarray:
    if frames.shape[1:3] == (place.height, place.width):
        return frames  # CVC-ClinicDB's 288 x 384 in a square of 384: no resampling
    if frames.ndim == 3:
        return resize(frames, place.height, place.width, 3)
    planes = np.moveaxis(frames, -1, 1).astype(np.float32)
    cubic = np.clip(np.rint(resize(planes, place.height, place.width, 3)), 0, 255)
    return np.moveaxis(cubic, 1, -1).astype(np.uint8)
