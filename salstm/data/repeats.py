"""Images that are there twice: which cases, in which parts, and whether their labels agree."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from salstm.data import splits
from salstm.data.case import Case
from salstm.data.guards import Finding
from salstm.data.store import Store

TOLD = 20
"""Pairs that an audit names; the others are counted."""
NEAR = 12
"""Bits in which the perceptual hashes of two near duplicates differ at most. On the frames and
images at hand (40 CVC frames, 120 ISIC images), unrelated ones differ in 20 or more, one in six neighbouring video
frames in 12 or fewer."""
CURE = "one patient or picture twice? Keep one of them, or keep both in one part"
WHOLE = "one patient or picture twice: one group, which the split keeps whole"
DIVIDED = (
    "one patient or picture twice: one group, which the split divides, so that strict refuses it"
)


@dataclass(frozen=True)
class Frame:
    """A frame's hashes.

    Attributes:
        case: that it belongs to.
        digest: SHA-256 of its values.
        bits: perceptual hash, 16 bytes.
        plain: of one value all over, as padding is.
    """

    case: Case
    digest: bytes
    bits: np.ndarray
    plain: bool


def exact(
    store: Store, hashed: Mapping[str, Iterable[Frame]], classes: Sequence[str]
) -> list[Finding]:
    """Pairs of cases that share frames, value for value."""
    first: dict[bytes, Case] = {}
    shared: Counter[tuple[Case, Case]] = Counter()
    frames = [one for found in hashed.values() for one in found if not one.plain]
    for frame in sorted(frames, key=lambda one: one.case.first):
        case = first.setdefault(frame.digest, frame.case)
        if case.id != frame.case.id:
            shared[case, frame.case] += 1
    divided = set(splits.divided(store.cases))
    pairs = sorted(shared.items(), key=lambda pair: (pair[0][0].first, pair[0][1].first))
    named = [
        Finding(
            f"images of {one.id} and {other.id}",
            False,
            f"{count} of {one.depth} frames are the same ({one.split}, {other.split}), "
            f"{_labels(store, one, other, classes)}; "
            f"{DIVIDED if {one.group, other.group} & divided else WHOLE}",
        )
        for (one, other), count in pairs
    ]
    return _first(named, "repeated images")


def earlier(parts: Iterable[str]) -> list[tuple[str, tuple[str, ...]]]:
    """Each part but the first, with those before it."""
    names = tuple(parts)
    return [(name, names[:at]) for at, name in enumerate(names) if at]


def near(hashed: Mapping[str, Sequence[Frame]]) -> list[Finding]:
    """Pairs of colour pictures of two groups and two parts that look the same; the nearest of each."""
    found = []
    for part, before in earlier(hashed):
        others = [frame for one in before for frame in hashed[one] if frame.case.channels == 3]
        if not others:
            continue
        bits = np.stack([frame.bits for frame in others])
        digests = {frame.digest for frame in others}
        groups = np.array([frame.case.group for frame in others])
        for frame in hashed[part]:
            if frame.digest in digests:
                continue
            apart = np.bitwise_count(bits ^ frame.bits).sum(axis=1, dtype=np.int64)
            apart[groups == frame.case.group] = NEAR + 1
            if (least := int(apart.min())) <= NEAR:
                other = others[int(apart.argmin())].case
                text = f"alike but for {least} of {8 * bits.shape[1]} hash bits ({other.split}, {part}); {CURE}"
                found.append(Finding(f"images of {other.id} and {frame.case.id}", False, text))
    return _first(found, "images that look alike")


def _first(found: list[Finding], what: str) -> list[Finding]:
    if len(found) <= TOLD:
        return found
    rest = Finding(f"{what}, the others", False, f"{len(found) - TOLD} more such pairs")
    return [*found[:TOLD], rest]


def _labels(store: Store, one: Case, other: Case, classes: Sequence[str]) -> str:
    """Whether the labels of two cases agree, and how far."""
    label, truth = store.native(one), store.native(other)
    if label.shape != truth.shape:
        return "of another number or size"
    if np.array_equal(label, truth):
        return "with the same labels"
    found = []
    for number, name in enumerate(classes, start=1):
        mine, theirs = label == number, truth == number
        if total := int(mine.sum() + theirs.sum()):
            found.append(f"{name} {2 * int((mine & theirs).sum()) / total:.3f}")
    return f"with other labels (Dice of the two: {', '.join(found)})"
