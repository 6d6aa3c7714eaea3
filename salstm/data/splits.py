"""Who trains, validates and tests: a published list, a seeded draw of whole groups, or folds of them."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from salstm import vocabulary
from salstm.data.case import SPLITS, UNUSED, Case

FOLDER = Path(__file__).parent / "splits"
DRAWN = {
    "groups": ("validation", "test", "seed"),
    vocabulary.FOLDS: ("folds", "validation", "seed"),
}
"""Splits that are drawn from the groups there are, with the keys of each; all others are lists."""


def paper(dataset: str) -> dict[str, str]:
    """The published split: group (or case id) -> 'train', 'val' or 'test'."""
    return load(dataset, "paper")


def load(dataset: str, name: str) -> dict[str, str]:
    """Read ``splits/<dataset>_<name>.json``, whose ``origin`` says where the lists are from.

    The lists name groups, which keeps a patient or a video sequence together, or single cases; a
    file may instead say that it is ``same_as`` another. What is ``unused`` is prepared all the same.

    Returns:
        Group or case id -> split, or 'unused'.

    Raises:
        ValueError: no such split of the dataset, or an entry that is in two of the lists.
    """
    names = {path.stem.removeprefix(f"{dataset}_") for path in FOLDER.glob(f"{dataset}_*.json")}
    vocabulary.check(f"split of {dataset}", name, ["groups", vocabulary.FOLDS, *sorted(names)])
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
        validation: share of the groups, 0 or more.
        test: share of the groups, 0 or more; both together below 1.
        seed: of the draw.

    Returns:
        Group -> split, sorted by group. A share above 0 is rounded to whole groups, at least one; a
        share of 0 is none, and no training can use such a split (`check_trainable`).

    Raises:
        ValueError: shares out of range, or fewer groups than parts.
    """
    names = sorted(set(groups))
    if min(validation, test) < 0 or validation + test >= 1:
        raise ValueError(
            f"split groups: validation {validation} and test {test}; both must be 0 or more and "
            f"their sum below 1"
        )
    shares = {"val": validation, "test": test}
    wanted = [part for part in SPLITS if shares.get(part, 1)]
    if len(names) < len(wanted):
        raise ValueError(
            f"split groups: {len(names)} groups; at least {len(wanted)} are needed, one for each of "
            f"{', '.join(wanted)}; add cases, or set a share to 0 where nothing is trained"
        )
    held = [max(1, round(share * len(names))) if share else 0 for share in shares.values()]
    while (
        sum(held) >= len(names) > 0
    ):  # rounding up both shares of a few groups leaves none to train
        held[held.index(max(held))] -= 1
    drawn = np.random.default_rng(seed).permutation(len(names))
    parts = ["val"] * held[0] + ["test"] * held[1] + ["train"] * (len(names) - sum(held))
    chosen = {names[index]: part for index, part in zip(drawn, parts, strict=True)}
    return dict(sorted(chosen.items()))


def folds(groups: Iterable[str], count: int, validation: float, seed: int) -> list[dict[str, str]]:
    """Draw the parts of a grouped cross-validation: every group is tested in one fold, by a training without it.

    The groups are put in a random order and cut into ``count`` runs, as equal as can be. Fold k tests the k-th run; the
    groups after it (after the last, the first) validate, and all others train.

    Args:
        groups: patients or sequences, in any order, repetitions allowed.
        count: of folds, 2 or more.
        validation: share of all groups, at least one group.
        seed: of the order.

    Returns:
        For each fold, group -> split, sorted by group.

    Raises:
        ValueError: numbers out of range, or too few groups.
    """
    names = sorted(set(groups))
    if count < 2 or not 0 < validation < 1:
        raise ValueError(
            f"split folds: folds {count} and validation {validation}; 2 or more folds and a share between 0 and 1 "
            f"are allowed"
        )
    validating, tested = max(1, round(validation * len(names))), -(-len(names) // count)
    if len(names) < max(count, tested + validating + 1):
        raise ValueError(
            f"split folds: {len(names)} groups; {count} folds that test, validate ({validation}) and train need "
            f"{max(count, 3)} or more: set folds or validation lower, or add cases"
        )
    drawn = [names[at] for at in np.random.default_rng(seed).permutation(len(names))]
    found, start = [], 0
    for run in np.array_split(np.arange(len(names)), count):
        turned = drawn[start:] + drawn[:start]
        parts = ["test"] * len(run) + ["val"] * validating
        parts += ["train"] * (len(names) - len(parts))
        found.append(dict(sorted(zip(turned, parts, strict=True))))
        start += len(run)
    return found


def resolve(dataset: str, split: Mapping[str, Any], groups: Iterable[str]) -> dict[str, str]:
    """Turn the configuration's split into group (or case id) -> split.

    Args:
        dataset: its name.
        split: ``{"name": "paper"}``, the name of another file, ``{"name": "groups"}`` with
            ``validation`` (0.1), ``test`` (0.2) and ``seed`` (0), or ``{"name": "folds"}``.
        groups: the groups there are; for 'groups' and 'folds' only.

    Returns:
        Of folds, what holds for all of them together: every group is tested. `resolve_folds` gives each.

    Raises:
        ValueError: unknown name or key, or shares that do not work out.
    """
    rest = {key: value for key, value in split.items() if key != "name"}
    allowed = DRAWN.get(split["name"], ())
    if unknown := sorted(set(rest) - set(allowed)):
        raise ValueError(
            f"split {split['name']!r} of {dataset}: key {unknown[0]!r}; allowed: "
            f"name{''.join(', ' + k for k in allowed)}"
        )
    if split["name"] == "groups":
        return by_group(groups, **{"validation": 0.1, "test": 0.2, "seed": 0, **rest})
    if split["name"] == vocabulary.FOLDS:
        return dict.fromkeys(sorted(set(groups)), "test")
    return load(dataset, split["name"])


def resolve_folds(split: Mapping[str, Any], groups: Iterable[str]) -> list[dict[str, str]]:
    """The folds of a configuration's split, for each group -> split; none where it has none.

    Args:
        split: ``{"name": "folds"}`` with ``folds`` (5), ``validation`` (0.1) and ``seed`` (0), or any other.
        groups: the groups there are.

    Raises:
        ValueError: see `folds`.
    """
    if not (count := vocabulary.folds_of(split)):
        return []
    return folds(groups, count, split.get("validation", 0.1), split.get("seed", 0))


def limited(
    split: Mapping[str, Any], parts: Mapping[str, str], identities: Sequence[tuple[str, str]]
) -> dict[str, str]:
    """The first cases of each part, for a quick look; of folds the first groups for each, and their first cases.

    Args:
        split: as in the configuration, with ``limit``.
        parts: group or case id -> split, of all cases.
        identities: id and group of each case, in order.

    Returns:
        Case id -> split of those that are read: other cases of the same groups are unused, so that the frames of a
        stack follow each other; of folds they are left out.
    """
    most, kept = split[vocabulary.LIMIT], dict[str, str]()
    count = vocabulary.folds_of(split)
    counts: Counter[str] = Counter()
    chosen = list(dict.fromkeys(group for _, group in identities))[: most * count]
    for one, group in identities:
        part = parts.get(one, parts.get(group, UNUSED))
        key = group if count else part
        if part in SPLITS and counts[key] < most and (not count or group in chosen):
            counts[key] += 1
            kept[one] = part
    if count:
        return kept
    groups = {group for one, group in identities if one in kept}
    return {one: kept.get(one, UNUSED) for one, group in identities if group in groups}


def divided(cases: Iterable[Case]) -> dict[str, set[str]]:
    """Groups whose cases stand in more than one part: a split that has any is not for `strict`.

    Args:
        cases: of a store.

    Returns:
        Group -> its parts, sorted by group; empty if the split keeps every group together.
    """
    parts: dict[str, set[str]] = defaultdict(set)
    for case in cases:
        if case.split != UNUSED:
            parts[case.group].add(case.split)
    return {group: found for group, found in sorted(parts.items()) if len(found) > 1}


def needed(split: Mapping[str, Any], parts: Mapping[str, str]) -> list[str]:
    """The parts that a training under a split needs, in the order of ``SPLITS``.

    Args:
        split: as in the configuration.
        parts: what it resolved to: group or case id -> split.

    Returns:
        All three, but that a published list without validation cases needs none: its `best_val` is
        the last epoch.
    """
    named = set(SPLITS) if split["name"] in DRAWN else {"train", "test", *parts.values()}
    return [part for part in SPLITS if part in named]


def check_trainable(source: Mapping[str, Any], cases: Iterable[Case]) -> None:
    """Check that a store can be trained on; to prepare and to audit it need not.

    Args:
        source: of the store's manifest, as ``salstm.data.datasets.prepare`` writes it.
        cases: of the store.

    Raises:
        ValueError: a part that the training needs has no case, or a case cannot be right.
    """
    if wrong := [one for found in source.get("findings", {}).values() for one in found]:
        more = f", and {len(wrong) - 1} more such findings" if wrong[1:] else ""
        raise ValueError(f"{wrong[0]['subject']}: cannot be right: {wrong[0]['text']}{more}")
    found = {case.split for case in cases}
    empty = [part for part in source.get("parts", SPLITS) if part not in found]
    if not empty:
        return
    name, split = source.get("dataset", "the dataset"), source.get("split", {}).get("name", "")
    absent = source.get("absent", [])
    why = f"; the raw folder lacks {len(absent)} that the split names" if absent else ""
    raise ValueError(
        f"{name}: split {split} leaves no case to {' and '.join(_VERBS[part] for part in empty)}"
        f"{why}. It can be prepared and checked, not trained on: complete the raw data, or draw all "
        f"three parts from what is there with datasets.{name}.split: {{name: groups, validation: "
        f"0.1, test: 0.2}}"
    )


_VERBS = {"train": "train on", "val": "validate on", "test": "test on"}
