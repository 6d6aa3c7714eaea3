"""The unit of the benchmark: one patient volume, image or video frame, with its label."""

from __future__ import annotations

import csv
import math
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

SPLITS = ("train", "val", "test")
UNUSED = "unused"
"""In place of a split: a case that is prepared, and neither trained nor validated nor tested on."""


@dataclass(frozen=True)
class RawCase:
    """What a reader yields: stack after stack, frames in order, values not yet normalised.

    Attributes:
        id: unique in the dataset; names files and rows.
        group: patient or video sequence: what statistics cluster by, and what a split should not
            divide.
        stack: the run of neighbouring frames that the case belongs to; windows never leave it. A
            volume is its own stack; the frames of one video sequence share one.
        first: index of the case's first frame inside the stack.
        image: ``(D, H, W)`` grey or ``(D, H, W, 3)`` RGB in native size and the dataset's canonical
            orientation.
        label: ``(D, H, W)`` uint8, the classes' numbers, 0 the background.
        spacing_mm: ``(z, y, x)``, or None where the format has none.
    """

    id: str
    group: str
    stack: str
    first: int
    image: np.ndarray
    label: np.ndarray
    spacing_mm: tuple[float, float, float] | None


Reading = Callable[[], RawCase]
"""Reads one case when called; a store is made of many at once."""


@dataclass(frozen=True)
class Case:
    """One row of ``cases.csv``.

    Attributes:
        id: as in ``RawCase``, and so is ``stack``.
        group: patient or video sequence; the same of cases with the same images, whatever their names.
        split: 'train', 'val', 'test' or 'unused'; of cases in folds 'test', because each is tested once.
        stack: the run of neighbouring frames that the case belongs to.
        first: number of the case's first frame in the whole store.
        depth: frames.
        height: rows of a stored frame, in pixels.
        width: columns of a stored frame, in pixels.
        channels: 1 or 3.
        native_height: rows of the original frame, in pixels.
        native_width: columns of the original frame, in pixels.
        spacing_z: distance of native frames in mm, NaN if unknown.
        spacing_y: distance of native rows in mm, NaN if unknown.
        spacing_x: distance of native columns in mm, NaN if unknown.
    """

    id: str
    group: str
    split: str
    stack: str
    first: int
    depth: int
    height: int
    width: int
    channels: int
    native_height: int
    native_width: int
    spacing_z: float
    spacing_y: float
    spacing_x: float

    @property
    def spacing_mm(self) -> tuple[float, float, float] | None:
        """``(z, y, x)`` of the native grid in mm, or None."""
        spacing = (self.spacing_z, self.spacing_y, self.spacing_x)
        return None if any(math.isnan(value) for value in spacing) else spacing


def voxels_of(label: np.ndarray) -> list[int]:
    """How many voxels each number from 0 to the highest has; much faster than sorting."""
    import numpy as np

    return [int(np.count_nonzero(label == number)) for number in range(int(label.max()) + 1)]


def write_cases(path: Path, cases: Iterable[Case]) -> None:
    """Write ``cases.csv``: one row per case, in store order, floats in full precision."""
    with path.open("w", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, [field.name for field in fields(Case)], lineterminator="\n")
        table.writeheader()
        table.writerows(asdict(case) for case in cases)


def read_cases(path: Path) -> list[Case]:
    """Read ``cases.csv``.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: a column is missing or a value has the wrong type; the message names the row.
    """
    with path.open(newline="", encoding="utf-8") as file:
        table = csv.DictReader(file)
        expected = [field.name for field in fields(Case)]
        if table.fieldnames != expected:
            raise ValueError(
                f"{path}: columns {table.fieldnames}; {expected} are expected; prepare the dataset "
                f"again"
            )
        return [_parsed(row, path, number) for number, row in enumerate(table, start=2)]


_TYPES = {"int": int, "float": float, "str": str}


def _parsed(row: dict[str, Any], path: Path, number: int) -> Case:
    try:
        return Case(
            **{field.name: _TYPES[str(field.type)](row[field.name]) for field in fields(Case)}
        )
    except (TypeError, ValueError) as error:
        raise ValueError(f"{path}, line {number}: {error}; prepare the dataset again") from error
