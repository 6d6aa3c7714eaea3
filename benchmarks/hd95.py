"""HD95 against medpy's `hd95`, on masks of ACDC's and of abdominal CT's size.

Every pair of masks is timed with both, one after the other: the median over ACDC's pairs, the total over the eight
organs of a CT. Our value must equal medpy's to 1e-9.
"""

import statistics
from collections.abc import Iterator

import numpy as np
from medpy.metric.binary import hd95 as medpy_hd95
from scipy.ndimage import gaussian_filter

from benchmarks.figures import Figure, seconds
from salstm.evaluation.metrics import compare, hd95, measure

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


def figures(*, ct: bool = True) -> Iterator[Figure]:
    """ACDC's masks, then those of a CT (2 minutes)."""
    generator = np.random.default_rng(0)
    sizes = [(6, 10 + 2 * (k % 15), 12 + 2 * (k % 13)) for k in range(60)]
    pairs = [masks((10, 216, 256), (4.5, 108, 128), radii, generator) for radii in sizes]
    times(pairs[:1], (10, 1.5, 1.5))  # warm-up: imports
    rows = times(pairs, (10, 1.5, 1.5))
    medians = [statistics.median(column) for column in zip(*rows, strict=True)]
    for at, name in ((1, "HD95"), (2, "every metric")):
        ratio = statistics.median(row[0] / row[at] for row in rows)
        setting = "10x216x256, 60 pairs, medpy's hd95 as reference"
        yield Figure(f"{name}, ACDC masks", setting, medians[0], medians[at], "s", ratio, "9x")
    if not ct:
        return
    centres = generator.uniform((40, 120, 120), (80, 390, 390), (8, 3))
    organs = (masks((120, 512, 512), c, r, generator) for c, r in zip(centres, RADII, strict=True))
    total = np.sum(times(organs, (3, 0.8, 0.8)), axis=0)
    for at, name in ((1, "HD95"), (2, "every metric")):
        setting = "512x512x120, medpy's hd95 as reference"
        ratio = float(total[0] / total[at])
        yield Figure(f"{name}, 8 organs", setting, total[0], total[at], "s", ratio, "50x")


def ours(prediction, reference, spacing):
    """Our HD95 alone."""
    return hd95(compare(prediction, reference, spacing))


def times(pairs, spacing):
    """Seconds of (medpy, our hd95, our measure) for each pair; the values must agree."""
    rows = []
    for pair in pairs:
        values = {}

        def work(name, function, pair=pair, values=values):
            values[name] = function(*pair, spacing)

        row = [
            seconds(lambda name=name, function=function: work(name, function))
            for name, function in (("medpy", medpy_hd95), ("ours", ours), ("every", measure))
        ]
        if abs(values["medpy"] - values["ours"]) > 1e-9:
            raise AssertionError(f"medpy {values['medpy']}, ours {values['ours']}")
        rows.append(row)
    return rows
