"""Learning rates over a training: pure functions of how far it is, so that a resumed run needs no state."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated

from salstm.parameters import Choice, Count, Kind, NotNegative, Positive, Rule, declared


@dataclass(frozen=True)
class Progress:
    """How far a training is.

    Attributes:
        iteration: optimizer steps done, 0-based number of the next one.
        iterations: optimizer steps in all.
        epoch: epochs done, 0-based number of the current one.
        epochs: epochs in all.
        scores: validation score of every evaluation so far, oldest first.
    """

    iteration: int
    iterations: int
    epoch: int
    epochs: int
    scores: Sequence[float] = ()


def rate(choice: Choice, base: float, progress: Progress) -> float:
    """The learning rate of the next step.

    Args:
        choice: the schedule of a recipe.
        base: the learning rate of its optimizer.
        progress: how far the training is.

    Raises:
        ValueError: no such schedule, or a parameter that it does not have.
    """
    given = dict(choice.parameters)
    floor = {key: given.pop(key) for key in declared(floored) if key in given}
    return floored(base * KIND.call(Choice(choice.name, given), progress), **floor)


def floored(rate: float, *, min_lr: NotNegative = 0.0) -> float:
    """No rate is below ``min_lr``, whatever the schedule."""
    return max(rate, min_lr)


def constant(progress: Progress) -> float:
    """Always 1."""
    return 1.0


def poly(progress: Progress, *, power: NotNegative) -> float:
    """(1 - n / N)^power, one step late as in TransUNet's trainer.py: steps 0 and 1 both run at the full rate."""
    done = max(progress.iteration - 1, 0) / progress.iterations
    return (1 - done) ** power


def step(progress: Progress, *, every: Count, gamma: NotNegative) -> float:
    """Times gamma after every so many epochs."""
    return gamma ** (progress.epoch // every)


def delayed_step(progress: Progress, *, every: Count, gamma: NotNegative) -> float:
    """SSFormer's warm-up of one epoch (warmup_scheduler 0.3) as it works out: the first runs at rate 0, then steps."""
    return 0.0 if progress.epoch == 0 else gamma ** ((progress.epoch - 1) // every)


def plateau(
    progress: Progress, *, factor: NotNegative, patience: Annotated[int, Rule(minimum=0)]
) -> float:
    """Times factor when the validation score has not risen for more than ``patience`` evaluations.

    As torch's ReduceLROnPlateau in mode max: a rise counts from a relative 1e-4 on; NaN is no rise.
    """
    best, waited, scale = -math.inf, 0, 1.0
    for score in progress.scores:
        if score > best + 1e-4 * abs(best) if math.isfinite(best) else score > best:
            best, waited = score, 0
            continue
        waited += 1
        if waited > patience:
            scale, waited = scale * factor, 0
    return scale


def raised_cosine(progress: Progress) -> float:
    """HarDNet-DFUS: 1.001 + cos(pi epoch / epochs); the usual halving is missing in its code at 84dc3c0."""
    return 1.001 + math.cos(math.pi * progress.epoch / progress.epochs)


def warmup_poly(
    progress: Progress, *, warmup: Count, power: NotNegative, start: Positive = 1e-3
) -> float:
    """Exponential warm-up from ``start`` of the rate, then poly over what is left (FANet at d4e5e3c: 1e-5 of 1e-2).

    ``warmup`` is in steps, as given: a training that is no longer ends within it.
    """
    if progress.iteration < warmup:
        return start ** (1 - progress.iteration / warmup)
    return (1 - (progress.iteration - warmup) / (progress.iterations - warmup)) ** power


SCHEDULES: dict[str, Callable[..., float]] = {
    "constant": constant,
    "poly": poly,
    "step": step,
    "delayed_step": delayed_step,
    "plateau": plateau,
    "raised_cosine": raised_cosine,
    "warmup_poly": warmup_poly,
}

KIND = Kind("schedule", SCHEDULES, shared=floored)
