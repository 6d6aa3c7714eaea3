"""The list of raw files that ``fetch`` writes, and what has changed since.

A plan looks at sizes and times alone. Where a time is another one and the size is not, it compares the content, once:
a copied or touched folder changes nothing. ``python -m salstm doctor --deep`` compares every file's content.
"""

from __future__ import annotations

import atexit
import hashlib
import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from functools import cache
from pathlib import Path, PurePosixPath
from typing import Any

from salstm.data import datasets
from salstm.files import read_json, write_json

NONE = "none"
"""What stands for no changes, and for a first list."""
NAMED = 3
"""Changes that a message names."""
CACHE = Path(".snakemake/salstm-raw-files.json")
"""What was compared before, by file, size and time."""

Listing = Mapping[str, Any]
"""``files``: path -> ``size``, ``sha256`` and ``modified`` (ns); ``folders``: path -> ``modified``; ``changes``."""


def write(path: Path, dataset: str, raw: Path, changes: str = NONE) -> None:
    """List a dataset's raw files: sizes, hashes, times, and the times of their folders.

    Args:
        path: of the list, ``raw.json``.
        dataset: its name.
        raw: its raw folder.
        changes: what the plan saw (``seen``); kept, so that the next plan finds the list as it was told.

    Raises:
        FileNotFoundError: the data, or one of its files, is missing.
        ValueError: a file changed while it was read.
    """
    before = _stats(
        raw, (one.relative_to(raw).as_posix() for one in datasets.reader(dataset, raw).files(raw))
    )
    files = datasets.raw_manifest(dataset, raw, threads=4)
    if changed := [name for name in files if _stat(raw / name) != before.get(name)]:
        raise ValueError(
            f"{raw / changed[0]}: changed while it was read; run the same command again"
        )
    entries = {name: {**entry, "modified": before[name][1]} for name, entry in files.items()}
    folders = {name: (raw / name).stat().st_mtime_ns for name in _folders(files)}
    made = (raw / "phantom.json").is_file()  # salstm.data.phantoms.ensure marks what it makes
    record = {"files": entries, "folders": folders, "changes": changes, "phantom": made}
    write_json(path, record)


def files(path: Path) -> dict[str, dict[str, Any]]:
    """Size and hash of each file of a list.

    Raises:
        ValueError: another format.
    """
    try:
        return {
            name: {"size": entry["size"], "sha256": entry["sha256"]}
            for name, entry in read_json(path)["files"].items()
        }
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{path}: not a list of raw files; run fetch again") from error


def seen(dataset: str, raw: Path, path: Path) -> str:
    """What a plan tells ``fetch``: what the list says it was told, or, where it is out of date, what has changed.

    So the same command finds nothing to do as long as nothing changes, and fetches and prepares again when a raw
    file has changed, was added or removed.

    Args:
        dataset: its name.
        raw: its raw folder.
        path: of the list, which need not be there.
    """
    try:
        listed = read_json(path)
        found = changes(dataset, raw, listed)
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return NONE
    if not found:
        return listed["changes"]
    state = json.dumps([found, [_stat(raw / name) for name in found]])
    return f"{described(found)} ({hashlib.sha256(state.encode()).hexdigest()[:12]})"


def changes(dataset: str, raw: Path, listed: Listing) -> dict[str, str]:
    """What is not as a list says: path -> ``changed``, ``added`` or ``removed``.

    Data that are gone altogether have not changed: results outlive them.
    """
    entries = listed["files"]
    now = {name: _stat(raw / name) for name in entries}
    if not any(now.values()):
        return {}
    found = {name: "removed" for name, stat in now.items() if stat is None}
    for name, stat in now.items():
        entry = entries[name]
        if (
            stat
            and stat != (entry["size"], entry["modified"])
            and _differs(raw / name, stat, entry)
        ):
            found[name] = "changed"
    folders = {name: _stat(raw / name) for name in listed["folders"]}
    if any(stat and stat[1] != listed["folders"][name] for name, stat in folders.items()):
        found.update(_others(dataset, raw, entries, folders))
    return dict(sorted(found.items()))


def deep_changes(dataset: str, raw: Path, listed: Listing) -> dict[str, str]:
    """As ``changes``, with the content of every file compared."""
    entries = listed["files"]
    found = changes(dataset, raw, listed)
    for name, entry in entries.items():
        if name not in found and (raw / name).is_file() and _hash(raw / name) != entry["sha256"]:
            found[name] = "changed"
    return dict(sorted(found.items()))


def described(found: Mapping[str, str]) -> str:
    """Changes in words: how many of each kind, and the first by name."""
    kinds = ("changed", "added", "removed")
    counts = {kind: sum(one == kind for one in found.values()) for kind in kinds}
    words = ", ".join(f"{count} {kind}" for kind, count in counts.items() if count)
    names = ", ".join(list(found)[:NAMED]) + (", ..." if len(found) > NAMED else "")
    return f"{words}: {names}"


def _folders(names: Mapping[str, Any]) -> list[str]:
    """The folders that hold the files, and those above them, up to the raw one."""
    return sorted({str(folder) for name in names for folder in PurePosixPath(name).parents})


def _scanned(raw: Path, listed: Listing) -> Iterator[tuple[str, tuple[int, int]]]:
    """Size and time of the listed files that are there, folder by folder: thousands in a plan."""
    entries = listed["files"]
    for folder in listed["folders"]:
        start = "" if folder == "." else f"{folder}/"
        with suppress(OSError), os.scandir(raw / folder) as there:
            for one in there:
                if (name := start + one.name) in entries:
                    stat = one.stat()
                    yield name, (stat.st_size, stat.st_mtime_ns)


def _stats(raw: Path, names: Iterator[str]) -> dict[str, tuple[int, int]]:
    return {name: stat for name in names if (stat := _stat(raw / name))}


def _stat(path: Path) -> tuple[int, int] | None:
    try:
        stat = path.stat()
    except OSError:
        return None
    return stat.st_size, stat.st_mtime_ns


def _differs(path: Path, stat: tuple[int, int], entry: Mapping[str, Any]) -> bool:
    if stat[0] != entry["size"]:
        return True
    known = _remembered(f"{path.resolve()} {stat}", lambda: _hash(path))
    return known != entry["sha256"]


def _others(
    dataset: str, raw: Path, entries: Mapping[str, Any], folders: Mapping[str, Any]
) -> dict[str, str]:
    """Files that the reader takes now and the list does not have, and the other way round."""

    def look() -> dict[str, str]:
        try:
            taken = datasets.reader(dataset, raw).files(raw)
        except (OSError, ValueError) as error:  # an image without its mask, for one: fetch says so
            return {str(error): "changed"}
        names = {path.relative_to(raw).as_posix() for path in taken}
        added = dict.fromkeys(names - entries.keys(), "added")
        return added | dict.fromkeys(entries.keys() - names, "removed")

    state = json.dumps([dataset, str(raw.resolve()), folders, sorted(entries)], sort_keys=True)
    return _remembered(hashlib.sha256(state.encode()).hexdigest(), look)


def _hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _remembered(key: str, find: Callable[[], Any]) -> Any:
    """What an earlier plan found, or what is found now."""
    if key not in _known():
        _known()[key] = find()
    return _known()[key]


@cache
def _known() -> dict[str, Any]:
    """What earlier plans found; written back at exit, and dropped if it cannot be read."""
    known: dict[str, Any] = {}
    with suppress(OSError, ValueError):
        known.update(json.loads(CACHE.read_text(encoding="utf-8")))
    before = len(known)

    def write_back() -> None:
        if len(known) != before and CACHE.parent.is_dir():
            with suppress(OSError):
                CACHE.write_text(json.dumps(known), encoding="utf-8")

    atexit.register(write_back)
    return known
