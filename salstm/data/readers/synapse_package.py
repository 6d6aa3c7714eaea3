"""TransUNet's preprocessed Synapse files: what most people who know this benchmark already have.

``train_npz/caseNNNN_sliceKKK.npz`` (18 volumes, 2211 slices) and ``test_vol_h5/caseNNNN.npy.h5``
(12), arrays ``image`` and ``label``: HU clipped to [-125, 275] and scaled to [0, 1], eight organs.
They hold no spacing, so distances are in pixels; and the axes are unknown, so the anatomical check
only says what holds in any orientation.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np

from salstm.data.case import RawCase, Reading
from salstm.data.readers import label_maps, label_sanity, labels, layout, npz, synapse

CLASSES = synapse.CLASSES
NORMALISE = "none"

_PLACES = (".", "Synapse", "data/Synapse", "project_TransUNet/data/Synapse")


def find(raw: Path | str) -> Path:
    """The folder that holds ``train_npz`` and ``test_vol_h5``.

    Raises:
        FileNotFoundError: it is in none of the usual places.
    """
    for place in _PLACES:
        folder = Path(raw) / place
        if (folder / "train_npz").is_dir() or (folder / "test_vol_h5").is_dir():
            return folder
    raise FileNotFoundError(
        f"{raw}: no TransUNet package; {raw}/train_npz/case0005_slice000.npz and "
        f"{raw}/test_vol_h5/case0001.npy.h5 and so on are expected; its authors share it by Google "
        f"Drive (TransUNet, datasets/README.md)"
    )


def files(raw: Path | str) -> list[Path]:
    """The files that the cases are made of, sorted.

    Raises:
        FileNotFoundError: no package.
        ValueError: a slice is missing, or a volume is there whole and in slices.
    """
    return sorted(path for paths in _volumes(raw).values() for path in paths)


def identities(raw: Path | str) -> list[tuple[str, str]]:
    """Id and group of each case, in the order of ``cases``."""
    return [(identity, identity) for identity in _volumes(raw)]


def cases(raw: Path | str) -> Iterator[RawCase]:
    """Read the volumes by number; ids like ``case0001``.

    Yields:
        Cases with ``(D, H, W)`` float images in [0, 1] and labels in TransUNet's numbers.

    Raises:
        FileNotFoundError: no package.
        ValueError: a damaged file, or labels other than 0 to 8.
    """
    return (read() for read in readings(raw))


def readings(raw: Path | str) -> list[Reading]:
    """A function for each case, in the order of ``cases``, that reads it."""
    return [partial(_case, identity, paths) for identity, paths in _volumes(raw).items()]


def check(raw: Path | str) -> list[str]:
    """Compare with the published package: volumes and depths, by the names of the files."""
    present = _volumes(raw)
    problems = []
    if missing := [name for name in synapse.OFFICIAL if name not in present]:
        problems.append(f"{len(missing)} of 30 volumes missing: {', '.join(missing)}")
    for name, paths in present.items():
        depth = synapse.DEPTHS.get(name)
        if paths[0].suffix == ".npz" and depth not in (None, len(paths)):
            problems.append(f"{name}: {len(paths)} slices, officially {depth}")
    return problems


def oddities(label: np.ndarray) -> list[str]:
    """What looks wrong about the organs of a case's label ``(D, H, W)``, one sentence each."""
    return label_sanity.problems(label, label_maps.numbers(label_maps.TRANSUNET), oriented=False)


def _case(identity: str, paths: list[Path]) -> RawCase:
    whole = paths[0].suffix == ".h5"
    image, label = _read_h5(paths[0]) if whole else npz.volume(paths, "image")
    return RawCase(
        id=identity,
        group=identity,
        stack=identity,
        first=0,
        image=image,
        label=labels.as_labels(paths[0], label, range(len(label_maps.TRANSUNET) + 1)),
        spacing_mm=None,
    )


def _volumes(raw: Path | str) -> dict[str, list[Path]]:
    """Case id -> its slices, or its one ``.h5`` file."""
    folder = find(raw)
    slices = (folder / "train_npz").glob("case*.npz")
    found = {key: paths for (key,), paths in npz.by_volume(slices, _SLICE).items()}
    for path in (folder / "test_vol_h5").glob("case*.h5"):
        if named := re.fullmatch(r"(case\d+)\.npy\.h5", path.name):
            name = named.group(1)
            layout.single([*found.get(name, [])[:1], path], name)
            found[name] = [path]
    return dict(sorted(found.items()))


_SLICE = r"(case\d+)_slice(\d+)\.npz"


def _read_h5(path: Path) -> tuple[np.ndarray, np.ndarray]:
    import h5py

    try:
        with h5py.File(path, "r") as content:
            image, label = np.asarray(content["image"]), np.asarray(content["label"])
    except (OSError, KeyError) as error:
        raise ValueError(
            f"{path}: cannot be read ({error}); an HDF5 file with the arrays image and label is "
            f"expected; unpack the package again"
        ) from error
    return npz.checked(path, image, label)
