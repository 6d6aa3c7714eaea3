"""Windows of three slices for a network of 224 pixels: the authors' loader against ours, items per second.

The authors read three compressed npz files an item, rotate or flip them at native size and zoom them to 224 with cubic
splines; we zoom once at preparation and cut slices out of one memory map. Both augment with the same rule. Phantoms of
the usual ACDC size (216 x 256); medians of interleaved pairs in one process, one thread.
"""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from scipy.ndimage import zoom

from benchmarks.figures import Figure, seconds
from salstm.data import datasets, phantoms
from salstm.data.augment.registry import rotflip
from salstm.data.store import Store
from salstm.training.windows import Window, Windows, neighbours

SIZE = 224


class Authors:
    """The loader of the release: one npz a slice, zoomed for every item."""

    def __init__(self, store: Store, folder: Path, *, augment: bool) -> None:
        self.folder, self.augment = folder, augment
        self.items = []
        for case in store.cases:
            first, last = store.stack_bounds(case)
            for frame in range(case.first, case.first + case.depth):
                path = folder / f"{frame}.npz"
                if not path.exists():
                    np.savez_compressed(path, img=store.frame(frame), label=store.label(frame))
                self.items.append(neighbours(frame, first, last, "authors"))

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        slices = [np.load(self.folder / f"{frame}.npz") for frame in self.items[index]]
        frames, label = np.stack([one["img"] for one in slices]), slices[1]["label"]
        if self.augment:
            frames, label = rotflip(frames, label, np.random.default_rng(index))
        factors = (SIZE / frames.shape[1], SIZE / frames.shape[2])
        zoomed = [np.asarray(zoom(frame, factors, order=3)) for frame in frames]
        return np.stack(zoomed), np.asarray(zoom(label, factors, order=0))


def ours(store: Store, *, augment: bool) -> Windows:
    return Windows(
        store,
        store.cases,
        Window(frames=3, border="authors", size=SIZE, channels=1),
        augment=rotflip if augment else None,
    )


def rate(take: Callable[[int], object], length: int, items: int) -> float:
    """Items per second."""
    return items / seconds(lambda: [take(index % length) for index in range(items)])


def figures(pairs: int = 7) -> Iterator[Figure]:
    """Reading and zooming, without and with the augmentation."""
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        phantoms.acdc(root / "raw", patients=6, size=(216, 256), slices=(8, 10))
        split = {"name": "groups", "validation": 0.2, "test": 0.2, "seed": 0}
        for folder, size in (("native", None), ("stored", SIZE)):
            datasets.prepare("acdc", root / "raw", root / folder, split=split, size=size)
        native, stored = Store(root / "native"), Store(root / "stored")
        (root / "npz").mkdir()
        for label, augment, reach in (
            ("read, zoom", False, "100x"),
            ("with rot/flip", True, "20x"),
        ):
            theirs = Authors(native, root / "npz", augment=augment)
            mine = ours(stored, augment=augment)
            found = [
                (rate(theirs.__getitem__, len(theirs), 40), rate(mine.__getitem__, len(mine), 800))
                for _ in range(pairs)
            ]
            slow, fast = (statistics.median(column) for column in zip(*found, strict=True))
            ratio = statistics.median(b / a for a, b in found)
            setting = f"windows of 3x224x224 from 216x256; {pairs} pairs"
            yield Figure(f"loader, {label}", setting, slow, fast, "items/s", ratio, reach)
