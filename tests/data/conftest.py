"""Small made cases and a small phantom: no test here reads real data."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np
import pytest

from salstm.data import phantoms, writing
from salstm.data.case import RawCase, Reading
from salstm.data.store import Store


def volume(name: str, depth: int = 4, height: int = 7, width: int = 5, group: str = "") -> RawCase:
    """A grey volume that is a stack of its own; values differ from voxel to voxel."""
    generator = np.random.default_rng([depth, height, width, *name.encode()])
    return RawCase(
        id=name,
        group=group or name,
        stack=name,
        first=0,
        image=generator.uniform(0, 900, (depth, height, width)),
        label=generator.integers(0, 4, (depth, height, width), dtype=np.uint8),
        spacing_mm=(10.0, 1.25, 1.5),
    )


def video(name: str, frames: int, height: int = 6, width: int = 8, start: int = 0) -> list[RawCase]:
    """RGB frames of one sequence: each frame a case, the sequence their stack and group."""
    generator = np.random.default_rng([frames, start, *name.encode()])
    return [
        RawCase(
            id=f"{name}_{start + index}",
            group=name,
            stack=name,
            first=index,
            image=generator.integers(0, 256, (1, height, width, 3), dtype=np.uint8),
            label=generator.integers(0, 2, (1, height, width), dtype=np.uint8),
            spacing_mm=None,
        )
        for index in range(frames)
    ]


def readings(cases: Iterable[RawCase]) -> Iterator[Reading]:
    """Functions that give made cases, as readers give functions that read."""
    return ((lambda case=case: case) for case in cases)


def write(
    folder: Path, cases: Iterable[RawCase], size: int | None = None, normalise: str = "none"
) -> Store:
    """Write a store in which everything is for training, and open it."""
    cases = list(cases)
    splits = {case.group: "train" for case in cases}
    writing.write(
        folder, readings(cases), splits, size=size, normalise=normalise, source={"made": "here"}
    )
    return Store(folder)


@pytest.fixture(scope="session")
def phantom(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four small phantom patients; never changed."""
    folder = tmp_path_factory.mktemp("phantom") / "acdc"
    return phantoms.acdc(folder, patients=4, seed=3, size=(32, 44), slices=(4, 5))


@pytest.fixture
def raw(phantom: Path, tmp_path: Path) -> Path:
    """A copy of the phantom that a test may damage."""
    return Path(shutil.copytree(phantom, tmp_path / "raw"))


Rewrite = Callable[[Path, Callable[[np.ndarray], np.ndarray]], None]


@pytest.fixture
def rewrite() -> Rewrite:
    """Change the voxels of a NIfTI file in place."""
    from nibabel.nifti1 import Nifti1Image

    def change(path: Path, function: Callable[[np.ndarray], np.ndarray]) -> None:
        image = Nifti1Image.from_filename(path)
        array = function(np.asanyarray(image.dataobj))
        Nifti1Image(array, image.affine).to_filename(path)

    return change


@pytest.fixture(scope="session")
def abdomens(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five small phantom CT volumes, one of each way of storing them; never changed."""
    folder = tmp_path_factory.mktemp("phantom") / "synapse"
    return phantoms.synapse(folder, volumes=5, seed=3, size=(40, 56), slices=(10, 12))


@pytest.fixture(scope="session")
def lesions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight small phantom skin lesions; never changed."""
    folder = tmp_path_factory.mktemp("phantom") / "isic2018"
    return phantoms.isic2018(folder, images=8, seed=3, size=(40, 64))


@pytest.fixture(scope="session")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four small phantom videos, the second with a gap; never changed."""
    folder = tmp_path_factory.mktemp("phantom") / "cvc_clinicdb"
    return phantoms.cvc_clinicdb(folder, sequences=4, frames=6, seed=3, size=(40, 52))
