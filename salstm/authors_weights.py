"""Checkpoints that the authors published, as safetensors under our names."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from salstm.modules import authors
from salstm.training import checkpoint

WRAPPERS = ("state_dict", "model", "net", "model_state_dict")


def convert(
    file: Path, out: Path, mapping: Callable[[dict[str, Tensor]], dict[str, Tensor]]
) -> None:
    """Read a checkpoint with the authors' names and write it with ours.

    Args:
        file: of ``torch.save``; read with ``weights_only=True``.
        out: the safetensors file.
        mapping: the network's ``from_authors``.

    Raises:
        FileNotFoundError: no such file.
        ValueError: not a state dict, a file that would run code when read, or the module of another repository.
        KeyError: entries that the authors' model does not have, or that are missing.
    """
    entries = read(file)
    authors.check_module(entries)
    checkpoint.save_weights(out, mapping(entries))


def read(file: Path) -> dict[str, Tensor]:
    """The state dict of a checkpoint, without the wrapping and the ``module.`` that trainers add."""
    if not file.is_file():
        raise FileNotFoundError(f"{file}: no such file")
    try:
        content: Any = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises many types here
        raise ValueError(
            f"{file}: cannot be read as plain tensors ({type(error).__name__}); only files of torch.save with "
            f"tensors are accepted, because others run code when they are read"
        ) from error
    for key in WRAPPERS:
        if isinstance(content, dict) and isinstance(content.get(key), dict):
            content = content[key]
    if not isinstance(content, dict) or not all(isinstance(v, Tensor) for v in content.values()):
        raise ValueError(f"{file}: holds no state dict; a dict of names to tensors is expected")
    return {str(name).removeprefix("module."): value for name, value in content.items()}
