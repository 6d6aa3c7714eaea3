"""Results to be read again: an archive, a folder that one was unpacked or merged into, or the results of a run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from salstm.files import read_csv, read_json
from salstm.publication import archive, description, members
from salstm.publication.archive import RefusedError
from salstm.publication.members import CLAIMS, DESCRIPTION, RESULTS
from salstm.vocabulary import IDENTITY, Identity

Describe = Callable[[Path], dict[str, Any]]
"""The description of a results folder, from the configuration that a person named."""


@dataclass(frozen=True)
class Publication:
    """Results and what they say of themselves.

    Attributes:
        origin: where they came from, for messages.
        said: the description.
        files: member -> where it lies.
    """

    origin: str
    said: dict[str, Any]
    files: Mapping[str, Path]

    @property
    def trainings(self) -> dict[str, list[str]]:
        """Keys of the trainings that left a record, by the key of their cell."""
        found: dict[str, list[str]] = {}
        for member in self.files:
            if member.endswith("/run.json"):
                key = member.removeprefix(RESULTS).removesuffix("/run.json")
                found.setdefault(key.partition("/fold")[0], []).append(key)
        return found

    def record(self, training: str) -> dict[str, Any]:
        """The run record of a training, by its key."""
        return read_json(self.files[f"{RESULTS}{training}/run.json"])


def opened(
    source: Path, scratch: Path, describe: Describe, claims: Path, *, weights: bool = False
) -> Publication:
    """Open results of any of the three kinds, and check that they are whole.

    Args:
        source: the archive, or the folder.
        scratch: a folder that an archive is unpacked into.
        describe: of a folder of results that has no description of its own.
        claims: claims.yaml for such a folder.
        weights: with the trainings' weights.

    Raises:
        FileNotFoundError: nothing there.
        ValueError: not what this program publishes, changed since, or rows of another cell; names the file.
    """
    if source.is_dir() and not (source / DESCRIPTION).is_file():
        files = dict(members.below(source, weights=weights))
        found = Publication(str(source), describe(source), {**files, CLAIMS: claims})
    else:
        files = (
            _laid_out(source)
            if source.is_dir()
            else archive.unpack(source, scratch, weights=weights)
        )
        if DESCRIPTION not in files:
            raise RefusedError(f"{source}: has no {DESCRIPTION}; salstm publish writes one")
        said = description.read(files[DESCRIPTION])
        description.register(said)
        files = {name: path for name, path in files.items() if name != DESCRIPTION}
        _check_files(source, said, files)
        found = Publication(str(source), said, files)
    _check_cells(found)
    return found


def _laid_out(folder: Path) -> dict[str, Path]:
    """The files of a folder that ``reanalyze`` or ``merge`` left, or that an archive was unpacked into by hand."""
    said = description.read(folder / DESCRIPTION)
    results = folder / RESULTS / said["name"]
    if not results.is_dir():
        results = folder / RESULTS
    top = {one: folder / one for one in (DESCRIPTION, CLAIMS) if (folder / one).is_file()}
    return {**dict(members.below(results, weights=True)), **top}


def _check_files(source: Path, said: Mapping[str, Any], files: Mapping[str, Path]) -> None:
    listed = said.get("files")
    if not isinstance(listed, dict):
        raise RefusedError(f"{source}: {DESCRIPTION} lists no files")
    for name in sorted(set(files) - set(listed)):
        raise RefusedError(f"{source}: {name!r} is not in the list of {DESCRIPTION}")
    absent = sorted(one for one in set(listed) - set(files) if _needed(one))
    if absent:
        raise RefusedError(f"{source}: {absent[0]!r} is missing; fetch the whole publication again")
    for name, path in files.items():
        if archive.digest(path) != listed[name]:
            raise RefusedError(
                f"{source}: {name!r} is not what was published (its hash differs); fetch it again"
            )


def _needed(member: str) -> bool:
    return not (members.is_weights(member) or member in members.TEXTS)


def _check_cells(found: Publication) -> None:
    """That each record and each table of scores is of the cell in whose folder it lies."""
    for cell, trainings in found.trainings.items():
        for training in trainings:
            said = found.record(training).get("identity")
            key = (
                Identity.of(said).key if isinstance(said, dict) and {*IDENTITY} <= {*said} else None
            )
            if key != cell:
                raise RefusedError(f"{found.origin}: {training}/run.json is of {key or 'no cell'}")
        if (path := found.files.get(f"{RESULTS}{cell}/scores.csv")) is None:
            continue
        table = read_csv(path)
        if missing := [name for name in IDENTITY if name not in table.columns]:
            raise RefusedError(f"{found.origin}: {cell}/scores.csv has no column {missing[0]}")
        for row in table[list(IDENTITY)].drop_duplicates().to_dict("records"):
            if Identity.of(row).key != cell:
                raise RefusedError(
                    f"{found.origin}: {cell}/scores.csv has rows of {Identity.of(row).key}"
                )
