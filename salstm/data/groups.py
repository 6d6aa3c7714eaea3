"""Cases with the same images are of one group: the same patient under two names must not train and test."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np

from salstm.data.case import Case

Digests = tuple[bytes, ...]
"""Of a case's frames in native size, before anything is done to their values; nothing of frames of one value."""


def digests(image: np.ndarray) -> Digests:
    """Hash the frames of a case that are not of one value all over, as padding is.

    Args:
        image: ``(D, H, W)`` or ``(D, H, W, 3)``.
    """
    kind = hashlib.sha256(f"{image.dtype.str} {image.shape[1:]}".encode())
    found = []
    for frame in image:
        if not _plain(frame):
            hashed = kind.copy()
            hashed.update(np.ascontiguousarray(frame).data)
            found.append(hashed.digest())
    return tuple(found)


def _plain(frame: np.ndarray) -> bool:
    """Whether a frame is of one value all over; most are told from their corner and their middle."""
    middle = tuple(side // 2 for side in frame.shape)
    if frame[(0,) * frame.ndim] != frame[middle]:
        return False
    return bool(frame.min() == frame.max())


def united(cases: Sequence[Case], frames: Sequence[Digests]) -> dict[str, str]:
    """The group of each group: its own name, or the first one's with which it shares a frame, value for value.

    Args:
        cases: in the order of the store, their groups as the reader says.
        frames: ``digests`` of each case.
    """
    root: dict[str, str] = {case.group: case.group for case in cases}
    place = {group: number for number, group in enumerate(root)}

    def find(group: str) -> str:
        while root[group] != group:
            group = root[group]
        return group

    first: dict[bytes, str] = {}
    for case, found in zip(cases, frames, strict=True):
        for digest in found:
            one, other = find(first.setdefault(digest, case.group)), find(case.group)
            early, late = sorted((one, other), key=place.__getitem__)
            root[late] = early
    return {group: find(group) for group in root}


def repeated(cases: Sequence[Case], frames: Sequence[Digests]) -> list[list[str]]:
    """Pairs of ids of cases with the same frames in the same order: one patient or picture annotated twice.

    Args:
        cases: in the order of the store.
        frames: ``digests`` of each case.

    Returns:
        Each later case with the first that is like it.
    """
    first: dict[Digests, str] = {}
    found = []
    for case, one in zip(cases, frames, strict=True):
        if one and first.setdefault(one, case.id) != case.id:
            found.append([first[one], case.id])
    return found
