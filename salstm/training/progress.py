"""How far a training is: a bar where a person looks on, lines where a file or another program does."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

log = logging.getLogger(__name__)

EVERY_S = 60.0
"""Between two lines within an epoch, and how long an epoch must be to have any, in seconds."""
FEW = 5
"""Iterations after which a pace can be told."""


class Progress:
    """Shows the epochs of one training.

    Args:
        epochs: of the whole training.
        iterations: of one epoch.
        bar: draw a bar on the terminal instead of lines within an epoch.
        clock: seconds.
    """

    def __init__(
        self,
        epochs: int,
        iterations: int,
        *,
        bar: bool,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.epochs, self.iterations, self.bar, self.clock = epochs, iterations, bar, clock
        self.told: float | None = None

    @contextmanager
    def epoch(self, number: int) -> Iterator[Callable[[float], None]]:
        """Show an epoch, counted from 1. Yields what must be called with the loss after each iteration."""
        if self.bar:
            with _bar(f"epoch {number}/{self.epochs}", self.iterations) as note:
                yield note
        else:
            yield self._lines(number)

    def summary(self, row: dict[str, float], seconds: list[float]) -> None:
        """One line for an epoch that is done.

        Args:
            row: of history.csv.
            seconds: that each epoch took so far.
        """
        recent = seconds[-5:]
        left = (self.epochs - row["epoch"]) * sum(recent) / len(recent)
        log.info(
            "epoch %d/%d  loss %.4f  val dice %.4f  test dice %.4f  lr %.2e  %.1f s (%.1f evaluating)  ETA %s",
            row["epoch"], self.epochs, row["loss"], row["val_dice"], row["test_dice"], row["lr"], row["seconds"],
            row["evaluation_seconds"], duration(left),
        )  # fmt: skip
        self.told = self.clock()

    def _lines(self, number: int) -> Callable[[float], None]:
        """The first line as soon as the pace is known, then one a minute; none in short epochs."""
        started = first = self.clock()
        done = 0

        def note(loss: float) -> None:
            nonlocal done, first
            done += 1
            now = self.clock()
            if done == 1:
                first = now  # the first iteration warms up: it is no measure of the others
            if done < FEW or done == self.iterations:
                return
            pace = (now - first) / (done - 1)
            early = self.told is None and pace * self.iterations > EVERY_S
            if early or now - max(started, self.told or started) >= EVERY_S:
                self.told = now
                rest = pace * (self.iterations - done)
                log.info(
                    "epoch %d/%d  iteration %d/%d  loss %.4f  %.2f s each  this epoch %s, all %s and evaluations",
                    number, self.epochs, done, self.iterations, loss, pace, duration(rest),
                    duration(rest + pace * self.iterations * (self.epochs - number)),
                )  # fmt: skip

        return note


def duration(seconds: float) -> str:
    """Seconds as h:mm:ss."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}"


@contextmanager
def _bar(title: str, total: int) -> Iterator[Callable[[float], None]]:
    from tqdm import tqdm
    from tqdm.contrib.logging import logging_redirect_tqdm

    options: dict[str, Any] = {"leave": False, "unit": "it", "dynamic_ncols": True}
    with logging_redirect_tqdm(), tqdm(total=total, desc=title, **options) as bar:

        def note(loss: float) -> None:
            bar.set_postfix_str(f"loss {loss:.4f}", refresh=False)
            bar.update()

        yield note
