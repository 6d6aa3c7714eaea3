"""Squared distances to the nearest voxel of a mask, exact, on a grid two axes of which have one spacing.

Axis by axis, as every exact transform (Saito and Toriwaki, Pattern Recognition 1994), in whole numbers, and only as far
as the voxels that are asked about need it:

1. along the rows' axis, the voxels to the nearest target, by two sweeps;
2. along the columns' axis, the least of d(x')^2 + (x - x')^2, by steps of one voxel: n^2 is the sum of the first n odd
   numbers, so n steps with the weights 1, 3, 5, ... give the least within n voxels (Huang and Mitchell, IEEE
   Transactions on Image Processing 1994);
3. along the planes' axis, whose spacing may be another, the least of d(z')^2 + (ratio (z - z'))^2. The fractions of the
   second term, one an offset, are compared by their rank, so that these are whole numbers, too.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.bool_]
Voxels = NDArray[np.intp]
Squares = NDArray[np.float64]
Whole = NDArray[np.integer]
Codes = NDArray[np.int32]

PIECE = 1 << 16
"""Voxels that are worked on at once: what stays in a core's cache."""
REACHES = (6, 24, 96, 1 << 14)
"""Voxels within which a target is looked for: near by first, then farther for those that have none there."""
EVERY, SERVED = 8, 3
"""Steps after which it is asked whether more are needed; planes after which served voxels are put aside."""
SMALL = 255
"""Voxels that stand for no target in 16 bits, which hold their square and what is added to it."""
MOST = 1 << 30
"""A sum of two below this fits in 32 bits."""


@dataclass
class Planes:
    """Squared distances within each plane, as far as they are known.

    Attributes:
        flat: of all voxels, one after the other, a `none` before each row and after the last.
        shape: planes, rows, columns with the `none` that parts rows.
        none: stands for no target.
        steps: columns that were gone so far, in rows that are still open.
    """

    flat: Whole
    shape: tuple[int, int, int]
    none: int
    steps: int = 0


def squared(targets: Mask, asked: Mask, ratio: float) -> tuple[Squares, Mask]:
    """Squared distances of the voxels that are asked about, as far as 32 bits go.

    Args:
        targets: boolean, [planes, rows, columns], at least one.
        asked: of the same shape.
        ratio: spacing of the planes by that of rows and columns.

    Returns:
        Squared distances in the spacing of rows and columns, in no particular order, and the voxels whose targets
        are too far for 32 bits (more than 1,000 voxels in 1,000 planes).
    """
    bits = _bits(len(targets))
    most, found = math.isqrt(MOST >> bits), [np.empty(0)]
    stages = [*((min(SMALL, most), reach) for reach in REACHES), (most, REACHES[-1])]
    planes, open_, places = None, np.any(asked, axis=(0, 2)), _places(asked)
    for side, reach in stages:
        if planes is None or planes.none != side**2:
            planes = _sweep(targets, side)
        _step(planes, open_, reach)
        limit = min(reach**2, planes.none - 1)
        near, places = _across(planes, places, _codes(len(targets), ratio, limit), limit)
        found += near
        if not len(places):
            break
        open_ = _rows(planes, places)
    return np.concatenate(found), _mask(places, asked.shape)


def _parted(shape: tuple[int, ...], fill: int, kind: type[np.generic]) -> tuple[NDArray, NDArray]:
    """An array in memory as `Planes.flat`, and its voxels."""
    count, rows, columns = shape
    flat = np.full(1 + count * rows * (columns + 1), fill, dtype=kind)
    return flat, flat[1:].reshape(count, rows, columns + 1)[:, :, :-1]


def _sweep(targets: Mask, side: int) -> Planes:
    """Distances along the rows' axis; from `side` voxels on there is none."""
    count, rows, columns = targets.shape
    kind = np.uint16 if side <= SMALL else np.int32
    flat, values = _parted(targets.shape, side, kind)
    np.multiply(~targets, kind(side), out=values)
    further = np.empty((count, columns), dtype=kind)
    for order in (range(1, rows), range(rows - 2, -1, -1)):
        for row in order:
            np.add(values[:, row - order.step], kind(1), out=further)
            np.minimum(values[:, row], further, out=values[:, row])
    flat *= flat
    return Planes(flat, (count, rows, columns + 1), side**2)


def _step(planes: Planes, open_: Mask, reach: int) -> None:
    """Go on along the columns' axis in the open rows, up to a number of steps or as long as anything can change."""
    count, _, width = planes.shape
    kind = planes.flat.dtype.type
    reach = min(reach, width - 2, math.isqrt(planes.none))
    each, open_ = max(PIECE // width, 1), np.tile(open_, count)
    least = np.empty(each * width, dtype=kind)
    for first in range(0, len(open_), each):
        if not open_[first : first + each].any():
            continue
        piece = planes.flat[first * width : (first + each) * width + 1]
        here = least[: len(piece) - 2]
        for step in range(planes.steps, reach):
            if (step - planes.steps) % EVERY == 0 and not _changes(piece, width, step, planes.none):
                break
            np.minimum(piece[:-2], piece[2:], out=here)
            here += kind(2 * step + 1)
            np.minimum(piece[1:-1], here, out=piece[1:-1])
            piece[::width] = planes.none
    planes.steps = max(planes.steps, reach)


def _changes(piece: Whole, width: int, step: int, none: int) -> bool:
    """Whether a target farther than these steps may be nearer than what is known."""
    values = piece[1:].reshape(-1, width)[:, :-1]
    return bool(values.max() > step**2) and bool(values.min() < none)


def _codes(count: int, ratio: float, limit: int) -> tuple[Codes, Squares]:
    """A whole number for each offset between planes below the limit, in the order of the squared distances.

    Returns:
        Codes: the whole part, and in the lowest bits the rank of the fraction. The fractions by rank.
    """
    terms: Squares = (np.arange(count, dtype=np.float64) * ratio) ** 2
    terms = terms[: np.searchsorted(terms, limit)]
    wholes = np.floor(terms).astype(np.int32)
    fractions: Squares = np.unique(terms - wholes)
    ranks = np.searchsorted(fractions, terms - wholes).astype(np.int32)
    return (wholes << _bits(count)) + ranks, fractions


def _bits(count: int) -> int:
    """Of a rank among so many offsets."""
    return max(count - 1, 1).bit_length()


def _across(
    planes: Planes, places: Voxels, codes: tuple[Codes, Squares], limit: int
) -> tuple[list[Squares], Voxels]:
    """Look into the other planes: the squares up to a limit, and the voxels that have a larger one."""
    offsets, fractions = codes
    bits = _bits(planes.shape[0])
    found: list[Squares] = []
    rest = [places[:0]]
    for first in range(0, len(places), PIECE):
        values, far = _least(planes, places[first : first + PIECE], offsets, limit << bits)
        squares = fractions[values & ((1 << bits) - 1)]
        squares += values >> bits
        found.append(squares)
        rest.append(far)
    return found, np.concatenate(rest)


def _least(planes: Planes, places: Voxels, offsets: Codes, limit: int) -> tuple[Codes, Voxels]:
    """The least code over all planes of the voxels that have one up to the limit, and the other voxels."""
    flat, (count, rows, width) = planes.flat, planes.shape
    bits, stride = _bits(count), rows * width
    best = flat[places].astype(np.int32) << bits
    served: list[Codes] = []
    for offset in range(1, len(offsets)):
        if offset % SERVED == 1:
            more = best > offsets[offset]
            served.append(best[~more])
            places, best = places[more], best[more]
        # What is clipped lies beyond the first or the last plane, and the first and the last value are no target's.
        before = flat.take(places - offset * stride, mode="clip")
        behind = flat.take(places + offset * stride, mode="clip")
        other = np.minimum(before, behind, out=before).astype(np.int32)
        other <<= bits
        other += offsets[offset]
        np.minimum(best, other, out=best)
    near = best <= limit
    return np.concatenate([*served, best[near]]), places[~near]


def _places(mask: Mask) -> Voxels:
    """Where in `Planes.flat` the voxels of a mask are."""
    flat, voxels = _parted(mask.shape, 0, np.bool_)
    voxels[:] = mask
    return np.flatnonzero(flat)


def _mask(places: Voxels, shape: tuple[int, ...]) -> Mask:
    """The other way about."""
    flat, voxels = _parted(shape, 0, np.bool_)
    flat[places] = True
    return voxels


def _rows(planes: Planes, places: Voxels) -> Mask:
    """Rows of a plane in which voxels are, in any plane."""
    _, rows, width = planes.shape
    found = np.zeros(rows, dtype=np.bool_)
    found[(places - 1) // width % rows] = True
    return found
