"""RAR archives: listed by rarfile, unpacked by libarchive (archi), or by a program where libarchive cannot.

rarfile reads the headers of both formats (RAR 3 and 5) in Python: names, sizes, kinds, checksums. The content comes
entry after entry in the same order, from libarchive in this process, or from a program's standard output; neither
touches the disk. libarchive knows no solid archives of RAR 3, and does not compare a stored file of RAR 3 with its
checksum: this module does. ``salstm.data.acquire.archives`` decides what is written, and where.
"""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import warnings
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import IO, Any, NamedTuple, Protocol, cast

from salstm.data.acquire.archive_limits import Member

ADVICE = (
    "install one of unrar, 7z with RAR support or bsdtar (Debian and Ubuntu: apt-get install libarchive-tools; "
    "conda: conda install -c conda-forge libarchive; macOS has it) and run the same command again"
)
LIBRARY = "libarchive"
UNSUPPORTED = ("unavailable", "No support", "not supported", "unsupported")
"""How libarchive's messages tell what it cannot do from what is damaged."""
LINKS = {1: "symbolic link", 2: "symbolic link", 3: "symbolic link", 4: "hard link"}
"""Redirections of RAR 5; 5 is a file that is said to be a copy of another entry."""

# bsdtar is last: libarchive 3.6 fails on some RAR 5 files.
PROGRAMS = {
    "unrar": ("p", "-cfg-", "-p-", "-inul", "--"),
    "7zz": ("x", "-so", "--"),
    "7z": ("x", "-so", "--"),
    "bsdtar": ("-xOf",),
}
"""Programs that read RAR, with the arguments that send all files to standard output."""


class UnreadableError(RuntimeError):
    """This way of reading has failed; another one may not."""


class Entry(NamedTuple):
    """A member, and the CRC-32 of its content where the header has one (RAR 5 may hold a BLAKE2 hash instead)."""

    member: Member
    checksum: int | None


class Readable(Protocol):
    """Content that is read in pieces."""

    def read(self, size: int, /) -> bytes:
        """At most so many bytes; nothing at the end."""
        ...


Content = Callable[[Member], Readable]
"""Gives the content of a member; members are asked for in the listing's order, and some may be left out."""


def entries(archive: Path) -> list[Entry]:
    """List an archive.

    Raises:
        UnreadableError: damaged, encrypted, or without files.
    """
    import rarfile

    try:
        with rarfile.RarFile(archive, errors="strict") as opened:
            if opened.needs_password():
                raise UnreadableError("it is encrypted")
            found = [Entry(_member(info), info.CRC) for info in opened.infolist()]
    except (rarfile.Error, ValueError) as error:
        raise UnreadableError(f"rarfile: {error}") from error
    if not found:
        raise UnreadableError("rarfile: finds no files")
    return found


def readers(archive: Path, listed: Sequence[Entry]) -> list[AbstractContextManager[Content]]:
    """The ways there are of reading an archive, the best first; each may raise ``UnreadableError``."""
    programs = [name for name in PROGRAMS if shutil.which(name)]
    return [_library(archive, listed), *(_program(name, archive, listed) for name in programs)]


def wants_a_program(reasons: Sequence[str]) -> bool:
    """Whether the only way that was tried is libarchive's, which cannot do what the archive needs."""
    return len(reasons) == 1 and any(word in reasons[0] for word in UNSUPPORTED)


def _member(info: Any) -> Member:
    """Separators of Windows are slashes in rarfile's names already."""
    mode = stat.S_IFMT(info.mode or 0) if info.host_os == 3 else 0  # Unix
    if info.file_redir:
        kind = LINKS.get(info.file_redir[0], "copy of another entry")
    elif info.is_symlink():
        kind = "symbolic link"
    elif info.is_dir():
        kind = "folder"
    else:
        kind = "file" if mode in (0, stat.S_IFREG) else "device"
    return Member(info.filename, info.file_size, kind)


@contextmanager
def _library(archive: Path, listed: Sequence[Entry]) -> Iterator[Content]:
    """libarchive, in step with the listing.

    Its names are never asked for: where the locale cannot write one, archi 3.8 crashes.
    """
    import archi

    with _failing(LIBRARY):
        opened = iter(archi.Archive(str(archive)))
        steps = iter(listed)

    def content(member: Member) -> Readable:
        with _failing(LIBRARY):
            for entry in steps:
                if (found := next(opened, None)) is None:
                    break
                if entry.member == member:
                    return _Checked(found, entry, LIBRARY)
        raise UnreadableError(f"{LIBRARY}: does not find {member.name}")

    yield content


@contextmanager
def _program(name: str, archive: Path, listed: Sequence[Entry]) -> Iterator[Content]:
    """The content of all files, one after the other in the order of the listing, from a program."""
    with subprocess.Popen(
        [name, *PROGRAMS[name], str(archive.resolve())],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=_environment(),
    ) as process:
        stream = cast("IO[bytes]", process.stdout)
        steps = (entry for entry in listed if entry.member.kind == "file")

        def content(member: Member) -> Readable:
            for entry in steps:
                checked = _Checked(stream, entry, name)
                if entry.member == member:
                    return checked
                checked.skip()
            raise UnreadableError(f"{name}: does not find {member.name}")

        try:
            yield content
            for entry in steps:  # left out
                _Checked(stream, entry, name).skip()
            if stream.read(1):
                raise UnreadableError(f"{name}: more content than the listing says")
        except BaseException:
            process.kill()
            raise
    if process.returncode:
        raise UnreadableError(f"{name}: exit code {process.returncode}; the archive is damaged")


class _Checked:
    """The content of one entry, compared with its checksum when the last byte has been read."""

    def __init__(self, stream: Readable, entry: Entry, name: str) -> None:
        self._stream, self._entry, self._name = stream, entry, name
        self._left, self._sum = entry.member.size, 0

    def read(self, size: int, /) -> bytes:
        """At most so many bytes; none after the last.

        Raises:
            UnreadableError: fewer bytes than the listing says, or others.
        """
        member = self._entry.member
        if not (wanted := min(size, self._left)):
            return b""
        with _failing(self._name):
            chunk = self._stream.read(wanted)
        self._left -= len(chunk)
        self._sum = zlib.crc32(chunk, self._sum)
        if not chunk:
            raise UnreadableError(
                f"{self._name}: {member.name} has {self._left} bytes fewer than the listing says"
            )
        if not self._left and self._entry.checksum not in (None, self._sum):
            raise UnreadableError(f"{self._name}: {member.name} is not what its checksum says")
        return chunk

    def skip(self) -> None:
        """Read to the end."""
        while self.read(2**20):
            pass


@contextmanager
def _failing(name: str) -> Iterator[None]:
    """Turn libarchive's errors into ours, and its warnings (about names and times) into nothing."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except UnreadableError:
        raise
    except _errors(name) as error:
        said = getattr(error, "errstr", b"").decode("utf-8", "replace") or str(error)
        raise UnreadableError(f"{name}: {said or type(error).__name__}") from error


def _errors(name: str) -> tuple[type[Exception], ...]:
    """What archi raises: an assertion where content is cut, for one."""
    if name != LIBRARY:
        return ()
    import archi

    return archi.Error, AssertionError, EOFError, RuntimeError


def _environment() -> dict[str, str]:
    secret = "SYNAPSE_AUTH_TOKEN"
    return {**{k: v for k, v in os.environ.items() if k != secret}, "LC_ALL": "C.UTF-8"}
