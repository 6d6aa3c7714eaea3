"""What an archive may hold: plain files and folders that stay in their place, and not too much of them."""

from __future__ import annotations

import re
import shutil
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from errno import ENOSPC
from pathlib import Path
from typing import NamedTuple


class Member(NamedTuple):
    """One entry of an archive's listing.

    Attributes:
        name: path with slashes.
        size: bytes when unpacked.
        kind: ``file``, ``folder``, or in words what else it is.
    """

    name: str
    size: int
    kind: str

    @property
    def parts(self) -> tuple[str, ...]:
        """The path's parts."""
        return tuple(part for part in self.name.split("/") if part not in ("", "."))

    @property
    def hidden(self) -> bool:
        """Whether it is a hidden file, or one of macOS's resource forks."""
        return any(part.startswith(".") or part == "__MACOSX" for part in self.parts)


@dataclass(frozen=True)
class Limits:
    """How much an archive may unpack to.

    Attributes:
        total: bytes of all files together; the largest real archive has 11 GB.
        ratio: of that to the archive's own size; images and gzipped volumes stay below 10.
        small: bytes that any archive may unpack to, whatever its ratio.
        members: number of entries.
    """

    total: int = 2**36
    ratio: float = 100.0
    small: int = 2**26
    members: int = 200_000

    def whole(self, archive: Path) -> Limits:
        """As much as an archive may unpack to together with the archives inside it."""
        most = min(self.total, max(self.small, int(self.ratio * archive.stat().st_size)))
        return replace(self, total=most)

    def after(self, folder: Path) -> Limits:
        """What is left of the limits when a folder's files are there."""
        sizes = [path.stat().st_size for path in folder.rglob("*") if path.is_file()]
        return replace(self, total=self.total - sum(sizes), members=self.members - len(sizes))


def check(archive: Path, members: Sequence[Member], limits: Limits) -> None:
    """Refuse an archive that could write outside its folder, or more than it should.

    Raises:
        ValueError: says which entry, and that nothing was unpacked.
    """
    for member in members:
        if wrong := _wrong(member):
            raise ValueError(f"{archive}: entry {member.name!r} is {wrong}; {_REFUSED}")
    twice = [name for name, count in Counter(one.parts for one in members).items() if count > 1]
    if twice:
        raise ValueError(f"{archive}: entry {'/'.join(twice[0])!r} appears twice; {_REFUSED}")
    if len(members) > limits.members:
        raise ValueError(f"{archive}: {len(members)} entries; {_REFUSED}")
    total, packed = sum(member.size for member in members), archive.stat().st_size
    if total > limits.total or total > max(limits.small, limits.ratio * packed):
        raise ValueError(
            f"{archive}: {packed:,} bytes that unpack to {total:,}, more than {limits.ratio:g} "
            f"times as much or more than {limits.total:,} (a bomb?); {_REFUSED}"
        )


def check_space(folder: Path, wanted: int) -> None:
    """Check that a folder's disk has room.

    Raises:
        OSError: it has not.
    """
    free = shutil.disk_usage(folder).free
    if wanted > free:
        raise OSError(
            ENOSPC,
            f"{wanted / 1e9:.2f} GB are needed, {free / 1e9:.2f} GB are free; make room and run "
            f"the same command again",
            str(folder),
        )


_REFUSED = "refused, and nothing of the archive is kept; get it from the official source"


def _wrong(member: Member) -> str:
    name = member.name
    if name.startswith(("/", "\\")) or re.match("[A-Za-z]:", name):
        return "an absolute path"
    if ".." in name.split("/") or "\\" in name or "\0" in name or not member.parts:
        return "a path that leaves its folder, or none"
    if member.kind not in ("file", "folder"):
        return f"a {member.kind}"
    return "of a negative size" if member.size < 0 else ""
