"""Attention between the channels of a map: equation 6 of the package."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

AttentionSize = float | Literal["map", "released"]
RELEASED = 224 * 224 / 88
"""On the release's maps of 224 x 224, what its scale 1/88 makes of a sum over all positions: 570 times their mean."""


def scale(attention_size: AttentionSize, query: Tensor) -> float:
    """The factor s before the softmax.

    Args:
        attention_size: a number; ``"map"`` for the number of positions of the map; ``"released"`` for the number
            that keeps the scores before the softmax on any map what 7744 makes of them on 224 x 224:
            ``(88 H W / 50176)^2``. The inner product is a sum over all positions, so under a constant the scores
            grow with the map, from flat attention to one channel alone.
        query: ``(B, C, H, W)``.

    Returns:
        ``1 / sqrt(attention_size)``, ``1 / sqrt(H W)`` or ``50176 / (88 H W)``.
    """
    positions = query.shape[2] * query.shape[3]
    if attention_size == "released":
        return RELEASED / positions
    return (positions if attention_size == "map" else attention_size) ** -0.5


def channel_weights(query: Tensor, key: Tensor, factor: float) -> Tensor:
    """``softmax(s Q K^T)`` over the key channels, the inner product taken over all positions.

    Args:
        query: ``(B, C, H, W)``.
        key: ``(B, C, H, W)``.
        factor: s.

    Returns:
        ``(B, C, C)``, rows that sum to 1; float32 for inputs of half precision. A sum over 50,176
        positions overflows float16, and bfloat16 keeps 8 bits of attention logits that go into the
        hundreds: so the product is in float32, also under autocast. It is under 1 % of the
        module's cost.
    """
    q, k = query.flatten(2), key.flatten(2).transpose(1, 2)
    if query.dtype in (torch.float16, torch.bfloat16):
        with torch.autocast(query.device.type, enabled=False):
            return torch.bmm(q.float() * factor, k.float()).softmax(dim=-1)
    return torch.bmm(q * factor, k).softmax(dim=-1)


def channel_attention(query: Tensor, key: Tensor, value: Tensor, factor: float) -> Tensor:
    """``softmax(s Q K^T) V`` between channels.

    ``bmm``, not ``scaled_dot_product_attention``: counters of operations see the former only.

    Args:
        query: ``(B, C, H, W)``.
        key: ``(B, C, H, W)``.
        value: ``(B, C, H, W)``.
        factor: s.

    Returns:
        ``(B, C, H, W)``: every channel is a mean of the channels of ``value``.
    """
    weights = channel_weights(query, key, factor).to(value.dtype)
    return torch.bmm(weights, value.flatten(2)).view_as(value)
