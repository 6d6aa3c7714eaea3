"""HD95 of five kinds of masks in three sizes against medpy's: ``python -m benchmarks.surfaces [--write]``.

Each pair of masks is timed with both, in turn; the values must agree to 1e-9. Times are of the processor. ``--write``
keeps the table in docs/measured/surfaces.md.
"""

from __future__ import annotations

import sys
import time
import tracemalloc
from collections.abc import Callable, Iterator

import numpy as np
from medpy.metric.binary import hd95 as medpy_hd95
from scipy.ndimage import gaussian_filter

from benchmarks.figures import TARGET
from salstm.evaluation.metrics import compare, hd95, union_box

SIZES = {(10, 216, 256): (10.0, 1.5, 1.5), (40, 256, 256): (3.0, 0.8, 0.8)}
SIZES |= {(120, 512, 512): (3.0, 0.8, 0.8)}
KINDS = ("organ", "noise 2 %", "noise 20 %", "noise 50 %", "two noises 20 %")
HEAD = """# HD95 of masks of every kind

Seconds of medpy's `hd95` and of ours (surfaces, distances both ways, percentile), a prediction of the kind against an
organ that fills two thirds of each axis; *two noises* against other noise. Written by
`python -m benchmarks.surfaces --write`
on {machine}. Values differ by at most {apart:.1e}; at most {most:.0f} bytes a voxel of the masks' common box are held.

| mask | size | medpy | ours | ratio | bytes a voxel |
|---|---|---:|---:|---:|---:|
"""


def pair(kind: str, shape: tuple[int, ...], seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """A prediction and a reference."""
    generator = np.random.default_rng(seed)
    grids = np.ogrid[tuple(slice(0, size) for size in shape)]
    level = sum(((g - n / 2) / (n / 3)) ** 2 for g, n in zip(grids, shape, strict=True)) - 1
    if kind == "organ":
        bumps = gaussian_filter(generator.standard_normal(shape, dtype=np.float32), 3)
        return level + 0.15 * bumps / bumps.std() < 0, level < 0
    share = float(kind.split()[-2]) / 100
    noise = generator.random(shape, dtype=np.float32) < share
    other = generator.random(shape, dtype=np.float32) < share
    return noise, other if kind.startswith("two") else level < 0


def rows() -> Iterator[tuple[str, tuple[int, ...], float, float, float, float]]:
    """Kind, size, seconds of medpy and ours, difference of the values, bytes a voxel of the box."""
    for shape, spacing in SIZES.items():
        for kind in KINDS:
            masks = pair(kind, shape)
            value, theirs = timed(lambda m=masks, s=spacing: medpy_hd95(*m, s))
            found, ours = timed(lambda m=masks, s=spacing: hd95(compare(*m, s)))
            tracemalloc.start()
            compare(*masks, spacing)
            peak = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
            box = masks[0][union_box(*masks)].size
            yield kind, shape, theirs, ours, abs(value - found), peak / box


def timed(work: Callable[[], float]) -> tuple[float, float]:
    """A value, and the least of two times."""
    best = np.inf
    for _ in range(2):
        start = time.process_time()
        value = work()
        best = min(best, time.process_time() - start)
    return value, best


def main() -> None:
    """Print the table, and keep it."""
    import os
    import platform

    compare(*pair("organ", (10, 40, 40)))  # imports
    found, lines = list(rows()), []
    for kind, shape, theirs, ours, _, held in found:
        size = "x".join(map(str, shape))
        cells = [kind, size, f"{theirs:.3f} s", f"{ours:.3f} s", f"{theirs / ours:.1f}x"]
        lines.append(f"| {' | '.join([*cells, f'{held:.0f}'])} |")
    apart, most = max(row[4] for row in found), max(row[5] for row in found)
    machine = f"one of {os.cpu_count()} cores, {platform.machine()}"
    text = HEAD.format(machine=machine, apart=apart, most=most) + "\n".join(lines) + "\n"
    print(text)
    if apart > 1e-9:
        raise SystemExit("values differ by more than 1e-9")
    if "--write" in sys.argv:
        (TARGET / "surfaces.md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
