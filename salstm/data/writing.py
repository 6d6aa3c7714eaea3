"""Writing a store: case after case into flat files, all or nothing."""

from __future__ import annotations

import dataclasses
import functools
import json
import shutil
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from salstm import vocabulary
from salstm.data import groups
from salstm.data.augment.intensity import NORMALISATIONS
from salstm.data.case import SPLITS, UNUSED, Case, RawCase, Reading, voxels_of, write_cases
from salstm.data.groups import Digests, digests
from salstm.data.readers.npy import FlatWriter, packed, sha256
from salstm.data.resize import on_grid

Splits = Mapping[str, str] | Callable[[list[str]], Mapping[str, str]]
FORMAT = 2
_FILES = ("images.npy", "labels.npy", "native.npy")
_ALL = (*_FILES, "cases.csv", "manifest.json", "facts.csv")


def write(
    folder: Path | str,
    readings: Iterable[Reading],
    splits: Splits,
    *,
    size: int | None,
    normalise: str,
    source: Mapping[str, Any],
    threads: int = 1,
) -> None:
    """Write a store to ``<folder>.partial`` and rename it at the end.

    A failure or an interrupt leaves nothing behind. Memory holds one case a thread. The same input
    gives the same bytes, whatever the number of threads. Groups that share an image become one
    (``salstm.data.groups``), named as the first of them; the manifest's source says which did.

    Args:
        folder: where the store goes; an older store there is replaced.
        readings: functions that read the cases; stack after stack, frames in order.
        splits: split of each case id or, where the id is not named, of the group that its reader
            gives it; or a function that draws them, from the groups of the cases as they are in the
            end.
        size: side of the square stored frames in pixels, or None for the native size.
        normalise: a name from ``salstm.data.augment.intensity``, applied per case before resizing.
        source: where the data came from; goes into the manifest as it is at the end.
        threads: cases that are read and resized at once.

    Raises:
        ValueError: no cases, a case without a split, cases out of order, shapes that do not match,
            or labels that are not uint8.
        FileExistsError: the folder holds something that is not a store.
    """
    folder = Path(folder)
    vocabulary.check("normalise", normalise, NORMALISATIONS)
    # Snakemake removes the outputs that it knows before it prepares again;
    # native.npy, which not every store has, stays.
    foreign = folder.exists() and any(path.name not in _ALL for path in folder.iterdir())
    if foreign and not (folder / "manifest.json").is_file():
        raise FileExistsError(
            f"{folder}: not empty and not a store; choose another folder or empty it"
        )
    partial = folder.with_name(f"{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    finish = functools.partial(_finished, size=size, normalise=normalise)
    try:
        with _Writer(partial) as writer:
            for made in _ahead(lambda reading: finish(reading()), readings, threads):
                writer.add(made)
        if not writer.cases:
            raise ValueError(f"{folder.name}: the reader found no cases; check the raw folder")
        same = writer.place(splits)
        parameters = {"size": size, "normalise": normalise}
        _conclude(partial, writer, {"parameters": parameters, "source": {**source, **same}})
        shutil.rmtree(folder, ignore_errors=True)
        partial.rename(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _ahead(
    function: Callable[[Reading], _Made], readings: Iterable[Reading], threads: int
) -> Iterator[_Made]:
    """Results in order, up to ``threads`` being made at once; decoding and products leave Python's lock alone."""
    pool = ThreadPoolExecutor(max(1, threads))
    waiting: deque[Future[_Made]] = deque()
    try:
        for reading in readings:
            waiting.append(pool.submit(function, reading))
            if len(waiting) > threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


def _conclude(folder: Path, writer: _Writer, facts: Mapping[str, Any]) -> None:
    write_cases(folder / "cases.csv", writer.cases)
    manifest = {
        "format": FORMAT,
        **facts,
        "arrays": {file.path.name: _entry(file) for file in writer.files},
        "native_ends": writer.native_ends,
        "voxels": writer.voxels(),
        "intensity": writer.intensity,
    }
    text = json.dumps(manifest, indent=1, sort_keys=True)
    (folder / "manifest.json").write_text(text + "\n", encoding="utf-8")


def _entry(file: FlatWriter) -> dict[str, Any]:
    return {
        "bytes": file.path.stat().st_size,
        "items": file.size,
        "dtype": file.dtype.str,
        "sha256": sha256(file.path),
    }


@dataclass(frozen=True)
class _Made:
    """A case as it is stored, and what is known of it; its raw image is gone.

    Attributes:
        case: its row, but for the place in the store.
        first: index of its first frame inside its stack.
        images: on the stored grid.
        labels: on the stored grid.
        native: compressed labels in native size, None if that is the stored grid.
        voxels: number of voxels of each label, in native size.
        ranges: lowest and highest value, ``raw`` and ``stored``.
        digests: of the frames as they were read.
    """

    case: Case
    first: int
    images: np.ndarray
    labels: np.ndarray
    native: np.ndarray | None
    voxels: list[int]
    ranges: dict[str, tuple[float, float]]
    digests: Digests


def _finished(raw: RawCase, *, size: int | None, normalise: str) -> _Made:
    """Check, normalise and resize one case."""
    _check_arrays(raw)
    image = NORMALISATIONS[normalise](raw.image)
    if image.dtype != (np.uint8 if image.ndim == 4 else np.float32):
        raise ValueError(
            f"normalise {normalise!r}: made {image.dtype} of {raw.id}; it is for grey images"
        )
    images, labels = on_grid(image, raw.label, size)
    spacing = raw.spacing_mm or (float("nan"),) * 3
    case = Case(
        id=raw.id,
        group=raw.group,
        split="",
        stack=raw.stack,
        first=0,
        depth=len(images),
        height=images.shape[1],
        width=images.shape[2],
        channels=3 if images.ndim == 4 else 1,
        native_height=raw.label.shape[1],
        native_width=raw.label.shape[2],
        spacing_z=float(spacing[0]),
        spacing_y=float(spacing[1]),
        spacing_x=float(spacing[2]),
    )
    return _Made(
        case=case,
        first=raw.first,
        images=images,
        labels=labels,
        native=packed(raw.label) if size else None,
        voxels=voxels_of(raw.label),
        ranges={
            name: (float(array.min()), float(array.max()))
            for name, array in (("raw", raw.image), ("stored", images))
        },
        digests=digests(raw.image),
    )


class _Writer(ExitStack):
    """The open files and the running counts of one store."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder = folder
        self.cases: list[Case] = []
        self.files: list[FlatWriter] = []
        self.native_ends: list[int] = []
        self.counts: list[list[int]] = []
        self.digests: list[Digests] = []
        self.intensity: dict[str, list[float]] = {}
        self._ids: set[str] = set()
        self._frames = 0
        self._stacks: dict[str, int] = {}

    def add(self, made: _Made) -> None:
        """Check a case against those before it, and append it."""
        case = dataclasses.replace(made.case, first=self._frames)
        self._check_order(case, made.first)
        self._check_alike(case)
        arrays = [made.images, made.labels] + ([] if made.native is None else [made.native])
        if not self.files:
            for name, array in zip(_FILES, arrays, strict=False):
                self.files.append(
                    self.enter_context(FlatWriter(self.folder / name, array.dtype.str))
                )
        for file, array in zip(self.files, arrays, strict=True):
            file.append(array)
        if made.native is not None:
            self.native_ends.append(self.files[-1].size)
        self._extend(made)
        self.cases.append(case)
        self._frames += case.depth
        self._stacks[case.stack] = made.first + case.depth

    def _check_order(self, case: Case, first: int) -> None:
        if case.id in self._ids:
            raise ValueError(f"case {case.id}: appears twice; ids must be unique")
        self._ids.add(case.id)
        goes_on = bool(self.cases) and self.cases[-1].stack == case.stack
        if case.stack in self._stacks and not goes_on:
            raise ValueError(
                f"case {case.id}: its stack {case.stack} was interrupted; yield stack after stack"
            )
        if first != (expected := self._stacks.get(case.stack, 0)):
            raise ValueError(
                f"case {case.id}: starts at frame {first} of {case.stack}, {expected} is next"
            )

    def _check_alike(self, case: Case) -> None:
        if not self.cases:
            return
        last = self.cases[-1]
        if case.channels != last.channels:
            raise ValueError(
                f"case {case.id}: {case.channels} channels, {last.id} has {last.channels}"
            )
        size, before = (case.height, case.width), (last.height, last.width)
        if case.stack == last.stack and size != before:
            raise ValueError(
                f"case {case.id}: {size} pixels, {before} in the rest of stack {case.stack}; "
                f"frames of a stack must have one size; prepare with a fixed size"
            )

    def place(self, splits: Splits) -> dict[str, Any]:
        """Give each case its split, and the group that it is of once those with the same images are one.

        Returns:
            Where there are such: ``same_images``, group -> the group that it joined, and ``annotated_twice``, pairs
            of cases with the same images.
        """
        united = groups.united(self.cases, self.digests)
        parts = splits(sorted(set(united.values()))) if callable(splits) else splits
        twice = groups.repeated(self.cases, self.digests)
        self.cases = [
            dataclasses.replace(
                case, group=united[case.group], split=_split_of(case, united[case.group], parts)
            )
            for case in self.cases
        ]
        joined = {one: other for one, other in united.items() if one != other}
        return {"same_images": joined, "annotated_twice": twice} if joined or twice else {}

    def voxels(self) -> dict[str, dict[str, int]]:
        """How many voxels each label has in each split."""
        found: dict[str, Counter[str]] = {split: Counter() for split in SPLITS}
        for case, counts in zip(self.cases, self.counts, strict=True):
            part = found.setdefault(case.split, Counter())
            part.update({str(value): count for value, count in enumerate(counts) if count})
        return {split: dict(sorted(count.items())) for split, count in found.items()}

    def _extend(self, made: _Made) -> None:
        self.counts.append(made.voxels)
        self.digests.append(made.digests)
        for name, (lowest, highest) in made.ranges.items():
            low, high = self.intensity.get(name, [np.inf, -np.inf])
            self.intensity[name] = [min(low, lowest), max(high, highest)]


def _check_arrays(raw: RawCase) -> None:
    image, label = raw.image.shape, raw.label.shape
    grey = len(image) == 3
    colour = len(image) == 4 and image[3] == 3 and raw.image.dtype == np.uint8
    if not (grey or colour) or image[:3] != label or min(label, default=0) < 1:
        raise ValueError(
            f"case {raw.id}: image {image} {raw.image.dtype} with label {label}; (D, H, W) or "
            f"uint8 (D, H, W, 3) with (D, H, W) is expected"
        )
    if raw.label.dtype != np.uint8:
        raise ValueError(f"case {raw.id}: label of {raw.label.dtype}; uint8 is expected")


def _split_of(case: Case, united: str, splits: Mapping[str, str]) -> str:
    """A list may name the case or its group; a draw is of united groups."""
    split = splits.get(case.id, splits.get(case.group, splits.get(united)))
    if split not in (*SPLITS, UNUSED):
        raise ValueError(
            f"case {case.id} of {case.group}: split {split!r}; one of {', '.join(SPLITS)} or {UNUSED} "
            f"is expected; name the case or its group in the split"
        )
    return split
