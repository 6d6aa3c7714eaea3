"""Who trains, validates and tests: a published list, or a seeded draw of whole groups."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from salstm.data import choices
from salstm.data.case import SPLITS, Case

FOLDER = Path(__file__).parent / "splits"


def paper(dataset: str) -> dict[str, str]:
    """The published split: group (or case id) -> 'train', 'val' or 'test'."""
    return load(dataset, "paper")


def load(dataset: str, name: str) -> dict[str, str]:
    """Read ``splits/<dataset>_<name>.json``, whose ``origin`` says where the lists are from.

    The lists name groups, which keeps a patient or a video sequence together, or single cases; a
    file may instead say that it is ``same_as`` another.

    Returns:
        Group or case id -> split.

    Raises:
        ValueError: no such split of the dataset, or an entry that is in two of the lists.
    """
    names = {path.stem.removeprefix(f"{dataset}_") for path in FOLDER.glob(f"{dataset}_*.json")}
    choices.check(f"split of {dataset}", name, ["groups", *sorted(names)])
    content = json.loads((FOLDER / f"{dataset}_{name}.json").read_text(encoding="utf-8"))
    if "same_as" in content:
        return load(dataset, content["same_as"])
    lists = content["splits"]
    split = {entry: part for part, entries in lists.items() for entry in entries}
    if len(split) != sum(len(entries) for entries in lists.values()):
        raise ValueError(
            f"split {name} of {dataset}: an entry is listed twice; correct the file in {FOLDER}"
        )
    return split


def by_group(groups: Iterable[str], validation: float, test: float, seed: int) -> dict[str, str]:
    """Draw whole groups: no patient and no video sequence is ever divided.

    Args:
        groups: patients or sequences, in any order, repetitions allowed.
        validation: share of the groups, between 0 and 1.
        test: share of the groups, between 0 and 1.
        seed: of the draw.

    Returns:
        Group -> split, sorted by group. The shares are rounded to whole groups, at least one.

    Raises:
        ValueError: shares out of range, or fewer than three groups.
    """
    names = sorted(set(groups))
    if not (0 < validation < 1 and 0 < test < 1 and validation + test < 1):
        raise ValueError(
            f"split groups: validation {validation} and test {test}; both must be above 0 and "
            f"their sum below 1"
        )
    if len(names) < 3:
        raise ValueError(
            f"split groups: {len(names)} groups; at least 3 are needed, one each to train, "
            f"validate and test; add cases"
        )
    held = [max(1, round(share * len(names))) for share in (validation, test)]
    while sum(held) >= len(names):  # rounding up both shares of a few groups leaves none to train
        held[held.index(max(held))] -= 1
    drawn = np.random.default_rng(seed).permutation(len(names))
    parts = ["val"] * held[0] + ["test"] * held[1] + ["train"] * (len(names) - sum(held))
    chosen = {names[index]: part for index, part in zip(drawn, parts, strict=True)}
    return dict(sorted(chosen.items()))


def resolve(dataset: str, split: Mapping[str, Any], groups: Iterable[str]) -> dict[str, str]:
    """Turn the configuration's split into group (or case id) -> split.

    Args:
        dataset: its name.
        split: ``{"name": "paper"}``, the name of another file, or ``{"name": "groups"}`` with
            ``validation`` (0.1), ``test`` (0.2) and ``seed`` (0).
        groups: the groups there are; for 'groups' only.

    Raises:
        ValueError: unknown name or key, or shares that do not work out.
    """
    rest = {key: value for key, value in split.items() if key != "name"}
    allowed = ("validation", "test", "seed") if split["name"] == "groups" else ()
    if unknown := sorted(set(rest) - set(allowed)):
        raise ValueError(
            f"split {split['name']!r} of {dataset}: key {unknown[0]!r}; allowed: "
            f"name{''.join(', ' + k for k in allowed)}"
        )
    if split["name"] == "groups":
        return by_group(groups, **{"validation": 0.1, "test": 0.2, "seed": 0, **rest})
    return load(dataset, split["name"])


def divided(cases: Iterable[Case]) -> dict[str, set[str]]:
    """Groups whose cases stand in more than one part: a split that has any is not for `strict`.

    Args:
        cases: of a store.

    Returns:
        Group -> its parts, sorted by group; empty if the split keeps every group together.
    """
    parts: dict[str, set[str]] = defaultdict(set)
    for case in cases:
        parts[case.group].add(case.split)
    return {group: found for group, found in sorted(parts.items()) if len(found) > 1}


def check_parts(dataset: str, split: Mapping[str, str], cases: Iterable[tuple[str, str]]) -> None:
    """Check that each part of a split has a case.

    Args:
        dataset: its name.
        split: group or case id -> split.
        cases: (id, group) of the cases there are.

    Raises:
        ValueError: a part that the split names is empty.
    """
    found = {split.get(identity, split.get(group)) for identity, group in cases}
    expected = [part for part in SPLITS if part in set(split.values())]
    if empty := [part for part in expected if part not in found]:
        raise ValueError(
            f"{dataset}: the raw folder has no case of the split's part {' and '.join(empty)}; "
            f"complete the raw data, or set split to {{name: groups}}"
        )
