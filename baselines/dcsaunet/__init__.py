"""DCSAU-Net, a U-Net of split-attention bottlenecks (Xu et al., Comput. Biol. Med. 2023)."""

from __future__ import annotations

import re

from torch import Tensor, nn

from baselines.dcsaunet.model import DCSAUNet

_STEM = {"pfc.input_layer": "stem.enter", "pfc.depthwise": "stem.depthwise"}
_STEM |= {"pfc.pointwise": "stem.pointwise", "out_conv": "head"}
_BLOCK = {
    "conv1": "reduce.0",
    "bn1": "reduce.1",
    "conv2.conv": "attention.split.0",
    "conv2.bn0": "attention.split.1",
    "conv2.conv2": "attention.refine.0",
    "conv2.bn2": "attention.refine.1",
    "conv2.fc1": "attention.squeeze.0",
    "conv2.bn1": "attention.squeeze.1",
    "conv2.fc2": "attention.weigh",
    "conv3": "expand.0",
    "bn3": "expand.1",
    "downsample.1": "project.0",
    "downsample.2": "project.1",
}


def build(in_channels: int, out_channels: int, image_size: int) -> nn.Module:
    """Build DCSAU-Net; it takes every size that is a multiple of 16, so ``image_size`` is not used.

    Training needs batches of two or more: the split attention normalises a 1x1 map.
    """
    return DCSAUNet(in_channels, out_channels)


def from_authors(entries: dict[str, Tensor]) -> dict[str, Tensor]:
    """Map a state dict of the authors' ``Model`` to ours; nothing is dropped.

    Raises:
        KeyError: an entry that the authors' model does not have.
    """
    return {_rename(name): value for name, value in entries.items()}


def _rename(name: str) -> str:
    module, _, entry = name.rpartition(".")
    block = re.fullmatch(r"(down|up)([1-4])\.([01])\.(.+)", module)
    if block and block[4] in _BLOCK:
        return f"{block[1]}.{int(block[2]) - 1}.{block[3]}.{_BLOCK[block[4]]}.{entry}"
    for theirs, ours in _STEM.items():
        if module == theirs or re.fullmatch(rf"{re.escape(theirs)}\.[02]", module):
            return f"{ours}{name.removeprefix(theirs)}"
    raise KeyError(f"dcsaunet: unexpected entry {name!r} in the authors' state dict")
