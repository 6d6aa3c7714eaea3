"""Unpacking zip and rar archives that nobody vouches for: all in its place, or nothing at all.

What Windows and macOS leave in archives does no harm: separators that are backslashes, ``__MACOSX``, hidden files.
Archives inside an archive are unpacked as well, within the limits of the outer one.
"""

from __future__ import annotations

import logging
import lzma
import os
import shutil
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from salstm.data.acquire import archive_limits, rar
from salstm.data.acquire.archive_limits import Limits, Member
from salstm.data.acquire.rar import Readable

log = logging.getLogger(__name__)

CHUNK = 2**20
MAGIC = {b"PK\x03\x04": "zip", b"PK\x05\x06": "zip", b"Rar!\x1a\x07": "rar"}
DEEPEST = 3
"""Archives inside one another."""
DAMAGED = (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, NotImplementedError)


def unpack(
    archive: Path,
    folder: Path,
    roots: Sequence[str],
    *,
    check: Callable[[Path], None] | None = None,
    limits: Limits | None = None,
) -> list[Path]:
    """Unpack an archive's top folders into a folder.

    They may stand inside one more folder; what stands loose in an archive of a top folder's name
    goes there. Everything is written to a temporary folder inside ``folder``, flushed to the disk,
    checked and renamed; after an error, an interrupt or a full disk nothing is there, and after a
    kill only the temporary folder, which the next call removes.

    Args:
        archive: a zip or rar file.
        folder: where the top folders go.
        roots: names of the top folders that are wanted; others are left out.
        check: called with the temporary folder before anything is renamed; raises to refuse.
        limits: how much the archive may hold.

    Returns:
        The top folders that are now in ``folder``.

    Raises:
        ValueError: not a zip or rar archive, damaged, unsafe, too large, or without ``roots``.
        FileNotFoundError: no program that reads rar is installed; says what to do.
        FileExistsError: one of the top folders is in ``folder`` already.
        OSError: the disk is full.
    """
    kind_of(archive)
    staging = folder / f".{archive.name}.unpacking"
    shutil.rmtree(staging, ignore_errors=True)
    limits = limits or Limits()
    try:
        _extract(archive, staging, limits)
        _expand(staging, limits.whole(archive))
        place = _place(archive, staging, roots)
        if check is not None:
            check(place)
        return _commit(archive, place, folder, roots)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def kind_of(archive: Path) -> str:
    """``zip`` or ``rar``, by the first bytes.

    Raises:
        ValueError: neither, as when a server sent a web page instead.
    """
    with archive.open("rb") as file:
        head = file.read(16)
    for magic, kind in MAGIC.items():
        if head.startswith(magic):
            return kind
    raise ValueError(f"{archive}: no zip or rar archive, it begins with {head!r}")


def _extract(archive: Path, staging: Path, limits: Limits) -> None:
    if kind_of(archive) == "zip":
        try:
            with _zip(archive) as (listed, streams):
                _write(archive, staging, listed, streams, limits)
        except DAMAGED as error:
            raise ValueError(f"{archive}: damaged: {error}; get it again") from error
        return
    reasons = []
    try:
        entries = rar.entries(archive)
        for reader in rar.readers(archive, entries):
            try:
                with reader as streams:
                    _write(archive, staging, [entry.member for entry in entries], streams, limits)
                return
            except rar.UnreadableError as error:
                reasons.append(str(error))
    except rar.UnreadableError as error:
        reasons.append(str(error))
    said = "; ".join(reasons)
    if rar.wants_a_program(reasons):
        raise FileNotFoundError(f"{archive}: this RAR needs a program ({said}): {rar.ADVICE}")
    raise ValueError(f"{archive}: damaged or unreadable ({said}); get it again")


@contextmanager
def _zip(archive: Path) -> Iterator[tuple[list[Member], Callable[[Member], IO[bytes]]]]:
    with zipfile.ZipFile(archive) as file:
        infos = {_member(info): info for info in file.infolist()}
        if len(infos) != len(file.infolist()):
            raise zipfile.BadZipFile("an entry appears twice")
        if any(info.flag_bits & 1 for info in infos.values()):
            raise zipfile.BadZipFile("it is encrypted")
        yield list(infos), lambda member: file.open(infos[member])


def _member(info: zipfile.ZipInfo) -> Member:
    # The upper half holds the mode where the archive was made on Unix: 0o10 file, 0o04 folder.
    mode = info.external_attr >> 28
    kinds = {0o00: "file", 0o10: "file", 0o04: "folder", 0o12: "symbolic link"}
    kind = kinds.get(mode, "device")
    plain = kind in ("file", "folder")
    name = info.orig_filename.replace("\\", "/")
    return Member(name, info.file_size, "folder" if plain and name.endswith("/") else kind)


def _write(
    archive: Path,
    staging: Path,
    listed: Sequence[Member],
    content: Callable[[Member], Readable],
    limits: Limits,
) -> None:
    """Write checked members below an empty folder, in the order of the listing; not the hidden ones."""
    archive_limits.check(archive, listed, limits)
    shutil.rmtree(staging, ignore_errors=True)
    staging.mkdir(parents=True)
    archive_limits.check_space(staging, sum(member.size for member in listed))
    for member in listed:
        if member.hidden:
            continue
        path = staging.joinpath(*member.parts)
        (path if member.kind == "folder" else path.parent).mkdir(parents=True, exist_ok=True)
        if member.kind == "file":
            _copy(content(member), path, member)


def _copy(stream: Readable, path: Path, member: Member) -> None:
    left = member.size
    with path.open("xb") as file:
        try:
            while left and (chunk := stream.read(min(CHUNK, left))):
                left -= len(chunk)
                file.write(chunk)
            file.flush()
            os.fsync(file.fileno())
        except OSError as error:
            raise OSError(error.errno, f"{error.strerror} while unpacking", str(path)) from error
    if left:
        raise EOFError(f"{member.name} has {left} bytes fewer than the listing says")


def _expand(folder: Path, limits: Limits) -> None:
    """Unpack the archives inside a folder in their places, and those inside them."""
    depth = 0
    while inner := [path for path in sorted(folder.rglob("*")) if _packed(path)]:
        if depth == DEEPEST:
            raise ValueError(
                f"{inner[0]}: an archive inside {depth} others; unpack the innermost by hand"
            )
        for path in inner:
            _extract_in_place(path, limits.after(folder))
        depth += 1


def _packed(path: Path) -> bool:
    if path.suffix.lower() not in (".zip", ".rar") or not path.is_file():
        return False
    try:
        return bool(kind_of(path))
    except ValueError:  # of that name, and something else
        return False


def _extract_in_place(path: Path, limits: Limits) -> None:
    """An archive becomes its one top folder, or a folder of its own name."""
    staging = path.with_name(f".{path.name}.unpacking")
    _extract(path, staging, limits)
    path.unlink()
    found = list(staging.iterdir())
    single = len(found) == 1 and found[0].is_dir()
    source, target = (
        (found[0], path.with_name(found[0].name)) if single else (staging, path.with_suffix(""))
    )
    if target.exists():
        raise ValueError(f"{path}: {target.name} stands beside it as well; keep one of them")
    source.rename(target)
    shutil.rmtree(staging, ignore_errors=True)


def _place(archive: Path, staging: Path, roots: Sequence[str]) -> Path:
    """The folder of ``staging`` that holds the top folders that are wanted.

    Raises:
        ValueError: there is none; lists what there is.
    """
    place, found = staging, _names(staging)
    while not set(roots) & set(found) and len(found) == 1 and (place / found[0]).is_dir():
        place, found = place / found[0], _names(place / found[0])
    if set(roots) & set(found):
        return place
    found = _names(staging)
    if archive.stem in roots and found:
        loose = staging / ".loose"
        loose.mkdir()
        for name in found:
            (staging / name).rename(loose / name)
        loose.rename(staging / archive.stem)
        return staging
    raise ValueError(
        f"{archive}: unpacks to {_few(found)}; {' or '.join(roots)} is expected; get it from the official source"
    )


def _names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def _few(names: Sequence[str], many: int = 8) -> str:
    more = f" and {len(names) - many} more" if len(names) > many else ""
    return (", ".join(names[:many]) or "nothing") + more


def _commit(archive: Path, place: Path, folder: Path, roots: Sequence[str]) -> list[Path]:
    found = _names(place)
    wanted = [name for name in roots if name in found]
    if there := [name for name in wanted if (folder / name).exists()]:
        raise FileExistsError(f"{folder / there[0]}: is there already; move it away")
    if extra := set(found) - set(wanted):
        log.info("%s: left out %s", archive.name, _few(sorted(extra)))
    return [(place / name).rename(folder / name) for name in wanted]
