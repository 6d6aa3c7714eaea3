"""FCBFormer: Sanderson and Matuszewski, MIUA 2022."""

from __future__ import annotations

import pickle
import re
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from baselines import card
from baselines.fcbformer.model import FCBFormer

PVT_NAMES = {  # first part of a name in the authors' PVTv2: of one in timm's feature network
    "patch_embed1": "patch_embed",
    **{f"patch_embed{stage + 1}": f"stages_{stage}.downsample" for stage in (1, 2, 3)},
    **{f"block{stage + 1}": f"stages_{stage}.blocks" for stage in range(4)},
    **{f"norm{stage + 1}": f"stages_{stage}.norm" for stage in range(4)},
}
RENAMES = (  # outside the backbone: theirs, ours
    (r"TB\.LE\.(\d)\.(\d)\.", r"transformer.emphasis.\1.\2."),
    (r"TB\.SFA\.(\d)\.(\d)\.", r"transformer.aggregation.\1.\2."),
    (r"FCB\.enc_blocks\.0\.", r"convolution.encoder.0."),
    (r"FCB\.enc_blocks\.(\d+)\.0\.", r"convolution.encoder.\1."),
    (r"FCB\.middle_block\.(\d)\.", r"convolution.middle.\1."),
    (r"FCB\.dec_blocks\.(\d+)\.0\.", r"convolution.decoder.\1."),
    (r"FCB\.dec_blocks\.(\d+)\.1\.1\.", r"convolution.enlarge.\1."),
    (r"PH\.(\d)\.", r"head.\1."),
)
BLOCK_NAMES = {
    "in_layers.0": "norm1",
    "in_layers.2": "conv1",
    "out_layers.0": "norm2",
    "out_layers.2": "conv2",
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
        in_channels: 1 (repeated to 3) or 3.
        out_channels: channels of the logits.
        image_size: not used.
        pretrained: file of PVTv2-B3's ImageNet weights, the authors' ``.pth`` or timm's
            ``.safetensors``.

    Raises:
        FileNotFoundError: no such file; the message says where to get it.
        ValueError: a file of something else; the message names the keys.
    """
    entries = None if pretrained is None else _read(Path(pretrained))
    network = FCBFormer(out_channels)
    if entries is not None:
        try:
            network.transformer.backbone.load_state_dict(_backbone_entries(entries))
        except RuntimeError as error:
            raise ValueError(f"fcbformer: {pretrained} is not PVTv2-B3: {error}") from error
    return network


def from_authors(entries: dict[str, Tensor]) -> dict[str, Tensor]:
    """Rename the authors' state entries to ours; a strict load says if one is missing.

    Raises:
        KeyError: an entry that their model does not have.
    """
    names = {name: _our_name(name) for name in entries}
    if unexpected := sorted(name for name, ours in names.items() if ours is None):
        raise KeyError(f"fcbformer: not the authors' entries: {unexpected}")
    return {str(names[name]): value for name, value in entries.items()}


def _our_name(name: str) -> str | None:
    if match := re.match(r"TB\.backbone\.(\d+)\.(.+)", name):
        stage, kind = divmod(int(match[1]), 3)  # they keep PVTv2's twelve children in one list
        ours = _timm_name(f"{('patch_embed', 'block', 'norm')[kind]}{stage + 1}.{match[2]}")
        return ours and f"transformer.backbone.{ours}"
    for theirs, ours in RENAMES:
        renamed, count = re.subn(f"^{theirs}", ours, name)
        if count:
            for layer, block in BLOCK_NAMES.items():
                renamed = renamed.replace(layer, block)
            return renamed
    return None


def _timm_name(name: str) -> str | None:
    """Name in timm's feature network of an entry of the authors' PVTv2."""
    first, _, rest = name.partition(".")
    if first not in PVT_NAMES:
        return None
    return f"{PVT_NAMES[first]}.{rest.replace('dwconv.dwconv', 'dwconv')}"


def _backbone_entries(entries: dict[str, Tensor]) -> dict[str, Tensor]:
    """Entries of a file of PVTv2 under timm's names, without the classifier."""
    entries = {name: value for name, value in entries.items() if not name.startswith("head.")}
    if "patch_embed.proj.weight" in entries:  # timm's own file
        return {name.replace("stages.", "stages_", 1): value for name, value in entries.items()}
    return {_timm_name(name) or name: value for name, value in entries.items()}


def _read(path: Path) -> dict[str, Tensor]:
    """Read the tensors of a file, nothing else being allowed in it."""
    if not path.is_file():
        weights = card("fcbformer")["weights"]
        raise FileNotFoundError(
            f"fcbformer: no file {path}; download {weights['url']} "
            f"to data/weights/{weights['file']}"
        )
    if path.suffix == ".safetensors":
        return load_file(path)
    try:
        return dict(torch.load(path, map_location="cpu", weights_only=True))
    except (pickle.UnpicklingError, EOFError, RuntimeError, TypeError, ValueError) as error:
        raise ValueError(f"fcbformer: {path} is not a file of weights: {error}") from error
