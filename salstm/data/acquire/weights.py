"""Published backbone weights: found under data/weights, or downloaded where the card has a direct link."""

from __future__ import annotations

import re
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from salstm.data.acquire import transfer
from salstm.data.readers.npy import sha256
from salstm.files import replacing, write_json


class File(NamedTuple):
    """One file of a card's weights.

    Attributes:
        name: of the file.
        url: of the file, or of a folder or page where a person finds it.
        sha256: all or the first hexadecimal digits, or nothing.
    """

    name: str
    url: str
    sha256: str

    @property
    def direct(self) -> bool:
        """Whether the link leads to the file itself."""
        return self.url.endswith(self.name)


def fetch(
    baseline: str,
    weights: dict[str, Any],
    out: Path,
    folder: Path | None = None,
    fits: Callable[[Path], object] = lambda path: None,
) -> None:
    """Provide a network's weights beside ``out`` and list them in ``out``.

    Args:
        baseline: the network.
        weights: the card's block: ``file`` and ``url`` (a name or a list), ``sha256`` or null.
        out: the list, JSON.
        folder: where the files are looked for and downloaded to; linked from there (copied to another disk). By
            default the folder of ``out``.
        fits: called with what ``locate`` gives, once all files are there: raises ValueError if the network's names
            and shapes are not in them.

    Raises:
        FileNotFoundError: neither there nor to be downloaded; says what to get and where to put it.
        ValueError: a file with another hash than its card or its name gives, a web page, half a file, or the weights
            of another network.
    """
    wanted = files(weights)
    if not wanted:
        raise ValueError(
            f"{baseline}: has no published weights; set its recipe's pretrained to false"
        )
    listed = {}
    for file in wanted:
        path = (folder or out.parent) / file.name
        if not path.is_file():
            _download(baseline, path, file, weights.get("note"))
        else:
            look(path)
        known = len(file.sha256) == 64
        listed[file.name] = {"url": file.url, "sha256": check(path, file), "verified": known}
        if folder not in (None, out.parent):
            _link(path, out.parent / file.name)
    _fit(baseline, locate(folder or out.parent, weights), fits)
    write_json(out, listed)


def locate(folder: Path, weights: dict[str, Any]) -> Path:
    """What a network's option ``pretrained`` takes: the file, or the folder where there are several."""
    names = _list(weights.get("file"))
    return folder / names[0] if len(names) == 1 else folder


def files(weights: dict[str, Any]) -> list[File]:
    """The files of a card's block, with their links and what is known of their hashes."""
    names, urls = _list(weights.get("file")), _list(weights.get("url"))
    hashes = _list(weights.get("sha256")) or [None] * len(names)
    return [
        File(name, url, known or _digits(name))
        for name, url, known in zip(names, urls, hashes, strict=True)
    ]


def look(path: Path) -> None:
    """Look into a file of weights before anything trusts it: ``.pth`` and ``.npz`` (ZIP), ``.safetensors``.

    Raises:
        ValueError: a web page in its place, which is what a drive gives without a login; or half a file.
    """
    with path.open("rb") as file:
        start = file.read(512)
        size = path.stat().st_size
        if not size:
            raise ValueError(f"{path}: is empty; {_AGAIN}")
        if start.lstrip()[:1] == b"<" or b"<html" in start.lower():
            raise ValueError(f"{path}: is a web page, not weights: a login or a limit; {_AGAIN}")
    if path.suffix == ".safetensors":
        length = int.from_bytes(start[:8], "little")
        if len(start) < 8 or not start[8:9] == b"{" or length + 8 > size:
            raise ValueError(f"{path}: is no whole file of safetensors; {_AGAIN}")
    elif start[:2] == b"PK":
        _whole_archive(path)
    elif start[:1] != b"\x80":  # the pickle of torch before 1.6
        raise ValueError(f"{path}: begins with {start[:8]!r}, as no file of weights does; {_AGAIN}")


_AGAIN = (
    "remove it, get it again (python -m salstm doctor says where) and run the same command again"
)


def _whole_archive(path: Path) -> None:
    try:
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()
    except zipfile.BadZipFile as error:
        raise ValueError(f"{path}: is cut off ({error}); {_AGAIN}") from error
    if damaged:
        raise ValueError(f"{path}: is damaged at {damaged}; {_AGAIN}")


def _fit(baseline: str, path: Path, fits: Callable[[Path], object]) -> None:
    try:
        fits(path)
    except (ValueError, KeyError, RuntimeError) as error:
        text = str(error)
        raise ValueError(
            f"{path}: not the weights that {baseline} starts from: {text[:400]}; {_AGAIN}"
        ) from error


def check(path: Path, file: File) -> str:
    """The file's SHA-256.

    Raises:
        ValueError: it is not the one that the card or the name gives.
    """
    found = sha256(path)
    if not found.startswith(file.sha256):
        raise ValueError(
            f"{path}: sha256 {found}, {file.sha256} is expected; remove the file and run the same "
            f"command again"
        )
    return found


def _download(baseline: str, path: Path, file: File, note: str | None) -> None:
    instructions = (
        f"{baseline}: {path} is missing. Get {file.name} from {file.url}, put it at {path} and run "
        f"the same command again; or set recipes.networks.{baseline}.pretrained to false to train "
        f"from scratch (the tables say so)"
    )
    if note:
        instructions += f". The card says: {note}"
    if not file.direct:  # a folder or a page: nothing that a program can fetch
        raise FileNotFoundError(instructions)
    try:
        checksum = file.sha256 and f"sha256:{file.sha256}"
        transfer.download([file.url], path, checksum=checksum, check=look)
    except transfer.DownloadError as error:
        raise FileNotFoundError(f"{instructions}. {error}") from error


def _link(source: Path, target: Path) -> None:
    """The same file in another place, without its size on the disk where that can be."""
    target.parent.mkdir(parents=True, exist_ok=True)
    target.unlink(missing_ok=True)
    try:
        target.hardlink_to(source.resolve())
    except OSError:  # another disk, or one without links
        with replacing(target) as temporary:
            shutil.copyfile(source, temporary)


def _digits(name: str) -> str:
    """Torch hub and timm put the first eight digits of the hash into the name."""
    short = re.search(r"-([0-9a-f]{8})\.pth$", name)
    return short.group(1) if short else ""


def _list(value: Any) -> list[Any]:
    if value is None:
        return []
    return value if isinstance(value, list) else [value]
