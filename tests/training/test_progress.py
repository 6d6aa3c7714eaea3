"""Progress: early, exact, one line an epoch in files, a bar on terminals."""

from __future__ import annotations

import logging
import os
import pty
import subprocess
import sys
import termios
from pathlib import Path

import pytest

from salstm.training import progress
from salstm.training.progress import Progress

ROOT = Path(__file__).parents[2]


class Clock:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def lines(caplog, seconds: float, iterations: int, epochs: int = 2) -> list[str]:
    """The lines of two epochs whose iterations take that long, the first ten times that."""
    clock = Clock()
    shown = Progress(epochs, iterations, bar=False, clock=clock)
    with caplog.at_level(logging.INFO):
        for epoch in range(1, epochs + 1):
            with shown.epoch(epoch) as tell:
                for number in range(iterations):
                    clock.now += seconds * (10 if number == 0 else 1)
                    tell(0.5)
            row = {"epoch": epoch, "loss": 0.5, "val_dice": 0.1, "test_dice": 0.2, "lr": 1e-3}
            shown.summary({**row, "seconds": 9.0, "evaluation_seconds": 3.0}, [9.0] * epoch)
    return [record.message for record in caplog.records]


def test_a_short_epoch_is_one_line(caplog):
    said = lines(caplog, seconds=0.1, iterations=100)
    assert len(said) == 2
    assert said[0].startswith("epoch 1/2  loss 0.5000  val dice 0.1000  test dice 0.2000")
    assert said[0].endswith("9.0 s (3.0 evaluating)  ETA 0:00:09")
    assert said[1].endswith("ETA 0:00:00")


def test_a_long_epoch_is_told_after_a_few_iterations_and_then_once_a_minute(caplog):
    said = lines(caplog, seconds=2.0, iterations=100)
    first = [one for one in said if one.startswith("epoch 1/2  iteration")]
    # 5 iterations of 2 s, the first not counted: 95 more of this epoch, 100 of the next.
    assert first[0] == (
        "epoch 1/2  iteration 5/100  loss 0.5000  2.00 s each  this epoch 0:03:10, all 0:06:30 and evaluations"
    )
    # Then every 60 s: 30 iterations.
    assert [one.split()[3] for one in first] == ["5/100", "35/100", "65/100", "95/100"]
    second = [one for one in said if one.startswith("epoch 2/2  iteration")]
    assert (
        second[0].split()[3] == "21/100"
    )  # 20 s for the first, then 2 s each: the first after a minute


def test_a_bar_on_a_terminal_and_lines_that_do_not_break_it():
    code = (
        "import logging; logging.basicConfig(level='INFO', format='%(message)s')\n"
        "from salstm.training.progress import Progress\n"
        "shown = Progress(7, 3, bar=True)\n"
        "with shown.epoch(4) as tell:\n"
        "    tell(0.25); logging.warning('a warning'); tell(0.125); tell(0.5)\n"
        "row = {'epoch': 4, 'loss': 0.5, 'val_dice': 0.1, 'test_dice': 0.2, 'lr': 1e-3, 'seconds': 2.0,\n"
        "    'evaluation_seconds': 0.5}\n"
        "shown.summary(row, [2.0])\n"
    )
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (20, 120))  # a new one has no width, and then no bar
    with subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stderr=theirs) as job:
        os.close(theirs)
        text = b""
        try:
            while part := os.read(ours, 4096):
                text += part
        except OSError:  # the other end is closed
            pass
        assert job.wait(60) == 0
    os.close(ours)
    shown = text.decode()
    assert "epoch 4/7:   0%" in shown
    assert "\ra warning" in shown.replace("\r\n", "\n") or "\na warning" in shown
    # The bar is gone before the epoch's line.
    assert shown.rstrip().splitlines()[-1].lstrip("\r ").startswith("epoch 4/7  loss 0.5000")


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.4, "0:00:00"), (59.6, "0:01:00"), (90061, "25:01:01")]
)
def test_durations(seconds, text):
    assert progress.duration(seconds) == text
