"""Polyps in colonoscopy videos: the phantom of CVC-ClinicDB."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import numpy as np

from salstm.data.readers import cvc_clinicdb as official


def cvc_clinicdb(
    folder: Path | str,
    *,
    sequences: int = 6,
    frames: int = 8,
    seed: int = 0,
    size: tuple[int, int] = (72, 96),
) -> Path:
    """Write phantom colonoscopy in the layout of CVC-ClinicDB.

    ``CVC-ClinicDB/{Original,Ground Truth}/N.tif`` with the official numbers of the first frames of
    each sequence, not padded. A camera drifts over a wall with folds, vessels and reflections; one
    or two polyps move with the wall, so that neighbouring frames tell more than one. As in the real
    files the frames are RGB tagged MINISBLACK, the corners are black, and every fourth mask is
    smoothed. Every third sequence misses a frame in the middle, as a reduced copy may.

    Args:
        folder: the raw folder of the dataset; what it holds already is overwritten file by file.
        sequences: how many, of 29.
        frames: of each sequence, at least 4; short sequences have fewer.
        seed: of everything drawn; sequence k is the same whatever the number of sequences.
        size: rows and columns of a frame in pixels, at least 32.

    Returns:
        The folder.

    Raises:
        ValueError: numbers out of range.
    """
    if not (1 <= sequences <= 29 and 4 <= frames <= 26 and min(size) >= 32):
        raise ValueError(
            f"phantom cvc_clinicdb: sequences {sequences}, frames {frames}, size {size}; 1 to 29 "
            f"sequences, 4 to 26 frames and 32 pixels a side or more are allowed"
        )
    folder = Path(folder)
    place = folder / "CVC-ClinicDB"
    for kind in ("Original", "Ground Truth"):
        (place / kind).mkdir(parents=True, exist_ok=True)
    for sequence in range(1, sequences + 1):
        numbers = [frame for frame, one in official.sequences().items() if one == sequence][:frames]
        camera = _Camera(np.random.default_rng([seed, sequence]), *size)
        for step, number in enumerate(numbers):
            image, mask = camera.frame(step, smooth=number % 4 == 3)
            if sequence % 3 == 2 and step == len(numbers) // 2:
                continue  # a gap: the frames around it are no neighbours
            _save(place / "Original" / f"{number}.tif", image)
            _save(place / "Ground Truth" / f"{number}.tif", mask)
    return folder


class _Camera:
    """One video: a wall larger than the picture, its polyps, and the way of the camera over it."""

    def __init__(self, generator: np.random.Generator, height: int, width: int) -> None:
        from scipy.ndimage import gaussian_filter

        self.generator, self.height, self.width = generator, height, width
        self.wall = (2 * height, 2 * width)
        folds = gaussian_filter(generator.standard_normal(self.wall), (0.05 * height, 0.2 * width))
        vessels = gaussian_filter(generator.standard_normal(self.wall), 0.02 * height)
        colour = np.array([196.0, 112.0, 84.0]) + generator.normal(0, 10, 3)
        relief = 16 * folds / folds.std() - 10 * (np.abs(vessels / vessels.std()) < 0.15)
        self.colours = colour + relief[..., None] * (1.0, 0.8, 0.7)
        self.start = np.array([0.5 * height, 0.5 * width])
        turn = generator.uniform(0, 2 * np.pi)
        self.way = 0.2 * height * np.array([np.sin(turn), np.cos(turn)])
        self.polyps = [self._polyp() for _ in range(1 + int(generator.random() < 0.3))]

    def frame(self, step: int, *, smooth: bool) -> tuple[np.ndarray, np.ndarray]:
        """``(H, W, 3)`` uint8, and a mask ``(H, W)`` uint8 whose truth is above 127."""
        from scipy.ndimage import gaussian_filter

        sway = 0.01 * self.height * np.sin(0.9 * step + np.array([0.0, 1.2]))
        there_and_back = np.sin(2 * np.pi * step / 26)
        top, left = (self.start + there_and_back * self.way + sway).round().astype(int)
        image = self.colours[top : top + self.height, left : left + self.width].copy()
        y = np.arange(top, top + self.height)[:, None]
        x = np.arange(left, left + self.width)
        mask = np.zeros((self.height, self.width), dtype=bool)
        for polyp in self.polyps:
            away = self._away(polyp, y, x, step)
            image = np.where(away[..., None] < 1, polyp["colour"] * _shade(away), image)
            mask |= away < 1
        image = gaussian_filter(image, (0.6, 0.6, 0)) + 4 * self.generator.standard_normal(
            (self.height, self.width, 1)
        )
        self._reflect(image)
        image[self._corners()] = 8
        truth = mask.astype(np.float64) * 255
        if smooth:
            truth = gaussian_filter(truth, 1.0)
        return _bytes(image), _bytes(truth)

    def _polyp(self) -> dict[str, Any]:
        middle = self.start + np.array([0.5 * self.height, 0.5 * self.width])
        reach = np.array([0.22 * self.height, 0.22 * self.width])
        return {
            "centre": middle + self.generator.uniform(-1, 1, 2) * reach,
            "radii": self.generator.uniform(0.13, 0.24, 2) * self.height,
            "pulse": self.generator.uniform(0.03, 0.08),
            "colour": np.array([232.0, 150.0, 142.0]) + self.generator.normal(0, 8, 3),
        }

    def _away(self, polyp: dict[str, Any], y: np.ndarray, x: np.ndarray, step: int) -> np.ndarray:
        """Distance from the polyp's centre in its radii: below 1 inside."""
        radii = polyp["radii"] * (1 + polyp["pulse"] * np.sin(0.7 * step))
        return np.hypot((y - polyp["centre"][0]) / radii[0], (x - polyp["centre"][1]) / radii[1])

    def _reflect(self, image: np.ndarray) -> None:
        """White spots of the lamp, in place."""
        count = int(self.generator.integers(2, 8))
        rows = self.generator.integers(0, self.height - 1, count)
        columns = self.generator.integers(0, self.width - 2, count)
        for row, column in zip(rows, columns, strict=True):
            image[row : row + 1, column : column + 2] = 250

    def _corners(self) -> np.ndarray:
        y = np.abs(np.linspace(-1, 1, self.height))[:, None]
        x = np.abs(np.linspace(-1, 1, self.width))
        return (y + x > 1.6) | (x > 0.96)


def _shade(away: np.ndarray) -> np.ndarray:
    """Brighter in the middle of a polyp, darker at its edge: ``(H, W, 1)``."""
    return (1.08 - 0.22 * np.clip(away, 0, 1) ** 2)[..., None]


def _bytes(array: np.ndarray) -> np.ndarray:
    return np.clip(np.rint(array), 0, 255).astype(np.uint8)


def _save(path: Path, array: np.ndarray) -> None:
    """Write a TIFF as the official ones: samples side by side, tagged MINISBLACK whatever they are."""
    import tifffile

    kind = "rgb" if array.ndim == 3 else "minisblack"
    tifffile.imwrite(path, array, photometric=kind, metadata=None, software="")
    if array.ndim == 3:
        with tifffile.TiffFile(path, mode="r+") as file:
            page = cast("tifffile.TiffPage", file.pages[0])
            page.tags["PhotometricInterpretation"].overwrite(1)  # MINISBLACK
