"""Synapse multi-organ CT: the 30 labelled abdomens of the BTCV challenge, eight organs.

B. Landman et al., "MICCAI Multi-Atlas Labeling Beyond the Cranial Vault: Workshop and Challenge",
2015, doi 10.7303/syn3193805. CC BY 4.0; the files need an account on Synapse.

A case is one volume, which is its own group and stack. Volumes are brought to LPS (see
``salstm.data.readers.orientation``): axial slices from the feet up, the patient's front at the top and the
patient's right at the left. Files differ in how they store the axes, and slicing them as stored
would mix axial with coronal slices and mirror the organs. Which way TransUNet's own slices are
turned is in no public file; its augmentation turns and flips by 90 degrees anyway.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np

from salstm.data.case import RawCase, Reading
from salstm.data.readers import label_maps, label_sanity, layout, volumes
from salstm.data.readers.labels import as_labels
from salstm.data.readers.orientation import offset_voxels

CLASSES = tuple(label_maps.TRANSUNET[number] for number in sorted(label_maps.TRANSUNET))
NORMALISE = "hu"
URL = "https://www.synapse.org/#!Synapse:syn3193805/wiki/217789"
OFFICIAL = tuple(f"case{number:04d}" for number in (*range(1, 11), *range(21, 41)))
DEPTHS = {
    "case0005": 117, "case0006": 131, "case0007": 163, "case0009": 149, "case0010": 148,
    "case0021": 143, "case0023": 96, "case0024": 124, "case0026": 131, "case0027": 88,
    "case0028": 89, "case0030": 153, "case0031": 93, "case0033": 104, "case0034": 98,
    "case0037": 99, "case0039": 90, "case0040": 195,
}  # fmt: skip
"""Slices of TransUNet's 18 training volumes, 2211 in all (lists/lists_Synapse/train.txt)."""

_IMAGES, _LABELS = ("img", "imagestr", "images"), ("label", "labelstr", "labels")
_PLACES = ("RawData/Training", "Abdomen/RawData/Training", "Training", ".")


def find(raw: Path | str) -> Path:
    """The folder that holds ``img`` and ``label``, in any place where the archive unpacks.

    Raises:
        FileNotFoundError: no image; says what is there, what to get and where to put it.
        ValueError: several folders hold images.
    """
    raw = Path(raw)
    if place := layout.find(raw, _PLACES, lambda folder: _folder(folder, _IMAGES) is not None):
        return place
    raise FileNotFoundError(
        f"{raw}: no BTCV volumes{layout.beside(raw)}; {raw}/RawData/Training/img/img0001.nii.gz and "
        f"label/label0001.nii.gz and so on are expected. Sign up at {URL}, accept the terms, get "
        f"Abdomen/RawData.zip (about 1.5 GB) and unpack it in {raw}; or put TransUNet's preprocessed "
        f"folders train_npz and test_vol_h5 there; then run the same command again"
    )


def files(raw: Path | str) -> list[Path]:
    """The files that the cases are made of, sorted: images and labels.

    Raises:
        FileNotFoundError: no images, or an image without its label.
        ValueError: two files for one image or label.
    """
    found = [path for image, label in _pairs(raw).values() for path in (image, label)]
    for path in found:
        if not path.is_file():
            raise FileNotFoundError(
                f"{path}: missing, but its image is there, and in {path.parent} {layout.seen(path.parent)}; "
                f"unpack RawData.zip again"
            )
    return sorted(found)


def identities(raw: Path | str) -> list[tuple[str, str]]:
    """Id and group of each case, in the order of ``cases``."""
    return [(identity, identity) for identity in _pairs(raw)]


def cases(raw: Path | str) -> Iterator[RawCase]:
    """Read the volumes by number; ids like ``case0001``, TransUNet's.

    Yields:
        Cases with ``(D, H, W)`` images in Hounsfield units and labels in TransUNet's numbers.

    Raises:
        FileNotFoundError: no images, or an image without its label.
        ValueError: a damaged file, labels other than 0 to 13, or a label that does not lie on its
            image.
    """
    return (read() for read in readings(raw))


def readings(raw: Path | str, axes: str | None = None) -> list[Reading]:
    """A function for each case, in the order of ``cases``, that reads it.

    Args:
        raw: folder of the raw files.
        axes: where the axes of files point whose header does not say; None refuses such files.
    """
    return [partial(_case, identity, *pair, axes) for identity, pair in _pairs(raw).items()]


def check(raw: Path | str) -> list[str]:
    """Compare a raw folder with the official one: volumes, depths, and whether the organs fit.

    Reads every volume, a few seconds each. A deviation is no error: a reduced copy can be trained on, but gives other
    numbers.

    Returns:
        The problems found, one sentence each.

    Raises:
        FileNotFoundError: no images.
    """
    present = _pairs(raw)
    problems = []
    if missing := [name for name in OFFICIAL if name not in present]:
        problems.append(f"{len(missing)} of {len(OFFICIAL)} volumes missing: {', '.join(missing)}")
    if others := [name for name in present if name not in OFFICIAL]:
        problems.append(f"{len(others)} unknown volumes: {', '.join(others)}")
    for name, pair in present.items():
        problems += [f"{name}: {problem}" for problem in _deviations(name, *pair)]
    return problems


def oddities(label: np.ndarray) -> list[str]:
    """What looks wrong about the organs of a case's label ``(D, H, W)``, one sentence each."""
    return label_sanity.problems(label, label_maps.numbers(label_maps.TRANSUNET))


def _case(identity: str, image_path: Path, label_path: Path, axes: str | None) -> RawCase:
    image, label = volumes.read_pair(
        image_path, label_path, axes=axes, setting="datasets.synapse.axes"
    )
    official = as_labels(label_path, label.array, range(len(label_maps.BTCV) + 1))
    if other := label_sanity.other_list(official, label_maps.BTCV, label_maps.OTHERS):
        raise ValueError(
            f"{label_path}: {other}; renumber it (salstm/data/readers/label_maps.py has the lists), "
            f"or get RawData.zip again"
        )
    return RawCase(
        id=identity,
        group=identity,
        stack=identity,
        first=0,
        image=image.array,
        label=label_maps.convert(official, label_maps.BTCV, label_maps.TRANSUNET),
        spacing_mm=image.spacing_mm,
    )


def _pairs(raw: Path | str) -> dict[str, tuple[Path, Path]]:
    """Case id -> image and label, by number."""
    folder = find(raw)
    inputs = _folder(folder, _IMAGES) or folder / "img"
    truths = _folder(folder, _LABELS) or folder / "label"
    images, labels = _numbered(inputs, "image"), _numbered(truths, "label")
    return {
        f"case{int(number):04d}": (
            image,
            labels.get(number, truths / image.name.replace("img", "label")),
        )
        for number, image in images.items()
    }


def _numbered(folder: Path, what: str) -> dict[int | str, Path]:
    named = ((_number(path), path) for path in layout.visible(folder))
    return layout.singles(((number, path) for number, path in named if number is not None), what)


def _number(path: Path) -> int | None:
    """The number of a volume: of ``img0001.nii.gz``, ``label0001.nii``, or ``BTCV_0001_0000.nii.gz``, nnU-Net's."""
    named = re.fullmatch(r"[^0-9]*([0-9]+)(_0000)?\.nii(\.gz)?", path.name, re.IGNORECASE)
    return int(named.group(1)) if named and path.is_file() else None


def _folder(folder: Path, names: tuple[str, ...]) -> Path | None:
    return layout.child(folder, names, lambda path: _number(path) is not None)


def _deviations(name: str, image_path: Path, label_path: Path) -> list[str]:
    try:
        image, label = volumes.read_pair(image_path, label_path, setting="datasets.synapse.axes")
        numbers = as_labels(label_path, label.array, range(len(label_maps.BTCV) + 1))
    except (FileNotFoundError, ValueError) as error:
        return [str(error)]
    problems = label_sanity.problems(numbers, label_maps.numbers(label_maps.BTCV))
    liver = image.array[numbers == label_maps.numbers(label_maps.BTCV)["liver"]]
    if liver.size and not 0 <= np.median(liver) <= 250:
        problems.append(
            f"the liver's median is {np.median(liver):.0f}, 0 to 250 is usual: the image is not in "
            f"Hounsfield units"
        )
    depth = len(image.array)
    if name in DEPTHS and depth != DEPTHS[name]:
        problems.append(f"{depth} slices, officially {DEPTHS[name]}")
    if (apart := offset_voxels(image, label)) > 1:
        problems.append(f"image and label lie {apart:.1f} voxels apart by their headers")
    return problems
