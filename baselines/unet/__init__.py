"""U-Net: Ronneberger, Fischer and Brox, MICCAI 2015, as written in UNet_Family."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from baselines.unet.model import UNet

AUTHORS_NAMES = {  # our block: theirs, from the input to the output
    "stem": "conv1.conv",
    "down.0.convs": "conv2.conv",
    "down.1.convs": "conv3.conv",
    "down.2.convs": "conv4.conv",
    "down.3.convs": "conv5.conv",
    "up.0.enlarge": "up6",
    "up.0.convs": "conv6.conv",
    "up.1.enlarge": "up7",
    "up.1.convs": "conv7.conv",
    "up.2.enlarge": "up8",
    "up.2.convs": "conv8.conv",
    "up.3.enlarge": "up9",
    "up.3.convs": "conv9.conv",
    "head": "conv10",
}


def build(in_channels: int, out_channels: int, image_size: int) -> nn.Module:
    """Build the network; it takes every size its card allows, whatever ``image_size`` says."""
    return UNet(in_channels, out_channels)


def from_authors(entries: dict[str, Tensor]) -> dict[str, Tensor]:
    """Rename the authors' state entries to ours.

    Raises:
        KeyError: an entry that their model does not have, or one that is missing.
    """
    with torch.device("meta"):  # the names are all we need
        ours = UNet(in_channels=3, out_channels=1).state_dict()
    theirs = {name: _authors_name(name) for name in ours}
    missing = sorted(set(theirs.values()) - set(entries))
    unexpected = sorted(set(entries) - set(theirs.values()))
    if missing or unexpected:
        raise KeyError(f"unet: authors' entries missing: {missing}; unexpected: {unexpected}")
    return {name: entries[theirs[name]] for name in ours}


def _authors_name(name: str) -> str:
    block = next(block for block in AUTHORS_NAMES if name.startswith(f"{block}."))
    return AUTHORS_NAMES[block] + name.removeprefix(block)
