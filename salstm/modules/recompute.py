"""Activation checkpointing that changes no number: a pass that is made again moves no running statistics."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase
from torch.utils.checkpoint import checkpoint


def recomputed(network: nn.Module, frames: Tensor) -> Any:
    """``network(frames)`` whose activations are not kept but computed again in the backward pass.

    The same outputs, gradients, running statistics and draws of dropout, for about one more forward pass.

    Args:
        network: called once now and once in the backward pass.
        frames: ``(N, C, H, W)``.

    Returns:
        What the network returns.
    """

    def contexts() -> tuple[nullcontext, AbstractContextManager]:
        return nullcontext(), frozen_statistics(network)

    return checkpoint(network, frames, use_reentrant=False, context_fn=contexts)


@contextmanager
def frozen_statistics(network: nn.Module) -> Iterator[None]:
    """Normalise by the batch, as in training, without moving the running statistics."""
    norms = [one for one in network.modules() if isinstance(one, _NormBase)]
    kept = [(one, one.momentum, _steps(one)) for one in norms]
    try:
        for one in norms:
            one.momentum = 0.0
        yield
    finally:
        for one, momentum, steps in kept:
            one.momentum = momentum
            if one.num_batches_tracked is not None:
                one.num_batches_tracked.fill_(steps)


def _steps(norm: _NormBase) -> int:
    return 0 if norm.num_batches_tracked is None else int(norm.num_batches_tracked)
