"""ACDC: cardiac cine-MRI, short axis, 100 patients at end of diastole (ED) and systole (ES).

O. Bernard et al., "Deep Learning Techniques for Automatic MRI Cardiac Multi-structures Segmentation
and Diagnosis: Is the Problem Solved?", IEEE TMI 37(11), 2018, doi 10.1109/TMI.2018.2837502.
CC BY-NC-SA 4.0.

A case is one volume; a group is a patient, with two cases. Image and label are brought to LPS each by
its own file (``salstm.data.readers.volumes``), which is how the copies at hand are stored. A file that
does not say how it is stored is taken to be like them. The slices of a short-axis stack come first
wherever the heart lies.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np

from salstm.data.case import RawCase, Reading
from salstm.data.readers import layout, nifti, volumes
from salstm.data.readers.labels import as_labels

CLASSES = ("RV", "MYO", "LV")
NORMALISE = "minmax99"
PHASES = ("ED", "ES")
AXES = "LPS"
"""Where the axes of a file point whose header does not say."""
FACTS = Path(__file__).parent / "acdc_patients.csv"
URL = (
    "https://humanheart-project.creatis.insa-lyon.fr/database/#collection/637218c173e9f0047faa00fb"
)

_PLACES = ("training", "database/training", "ACDC/database/training", ".")


def find(raw: Path | str) -> Path:
    """The folder that holds ``patient001`` and so on, in any place where the archives unpack.

    Raises:
        FileNotFoundError: no patient; says what is there, what to get and where to put it.
        ValueError: several folders hold patients.
    """
    raw = Path(raw)
    if place := layout.find(raw, _PLACES, lambda folder: any(map(_infos, layout.visible(folder)))):
        return place
    raise FileNotFoundError(
        f"{raw}: no ACDC patients{layout.beside(raw)}; {raw}/training/patient001/Info.cfg and so on are expected. Get "
        f"the database (2.3 GB, free, CC BY-NC-SA 4.0) from {URL}, unpack it so that "
        f"{raw}/training or {raw}/database/training has the patient folders, then run the same "
        f"command again"
    )


def files(raw: Path | str) -> list[Path]:
    """The files that the cases are made of, sorted: Info.cfg, and image and label of ED and ES.

    Raises:
        FileNotFoundError: no patients, or one of a patient's files is missing.
        ValueError: an Info.cfg without ED or ES, or two files or folders for one frame or patient.
    """
    found = []
    for patient, info in _patients(raw).items():
        pairs = [_pair(patient, read_info(info)[phase]) for phase in PHASES]
        found += [info, *(path for pair in pairs for path in pair)]
    if missing := [path for path in found if not path.is_file()]:
        raise FileNotFoundError(
            f"{missing[0]}: missing{f', and {len(missing) - 1} more' if missing[1:] else ''}; "
            f"Info.cfg names this frame, in {missing[0].parent} {layout.seen(missing[0].parent)}; unpack the "
            f"archive again"
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


def readings(raw: Path | str, axes: str | None = None) -> list[Reading]:
    """A function for each case, in the order of ``cases``, that reads it.

    Args:
        raw: folder of the raw files.
        axes: where the axes of files point whose header does not say; None for ``AXES``.
    """
    return [
        partial(_case, f"{patient.name}_{phase}", patient, read_info(info)[phase], axes)
        for patient, info in _patients(raw).items()
        for phase in PHASES
    ]


def facts(raw: Path | str) -> dict[str, dict[str, str]]:
    """Diagnosis (``Group`` of Info.cfg; empty where an older release has none) and phase of each case."""
    found = {}
    for patient, info in _patients(raw).items():
        diagnosis = _entries(info).get("Group", "")
        for phase in PHASES:
            found[f"{patient.name}_{phase}"] = {"diagnosis": diagnosis, "phase": phase}
    return found


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
    present = {path.name: (path, info) for path, info in _patients(raw).items()}
    problems = []
    if missing := sorted(set(facts) - set(present)):
        problems.append(f"{len(missing)} of {len(facts)} patients missing: {', '.join(missing)}")
    if others := sorted(set(present) - set(facts)):
        problems.append(f"{len(others)} unknown patients: {', '.join(others)}")
    for name in sorted(set(facts) & set(present)):
        problems += _deviations(*present[name], facts[name])
    return problems


def read_info(path: Path) -> dict[str, int]:
    """The frame numbers of ``Info.cfg`` by key, 1-based: ``{"ED": 1, "ES": 12}``.

    By key, not by line: older releases lack ``Group``, and ED is not always frame 1 (patient090:
    4). In UTF-8, UTF-16 or Latin-1; a frame may be written 12.0.

    Raises:
        ValueError: ED or ES is missing or not a whole number.
    """
    entries = _entries(path)
    for phase in PHASES:
        if not re.fullmatch(r"[0-9]+(\.0*)?", entries.get(phase, "")):
            raise ValueError(
                f"{path}: {phase} is {entries.get(phase)!r}; a line like '{phase}: 12' is "
                f"expected; fetch the file again"
            )
    return {phase: int(entries[phase].partition(".")[0]) for phase in PHASES}


def _entries(path: Path) -> dict[str, str]:
    pairs = dict(line.split(":", 1) for line in _text(path).splitlines() if ":" in line)
    return {key.strip(): value.strip() for key, value in pairs.items()}


def _text(path: Path) -> str:
    content = path.read_bytes()
    if content[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return content.decode("utf-16", errors="replace")
    if b"\0" in content:  # UTF-16 without its mark: every other byte of a number is 0
        return content.decode("utf-16-le" if content[1:2] == b"\0" else "utf-16-be", "replace")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return content.decode("latin-1")


def _patients(raw: Path | str) -> dict[Path, Path]:
    """A patient's folder -> its Info.cfg, by number."""
    found = {
        path: infos
        for path in layout.visible(find(raw))
        if path.is_dir() and (infos := _infos(path))
    }
    numbers = [
        (int(named.group(1)), path)
        for path in found
        if (named := re.match(r"patient0*(\d+)", path.name, re.IGNORECASE))
    ]
    ordered = layout.singles(numbers, "patient").values()
    return {path: layout.single(found[path], f"the Info.cfg of {path.name}") for path in ordered}


def _infos(folder: Path) -> list[Path]:
    """The Info.cfg of a patient's folder, as systems and people rename it."""
    if not re.match(r"patient\d", folder.name, re.IGNORECASE):
        return []
    return [
        path
        for path in layout.visible(folder)
        if path.is_file() and path.name.lower() in ("info.cfg", "info.cfg.txt")
    ]


def _pair(patient: Path, frame: int) -> tuple[Path, Path]:
    stem = f"{patient.name}_frame{frame:02d}"
    return _volume(patient, stem), _volume(patient, f"{stem}_gt")


def _volume(patient: Path, stem: str) -> Path:
    """A file of that name, packed or not, or in a folder of its own name; the official name if there is none."""
    names = (f"{stem}.nii.gz", f"{stem}.nii")
    places = (patient, *(patient / name for name in names), patient / stem)
    there = [place / name for place in places for name in names if (place / name).is_file()]
    return layout.single(there, stem) if there else patient / names[0]


def _case(identity: str, patient: Path, frame: int, axes: str | None) -> RawCase:
    path, label_path = _pair(patient, frame)
    pair = volumes.read_pair(path, label_path, axes=axes, usual=AXES, setting="datasets.acdc.axes")
    image, label = volumes.slices_first(*pair)
    return RawCase(
        id=identity,
        group=patient.name,
        stack=identity,
        first=0,
        image=image.array,
        label=as_labels(label_path, label.array, range(len(CLASSES) + 1)),
        spacing_mm=image.spacing_mm,
    )


def _deviations(patient: Path, path: Path, fact: dict[str, str]) -> list[str]:
    """How one patient differs from the official set."""
    try:
        info = read_info(path)
    except ValueError as error:
        return [str(error)]
    problems = []
    for phase in PHASES:
        if info[phase] != int(fact[phase.lower()]):
            problems.append(
                f"{patient.name}: {phase} is frame {info[phase]}, officially {fact[phase.lower()]}"
            )
        for volume in _pair(patient, info[phase]):
            problems += _header_deviations(volume, fact)
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
    found = tuple(round(side, 6) for side in volume.spacing_mm)
    if not np.allclose(found, spacing, rtol=1e-3):
        problems.append(f"{path.name}: spacing {found} mm, officially {spacing}")
    return problems
