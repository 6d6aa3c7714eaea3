"""Abdomens in CT: the phantom of Synapse."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import numpy as np

NUMBERS = (*range(1, 11), *range(21, 41))

# Axes and number types of the files, in turn: RAS and LPS as in real life, a stack of sagittal
# slices, whole numbers with an offset in the header as scanners write them.
_AXES = ("LPS", "RAS", "LAS", "PIR")
_TYPES = ("int16", "float32", "uint16")

# BTCV number: centre (x, y, z) and radii, x from the patient's right (-1) to left, y from front to
# back, z from foot (0) to head (1); HU. Later ones lie over earlier ones; the great vessels are
# tubes.
_ORGANS: dict[int, tuple[tuple[float, float, float], tuple[float, float, float], float]] = {
    6: ((-0.40, -0.08, 0.66), (0.44, 0.54, 0.27), 110),
    7: ((0.30, -0.34, 0.62), (0.25, 0.25, 0.17), 15),
    1: ((0.63, 0.26, 0.66), (0.17, 0.28, 0.20), 145),
    2: ((-0.40, 0.42, 0.36), (0.14, 0.17, 0.19), 200),
    3: ((0.40, 0.42, 0.42), (0.14, 0.17, 0.19), 200),
    11: ((0.06, -0.10, 0.45), (0.30, 0.10, 0.07), 80),
    4: ((-0.20, -0.44, 0.40), (0.10, 0.12, 0.09), -10),
    12: ((-0.30, 0.36, 0.60), (0.06, 0.04, 0.04), 70),
    13: ((0.30, 0.36, 0.64), (0.06, 0.04, 0.04), 70),
    10: ((-0.05, 0.06, 0.55), (0.16, 0.06, 0.04), 160),
    5: ((0.10, 0.12, 0.95), (0.06, 0.06, 0.20), 45),
    9: ((-0.14, 0.22, 0.50), (0.08, 0.08, np.inf), 160),
    8: ((0.10, 0.27, 0.50), (0.085, 0.085, np.inf), 240),
}


def synapse(
    folder: Path | str,
    *,
    volumes: int = 8,
    seed: int = 0,
    size: tuple[int, int] = (72, 104),
    slices: tuple[int, int] = (12, 18),
) -> Path:
    """Write phantom abdominal CT in BTCV's layout.

    ``RawData/Training/{img/imgNNNN.nii.gz, label/labelNNNN.nii.gz}`` with the official numbers and
    all 13 organs, in Hounsfield units: ellipsoids in a body of fat and muscle with a spine, on a
    table. Position, size, brightness, spacing and matrix vary; noise lies over all. The axes and
    number types of the files vary too (``_AXES``, ``_TYPES``), every fourth label is stored with
    other axes than its image and as float, every fifth patient has no gallbladder.

    Args:
        folder: the raw folder of the dataset; what it holds already is overwritten file by file.
        volumes: how many, from ``img0001``.
        seed: of everything drawn; volume k is the same whatever the number of volumes.
        size: smallest and largest side of an axial slice in pixels, at least 32.
        slices: smallest and largest number of slices, at least 6.

    Returns:
        The folder.

    Raises:
        ValueError: numbers out of range.
    """
    if not (1 <= volumes <= 30 and 32 <= size[0] <= size[1] and 6 <= slices[0] <= slices[1]):
        raise ValueError(
            f"phantom synapse: volumes {volumes}, size {size}, slices {slices}; 1 to 30 volumes, "
            f"sides of 32 pixels and 6 slices or more, smallest first, are allowed"
        )
    folder = Path(folder)
    for kind in ("img", "label"):
        (folder / "RawData" / "Training" / kind).mkdir(parents=True, exist_ok=True)
    for index, number in enumerate(NUMBERS[:volumes]):
        _volume(folder / "RawData" / "Training", number, index, seed, (size, slices))
    return folder


def _volume(
    folder: Path, number: int, index: int, seed: int, bounds: tuple[tuple[int, int], ...]
) -> None:
    generator = np.random.default_rng([seed, number])
    (low, high), (fewest, most) = bounds
    depth = int(generator.integers(fewest, most + 1))
    height, width = generator.integers(low, high + 1, size=2).tolist()
    image, label = _anatomy((depth, height, width), generator, gallbladder=index % 5 != 4)
    spacing = (float(generator.choice([12.0, 15.0])), 300 / height, 380 / width)
    axes = _AXES[index % len(_AXES)]
    kind = _TYPES[index % len(_TYPES)]
    other = index % 4 == 3
    _save(folder / "img" / f"img{number:04d}.nii.gz", image, spacing, axes, kind)
    _save(
        folder / "label" / f"label{number:04d}.nii.gz",
        label,
        spacing,
        "LPS" if other else axes,
        "float32" if other else "uint8",
    )


def _anatomy(
    shape: tuple[int, int, int], generator: np.random.Generator, *, gallbladder: bool
) -> tuple[np.ndarray, np.ndarray]:
    """``(Z, Y, X)`` in LPS: Hounsfield units, and labels in BTCV's numbers."""
    from scipy.ndimage import gaussian_filter

    z, y, x = np.meshgrid(
        *(np.linspace(start, 1, side) for start, side in zip((0, -1, -1), shape, strict=True)),
        indexing="ij",
        sparse=True,
    )
    scale, shift = generator.uniform(0.86, 0.94), generator.normal(0, 0.03, 2)
    x, y = (x - shift[0]) / scale, (y - shift[1]) / (scale * 0.9)
    image = np.full(shape, -1000.0)
    image[:, np.abs(y[0, :, 0] - 1.04) < 0.03] = 60  # the table
    radius = np.hypot(x, y)[0]
    image[:, radius < 1] = -100
    image[:, radius < 0.93] = 50
    image[:, np.hypot(x, y - 0.58)[0] < 0.17] = 600  # the spine, brighter than the window
    label = np.zeros(shape, dtype=np.uint8)
    for organ, (centre, radii, grey) in _ORGANS.items():
        moved = np.array(centre) + generator.normal(0, 0.015, 3)
        sides = np.array(radii) * generator.uniform(0.9, 1.1, 3)
        away = sum(((one - m) / s) ** 2 for one, m, s in zip((x, y, z), moved, sides, strict=True))
        inside = (away < 1) & (organ != 4 or gallbladder)
        label[inside] = organ
        image[inside] = grey + generator.normal(0, 8)
    image = gaussian_filter(image, (0, 0.5, 0.5)) + generator.normal(0, 14, shape)
    return np.rint(np.clip(image, -1024, 3071)), label


def _save(
    path: Path,
    array: np.ndarray,
    spacing: tuple[float, float, float],
    axes: str,
    kind: str,
) -> None:
    """Write ``(Z, Y, X)`` in LPS with the given axes and number type."""
    import nibabel
    from nibabel import orientations

    affine = np.diag([-spacing[2], -spacing[1], spacing[0], 1.0])
    affine[:3, 3] = (190.0, 150.0, -700.0)
    offset = 1024 if kind == "uint16" else 0
    volume: Any = nibabel.Nifti1Image(array.transpose(2, 1, 0) + offset, affine)
    turn = orientations.ornt_transform(
        orientations.axcodes2ornt("LPS"), orientations.axcodes2ornt(axes)
    )
    volume = volume.as_reoriented(turn)
    volume.set_data_dtype(kind)
    volume.header.set_slope_inter(1, -offset)
    # No time stamp and no name in the gzip header: the same phantom has the same bytes.
    path.write_bytes(gzip.compress(volume.to_bytes(), compresslevel=4, mtime=0))
