"""TensorBoard: off unless asked for and installed; a resumed run hides what it does again."""

from __future__ import annotations

import math
import sys
import types

from salstm.training.tensorboard import board

ROW = {
    "epoch": 3.0,
    "loss": 0.5,
    "lr": 1e-3,
    "val_dice": math.nan,
    "test_dice": 0.25,
    "seconds": 1.0,
}


def test_curves_are_written_and_gaps_left_out(monkeypatch, tmp_path):
    written: list = []

    class SummaryWriter:
        def __init__(self, folder: str, purge_step: int) -> None:
            written.append((folder, purge_step))

        def add_scalar(self, *arguments) -> None:
            written.append(arguments)

        def flush(self) -> None:
            written.append("flush")

    module = types.ModuleType("torch.utils.tensorboard")
    vars(module)["SummaryWriter"] = SummaryWriter
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", module)
    board(tmp_path / "events", 2, wanted=True)(ROW)
    assert written == [
        (str(tmp_path / "events"), 3),
        ("loss", 0.5, 3),
        ("lr", 1e-3, 3),
        ("test_dice", 0.25, 3),
        "flush",
    ]


def test_without_the_package_there_is_a_warning_and_no_file(monkeypatch, tmp_path, caplog):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    board(tmp_path / "events", 0, wanted=True)(ROW)
    assert "pip install 'salstm[tensorboard]'" in caplog.text
    assert not (tmp_path / "events").exists()


def test_not_asked_for_it_says_nothing(tmp_path, caplog):
    board(tmp_path / "events", 0, wanted=False)(ROW)
    assert not caplog.text
    assert not (tmp_path / "events").exists()
