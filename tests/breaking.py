"""The command line with one fault built in: ``python -m tests.breaking <fault> train ...``.

Faults strike at fixed places of the second of three epochs, so nothing here depends on how fast the machine is.
"""

from __future__ import annotations

import math
import multiprocessing
import os
import resource
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from salstm import cli
from salstm.training import checkpoint, trainer

Fault = Callable[[], None]


def kill() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def before(place: Any, name: str, call: int, fault: Callable[..., None]) -> None:
    """Let a fault strike before the n-th call of a function; it gets the call's arguments."""
    original, calls = getattr(place, name), 0

    def struck(*arguments: Any, **options: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == call:
            fault(*arguments)
        return original(*arguments, **options)

    setattr(place, name, struck)


def in_second_epoch(fault: Callable[[trainer.Trainer], None]) -> None:
    """Strike before the second step of the second epoch."""

    original = trainer.Trainer._step

    def struck(self: trainer.Trainer, batch: dict[str, Any]) -> float:
        if self.state.epoch == 1 and self.state.iteration == self.loader.batches + 1:
            fault(self)
        return original(self, batch)

    trainer.Trainer._step = struck


def kill_in_mid_epoch() -> None:
    in_second_epoch(lambda trainer: kill())


def kill_in_evaluation() -> None:
    before(trainer.Trainer, "_score", 4, lambda *arguments: kill())


def kill_while_the_checkpoint_is_written() -> None:
    def half(value: Any, path: Path) -> None:
        path.write_bytes(b"PK half of it")
        kill()

    before(checkpoint.torch, "save", 2, half)


def kill_between_the_renames() -> None:
    original = Path.replace

    def replace(self: Path, target: Path) -> Path:
        result = original(self, target)
        if Path(target).name == "state.pt.previous":
            kill()
        return result

    Path.replace = replace  # type: ignore[method-assign] # a fault, in a process of its own


def kill_between_a_link_and_its_name() -> None:
    """The second selection is linked under its temporary name, and never gets its own."""
    original = Path.replace

    def replace(self: Path, target: Path) -> Path:
        if Path(target).name == "best_test.safetensors":
            kill()
        return original(self, target)

    Path.replace = replace  # type: ignore[method-assign] # a fault, in a process of its own


def kill_while_results_are_written() -> None:
    before(trainer.Trainer, "_finish", 1, lambda trainer: None)
    before(trainer, "write_csv", 1, lambda *arguments: kill())


def terminate() -> None:
    in_second_epoch(lambda trainer: os.kill(os.getpid(), signal.SIGTERM))


def interrupt_the_group() -> None:
    """Ctrl-C on a terminal: loader processes get it, too."""
    # Whoever starts the tests in the background makes them ignore it.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    in_second_epoch(lambda trainer: os.killpg(0, signal.SIGINT))


def fill_the_disk() -> None:
    """No file may grow beyond ten million bytes: weights fit, a checkpoint does not."""
    in_second_epoch(
        lambda trainer: resource.setrlimit(resource.RLIMIT_FSIZE, (10_000_000, 10_000_000))
    )


def spoil_the_weights() -> None:
    """As a step with an infinite gradient does."""
    in_second_epoch(_spoil)


def spoil_the_weights_at_the_end_of_the_epoch() -> None:
    before(trainer.Step, "check_weights", 2, lambda step, place: _spoil_model(step.model))


def run_out_of_memory() -> None:
    """A device that holds two items; the pass is over when it finds out."""
    original = trainer.Attached.__call__

    def call(self: Any, images: torch.Tensor) -> Any:
        outputs = original(self, images)
        if self.training and len(images) > 2:
            raise torch.OutOfMemoryError("fake allocator: tried to allocate 2.00 GiB")
        return outputs

    trainer.Attached.__call__ = call  # type: ignore[method-assign] # a fault, in a process of its own


def lose_a_worker() -> None:
    def strike(trainer: trainer.Trainer) -> None:
        os.kill(multiprocessing.active_children()[0].pid or 0, signal.SIGKILL)

    in_second_epoch(strike)


def lose_the_gpu() -> None:
    def strike(trainer: trainer.Trainer) -> None:
        raise torch.AcceleratorError("CUDA error: unspecified launch failure\nmore lines")

    in_second_epoch(strike)


def _spoil(trainer: trainer.Trainer) -> None:
    _spoil_model(trainer.model)


def _spoil_model(model: torch.nn.Module) -> None:
    with torch.no_grad():
        next(model.parameters()).view(-1)[0] = math.inf


if __name__ == "__main__":
    globals()[sys.argv[1]]()
    sys.exit(cli.main(sys.argv[2:]))
