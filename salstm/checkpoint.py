"""Checkpoints of a running training: whole or absent, tied to one recipe, read without unpickling code."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from salstm.files import replacing

log = logging.getLogger(__name__)


def save(path: Path, state: dict[str, Any], key: str) -> None:
    """Write a training's state.

    Args:
        path: of the checkpoint; replaced only once the new one is whole.
        state: tensors, numbers, strings, and lists and dicts of them.
        key: what the state belongs to; ``load`` refuses another.
    """
    with replacing(path) as temporary:
        torch.save({"key": key, "state": state}, temporary)


def load(path: Path, key: str) -> dict[str, Any] | None:
    """Read a training's state, or None where there is none that fits.

    A damaged file, or one of another recipe, is renamed to ``<name>.set-aside`` with a warning, never used.
    """
    if not path.is_file():
        return None
    try:
        saved = torch.load(path, map_location="cpu", weights_only=True)
        found, state = saved["key"], saved["state"]
    except (
        Exception
    ) as error:  # torch raises many types on damaged files; none may stop a fresh start
        return _set_aside(path, f"cannot be read ({type(error).__name__}: {error})")
    if found != key:
        return _set_aside(path, f"belongs to another recipe or data ({found}, this one is {key})")
    return state


def save_weights(path: Path, weights: dict[str, Tensor]) -> None:
    """Write a state dict as safetensors, whole or not at all."""
    with replacing(path) as temporary:
        save_file(
            {name: value.detach().cpu().contiguous() for name, value in weights.items()}, temporary
        )


def load_weights(path: Path) -> dict[str, Tensor]:
    """Read a state dict from safetensors.

    Raises:
        FileNotFoundError: no such file.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such weights; train the cell first")
    return load_file(path)


def _set_aside(path: Path, why: str) -> None:
    aside = path.with_name(path.name + ".set-aside")
    path.replace(aside)
    log.warning("%s %s; kept as %s; the training starts afresh", path, why, aside.name)
