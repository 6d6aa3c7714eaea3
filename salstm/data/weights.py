"""Published backbone weights: found under data/weights, or downloaded where the card has a direct link."""

from __future__ import annotations

import hashlib
import logging
import re
from pathlib import Path
from typing import Any

from salstm.files import write_json

log = logging.getLogger(__name__)


def fetch(baseline: str, weights: dict[str, Any], out: Path) -> None:
    """Provide a network's weights beside ``out`` and list them in ``out``.

    Args:
        baseline: the network.
        weights: the card's block: ``file`` and ``url`` (a name or a list), ``sha256`` or null.
        out: data/weights/<baseline>.json.

    Raises:
        FileNotFoundError: neither there nor to be downloaded; says what to get and where to put it.
        ValueError: a file with another hash than its card or its name gives.
    """
    files, urls = _list(weights.get("file")), _list(weights.get("url"))
    if not files:
        raise ValueError(
            f"{baseline}: has no published weights; set its recipe's pretrained to false"
        )
    hashes = _list(weights.get("sha256")) or [None] * len(files)
    listed = {}
    for file, url, known in zip(files, urls, hashes, strict=True):
        path = out.parent / file
        if not path.is_file():
            _download(baseline, path, url)
        listed[file] = {"url": url, "sha256": _checked(path, known), "verified": known is not None}
    write_json(out, listed)


def locate(folder: Path, weights: dict[str, Any]) -> Path:
    """What a network's option ``pretrained`` takes: the file, or the folder where there are several."""
    files = _list(weights.get("file"))
    return folder / files[0] if len(files) == 1 else folder


def _download(baseline: str, path: Path, url: str) -> None:
    instructions = (
        f"{baseline}: {path} is missing. Get {path.name} from {url}, put it at {path} and run the same command "
        f"again; or set recipes.networks.{baseline}.pretrained to false to train from scratch (the tables say so)"
    )
    if not url.endswith(path.name):  # a folder or a page: nothing that a program can fetch
        raise FileNotFoundError(instructions)
    import pooch

    log.info("downloading %s", url)
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        fetcher = pooch.HTTPDownloader(progressbar=True, timeout=60)
        pooch.retrieve(url, None, fname=path.name, path=path.parent, downloader=fetcher)
    except Exception as error:  # requests, urllib3 and the OS raise many types here
        raise FileNotFoundError(f"{instructions}. The download failed: {error}") from error


def _checked(path: Path, known: str | None) -> str:
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    # torch hub and timm put the first eight digits of the hash into the name.
    short = re.search(r"-([0-9a-f]{8})\.pth$", path.name)
    expected = known or (short.group(1) if short else "")
    if not found.startswith(expected):
        raise ValueError(
            f"{path}: sha256 {found}, {expected} is expected; remove the file and run the same command again"
        )
    return found


def _list(value: Any) -> list[Any]:
    if value is None:
        return []
    return value if isinstance(value, list) else [value]
