"""A volume and its label, brought to one orientation each by what its own file says."""

from __future__ import annotations

import dataclasses
import logging
from pathlib import Path

import numpy as np

from salstm.data.readers import nifti
from salstm.data.readers.grid import Grid
from salstm.data.readers.orientation import Oriented, affine_of, canonical, offset_voxels

log = logging.getLogger(__name__)

_CURE = "both must be alike, they must lie on one grid; fetch both files again"


def read(path: Path, axes: str | None = None, setting: str = "axes") -> Oriented:
    """Read one volume in LPS (see ``salstm.data.readers.orientation``).

    Args:
        path: the file.
        axes: where the stored axes point if the header does not say, like ``LPS``.
        setting: what the user sets for that, for the message.

    Raises:
        FileNotFoundError: no such file.
        ValueError: as in ``nifti.read``, or a header without an orientation and no axes.
    """
    array, grid = nifti.read(path)
    return canonical(array, _affine(path, grid, axes, setting), grid.spacing_mm)


def read_pair(
    image_path: Path,
    label_path: Path,
    *,
    axes: str | None = None,
    usual: str | None = None,
    setting: str = "axes",
) -> tuple[Oriented, Oriented]:
    """Read a volume and its label, both in LPS.

    Args:
        image_path: the volume.
        label_path: its label.
        axes: what the user says of files whose header has no orientation.
        usual: what holds for such files where the user says nothing; None refuses them.
        setting: what the user sets, for the message.

    Raises:
        FileNotFoundError: one of the files is missing.
        ValueError: as in ``read``; shapes that differ; or headers of different axes that put the two at
            different places.
    """
    (image_array, image_grid), (label_array, label_grid) = map(nifti.read, (image_path, label_path))
    said = axes or usual
    image = canonical(
        image_array, _affine(image_path, image_grid, said, setting), image_grid.spacing_mm
    )
    label = canonical(
        label_array, _affine(label_path, label_grid, said, setting), label_grid.spacing_mm
    )
    lost = [
        one for one, grid in ((label_path, label_grid), (image_path, image_grid))
        if grid.affine is None
    ]  # fmt: skip
    if len(lost) == 1 and axes is None and image.codes != label.codes:
        raise ValueError(
            f"{lost[0]}: its header has no orientation, and that of {_other(lost[0], image_path, label_path)} "
            f"says {image.codes if lost[0] == label_path else label.codes}; say where the axes of such files point "
            f"with {setting}, like LPS"
        )
    if image.array.shape != label.array.shape:
        raise ValueError(
            f"{label_path}: shape {label.array.shape}, its image {image_path.name} has "
            f"{image.array.shape} (slices, rows, columns); {_CURE}"
        )
    if not lost and image.codes != label.codes and (apart := offset_voxels(image, label)) > 1:
        raise ValueError(
            f"{label_path}: axes {label.codes}, its image {image_path.name} has {image.codes}, and "
            f"they lie {apart:.0f} voxels apart; {_CURE}"
        )
    return image, label


def slices_first(image: Oriented, label: Oriented) -> tuple[Oriented, Oriented]:
    """Put the axis of the thick slices first: a short-axis stack lies askew, so no axis of the patient is its own.

    Where no axis is twice as coarse as the others, nothing changes.
    """
    spacing = np.array(image.spacing_mm)
    axis = int(np.argmax(spacing))
    if not axis or not spacing[axis] >= 2 * np.delete(spacing, axis).max():
        return image, label
    order = [axis, *(one for one in range(3) if one != axis)]
    moved = []
    for volume in (image, label):
        z, y, x = (volume.spacing_mm[one] for one in order)
        array = np.transpose(volume.array, order)
        moved.append(dataclasses.replace(volume, array=array, spacing_mm=(z, y, x)))
    return moved[0], moved[1]


def _other(path: Path, image_path: Path, label_path: Path) -> str:
    return (image_path if path == label_path else label_path).name


def _affine(path: Path, grid: Grid, axes: str | None, setting: str) -> np.ndarray:
    if grid.affine is not None:
        return grid.affine
    if axes is None:
        raise ValueError(
            f"{path}: its header has no orientation (sform_code and qform_code are 0), so nothing says where "
            f"its axes point; say it with {setting}, like LPS or RAS, for all files that have none"
        )
    log.warning(
        "%s: its header has no orientation; its axes are taken as %s (%s)", path, axes, setting
    )
    return affine_of(axes, tuple(1.0 if np.isnan(side) else side for side in grid.spacing_mm))
