"""Learning rates over a training: pure functions of how far it is, so that a resumed run needs no state."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any


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


def factor(schedule: dict[str, Any], progress: Progress) -> float:
    """What the recipe's learning rate is multiplied with in the next step."""
    parameters = {key: value for key, value in schedule.items() if key not in ("name", "min_lr")}
    if schedule["name"] not in SCHEDULES:
        raise ValueError(f"schedule {schedule['name']!r}: unknown; allowed: {', '.join(SCHEDULES)}")
    return SCHEDULES[schedule["name"]](progress, **parameters)


def rate(schedule: dict[str, Any], base: float, progress: Progress) -> float:
    """The learning rate of the next step; ``min_lr`` of the schedule is its floor."""
    return max(base * factor(schedule, progress), schedule.get("min_lr", 0.0))


def constant(progress: Progress) -> float:
    """Always 1."""
    return 1.0


def poly(progress: Progress, power: float) -> float:
    """(1 - n / N)^power, one step late as in the authors' code: steps 0 and 1 both run at the full rate (spec 2.2)."""
    done = max(progress.iteration - 1, 0) / progress.iterations
    return (1 - done) ** power


def step(progress: Progress, every: int, gamma: float) -> float:
    """Times gamma after every so many epochs."""
    return gamma ** (progress.epoch // every)


def delayed_step(progress: Progress, every: int, gamma: float) -> float:
    """SSFormer's warm-up of one epoch as it works out: the first epoch runs at rate 0, then steps (spec 4.2)."""
    return 0.0 if progress.epoch == 0 else gamma ** ((progress.epoch - 1) // every)


def plateau(progress: Progress, factor: float, patience: int) -> float:
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
    """HarDNet-DFUS: 1.001 + cos(pi epoch / epochs); the usual halving is missing there (spec 5.2)."""
    return 1.001 + math.cos(math.pi * progress.epoch / progress.epochs)


def warmup_poly(progress: Progress, warmup: int, power: float, start: float = 1e-3) -> float:
    """Exponential warm-up from ``start`` of the rate, then poly over what is left (FANet, spec 6.3: 1e-5 of 1e-2)."""
    warmup = min(warmup, max(progress.iterations // 10, 1))
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
