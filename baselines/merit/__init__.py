"""MERIT, cascaded and small: two MaxViTs under one decoder (Rahman & Marculescu, MIDL 2023)."""

from __future__ import annotations

from pathlib import Path

from torch import Tensor, nn

import baselines
from baselines.merit.model import Merit, load_backbone

# Authors' prefix: ours. Their levels count from 4 (deepest) to 1, ours from 0 (deepest) on.
_PREFIXES = {
    "conv.": "to_colour.",
    "backbone1.": "backbone1.",
    "backbone2.": "backbone2.",
    "decoder.Conv_1x1.": "decoder.enter.",
    "decoder.SA.conv1.": "decoder.spatial.conv.",
    **{f"decoder.CA{4 - n}.fc1.": f"decoder.channel.{n}.squeeze." for n in range(4)},
    **{f"decoder.CA{4 - n}.fc2.": f"decoder.channel.{n}.expand." for n in range(4)},
    **{f"decoder.ConvBlock{4 - n}.conv.": f"decoder.convolve.{n}." for n in range(4)},
    **{f"decoder.Up{3 - n}.up.": f"decoder.up.{n}." for n in range(3)},
    **{f"decoder.AG{3 - n}.W_g.": f"decoder.gate.{n}.from_gate." for n in range(3)},
    **{f"decoder.AG{3 - n}.W_x.": f"decoder.gate.{n}.from_skip." for n in range(3)},
    **{f"decoder.AG{3 - n}.psi.": f"decoder.gate.{n}.score." for n in range(3)},
    "out_head4_in.": "feedback.",
    **{f"out_head{n + 1}.": f"heads.{n}." for n in range(4)},
}


def build(
    in_channels: int,
    out_channels: int,
    image_size: int,
    *,
    auxiliary: bool = False,
    pretrained: Path | str | None = None,
) -> nn.Module:
    """Build cascaded MERIT for images of ``image_size``, a multiple of 32 from 96 on.

    Args:
        in_channels: 1 (a learnable convolution to 3) or 3.
        out_channels: channels of the logits.
        image_size: side of the first pass; the second runs at 7/8 of it, rounded down to a
            multiple of 32.
        auxiliary: in training mode return ``(logits, p1, p2, p3, p4)``; it adds no parameters.
        pretrained: folder that holds both backbones' files under the card's names.

    Raises:
        FileNotFoundError: a file of weights is missing.
        ValueError: a file holds another network.
    """
    network = Merit(in_channels, out_channels, image_size, auxiliary=auxiliary)
    if pretrained is not None:
        weights = baselines.card("merit")["weights"]
        backbones = (network.backbone1, network.backbone2)
        for backbone, file, url in zip(backbones, weights["file"], weights["url"], strict=True):
            load_backbone(backbone, Path(pretrained) / file, url=url)
    return network


def from_authors(entries: dict[str, Tensor]) -> dict[str, Tensor]:
    """Map a state dict of the authors' cascaded model to ours with one input channel.

    Nothing is dropped.

    Raises:
        KeyError: an entry that the authors' model does not have.
    """
    return {_rename(name): value for name, value in entries.items()}


def _rename(name: str) -> str:
    for theirs, ours in _PREFIXES.items():
        if name.startswith(theirs):
            return ours + name.removeprefix(theirs)
    raise KeyError(f"merit: unexpected entry {name!r} in the authors' state dict")
