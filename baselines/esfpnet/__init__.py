"""ESFPNet-L: Chang, Ahmad, Toth, Bascom and Higgins, SPIE Medical Imaging 2023."""

from __future__ import annotations

import pickle
import re
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from baselines import card
from baselines.esfpnet.model import ESFPNet

RENAMES = (  # theirs, ours
    (r"backbone\.", "backbone."),
    (r"LP_1\.proj\.", "linear.0."),
    (r"LP_2\.proj\.", "linear.1."),
    (r"LP_3\.proj\.", "linear.2."),
    (r"LP_4\.proj\.", "linear.3."),
    (r"linear_fuse12\.conv\.", "fuse.0.conv."),
    (r"linear_fuse12\.bn\.", "fuse.0.norm."),
    (r"linear_fuse23\.conv\.", "fuse.1.conv."),
    (r"linear_fuse23\.bn\.", "fuse.1.norm."),
    (r"linear_fuse34\.conv\.", "fuse.2.conv."),
    (r"linear_fuse34\.bn\.", "fuse.2.norm."),
    (r"LP_12\.proj\.", "fused_linear.0."),
    (r"LP_23\.proj\.", "fused_linear.1."),
    (r"LP_34\.proj\.", "fused_linear.2."),
    (r"linear_pred\.", "head."),
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
    network = ESFPNet(out_channels)
    if entries is not None:
        entries = {name: value for name, value in entries.items() if not name.startswith("head.")}
        try:
            network.backbone.load_state_dict(entries)
        except RuntimeError as error:
            raise ValueError(f"esfpnet: {pretrained} is not MiT-B4: {error}") from error
    return network


def from_authors(entries: dict[str, Tensor]) -> dict[str, Tensor]:
    """Rename the authors' state entries to ours; a strict load says if one is missing.

    Raises:
        KeyError: an entry that their model does not have.
    """
    names = {name: _our_name(name) for name in entries}
    if unexpected := sorted(name for name, ours in names.items() if ours is None):
        raise KeyError(f"esfpnet: not the authors' entries: {unexpected}")
    return {str(names[name]): value for name, value in entries.items()}


def _our_name(name: str) -> str | None:
    for theirs, ours in RENAMES:
        if match := re.match(theirs, name):
            return ours + name[match.end() :]
    return None


def _read(path: Path) -> dict[str, Tensor]:
    """Read the tensors of a file, nothing else being allowed in it."""
    if not path.is_file():
        weights = card("esfpnet")["weights"]
        raise FileNotFoundError(
            f"esfpnet: no file {path}; download {weights['url']} to data/weights/{weights['file']}"
        )
    if path.suffix == ".safetensors":
        return load_file(path)
    try:
        return dict(torch.load(path, map_location="cpu", weights_only=True))
    except (pickle.UnpicklingError, EOFError, RuntimeError, TypeError, ValueError) as error:
        raise ValueError(f"esfpnet: {path} is not a file of weights: {error}") from error
