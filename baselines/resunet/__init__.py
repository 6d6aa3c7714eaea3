"""ResUNet: UNet_Family's resnet34_unet, a LinkNet (Chaurasia and Culurciello, VCIP 2017)."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from baselines.resunet.model import ResUNet, load_encoder

STEPS = (4, 3, 2, 1)
LAYERS = {"0": "conv1", "1": "norm1", "3": "deconv2", "4": "norm2", "6": "conv3", "7": "norm3"}
AUTHORS_NAMES = {  # our block: theirs, from the input to the output
    "encoder.conv1": "firstconv",
    "encoder.bn1": "firstbn",
    "encoder.layer1": "encoder1",
    "encoder.layer2": "encoder2",
    "encoder.layer3": "encoder3",
    "encoder.layer4": "encoder4",
    **{f"up{k}.{ours}": f"decoder{k}.{theirs}" for k in STEPS for ours, theirs in LAYERS.items()},
    "head.0": "finaldeconv1",
    "head.2": "finalconv2",
    "head.4": "finalconv3",
}


def build(
    in_channels: int,
    out_channels: int,
    image_size: int,
    *,
    pretrained: Path | str | None = None,
) -> nn.Module:
    """Build the network; it takes every size its card allows, whatever ``image_size`` says.

    Args:
        in_channels: 3, or 1, which stands for three equal ones.
        out_channels: channels of the logits.
        image_size: not needed.
        pretrained: torchvision's ImageNet weights for the encoder, a local file.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it does not hold those weights.
    """
    network = ResUNet(out_channels)
    if pretrained is not None:
        load_encoder(network.encoder, Path(pretrained))
    return network


def from_authors(entries: dict[str, Tensor]) -> dict[str, Tensor]:
    """Rename the authors' state entries to ours.

    Raises:
        KeyError: an entry that their model does not have, or one that is missing.
    """
    with torch.device("meta"):  # the names are all we need
        ours = ResUNet(out_channels=1).state_dict()
    theirs = {name: _authors_name(name) for name in ours}
    missing = sorted(set(theirs.values()) - set(entries))
    unexpected = sorted(set(entries) - set(theirs.values()))
    if missing or unexpected:
        raise KeyError(f"resunet: authors' entries missing: {missing}; unexpected: {unexpected}")
    return {name: entries[theirs[name]] for name in ours}


def _authors_name(name: str) -> str:
    block = next(block for block in AUTHORS_NAMES if name.startswith(f"{block}."))
    return AUTHORS_NAMES[block] + name.removeprefix(block)
