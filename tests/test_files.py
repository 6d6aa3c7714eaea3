"""Files are whole or absent."""

from __future__ import annotations

from pathlib import Path

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
