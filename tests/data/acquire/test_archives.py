"""Unpacking: everything in its place or nothing at all, whatever the archive says."""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
import stat
import struct
import subprocess
import sys
import zipfile
import zlib
from pathlib import Path

import pytest

from salstm.data.acquire import archive_limits, archives, rar
from salstm.data.acquire.archive_limits import Limits

ROOT = Path(__file__).parents[3]


def make_zip(path: Path, entries: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in entries.items():
            file.writestr(name, content)
    return path


def make_rar(path: Path, entries: dict[str, bytes]) -> Path:
    """A RAR 4 archive, stored without compression: a mark, a head, and a header before each file."""

    def block(kind: int, flags: int, rest: bytes) -> bytes:
        body = struct.pack("<BHH", kind, flags, 7 + len(rest)) + rest
        return struct.pack("<H", zlib.crc32(body) & 0xFFFF) + body

    data = b"Rar!\x1a\x07\x00" + block(0x73, 0, bytes(6))
    for name, content in entries.items():
        sizes = struct.pack("<IIB", len(content), len(content), 3)
        facts = struct.pack(
            "<IIBBHI", zlib.crc32(content), 0x4A000000, 20, 0x30, len(name), 0o100644
        )
        data += block(0x74, 0x8000, sizes + facts + name.encode()) + content
    path.write_bytes(data + block(0x7B, 0x4000, b""))
    return path


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


# A stand-in for a program that reads RAR: lists what real ones listed, sends what it is told to.
FAKE = """#!{python}
import json, sys
told = json.load(open({told!r}))
sending = sys.argv[1] in ("p", "x", "-xOf")
if sending:
    sys.stdout.buffer.write(bytes.fromhex(told["content"]))
else:
    sys.stdout.write(told["listing"])
sys.exit(told["code"] if sending else 0)
"""

UNRAR = """
UNRAR 6.21 freeware      Copyright (c) 1993-2023 Alexander Roshal

Archive: CVC.rar
Details: RAR 5

        Name: Set/Ground Truth/1.tif
        Type: File
        Size: 3
 Packed size: 3
       mtime: 2026-11-22 22:37:33,695433981
  Attributes: -rw-r--r--

        Name: Set/empty
        Type: File
        Size: 0

        Name: {name}
        Type: {type}
        Size: 4

        Name: Set
        Type: Directory
       mtime: 2026-11-22 22:37:33,692878697
  Attributes: drwxr-xr-x
"""

SEVENZIP = """
7-Zip [64] 26.02

Listing archive: CVC.rar

--
Path = CVC.rar
Type = Rar5
Physical Size = 5700

----------
Path = Set/Ground Truth/1.tif
Folder = -
Size = 3
Attributes =  -rw-r--r--
Symbolic Link =
Hard Link =

Path = Set/empty
Folder = -
Size = 0

Path = {name}
Folder = -
Size = 4
{type} = elsewhere

Path = Set
Folder = +
Size = 0
"""

BSDTAR = """-rw-r--r--  0 0      0           3 Nov 22 22:37 Set/Ground Truth/1.tif
-rw-r--r--  0 0      0           0 Nov 22 22:37 Set/empty
{type}rw-r--r--  0 1000   users       4 Jan  1  2013 {name}
drwxr-xr-x  0 0      0           0 Nov 22 22:37 Set
"""

PROGRAMS = {
    "unrar": (UNRAR, "File", "Unix symbolic link"),
    "7z": (SEVENZIP, "Comment", "Symbolic Link"),
    "bsdtar": (BSDTAR, "-", "l"),
}


@pytest.fixture
def program(tmp_path, monkeypatch):
    """Install one stand-in, and no other program."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))

    def install(
        name: str,
        entry: str = "Set/2.tif",
        link: bool = False,
        content: bytes = b"onetwo2",
        code: int = 0,
    ) -> None:
        listing, plain, linked = PROGRAMS[name]
        told = tmp_path / f"{name}.json"
        listing = listing.format(name=entry, type=linked if link else plain)
        told.write_text(json.dumps({"listing": listing, "content": content.hex(), "code": code}))
        script = folder / name
        script.write_text(FAKE.format(python=sys.executable, told=str(told)))
        script.chmod(0o755)

    return install


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    path = tmp_path / "CVC.rar"
    path.write_bytes(b"Rar!\x1a\x07\x00 and so on")
    return path


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_rar_is_read_through_the_program_that_is_there(raw, archive, program, name):
    program(name)
    archives.unpack(archive, raw, ["Set"])
    expected = {"Set/Ground Truth/1.tif": b"one", "Set/empty": b"", "Set/2.tif": b"two2"}
    assert everything(raw) == expected


@pytest.mark.parametrize("name", PROGRAMS)
@pytest.mark.parametrize(
    ("entry", "link", "reason"),
    [
        ("../evil", False, "leaves its folder"),
        ("/evil", False, "absolute path"),
        ("Set/link", True, "symbolic link"),
    ],
)
def test_an_evil_rar_is_refused(raw, archive, program, name, entry, link, reason):
    program(name, entry=entry, link=link)
    with pytest.raises(ValueError, match=reason):
        archives.unpack(archive, raw, ["Set"])
    assert list(raw.iterdir()) == []
    assert not (raw.parent / "evil").exists()


@pytest.mark.parametrize(
    ("content", "code", "reason"),
    [
        (b"onetwo2 and more than the listing says", 0, "more content than the listing"),
        (b"onet", 0, "Set/2.tif has 3 bytes fewer"),
        (b"onetwo2", 3, "exit code 3"),
    ],
)
def test_a_rar_that_is_not_what_its_listing_says_leaves_nothing(
    raw, archive, program, content, code, reason
):
    program("unrar", content=content, code=code)
    with pytest.raises(ValueError, match=reason):
        archives.unpack(archive, raw, ["Set"])
    assert list(raw.iterdir()) == []


def test_where_one_program_fails_the_next_one_is_asked(raw, archive, program):
    program("unrar", code=3)
    program("bsdtar")
    archives.unpack(archive, raw, ["Set"])
    assert everything(raw)["Set/2.tif"] == b"two2"


def test_without_a_program_for_rar_the_message_names_some(raw, archive, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    archives.check_tools("a.zip")
    for call in (
        lambda: archives.check_tools("CVC.rar"),
        lambda: archives.unpack(archive, raw, ["Set"]),
    ):
        with pytest.raises(FileNotFoundError, match=r"unrar.*apt-get install libarchive-tools"):
            call()


@pytest.mark.parametrize("tool", rar.TOOLS, ids=lambda tool: tool.name)
def test_a_real_program_reads_a_real_rar(tmp_path, raw, monkeypatch, tool):
    if not shutil.which(tool.name):
        pytest.skip(f"{tool.name} is not installed")
    monkeypatch.setattr(rar, "TOOLS", (tool,))
    entries = {"Set/Ground Truth/1.tif": os.urandom(3000), "Set/2.tif": os.urandom(70_000)}
    archive = make_rar(tmp_path / "a.rar", entries)
    try:
        tool.members(archive)
    except rar.ToolError as error:
        pytest.skip(f"{tool.name} has no RAR part: {error}")
    archives.unpack(archive, raw, ["Set"])
    assert everything(raw) == entries
    data = archive.read_bytes()
    damaged = data[:50_000] if tool.name == "bsdtar" else data[:200] + b"!" + data[201:]
    archive.write_bytes(damaged)  # bsdtar does not look at the checksum of a stored RAR 4 file
    with pytest.raises(ValueError, match="damaged or unreadable"):
        archives.unpack(archive, raw.parent, ["Set"])
    assert not (raw.parent / "Set").exists()
