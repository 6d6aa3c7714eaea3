"""Files that are either whole or absent: written under a temporary name, then renamed."""

from __future__ import annotations

import errno
import filecmp
import json
import os
import shutil
from collections.abc import Container, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from salstm import columns

_UNDEFINED = ("", "nan", "NaN", "NA")

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""What the system says when a file has no room left."""


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside ``path``; on success it takes the place of ``path``, else it is removed.

    Raises:
        OSError: the disk is full; the message names the file and what is free there.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    # A killed process of the same number may have left one that is a link: writing to it would write into the other.
    temporary.unlink(missing_ok=True)
    try:
        yield temporary
        _flush(temporary)
        temporary.replace(path)
    except OSError as error:
        if error.errno in FULL:
            raise no_room(path, error) from error
        raise
    finally:
        temporary.unlink(missing_ok=True)


def share(source: Path, path: Path) -> None:
    """Let ``path`` be another name of the file ``source``; a copy where the file system cannot link.

    Every file of ours is replaced under its name and never written into, so what later takes the place of one name
    leaves the other as it is. Both get the time of now, as a job's output must be younger than its input.

    Raises:
        OSError: ``source`` is not there, or the disk is full.
    """
    with replacing(path) as temporary:
        try:
            temporary.hardlink_to(source)
        except (
            OSError
        ):  # of many kinds: another disk, a file system without links, too many of them
            shutil.copyfile(source, temporary)
        os.utime(temporary)


def same(one: Path, other: Path) -> bool:
    """Whether two files hold the same bytes, be they one file or two."""
    return one.samefile(other) or filecmp.cmp(one, other, shallow=False)


def occupied(paths: Iterable[Path]) -> int:
    """Bytes of files, each counted once however many of the names are links to it; names that are not there count 0."""
    found = [path.stat() for path in paths if path.is_file()]
    return sum({(one.st_dev, one.st_ino): one.st_size for one in found}.values())


def write_json(path: Path, value: Any) -> None:
    """Write JSON with sorted keys, whole or not at all."""
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(value, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def read_json(path: Path) -> Any:
    """Read JSON.

    Raises:
        ValueError: not JSON; the message names the file.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        raise ValueError(f"{path}: not valid JSON: {error}") from error


def write_csv(path: Path, frame: Any) -> None:
    """Write a pandas frame in full precision, whole or not at all."""
    with replacing(path) as temporary:
        frame.to_csv(temporary, index=False, lineterminator="\n")


def read_csv(path: Path, text: Iterable[str] = (), left_out: Container[str] = ()) -> Any:
    """Read a table that this suite wrote, as a pandas frame.

    Args:
        path: the table.
        text: columns whose cells are taken as they stand, beside those of ``salstm.columns.is_text``; only an empty
            one is undefined.
        left_out: columns that are not read; in a table that has one, cells beyond the last column go unnoticed.

    Raises:
        FileNotFoundError: no such file.
        ValueError: no table; the message names the file.
    """
    import pandas as pd

    try:
        there = pd.read_csv(path, nrows=0).columns.tolist()
        names = [one for one in there if one not in left_out]
        words = {*text, *filter(columns.is_text, names)}
        undefined = {name: [""] if name in words else list(_UNDEFINED) for name in names}
        types: Any = {name: str for name in names if name in words}
        used = names if len(names) < len(there) else None  # a row that is too long is refused then
        return pd.read_csv(
            path, usecols=used, dtype=types, na_values=undefined, keep_default_na=False
        )
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def no_room(path: Path, error: Exception) -> OSError:
    """The error for a file that could not be written whole: what the system said, and what is free there."""
    free = shutil.disk_usage(path.parent).free / 2**20
    return OSError(
        f"{path}: cannot be written ({error}); {free:,.0f} MiB are free on its disk. Make room and run the same "
        f"command again"
    )


def _flush(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())
