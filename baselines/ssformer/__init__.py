"""SSFormer-L: Wang, Huang, Tang, Meng, Su and Song, MICCAI 2022."""

from __future__ import annotations

import pickle
import re
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from baselines import card
from baselines.ssformer.model import SSFormer

UNUSED = "decode_head.linear_fuse."  # the authors make this ConvModule and never call it
RENAMES = (  # theirs, ours
    (r"backbone\.", "backbone."),
    (r"decode_head\.linear_c1\.proj\.", "emphasis.0."),
    (r"decode_head\.linear_c2\.proj\.", "emphasis.1."),
    (r"decode_head\.linear_c3\.proj\.", "emphasis.2."),
    (r"decode_head\.linear_c4\.proj\.", "emphasis.3."),
    (r"decode_head\.linear_fuse1\.conv\.", "aggregation.0.conv."),
    (r"decode_head\.linear_fuse1\.bn\.", "aggregation.0.norm."),
    (r"decode_head\.linear_fuse2\.conv\.", "aggregation.1.conv."),
    (r"decode_head\.linear_fuse2\.bn\.", "aggregation.1.norm."),
    (r"decode_head\.linear_fuse34\.conv\.", "aggregation.2.conv."),
    (r"decode_head\.linear_fuse34\.bn\.", "aggregation.2.norm."),
    (r"decode_head\.linear_pred\.", "head."),
)


def build(
    in_channels: int,
    out_channels: int,
    image_size: int,
    *,
    pretrained: Path | str | None = None,
) -> nn.Module:
    """Build the network; it takes every size its card allows, whatever ``image_size`` says.

    Args:
        in_channels: 1 (repeated to 3) or 3.
        out_channels: channels of the logits.
        image_size: not used.
        pretrained: file of MiT-B4's ImageNet weights, SegFormer's ``.pth`` or smp's
            ``.safetensors``.

    Raises:
        FileNotFoundError: no such file; the message says where to get it.
        ValueError: a file of something else; the message names the keys.
    """
    entries = None if pretrained is None else _read(Path(pretrained))
    network = SSFormer(out_channels)
    if entries is not None:
        entries = {name: value for name, value in entries.items() if not name.startswith("head.")}
        try:
            network.backbone.load_state_dict(entries)
        except RuntimeError as error:
            raise ValueError(f"ssformer: {pretrained} is not MiT-B4: {error}") from error
    return network


def from_authors(entries: dict[str, Tensor]) -> dict[str, Tensor]:
    """Rename the authors' state entries to ours; a strict load says if one is missing.

    Raises:
        KeyError: an entry that their model does not have.
    """
    used = {name: value for name, value in entries.items() if not name.startswith(UNUSED)}
    names = {name: _our_name(name) for name in used}
    if unexpected := sorted(name for name, ours in names.items() if ours is None):
        raise KeyError(f"ssformer: not the authors' entries: {unexpected}")
    return {str(names[name]): value for name, value in used.items()}


def _our_name(name: str) -> str | None:
    for theirs, ours in RENAMES:
        if match := re.match(theirs, name):
            return ours + name[match.end() :]
    return None


def _read(path: Path) -> dict[str, Tensor]:
    """Read the tensors of a file, nothing else being allowed in it."""
    if not path.is_file():
        weights = card("ssformer")["weights"]
        raise FileNotFoundError(
            f"ssformer: no file {path}; download {weights['url']} to data/weights/{weights['file']}"
        )
    if path.suffix == ".safetensors":
        return load_file(path)
    try:
        return dict(torch.load(path, map_location="cpu", weights_only=True))
    except (pickle.UnpicklingError, EOFError, RuntimeError, TypeError, ValueError) as error:
        raise ValueError(f"ssformer: {path} is not a file of weights: {error}") from error
