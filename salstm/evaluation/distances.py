"""Exact distances between the surfaces of two masks, by whichever way is the shortest for their sizes.

Three ways give the same distances: a transform in whole numbers (`salstm.evaluation.transform`), where two axes of the
grid have one spacing; a tree of the targets, for few voxels in a wide box; SciPy's transform, for the rest
and for many voxels that are far off. The surface
of a mask is what medpy takes: its voxels with at least one face (in 2D: edge) neighbour outside the mask, and what lies
beyond the image counts as outside.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from salstm.evaluation import transform

Mask = NDArray[np.bool_]
Lengths = NDArray[np.float64]
Directed = tuple[Lengths, Lengths]

# Seconds on one core, of which only the ratios matter: a query of a tree, a point put into it, a voxel of the box
# transformed in whole numbers, and by SciPy.
QUERY, POINT, WHOLE, VOXEL = 3e-6, 2e-7, 1e-8, 1.5e-7
START = 1e-3
"""Of a transform in whole numbers, however small."""
MANY = 0.01
"""Share of the box that is asked about, from which SciPy's transform takes less than whole numbers of 32 bits."""
PIECE = 1 << 20
"""Voxels whose distances are looked up at once, which bounds the memory."""


def directed(prediction: Mask, reference: Mask, scale: Lengths) -> Directed:
    """Surface distances both ways, (prediction to reference, reference to prediction), in no particular order.

    Args:
        prediction: boolean mask, 2D or 3D, not empty.
        reference: the same, of equal shape. Both are best cropped to what they hold: time and memory go by the box.
        scale: spacing of the grid, a number an axis.

    Returns:
        A distance for every voxel of each surface, in the unit of the scale. Holds about 20 bytes a voxel of the
        box, and 60 where no two axes have one spacing.
    """
    axis = _odd_axis(scale)
    if axis:  # first in memory, as the transform wants it
        prediction, reference = (
            np.ascontiguousarray(np.moveaxis(mask, axis, 0)) for mask in (prediction, reference)
        )
        scale = np.concatenate([scale[axis : axis + 1], np.delete(scale, axis)])
    ours, theirs = _surface(prediction), _surface(reference)
    return _nearest(ours, theirs, scale), _nearest(theirs, ours, scale)


def _odd_axis(scale: Lengths) -> int:
    """Of three axes the one whose fellows have one spacing; the first where none is."""
    pairs = ((1, 2), (0, 2), (0, 1)) if len(scale) == 3 else ()
    return next((axis for axis, (a, b) in enumerate(pairs) if scale[a] == scale[b]), 0)


def _surface(mask: Mask) -> Mask:
    """Voxels of the mask that have a face neighbour outside it."""
    inside = mask.copy()
    for axis in range(mask.ndim):
        of, to = np.moveaxis(mask, axis, 0), np.moveaxis(inside, axis, 0)
        to[1:] &= of[:-1]
        to[:-1] &= of[1:]
        to[0] = to[-1] = False
    inside ^= mask
    return inside


def _nearest(start: Mask, targets: Mask, scale: Lengths) -> Lengths:
    """Distances from the voxels of one surface to the nearest of another, neither empty."""
    asked = start & ~targets  # a voxel of both is at distance 0
    number, points = int(np.count_nonzero(asked)), int(np.count_nonzero(targets))
    size = asked.size
    found = [np.zeros(np.count_nonzero(start) - number)]
    square = scale[-1] == scale[-2] and not (number > MANY * size and _far(asked, targets))
    if number and square and START + WHOLE * size < _takes(number, points):
        near, asked = _whole(asked, targets, scale)
        found.append(near)
        number = int(np.count_nonzero(asked))
    if number:
        way = _tree if _takes(number, points) < VOXEL * size else _transform
        found.append(way(asked, targets, scale))
    return np.concatenate(found)


def _far(asked: Mask, targets: Mask) -> bool:
    """Whether a corner of what is asked about is farther from the targets' box, in a plane, than 16 bits hold."""
    square = 0
    for axis in (asked.ndim - 2, asked.ndim - 1):
        others = tuple({*range(asked.ndim)} - {axis})
        of, to = (np.flatnonzero(np.any(mask, axis=others)) for mask in (asked, targets))
        square += max(int(to[0] - of[0]), int(of[-1] - to[-1]), 0) ** 2
    return square >= transform.SMALL**2


def _takes(queries: int, points: int) -> float:
    """Seconds of a tree."""
    return QUERY * queries + POINT * points


def _whole(asked: Mask, targets: Mask, scale: Lengths) -> tuple[Lengths, Mask]:
    """Distances by the transform in whole numbers, and the voxels that are too far off for it."""
    side, shape = scale[-1], (-1, *asked.shape[-2:])
    ratio = float(scale[0] / side) if len(scale) == 3 else 1.0
    squares, left = transform.squared(targets.reshape(shape), asked.reshape(shape), ratio)
    np.sqrt(squares, out=squares)
    squares *= side
    return squares, left.reshape(asked.shape)


def _tree(asked: Mask, targets: Mask, scale: Lengths) -> Lengths:
    from scipy.spatial import KDTree  # 0.2 s: loaded at the first distance, not with the package

    # Sliding-midpoint splits: on grid points they build faster than medians and find the same.
    tree = KDTree(np.argwhere(targets) * scale, balanced_tree=False, compact_nodes=False)
    return tree.query(np.argwhere(asked) * scale)[0]


def _transform(asked: Mask, targets: Mask, scale: Lengths) -> Lengths:
    """Distances by the nearest target of every voxel of the box, read out in pieces: four bytes an axis and voxel."""
    from scipy.ndimage import distance_transform_edt

    nearest = distance_transform_edt(
        ~targets, sampling=scale, return_distances=False, return_indices=True
    )
    nearest = np.asarray(nearest).reshape(targets.ndim, -1)
    places = np.flatnonzero(asked)
    found = np.zeros(len(places))
    for first in range(0, len(places), PIECE):
        voxels, squares = places[first : first + PIECE], found[first : first + PIECE]
        for axis, place in enumerate(np.unravel_index(voxels, targets.shape)):
            squares += ((nearest[axis, voxels] - place) * scale[axis]) ** 2
    return np.sqrt(found, out=found)
