"""Files are whole or absent."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from salstm import files


def write_half(path: Path, error: BaseException) -> None:
    with files.replacing(path) as temporary:
        temporary.write_text("half")
        raise error


def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "out.json"
    files.write_json(path, {"a": 1})
    with pytest.raises(OSError, match="disk full"):
        write_half(path, OSError("disk full"))
    assert files.read_json(path) == {"a": 1}
    assert [one.name for one in tmp_path.iterdir()] == ["out.json"]


def test_an_interrupt_leaves_nothing(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        write_half(tmp_path / "out", KeyboardInterrupt())
    assert not list(tmp_path.iterdir())


def test_a_damaged_json_is_named(tmp_path):
    (tmp_path / "x.json").write_text("{")
    with pytest.raises(ValueError, match=r"x\.json: not valid JSON"):
        files.read_json(tmp_path / "x.json")


NAMES = ["NA", "nan", "001", "1e5", "None", "null", "-inf", "1,5", "#N/A", " x "]


def test_names_are_text_and_numbers_are_numbers(tmp_path):
    """Whatever a case is called; pandas by itself reads the first two as undefined and the next two as numbers."""
    numbers = [0.1 + 0.2, float("nan"), 3, 1e300, 0, -1, 2, float("inf"), 5, 6]
    written = pd.DataFrame(
        {"case": NAMES, "group": NAMES[::-1], "dice": numbers, "seed": range(10)}
    )
    files.write_csv(tmp_path / "a.csv", written)
    pd.testing.assert_frame_equal(files.read_csv(tmp_path / "a.csv"), written)
    with (tmp_path / "a.csv").open("a") as file:
        file.write("cut,")
    last = files.read_csv(tmp_path / "a.csv").iloc[-1]
    assert last["case"] == "cut"
    assert last[["group", "dice", "seed"]].isna().all()


def test_a_broken_table_is_named(tmp_path):
    (tmp_path / "empty.csv").write_text("")
    with pytest.raises(ValueError, match=r"empty\.csv: "):
        files.read_csv(tmp_path / "empty.csv")
    (tmp_path / "ragged.csv").write_text("case,dice\na,1\nb,2,3,4\n")
    with pytest.raises(ValueError, match=r"ragged\.csv: "):
        files.read_csv(tmp_path / "ragged.csv")
