"""What is there of the raw data and the weights, what is missing or wrong, and what to do about each."""

from __future__ import annotations

import csv
import dataclasses
import os
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from salstm.data import datasets
from salstm.data.acquire import download, listing, sources, weights
from salstm.files import read_json
from salstm.recipes import resolve

SLOW = ("synapse",)
"""Datasets whose comparison with the official ones reads every volume."""
BAD = ("missing", "incomplete", "wrong")
TOLD = 3
"""Deviations from the official data that a finding names."""
WEIGHTS = Path("data/weights")
AUDITED = ("may be wrong: ", "cannot be right: ", "oddities of ")
"""Facts of an audit that a person should know."""


@dataclass(frozen=True)
class Finding:
    """The state of one thing.

    Attributes:
        name: the dataset, or the network with "weights of" before it.
        needed: whether the configuration uses it.
        state: ``present``, ``differs``, ``phantom``, ``none``, or one of ``BAD``.
        facts: what was found.
        cure: what to do, or nothing.
    """

    name: str
    needed: bool
    state: str
    facts: str
    cure: str = ""


def examine(
    config: Mapping[str, Any],
    cards: Mapping[str, Mapping[str, Any]],
    *,
    folder: Path = WEIGHTS,
    deep: bool = False,
) -> list[Finding]:
    """Look at all datasets and at all networks' weights; nothing is downloaded.

    Args:
        config: checked.
        cards: each network's card.
        folder: of the weights.
        deep: compare with the official data where that takes minutes, too, and every file with the
            hash that it was listed with.
    """
    results = Path("results") / config["name"]
    found = [_dataset(name, config, results / name, deep) for name in datasets.DATASETS]
    return found + [
        _weights(name, card["weights"], folder, _starts_from(name, config))
        for name, card in sorted(cards.items())
    ]


def table(findings: list[Finding]) -> str:
    """The findings for a terminal: a line each, and below what to do about what is needed."""
    width = max(len(one.name) for one in findings)
    lines = [f"{'':{width}}  needed  state       found"]
    for one in findings:
        needed = "yes" if one.needed else "no"
        lines.append(f"{one.name:{width}}  {needed:6}  {one.state:10}  {one.facts}")
    for one in findings:
        if one.needed and one.cure:
            lines += ["", f"{one.name} ({one.state}):", *_wrapped(one.cure)]
    return "\n".join(lines) + "\n"


def judge(findings: list[Finding]) -> None:
    """Check that what the configuration needs is there.

    Raises:
        FileNotFoundError: names what is missing or wrong.
    """
    bad = [one.name for one in findings if one.needed and one.state in BAD]
    if bad:
        raise FileNotFoundError(f"needed and missing or wrong: {', '.join(bad)}; see the table")


def _dataset(name: str, config: Mapping[str, Any], results: Path, deep: bool) -> Finding:
    settings = config["datasets"].get(name, {})
    needed = bool(config["grid"].get(name))
    raw = Path(settings.get("raw", f"data/raw/{name}"))
    if settings.get("phantom") is not None:
        made = "made" if (raw / "phantom.json").is_file() else "made when needed"
        return Finding(name, needed, "phantom", f"{raw}: built-in data, {made}")
    try:
        state = download.state(name, raw)
        if state == "present":
            found = _present(name, needed, raw, deep)
            said = [found.cure, *_changed(name, raw, results, deep), *_audited(results)]
            return dataclasses.replace(found, cure="\n".join(one for one in said if one))
    except ValueError as error:
        return Finding(name, needed, "wrong", str(raw), f"{error}")
    if datasets.DATASETS[name].settings is not None:
        return Finding(name, needed, state, str(raw), _expected(name, raw))
    return Finding(name, needed, state, f"{raw}{_arrived(name, raw)}", _cure(name, raw))


def _expected(name: str, raw: Path) -> str:
    """What a dataset of one's own lacks, in its reader's words."""
    try:
        datasets.reader(name, raw).files(raw)
    except FileNotFoundError as error:
        return str(error)
    return ""


def _present(name: str, needed: bool, raw: Path, deep: bool) -> Finding:
    reader = datasets.reader(name, raw)
    facts = f"{raw}: {len(reader.identities(raw))} cases"
    if datasets.DATASETS[name].settings is not None:
        return Finding(name, needed, "present", "; ".join([facts, *reader.check(raw)]))
    if name in SLOW and not deep:
        return Finding(name, needed, "present", f"{facts}, not compared (--deep does)")
    problems = reader.check(raw)
    if not problems:
        return Finding(name, needed, "present", f"{facts}, as the official ones")
    said = "; ".join(textwrap.shorten(one, 120) for one in problems[:TOLD])
    more = f" (and {len(problems) - TOLD} more)" if problems[TOLD:] else ""
    cure = (
        f"Not the official data: {said}{more}. It can be used, and "
        f"gives other numbers. For the official data move {raw} away and run fetch"
    )
    return Finding(name, needed, "differs", facts, cure)


def _changed(name: str, raw: Path, results: Path, deep: bool) -> list[str]:
    """What is not as `fetch` listed it for the results of this configuration."""
    path = results / "raw.json"
    if not path.is_file():
        return []
    try:
        listed = read_json(path)
        seen = listing.changes(name, raw, listed)
        found = listing.deep_changes(name, raw, listed) if deep else seen
    except (ValueError, KeyError, TypeError):
        return [f"{path}: not a list of raw files; remove it and run snakemake again"]
    unseen = {one: kind for one, kind in found.items() if one not in seen}
    said = []
    if seen:
        said.append(
            f"Not as {path} lists it: {listing.described(seen)}; snakemake prepares it again"
        )
    if unseen:
        said.append(
            f"Not as {path} lists it: {listing.described(unseen)}; size and time are the same, so "
            f"a plan does not see it: remove {path} and run snakemake again"
        )
    return said


def _audited(results: Path) -> list[str]:
    """What the audit of the prepared cases said, for the results of this configuration."""
    path = results / "audit.csv"
    if not path.is_file():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["fact"].startswith(AUDITED)]
    said = [f"{row['fact']}: {textwrap.shorten(row['value'], 200)}" for row in rows[:TOLD]]
    more = [f"and {len(rows) - TOLD} more in {path}"] if rows[TOLD:] else []
    return [*said, *more]


def _arrived(name: str, raw: Path) -> str:
    """Archives that wait to be unpacked, and how much of a download is there."""
    whole = [archive.file for archive in sources.load(name).archives]
    parts = sorted((raw / download.FOLDER).glob("*.part"))
    return "".join(
        [f"; {file} is there, fetch unpacks it" for file in whole if (raw / file).is_file()]
        + [f"; {path.stem}: {path.stat().st_size / 1e6:,.1f} MB so far" for path in parts]
    )


def _cure(name: str, raw: Path) -> str:
    source = sources.load(name)
    absent = [archive for archive in source.needed if not archive.unpacked(raw)]
    if not absent:
        return f"Files are missing; move {raw} away and fetch the data again"
    steps = []
    if any(archive.synapse for archive in absent) and not os.environ.get(download.TOKEN):
        steps.append(f"export {download.TOKEN}=<your token of synapse.org>")
    steps.append(f"python -m salstm fetch --dataset {name} --raw {raw} --out {raw}/raw.json")
    sizes = ", ".join(f"{archive.file} ({archive.size})" for archive in absent)
    licence = datasets.DATASETS[name].licence
    return (
        "\n".join(steps) + f"\nThat downloads {sizes}; licence: {licence}.\n"
        f"Or by hand: {source.page}: {source.manual}. Put it into {raw} as it is, or unpacked."
    )


def _starts_from(baseline: str, config: Mapping[str, Any]) -> bool:
    """Whether a cell of the grid starts from the network's published weights."""
    return any(
        resolve(config, dataset, baseline, "plain").pretrained
        for dataset, chosen in config["grid"].items()
        if baseline in chosen
    )


def _weights(baseline: str, card: dict[str, Any], folder: Path, needed: bool) -> Finding:
    name = f"weights of {baseline}"
    files = weights.files(card)
    if not files:
        return Finding(name, needed, "none", "trained from scratch")
    absent = [file for file in files if not (folder / file.name).is_file()]
    if absent:
        facts = ", ".join(str(folder / file.name) for file in absent)
        return Finding(name, needed, "missing", facts, _weights_cure(baseline, absent, folder))
    try:
        for file in files:
            weights.check(folder / file.name, file)
    except ValueError as error:
        return Finding(name, needed, "wrong", str(folder), str(error))
    known = all(file.sha256 for file in files)
    facts = ", ".join(file.name for file in files) + ("" if known else " (no hash is published)")
    return Finding(name, needed, "present", facts)


def _weights_cure(baseline: str, absent: list[weights.File], folder: Path) -> str:
    command = f"python -m salstm weights --baseline {baseline} --out {folder}/{baseline}.json"
    lines = [command] if all(file.direct for file in absent) else []
    lines += [
        f"By hand: {file.url}: {file.name}; put it at {folder / file.name}." for file in absent
    ]
    scratch = f"recipes.networks.{baseline}.pretrained: false"
    return "\n".join([*lines, f"Or train from scratch: {scratch} in config.yaml."])


def _wrapped(text: str) -> list[str]:
    """Lines of a cure, indented; commands and addresses stay whole."""
    wrapper = textwrap.TextWrapper(
        width=110,
        initial_indent="    ",
        subsequent_indent="      ",
        break_long_words=False,
        break_on_hyphens=False,
    )
    lines = []
    for paragraph in text.splitlines():
        whole = paragraph.startswith(("python ", "export "))
        lines += [f"    {paragraph}"] if whole else wrapper.wrap(paragraph)
    return lines
