"""ACDC: cardiac cine-MRI, short axis, 100 patients at end of diastole (ED) and systole (ES).

O. Bernard et al., "Deep Learning Techniques for Automatic MRI Cardiac Multi-structures Segmentation
and Diagnosis: Is the Problem Solved?", IEEE TMI 37(11), 2018, doi 10.1109/TMI.2018.2837502.
CC BY-NC-SA 4.0.

A case is one volume; a group is a patient, with two cases. Voxels stay in stored order, as
``(slices, rows, columns)``: short-axis stacks have no anatomical in-plane orientation to restore,
and all official files are stored alike.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np

from salstm.data.case import RawCase, Reading
from salstm.data.readers import nifti

CLASSES = ("RV", "MYO", "LV")
NORMALISE = "minmax99"
PHASES = ("ED", "ES")
FACTS = Path(__file__).parent / "acdc_patients.csv"
URL = (
    "https://humanheart-project.creatis.insa-lyon.fr/database/#collection/637218c173e9f0047faa00fb"
)

_PLACES = ("training", "database/training", "ACDC/database/training", ".")


def find(raw: Path | str) -> Path:
    """The folder that holds ``patient001`` and so on, in any place where the archives unpack.

    Raises:
        FileNotFoundError: none of the usual places holds a patient; says what to get and where to
            put it.
    """
    raw = Path(raw)
    for place in _PLACES:
        if any((raw / place).glob("patient*/Info.cfg")):
            return raw / place
    raise FileNotFoundError(
        f"{raw}: no ACDC patients; {raw}/training/patient001/Info.cfg and so on are expected. Get "
        f"the database (2.3 GB, free, CC BY-NC-SA 4.0) from {URL}, unpack it so that "
        f"{raw}/training or {raw}/database/training has the patient folders, then run the same "
        f"command again"
    )


def files(raw: Path | str) -> list[Path]:
    """The files that the cases are made of, sorted: Info.cfg, and image and label of ED and ES.

    Raises:
        FileNotFoundError: no patients, or one of a patient's files is missing.
        ValueError: an Info.cfg without ED or ES.
    """
    found = []
    for patient in _patients(raw):
        info = patient / "Info.cfg"
        pairs = [_pair(patient, read_info(info)[phase]) for phase in PHASES]
        found += [info, *(path for pair in pairs for path in pair)]
    if missing := [path for path in found if not path.is_file()]:
        raise FileNotFoundError(
            f"{missing[0]}: missing{f', and {len(missing) - 1} more' if missing[1:] else ''}; "
            f"Info.cfg names this frame; unpack the archive again"
        )
    return sorted(found)


def identities(raw: Path | str) -> list[tuple[str, str]]:
    """Id and group of each case, in the order of ``cases``."""
    return [
        (f"{patient.name}_{phase}", patient.name) for patient in _patients(raw) for phase in PHASES
    ]


def cases(raw: Path | str) -> Iterator[RawCase]:
    """Read the volumes, patient by patient, ED then ES; ids like ``patient001_ED``.

    Yields:
        Cases with ``(D, H, W)`` images in the file's number type, and labels 0 background, 1 RV
        cavity, 2 myocardium, 3 LV cavity.

    Raises:
        FileNotFoundError: no patients, or a file is missing.
        ValueError: a damaged file, labels other than 0 to 3, or a label of another shape than its
            image.
    """
    return (read() for read in readings(raw))


def readings(raw: Path | str) -> list[Reading]:
    """A function for each case, in the order of ``cases``, that reads it."""
    return [
        partial(_case, f"{patient.name}_{phase}", patient, read_info(patient / "Info.cfg")[phase])
        for patient in _patients(raw)
        for phase in PHASES
    ]


def check(raw: Path | str) -> list[str]:
    """Compare a raw folder with the official training set: patients, frames, sizes and spacings.

    Reads headers only. A deviation is no error: a reduced copy can be trained on, but gives other
    numbers.

    Returns:
        The problems found, one sentence each.

    Raises:
        FileNotFoundError: no patients.
    """
    with FACTS.open(encoding="utf-8", newline="") as file:
        facts = {row["patient"]: row for row in csv.DictReader(file)}
    present = {path.name: path for path in _patients(raw)}
    problems = []
    if missing := sorted(set(facts) - set(present)):
        problems.append(f"{len(missing)} of {len(facts)} patients missing: {', '.join(missing)}")
    if others := sorted(set(present) - set(facts)):
        problems.append(f"{len(others)} unknown patients: {', '.join(others)}")
    for name in sorted(set(facts) & set(present)):
        problems += _deviations(present[name], facts[name])
    return problems


def read_info(path: Path) -> dict[str, int]:
    """The frame numbers of ``Info.cfg`` by key, 1-based: ``{"ED": 1, "ES": 12}``.

    By key, not by line: older releases lack ``Group``, and ED is not always frame 1 (patient090:
    4).

    Raises:
        ValueError: ED or ES is missing or not a number.
    """
    lines = path.read_text(encoding="utf-8").splitlines()
    pairs = dict(line.split(":", 1) for line in lines if ":" in line)
    entries = {key.strip(): value.strip() for key, value in pairs.items()}
    for phase in PHASES:
        if not entries.get(phase, "").isdecimal():
            raise ValueError(
                f"{path}: {phase} is {entries.get(phase)!r}; a line like '{phase}: 12' is "
                f"expected; fetch the file again"
            )
    return {phase: int(entries[phase]) for phase in PHASES}


def _patients(raw: Path | str) -> list[Path]:
    return sorted(path.parent for path in find(raw).glob("patient*/Info.cfg"))


def _pair(patient: Path, frame: int) -> tuple[Path, Path]:
    stem = f"{patient.name}_frame{frame:02d}"
    return patient / f"{stem}.nii.gz", patient / f"{stem}_gt.nii.gz"


def _case(identity: str, patient: Path, frame: int) -> RawCase:
    path, label_path = _pair(patient, frame)
    image, (x, y, z) = nifti.read(path)
    truth, _ = nifti.read(label_path)
    if image.shape != truth.shape:
        raise ValueError(
            f"{label_path}: shape {truth.shape}, its image {path.name} has {image.shape}; both "
            f"must be alike; fetch both files again"
        )
    label = nifti.as_labels(label_path, truth, range(len(CLASSES) + 1))
    return RawCase(
        id=identity,
        group=patient.name,
        stack=identity,
        first=0,
        image=np.transpose(image, (2, 1, 0)),  # (X, Y, Z) to (Z, Y, X)
        label=np.transpose(label, (2, 1, 0)),
        spacing_mm=(z, y, x),
    )


def _deviations(patient: Path, fact: dict[str, str]) -> list[str]:
    """How one patient differs from the official set."""
    try:
        info = read_info(patient / "Info.cfg")
    except ValueError as error:
        return [str(error)]
    problems = []
    for phase in PHASES:
        if info[phase] != int(fact[phase.lower()]):
            problems.append(
                f"{patient.name}: {phase} is frame {info[phase]}, officially {fact[phase.lower()]}"
            )
        for path in _pair(patient, info[phase]):
            problems += _header_deviations(path, fact)
    return problems


def _header_deviations(path: Path, fact: dict[str, str]) -> list[str]:
    try:
        volume = nifti.header(path)
    except (FileNotFoundError, ValueError) as error:
        return [str(error)]
    shape = tuple(int(fact[key]) for key in ("width", "height", "slices"))
    spacing = tuple(float(fact[key]) for key in ("pixel_mm", "pixel_mm", "slice_mm"))
    problems = []
    if volume.shape != shape:
        problems.append(f"{path.name}: {volume.shape} voxels, officially {shape}")
    found = tuple(round(float(side), 6) for side in volume.header.get_zooms()[:3])
    if not np.allclose(found, spacing, rtol=1e-3):
        problems.append(f"{path.name}: spacing {found} mm, officially {spacing}")
    return problems
