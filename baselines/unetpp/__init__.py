"""U-Net++: Zhou, Siddiquee, Tajbakhsh and Liang, DLMIA 2018, as written in UNet_Family."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from baselines.unetpp.model import ROWS, UNetPlusPlus

AUTHORS_NAMES = {  # our block: theirs
    **{f"nodes.{i}_{j}": f"conv{i}_{j}.conv" for i in range(ROWS) for j in range(ROWS - i)},
    "auxiliary_heads.0": "final1",
    "auxiliary_heads.1": "final2",
    "auxiliary_heads.2": "final3",
    "head": "final4",
}


def build(
    in_channels: int, out_channels: int, image_size: int, *, auxiliary: bool = False
) -> nn.Module:
    """Build the network; it takes every size its card allows, whatever ``image_size`` says.

    Args:
        in_channels: channels of the image.
        out_channels: channels of the logits.
        image_size: not needed.
        auxiliary: the paper's deep supervision: three more logits in training mode.
    """
    return UNetPlusPlus(in_channels, out_channels, auxiliary=auxiliary)


def from_authors(entries: dict[str, Tensor]) -> dict[str, Tensor]:
    """Rename the authors' state entries (with deep supervision) to ours with ``auxiliary=True``.

    Raises:
        KeyError: an entry that their model does not have, or one that is missing.
    """
    with torch.device("meta"):  # the names are all we need
        ours = UNetPlusPlus(in_channels=3, out_channels=1, auxiliary=True).state_dict()
    theirs = {name: _authors_name(name) for name in ours}
    missing = sorted(set(theirs.values()) - set(entries))
    unexpected = sorted(set(entries) - set(theirs.values()))
    if missing or unexpected:
        raise KeyError(f"unetpp: authors' entries missing: {missing}; unexpected: {unexpected}")
    return {name: entries[theirs[name]] for name in ours}


def _authors_name(name: str) -> str:
    block = next(block for block in AUTHORS_NAMES if name.startswith(f"{block}."))
    return AUTHORS_NAMES[block] + name.removeprefix(block)
