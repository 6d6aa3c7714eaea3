"""Preparation of photographs of ISIC2018's sizes: CPU seconds, bytes and peak memory; our zoom against scipy's.

    python benchmarks/photographs.py data/raw/isic2018

The images that are there are enlarged to sizes that the official archives have (540 to 6748 pixels a side), because a
copy may be cropped; then read and resized to 256 as ``prepare`` does. Ratios are medians of interleaved pairs. CPU
seconds, because a shared machine's wall time says little: divide by the threads.
"""

from __future__ import annotations

import argparse
import functools
import resource
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image
from scipy.ndimage import zoom

from salstm.data import datasets
from salstm.data.readers import isic2018
from salstm.data.resize import resize

SIDE = 256
SIZES = ((1022, 767), (3008, 2000), (6688, 4439))
"""Width and height; all three stand in the official training set."""


def enlarge(raw: Path, folder: Path, size: tuple[int, int], images: int) -> None:
    """Write an official layout of enlarged copies."""
    for identity, pair in list(isic2018._pairs(raw).items())[:images]:
        for source, name, form in zip(
            pair,
            (f"ISIC2018_Task1-2_Training_Input/{identity}.jpg",
             f"ISIC2018_Task1_Training_GroundTruth/{identity}_segmentation.png"),
            (Image.Resampling.BICUBIC, Image.Resampling.NEAREST), strict=True,
        ):  # fmt: skip
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            with Image.open(source) as picture:
                picture.resize(size, form).save(path)


def timed(function: Callable[[], object]) -> float:
    start = time.process_time()
    function()
    return time.process_time() - start


def zooms(size: tuple[int, int], pairs: int) -> tuple[float, float]:
    """Seconds of ours for one plane, and how many times scipy's it is faster."""
    plane = np.random.default_rng(0).uniform(0, 255, size[::-1]).astype(np.float32)
    factors = (SIDE / plane.shape[0], SIDE / plane.shape[1])
    resize(plane, SIDE, SIDE, 3)  # the operators are made once a size
    found = [
        (timed(lambda: zoom(plane, factors, order=3)), timed(lambda: resize(plane, SIDE, SIDE, 3)))
        for _ in range(pairs)
    ]
    return statistics.median(b for _, b in found), statistics.median(a / b for a, b in found)


def main() -> None:
    arguments = argparse.ArgumentParser(description="Cost of preparing ISIC2018.")
    arguments.add_argument("raw", type=Path)
    arguments.add_argument("--images", type=int, default=3)
    arguments.add_argument("--threads", type=int, default=1)
    arguments.add_argument("--pairs", type=int, default=3)
    args = arguments.parse_args()
    print(
        f"{'width x height':<16}{'zoom ms':>9}{'x scipy':>9}{'s/image':>9}{'kB native':>11}{'kB bytes':>10}"
    )
    for size in SIZES:
        plane, faster = zooms(size, args.pairs)
        with tempfile.TemporaryDirectory() as name:
            raw, folder = Path(name) / "raw", Path(name) / "store"
            enlarge(args.raw, raw, size, args.images)
            split = {"name": "groups", "validation": 0.2, "test": 0.2}
            options = {"split": split, "size": SIDE, "manifest": {}, "threads": args.threads}
            prepare = functools.partial(datasets.prepare, "isic2018", raw, folder, **options)
            seconds = timed(prepare) / args.images
            native = (folder / "native.npy").stat().st_size / args.images
        print(
            f"{size[0]:>5} x {size[1]:<8}{plane * 1e3:>9.0f}{faster:>9.1f}{seconds:>9.2f}"
            f"{native / 1e3:>11.1f}{size[0] * size[1] / 1e3:>10.0f}"
        )
    print(f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.2f} GiB")


if __name__ == "__main__":
    main()
