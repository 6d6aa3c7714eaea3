"""Results written: as one archive, or as a folder that looks like that of a run."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from salstm.publication import archive, description
from salstm.publication.members import DESCRIPTION, RESULTS
from salstm.publication.sources import Publication

log = logging.getLogger(__name__)


def write(found: Publication, out: Path) -> None:
    """Write the archive.

    Args:
        found: results of any kind, opened.
        out: the archive; ends with ``.zip``.

    Raises:
        ValueError: another ending.
        FileExistsError: it is there.
    """
    if out.suffix != ".zip":
        raise ValueError(f"{out}: an archive ends with .zip")
    if out.exists():
        raise FileExistsError(f"{out}: is there; name another file, or remove it")
    archive.pack(out, found.said, {**description.texts(), **found.files})
    done = sum(name.endswith("/scores.csv") for name in found.files)
    size = out.stat().st_size / 1e6
    log.info("%s: %d of %d cells, %.1f MB", out, done, len(description.cells_of(found.said)), size)


@contextmanager
def whole(out: Path) -> Iterator[Path]:
    """A folder that becomes ``out`` at the end, and is removed if anything fails.

    Raises:
        FileExistsError: there is something in ``out``.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise FileExistsError(f"{out}: is there and not empty; name another folder, or remove it")
    partial = out.with_name(f".{out.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        yield partial
        if out.is_dir():
            out.rmdir()
        partial.rename(out)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def lay_out(found: Publication, folder: Path) -> None:
    """Put results into a folder as they lie in that of a run, with their description."""
    name = found.said["name"]
    for member, path in found.files.items():
        inner = member.removeprefix(RESULTS)
        place = folder / (f"{RESULTS}{name}/{inner}" if inner != member else member)
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, place)
    (folder / DESCRIPTION).write_text(archive.described(found.said, found.files), encoding="utf-8")
