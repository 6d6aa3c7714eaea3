"""One orientation for all volumes: slices from the feet up, as a radiologist looks at them.

Stored axes differ between files; an affine says where they point. We bring every volume to LPS: the
first axis towards the patient's Left, the second to the back (Posterior), the third to the head
(Superior). Transposed, that is ``(slices, rows, columns)`` with the patient's front at the top and
the patient's right at the left: DICOM's and ITK's axes, and how CT slices are shown. Axes are
swapped and reversed, never interpolated, so the way back is exact.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

AXES = ("L", "P", "S")


@dataclass(frozen=True)
class Oriented:
    """A volume in LPS.

    Attributes:
        array: ``(Z, Y, X)``, slices, rows, columns.
        spacing_mm: ``(z, y, x)``.
        affine: ``(4, 4)``, from ``(x, y, z, 1)`` to mm in the NIfTI world (RAS).
        codes: where the stored axes pointed, like ``RAS``.
    """

    array: np.ndarray
    spacing_mm: tuple[float, float, float]
    affine: np.ndarray
    codes: str


def canonical(
    array: np.ndarray, affine: np.ndarray, spacing_mm: tuple[float, ...] | None = None
) -> Oriented:
    """Bring a stored volume to LPS.

    Args:
        array: ``(X, Y, Z)`` in stored order.
        affine: ``(4, 4)`` of the file; an oblique one goes by its nearest axes.
        spacing_mm: of the stored axes; None for the affine's.

    Raises:
        ValueError: the affine is singular, so that an axis points nowhere.
    """
    from nibabel import orientations

    turn = _turn(affine, back=False)
    turned = np.asarray(affine, dtype=float) @ orientations.inv_ornt_aff(turn, array.shape)
    if spacing_mm is None:
        spacing_mm = tuple(np.linalg.norm(np.asarray(affine)[:3, :3], axis=0).tolist())
    sides: dict[int, float] = {
        int(to): side for (to, _), side in zip(turn, spacing_mm, strict=True)
    }
    x, y, z = (sides[axis] for axis in range(3))
    voxels = orientations.apply_orientation(array, turn)
    return Oriented(np.transpose(voxels, (2, 1, 0)), (z, y, x), turned, codes_of(affine))


def codes_of(affine: np.ndarray) -> str:
    """Where an affine's axes point, like ``RAS``, each by its nearest axis of the patient."""
    from nibabel import orientations

    return "".join(map(str, orientations.ornt2axcodes(_stored(_turning(affine)))))


def affine_of(codes: str, spacing_mm: tuple[float, ...]) -> np.ndarray:
    """The affine of a volume whose stored axes point like that.

    Raises:
        ValueError: not three letters, one each of L or R, P or A, S or I.
    """
    from nibabel import orientations

    pairs = ("LR", "PA", "SI")
    if (
        sorted(sum(code in pair for code in codes) for pair in pairs) != [1, 1, 1]
        or len(codes) != 3
    ):
        raise ValueError(
            f"axes {codes!r}; three letters are expected, one each of L or R, P or A, S or I, like LPS"
        )
    world = orientations.axcodes2ornt(tuple(codes))
    affine = np.diag([0.0, 0.0, 0.0, 1.0])
    for stored, (axis, sign) in enumerate(world):
        affine[int(axis), stored] = sign * spacing_mm[stored]
    return affine


def restore(array: np.ndarray, affine: np.ndarray) -> np.ndarray:
    """The way back: ``(Z, Y, X)`` in LPS to ``(X, Y, Z)`` as the file with this affine stores it.

    Raises:
        ValueError: the affine is singular.
    """
    from nibabel import orientations

    voxels = np.transpose(array, (2, 1, 0))
    return orientations.apply_orientation(voxels, _turn(affine, back=True))


def offset_voxels(one: Oriented, other: Oriented) -> float:
    """How far two volumes of one shape lie apart: the largest distance of a corner, in voxels."""
    ends = [(0, side - 1) for side in one.array.shape[::-1]]
    corners = np.stack(np.meshgrid(*ends), axis=-1).reshape(-1, 3)
    corners = np.column_stack([corners, np.ones(len(corners))])
    apart = np.linalg.norm((corners @ (one.affine - other.affine).T)[:, :3], axis=1)
    return float(apart.max() / min(one.spacing_mm))


def _turn(affine: np.ndarray, *, back: bool) -> Any:
    """Nibabel's transform of axes between the affine's and LPS."""
    from nibabel import orientations

    stored = _stored(_turning(affine))
    if np.isnan(stored).any():
        raise ValueError(
            f"affine {np.asarray(affine).tolist()}: an axis points nowhere; an invertible affine "
            f"is expected; fetch the file again"
        )
    ours = orientations.axcodes2ornt(AXES)
    return orientations.ornt_transform(*((ours, stored) if back else (stored, ours)))


def _turning(affine: np.ndarray) -> bytes:
    """What of an affine turns and stretches, as something that can be looked up."""
    return np.asarray(affine, dtype=float)[:3, :3].tobytes()


@lru_cache(maxsize=1024)
def _stored(turning: bytes) -> np.ndarray:
    """Nibabel's orientation of an affine: a patient's files share theirs, and each costs a millisecond."""
    from nibabel import orientations

    affine = np.eye(4)
    affine[:3, :3] = np.frombuffer(turning).reshape(3, 3)
    found = orientations.io_orientation(affine)
    found.flags.writeable = False
    return found
