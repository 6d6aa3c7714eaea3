"""Raw data: used where they are there, else downloaded, checked and unpacked; else what to do, exactly."""

from __future__ import annotations

import importlib
import logging
import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

from salstm.data import datasets
from salstm.data.acquire import archives, sources, transfer
from salstm.data.acquire.sources import Archive, Source

log = logging.getLogger(__name__)

TOKEN = "SYNAPSE_AUTH_TOKEN"
FOLDER = "downloads"
"""Below the raw folder: archives, partial and whole, until they are unpacked."""
SHOWN = 5
"""Deviations from the official data that a message lists."""


def fetch(
    dataset: str,
    raw: Path | str,
    *,
    listed: Path | None = None,
    everything: bool = False,
    pause: float = 1.0,
) -> None:
    """Have a dataset's raw data in a folder.

    Data that are there are used, and what differs from the official ones is logged. Else each
    archive is taken from ``<raw>/<archive>``, where a person may have put it, or downloaded, and
    unpacked. A download whose hash nobody has published is judged by its contents.

    Args:
        dataset: its name.
        raw: its raw folder.
        listed: where archives come from, in the format of ``sources.yaml``, which is the default.
        everything: get the archives that only the official split uses as well.
        pause: seconds before a second attempt; doubles from attempt to attempt.

    Raises:
        FileNotFoundError: data that no program can get, or that could not be got; says what to
            get, where to put it and what to run next.
        ValueError: a wrong, damaged or unsafe archive; nothing of it is kept.
        OSError: the disk is full.
    """
    raw = Path(raw)
    source = sources.load(dataset, listed)
    wanted = source.archives if everything else source.needed
    if state(dataset, raw) == "present" and not everything:
        wanted = ()
    if all(archive.unpacked(raw) for archive in wanted):
        log.info("%s: %s: nothing to download", dataset, raw)
        _warn(dataset, raw)
        return
    with _downloads(raw) as folder:
        absent = [archive for archive in wanted if not archive.unpacked(raw)]
        _announce(source)
        judged = [_provide(source, archive, raw, pause) for archive in absent]
        shutil.rmtree(folder, ignore_errors=True)
    datasets.reader(dataset, raw).files(raw)  # says what is missing, should anything be
    if not all(judged):
        _warn(dataset, raw)


def state(dataset: str, raw: Path) -> str:
    """Whether a dataset's raw data are ``present``, ``incomplete`` or ``missing``.

    Raises:
        ValueError: they are there and cannot be read.
    """
    reader = datasets.reader(dataset, raw)
    try:
        reader.files(raw)
    except FileNotFoundError:
        try:
            reader.find(raw)
        except FileNotFoundError:
            return "missing"
        return "incomplete"
    return "present"


@contextmanager
def _downloads(raw: Path) -> Iterator[Path]:
    """The folder for downloads, for this process alone.

    After a failure that has left nothing there, no folder of this call is left either: the raw folder may be a slip
    of the pen.
    """
    folder = raw / FOLDER
    made = [path for path in (folder, *folder.parents) if not path.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with transfer.locked(folder / ".lock"):
            folder.mkdir(parents=True, exist_ok=True)  # another process may have failed here
            yield folder
    except BaseException:
        left = list(folder.iterdir()) if folder.is_dir() else []
        if all(path.name.endswith(".lock") for path in left):
            for path in left:
                path.unlink(missing_ok=True)
            for path in made:
                with suppress(OSError):
                    path.rmdir()
        raise


def _announce(source: Source) -> None:
    """Licence and citation, before the first byte."""
    about = datasets.DATASETS[source.dataset]
    log.info("%s: licence: %s (%s)", source.dataset, about.licence, about.licence_url)
    log.info("%s: please cite %s", source.dataset, about.citation)


def _provide(source: Source, archive: Archive, raw: Path, pause: float) -> bool:
    """Get and unpack one archive; whether its contents have been compared with the official ones."""
    drop = raw / archive.file
    if drop.is_file():
        log.info("%s: taking %s", source.dataset, drop)
        if archive.checksum:
            transfer.check_hash(drop, archive.checksum)
        _hint(archive, drop)
        archives.unpack(drop, raw, archive.roots)
        log.info("%s: unpacked; the archive may be removed now", drop)
        return False
    path = raw / FOLDER / archive.file
    try:
        origin = path if path.is_file() else _get(archive, path, pause)
    except (transfer.DownloadError, FileNotFoundError) as error:
        text = f"{_absence(source, raw)}. {error}. {archive.by_hand(source, raw)}"
        raise FileNotFoundError(text) from error
    log.info("%s: %s from %s", source.dataset, archive.file, origin)
    _unpack(source, archive, raw, path)
    return not archive.checksum


def _absence(source: Source, raw: Path) -> str:
    """What the reader misses, in its own words."""
    try:
        datasets.reader(source.dataset).files(raw)
    except FileNotFoundError as error:
        return str(error).partition(";")[0]
    return f"{raw}: an archive is missing"


def _unpack(source: Source, archive: Archive, raw: Path, path: Path) -> None:
    """Unpack what was downloaded, and remove it; a wrong one is removed as well."""
    judge = None if archive.checksum else partial(_judge, source.dataset, path, raw)
    try:
        if archive.checksum:  # an earlier run may have left it
            transfer.check_hash(path, archive.checksum)
        _hint(archive, path)
        archives.unpack(path, raw, archive.roots, check=judge)
    except ValueError:
        path.unlink(missing_ok=True)
        raise
    path.unlink()


def _get(archive: Archive, path: Path, pause: float) -> str:
    if archive.synapse:
        return _from_synapse(archive.synapse, path)
    return transfer.download(
        archive.urls, path, checksum=archive.checksum, check=archives.kind_of, pause=pause
    )


def _judge(dataset: str, path: Path, raw: Path, staging: Path) -> None:
    """Compare unpacked files with what is known of the official ones.

    Raises:
        ValueError: they differ; the archive is kept under another name for those who want it.
    """
    try:
        problems = datasets.reader(dataset).check(staging)
    except FileNotFoundError as error:
        raise ValueError(f"{path}: not the official archive: {error}") from error
    if problems:
        kept = path.replace(path.with_name(f"{path.name}.rejected"))
        raise ValueError(
            f"{path}: differs from the official data ({len(problems)}: "
            f"{'; '.join(problems[:SHOWN])}); refused. If you want it all the same, move {kept} "
            f"to {raw / path.name} and run the same command again"
        )


def _warn(dataset: str, raw: Path) -> None:
    problems = datasets.reader(dataset, raw).check(raw)
    for problem in problems[:SHOWN]:
        log.warning("%s: differs from the official data: %s", dataset, problem)
    if len(problems) > SHOWN:
        log.warning("%s: and %d more such differences", dataset, len(problems) - SHOWN)


def _hint(archive: Archive, path: Path) -> None:
    """Say whether a hash that somebody saw is this file's; it decides nothing."""
    if not archive.hint:
        return
    try:
        transfer.check_hash(path, archive.hint)
    except ValueError as error:
        log.warning("%s; that hash is only a hint, the contents decide", error)


def _from_synapse(entity: str, path: Path) -> str:
    """Download a file of synapse.org with the user's token.

    Raises:
        FileNotFoundError: no token, no synapseclient, or an answer without the file.
    """
    if transfer.offline():
        raise FileNotFoundError("SALSTM_OFFLINE is set")
    token = os.environ.get(TOKEN, "")
    if not token:
        raise FileNotFoundError(
            f"{TOKEN} is not set: make a personal access token with the rights view and download "
            f"on synapse.org (account settings), then: export {TOKEN}=<token>"
        )
    try:
        client: Any = importlib.import_module("synapseclient")
    except ImportError as error:
        raise FileNotFoundError("synapseclient is missing: pip install synapseclient") from error
    log.info("%s: from synapse.org, with the token in %s", entity, TOKEN)
    return _ask_synapse(client, token, entity, path)


def _ask_synapse(client: Any, token: str, entity: str, path: Path) -> str:
    place = path.with_name("synapse")
    quiet = not sys.stderr.isatty()
    try:
        session = client.Synapse(silent=quiet)
        session.login(authToken=token, silent=quiet)
        got = session.get(entity, downloadLocation=str(place), ifcollision="overwrite.local").path
    except Exception as error:  # synapseclient, requests, httpx and the OS raise many types here
        said = str(error).replace(token, "<token>").strip() or type(error).__name__
        raise FileNotFoundError(f"synapse.org: {said}") from None  # the cause may show the token
    if not got:
        raise FileNotFoundError(f"synapse.org: no file for {entity}; accept the terms of use first")
    Path(got).replace(path)
    return f"synapse.org, {entity}"
