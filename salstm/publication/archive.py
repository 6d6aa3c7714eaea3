"""The one file of a publication: a zip whose bytes follow from what is in it, unpacked with suspicion."""

from __future__ import annotations

import hashlib
import json
import stat
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO

from salstm.files import replacing
from salstm.publication import members
from salstm.publication.members import DESCRIPTION

CHUNK = 1 << 20
_TIME = (1980, 1, 1, 0, 0, 0)
"""The first that a zip knows: the same results give the same archive."""
_MODE = (stat.S_IFREG | 0o644) << 16
_REGULAR = {0, stat.S_IFREG}


class RefusedError(ValueError):
    """An archive or a folder that is not what this program publishes; the message names the file in it."""


def pack(out: Path, said: Mapping[str, object], files: Mapping[str, Path]) -> None:
    """Write a publication as one file, whole or not at all.

    Args:
        out: the archive.
        said: its description; the list of the files is added.
        files: member -> where it lies.
    """
    text = described(said, files)
    with replacing(out) as temporary, zipfile.ZipFile(temporary, "w") as archive:
        with archive.open(_entry(DESCRIPTION), "w") as target:
            target.write(text.encode())
        for name, path in sorted(files.items()):
            large = path.stat().st_size > zipfile.ZIP64_LIMIT
            with (
                path.open("rb") as source,
                archive.open(_entry(name), "w", force_zip64=large) as file,
            ):
                while chunk := source.read(CHUNK):
                    file.write(chunk)


def described(said: Mapping[str, object], files: Mapping[str, Path]) -> str:
    """The description as JSON with its list of files: size and hash of each. The grid keeps its order."""
    listed = {name: digest(path) for name, path in sorted(files.items())}
    return json.dumps({**said, "files": listed}, indent=1) + "\n"


def digest(path: Path) -> dict[str, object]:
    """Size and SHA-256 of a file."""
    with path.open("rb") as file:
        return {
            "bytes": path.stat().st_size,
            "sha256": hashlib.file_digest(file, "sha256").hexdigest(),
        }


def unpack(path: Path, folder: Path, *, weights: bool = False) -> dict[str, Path]:
    """Unpack a publication into a new folder.

    Nothing is written before every name and size was looked at, and no more bytes of a file than its entry promises.

    Args:
        path: the archive.
        folder: where its files go.
        weights: those of the trainings, too.

    Returns:
        Member -> where it lies.

    Raises:
        FileNotFoundError: no such file.
        RefusedError: no zip, damaged, a file that does not belong there, twice, a link, encrypted, or too large.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file")
    try:
        with zipfile.ZipFile(path) as archive:
            wanted = list(_looked_at(path, archive, weights=weights))
            placed = {}
            for entry in wanted:
                placed[entry.filename] = folder / entry.filename
                placed[entry.filename].parent.mkdir(parents=True, exist_ok=True)
                with archive.open(entry) as source, placed[entry.filename].open("wb") as target:
                    _copy(source, target, entry, path)
    except (zipfile.BadZipFile, EOFError, NotImplementedError) as error:
        raise RefusedError(f"{path}: no whole zip file ({error}); fetch it again") from error
    return placed


def _looked_at(path: Path, archive: zipfile.ZipFile, *, weights: bool) -> Iterator[zipfile.ZipInfo]:
    entries = [one for one in archive.infolist() if not one.is_dir()]
    if len(entries) > members.MOST_MEMBERS:
        raise RefusedError(f"{path}: {len(entries)} files, at most {members.MOST_MEMBERS} are read")
    seen: set[str] = set()
    total = 0
    for entry in entries:
        name = entry.orig_filename
        if name in seen:
            raise RefusedError(f"{path}: {name!r} stands in it twice")
        seen.add(name)
        _check(path, entry, name)
        if members.is_weights(name) and not weights:
            continue
        total += entry.file_size
        if total > members.MOST_IN_ALL and not members.is_weights(name):
            raise RefusedError(
                f"{path}: more than {members.MOST_IN_ALL // members.MIB} MiB unpacked"
            )
        yield entry


def _check(path: Path, entry: zipfile.ZipInfo, name: str) -> None:
    if not members.known(name):
        raise RefusedError(
            f"{path}: {name!r} does not belong into a publication; nothing of the archive was unpacked"
        )
    if stat.S_IFMT(entry.external_attr >> 16) not in _REGULAR:
        raise RefusedError(f"{path}: {name!r} is a link or a device, not a file")
    if entry.flag_bits & 0x1:
        raise RefusedError(f"{path}: {name!r} is encrypted")
    most = members.most_bytes(name)
    if entry.file_size > most:
        raise RefusedError(
            f"{path}: {name!r} has {entry.file_size / members.MIB:,.0f} MiB, at most "
            f"{most // members.MIB:,} are read"
        )


def _copy(source: IO[bytes], target: IO[bytes], entry: zipfile.ZipInfo, path: Path) -> None:
    left = entry.file_size
    while chunk := source.read(min(CHUNK, left + 1)):
        left -= len(chunk)
        if left < 0:
            raise RefusedError(f"{path}: {entry.filename!r} has more bytes than its entry says")
        target.write(chunk)


def _entry(name: str) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name, _TIME)
    entry.compress_type = zipfile.ZIP_STORED if members.is_weights(name) else zipfile.ZIP_DEFLATED
    entry.create_system, entry.external_attr = 3, _MODE
    return entry
