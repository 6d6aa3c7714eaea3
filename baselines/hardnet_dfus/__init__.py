"""HarDNet-DFUS: Liao, Yang, Lo, Lai, Shen and Lin, arXiv 2022."""

from __future__ import annotations

import pickle
import re
from pathlib import Path

import torch
from torch import Tensor, nn

from baselines import card
from baselines.hardnet_dfus.model import HarDNetDFUS

UNUSED = "base.21."  # the backbone's classifier, whose output nothing reads
BACKBONE_NAMES = {"0": "stem.0", "1": "stem.1"}  # children of their list "base": ours
for stage, first in enumerate((3, 7, 10, 14, 18)):
    for part, name in enumerate(("block", "excite", "narrow")):
        BACKBONE_NAMES[str(first + part)] = f"stages.{stage}.{name}"
PART_NAMES = {"layers": "units", "fc.0": "squeeze", "fc.2": "excite"}  # inside those
RENAMES = (  # outside the backbone: theirs, ours
    (r"head\.linear_c1\.proj\.", r"head.embed_low."),
    (r"head\.linear_c2\.proj\.", r"head.embed.0."),
    (r"head\.linear_c3\.proj\.", r"head.embed.1."),
    (r"head\.linear_c4\.proj\.", r"head.embed.2."),
    (r"head\.linear_fuse\.", r"head.fuse."),
    (r"head\.short_path\.", r"head.short_path."),
    (r"head\.image_pool\.1\.", r"head.image_pool."),
    (r"head\.cat\.", r"head.gather."),
    (r"head\.low_level_fuse\.", r"head.fuse_low."),
    (r"head\.class_seg\.", r"head.classify."),
    (r"head\.lawin_8\.", r"head.attention.0."),
    (r"head\.lawin_4\.", r"head.attention.1."),
    (r"head\.lawin_2\.", r"head.attention.2."),
    (r"head\.ds_8\.", r"head.attention.0.ds."),
    (r"head\.ds_4\.", r"head.attention.1.ds."),
    (r"head\.ds_2\.", r"head.attention.2.ds."),
    (r"last3_seg\.", r"deep1."),
    (r"last3_seg2\.", r"deep2."),
)
LAYER_NAMES = {  # inside those
    ".bn.": ".norm.",
    ".ds.proj.": ".patches.",
    ".ds.norm.": ".patch_norm.",
    ".conv_out.conv.": ".out.",
    ".conv_out.norm.": ".norm.",
    ".theta.conv.": ".theta.",
    ".phi.conv.": ".phi.",
    ".g.conv.": ".g.",
}
# The authors have one module per head; here a tensor holds all.
MIXING = re.compile(r"(.+)\.position_mixing\.(\d+)\.(weight|bias)")


def build(
    in_channels: int,
    out_channels: int,
    image_size: int,
    *,
    auxiliary: bool = False,
    pretrained: Path | str | None = None,
) -> nn.Module:
    """Build the network; it takes every size its card allows, whatever ``image_size`` says.

    Args:
        in_channels: 1 (repeated to 3) or 3.
        out_channels: channels of the logits.
        image_size: not used.
        auxiliary: in training mode return (main, deep1, deep2, boundary).
        pretrained: the authors' file of HarDNetV2-53's ImageNet weights.

    Raises:
        FileNotFoundError: no such file; the message says where to get it.
        ValueError: a file of something else; the message names the keys.
    """
    entries = None if pretrained is None else _read(Path(pretrained))
    network = HarDNetDFUS(out_channels, auxiliary=auxiliary)
    if entries is not None:
        try:
            network.backbone.load_state_dict(_backbone_entries(entries))
        except RuntimeError as error:
            raise ValueError(f"hardnet_dfus: {pretrained} is not HarDNetV2-53: {error}") from error
    return network


def from_authors(entries: dict[str, Tensor]) -> dict[str, Tensor]:
    """Rename the authors' state entries to ours with ``auxiliary=True``.

    A strict load says if one is missing.

    Raises:
        KeyError: an entry that their model does not have.
    """
    used = {name: value for name, value in entries.items() if f"backbone.{UNUSED}" not in name}
    names = {name: _our_name(name) for name in used}
    if unexpected := sorted(name for name, ours in names.items() if ours is None):
        raise KeyError(f"hardnet_dfus: not the authors' entries: {unexpected}")
    return _stack_mixing({str(names[name]): value for name, value in used.items()})


def _our_name(name: str) -> str | None:
    if name.startswith("backbone."):
        ours = _backbone_name(name.removeprefix("backbone."))
        return ours and f"backbone.{ours}"
    for theirs, ours in RENAMES:
        if match := re.match(theirs, name):
            name = ours + name[match.end() :]
            for layer, our_layer in LAYER_NAMES.items():
                name = name.replace(layer, our_layer)
            return name
    return None


def _backbone_name(name: str) -> str | None:
    match = re.match(r"base\.(\d+)\.(.+)", name)
    if not match or match[1] not in BACKBONE_NAMES:
        return None
    rest = match[2]
    for part, ours in PART_NAMES.items():
        rest = rest.replace(part, ours)
    return f"{BACKBONE_NAMES[match[1]]}.{rest}"


def _stack_mixing(entries: dict[str, Tensor]) -> dict[str, Tensor]:
    """Put the authors' linear maps of the heads, one module each, into one tensor per attention."""
    heads: dict[str, dict[int, Tensor]] = {}
    stacked = {}
    for name, value in entries.items():
        if match := MIXING.fullmatch(name):
            heads.setdefault(f"{match[1]}.mixing_{match[3]}", {})[int(match[2])] = value
        else:
            stacked[name] = value
    for name, values in heads.items():
        stacked[name] = torch.stack([values[head] for head in sorted(values)])
    return stacked


def _backbone_entries(entries: dict[str, Tensor]) -> dict[str, Tensor]:
    """Entries of the authors' file under our names, without the classifier."""
    names = {name: name.removeprefix("module.") for name in entries}
    return {
        _backbone_name(plain) or name: entries[name]
        for name, plain in names.items()
        if not plain.startswith(UNUSED)
    }


def _read(path: Path) -> dict[str, Tensor]:
    """Read the tensors of a file, nothing else being allowed in it."""
    if not path.is_file():
        weights = card("hardnet_dfus")["weights"]
        raise FileNotFoundError(
            f"hardnet_dfus: no file {path}; download {weights['url']} "
            f"to data/weights/{weights['file']}"
        )
    try:
        return dict(torch.load(path, map_location="cpu", weights_only=True)["state_dict"])
    except KeyError as error:
        raise ValueError(f"hardnet_dfus: {path} has no 'state_dict'") from error
    except (pickle.UnpicklingError, EOFError, RuntimeError, TypeError, ValueError) as error:
        raise ValueError(f"hardnet_dfus: {path} is not a file of weights: {error}") from error
