"""Curves for TensorBoard, where that package is installed and they are asked for."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from pathlib import Path

log = logging.getLogger(__name__)

CURVES = ("loss", "lr", "val_dice", "test_dice")


def board(folder: Path, epoch: int, *, wanted: bool) -> Callable[[dict[str, float]], None]:
    """What writes a row of history.csv for TensorBoard; it does nothing where that is not wanted or not there.

    Args:
        folder: of the event files.
        epoch: done before; what an earlier session wrote after it is hidden.
        wanted: the machine's ``tensorboard``.
    """
    if not wanted:
        return _nowhere
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        log.warning(
            "machine: tensorboard is true, but the package is not installed: no event files; "
            "pip install 'salstm[tensorboard]'"
        )
        return _nowhere
    writer = SummaryWriter(str(folder), purge_step=epoch + 1)

    def write(row: dict[str, float]) -> None:
        for name in CURVES:
            if not math.isnan(row[name]):
                writer.add_scalar(name, row[name], int(row["epoch"]))
        writer.flush()

    return write


def _nowhere(row: dict[str, float]) -> None:
    pass
