"""Checkpoints of a running training: whole or absent, tied to one recipe, read without unpickling code."""

from __future__ import annotations

import logging
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from salstm.files import no_room, replacing

log = logging.getLogger(__name__)


def save(path: Path, state: dict[str, Any], key: str) -> None:
    """Write a training's state; the one that it replaces stays beside it as ``<name>.previous``.

    Args:
        path: of the checkpoint; replaced only once the new one is whole.
        state: tensors, numbers, strings, and lists and dicts of them.
        key: what the state belongs to; ``load`` refuses another.

    Raises:
        OSError: the disk is full, or cannot be written; what was there is there still.
    """
    with replacing(path) as temporary:
        with _said(path):
            torch.save({"key": key, "state": state}, temporary)
        if path.is_file():
            path.replace(_previous(path))


def load(
    path: Path, key: str, lacking: Callable[[dict[str, Any]], str] = lambda state: ""
) -> dict[str, Any] | None:
    """Read the newest state of a training that can be used, or None where there is none.

    A damaged file, one of another recipe, and one whose weights are gone are renamed to ``<name>.set-aside`` with a
    warning, never used; the checkpoint before it, if there is one, takes its place.

    Args:
        path: as given to ``save``.
        key: as given to ``save``.
        lacking: says what a state refers to and is not there; empty if nothing.
    """
    for candidate in (path, _previous(path)):
        if not candidate.is_file():
            continue
        state, wrong = _read(candidate, key)
        wrong = wrong or lacking(state)
        if not wrong:
            return state
        aside = candidate.with_name(candidate.name + ".set-aside")
        candidate.replace(aside)
        log.warning("%s %s; kept as %s, not used", candidate, wrong, aside.name)
    return None


def sweep(folder: Path) -> None:
    """Remove what a killed job left half written. Call where no other job writes to the folder."""
    for path in folder.glob(".*.part"):
        path.unlink()


def save_weights(path: Path, weights: dict[str, Tensor]) -> None:
    """Write a state dict as safetensors, whole or not at all; what has two names is written under both.

    Raises:
        OSError: the disk is full, or cannot be written.
    """
    with replacing(path) as temporary, _said(path):
        save_file(_apart(weights), temporary)


def _apart(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Copies in the CPU's memory, none inside another's: MONAI's DynUNet has each of its blocks twice."""
    apart: dict[str, Tensor] = {}
    taken: set[int] = set()
    for name, value in weights.items():
        tensor = value.detach().cpu().contiguous()
        place = tensor.untyped_storage().data_ptr()
        apart[name] = tensor.clone() if place in taken else tensor
        taken.add(place)
    return apart


def load_weights(path: Path) -> dict[str, Tensor]:
    """Read a state dict from safetensors.

    Raises:
        FileNotFoundError: no such file.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such weights; train the cell first")
    return load_file(path)


def complete(path: Path) -> bool:
    """Whether a safetensors file is there and as long as its header says."""
    try:
        with safe_open(path, "pt"):
            return True
    except (OSError, SafetensorError):
        return False


def _read(path: Path, key: str) -> tuple[dict[str, Any], str]:
    """The state, and what is wrong with it: empty if nothing."""
    try:
        # torch looks at no checksum: a flipped bit would pass for a weight.
        with zipfile.ZipFile(path) as archive:
            if damaged := archive.testzip():
                return {}, f"is damaged at {damaged}"
        saved = torch.load(path, map_location="cpu", weights_only=True)
        own, state = saved["key"], saved["state"]
    except Exception as error:  # many types on damaged files; none may stop a fresh start
        return {}, f"cannot be read ({type(error).__name__}: {error})"
    if own != key:
        return {}, f"belongs to another recipe or data ({own}, this one is {key})"
    return state, ""


@contextmanager
def _said(path: Path) -> Iterator[None]:
    """Failures to write as what they are: torch says 'unexpected pos 576 vs 534' when the disk is full."""
    try:
        yield
    except torch.AcceleratorError:
        raise  # the tensors could not be fetched from the GPU
    except (RuntimeError, SafetensorError) as error:
        raise no_room(path, error) from error


def _previous(path: Path) -> Path:
    return path.with_name(path.name + ".previous")
