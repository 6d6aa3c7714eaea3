"""How a training runs on this machine: no science, part of no recipe and of no job's parameters; it reruns nothing."""

from __future__ import annotations

import dataclasses
import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from salstm.schemas import nearest

OPTIONS = "SALSTM_MACHINE"


def share(options: dict[str, Any]) -> None:
    """Tell the jobs that this process starts how trainings run here: the environment is no reason to run again."""
    os.environ[OPTIONS] = json.dumps(options, sort_keys=True)


def shared() -> str:
    """What ``share`` said, as JSON; no options if it was not called."""
    return os.environ.get(OPTIONS, "{}")


def own_python() -> None:
    """Let ``python`` in the jobs that this process starts be the interpreter that runs it, activated or not."""
    folder = str(Path(sys.executable).parent)
    os.environ["PATH"] = os.pathsep.join([folder, os.environ.get("PATH", os.defpath)])


@dataclass(frozen=True)
class Machine:
    """Options of one machine. As another device does, some of them round differently; run.json records them.

    Attributes:
        workers: loader processes; None: one a thread where the model runs on a GPU, none on a CPU.
        micro_batch: items that pass the model at once; gradients add up to those of the recipe's batch. None: the
            whole batch. It is halved when memory runs out.
        channels_last: convolutions with channels innermost; on recent GPUs often faster in half precision. Dropout
            then falls on other places, as with another seed.
        compile: training steps through torch.compile; needs a C++ compiler, and minutes at the start.
        recompute: a network's activations are computed again in the backward pass instead of being kept: less memory,
            about a third more time, the same numbers to the bit (salstm/modules/recompute.py).
        tensorboard: curves for TensorBoard beside the weights, where that package is installed.
    """

    workers: int | None = None
    micro_batch: int | None = None
    channels_last: bool = False
    compile: bool = False
    recompute: bool = False
    tensorboard: bool = False

    @classmethod
    def of(cls, options: dict[str, Any]) -> Machine:
        """From the block ``machine`` of a configuration.

        Raises:
            ValueError: an unknown key, or a number that is too small; the message has what is allowed.
        """
        allowed = [field.name for field in dataclasses.fields(cls)]
        for key in options:
            if key not in allowed:
                raise ValueError(
                    f"machine: unknown key {key!r}{nearest(key, allowed)} Allowed: {', '.join(allowed)}"
                )
        for key, least in (("workers", 0), ("micro_batch", 1)):
            value = options.get(key)
            if value is not None and value < least:
                raise ValueError(f"machine: {key} is {value}; null or at least {least} is allowed")
        return cls(**options)
