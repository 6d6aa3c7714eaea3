"""Hearts in cine-MRI: the phantom of ACDC."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np

GROUPS = ("NOR", "MINF", "DCM", "HCM", "RV")


def acdc(
    folder: Path | str,
    *,
    patients: int = 12,
    seed: int = 0,
    size: tuple[int, int] = (64, 100),
    slices: tuple[int, int] = (6, 9),
) -> Path:
    """Write phantom cine-MRI in ACDC's layout.

    ``training/patientNNN/{Info.cfg, patientNNN_frameFF.nii.gz, patientNNN_frameFF_gt.nii.gz}``.

    A heart in short axis: left cavity (3) inside a myocardial ring (2), with the right cavity (1)
    as a crescent beside it; tapering to the apex, where first the right and then the left cavity
    ends; smaller at ES. Position, size, turn, contrast, spacing and matrix vary between patients; a
    bias field and noise lie over all. As in the real data ED is not always frame 1, sides can be
    odd, and some images are float on disk.

    Args:
        folder: the raw folder of the dataset; what it holds already is overwritten file by file.
        patients: how many, from ``patient001``.
        seed: of everything drawn; patient k is the same whatever the number of patients.
        size: smallest and largest side of a slice in pixels, at least 32.
        slices: smallest and largest number of slices, at least 4.

    Returns:
        The folder.

    Raises:
        ValueError: numbers out of range.
    """
    if not (1 <= patients <= 999 and 32 <= size[0] <= size[1] and 4 <= slices[0] <= slices[1]):
        raise ValueError(
            f"phantom acdc: patients {patients}, size {size}, slices {slices}; 1 to 999 patients, "
            f"sides of 32 pixels and 4 slices or more, smallest first, are allowed"
        )
    folder = Path(folder)
    for number in range(1, patients + 1):
        _patient(folder / "training" / f"patient{number:03d}", number, seed, size, slices)
    return folder


def _patient(
    folder: Path, number: int, seed: int, size: tuple[int, int], slices: tuple[int, int]
) -> None:
    generator = np.random.default_rng([seed, number])
    folder.mkdir(parents=True, exist_ok=True)
    frames = {"ED": 4 if number % 5 == 2 else 1, "ES": int(generator.integers(9, 15))}
    depth = int(generator.integers(slices[0], slices[1] + 1))
    height, width = generator.integers(size[0], size[1] + 1, size=2).tolist()
    heart = _heart(generator)
    spacing = (float(generator.choice([1.25, 1.5625, 1.75])), float(generator.choice([5.0, 10.0])))
    for phase, frame in frames.items():
        label = _labels(heart, depth, height, width, contraction=0.72 if phase == "ES" else 1.0)
        image = _image(label, heart, generator)
        stem = folder / f"{folder.name}_frame{frame:02d}"
        _save(
            stem.with_name(f"{stem.name}.nii.gz"),
            image if number % 3 else np.rint(image).astype(np.int16),
            spacing,
        )
        _save(stem.with_name(f"{stem.name}_gt.nii.gz"), label, spacing)
    _info(folder / "Info.cfg", frames, GROUPS[number % 5], generator)


def _heart(generator: np.random.Generator) -> dict[str, float]:
    """One patient's anatomy and contrast; lengths as shares of the shorter side."""
    ranges = {
        "y": (0.44, 0.56),
        "x": (0.48, 0.58),
        "turn": (-0.5, 0.5),  # radians
        "end": (0.85, 1.2),  # where the apex lies, as a share of the stack
        "cavity": (0.105, 0.145),
        "wall": (0.045, 0.06),
        "bright": (190.0, 240.0),
        "dark": (45.0, 70.0),
        "body": (85.0, 120.0),
        "noise": (6.0, 12.0),
    }
    return {name: float(generator.uniform(*bounds)) for name, bounds in ranges.items()}


def _labels(
    heart: dict[str, float], depth: int, height: int, width: int, contraction: float
) -> np.ndarray:
    """``(D, H, W)`` uint8, base first."""
    side = min(height, width)
    level = np.linspace(0, 1, depth)[:, None, None]  # 0 base, 1 apex
    y = np.arange(height)[:, None] - heart["y"] * height
    x = np.arange(width) - heart["x"] * width - 0.04 * side * level
    along = np.cos(heart["turn"]) * x + np.sin(heart["turn"]) * y  # away from the right side
    across = np.cos(heart["turn"]) * y - np.sin(heart["turn"]) * x
    radius = np.hypot(along, across * 1.06)
    taper = np.sqrt(np.clip(1 - (level / heart["end"]) ** 2, 0, 1))
    cavity = heart["cavity"] * side * np.clip(1.2 * taper - 0.2, 0, 1) * contraction
    wall = heart["wall"] * side * (1.0 if contraction == 1 else 1.3) * (taper > 0)
    outer = cavity + wall
    right = heart["cavity"] * side * 1.65 * np.clip(1.4 * taper - 0.5, 0, 0.85) * contraction
    crescent = np.hypot((along + 0.6 * outer + 0.3 * right) / 0.85, across * 0.95) < right
    label = np.zeros((depth, height, width), dtype=np.uint8)
    label[crescent] = 1
    label[radius < outer] = 2
    label[radius < cavity] = 3
    return label


def _image(
    label: np.ndarray, heart: dict[str, float], generator: np.random.Generator
) -> np.ndarray:
    """``(D, H, W)`` float32: grey by tissue, blurred, with texture, bias field and noise."""
    from scipy.ndimage import gaussian_filter

    height, width = label.shape[1:]
    y, x = np.linspace(-1, 1, height)[:, None], np.linspace(-1, 1, width)
    body = np.hypot(y / 0.95, x / 0.92) < 1
    lung = np.hypot((y - 0.1) / 0.75, (x - 0.62) / 0.28) < 1
    background = np.where(lung, 25.0, np.where(body, heart["body"], 8.0))
    texture = gaussian_filter(generator.standard_normal(label.shape), (0.5, 4, 4))
    background = background + 18 * texture / texture.std() * body
    tissue = np.array([0, heart["bright"] * 0.94, heart["dark"], heart["bright"]])
    image = gaussian_filter(np.where(label == 0, background, tissue[label]), (0, 0.6, 0.6))
    slope = generator.uniform(-0.2, 0.2, size=2)
    image = image * (1 + slope[0] * y + slope[1] * x)
    image = image + heart["noise"] * generator.standard_normal(label.shape)
    return np.clip(image, 0, None).astype(np.float32)


def _save(path: Path, array: np.ndarray, spacing: tuple[float, float]) -> None:
    """Write ``(D, H, W)`` as the official files are: (X, Y, Z), directions as ITK's identity."""
    import nibabel

    affine = np.diag([-spacing[0], -spacing[0], spacing[1], 1.0])
    volume = nibabel.Nifti1Image(np.ascontiguousarray(array.transpose(2, 1, 0)), affine)
    volume.header.set_zooms((spacing[0], spacing[0], spacing[1]))
    # No time stamp and no name in the gzip header: the same phantom has the same bytes.
    path.write_bytes(gzip.compress(volume.to_bytes(), compresslevel=4, mtime=0))


def _info(path: Path, frames: dict[str, int], group: str, generator: np.random.Generator) -> None:
    entries = {
        "ED": frames["ED"],
        "ES": frames["ES"],
        "Group": group,
        "Height": round(float(generator.uniform(150, 190)), 1),
        "NbFrame": 30,
        "Weight": round(float(generator.uniform(50, 100)), 1),
    }
    path.write_text(
        "".join(f"{key}: {value}\n" for key, value in entries.items()), encoding="utf-8"
    )
