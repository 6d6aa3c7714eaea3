"""MT-UNet's preprocessed ACDC package, which MT-UNet, MERIT and SALSTM train on.

``case_NNN_sliceED_k.npz`` (train and valid) and ``case_NNN_volume_ED.npz`` (test), arrays ``img``
and ``label``, 224 x 224, already normalised. It holds no spacing, so distances are in pixels.
Stray copies of test patients' slices, which one public list has among the training slices
(danielzhao9527/AI4MEDICAL), are no volume and are passed over.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from salstm.data.case import RawCase, Reading
from salstm.data.readers import acdc, labels, layout, npz

CLASSES = acdc.CLASSES
NORMALISE = "none"

_SLICE = r"case_(\d+)_slice(ED|ES)_(\d+)\.npz"
_VOLUME = r"case_(\d+)_volume_(ED|ES)\.npz"


def find(raw: Path | str) -> Path:
    """The raw folder, if it holds the package anywhere below.

    Raises:
        FileNotFoundError: it does not.
    """
    raw = Path(raw)
    if any(raw.rglob("case_*_slice*.npz")) or any(raw.rglob("case_*_volume_*.npz")):
        return raw
    raise FileNotFoundError(
        f"{raw}: no MT-UNet package; files like train/case_001_sliceED_0.npz and "
        f"test/case_002_volume_ED.npz are expected; its authors share it (github.com/Dootmaan/"
        f"MT-UNet)"
    )


def files(raw: Path | str) -> list[Path]:
    """The files that the cases are made of, sorted.

    Raises:
        FileNotFoundError: no package.
        ValueError: a slice is missing or there twice, or a volume is there twice.
    """
    return sorted(path for paths in _volumes(raw).values() for path in paths)


def identities(raw: Path | str) -> list[tuple[str, str]]:
    """Id and group of each case, in the order of ``cases``: ``patient001_ED`` of ``patient001``."""
    return [(f"{patient}_{phase}", patient) for patient, phase in _volumes(raw)]


def cases(raw: Path | str) -> Iterator[RawCase]:
    """Read the volumes, patient by patient, ED then ES.

    Yields:
        Cases with ``(D, 224, 224)`` images as they are in the package.

    Raises:
        FileNotFoundError: no package.
        ValueError: a damaged file, or labels other than 0 to 3.
    """
    return (read() for read in readings(raw))


def readings(raw: Path | str) -> list[Reading]:
    """A function for each case, in the order of ``cases``, that reads it."""
    return [partial(_case, *key, paths) for key, paths in _volumes(raw).items()]


def facts(raw: Path | str) -> dict[str, dict[str, str]]:
    """Phase of each case; the package says nothing of diagnoses."""
    return {f"{patient}_{phase}": {"phase": phase} for patient, phase in _volumes(raw)}


def check(raw: Path | str) -> list[str]:
    """Compare with the published package: 100 patients, both phases, by the names of the files."""
    present = set(_volumes(raw))
    expected = {(f"patient{k:03d}", phase) for k in range(1, 101) for phase in acdc.PHASES}
    missing = sorted(f"{patient}_{phase}" for patient, phase in expected - present)
    return [f"{len(missing)} of 200 volumes missing: {', '.join(missing)}"] if missing else []


def _case(patient: str, phase: str, paths: list[Path]) -> RawCase:
    whole = re.fullmatch(_VOLUME, paths[0].name)
    image, label = npz.read(paths[0], "img") if whole else npz.volume(paths, "img")
    return RawCase(
        id=f"{patient}_{phase}",
        group=patient,
        stack=f"{patient}_{phase}",
        first=0,
        image=image,
        label=labels.as_labels(paths[0], label, range(len(CLASSES) + 1)),
        spacing_mm=None,
    )


def _volumes(raw: Path | str) -> dict[tuple[str, str], list[Path]]:
    """Patient and phase -> its slices, or its one file."""
    folder = find(raw)
    sliced = npz.by_volume(folder.rglob("case_*_slice*.npz"), _SLICE)
    found = dict(sliced)
    volumes = (
        ("_".join(named.groups()), path)
        for path in sorted(folder.rglob("case_*_volume_*.npz"))
        if (named := re.fullmatch(_VOLUME, path.name))
    )
    for key, path in layout.singles(volumes, "volume").items():
        number, phase = str(key).split("_")
        found[number, phase] = [path]
    return {
        (f"patient{int(number):03d}", phase): paths
        for (number, phase), paths in sorted(found.items())
    }
