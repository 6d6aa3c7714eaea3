"""Audit of prepared cases: what a reader should know before believing a number trained on them."""

from __future__ import annotations

import hashlib
import importlib
import logging
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd

from salstm.data import datasets, guards, repeats, splits
from salstm.data.case import SPLITS, UNUSED, Case, voxels_of
from salstm.data.guards import Finding
from salstm.data.repeats import NEAR, Frame
from salstm.data.store import Store

log = logging.getLogger(__name__)

BITS = 128

Row = dict[str, Any]


def audit(store: Store, classes: tuple[str, ...]) -> pd.DataFrame:
    """One row per fact: ``split, fact, value``; of cases in folds, the splits are those that each fold tests.

    Facts: cases, groups, frames, sizes, intensity range, voxels and cases of each class; groups and
    stacks that stand in more than one split; frames that another split repeats exactly (by hash) or
    nearly (by perceptual hash), or that lie beside a frame of another split in one stack; cases
    that look odd to their dataset's reader (Synapse: organs on the wrong side); and what the guards
    find (``salstm.data.guards``), images that repeat among it: ``cannot be right: ...`` and ``may be
    wrong: ...``, with the case, class or pair, and as value what was found and what to do.

    Args:
        store: the prepared dataset.
        classes: names of the foreground classes.

    Raises:
        ValueError: a label that names no class.
    """
    store, parts = _in_parts(store)
    counts = {case.id: _counts(store, case) for case in store.cases}
    hashed = {split: list(_hashed(store, store.split(split))) for split in parts}
    odd = _oddities(store)
    rows = [row for split in parts for row in _split_facts(store, split, classes, counts)]
    # Cases that no training uses leak nothing.
    used = {split: frames for split, frames in hashed.items() if split != UNUSED}
    rows += [*_crossings(store), *_leaks(store, used), *odd]
    findings = [
        *guards.recorded(store.manifest["source"]),
        *guards.of_parts(*_presence(store, counts), classes),
        *_systematic(store, len(odd) - 1),
        *repeats.exact(store, hashed, classes),
        *repeats.near(used),
    ]
    rows += [{"split": "all", "fact": one.fact, "value": one.text} for one in findings]
    return pd.DataFrame(rows, columns=["split", "fact", "value"])


def _in_parts(store: Store) -> tuple[Store, tuple[str, ...]]:
    """The store with its parts: train, val, test and unused, or what each fold tests, which the others train on."""
    if not store.folds:
        return store, (*SPLITS, UNUSED) if store.split(UNUSED) else SPLITS
    tested = {
        group: f"fold {number}"
        for number, parts in enumerate(store.folds, start=1)
        for group, part in parts.items()
        if part == "test"
    }
    return Store(store.folder, tested), tuple(dict.fromkeys(tested.values()))


def judge(table: pd.DataFrame) -> None:
    """Say what an audit found that may be wrong, and refuse what cannot be right.

    Args:
        table: of ``audit``.

    Raises:
        ValueError: lists everything that cannot be right.
    """
    named = table[table["fact"].str.contains(f"^(?:{guards.SURE}|{guards.UNSURE}|oddities of)")]
    wrong = []
    for fact, value in zip(named["fact"], named["value"], strict=True):
        if fact.startswith(guards.SURE):
            wrong.append(f"{fact.partition(': ')[2]}: {value}")
        else:
            log.warning("%s: %s", fact, value)
    if wrong:
        raise ValueError(f"cannot be right ({len(wrong)}):\n  " + "\n  ".join(wrong))


def perceptual_hash(image: np.ndarray) -> int:
    """Difference hash: where brightness rises, from left to right and from top to bottom.

    On grids of 8 x 9 and 9 x 8 means; blind to size, brightness and contrast.

    Args:
        image: ``(H, W)`` or ``(H, W, 3)``.

    Returns:
        128 bits.
    """
    grey = image.mean(-1) if image.ndim == 3 else image
    if (times := -(-9 // min(grey.shape))) > 1:  # fewer pixels than cells
        grey = grey.repeat(times, axis=0).repeat(times, axis=1)
    across, down = (
        np.diff(_shrunk(grey, 8, 9), axis=1) > 0,
        np.diff(_shrunk(grey, 9, 8), axis=0) > 0,
    )
    return int.from_bytes(np.packbits([across.ravel(), down.ravel()]).tobytes())


def _shrunk(grey: np.ndarray, height: int, width: int) -> np.ndarray:
    """Means over the cells of a grid."""
    rows = np.array_split(np.arange(grey.shape[0]), height)
    columns = np.array_split(np.arange(grey.shape[1]), width)
    grid = np.add.reduceat(grey.astype(np.float64), [part[0] for part in rows], axis=0)
    grid = np.add.reduceat(grid, [part[0] for part in columns], axis=1)
    return grid / np.outer([len(part) for part in rows], [len(part) for part in columns])


def _counts(store: Store, case: Case) -> np.ndarray:
    """Voxels of each number in a case's label."""
    counts = np.zeros(256, dtype=np.int64)
    found = voxels_of(store.native(case))
    counts[: len(found)] = found
    return counts


def _presence(
    store: Store, counts: Mapping[str, np.ndarray]
) -> tuple[dict[str, dict[int, int]], list[set[int]]]:
    """Voxels of each number in each part that has cases, and the numbers of each case."""
    voxels: dict[str, dict[int, int]] = {}
    for case in store.cases:
        if case.split == UNUSED:
            continue
        part = voxels.setdefault(case.split, {})
        for number in np.flatnonzero(counts[case.id]):
            part[int(number)] = part.get(int(number), 0) + int(counts[case.id][number])
    return voxels, [set(np.flatnonzero(one).tolist()) for one in counts.values()]


def _split_facts(
    store: Store, split: str, classes: tuple[str, ...], counts: Mapping[str, np.ndarray]
) -> list[Row]:
    cases = store.split(split)
    if not cases:  # a published split without validation cases, for one
        return [{"split": split, "fact": "cases", "value": 0}]
    voxels = np.sum([counts[case.id] for case in cases], axis=0)
    present = np.sum([counts[case.id] > 0 for case in cases], axis=0)
    low, high = np.inf, -np.inf
    for case in cases:
        low, high = min(low, store.frames(case).min()), max(high, store.frames(case).max())
    if unknown := [label for label in np.flatnonzero(voxels) if label > len(classes)]:
        raise ValueError(
            f"{store.folder}: label {unknown[0]} names no class; 0 to {len(classes)} are known; "
            f"prepare the dataset again"
        )
    sizes = sorted({f"{case.native_height}x{case.native_width}" for case in cases})
    facts: dict[str, Any] = {
        "cases": len(cases),
        "groups": len({case.group for case in cases}),
        "frames": sum(case.depth for case in cases),
        "native sizes": " ".join(sizes) if len(sizes) <= 3 else f"{len(sizes)} different",
        "intensity minimum": float(low),
        "intensity maximum": float(high),
    }
    for label, name in enumerate(classes, start=1):
        facts[f"{name} voxels"] = int(voxels[label])
        facts[f"{name} cases"] = int(present[label])
    return [{"split": split, "fact": fact, "value": value} for fact, value in facts.items()]


def _crossings(store: Store) -> list[Row]:
    """Groups, and stacks, that stand in more than one split."""
    stacks = {(case.stack, case.split) for case in store.cases if case.split != UNUSED}
    counts = {
        "groups": len(splits.divided(store.cases)),
        "stacks": sum(number > 1 for number in Counter(stack for stack, _ in stacks).values()),
    }
    return [
        {"split": "all", "fact": f"{kind} in more than one split", "value": count}
        for kind, count in counts.items()
    ]


def _leaks(store: Store, hashed: Mapping[str, list[Frame]]) -> list[Row]:
    """Validation frames that training has too, and test frames that either has; of folds, those that one before has."""
    beside = Counter(_beside(store))
    rows = []
    for split, before in repeats.earlier(hashed):
        others = [frame for one in before for frame in hashed[one]]
        exact = {frame.digest for frame in others}
        near = np.array([frame.bits for frame in others], dtype=np.uint8).reshape(-1, BITS // 8)
        close = sum(_least_distance(frame.bits, near) <= NEAR for frame in hashed[split])
        facts = {
            "frames repeated exactly in another split": sum(
                frame.digest in exact for frame in hashed[split]
            ),
            f"frames within {NEAR} of {BITS} hash bits of one in another split": close,
            "frames beside a frame of another split": beside[split],
        }
        rows += [{"split": split, "fact": fact, "value": value} for fact, value in facts.items()]
    return rows


def _hashed(store: Store, cases: Iterable[Case]) -> Iterator[Frame]:
    for case in cases:
        for frame in store.frames(case):
            digest = hashlib.sha256(np.ascontiguousarray(frame).data).digest()
            bits = perceptual_hash(frame).to_bytes(BITS // 8)
            plain = frame.min() == frame.max()
            yield Frame(case, digest, np.frombuffer(bits, dtype=np.uint8), bool(plain))


def _least_distance(bits: np.ndarray, others: np.ndarray) -> int:
    if not len(others):
        return BITS
    return int(np.bitwise_count(others ^ bits).sum(axis=1, dtype=np.int64).min())


def _beside(store: Store) -> Iterator[str]:
    """The split of each frame whose previous or next frame in the stack is of another split."""
    for before, case, after in zip(
        [None, *store.cases[:-1]], store.cases, [*store.cases[1:], None], strict=True
    ):
        foreign = {
            end
            for end, other in ((0, before), (case.depth - 1, after))
            if other
            and other.stack == case.stack
            and other.split != case.split
            and UNUSED not in (other.split, case.split)
        }
        yield from [case.split] * len(foreign)


def _systematic(store: Store, odd: int) -> list[Finding]:
    """Patients differ; most of a dataset's patients do not."""
    if len(store.cases) < 3 or 2 * odd <= len(store.cases):
        return []
    text = (
        f"{odd} of {len(store.cases)} are odd (see the oddities): axes or numbers of the labels are other ones than "
        "they are taken for"
    )
    return [Finding("most cases", True, text)]


def _oddities(store: Store) -> list[Row]:
    """What the dataset's reader finds odd about single cases."""
    source = store.manifest["source"]
    if source.get("reader") not in datasets.modules(source["dataset"]):
        return []
    look = getattr(importlib.import_module(source["reader"]), "oddities", None)
    if look is None:
        return []
    odd = {case: "; ".join(look(store.native(case))) for case in store.cases}
    rows = [
        {"split": case.split, "fact": f"oddities of {case.id}", "value": text}
        for case, text in odd.items()
        if text
    ]
    return [{"split": "all", "fact": "cases with oddities", "value": len(rows)}, *rows]
