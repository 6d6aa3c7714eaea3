"""What the jobs that run a network share: where it runs, and how it is built from a run record."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch
    from torch import nn

    from salstm.modules.wrapper import Attached

    Build = Callable[..., nn.Module]
    """Builds a network: ``(in_channels=, out_channels=, image_size=, **options)``, as ``baselines.build`` does."""


def assembled(build: Build, record: Mapping[str, Any], device: torch.device) -> Attached:
    """The model of a run record, before its weights, ready to predict."""
    from salstm.recipes import load
    from salstm.training import inference
    from salstm.training.model import assemble

    model = assemble(
        build,
        load(record["recipe"]),
        variant=record["identity"]["variant"],
        channels=record["channels"],
        classes=len(record["classes"]),
        seed=0,
    )
    inference.ready(model, device)
    return model


def device_of(name: str, threads: int) -> torch.device:
    """The device of that name, after the threads are set.

    Raises:
        RuntimeError: a GPU is asked for, and torch sees none.
    """
    import torch

    if threads:
        torch.set_num_threads(threads)
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name.startswith("cuda") and not torch.cuda.is_available():
        raise RuntimeError(
            f"device {name}: torch {torch.__version__} sees no GPU; use --device cpu"
        )
    return torch.device(name)
