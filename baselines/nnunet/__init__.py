"""nnU-Net's 2D U-Net: Isensee, Jaeger, Kohl, Petersen and Maier-Hein, Nature Methods 2021."""

from __future__ import annotations

import re

import torch
from torch import Tensor, nn

from baselines.nnunet.model import NNUNet


def build(
    in_channels: int, out_channels: int, image_size: int, *, auxiliary: bool = False
) -> nn.Module:
    """Build the network at the plan for an image size.

    Args:
        in_channels: of the frames.
        out_channels: of the logits.
        image_size: side of the input in pixels; 224 has six stages, 256 seven.
        auxiliary: deep supervision: logits of the decoder's other stages but the lowest, in training.
    """
    return NNUNet(in_channels, out_channels, image_size, auxiliary)


def from_authors(entries: dict[str, Tensor]) -> dict[str, Tensor]:
    """Map a state of nnU-Net's PlainConvUNet to ours, without the heads of deep supervision.

    The biases of the convolutions before an instance norm are left out: it takes away every constant. Entries that
    theirs has twice (``all_modules``, ``decoder.encoder``) are taken once.

    Raises:
        KeyError: an entry that is missing.
    """
    count = 1 + max(int(key.split(".")[2]) for key in entries if key.startswith("encoder.stages."))
    with torch.device("meta"):  # the names are all we need
        ours = NNUNet(1, 1, 4 * 2 ** (count - 1)).state_dict()
    return {name: entries[_theirs(name, count)] for name in ours}


def _theirs(name: str, count: int) -> str:
    """Their name of one of our entries; of those that stand twice in ours (``skip_layers``) as well."""
    path = _plain(name.removeprefix("network."), count)
    place, _, part = path.partition("/")
    if place.startswith("transp"):
        return f"decoder.transpconvs.{place[6:]}.{part.rpartition('.')[2]}"
    if place == "head":
        return f"decoder.seg_layers.{count - 2}.{part.rpartition('.')[2]}"
    found = re.fullmatch(r"(conv|norm)([12])\.(?:conv\.)?(\w+)", part)
    if not found:
        raise KeyError(name)
    kind, number, entry = found.groups()
    side, stage = place[:3], place[3:]
    block = f"encoder.stages.{stage}.0" if side == "enc" else f"decoder.stages.{stage}"
    return f"{block}.convs.{int(number) - 1}.{kind}.{entry}"


def _plain(path: str, count: int) -> str:
    """``enc<stage>/rest``, ``dec<stage>/rest``, ``transp<stage>/rest`` or ``head/rest``."""
    if path.startswith("skip_layers."):
        words = path.removeprefix("skip_layers.").split(".")
        depth = 0
        while words[0] == "next_layer" and words[1] in ("downsample", "upsample", "next_layer"):
            depth, words = depth + 1, words[1:]
        rest = ".".join(words[1:])
        if words[0] == "downsample":
            return f"enc{depth}/{rest}"
        if words[0] == "next_layer":
            return f"enc{count - 1}/{rest}"
        return _of_decoder(count - 2 - depth, rest)
    word, _, rest = path.partition(".")
    if word == "input_block":
        return f"enc0/{rest}"
    if word == "bottleneck":
        return f"enc{count - 1}/{rest}"
    if word == "output_block":
        return f"head/{rest}"
    index, _, rest = rest.partition(".")
    return f"enc{int(index) + 1}/{rest}" if word == "downsamples" else _of_decoder(int(index), rest)


def _of_decoder(stage: int, rest: str) -> str:
    if rest.startswith("transp_conv."):
        return f"transp{stage}/{rest.removeprefix('transp_conv.')}"
    return f"dec{stage}/{rest.removeprefix('conv_block.')}"
