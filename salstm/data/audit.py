"""Audit of prepared cases: what a reader should know before believing a number trained on them."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from typing import Any

import numpy as np
import pandas as pd

from salstm.data.case import SPLITS, Case
from salstm.data.store import Store

NEAR = 4
"""Bits of 64 in which the perceptual hashes of two near duplicates differ at most."""


def audit(store: Store, classes: tuple[str, ...]) -> pd.DataFrame:
    """One row per fact: ``split, fact, value``.

    Facts: cases, groups, frames, sizes, intensity range, voxels and cases of each class, exact duplicates between
    splits (same frame by hash), near duplicates between splits (perceptual hash), groups and stacks on both sides.

    Args:
        store: the prepared dataset.
        classes: names of the foreground classes.

    Raises:
        ValueError: a split without cases, or a label that names no class.
    """
    rows = [row for split in SPLITS for row in _split_facts(store, split, classes)]
    rows += _crossings(store)
    rows += _duplicates(store)
    return pd.DataFrame(rows, columns=["split", "fact", "value"])


def perceptual_hash(image: np.ndarray) -> int:
    """Difference hash: 64 bits that say whether brightness rises between neighbours on an 8 x 9 grid."""
    grey = image.mean(-1) if image.ndim == 3 else image
    rows = np.array_split(np.arange(grey.shape[0]), 8)
    columns = np.array_split(np.arange(grey.shape[1]), 9)
    grid = np.add.reduceat(grey.astype(np.float64), [part[0] for part in rows], axis=0)
    grid = np.add.reduceat(grid, [part[0] for part in columns], axis=1)
    sizes = np.outer([len(part) for part in rows], [len(part) for part in columns])
    bits = np.diff(grid / sizes, axis=1) > 0
    return int.from_bytes(np.packbits(bits).tobytes())


def _split_facts(store: Store, split: str, classes: tuple[str, ...]) -> list[dict[str, Any]]:
    cases = store.split(split)
    if not cases:
        raise ValueError(
            f"{store.folder}: no case in split {split}; every split needs at least one: change the split"
        )
    voxels = np.zeros(256, dtype=np.int64)
    present = np.zeros(256, dtype=np.int64)
    low, high = np.inf, -np.inf
    for case in cases:
        counts = np.bincount(store.native(case).ravel(), minlength=256)
        voxels, present = voxels + counts, present + (counts > 0)
        low, high = min(low, store.frames(case).min()), max(high, store.frames(case).max())
    if unknown := [label for label in np.flatnonzero(voxels) if label > len(classes)]:
        raise ValueError(
            f"{store.folder}: label {unknown[0]} names no class; {len(classes)} are known"
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


def _crossings(store: Store) -> list[dict[str, Any]]:
    """Groups, and stacks, that stand in more than one split."""
    rows = []
    for kind in ("group", "stack"):
        splits = defaultdict(set)
        for case in store.cases:
            splits[getattr(case, kind)].add(case.split)
        crossing = sum(len(found) > 1 for found in splits.values())
        rows.append({"split": "all", "fact": f"{kind}s in more than one split", "value": crossing})
    return rows


def _duplicates(store: Store) -> list[dict[str, Any]]:
    """Test frames that also stand, exactly or nearly, in training or validation."""
    test = list(_hashed(store, store.split("test")))
    other = list(_hashed(store, [case for case in store.cases if case.split != "test"]))
    exact = {digest for digest, _ in other}
    near = np.array([bits for _, bits in other], dtype=np.uint64)
    same = sum(digest in exact for digest, _ in test)
    close = sum(bool((np.bitwise_count(near ^ np.uint64(bits)) <= NEAR).any()) for _, bits in test)
    facts = {
        "frames of other splits repeated exactly": same,
        f"frames within {NEAR} of 64 hash bits of one in another split": close,
    }
    return [{"split": "test", "fact": fact, "value": value} for fact, value in facts.items()]


def _hashed(store: Store, cases: list[Case]) -> Any:
    for case in cases:
        for frame in store.frames(case):
            yield hashlib.sha256(frame.tobytes()).digest(), perceptual_hash(frame)
