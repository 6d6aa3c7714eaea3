"""TransUNet, "Transformers Make Strong Encoders for ... Segmentation" (Chen et al., 2021)."""

from __future__ import annotations

import re
import zipfile
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from baselines.transunet.model import TransUNet

AUTHORS_SIZE = 224
WEIGHTS_URL = "https://storage.googleapis.com/vit_models/imagenet21k/R50+ViT-B_16.npz"
WEIGHTS_PATH = "data/weights/R50+ViT-B_16.npz"
POSITION = "embedding.position"
SHOWN = 4  # names in an error message
FROM_SCRATCH = re.compile(r"^(decoder|head)\.")
NOT_LOADED = re.compile(r"^(cls$|pre_logits/|head/)")  # of the classifier

# authors' name -> ours
AUTHORS = (
    (r"^transformer\.embeddings\.position_embeddings$", POSITION),
    (r"^transformer\.embeddings\.patch_embeddings\.", "embedding.project."),
    (r"^transformer\.embeddings\.hybrid_model\.(body\.)?", "resnet."),
    (r"^transformer\.encoder\.encoder_norm\.", "transformer.norm."),
    (r"^transformer\.encoder\.layer\.(\d+)\.", r"transformer.layers.\1."),
    (r"^(transformer\.layers\.\d+)\.attention_norm\.", r"\1.norm1."),
    (r"^(transformer\.layers\.\d+)\.ffn_norm\.", r"\1.norm2."),
    (r"^(transformer\.layers\.\d+)\.attn\.", r"\1.attention."),
    (r"^(transformer\.layers\.\d+)\.ffn\.", r"\1.mlp."),
    (r"\.root\.gn\.", ".root.norm."),
    (r"\.gn(\d)\.", r".norm\1."),
    (r"\.downsample\.", ".shortcut.conv."),
    (r"\.gn_proj\.", ".shortcut.norm."),
    (r"^decoder\.conv_more\.", "decoder.reduce."),
    (r"^segmentation_head\.0\.", "head."),
)

# our name -> name in the npz file of Google's ViT release
NPZ = (
    (r"^embedding\.position$", "Transformer/posembed_input/pos_embedding"),
    (r"^embedding\.project\.", "embedding/"),
    (r"^transformer\.norm\.", "Transformer/encoder_norm/"),
    (r"^transformer\.layers\.(\d+)\.norm1\.", r"Transformer/encoderblock_\1/LayerNorm_0/"),
    (r"^transformer\.layers\.(\d+)\.norm2\.", r"Transformer/encoderblock_\1/LayerNorm_2/"),
    (
        r"^transformer\.layers\.(\d+)\.attention\.(\w+)\.",
        r"Transformer/encoderblock_\1/MultiHeadDotProductAttention_1/\2/",
    ),
    (r"^transformer\.layers\.(\d+)\.mlp\.", r"Transformer/encoderblock_\1/MlpBlock_3/"),
    (r"/fc1\.", "/Dense_0/"),
    (r"/fc2\.", "/Dense_1/"),
    (r"^resnet\.root\.conv\.", "conv_root/"),
    (r"^resnet\.root\.norm\.", "gn_root/"),
    (r"^resnet\.block(\d)\.unit(\d)\.", r"block\1/unit\2/"),
    (r"/conv(\d)\.", r"/conv\1/"),
    (r"/norm(\d)\.", r"/gn\1/"),
    (r"/shortcut\.conv\.", "/conv_proj/"),
    (r"/shortcut\.norm\.", "/gn_proj/"),
)


def build(
    in_channels: int,
    out_channels: int,
    image_size: int,
    *,
    pretrained: Path | str | None = None,
) -> nn.Module:
    """Build TransUNet (R50-ViT-B/16) with the authors' initialisation; see ``card.yaml``.

    Args:
        in_channels: 1 or 3; one channel is repeated to three.
        out_channels: channels of the logits.
        image_size: side of the square input, a multiple of 16, at least 32.
        pretrained: path of ``R50+ViT-B_16.npz``, with which the authors start encoder and stem.

    Raises:
        FileNotFoundError: no such file; the message says what to fetch.
        ValueError: the file holds something else.
    """
    weights = {} if pretrained is None else _read(Path(pretrained), image_size)
    network = TransUNet(in_channels, out_channels, image_size)
    network.load_state_dict(weights, strict=False)  # decoder and head stay as they are
    return network


def from_authors(entries: dict[str, Tensor]) -> dict[str, Tensor]:
    """Map the authors' state dict to ours.

    Raises:
        KeyError: entries that the authors' model does not have, or some of it that are missing.
    """
    theirs = {_rename(name, AUTHORS): name for name in entries}
    expected = set(_entries(AUTHORS_SIZE))
    unexpected = sorted(theirs[name] for name in set(theirs) - expected)
    missing = sorted(expected - set(theirs))
    if unexpected or missing:
        raise KeyError(f"transunet: unexpected entries {unexpected}, missing (our names) {missing}")
    return {ours: entries[name] for ours, name in theirs.items()}


def _rename(name: str, table: tuple[tuple[str, str], ...]) -> str:
    for pattern, other in table:
        name = re.sub(pattern, other, name)
    return name


def _entries(image_size: int) -> dict[str, Tensor]:
    """Names and shapes of our state dict, without values."""
    with torch.device("meta"):
        return TransUNet(1, 1, image_size).state_dict()


def _read(path: Path, image_size: int) -> dict[str, Tensor]:
    """Stem, embedding and encoder out of Google's file, under our names."""
    if not path.is_file():
        raise FileNotFoundError(
            f"transunet: no weights at {path}; fetch {WEIGHTS_URL} and save it as {WEIGHTS_PATH} "
            "(if the link is dead, card.yaml names other sources)"
        )
    if not zipfile.is_zipfile(path):
        raise ValueError(f"transunet: {path} is no npz archive; fetch {WEIGHTS_URL} again")
    ours = {k: v for k, v in _entries(image_size).items() if not FROM_SCRATCH.match(k)}
    theirs = {name: _npz_name(name, value) for name, value in ours.items()}
    with np.load(path, allow_pickle=False) as file:
        found = {name for name in file.files if not NOT_LOADED.match(name)}
        missing = sorted(set(theirs.values()) - found)
        unexpected = sorted(found - set(theirs.values()))
        if missing or unexpected:
            raise ValueError(
                f"transunet: {path} lacks {_some(missing)}, has unexpected {_some(unexpected)}; "
                f"fetch {WEIGHTS_URL}"
            )
        return {k: _convert(theirs[k], file[theirs[k]], value) for k, value in ours.items()}


def _some(names: list[str]) -> str:
    """The first names of a list, and how many there are."""
    dots = ", ..." if len(names) > SHOWN else ""
    return f"{len(names)} entries ({', '.join(names[:SHOWN])}{dots})" if names else "nothing"


def _npz_name(name: str, value: Tensor) -> str:
    """The npz name of one of our entries: kernels are tables, scales are vectors."""
    return _rename(name, NPZ).replace("/weight", "/scale" if value.ndim == 1 else "/kernel")


def _convert(name: str, array: np.ndarray, like: Tensor) -> Tensor:
    """One array in our layout and shape.

    Convolutions are HWIO there. Linear kernels are (in, out), where ``out`` of query, key and
    value and ``in`` of the attention's output are split in (heads, 64). Vectors may have leading
    ones.
    """
    value = torch.from_numpy(array).float()
    if name.endswith("pos_embedding"):
        return _resize_positions(value[:, 1:], like.shape[1])  # the first is the class token's
    if value.numel() != like.numel():
        raise ValueError(f"transunet: {name} has shape {array.shape}, ours is {tuple(like.shape)}")
    if like.ndim == 4:
        return value.permute(3, 2, 0, 1)
    if like.ndim == 2:
        return value.reshape(like.shape[1], like.shape[0]).t()
    return value.reshape(like.shape)


def _resize_positions(table: Tensor, tokens: int) -> Tensor:
    """Resize ``(1, N, D)`` to ``(1, tokens, D)``: square grids, bilinear, corner on corner."""
    if table.shape[1] == tokens:
        return table
    old, new = round(table.shape[1] ** 0.5), round(tokens**0.5)
    grid = table.transpose(1, 2).unflatten(2, (old, old))
    grid = functional.interpolate(grid, size=(new, new), mode="bilinear", align_corners=True)
    return grid.flatten(2).transpose(1, 2)
