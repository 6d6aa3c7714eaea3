"""Which files a publication may have: everything else is refused by its name, before a byte of it is read."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from salstm.vocabulary import SELECTIONS

DESCRIPTION = "publication.json"
CLAIMS = "claims.yaml"
RESULTS = "results/"
"""Before the files of a run, whose folder on a disk also has the run's name: ``results/<name>/``."""
TEXTS = {"LICENSE", "CITATION.cff"}
"""Go along where the checkout has them; nothing reads them."""

COLLECTED = "collected"
"""Beside the datasets of a run lies what was made of them; it is made again."""
NAME = "[A-Za-z0-9_][A-Za-z0-9_+-]*"
"""Of a run, a dataset, a network: no dot and no slash, so that no path can leave its folder."""
_TRAINING = rf"{NAME}/{NAME}/{NAME}/seed\d+(?:/fold\d+)?"
_FILES = (
    rf"{NAME}/(?:raw\.json|audit\.csv|bounds\.csv|cases/manifest\.json|cases/cases\.csv)",
    rf"{NAME}/{NAME}/(?:cost|sparsity)\.csv",
    rf"{_TRAINING}/(?:run\.json|history\.csv|scores\.csv)",
    rf"{_TRAINING}/logs/(?:train|predict|score)\.log",
)
_WEIGHTS = rf"{_TRAINING}/(?:{'|'.join(SELECTIONS)})\.safetensors"
_KNOWN = re.compile("|".join(_FILES))

MIB = 2**20
MOST_MEMBERS = 100_000
MOST_BYTES = {".csv": 1024 * MIB, ".safetensors": 8192 * MIB}
"""Of one file, by its ending; of any other ``OTHER_BYTES``."""
OTHER_BYTES = 64 * MIB
MOST_IN_ALL = 16 * 1024 * MIB
"""Of all files but weights, unpacked."""


def known(member: str) -> bool:
    """Whether a publication may have a file of that name."""
    if member in {DESCRIPTION, CLAIMS, *TEXTS}:
        return True
    return member.startswith(RESULTS) and (
        _KNOWN.fullmatch(member.removeprefix(RESULTS)) is not None or is_weights(member)
    )


def is_weights(member: str) -> bool:
    """Whether a name is that of a training's weights."""
    return re.fullmatch(RESULTS + _WEIGHTS, member) is not None


def most_bytes(member: str) -> int:
    """The largest size that a file of that name may have."""
    return MOST_BYTES.get(Path(member).suffix, OTHER_BYTES)


def checked_name(subject: str, name: object) -> str:
    """A name that becomes part of paths.

    Raises:
        ValueError: it is no plain word.
    """
    if not isinstance(name, str) or re.fullmatch(NAME, name) is None:
        raise ValueError(f"{subject}: {name!r} is no name; letters, digits, _, + and - are allowed")
    return name


def below(results: Path, *, weights: bool) -> Iterator[tuple[str, Path]]:
    """The files of a run that are published, sorted: (member, path). What else lies there is left out.

    Of a cell that has its scores the logs are left out: they say nothing that its record does not.

    Args:
        results: results/<name>.
        weights: those, too.
    """
    for path in sorted(results.rglob("*")):
        member = f"{RESULTS}{path.relative_to(results).as_posix()}"
        if not path.is_file() or not known(member) or (is_weights(member) and not weights):
            continue
        if member.startswith(f"{RESULTS}{COLLECTED}/"):
            continue
        cell = re.fullmatch(r"(.+/seed\d+)(?:/fold\d+)?/logs/.+", member)
        if cell and (results / cell[1].removeprefix(RESULTS) / "scores.csv").is_file():
            continue
        yield member, path
