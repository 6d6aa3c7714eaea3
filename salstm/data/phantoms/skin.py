"""Skin lesions: the phantom of ISIC2018."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np


def isic2018(
    folder: Path | str,
    *,
    images: int = 24,
    seed: int = 0,
    size: tuple[int, int] = (72, 160),
) -> Path:
    """Write phantom dermoscopy in the layout of ISIC2018's task 1.

    ``ISIC2018_Task1-2_Training_Input/ISIC_NNNNNNN.jpg`` and
    ``ISIC2018_Task1_Training_GroundTruth/ISIC_NNNNNNN_segmentation.png``, with the licence files of
    the official folders. Pigmented blobs with a wavy border on skin, under hairs, sometimes with
    dark corners, a ruler, or a second spot that is not the lesion. Sides vary and can be odd; ids
    are not consecutive; some lesions are cut by the border, some masks have one bit per pixel.

    Args:
        folder: the raw folder of the dataset; what it holds already is overwritten file by file.
        images: how many.
        seed: of everything drawn; image k is the same whatever the number of images.
        size: smallest and largest side in pixels, at least 32.

    Returns:
        The folder.

    Raises:
        ValueError: numbers out of range.
    """
    if not (1 <= images <= 999 and 32 <= size[0] <= size[1]):
        raise ValueError(
            f"phantom isic2018: images {images}, size {size}; 1 to 999 images, and sides of 32 "
            f"pixels or more, smallest first, are allowed"
        )
    folder = Path(folder)
    inputs = folder / "ISIC2018_Task1-2_Training_Input"
    masks = folder / "ISIC2018_Task1_Training_GroundTruth"
    for place in (inputs, masks):
        place.mkdir(parents=True, exist_ok=True)
        for name in ("LICENSE.txt", "ATTRIBUTION.txt"):
            (place / name).write_text(
                "A phantom, made by salstm.data.phantoms.\n", encoding="utf-8"
            )
    for index in range(images):
        generator = np.random.default_rng([seed, index])
        name = f"ISIC_{17 * index + index % 7:07d}"
        image, mask = _lesion(generator, *generator.integers(size[0], size[1] + 1, 2).tolist())
        (inputs / f"{name}.jpg").write_bytes(_encoded(image, "JPEG", "RGB"))
        mode = "1" if index % 6 == 5 else "L"
        (masks / f"{name}_segmentation.png").write_bytes(_encoded(mask, "PNG", mode))
    return folder


def _lesion(
    generator: np.random.Generator, height: int, width: int
) -> tuple[np.ndarray, np.ndarray]:
    """``(H, W, 3)`` uint8, and a mask of 0 and 255."""
    from scipy.ndimage import gaussian_filter

    side = min(height, width)
    y, x = np.mgrid[:height, :width].astype(float)
    centre = generator.uniform(0.3, 0.7, 2) * (height, width)
    inside = _blob(y - centre[0], x - centre[1], generator.uniform(0.16, 0.38) * side, generator)
    skin = np.array([224.0, 178.0, 158.0]) + generator.normal(0, 9, 3)
    pigment = np.array([118.0, 72.0, 55.0]) + generator.normal(0, 14, 3)
    soft = gaussian_filter(inside.astype(float), 0.01 * side + 0.4)[..., None]
    spots = gaussian_filter(generator.standard_normal((height, width)), 0.04 * side)
    spots = (14 * spots / spots.std())[..., None]
    image = skin * (1 - soft) + (pigment + spots) * soft
    image = image + 4 * generator.standard_normal((height, width, 1))
    _hairs(image, generator)
    kind = generator.integers(4)
    if kind == 0:  # dark corners of the dermatoscope
        away = np.hypot(y - height / 2, x - width / 2)
        image *= np.clip(8 - 8 * away / (0.62 * max(height, width)), 0.05, 1)[..., None]
    elif kind == 1:  # a ruler along the lower edge
        image[-max(2, side // 20) :, :: max(3, side // 12)] = 40
    elif kind == 2:  # a pale second spot, not part of the mask
        image[np.hypot(y - 0.1 * height, x - 0.9 * width) < 0.06 * side] -= 25
    return np.clip(np.rint(image), 0, 255).astype(np.uint8), inside.astype(np.uint8) * 255


def _blob(
    y: np.ndarray, x: np.ndarray, radius: float, generator: np.random.Generator
) -> np.ndarray:
    """Inside of a closed wavy line around 0."""
    angle = np.arctan2(y, x)
    reach = np.full_like(angle, radius)
    for waves in range(1, 6):
        share = generator.normal(0, 0.09 / waves)
        reach += radius * share * np.cos(waves * angle + generator.uniform(0, 2 * np.pi))
    return np.hypot(y, x * generator.uniform(0.85, 1.15)) < reach


def _hairs(image: np.ndarray, generator: np.random.Generator) -> None:
    """Draw dark curved lines over the image, in place."""
    height, width = image.shape[:2]
    along = np.linspace(0, 1, 2 * max(height, width))
    for _ in range(generator.integers(6)):
        start, end = generator.uniform(0, 1, (2, 2))
        bend = generator.normal(0, 0.15, 2) * np.sin(np.pi * along)[:, None]
        points = start + (end - start) * along[:, None] + bend
        rows, columns = (np.clip(points, 0, 1) * (height - 1, width - 1)).round().astype(int).T
        image[rows, columns] = (60, 45, 40)


def _encoded(array: np.ndarray, kind: str, mode: str) -> bytes:
    from PIL import Image

    content = io.BytesIO()
    Image.fromarray(array).convert(mode, dither=Image.Dither.NONE).save(content, kind, quality=92)
    return content.getvalue()
