"""Where the raw data come from: ``sources.yaml``, read and checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from salstm import vocabulary
from salstm.data import datasets

FILE = Path(__file__).with_name("sources.yaml")


@dataclass(frozen=True)
class Archive:
    """One archive of a dataset; the keys of ``sources.yaml``.

    Attributes:
        file: its name.
        roots: top folders that it unpacks to, any of them.
        urls: mirrors in order.
        synapse: entity on synapse.org, instead of mirrors.
        about: size in words, where it is not known exactly.
        bytes: size, where it is.
        sha256: hash that decides.
        md5: hash that decides where there is no ``sha256``.
        hint: ``algorithm:digits`` that somebody saw once and that does not decide.
        needed: whether the paper's split uses it.
    """

    file: str
    roots: tuple[str, ...]
    urls: tuple[str, ...] = ()
    synapse: str | None = None
    about: str = "size unknown"
    bytes: int | None = None
    sha256: str | None = None
    md5: str | None = None
    hint: str | None = None
    needed: bool = True

    @property
    def size(self) -> str:
        """The size in words."""
        return f"{self.bytes / 1e6:.1f} MB" if self.bytes else self.about

    @property
    def checksum(self) -> str | None:
        """The hash that decides, as ``algorithm:digits``."""
        if self.sha256:
            return f"sha256:{self.sha256}"
        return f"md5:{self.md5}" if self.md5 else None

    def unpacked(self, raw: Path) -> bool:
        """Whether its contents stand in the raw folder."""
        return any((raw / root).is_dir() for root in self.roots)

    def by_hand(self, source: Source, raw: Path) -> str:
        """What to do where no program can: what to get, where to put it, what to run next."""
        return (
            f"By hand: {self.file} ({self.size}) from {source.page}: {source.manual}. Put it at "
            f"{raw / self.file}, or unpack it so that {raw / self.roots[0]} is there; then run "
            f"the same command again (snakemake --cores all {source.dataset}, or python -m salstm "
            f"fetch --dataset {source.dataset} --raw {raw} --out <file>)"
        )


@dataclass(frozen=True)
class Source:
    """Where one dataset comes from.

    Attributes:
        dataset: its name.
        page: what a person opens.
        manual: how a person gets the archives there.
        archives: all that there are.
    """

    dataset: str
    page: str
    manual: str
    archives: tuple[Archive, ...]

    @property
    def needed(self) -> tuple[Archive, ...]:
        """The archives that the paper's split uses."""
        return tuple(archive for archive in self.archives if archive.needed)


def load(dataset: str, path: Path | None = None) -> Source:
    """Read where a dataset comes from.

    Args:
        dataset: its name; one of your own comes from nowhere.
        path: a file in the format of ``sources.yaml``, which is the default.

    Raises:
        FileNotFoundError: no such file.
        ValueError: the file does not name the dataset, or has an unknown or a missing key.
    """
    import yaml

    if datasets.DATASETS[datasets.check(dataset)].settings is not None:
        return Source(dataset, page="", manual="", archives=())
    path = path or FILE
    try:
        entries = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except yaml.YAMLError as error:
        raise ValueError(f"{path}: not valid YAML: {error}") from error
    entry = entries[vocabulary.check(f"{path.name}: dataset", dataset, entries)]
    try:
        archives = tuple(_archive(one) for one in entry["archives"])
        return Source(dataset, entry["page"], entry["manual"], archives)
    except (KeyError, TypeError) as error:
        raise ValueError(f"{path}: {dataset}: {error}; see {FILE} for the keys") from error


def _archive(entry: Mapping[str, Any]) -> Archive:
    lists = {key: tuple(entry[key]) for key in ("roots", "urls") if key in entry}
    archive = Archive(**{**entry, **lists})
    if Path(archive.file).name != archive.file or not archive.roots:
        raise TypeError(f"archive {archive.file!r} needs a plain file name and roots")
    return archive
