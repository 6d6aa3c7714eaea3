"""DWUNet, by our reading: U-Net with depthwise separable convolutions (Chollet, CVPR 2017)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from baselines.dwunet.model import DWUNet


def build(in_channels: int, out_channels: int, image_size: int) -> nn.Module:
    """Build the network; it takes every size its card allows, whatever ``image_size`` says."""
    return DWUNet(in_channels, out_channels)


def from_authors(entries: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return the entries if they bear our own names: nobody else's DWUNet is known.

    Raises:
        KeyError: an entry that our network does not have, or one that is missing.
    """
    with torch.device("meta"):  # the names are all we need
        ours = DWUNet(in_channels=3, out_channels=1).state_dict()
    missing, unexpected = sorted(set(ours) - set(entries)), sorted(set(entries) - set(ours))
    if missing or unexpected:
        raise KeyError(
            f"dwunet: no authors' code exists, so only our own names are taken; "
            f"missing: {missing}; unexpected: {unexpected}"
        )
    return dict(entries)
