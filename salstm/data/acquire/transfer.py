"""One way to download: resumed where it stopped, from the first mirror that has the right file.

What has arrived waits in ``<file>.part``, with ``<file>.part.json`` beside it; the file has its name only
when it is whole and checked. With SALSTM_OFFLINE set in the environment nothing is downloaded.
"""

from __future__ import annotations

import fcntl
import logging
import os
import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from salstm.data.acquire.archive_limits import check_space
from salstm.data.acquire.progress import progress
from salstm.files import read_json, write_json

if TYPE_CHECKING:
    from requests import Response

log = logging.getLogger(__name__)

CHUNK = 2**16
TIMEOUT = (30, 60)
"""Seconds to connect, and seconds without a byte."""
ATTEMPTS = 5
"""Without a byte more; as long as bytes arrive, it goes on."""
FIRST_ATTEMPTS = 3
"""As long as no byte has come at all."""
LONGEST_WAIT = 60.0
AGAIN = (408, 425, 429, 500, 502, 503, 504)
"""Answers that may change soon."""


class DownloadError(OSError):
    """No mirror gave the file; the message has every mirror's reason."""


class _MirrorError(Exception):
    """This mirror does not have the file."""


class _BrokenError(Exception):
    """This attempt has failed; the next one may not."""

    wait = 0.0


@dataclass
class _State:
    """What is known of a partial file; ``validator`` is an ETag or a date for If-Range."""

    url: str = ""
    validator: str = ""
    total: int | None = None


def download(
    urls: Sequence[str],
    path: Path,
    *,
    checksum: str | None = None,
    check: Callable[[Path], object] | None = None,
    pause: float = 1.0,
) -> str:
    """Download a file from the first mirror that gives the right one.

    Args:
        urls: mirrors in order.
        path: where the file goes.
        checksum: ``sha256:`` or ``md5:`` and the first or all hexadecimal digits.
        check: called with the complete file; raises ValueError to refuse it.
        pause: seconds before the second attempt; doubles from attempt to attempt.

    Returns:
        The URL that gave the file.

    Raises:
        DownloadError: no mirror gave the right file; a wrong one has been removed, a partial one
            stays and is continued by the next call.
        OSError: the disk is full.
    """
    part = path.with_name(f"{path.name}.part")
    reasons = ["SALSTM_OFFLINE is set"] if offline() else []
    part.parent.mkdir(parents=True, exist_ok=True)
    with locked(path.with_name(f".{path.name}.lock")) as lock:
        if path.exists():
            return "another process"
        for url in () if offline() else urls:
            try:
                _from_mirror(url, part, checksum, pause)
                _check(part, checksum, check)
            except _MirrorError as error:
                log.warning("%s: %s", url, error)
                reasons.append(f"{url}: {error}")
            else:
                with part.open("rb") as file:
                    os.fsync(file.fileno())
                part.replace(path)
                _state_file(part).unlink(missing_ok=True)
                lock.unlink()
                return url
    raise DownloadError(f"{path.name}: not downloaded: {'; '.join(reasons) or 'no address'}")


def offline() -> bool:
    """Whether the user forbids downloads."""
    return os.environ.get("SALSTM_OFFLINE", "0") not in ("", "0")


def check_hash(path: Path, checksum: str) -> None:
    """Compare a file with ``algorithm:digits``.

    Raises:
        ValueError: another hash.
    """
    import pooch

    algorithm, _, digits = checksum.partition(":")
    found = pooch.file_hash(str(path), alg=algorithm)
    if not digits or not found.startswith(digits.lower()):
        raise ValueError(f"{path}: {algorithm} {found}, {digits} is expected")


@contextmanager
def locked(path: Path) -> Iterator[Path]:
    """Hold a lock file, or wait for it; the lock ends with the process, whatever happens to it.

    Who has found everything done may remove the file: who waits for it looks again.
    """
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            log.info("%s: another process is at work here; waiting for it", path.parent)
            fcntl.flock(file, fcntl.LOCK_EX)
        yield path


def _check(part: Path, checksum: str | None, check: Callable[[Path], object] | None) -> None:
    try:
        if checksum:
            check_hash(part, checksum)
        if check:
            check(part)
    except ValueError as error:
        _forget(part)
        raise _MirrorError(f"wrong file, removed: {error}") from error


def _from_mirror(url: str, part: Path, checksum: str | None, pause: float) -> None:
    """Ask one mirror until the partial file is complete."""
    failures, best = 0, _size(part)
    while True:
        try:
            _request(url, part, anywhere=bool(checksum))
            return
        except _BrokenError as error:
            failures = 1 if _size(part) > best else failures + 1
            best = max(best, _size(part))
            if failures >= (ATTEMPTS if best else FIRST_ATTEMPTS):
                kept = f"; {_size(part):,} bytes are kept for the next run" if _size(part) else ""
                raise _MirrorError(f"{error}{kept}") from error
            wait = min(max(pause * 2 ** (failures - 1), error.wait), LONGEST_WAIT)
            log.warning("%s: %s; again in %.0f s", url, error, wait)
            time.sleep(wait)


def _request(url: str, part: Path, *, anywhere: bool) -> None:
    """One request: the whole file, or the rest of it."""
    import requests

    known = _state(part, url, anywhere=anywhere)
    start = _size(part) if known.url else 0
    known = known if known.url == url else _State(url, total=known.total)
    if start and start == known.total:
        return
    headers = {"Accept-Encoding": "identity"}
    if start:
        headers["Range"] = f"bytes={start}-"
        if known.validator:
            headers["If-Range"] = known.validator
    try:
        with requests.get(url, headers=headers, stream=True, timeout=TIMEOUT) as response:
            start = _accept(response, part, start, known)
            total = _total(response, start)
            check_space(part.parent, max((total or 0) - start, 0))
            _cut(part, start)
            write_json(_state_file(part), asdict(_State(url, _validator(response), total)))
            log.info("%s: from byte %d of %s", url, start, "?" if total is None else total)
            with part.open("ab") as file, progress(part.stem, start, total) as advance:
                for chunk in response.iter_content(CHUNK):
                    file.write(chunk)
                    advance(len(chunk))
    except (requests.TooManyRedirects, ValueError) as error:  # a bad URL is a ValueError
        raise _MirrorError(str(error)) from error
    except requests.RequestException as error:
        raise _BrokenError(_reason(error)) from error
    except OSError as error:  # of this computer, not of the network
        raise OSError(error.errno, error.strerror, error.filename or str(part)) from error
    if total is not None and _size(part) != total:
        raise _BrokenError(f"the connection ended after {_size(part):,} of {total:,} bytes")


def _accept(response: Response, part: Path, start: int, known: _State) -> int:
    """Where the answer's bytes go, or an error."""
    if response.status_code in AGAIN:
        broken = _BrokenError(f"{response.status_code} {response.reason}")
        after = response.headers.get("Retry-After", "")
        broken.wait = float(after) if after.isdecimal() else 0.0
        raise broken
    if response.status_code == 416:
        _forget(part)
        raise _BrokenError("the file is another one than before; from the beginning")
    if response.status_code not in (200, 206):
        raise _MirrorError(f"{response.status_code} {response.reason}")
    if response.headers.get("Content-Type", "").startswith("text/html"):
        raise _MirrorError("a web page instead of the file (a login, a consent, a dead link)")
    if response.status_code == 200:
        return 0  # the server knows no ranges, or the file has changed
    begins, total = _range(response)
    same = known.validator in ("", _validator(response)) and known.total in (None, total)
    if begins != start or not same:
        _forget(part)
        raise _BrokenError("the file has changed on the server; from the beginning")
    return start


def _cut(part: Path, size: int) -> None:
    with part.open("ab") as file:
        file.truncate(size)


def _total(response: Response, start: int) -> int | None:
    length = response.headers.get("Content-Length", "")
    return start + int(length) if length.isdecimal() else None


def _validator(response: Response) -> str:
    tag = response.headers.get("ETag", "")
    return tag if tag and not tag.startswith("W/") else response.headers.get("Last-Modified", "")


def _range(response: Response) -> tuple[int, int | None]:
    found = re.match(r"bytes (\d+)-\d+/(\d+|\*)$", response.headers.get("Content-Range", ""))
    if not found:
        return -1, None
    return int(found[1]), None if found[2] == "*" else int(found[2])


def _reason(error: BaseException) -> str:
    """What went wrong, without the wrapping of requests and urllib3."""
    inner = getattr(error, "reason", None) or (error.args[0] if error.args else "")
    if isinstance(inner, BaseException):
        return _reason(inner)
    return str(inner) or type(error).__name__


def _state(part: Path, url: str, *, anywhere: bool) -> _State:
    """What is known of the partial file; nothing if it cannot be continued from this URL."""
    try:
        state = _State(**read_json(_state_file(part)))
    except (FileNotFoundError, ValueError, TypeError):
        return _State()
    return state if state.url == url or (anywhere and state.total) else _State()


def _state_file(part: Path) -> Path:
    return part.with_name(f"{part.name}.json")


def _forget(part: Path) -> None:
    part.unlink(missing_ok=True)
    _state_file(part).unlink(missing_ok=True)


def _size(part: Path) -> int:
    return part.stat().st_size if part.exists() else 0
