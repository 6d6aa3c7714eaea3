"""Prepared cases on disk: flat memory maps, so that a frame is one slice without decoding.

A folder of files: ``images.npy`` and ``labels.npy`` on the stored grid, ``cases.csv`` and
``manifest.json``; and ``native.npy`` with the labels in native size, unless that is the stored one.
The arrays are flat; offsets follow from ``cases.csv``. One flat map read 16,000 windows a second
where decoded files gave 400 to 2,500 (three slices of 216x256 on one thread). Images are kept on
the stored grid alone: only labels are needed in native size, once a scoring, so they are compressed
case by case (the 2594 masks of ISIC2018 would fill some 18 GB as bytes).
"""

from __future__ import annotations

import dataclasses
import itertools
import json
import math
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from salstm.data.case import Case, read_cases
from salstm.data.readers.npy import open_flat, sha256, unpacked
from salstm.data.writing import FORMAT, write

__all__ = ["FORMAT", "Store", "verify", "write"]


class Store:
    """Read access to a prepared dataset. Cheap to open, and to send to worker processes.

    All arrays it returns are read-only, and views of the memory map but for native labels.

    Args:
        folder: that ``write`` left.
        parts: group -> what the cases of that group are in place of what ``cases.csv`` says; see ``fold``.

    Raises:
        FileNotFoundError: no store in the folder, or one of its files is missing.
        ValueError: another format version, a damaged file, or files that do not belong together.
    """

    def __init__(self, folder: Path | str, parts: Mapping[str, str] | None = None) -> None:
        self.folder, self.parts = Path(folder), parts
        self.manifest = _manifest(self.folder)
        self.cases = read_cases(self.folder / "cases.csv")
        if parts is not None:
            self.cases = [dataclasses.replace(one, split=parts[one.group]) for one in self.cases]
        arrays = self.manifest["arrays"]
        self._images = open_flat(self.folder / "images.npy", arrays["images.npy"])
        self._labels = open_flat(self.folder / "labels.npy", arrays["labels.npy"])
        self._native: np.ndarray | None = None
        if "native.npy" in arrays:
            self._native = open_flat(self.folder / "native.npy", arrays["native.npy"])
        self._index()

    def __len__(self) -> int:
        """Frames in the store."""
        return len(self._owner)

    def __reduce__(self) -> tuple[type[Store], tuple[Path, Mapping[str, str] | None]]:
        """Pickle the folder, not the data: each process maps the files itself."""
        return Store, (self.folder, self.parts)

    @property
    def folds(self) -> list[dict[str, str]]:
        """Of each fold of a cross-validation, group -> split; none where each case has one part for good.

        A store in folds says of every case that it is tested.
        """
        return self.manifest["source"].get("folds", [])

    def fold(self, number: int | None) -> Store:
        """The same cases in the parts that they have in a fold.

        Args:
            number: of the fold, from 1; None where there are none.

        Raises:
            ValueError: no such fold, or none is named and there are some.
        """
        if number is None and not self.folds:
            return self
        if number is None or not 1 <= number <= len(self.folds):
            there = f"1 to {len(self.folds)}" if self.folds else "none"
            raise ValueError(
                f"{self.folder}: fold {number or 'not named'}; there are {there}; the split of the cases decides"
            )
        return Store(self.folder, self.folds[number - 1])

    def frames(self, case: Case) -> np.ndarray:
        """The case's images: ``(D, H, W)`` float32, or ``(D, H, W, 3)`` uint8."""
        shape = (case.depth, case.height, case.width) + ((3,) if case.channels == 3 else ())
        return _cut(self._images, self._pixels[case.first] * case.channels, shape)

    def labels(self, case: Case) -> np.ndarray:
        """The case's labels on the stored grid: ``(D, H, W)`` uint8."""
        return _cut(self._labels, self._pixels[case.first], (case.depth, case.height, case.width))

    def native(self, case: Case) -> np.ndarray:
        """The case's labels in native size: ``(D, native_height, native_width)`` uint8.

        Raises:
            ValueError: the file is damaged.
        """
        if self._native is None:
            return self.labels(case)
        start, end = self._native_spans[case.first]
        shape = (case.depth, case.native_height, case.native_width)
        name = f"{self.folder / 'native.npy'}, {case.id}"
        return unpacked(self._native[start:end], shape, name)

    def frame(self, number: int) -> np.ndarray:
        """Image by frame number in the store: ``(H, W)`` float32 or ``(H, W, 3)`` uint8."""
        case = self._owner[number]
        shape = (case.height, case.width) + ((3,) if case.channels == 3 else ())
        return _cut(self._images, self._pixels[number] * case.channels, shape)

    def label(self, number: int) -> np.ndarray:
        """Label by frame number in the store: ``(H, W)`` uint8."""
        case = self._owner[number]
        return _cut(self._labels, self._pixels[number], (case.height, case.width))

    def stack_bounds(self, case: Case) -> tuple[int, int]:
        """Numbers of the first and the last frame of the case's stack, both inside it."""
        return self._stacks[case.stack]

    def case(self, identity: str) -> Case:
        """The case of that id.

        Raises:
            KeyError: no such case; the message says how many there are and names the first.
        """
        try:
            return self._by_id[identity]
        except KeyError:
            raise KeyError(
                f"case {identity!r}: not in {self.folder}, which has {len(self.cases)}, "
                f"from {self.cases[0].id} to {self.cases[-1].id}"
            ) from None

    def split(self, name: str) -> list[Case]:
        """The cases of 'train', 'val' or 'test', in store order."""
        return [case for case in self.cases if case.split == name]

    @property
    def is_native(self) -> bool:
        """Whether all frames are stored in the size in which they came."""
        return all(
            (case.height, case.width) == (case.native_height, case.native_width)
            for case in self.cases
        )

    @cached_property
    def _by_id(self) -> dict[str, Case]:
        return {case.id: case for case in self.cases}

    def _index(self) -> None:
        """Lay out the offset of every frame, in pixels, and the bounds of every stack."""
        self._owner = [case for case in self.cases for _ in range(case.depth)]
        stored = [case.height * case.width for case in self._owner]
        self._pixels = [0, *np.cumsum(stored).tolist()]
        ends = self.manifest["native_ends"]
        firsts = [case.first for case in self.cases]
        self._native_spans = dict(zip(firsts, itertools.pairwise([0, *ends]), strict=False))
        self._stacks: dict[str, tuple[int, int]] = {}
        frames = 0
        for case in self.cases:
            if case.first != frames:
                raise ValueError(
                    f"{self.folder}/cases.csv: {case.id} starts at frame {case.first}, not {frames}"
                )
            first = self._stacks.get(case.stack, (frames, 0))[0]
            frames += case.depth
            self._stacks[case.stack] = (first, frames - 1)
        self._check_sizes()

    def _check_sizes(self) -> None:
        ends = self.manifest["native_ends"]
        native = () if self._native is None else (self._native.size, len(ends))
        found = (self._images.size, self._labels.size, *native)
        channels = self.cases[0].channels if self.cases else 1
        expected = (self._pixels[-1] * channels, self._pixels[-1])
        expected += (ends[-1], len(self.cases)) if native else ()
        if found != expected:
            raise ValueError(
                f"{self.folder}: arrays of {found} values, cases.csv describes {expected}; the "
                f"files do not belong together; delete the folder and prepare the dataset again"
            )


def _cut(flat: np.ndarray, start: int, shape: tuple[int, ...]) -> np.ndarray:
    return flat[start : start + math.prod(shape)].reshape(shape)


def _manifest(folder: Path) -> dict[str, Any]:
    path = folder / "manifest.json"
    if not path.is_file():
        raise FileNotFoundError(
            f"{folder}: no prepared dataset there ({path.name} is missing); prepare it first"
        )
    manifest = json.loads(path.read_text(encoding="utf-8"))
    if manifest.get("format") != FORMAT:
        raise ValueError(
            f"{folder}: format {manifest.get('format')}, this program reads {FORMAT}; "
            f"delete the folder and prepare the dataset again"
        )
    return manifest


def verify(folder: Path | str) -> list[str]:
    """Recompute the hash of every array file: what a reader who distrusts the disk calls.

    Returns:
        The problems found, one sentence each; none if the store is what was written.
    """
    folder = Path(folder)
    arrays = _manifest(folder)["arrays"]
    return [
        f"{folder / name}: content differs from the manifest; prepare the dataset again"
        for name, entry in arrays.items()
        if sha256(folder / name) != entry["sha256"]
    ]
