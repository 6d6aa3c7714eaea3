"""Exact distances between the surfaces of two masks, by whichever way is the shortest for their sizes.

Three ways give the same distances: a look at the nearest offsets of the grid, for targets that are dense (noise, as
a network's first epochs predict it); a tree of the targets, for surfaces as organs have them; a distance transform of
the box, where the tree would be asked too often. The surface of a mask is what medpy takes: its voxels with at least
one face (in 2D: edge) neighbour outside the mask, and what lies beyond the image counts as outside.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.bool_]
Voxels = NDArray[np.intp]
Lengths = NDArray[np.float64]
Shape = tuple[int, ...]
Directed = tuple[Lengths, Lengths]

# Seconds on one core, of which only the ratios matter: a query of the tree, a point put into it, a voxel transformed.
QUERY, POINT, VOXEL = 3e-6, 2e-7, 1e-7
DENSE = 0.1
"""Share of a box's voxels from which targets are looked for at the nearest offsets first."""
MANY = 20_000
"""Targets from which it is worth it: a tree of fewer is made in no time."""
REACH = 3
"""Voxels along each axis that the offsets go."""
HITS = 0.03
"""Share of the voxels that an offset must serve, or the other ways serve the rest."""
PIECE = 1 << 20
"""Voxels whose distances are looked up at once, which bounds the memory."""


def directed(prediction: Mask, reference: Mask, scale: Lengths) -> Directed:
    """Surface distances both ways, (prediction to reference, reference to prediction), in no particular order.

    Args:
        prediction: boolean mask, 2D or 3D, not empty.
        reference: the same, of equal shape. Both are best cropped to what they hold: time and memory go by the box.
        scale: spacing of the grid, a number an axis.

    Returns:
        A distance for every voxel of each surface, in the unit of the scale. Holds about 60 bytes a voxel of the box.
    """
    ours, theirs = _padded(prediction), _padded(reference)
    shape, start, end = ours.shape, _surface(ours), _surface(theirs)
    return _nearest(start, end, shape, scale), _nearest(end, start, shape, scale)


def _padded(mask: Mask) -> Mask:
    """Copy with a margin of one voxel, so that every voxel of the mask has all its neighbours."""
    padded = np.zeros([size + 2 for size in mask.shape], dtype=np.bool_)
    padded[(slice(1, -1),) * mask.ndim] = mask
    return padded


def _surface(padded: Mask) -> Voxels:
    """Flat indices of the surface: looks at the mask's voxels only, not at the whole array."""
    flat = padded.ravel()
    voxels = np.flatnonzero(flat)
    inside = np.ones(len(voxels), dtype=np.bool_)
    for stride in padded.strides:  # of one byte a voxel
        inside &= flat[voxels - stride] & flat[voxels + stride]
    return voxels[~inside]


def _nearest(start: Voxels, end: Voxels, shape: Shape, scale: Lengths) -> Lengths:
    """Distances from the voxels of one surface to the nearest of another, neither empty."""
    targets = np.zeros(math.prod(shape), dtype=np.bool_)
    targets[end] = True
    apart = start[~targets[start]]  # a voxel on both surfaces is at distance 0: no query
    distances = np.zeros(len(start))
    if len(apart) and len(end) > max(MANY, DENSE * targets.size):
        parts = [
            _offsets(apart[first : first + PIECE], targets.reshape(shape), scale)
            for first in range(0, len(apart), PIECE)
        ]
        near = np.concatenate([part[0] for part in parts])
        apart = np.concatenate([part[1] for part in parts])
        distances[: len(near)] = near
        rest = distances[len(near) : len(near) + len(apart)]
    else:
        rest = distances[: len(apart)]
    if not len(apart):
        return distances
    if QUERY * len(apart) + POINT * len(end) < VOXEL * targets.size:
        rest[:] = _tree(apart, end, shape, scale)
    else:
        _transform(apart, targets.reshape(shape), scale, rest)
    return distances


def _offsets(start: Voxels, targets: Mask, scale: Lengths) -> tuple[Lengths, Voxels]:
    """Distances of the voxels that have a target near by, and the voxels that were not served."""
    steps, lengths = _sorted_offsets(targets.ndim, scale)
    flat, shape = targets.ravel(), targets.shape
    strides = np.array(targets.strides)  # of one byte a voxel
    places = np.array(np.unravel_index(start, shape))
    found: list[Lengths] = []
    for step, length in zip(steps, lengths, strict=True):
        if not len(start):
            break
        inside = np.ones(len(start), dtype=np.bool_)
        for axis in np.flatnonzero(step):
            moved = places[axis] + step[axis]
            inside &= (moved >= 0) & (moved < shape[axis])
        # Voxels beyond the image read the first voxel, which lies in the margin and is no target.
        hit = flat[np.where(inside, start + step @ strides, 0)]
        count = int(np.count_nonzero(hit))
        found.append(np.full(count, length))
        few = count < HITS * len(start)
        start, places = start[~hit], places[:, ~hit]
        if few:
            break
    return (np.concatenate(found) if found else np.empty(0)), start


def _sorted_offsets(ndim: int, scale: Lengths) -> tuple[NDArray[np.intp], Lengths]:
    """Offsets by length, as far as every offset of that length is among them."""
    steps = np.stack(np.meshgrid(*[np.arange(-REACH, REACH + 1)] * ndim, indexing="ij"), axis=-1)
    steps = steps.reshape(-1, ndim)
    lengths = np.sqrt(((steps * scale) ** 2).sum(axis=1))
    order = np.argsort(lengths, kind="stable")[1:]
    order = order[lengths[order] < (REACH + 1) * scale.min()]
    return steps[order], lengths[order]


def _tree(start: Voxels, end: Voxels, shape: Shape, scale: Lengths) -> Lengths:
    from scipy.spatial import KDTree  # 0.2 s: loaded at the first distance, not with the package

    # Sliding-midpoint splits: on grid points they build faster than medians and find the same.
    tree = KDTree(_points(end, shape, scale), balanced_tree=False, compact_nodes=False)
    return tree.query(_points(start, shape, scale))[0]


def _points(voxels: Voxels, shape: Shape, scale: Lengths) -> Lengths:
    return np.stack(np.unravel_index(voxels, shape), axis=1) * scale


def _transform(start: Voxels, targets: Mask, scale: Lengths, out: Lengths) -> None:
    """Distances by the nearest target of every voxel of the box, read out in pieces: four bytes an axis and voxel."""
    from scipy.ndimage import distance_transform_edt

    nearest = distance_transform_edt(
        ~targets, sampling=scale, return_distances=False, return_indices=True
    )
    nearest = np.asarray(nearest).reshape(targets.ndim, -1)
    for first in range(0, len(start), PIECE):
        voxels = start[first : first + PIECE]
        squares = np.zeros(len(voxels))
        for axis, place in enumerate(np.unravel_index(voxels, targets.shape)):
            squares += ((nearest[axis, voxels] - place) * scale[axis]) ** 2
        np.sqrt(squares, out=out[first : first + PIECE])
