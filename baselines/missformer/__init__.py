"""MISSFormer (Huang et al., IEEE TMI 2023): Transformer U-Net with a bridge over all scales."""

from __future__ import annotations

import re

import torch
from torch import Tensor, nn

from baselines.missformer.model import MISSFormer

# The authors' tensors that no forward pass reads, as regular expressions of whole names.
UNUSED = (
    r".+\.(mlp|mixffn[1-4])\.norm[23]\.(weight|bias)",
    r"decoder_3\.concat_linear\.(weight|bias)",
    r"decoder_3\.layer_former_[12]\.(norm[12]|attn\.(q|kv|proj)|mlp\.(fc[12]|dwconv\.dwconv|norm1))"
    r"\.(weight|bias)",
)
# The authors' parts of names, and ours; replaced in this order.
RENAMES = (
    *(
        (f"backbone.patch_embed{n}.proj.", f"encoder.stages.{n - 1}.embed.conv.")
        for n in range(1, 5)
    ),
    *(
        (f"backbone.patch_embed{n}.norm.", f"encoder.stages.{n - 1}.embed.norm.")
        for n in range(1, 5)
    ),
    *((f"backbone.block{n}.", f"encoder.stages.{n - 1}.blocks.") for n in range(1, 5)),
    *((f"backbone.norm{n}.", f"encoder.stages.{n - 1}.norm.") for n in range(1, 5)),
    *((f"bridge_layer{n}.", f"layers.{n - 1}.") for n in range(1, 5)),
    *((f".mixffn{n}.norm1.", f".ffns.{n - 1}.norm.") for n in range(1, 5)),
    *((f".mixffn{n}.", f".ffns.{n - 1}.") for n in range(1, 5)),
    (".scale_reduce.norm.", ".reduce.norm."),
    (".scale_reduce.sr", ".reduce.convs."),
    ("decoder_3.layer_up.norm.", "expand.norm."),
    ("decoder_3.layer_up.expand.", "expand.linear."),
    ("decoder_0.last_layer.", "head."),
    *((f"decoder_{level}.", f"decoder.{2 - level}.") for level in range(3)),
    *((f".layer_former_{n}.", f".blocks.{n - 1}.") for n in (1, 2)),
    (".concat_linear.", ".merge."),
    (".layer_up.norm.", ".expand.norm."),
    (".layer_up.expand.", ".expand.linear."),
    (".attn.sr.", ".attention.reduce.conv."),
    (".attn.norm.", ".attention.reduce.norm."),
    (".attn.", ".attention."),
    (".mlp.norm1.", ".ffn.norm."),
    (".mlp.", ".ffn."),
    (".dwconv.dwconv.", ".depthwise."),
)


def build(in_channels: int, out_channels: int, image_size: int) -> nn.Module:
    """Build MISSFormer: (B, in_channels, H, W) to logits (B, out_channels, H, W).

    H and W are multiples of 32.

    Args:
        in_channels: 1 (the image is repeated to 3 channels, as the authors do) or 3.
        out_channels: channels of the logits.
        image_size: not needed: nothing in the network has a size.
    """
    return MISSFormer(out_channels)


def from_authors(entries: dict[str, Tensor]) -> dict[str, Tensor]:
    """Rename the authors' entries and leave out those of ``UNUSED``.

    Raises:
        KeyError: an entry that the authors' network does not have, or one that is missing.
    """
    with torch.device("meta"):
        expected = set(MISSFormer(1).state_dict())
    ours: dict[str, Tensor] = {}
    unexpected = []
    for name, value in entries.items():
        if any(re.fullmatch(pattern, name) for pattern in UNUSED):
            continue
        key = _rename(name)
        if key in ours or key not in expected:
            unexpected.append(name)
        ours[key] = value
    if unexpected:
        raise KeyError(f"missformer: not entries of the authors' network: {unexpected}")
    if missing := sorted(expected - set(ours)):
        raise KeyError(f"missformer: no authors' entries for our {missing}")
    return ours


def _rename(name: str) -> str:
    for theirs, ours in RENAMES:
        name = name.replace(theirs, ours)
    return name
