"""MT-UNet, "Mixed Transformer U-Net for Medical Image Segmentation" (Wang et al., ICASSP 2022)."""

from __future__ import annotations

import re

import torch
from torch import Tensor, nn

from baselines.mtunet.model import MTUNet

AUTHORS_SIZE = 224
DEAD = re.compile(r"\.CSAttention\.global_atten\.out\.(weight|bias)$")
RENAMES = tuple(
    (re.compile(pattern), ours)
    for pattern, ours in (
        (r"^stem\.model\.res(\d)\.", r"stem.block\1."),
        (r"^stem\.trans_dim\.", "stem.to_tokens."),
        (r"^encoder\.(\d)\.block\.2\.", r"encoder.\1.down."),
        (r"^encoder\.(\d)\.block\.([01])\.", r"encoder.\1.blocks.\2."),
        (r"^decoder\.(\d)\.block\.0\.", r"decoder.\1.up."),
        (r"^decoder\.0\.block\.1\.", "decoder.0.reduce."),
        (r"^decoder\.0\.block\.2\.", "decoder.0.blocks.0."),
        (r"^decoder\.0\.block\.3\.", "decoder.0.blocks.1."),
        (r"^decoder\.1\.block\.1\.", "decoder.1.blocks.0."),
        (r"^decoder\.1\.block\.2\.", "decoder.1.blocks.1."),
        (r"^decoder_stem\.block\.trans(\d)\.", r"cnn_decoder.up\1."),
        (r"^decoder_stem\.block\.res(\d)\.", r"cnn_decoder.block\1."),
        (r"^SegmentationHead\.", "head."),
        # inside a DoubleConv
        (r"(\.block\d)\.conv1\.", r"\1.residual.conv."),
        (r"(\.block\d)\.bn\.", r"\1.residual.norm."),
        (r"(\.block\d)\.conv\.0\.", r"\1.conv1."),
        (r"(\.block\d)\.conv\.1\.", r"\1.conv2."),
        (r"\.bn\.", ".norm."),
        # inside a mixed transformer module
        (r"\.SlayerNorm\.", ".norm1."),
        (r"\.ElayerNorm\.", ".norm2."),
        (r"\.CSAttention\.win_atten\.attention\.(\w+?)(_layer)?\.", r".local_global.window.\1."),
        (r"\.CSAttention\.dlightconv\.linear\.", ".local_global.summary.weights."),
        (r"\.CSAttention\.global_atten\.(\w+)_layer\.", r".local_global.axial.\1."),
        (r"\.CSAttention\.gaussiantrans\.", ".local_global.axial."),
        (r"\.CSAttention\.queeze\.", ".local_global.fuse."),
        (r"\.EAttention\.query_liner\.", ".external.query."),
        (r"\.EAttention\.linear_0\.", ".external.memory_keys."),
        (r"\.EAttention\.linear_1\.", ".external.memory_values."),
        (r"\.EAttention\.proj\.", ".external.out."),
    )
)


def build(in_channels: int, out_channels: int, image_size: int) -> nn.Module:
    """Build MT-UNet with the authors' initialisation; see ``card.yaml``.

    Args:
        in_channels: 1 or 3; one channel is repeated to three.
        out_channels: channels of the logits.
        image_size: side of the square input, a multiple of 32, at least 64.
    """
    return MTUNet(in_channels, out_channels, image_size)


def from_authors(entries: dict[str, Tensor]) -> dict[str, Tensor]:
    """Map the authors' state dict to ours; the output layer that they never use is dropped.

    Raises:
        KeyError: entries that the authors' model does not have, or some of it that are missing.
    """
    ours = {_rename(name): name for name in entries if not DEAD.search(name)}
    with torch.device("meta"):
        expected = set(MTUNet(1, 1, AUTHORS_SIZE).state_dict())
    unexpected = sorted(ours[name] for name in set(ours) - expected)
    missing = sorted(expected - set(ours))
    if unexpected or missing:
        raise KeyError(f"mtunet: unexpected entries {unexpected}, missing (our names) {missing}")
    return {name: entries[theirs] for name, theirs in ours.items()}


def _rename(name: str) -> str:
    for pattern, ours in RENAMES:
        name = pattern.sub(ours, name)
    return name
