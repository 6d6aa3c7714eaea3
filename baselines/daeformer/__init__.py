"""DAE-Former (Azad et al., PRIME 2023): Transformer U-Net with spatial and channel attention."""

from __future__ import annotations

import re

import torch
from torch import Tensor, nn

from baselines.daeformer.model import DAEFormer

# The authors' tensors that no forward pass reads, as regular expressions of whole names.
UNUSED = (
    r".+\.mlp[12]?\.norm[23]\.(weight|bias)",
    r"decoder_2\.(x1_linear|concat_linear)\.(weight|bias)",
    r"decoder_2\.cross_attn\.(norm[12]|attn\.(reprojection|norm)|mlp\.(fc[12]|dwconv\.dwconv|norm1))"
    r"\.(weight|bias)",
    r"decoder_2\.layer_former_[12]\.(norm[1-4]|attn\.(keys|queries|values|reprojection)|channel_attn\.proj"
    r"|mlp[12]\.(fc[12]|dwconv\.dwconv|norm1))\.(weight|bias)",
    r"decoder_2\.layer_former_[12]\.channel_attn\.(temperature|qkv\.weight)",
)
# The authors' parts of names, and ours; replaced in this order.
RENAMES = (
    *((f"backbone.patch_embed{n}.proj.", f"encoder.{n - 1}.embed.conv.") for n in range(1, 4)),
    *((f"backbone.patch_embed{n}.norm.", f"encoder.{n - 1}.embed.norm.") for n in range(1, 4)),
    *((f"backbone.block{n}.", f"encoder.{n - 1}.blocks.") for n in range(1, 4)),
    *((f"backbone.norm{n}.", f"encoder.{n - 1}.norm.") for n in range(1, 4)),
    ("decoder_2.layer_up.norm.", "expand.norm."),
    ("decoder_2.layer_up.expand.", "expand.linear."),
    ("decoder_0.last_layer.", "head."),
    *((f"decoder_{level}.", f"decoder.{1 - level}.") for level in range(2)),
    *((f".layer_former_{n}.", f".blocks.{n - 1}.") for n in (1, 2)),
    (".x1_linear.", ".widen."),
    (".cross_attn.attn.reprojection.", ".cross.proj."),
    (".cross_attn.attn.norm.", ".cross.norm_context."),
    (".cross_attn.mlp.", ".cross.ffn."),
    (".cross_attn.", ".cross."),
    (".concat_linear.", ".merge."),
    (".layer_up.norm.", ".expand.norm."),
    (".layer_up.expand.", ".expand.linear."),
    (".attn.reprojection.", ".spatial.proj."),
    (".attn.", ".spatial."),
    (".channel_attn.", ".channel."),
    (".mlp1.", ".ffn1."),
    (".mlp2.", ".ffn2."),
    (".dwconv.dwconv.", ".depthwise."),
    *((f".{ffn}.norm1.", f".{ffn}.norm.") for ffn in ("ffn", "ffn1", "ffn2")),
)


def build(in_channels: int, out_channels: int, image_size: int) -> nn.Module:
    """Build DAE-Former: (B, in_channels, H, W) to logits (B, out_channels, H, W).

    H and W are multiples of 16.

    Args:
        in_channels: 1 (the image is repeated to 3 channels, as the authors do) or 3.
        out_channels: channels of the logits.
        image_size: not needed: nothing in the network has a size.
    """
    return DAEFormer(out_channels)


def from_authors(entries: dict[str, Tensor]) -> dict[str, Tensor]:
    """Rename the authors' entries and leave out those of ``UNUSED``.

    Their 1x1 convolutions inside the blocks are Linear layers here; the head stays a convolution.

    Raises:
        KeyError: an entry that the authors' network does not have, or one that is missing.
    """
    with torch.device("meta"):
        expected = {key: value.shape for key, value in DAEFormer(1).state_dict().items()}
    ours: dict[str, Tensor] = {}
    unexpected = []
    for name, value in entries.items():
        if any(re.fullmatch(pattern, name) for pattern in UNUSED):
            continue
        key = _rename(name)
        if key in ours or key not in expected:
            unexpected.append(name)
        elif value.shape == (*expected[key], 1, 1):
            value = value[:, :, 0, 0]
        ours[key] = value
    if unexpected:
        raise KeyError(f"daeformer: not entries of the authors' network: {unexpected}")
    if missing := sorted(set(expected) - set(ours)):
        raise KeyError(f"daeformer: no authors' entries for our {missing}")
    return ours


def _rename(name: str) -> str:
    for theirs, ours in RENAMES:
        name = name.replace(theirs, ours)
    return name
