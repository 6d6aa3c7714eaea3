"""Files are whole or absent."""

from __future__ import annotations

import errno
import os
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


def test_what_replaces_one_name_leaves_the_other(tmp_path):
    one, other = tmp_path / "one", tmp_path / "other"
    one.write_bytes(b"first")
    files.share(one, other)
    assert one.samefile(other)
    files.share(
        one, other
    )  # again: a rename onto the same file does nothing, the temporary name must go
    with files.replacing(other) as temporary:
        temporary.write_bytes(b"second")
    assert (one.read_bytes(), other.read_bytes()) == (b"first", b"second")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one", "other"]


def test_a_link_that_a_killed_process_left_is_not_written_into(tmp_path):
    kept, path = tmp_path / "kept", tmp_path / "out"
    kept.write_bytes(b"good")
    # As a kill between link and rename leaves it, when this process got the same number.
    tmp_path.joinpath(f".out.{os.getpid()}.part").hardlink_to(kept)
    with files.replacing(path) as temporary:
        temporary.write_bytes(b"other")
    assert (kept.read_bytes(), path.read_bytes()) == (b"good", b"other")
    tmp_path.joinpath(f".out.{os.getpid()}.part").hardlink_to(path)
    files.share(kept, path)
    assert path.samefile(kept)


@pytest.mark.parametrize("number", [errno.EXDEV, errno.EPERM, errno.ENOTSUP, errno.EMLINK])
def test_where_nothing_can_be_linked_it_is_a_copy(tmp_path, monkeypatch, number):
    one, other = tmp_path / "one", tmp_path / "other"
    one.write_bytes(b"weights")

    def refused(self, target):
        raise OSError(number, "no links here")

    monkeypatch.setattr(Path, "hardlink_to", refused)
    files.share(one, other)
    assert other.read_bytes() == b"weights"
    assert not one.samefile(other)
    assert files.same(one, other)
    assert files.occupied([one, other]) == 14


def test_a_shared_name_is_younger_than_what_came_before(tmp_path):
    one, other = tmp_path / "one", tmp_path / "other"
    one.write_bytes(b"weights")
    os.utime(one, (0, 0))
    files.share(one, other)
    assert other.stat().st_mtime > 1e9


def test_a_source_that_is_not_there_changes_nothing(tmp_path):
    (tmp_path / "other").write_bytes(b"old")
    with pytest.raises(FileNotFoundError):
        files.share(tmp_path / "none", tmp_path / "other")
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"old"]


def test_files_are_the_same_by_their_bytes(tmp_path):
    for name, content in (("a", b"xyz"), ("b", b"xyz"), ("c", b"xyw"), ("d", b"xy")):
        (tmp_path / name).write_bytes(content)
    assert [files.same(tmp_path / "a", tmp_path / name) for name in "abcd"] == [
        True,
        True,
        False,
        False,
    ]
    (tmp_path / "e").hardlink_to(tmp_path / "a")
    assert files.occupied(tmp_path / name for name in ("a", "b", "e", "none")) == 6


def test_a_damaged_json_is_named(tmp_path):
    (tmp_path / "x.json").write_text("{")
    with pytest.raises(ValueError, match=r"x\.json: not valid JSON"):
        files.read_json(tmp_path / "x.json")


NAMES = ["NA", "nan", "001", "1e5", "None", "null", "-inf", "1,5", "#N/A", " x "]


def test_names_are_text_and_numbers_are_numbers(tmp_path):
    """Whatever a case is called; pandas by itself reads the first two as undefined and the next two as numbers."""
    numbers = [0.1 + 0.2, float("nan"), 3, 1e300, 0, -1, 2, float("inf"), 5, 6]
    written = pd.DataFrame(
        {
            "case": NAMES,
            "group": NAMES[::-1],
            "dice": numbers,
            "seed": range(10),
            "by_site": NAMES,
        }
    )
    files.write_csv(tmp_path / "a.csv", written)
    pd.testing.assert_frame_equal(files.read_csv(tmp_path / "a.csv"), written)
    with (tmp_path / "a.csv").open("a") as file:
        file.write("cut,")
    last = files.read_csv(tmp_path / "a.csv").iloc[-1]
    assert last["case"] == "cut"
    assert last[["group", "dice", "seed"]].isna().all()


def test_columns_are_left_out_on_demand(tmp_path):
    (tmp_path / "a.csv").write_text("case,dice,ece\n001,1,2\n")
    assert files.read_csv(tmp_path / "a.csv", left_out=("ece", "nsd")).columns.tolist() == [
        "case",
        "dice",
    ]
    assert files.read_csv(tmp_path / "a.csv", left_out=("nsd",)).shape == (1, 3)


def test_a_broken_table_is_named(tmp_path):
    (tmp_path / "empty.csv").write_text("")
    with pytest.raises(ValueError, match=r"empty\.csv: "):
        files.read_csv(tmp_path / "empty.csv")
    (tmp_path / "ragged.csv").write_text("case,dice\na,1\nb,2,3,4\n")
    with pytest.raises(ValueError, match=r"ragged\.csv: "):
        files.read_csv(tmp_path / "ragged.csv")
