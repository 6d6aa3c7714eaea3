"""Where things lie in a raw folder: hidden files passed over, nested folders found, doubles refused."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

DEEPEST = 4
"""Folders that are looked through below the raw folder."""
_PASSED_OVER = ("__MACOSX", "downloads")
_SHOWN = 6


def visible(folder: Path) -> list[Path]:
    """What a folder holds, sorted, without hidden files such as macOS's ``._*``; nothing if there is no folder."""
    if not folder.is_dir():
        return []
    return sorted(
        path
        for path in folder.iterdir()
        if not path.name.startswith(".") and path.name not in _PASSED_OVER
    )


def find(raw: Path, places: Sequence[str], holds: Callable[[Path], bool]) -> Path | None:
    """The folder that holds the data: in a usual place below the raw folder, or below any folder in it.

    Args:
        raw: the raw folder.
        places: usual places below it, the best first.
        holds: whether a folder has the data.

    Returns:
        The folder, or None.

    Raises:
        ValueError: several folders have data, and none of them is in a usual place.
    """
    found: list[Path] = []
    level = [raw]
    for _ in range(DEEPEST + 1):
        deeper: list[Path] = []
        for folder in level:
            place = next((folder / one for one in places if holds(folder / one)), None)
            if place is not None and folder == raw:
                return place
            if place is not None:
                found.append(place)
            else:
                deeper += [path for path in visible(folder) if path.is_dir()]
        level = deeper
    if len(found) > 1:
        raise ValueError(
            f"{raw}: {len(found)} folders could be the data: {', '.join(map(str, found[:_SHOWN]))}; "
            f"keep one of them, or name it as the raw folder"
        )
    return found[0] if found else None


def child(folder: Path, names: Iterable[str], ending: Callable[[Path], bool]) -> Path | None:
    """The subfolder of one of some names that has files of a kind, itself or in one folder inside it.

    Letters and digits of the name count, in any case. The first of the names that is there wins.

    Args:
        folder: where to look.
        names: letters and digits, in small letters.
        ending: whether a path is such a file.

    Raises:
        ValueError: two subfolders that are called the same but for case and signs.
    """
    folders = [path for path in visible(folder) if path.is_dir()]
    for name in names:
        called = [path for path in folders if re.sub(r"[\W_]", "", path.name).casefold() == name]
        there = [place for path in called if (place := _inner(path, ending))]
        if there:
            return single(there, name)
    return None


def single(candidates: Sequence[Path], case: str) -> Path:
    """The only candidate.

    Raises:
        ValueError: there are two; the message names both.
    """
    if len(candidates) > 1:
        raise ValueError(
            f"{candidates[0]} and {candidates[1]}: both could be {case}; remove or rename one of them"
        )
    return candidates[0]


def singles(pairs: Iterable[tuple[int | str, Path]], what: str) -> dict[int | str, Path]:
    """Key -> its only file, in the order of the keys.

    Raises:
        ValueError: a key has two files; the message names both.
    """
    found: dict[int | str, Path] = {}
    for key, path in pairs:
        if key in found:
            single([found[key], path], f"{what} {key}")
        found[key] = path
    return dict(sorted(found.items()))


def beside(folder: Path) -> str:
    """What a folder holds, in brackets, for the message that something is not there; nothing if it is empty."""
    return f" ({seen(folder)})" if visible(folder) else ""


def seen(folder: Path) -> str:
    """What a folder holds, for a message: kinds and numbers of files, folder by folder."""
    if not folder.is_dir():
        return "there is no such folder"
    counted = list(_counted(folder, folder, DEEPEST))
    if not counted:
        return "it is empty"
    more = f" and {len(counted) - _SHOWN} more folders" if len(counted) > _SHOWN else ""
    return f"it holds {' and '.join(counted[:_SHOWN])}{more}"


def _counted(folder: Path, top: Path, levels: int) -> Iterator[str]:
    paths = visible(folder)
    kinds = Counter(_kind(path) for path in paths if path.is_file())
    if kinds:
        listed = ", ".join(f"{number} {kind}" for kind, number in kinds.most_common(3))
        example = next(path.name for path in paths if path.is_file())
        place = "" if folder == top else f"{folder.relative_to(top).as_posix()}: "
        yield f"{place}{listed}, like {example}"
    if levels:
        for path in paths:
            if path.is_dir():
                yield from _counted(path, top, levels - 1)


def _kind(path: Path) -> str:
    return "".join(path.suffixes[-2:]) if path.suffix == ".gz" else path.suffix or "without ending"


def _inner(folder: Path, ending: Callable[[Path], bool]) -> Path | None:
    """The folder itself, or the only one in it, or in that."""
    for _ in range(3):
        paths = visible(folder)
        if any(ending(path) for path in paths):
            return folder
        folders = [path for path in paths if path.is_dir()]
        if len(folders) != 1:
            return None
        folder = folders[0]
    return None
