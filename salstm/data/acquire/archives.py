"""Unpacking zip and rar archives that nobody vouches for: all in its place, or nothing at all."""

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

log = logging.getLogger(__name__)

CHUNK = 2**20
MAGIC = {b"PK\x03\x04": "zip", b"PK\x05\x06": "zip", b"Rar!\x1a\x07": "rar"}
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

    Everything is written to a temporary folder inside ``folder``, flushed to the disk, checked and
    renamed; after an error, an interrupt or a full disk nothing is there, and after a kill only
    the temporary folder, which the next call removes.

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
    try:
        _extract(archive, staging, limits or Limits())
        if check is not None:
            check(staging)
        return _commit(archive, staging, folder, roots)
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


def check_tools(name: str) -> None:
    """Check before a download that its archive could be unpacked.

    Raises:
        FileNotFoundError: a rar archive, and no program that reads it; says which to install.
    """
    if name.endswith(".rar") and not rar.installed():
        raise FileNotFoundError(f"{name}: no program that reads RAR is installed; {rar.ADVICE}")


def _extract(archive: Path, staging: Path, limits: Limits) -> None:
    if kind_of(archive) == "zip":
        try:
            with _zip(archive) as (listed, streams):
                _write(archive, staging, listed, streams, limits)
        except DAMAGED as error:
            raise ValueError(f"{archive}: damaged: {error}; get it again") from error
        return
    check_tools("archive.rar")
    reasons = []
    for tool in rar.installed():
        try:
            listed = tool.members(archive)
            with tool.content(archive) as stream:
                _write(archive, staging, listed, lambda member, stream=stream: stream, limits)
            return
        except (rar.ToolError, EOFError) as error:
            reasons.append(str(error))
    raise ValueError(f"{archive}: damaged or unreadable ({'; '.join(reasons)}); {rar.ADVICE}")


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
    return Member(info.orig_filename, info.file_size, "folder" if plain and info.is_dir() else kind)


def _write(
    archive: Path,
    staging: Path,
    listed: Sequence[Member],
    content: Callable[[Member], IO[bytes]],
    limits: Limits,
) -> None:
    """Write checked members below an empty folder, in the order of the listing."""
    archive_limits.check(archive, listed, limits)
    shutil.rmtree(staging, ignore_errors=True)
    staging.mkdir(parents=True)
    archive_limits.check_space(staging, sum(member.size for member in listed))
    for member in listed:
        path = staging.joinpath(*member.parts)
        (path if member.kind == "folder" else path.parent).mkdir(parents=True, exist_ok=True)
        if member.kind == "file":
            _copy(content(member), path, member)


def _copy(stream: IO[bytes], path: Path, member: Member) -> None:
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


def _commit(archive: Path, staging: Path, folder: Path, roots: Sequence[str]) -> list[Path]:
    found = sorted(path.name for path in staging.iterdir())
    wanted = [name for name in roots if name in found]
    if not wanted:
        raise ValueError(
            f"{archive}: unpacks to {', '.join(found) or 'nothing'}; {' or '.join(roots)} is "
            f"expected; get it from the official source"
        )
    if there := [name for name in wanted if (folder / name).exists()]:
        raise FileExistsError(f"{folder / there[0]}: is there already; move it away")
    if extra := set(found) - set(wanted):
        log.info("%s: left out %s", archive.name, ", ".join(sorted(extra)))
    return [(staging / name).rename(folder / name) for name in wanted]
