"""RAR archives, read through whichever program for them is installed.

The program lists the archive, and later writes all files one after the other to its standard
output; it never touches the disk. Whatever it says or sends, ``salstm.data.acquire.archives`` decides what
is written, and where.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, cast

from salstm.data.acquire.archive_limits import Member

ADVICE = (
    "install one of unrar, bsdtar (Debian and Ubuntu: apt-get install libarchive-tools; conda: "
    "conda install -c conda-forge libarchive; macOS has it) or 7z with RAR support"
)


class ToolError(RuntimeError):
    """The program cannot read this archive; another one may."""


@dataclass(frozen=True)
class Tool:
    """A program that reads RAR.

    Attributes:
        name: of the executable.
        lists: arguments that list an archive.
        sends: arguments that send the content of all files to standard output.
        parse: from the listing to its members.
    """

    name: str
    lists: tuple[str, ...]
    sends: tuple[str, ...]
    parse: Callable[[str], list[Member]]

    def members(self, archive: Path) -> list[Member]:
        """List an archive.

        Raises:
            ToolError: it cannot be read.
        """
        command = [self.name, *self.lists, str(archive.resolve())]
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, env=_environment(), check=False
        )
        found = self.parse(done.stdout.decode("utf-8", "replace"))
        if done.returncode or not found:
            said = done.stderr.decode("utf-8", "replace").strip().splitlines()
            raise ToolError(f"{self.name}: {said[-1] if said else 'finds no files'}")
        return found

    @contextmanager
    def content(self, archive: Path) -> Iterator[IO[bytes]]:
        """The content of all files, one after the other in the order of the listing.

        Raises:
            ToolError: on leaving, if there is more content, or the program has failed.
        """
        command = [self.name, *self.sends, str(archive.resolve())]
        with subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=_environment(),
        ) as process:
            try:
                stream = cast("IO[bytes]", process.stdout)
                yield stream
                if stream.read(1):
                    raise ToolError(f"{self.name}: more content than the listing says")
            except BaseException:
                process.kill()
                raise
        if process.returncode:
            raise ToolError(f"{self.name}: exit code {process.returncode}; the archive is damaged")


def installed() -> list[Tool]:
    """The programs that are here, the best first."""
    return [tool for tool in TOOLS if shutil.which(tool.name)]


def _environment() -> dict[str, str]:
    secret = "SYNAPSE_AUTH_TOKEN"
    return {**{k: v for k, v in os.environ.items() if k != secret}, "LC_ALL": "C.UTF-8"}


def _unrar(text: str) -> list[Member]:
    kinds = {"file": "file", "directory": "folder"}
    return [
        Member(entry["Name"], int(entry.get("Size", "0")), kinds.get(kind, kind))
        for entry in _entries(text, ": ")
        if "Name" in entry and (kind := entry.get("Type", "unknown thing").lower())
    ]


def _sevenzip(text: str) -> list[Member]:
    text = text.partition("----------\n")[2]
    entries = [entry for entry in _entries(text, " = ") if "Path" in entry]
    return [Member(one["Path"], int(one.get("Size") or 0), _sevenzip_kind(one)) for one in entries]


def _sevenzip_kind(entry: dict[str, str]) -> str:
    for kind in ("Symbolic Link", "Hard Link", "Copy Link"):
        if entry.get(kind):
            return kind.lower()
    return "folder" if entry.get("Folder") == "+" else "file"


def _bsdtar(text: str) -> list[Member]:
    """Lines like those of ``ls -l``: mode, links, owner, group, size, three of the date, name."""
    lines = [re.split(" +", line, maxsplit=8) for line in text.splitlines()]
    kinds = {"-": "file", "d": "folder", "l": "symbolic link"}
    return [
        Member(
            columns[8],
            int(columns[4]),
            "hard link" if " link to " in columns[8] else kinds.get(columns[0][0], "device"),
        )
        for columns in lines
        if len(columns) == 9 and columns[4].isdecimal()
    ]


def _entries(text: str, mark: str) -> list[dict[str, str]]:
    """Blocks of ``key mark value`` lines, parted by empty lines."""
    blocks = [block.splitlines() for block in re.split(r"\n\s*\n", text)]
    pairs = [[line.partition(mark) for line in block if mark in line] for block in blocks]
    return [{key.strip(): value for key, _, value in block} for block in pairs]


# bsdtar is last: libarchive 3.6 fails on some RAR 5 files, and does not compare a stored RAR 4 file
# with its checksum.
TOOLS = (
    Tool("unrar", ("vt", "-cfg-", "-p-", "--"), ("p", "-cfg-", "-p-", "-inul", "--"), _unrar),
    Tool("7zz", ("l", "-slt", "--"), ("x", "-so", "--"), _sevenzip),
    Tool("7z", ("l", "-slt", "--"), ("x", "-so", "--"), _sevenzip),
    Tool("bsdtar", ("-tvf",), ("-xOf",), _bsdtar),
)
