"""Writing a store: case after case into flat files, all or nothing."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from salstm.data import choices
from salstm.data.case import SPLITS, Case, RawCase, write_cases
from salstm.data.flat import FlatWriter, sha256
from salstm.data.intensity import NORMALISATIONS
from salstm.data.resize import on_grid

FORMAT = 1


def write(
    folder: Path | str,
    raw_cases: Iterable[RawCase],
    splits: Mapping[str, str],
    *,
    size: int | None,
    normalise: str,
    source: Mapping[str, Any],
) -> None:
    """Write a store to ``<folder>.partial`` and rename it at the end.

    A failure or an interrupt leaves nothing behind. Memory holds one case at a time. The same input
    gives the same bytes.

    Args:
        folder: where the store goes; an older store there is replaced.
        raw_cases: stack after stack, frames in order.
        splits: split of each case id or, where the id is not named, of its group.
        size: side of the square stored frames in pixels, or None for the native size.
        normalise: a name from ``salstm.data.intensity``, applied per case before resizing.
        source: where the data came from; goes into the manifest as it is.

    Raises:
        ValueError: no cases, a case without a split, cases out of order, shapes that do not match,
            or labels that are not uint8.
        FileExistsError: the folder holds something that is not a store.
    """
    folder = Path(folder)
    choices.check("normalise", normalise, NORMALISATIONS)
    if folder.exists() and any(folder.iterdir()) and not (folder / "manifest.json").is_file():
        raise FileExistsError(
            f"{folder}: not empty and not a store; choose another folder or empty it"
        )
    partial = folder.with_name(f"{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        with _Writer(partial, splits, size, normalise) as writer:
            for raw in raw_cases:
                writer.add(raw)
        _finish(partial, writer, source)
        shutil.rmtree(folder, ignore_errors=True)
        partial.rename(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _finish(folder: Path, writer: _Writer, source: Mapping[str, Any]) -> None:
    if not writer.cases:
        raise ValueError(f"{folder.stem}: the reader found no cases; check the raw folder")
    write_cases(folder / "cases.csv", writer.cases)
    arrays = {file.path.name: _entry(file) for file in writer.files}
    if (
        "native.npy" not in arrays
    ):  # the stored grid is the native one: a second name, not a second copy
        _link(folder / "labels.npy", folder / "native.npy")
        arrays["native.npy"] = arrays["labels.npy"]
    manifest = {
        "format": FORMAT,
        "parameters": {"size": writer.size, "normalise": writer.normalise},
        "source": dict(source),
        "arrays": arrays,
        "voxels": {split: dict(sorted(count.items())) for split, count in writer.voxels.items()},
        "intensity": writer.intensity,
    }
    text = json.dumps(manifest, indent=1, sort_keys=True)
    (folder / "manifest.json").write_text(text + "\n", encoding="utf-8")


def _link(path: Path, name: Path) -> None:
    try:
        name.hardlink_to(path)
    except OSError:  # a file system without hard links
        shutil.copyfile(path, name)


def _entry(file: FlatWriter) -> dict[str, Any]:
    return {
        "bytes": file.path.stat().st_size,
        "items": file.size,
        "dtype": file.dtype.str,
        "sha256": sha256(file.path),
    }


class _Writer(ExitStack):
    """The open files and the running counts of one store."""

    def __init__(
        self, folder: Path, splits: Mapping[str, str], size: int | None, normalise: str
    ) -> None:
        super().__init__()
        self.folder, self.splits, self.size, self.normalise = folder, splits, size, normalise
        self.cases: list[Case] = []
        self.files: list[FlatWriter] = []
        self.voxels: dict[str, Counter[str]] = {split: Counter() for split in SPLITS}
        self.intensity: dict[str, list[float]] = {}
        self._ids: set[str] = set()
        self._frames = 0
        self._stacks: dict[str, int] = {}

    def add(self, raw: RawCase) -> None:
        """Check, normalise, resize and append one case."""
        _check_arrays(raw)
        self._check_order(raw)
        image = NORMALISATIONS[self.normalise](raw.image)
        if image.dtype != (np.uint8 if image.ndim == 4 else np.float32):
            raise ValueError(
                f"normalise {self.normalise!r}: made {image.dtype} of {raw.id}; it is for grey "
                f"images"
            )
        images, labels = on_grid(image, raw.label, self.size)
        case = self._case(raw, images)
        if not self.files:
            self._open(images.dtype)
        for file, array in zip(self.files, (images, labels, raw.label), strict=False):
            file.append(array)
        self._count(case.split, raw, images)
        self.cases.append(case)
        self._frames += case.depth
        self._stacks[raw.stack] = raw.first + case.depth

    def _open(self, dtype: np.dtype) -> None:
        names = [("images.npy", dtype.str), ("labels.npy", "|u1"), ("native.npy", "|u1")]
        for name, kind in names if self.size else names[:2]:
            self.files.append(self.enter_context(FlatWriter(self.folder / name, kind)))

    def _check_order(self, raw: RawCase) -> None:
        if raw.id in self._ids:
            raise ValueError(f"case {raw.id}: appears twice; ids must be unique")
        self._ids.add(raw.id)
        goes_on = bool(self.cases) and self.cases[-1].stack == raw.stack
        if raw.stack in self._stacks and not goes_on:
            raise ValueError(
                f"case {raw.id}: its stack {raw.stack} was interrupted; yield stack after stack"
            )
        if raw.first != self._stacks.get(raw.stack, 0):
            expected = self._stacks.get(raw.stack, 0)
            raise ValueError(
                f"case {raw.id}: starts at frame {raw.first} of {raw.stack}, {expected} is next"
            )

    def _case(self, raw: RawCase, images: np.ndarray) -> Case:
        height, width = images.shape[1:3]
        spacing = raw.spacing_mm or (float("nan"),) * 3
        case = Case(
            id=raw.id,
            group=raw.group,
            split=_split_of(raw, self.splits),
            stack=raw.stack,
            first=self._frames,
            depth=len(images),
            height=height,
            width=width,
            channels=3 if images.ndim == 4 else 1,
            native_height=raw.label.shape[1],
            native_width=raw.label.shape[2],
            spacing_z=float(spacing[0]),
            spacing_y=float(spacing[1]),
            spacing_x=float(spacing[2]),
        )
        self._check_alike(case)
        return case

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

    def _count(self, split: str, raw: RawCase, images: np.ndarray) -> None:
        values, counts = np.unique(raw.label, return_counts=True)
        for value, count in zip(values.tolist(), counts.tolist(), strict=True):
            self.voxels[split][str(value)] += count
        for name, array in (("raw", raw.image), ("stored", images)):
            low, high = self.intensity.get(name, [np.inf, -np.inf])
            self.intensity[name] = [min(low, float(array.min())), max(high, float(array.max()))]


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


def _split_of(raw: RawCase, splits: Mapping[str, str]) -> str:
    split = splits.get(raw.id, splits.get(raw.group))
    if split not in SPLITS:
        raise ValueError(
            f"case {raw.id} of {raw.group}: split {split!r}; one of {', '.join(SPLITS)} is "
            f"expected; name the case or its group in the split"
        )
    return split
