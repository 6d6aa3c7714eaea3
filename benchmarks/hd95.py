"""HD95 against medpy's `hd95`, on masks of ACDC's and of abdominal CT's size.

Prints time ratios, medpy over ours, of pairs measured one after the other in this process: the
median over ACDC pairs (target 9x), the total over the 8 organs of a CT (target 50x; `--ct`).
Usage: python -m benchmarks.hd95 [--ct]
"""

import argparse
import statistics
import time

import numpy as np
from medpy.metric.binary import hd95 as medpy_hd95
from scipy.ndimage import gaussian_filter

from salstm.metrics import hd95, measure

RADII = [(10, 60, 90), (6, 30, 30), (18, 30, 28), (18, 30, 28)]
RADII += [(35, 90, 110), (8, 22, 70), (20, 40, 50), (18, 45, 60)]


def masks(shape, centre, radii, generator):
    """A bumpy ellipsoid and a slightly different one: what a trained network gives."""
    grids = np.ogrid[tuple(slice(0, size) for size in shape)]
    level = sum(((g - c) / r) ** 2 for g, c, r in zip(grids, centre, radii, strict=True)) - 1
    pair = []
    for _ in range(2):
        noise = gaussian_filter(generator.standard_normal(shape, dtype=np.float32), 3)
        pair.append(level + 0.15 * noise / noise.std() < 0)
    return pair


def seconds(function, *arguments):
    start = time.perf_counter()
    value = function(*arguments)
    return time.perf_counter() - start, value


def times(pairs, spacing):
    """Seconds of (medpy, our hd95, our measure) for each pair; the values must agree."""
    rows = []
    for pair in pairs:
        (theirs, expected), (ours, found) = (
            seconds(medpy_hd95, *pair, spacing),
            seconds(hd95, *pair, spacing),
        )
        assert abs(expected - found) < 1e-9, (expected, found)
        rows.append((theirs, ours, seconds(measure, *pair, spacing)[0]))
    return rows


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--ct", action="store_true", help="also 120x512x512 with 8 organs (2 minutes)"
    )
    options = parser.parse_args()
    generator = np.random.default_rng(0)
    sizes = [(6, 10 + 2 * (k % 15), 12 + 2 * (k % 13)) for k in range(60)]
    pairs = [masks((10, 216, 256), (4.5, 108, 128), radii, generator) for radii in sizes]
    times(pairs[:1], (10, 1.5, 1.5))  # warm-up: imports
    rows = times(pairs, (10, 1.5, 1.5))
    ratios = [statistics.median(row[0] / row[k] for row in rows) for k in (1, 2)]
    print("ACDC 10x216x256, median of 60: hd95 {:.1f}x, every metric {:.1f}x".format(*ratios))
    if options.ct:
        centres = generator.uniform((40, 120, 120), (80, 390, 390), (8, 3))
        organs = (
            masks((120, 512, 512), c, r, generator) for c, r in zip(centres, RADII, strict=True)
        )
        theirs, ours, every = np.sum(times(organs, (3, 0.8, 0.8)), axis=0)
        ratios = [theirs / ours, theirs / every]
        print("CT 120x512x512, 8 organs: hd95 {:.0f}x, every metric {:.0f}x".format(*ratios))


if __name__ == "__main__":
    main()
