"""How far a download is: a bar on a terminal, else a line a minute in the log."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

log = logging.getLogger(__name__)

PERIOD = 60.0
"""Seconds between two lines."""


@contextmanager
def progress(name: str, start: int, total: int | None) -> Iterator[Callable[[int], object]]:
    """Show a download's progress.

    Args:
        name: of the file.
        start: bytes that are there already.
        total: bytes in the end, where known.

    Yields:
        A function to be called with the number of bytes of each piece.
    """
    if not sys.stderr.isatty():
        yield _Lines(name, start, total)
        return
    from tqdm import tqdm

    with tqdm(
        desc=name, initial=start, total=total, unit="B", unit_scale=True, dynamic_ncols=True
    ) as bar:
        yield bar.update


class _Lines:
    def __init__(self, name: str, done: int, total: int | None) -> None:
        self.name, self.done, self.total = name, done, total
        self.due = time.monotonic() + PERIOD

    def __call__(self, count: int) -> None:
        self.done += count
        if time.monotonic() < self.due:
            return
        self.due = time.monotonic() + PERIOD
        end = f" of {self.total / 1e6:,.1f}" if self.total else ""
        log.info("%s: %.1f%s MB", self.name, self.done / 1e6, end)
