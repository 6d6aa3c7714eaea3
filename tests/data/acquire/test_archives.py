"""Unpacking: everything in its place or nothing at all, whatever the archive says."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import stat
import struct
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from salstm.data.acquire import archive_limits, archives
from salstm.data.acquire.archive_limits import Limits
from tests.data.acquire.archive_files import make_rar, make_zip

ROOT = Path(__file__).parents[3]


def everything(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    folder = tmp_path / "outer" / "raw"
    folder.mkdir(parents=True)
    return folder


def test_a_zip_unpacks_to_its_root_and_nothing_else_is_left(tmp_path, raw):
    entries = {"Set/img/1.bin": b"one", "Set/empty": b"", "__MACOSX/Set/._1.bin": b"junk"}
    archive = make_zip(tmp_path / "a.zip", entries)
    assert archives.unpack(archive, raw, ["Set"]) == [raw / "Set"]
    assert everything(raw) == {"Set/img/1.bin": b"one", "Set/empty": b""}
    assert [path.name for path in raw.iterdir()] == ["Set"]


def test_a_root_that_is_there_is_not_touched(tmp_path, raw):
    (raw / "Set").mkdir()
    (raw / "Set" / "mine").write_bytes(b"mine")
    archive = make_zip(tmp_path / "a.zip", {"Set/mine": b"theirs"})
    with pytest.raises(FileExistsError, match="move it away"):
        archives.unpack(archive, raw, ["Set"])
    assert everything(raw) == {"Set/mine": b"mine"}


def evil(path: Path, name: str, *, mode: int = stat.S_IFREG | 0o644, data: bytes = b"evil") -> Path:
    info = zipfile.ZipInfo("placeholder")
    info.filename = info.orig_filename = name
    info.external_attr = mode << 16
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("Set/good", b"good")
        file.writestr(info, data)
    return path


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("../evil", "leaves its folder"),
        ("Set/../../evil", "leaves its folder"),
        ("Set/..", "leaves its folder"),
        ("Set\\..\\..\\evil", "leaves its folder"),
        ("/tmp/evil", "absolute path"),
        ("\\evil", "absolute path"),
        ("C:evil", "absolute path"),
        ("./", "leaves its folder, or none"),
    ],
)
def test_a_path_that_leaves_its_folder_is_refused(tmp_path, raw, name, reason):
    archive = evil(tmp_path / "a.zip", name)
    before = everything(tmp_path)
    with pytest.raises(ValueError, match=reason):
        archives.unpack(archive, raw, ["Set"])
    assert everything(tmp_path) == before
    assert list(raw.iterdir()) == []


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        (stat.S_IFLNK, "symbolic link"),
        (stat.S_IFCHR, "device"),
        (stat.S_IFIFO, "device"),
        (stat.S_IFSOCK, "device"),
    ],
)
def test_links_and_devices_are_refused(tmp_path, raw, kind, reason):
    archive = evil(tmp_path / "a.zip", "Set/link", mode=kind | 0o777, data=b"/etc")
    with pytest.raises(ValueError, match=reason):
        archives.unpack(archive, raw, ["Set"])
    assert list(raw.iterdir()) == []


def test_an_entry_twice_is_refused(tmp_path, raw):
    archive = tmp_path / "a.zip"
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("Set/a", b"1")
        file.writestr("Set/./a", b"22")
    with pytest.raises(ValueError, match="twice"):
        archives.unpack(archive, raw, ["Set"])
    assert list(raw.iterdir()) == []


def test_a_bomb_is_refused_before_anything_is_written(tmp_path, raw, monkeypatch):
    archive = make_zip(tmp_path / "bomb.zip", {"Set/zeros": bytes(2**26 + 1)})
    monkeypatch.setattr(archives, "_copy", lambda *_: pytest.fail("something was written"))
    with pytest.raises(ValueError, match=r"bomb\?"):
        archives.unpack(archive, raw, ["Set"])
    many = make_zip(tmp_path / "many.zip", {f"Set/{number}": b"" for number in range(11)})
    with pytest.raises(ValueError, match="11 entries"):
        archives.unpack(many, raw, ["Set"], limits=Limits(members=10))
    large = make_zip(tmp_path / "large.zip", {"Set/a": os.urandom(1000)})
    with pytest.raises(ValueError, match="unpack to 1,000"):
        archives.unpack(large, raw, ["Set"], limits=Limits(total=999))
    assert list(raw.iterdir()) == []


def test_a_listing_that_lies_about_the_size_writes_no_more_than_it_says(tmp_path, raw):
    """The size in the directory says 10 bytes, the content has a million."""
    archive = make_zip(tmp_path / "liar.zip", {"Set/a": bytes(1_000_000)})
    data = archive.read_bytes()
    place = data.index(b"PK\x01\x02") + 24
    archive.write_bytes(data[:place] + struct.pack("<I", 10) + data[place + 4 :])
    with pytest.raises(ValueError, match="damaged"):
        archives.unpack(archive, raw, ["Set"])
    assert list(raw.iterdir()) == []


def test_damaged_and_encrypted_zips_are_refused(tmp_path, raw):
    whole = make_zip(tmp_path / "a.zip", {"Set/a": os.urandom(5000)}).read_bytes()
    place = whole.index(b"Set/a") + 200
    damaged = {
        "cut.zip": whole[:3000],
        "bit.zip": whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :],
        "locked.zip": whole.replace(
            b"PK\x01\x02\x14\x03\x14\x00\x00", b"PK\x01\x02\x14\x03\x14\x00\x01"
        ),
    }
    for name, data in damaged.items():
        (tmp_path / name).write_bytes(data)
        with pytest.raises(ValueError, match=f"{name}: damaged"):
            archives.unpack(tmp_path / name, raw, ["Set"])
    assert list(raw.iterdir()) == []


def test_a_web_page_is_no_archive(tmp_path, raw):
    (tmp_path / "a.zip").write_bytes(b"<!DOCTYPE html><html>Sign in</html>")
    with pytest.raises(ValueError, match=r"no zip or rar archive, it begins with b'<!DOCTYPE"):
        archives.unpack(tmp_path / "a.zip", raw, ["Set"])


def test_another_archive_is_refused_with_what_it_holds(tmp_path, raw):
    archive = make_zip(tmp_path / "a.zip", {"Other/a": b"1"})
    with pytest.raises(ValueError, match="unpacks to Other; Set or Sets is expected"):
        archives.unpack(archive, raw, ["Set", "Sets"])
    assert list(raw.iterdir()) == []


def test_what_the_check_refuses_leaves_nothing(tmp_path, raw):
    archive = make_zip(tmp_path / "a.zip", {"Set/a": b"1"})

    def refuse(folder: Path) -> None:
        assert everything(folder) == {"Set/a": b"1"}
        raise ValueError("not the one")

    with pytest.raises(ValueError, match="not the one"):
        archives.unpack(archive, raw, ["Set"], check=refuse)
    assert list(raw.iterdir()) == []


def test_too_little_room_is_said_before_anything_is_written(tmp_path, raw, monkeypatch):
    archive = make_zip(tmp_path / "a.zip", {"Set/a": bytes(5000)})
    usage = shutil.disk_usage(raw)._replace(free=4999)
    monkeypatch.setattr(archive_limits.shutil, "disk_usage", lambda _: usage)
    monkeypatch.setattr(archives, "_copy", lambda *_: pytest.fail("something was written"))
    with pytest.raises(OSError, match=r"make room and run the same command again") as caught:
        archives.unpack(archive, raw, ["Set"])
    assert caught.value.errno == errno.ENOSPC
    assert list(raw.iterdir()) == []


def run(code: str, *arguments: Path) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )


UNPACK = """
import os, resource, signal, sys
from pathlib import Path
from salstm.data.acquire import archives
{before}
archives.unpack(Path(sys.argv[1]), Path(sys.argv[2]), ["Set"])
"""


def test_a_write_that_fails_leaves_nothing(tmp_path, raw):
    """The kernel refuses the second file's bytes, as it does on a full disk."""
    entries = {"Set/small": b"1", "Set/large": os.urandom(100_000), "Set/after": b"2"}
    archive = make_zip(tmp_path / "a.zip", entries)
    before = "resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))"
    done = run(UNPACK.format(before=before), archive, raw)
    assert done.returncode == 1
    assert "OSError" in done.stderr
    assert "while unpacking" in done.stderr
    assert "large" in done.stderr
    assert list(raw.iterdir()) == []


def test_after_a_kill_nothing_is_trusted_and_the_next_run_starts_afresh(tmp_path, raw):
    archive = make_zip(tmp_path / "a.zip", {"Set/a": b"1", "Set/b": b"2"})
    before = "os.fsync = lambda _: os.kill(os.getpid(), signal.SIGKILL)"
    assert run(UNPACK.format(before=before), archive, raw).returncode == -signal.SIGKILL
    assert not (raw / "Set").exists()
    assert [path.name for path in raw.iterdir()] == [".a.zip.unpacking"]
    (raw / ".a.zip.unpacking" / "Set" / "stale").write_bytes(b"stale")
    archives.unpack(archive, raw, ["Set"])
    assert everything(raw) == {"Set/a": b"1", "Set/b": b"2"}


def test_separators_of_windows_are_folders(tmp_path, raw):
    """As the zips of some programs on Windows: .NET before 4.6.1, for one."""
    archive = tmp_path / "a.zip"
    with zipfile.ZipFile(archive, "w") as file:
        for name, content in {"Set\\": b"", "Set\\img\\1.bin": b"one", "Set\\2": b"2"}.items():
            info = zipfile.ZipInfo("placeholder")
            info.filename = info.orig_filename = name
            file.writestr(info, content)
    archives.unpack(archive, raw, ["Set"])
    assert everything(raw) == {"Set/img/1.bin": b"one", "Set/2": b"2"}


def test_hidden_files_and_resource_forks_are_left_out(tmp_path, raw):
    entries = {
        "Set/a": b"1",
        "Set/._a": b"fork",
        "Set/.DS_Store": b"x",
        "Set/__MACOSX/b": b"x",
        "Set/.git/config": b"x",
        "__MACOSX/Set/._a": b"x",
    }
    archives.unpack(make_zip(tmp_path / "a.zip", entries), raw, ["Set"])
    assert everything(raw) == {"Set/a": b"1"}


def test_what_is_hidden_is_looked_at_all_the_same(tmp_path, raw):
    archive = make_zip(tmp_path / "a.zip", {"Set/a": b"1", "__MACOSX/../../evil": b"evil"})
    with pytest.raises(ValueError, match="leaves its folder"):
        archives.unpack(archive, raw, ["Set"])
    assert list(raw.iterdir()) == []


def test_archives_inside_an_archive_are_unpacked_where_they_are(tmp_path, raw):
    """One that holds a folder becomes that folder, another one a folder of its own name."""
    folder = make_zip(tmp_path / "i.zip", {"img/1": b"one"}).read_bytes()
    loose = make_rar(tmp_path / "l.rar", {"1": b"truth", "2": b"too"}).read_bytes()
    deeper = make_zip(tmp_path / "d.zip", {"more.zip": folder}).read_bytes()
    page = b"<html>no archive</html>"
    inner = {"Set/a.zip": folder, "Set/label.rar": loose, "Set/deep.zip": deeper, "Set/b.zip": page}
    archives.unpack(make_zip(tmp_path / "a.zip", inner), raw, ["Set"])
    assert everything(raw) == {
        "Set/img/1": b"one",
        "Set/label/1": b"truth",
        "Set/label/2": b"too",
        "Set/deep/img/1": b"one",
        "Set/b.zip": page,
    }


def test_an_archive_of_archives_has_the_root_inside(tmp_path, raw):
    inner = make_zip(tmp_path / "i.zip", {"Set/1": b"one"}).read_bytes()
    archives.unpack(make_zip(tmp_path / "a.zip", {"Set.zip": inner}), raw, ["Set"])
    assert everything(raw) == {"Set/1": b"one"}


def test_archives_inside_stay_within_the_limits_of_the_outer_one(tmp_path, raw):
    bomb = make_zip(tmp_path / "b.zip", {"zeros": bytes(20 * 2**20)}).read_bytes()
    archive = make_zip(tmp_path / "a.zip", {f"Set/{number}.zip": bomb for number in range(4)})
    with pytest.raises(ValueError, match=r"3\.zip.*bomb\?"):
        archives.unpack(archive, raw, ["Set"])
    evil = make_rar(tmp_path / "e.rar", {"../../../evil": b"evil"}).read_bytes()
    with pytest.raises(ValueError, match=r"inner\.rar.*leaves its folder"):
        archives.unpack(make_zip(tmp_path / "e.zip", {"Set/inner.rar": evil}), raw, ["Set"])
    assert list(raw.iterdir()) == []


def test_archives_without_an_end_are_refused(tmp_path, raw):
    content = make_zip(tmp_path / "0.zip", {"a": b"1"}).read_bytes()
    for depth in range(5):
        content = make_zip(tmp_path / "n.zip", {f"{depth}.zip": content}).read_bytes()
    with pytest.raises(ValueError, match="an archive inside 3 others"):
        archives.unpack(make_zip(tmp_path / "a.zip", {"Set/n.zip": content}), raw, ["Set"])
    assert list(raw.iterdir()) == []


def test_a_root_is_found_inside_one_more_folder_and_loose_in_an_archive_of_its_name(tmp_path, raw):
    archive = make_zip(tmp_path / "download.zip", {"download/x/Set/1": b"one"})
    archives.unpack(archive, raw, ["Set"])
    archive = make_zip(tmp_path / "Loose.zip", {"1": b"one", "2": b"two"})
    archives.unpack(archive, raw, ["Loose"])
    assert everything(raw) == {"Set/1": b"one", "Loose/1": b"one", "Loose/2": b"two"}
    assert sorted(path.name for path in raw.iterdir()) == ["Loose", "Set"]
