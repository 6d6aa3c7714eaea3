"""One map as a sequence: cut into patches, which a recurrent net reads in turn, and put together again.

A second reading of the paper's unpublished 2D wiring. A public follow-up (guanyongj1e/SAMGRU at 118ebee,
code/Synapse/lib/modelGRU.py) cuts its network's map into 32 x 32 patches and reads them in zigzag order, from the first
to the last and back. Theirs is a GRU whose attention takes queries and keys from the last patch alone, and whose way
back is put together in the order of the way there; ours is the modules of this paper, each patch with its own states,
in its place.
"""

from __future__ import annotations

from torch import Tensor

SIDE = 32
"""Of a patch, in pixels."""


def cut(features: Tensor) -> Tensor:
    """A map as a sequence of patches: rows from left to right and from right to left in turn.

    Args:
        features: ``(B, C, H, W)``.

    Returns:
        ``(B, T, C, 32, 32)`` with T = H / 32 * W / 32.

    Raises:
        ValueError: sides that 32 does not divide.
    """
    count, channels, height, width = features.shape
    if height % SIDE or width % SIDE:
        raise ValueError(
            f"wiring patches: features of {height}x{width} pixels; sides must be multiples of {SIDE}. Set the recipe's "
            f"size accordingly, or wiring to frames"
        )
    grid = features.reshape(count, channels, height // SIDE, SIDE, width // SIDE, SIDE)
    grid = grid.permute(0, 2, 4, 1, 3, 5)  # (B, rows, columns, C, 32, 32)
    return _turned(grid).flatten(1, 2)


def join(patches: Tensor, height: int, width: int) -> Tensor:
    """Put the patches of ``cut`` back: ``(B, T, C, 32, 32)`` to ``(B, C, height, width)``."""
    grid = _turned(patches.unflatten(1, (height // SIDE, width // SIDE)))
    return grid.permute(0, 3, 1, 4, 2, 5).flatten(4, 5).flatten(2, 3)


def _turned(grid: Tensor) -> Tensor:
    """Every second row of patches from right to left; its own inverse."""
    turned = grid.clone()
    turned[:, 1::2] = grid[:, 1::2].flip(2)
    return turned
