"""HD95 of five kinds of masks in three sizes against medpy's: ``python -m benchmarks.surfaces [--write]``.

Each pair of masks is timed with both, in turn, five times; the medians are shown, ratios of each turn. The values must
agree to 1e-9. Times are of the processor. ``--write``
keeps the figures in docs/measured/surfaces.csv and the table beside it.
"""

from __future__ import annotations

import argparse
import os
import platform
import time
import tracemalloc
from collections.abc import Iterable, Iterator

import numpy as np
import pandas as pd
from medpy.metric.binary import hd95 as medpy_hd95
from scipy.ndimage import gaussian_filter

from benchmarks.figures import TARGET
from salstm.evaluation.metrics import compare, hd95, union_box

SIZES = {(10, 216, 256): (10.0, 1.5, 1.5), (40, 256, 256): (3.0, 0.8, 0.8)}
SIZES |= {(120, 512, 512): (3.0, 0.8, 0.8)}
KINDS = ("organ", "noise 2 %", "noise 20 %", "noise 50 %", "two noises 20 %")
TIMES = 5
"""Measurements, each of medpy and then of ours."""
LONG = 8.0
"""Seconds of one from which nothing is timed twice."""
HEAD = """# HD95 of masks of every kind

Seconds of medpy's `hd95` and of ours (surfaces, distances both ways, percentile), a prediction of the kind against an
organ that fills two thirds of each axis; *two noises* against other noise. Medians of five turns (one, where a turn
takes more than 8 s) in processor time. Written by `python -m benchmarks.surfaces --write` on {machine}.
Values differ by at most {apart:.1e}; at most {most:.0f} bytes a voxel of the masks' common box are held.

| mask | size | medpy | ours | ratio | bytes a voxel |
|---|---|---:|---:|---:|---:|
"""


def pair(kind: str, shape: tuple[int, ...], seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """A prediction and a reference."""
    generator = np.random.default_rng(seed)
    grids = np.ogrid[tuple(slice(0, size) for size in shape)]
    squares = [((g - n / 2) / (n / 3)) ** 2 for g, n in zip(grids, shape, strict=True)]
    level = squares[0] + squares[1] + squares[2] - 1
    if kind == "organ":
        bumps = gaussian_filter(generator.standard_normal(shape, dtype=np.float32), 3)
        return level + 0.15 * bumps / bumps.std() < 0, level < 0
    share = float(kind.split()[-2]) / 100
    noise = generator.random(shape, dtype=np.float32) < share
    other = generator.random(shape, dtype=np.float32) < share
    return noise, other if kind.startswith("two") else level < 0


def rows(shape: tuple[int, int, int], kinds: Iterable[str]) -> Iterator[dict[str, object]]:
    """A row for each kind: seconds of medpy and ours, difference of the values, bytes a voxel of the box."""
    spacing = SIZES[shape]
    for kind in kinds:
        masks = pair(kind, shape)
        theirs, ours, ratio, apart = timed(masks, spacing)
        tracemalloc.start()
        compare(*masks, spacing)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        box = masks[0][union_box(*masks)].size
        size = "x".join(map(str, shape))
        yield {"mask": kind, "size": size, "medpy": theirs, "ours": ours, "ratio": ratio,
               "apart": apart, "bytes": peak / box}  # fmt: skip


def timed(
    masks: tuple[np.ndarray, np.ndarray], spacing: tuple[float, ...]
) -> tuple[float, float, float, float]:
    """Medians of the seconds of medpy, of ours and of their ratio, and how far the values are apart."""
    found = []
    for _ in range(TIMES):
        start = time.process_time()
        theirs = medpy_hd95(*masks, spacing)
        between = time.process_time()
        mine = hd95(compare(*masks, spacing))
        end = time.process_time()
        times = between - start, end - between
        found.append((*times, times[0] / times[1], abs(theirs - mine)))
        if sum(times) > LONG:
            break
    theirs, ours, ratio, apart = np.median(found, axis=0).tolist()
    return theirs, ours, ratio, apart


def table(found: pd.DataFrame) -> str:
    """The page."""
    lines = []
    for row in found.to_dict("records"):
        ratio = f"{row['ratio']:.1f}x"
        seconds = f"{row['medpy']:.3f} s", f"{row['ours']:.3f} s"
        cells = [row["mask"], row["size"], *seconds, ratio, f"{row['bytes']:.0f}"]
        lines.append(f"| {' | '.join(cells)} |")
    machine = f"one of {os.cpu_count()} shared cores, {platform.machine()}"
    apart, most = max(found["apart"]), max(found["bytes"])
    return HEAD.format(machine=machine, apart=apart, most=most) + "\n".join(lines) + "\n"


def main() -> None:
    """Measure the sizes that are named, or all; print the table; keep it."""
    names = {"x".join(map(str, shape)): shape for shape in SIZES}
    parser = argparse.ArgumentParser(prog="python -m benchmarks.surfaces", description=__doc__)
    parser.add_argument("--size", choices=names, action="append", help="this one; the others stay")
    parser.add_argument("--kind", choices=KINDS, action="append", help="likewise")
    parser.add_argument("--write", action="store_true", help="keep it in docs/measured")
    given = parser.parse_args()
    compare(*pair("organ", (10, 40, 40)))  # imports
    found = [row for name in given.size or names for row in rows(names[name], given.kind or KINDS)]
    kept, path = pd.DataFrame(found), TARGET / "surfaces.csv"
    if path.is_file():
        kept = pd.concat([pd.read_csv(path), kept], ignore_index=True)
        kept = kept.drop_duplicates(["mask", "size"], keep="last")
    print(table(kept))
    if max(kept["apart"]) > 1e-9:
        raise SystemExit("values differ by more than 1e-9")
    if given.write:
        kept.to_csv(path, index=False)
        (TARGET / "surfaces.md").write_text(table(kept), encoding="utf-8")


if __name__ == "__main__":
    main()
