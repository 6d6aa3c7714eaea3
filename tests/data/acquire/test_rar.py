"""RAR archives, of WinRAR's own making and by hand, on a machine without any program that reads them.

What is in WinRAR's archives is known from the list of rarfile's own tests: ``stest1.txt`` and ``stest2.txt`` hold 2048
bytes, the numbers from 0 written in three digits and a line's end; their CRC-32 is 3317163682.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zlib
from pathlib import Path

import pytest

from salstm.data import phantoms
from salstm.data.acquire import archives, download, rar
from tests.data.acquire.archive_files import RAR, WINRAR, make_rar, make_rar5
from tests.data.acquire.test_archives import everything

STEST = 3317163682


@pytest.fixture(autouse=True)
def _no_program(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    folder = tmp_path / "outer" / "raw"
    folder.mkdir(parents=True)
    return folder


def damaged(archive: Path, folder: Path, keep: int | None = None, bit: int | None = None) -> Path:
    """A copy that is cut after some bytes, or has one bit turned."""
    data = bytearray(archive.read_bytes()[:keep])
    if bit is not None:
        data[bit] ^= 1
    copy = folder / archive.name
    copy.write_bytes(data)
    return copy


@pytest.mark.parametrize("name", ["seektest", "rar5-crc", "rar5-solid"])
def test_what_winrar_compressed_is_read(raw, name):
    """RAR 3, RAR 5 (the first file compressed, the second stored), and a solid RAR 5."""
    archives.unpack(WINRAR / f"{name}.rar", raw, [name])
    found = everything(raw)
    assert sorted(found) == [f"{name}/stest1.txt", f"{name}/stest2.txt"]
    assert {zlib.crc32(content) for content in found.values()} == {STEST}
    assert {len(content) for content in found.values()} == {2048}


@pytest.mark.parametrize("make", RAR.values(), ids=RAR)
def test_what_is_stored_is_read(tmp_path, raw, make):
    entries = {
        "Set/Ground Truth/1.tif": os.urandom(3000),
        "Set/2.tif": os.urandom(2_100_000),
        "Set/no": b"",
    }
    archive = make(tmp_path / "a.rar", entries)
    archives.unpack(archive, raw, ["Set"])
    assert everything(raw) == entries


@pytest.mark.parametrize(
    ("name", "keep", "bit"),
    [
        ("seektest", 100, None),
        ("seektest", 1500, None),
        ("seektest", None, 100),
        ("seektest", None, 1500),
        ("rar5-crc", 120, None),
        ("rar5-crc", 1500, None),
        ("rar5-crc", None, 120),
        ("rar5-crc", None, 1500),
        ("rar5-solid", None, 100),
    ],
)
def test_what_is_cut_or_turned_is_refused_and_leaves_nothing(tmp_path, raw, name, keep, bit):
    archive = damaged(WINRAR / f"{name}.rar", tmp_path, keep, bit)
    with pytest.raises(ValueError, match=rf"{name}\.rar: damaged or unreadable"):
        archives.unpack(archive, raw, [name])
    assert list(raw.iterdir()) == []


@pytest.mark.parametrize("make", RAR.values(), ids=RAR)
@pytest.mark.parametrize(("keep", "bit"), [(50_000, None), (None, 200), (30, None)])
def test_what_is_stored_is_compared_with_its_checksum(tmp_path, raw, make, keep, bit):
    """libarchive does not compare a stored file of RAR 3."""
    whole = make(tmp_path / "whole.rar", {"Set/1": bytes(3000), "Set/2": bytes(70_000)})
    (tmp_path / "copy").mkdir()
    with pytest.raises(ValueError, match=r"whole\.rar: damaged or unreadable"):
        archives.unpack(damaged(whole, tmp_path / "copy", keep, bit), raw, ["Set"])
    assert list(raw.iterdir()) == []


@pytest.mark.parametrize("make", RAR.values(), ids=RAR)
@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("../evil", "leaves its folder"),
        ("Set/../../evil", "leaves its folder"),
        ("/tmp/evil", "absolute path"),
    ],
)
def test_a_path_that_leaves_its_folder_is_refused(tmp_path, raw, make, name, reason):
    archive = make(tmp_path / "a.rar", {"Set/good": b"good", name: b"evil"})
    before = everything(tmp_path)
    with pytest.raises(ValueError, match=reason):
        archives.unpack(archive, raw, ["Set"])
    assert everything(tmp_path) == before


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("rar3-symlink-unix", "'data_link' is a symbolic link"),
        ("rar5-evil-symlink-traversal", "'up' is a symbolic link"),
        ("rar5-hlink", "'stest2.txt' is a hard link"),
        ("rar5-psw", "it is encrypted"),
    ],
)
def test_links_and_what_is_encrypted_are_refused(raw, name, reason):
    with pytest.raises(ValueError, match=reason):
        archives.unpack(WINRAR / f"{name}.rar", raw, [name])
    assert list(raw.iterdir()) == []


def test_a_device_is_refused(tmp_path, raw):
    archive = make_rar(tmp_path / "a.rar", {"Set/null": b""}, mode=0o020666)
    with pytest.raises(ValueError, match="is a device"):
        archives.unpack(archive, raw, ["Set"])


def test_names_that_the_locale_cannot_write_crash_nothing(tmp_path, raw):
    """archi 3.8.10 reads memory that is not there when asked for such a name."""
    archive = make_rar5(tmp_path / "a.rar", {"Set/žluťoučký.tif": b"one"})
    code = "import sys; from pathlib import Path; from salstm.data.acquire import archives; "
    code += "archives.unpack(Path(sys.argv[1]), Path(sys.argv[2]), ['Set'])"
    environment = {**os.environ, "LC_ALL": "C", "PYTHONUTF8": "0"}
    command = [sys.executable, "-c", code, str(archive), str(raw)]
    done = subprocess.run(command, env=environment, capture_output=True, check=False)
    assert done.returncode in (0, 1), done.stderr  # written, or refused; not killed by a signal
    assert done.returncode == 1 or len(everything(raw)) == 1


def test_a_solid_archive_of_rar_3_says_which_program_reads_it(raw):
    with pytest.raises(
        FileNotFoundError, match=r"rar3-solid\.rar: this RAR needs a program.*unrar"
    ):
        archives.unpack(WINRAR / "rar3-solid.rar", raw, ["rar3-solid"])
    assert list(raw.iterdir()) == []


# A stand-in for a program that reads RAR: sends what it is told to.
PROGRAM = """#!{python}
import sys
sys.stdout.buffer.write(bytes.fromhex({content!r}))
sys.exit({code})
"""


@pytest.fixture
def program(tmp_path, monkeypatch):
    """Install stand-ins, and no other program."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))

    def install(name: str, content: bytes, code: int = 0) -> None:
        script = folder / name
        script.write_text(PROGRAM.format(python=sys.executable, content=content.hex(), code=code))
        script.chmod(0o755)

    return install


@pytest.fixture
def solid(raw: Path) -> bytes:
    """The content of both files of ``rar3-solid.rar``, which are those of ``rar5-solid.rar``."""
    archives.unpack(WINRAR / "rar5-solid.rar", raw.parent, ["rar5-solid"])
    return (raw.parent / "rar5-solid" / "stest1.txt").read_bytes()


@pytest.mark.parametrize("name", rar.PROGRAMS)
def test_where_libarchive_cannot_a_program_is_asked(raw, solid, program, name):
    program(name, solid * 2)
    archives.unpack(WINRAR / "rar3-solid.rar", raw, ["rar3-solid"])
    assert [zlib.crc32(content) for content in everything(raw).values()] == [STEST, STEST]


@pytest.mark.parametrize(
    ("change", "code", "reason"),
    [
        (lambda content: content + b"more", 0, "more content than the listing"),
        (lambda content: content[:-9], 0, r"stest2\.txt has 9 bytes fewer"),
        (lambda content: b"!" + content[1:], 0, r"stest1\.txt is not what its checksum says"),
        (lambda content: content, 3, "exit code 3"),
    ],
)
def test_a_program_is_not_trusted(raw, solid, program, change, code, reason):
    program("unrar", change(solid * 2), code)
    with pytest.raises(ValueError, match=reason):
        archives.unpack(WINRAR / "rar3-solid.rar", raw, ["rar3-solid"])
    assert list(raw.iterdir()) == []


def test_where_one_program_fails_the_next_one_is_asked(raw, solid, program):
    program("unrar", b"", 3)
    program("bsdtar", solid * 2)
    archives.unpack(WINRAR / "rar3-solid.rar", raw, ["rar3-solid"])
    assert len(everything(raw)) == 2


@pytest.mark.parametrize("name", rar.PROGRAMS)
def test_a_real_program_reads_a_real_rar(tmp_path, raw, monkeypatch, name):
    monkeypatch.undo()
    if not shutil.which(name):
        pytest.skip(f"{name} is not installed")
    entries = {"Set/Ground Truth/1.tif": os.urandom(3000), "Set/2.tif": os.urandom(70_000)}
    archive = make_rar(tmp_path / "a.rar", entries)
    monkeypatch.setattr(rar, "readers", lambda *given: [rar._program(name, *given)])
    archives.unpack(archive, raw, ["Set"])
    assert everything(raw) == entries


@pytest.mark.parametrize("make", RAR.values(), ids=RAR)
def test_cvc_clinicdb_is_fetched_from_its_rar_without_any_program(tmp_path, make):
    """The official archive's layout, dropped where a browser's download would be put."""
    made = phantoms.cvc_clinicdb(tmp_path / "made", sequences=2, frames=4, seed=1, size=(32, 40))
    tree = {
        name: content
        for name, content in everything(made).items()
        if name.startswith("CVC-ClinicDB/")
    }
    assert len(tree) >= 12
    raw = tmp_path / "raw"
    raw.mkdir()
    make(raw / "CVC-ClinicDB.rar", {**tree, "CVC-ClinicDB/.DS_Store": b"junk"})
    download.fetch("cvc_clinicdb", raw)
    (raw / "CVC-ClinicDB.rar").unlink()
    assert everything(raw) == tree
