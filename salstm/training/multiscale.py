"""Multi-scale training: each batch at a size drawn for it, as some polyp networks are trained."""

from __future__ import annotations

import random
from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor


def draw(sizes: Sequence[int], seed: int, iteration: int) -> int:
    """The side in pixels of the batch of an iteration: one of ``sizes``, each entry as likely as the others.

    It follows from seed and iteration alone, so a resumed training draws the same.
    """
    return random.Random(f"{seed}/{iteration}").choice(list(sizes))


def resized(image: Tensor, label: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """Image ``(B, [T,] C, H, W)`` and label ``(B, H, W)`` at another size, both bilinear.

    The label becomes soft: a float share of foreground, which only losses on one sigmoid output take.
    """
    mask = (label > 0)[:, None].to(image)
    mask = F.interpolate(mask, (size, size), mode="bilinear", align_corners=False)[:, 0]
    frames = F.interpolate(image.flatten(0, -4), (size, size), mode="bilinear", align_corners=False)
    return frames.unflatten(0, image.shape[:-3]), mask
