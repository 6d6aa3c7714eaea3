"""Where a NIfTI file's voxels lie: spacing and axes, in millimetres, from three places that may disagree.

A header states the size of a voxel in ``pixdim``, and how axes point in a ``qform`` (which takes the size from
``pixdim``) and in a ``sform`` (which has a size of its own), each valid where its code is not 0. Tools that lose
one of them leave the others, so they are compared: the form whose voxels have the size of ``pixdim`` counts, the
``sform`` first, as in nibabel; but a ``pixdim`` of 1 in every direction is what a header begins with, and
counts for nothing beside a ``sform``.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from salstm.data.readers.orientation import codes_of

log = logging.getLogger(__name__)

_MILLIMETRES = {1: 1000.0, 2: 1.0, 3: 0.001}
"""``xyzt_units``: metre, millimetre, micron. Without a unit it is a millimetre, as for every reader."""
_ALIKE = 1e-2
_LONGEST, _SHORTEST = 100.0, 1e-3
"""Millimetres that a voxel of a patient's scan has at most and at least."""


@dataclass(frozen=True)
class Grid:
    """What a header says of the voxels.

    Attributes:
        shape: ``(X, Y, Z)``.
        spacing_mm: ``(x, y, z)``; NaN where it is unknown.
        affine: ``(4, 4)``, to mm in the NIfTI world (RAS), with 1 where a spacing is unknown; None if the
            header says nothing of the axes.
    """

    shape: tuple[int, int, int]
    spacing_mm: tuple[float, float, float]
    affine: np.ndarray | None


def grid(path: Path, raw: Any, checked: Any, shape: tuple[int, int, int]) -> Grid:
    """Read a header.

    Args:
        path: the file, for messages.
        raw: nibabel's header as it is stored.
        checked: the same as nibabel corrects it (a spacing of 0 becomes 1).
        shape: of the volume.

    Raises:
        ValueError: an affine with an axis that points nowhere, or a voxel of a size that no scan has.
    """
    millimetres = _MILLIMETRES.get(int(raw["xyzt_units"]) & 7, 1.0)
    stated = np.abs(raw["pixdim"][1:4].astype(float))
    stated[~np.isfinite(stated) | (stated == 0)] = np.nan
    sform = checked.get_sform() if int(raw["sform_code"]) > 0 else None
    qform = _qform(checked) if int(raw["qform_code"]) > 0 else None
    affine, spacing = _chosen(path, stated, sform, qform)
    spacing = spacing * millimetres
    known = spacing[np.isfinite(spacing)]
    if known.size and not (known.min() >= _SHORTEST and known.max() <= _LONGEST):
        sides = ", ".join(f"{side:g}" for side in spacing)
        raise ValueError(
            f"{path}: voxels of {sides} mm (xyzt_units {int(raw['xyzt_units'])}), which no scan has; correct "
            f"the unit or the spacing in its header, or fetch this file again"
        )
    x, y, z = (float(side) for side in spacing)
    if affine is not None:
        affine = np.vstack([affine[:3] * millimetres, (0.0, 0.0, 0.0, 1.0)])
    return Grid(shape, (x, y, z), affine)


def _qform(header: Any) -> np.ndarray | None:
    """The qform; None where its numbers are no rotation."""
    try:
        affine = header.get_qform()
    except Exception:  # nibabel has several errors for a quaternion that is none
        return None
    return affine if np.isfinite(affine).all() else None


def _chosen(
    path: Path, stated: np.ndarray, sform: np.ndarray | None, qform: np.ndarray | None
) -> tuple[np.ndarray | None, np.ndarray]:
    """The affine, and the spacing in the header's unit."""
    if sform is None:
        return qform, stated
    sides = np.linalg.norm(sform[:3, :3], axis=0)
    if not _invertible(sform):
        if qform is None:
            raise ValueError(
                f"{path}: affine {sform.tolist()}: an axis points nowhere; an invertible affine is "
                f"expected; correct its header, or fetch the file again"
            )
        log.warning("%s: its sform has an axis that points nowhere; its qform is used", path)
        return qform, stated
    spacing = np.where(np.isnan(stated), sides, stated)
    if np.allclose(sides, spacing, rtol=_ALIKE):
        _compare_axes(path, sform, qform)
        return sform, spacing
    both = f"{_named(sides)} by its sform, {_named(stated)} by its pixdim"
    if np.allclose(spacing, 1):
        log.warning(
            "%s: voxels of %s, which is what a header begins with; the sform is used", path, both
        )
        return sform, sides
    if qform is not None:
        log.warning("%s: voxels of %s; pixdim and qform are used, which agree", path, both)
        return qform, spacing
    log.warning("%s: voxels of %s; pixdim is used, and the sform for the axes alone", path, both)
    return sform / np.append(sides, 1) * np.append(spacing, 1), spacing


def _compare_axes(path: Path, sform: np.ndarray, qform: np.ndarray | None) -> None:
    if qform is None:
        return
    first, second = codes_of(sform), codes_of(qform)
    if first != second:
        log.warning(
            "%s: its sform says that the axes are %s, its qform %s; the sform is used",
            *(path, first, second),
        )


def _invertible(affine: np.ndarray) -> bool:
    turn = affine[:3, :3]
    sides = np.linalg.norm(turn, axis=0)
    return bool(np.isfinite(affine).all() and sides.all() and np.linalg.det(turn / sides))


def _named(sides: np.ndarray) -> str:
    return " x ".join("unknown" if np.isnan(side) else f"{side:g}" for side in sides)
