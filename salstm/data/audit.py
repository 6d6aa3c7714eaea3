"""Audit of prepared cases: what a reader should know before believing a number trained on them."""

from __future__ import annotations

import hashlib
import importlib
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import pandas as pd

from salstm.data import datasets, splits
from salstm.data.case import SPLITS, Case, voxels_of
from salstm.data.store import Store

BITS = 128
NEAR = 12
"""Bits in which the perceptual hashes of two near duplicates differ at most. On the frames and
images at hand (40 CVC frames, 120 ISIC images), unrelated ones differ in 20 or more, one in six neighbouring video
frames in 12 or fewer."""

Row = dict[str, Any]


def audit(store: Store, classes: tuple[str, ...]) -> pd.DataFrame:
    """One row per fact: ``split, fact, value``.

    Facts: cases, groups, frames, sizes, intensity range, voxels and cases of each class; groups and
    stacks that stand in more than one split; frames that another split repeats exactly (by hash) or
    nearly (by perceptual hash), or that lie beside a frame of another split in one stack; and cases
    that look odd to their dataset's reader (Synapse: organs on the wrong side).

    Args:
        store: the prepared dataset.
        classes: names of the foreground classes.

    Raises:
        ValueError: a label that names no class.
    """
    rows = [row for split in SPLITS for row in _split_facts(store, split, classes)]
    rows += [*_crossings(store), *_leaks(store), *_oddities(store)]
    return pd.DataFrame(rows, columns=["split", "fact", "value"])


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


def _split_facts(store: Store, split: str, classes: tuple[str, ...]) -> list[Row]:
    cases = store.split(split)
    if not cases:  # a published split without validation cases, for one
        return [{"split": split, "fact": "cases", "value": 0}]
    voxels, present = np.zeros((2, 256), dtype=np.int64)
    low, high = np.inf, -np.inf
    for case in cases:
        counts = np.zeros(256, dtype=np.int64)
        found = voxels_of(store.native(case))
        counts[: len(found)] = found
        voxels, present = voxels + counts, present + (counts > 0)
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
    stacks = {(case.stack, case.split) for case in store.cases}
    counts = {
        "groups": len(splits.divided(store.cases)),
        "stacks": sum(number > 1 for number in Counter(stack for stack, _ in stacks).values()),
    }
    return [
        {"split": "all", "fact": f"{kind} in more than one split", "value": count}
        for kind, count in counts.items()
    ]


def _leaks(store: Store) -> list[Row]:
    """Validation frames that training has too, and test frames that either has."""
    hashed = {split: list(_hashed(store, store.split(split))) for split in SPLITS}
    beside = Counter(_beside(store))
    rows = []
    for split, before in (("val", ("train",)), ("test", ("train", "val"))):
        others = [entry for one in before for entry in hashed[one]]
        exact = {digest for digest, _ in others}
        near = np.array([bits for _, bits in others], dtype=np.uint8).reshape(-1, BITS // 8)
        close = sum(_least_distance(bits, near) <= NEAR for _, bits in hashed[split])
        facts = {
            "frames repeated exactly in another split": sum(
                digest in exact for digest, _ in hashed[split]
            ),
            f"frames within {NEAR} of {BITS} hash bits of one in another split": close,
            "frames beside a frame of another split": beside[split],
        }
        rows += [{"split": split, "fact": fact, "value": value} for fact, value in facts.items()]
    return rows


def _hashed(store: Store, cases: Iterable[Case]) -> Iterator[tuple[bytes, np.ndarray]]:
    """SHA-256 and perceptual hash (bytes) of each frame."""
    for case in cases:
        for frame in store.frames(case):
            digest = hashlib.sha256(np.ascontiguousarray(frame).data).digest()
            bits = perceptual_hash(frame).to_bytes(BITS // 8)
            yield digest, np.frombuffer(bits, dtype=np.uint8)


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
            if other and other.stack == case.stack and other.split != case.split
        }
        yield from [case.split] * len(foreign)


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
