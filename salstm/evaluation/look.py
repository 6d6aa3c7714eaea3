"""What the metrics beyond ``salstm.evaluation.metrics`` see of one class of one case under a scope."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from salstm.evaluation.metrics import Mask, Pair

MATCHED = 0.5
"""Two objects are the same where their IoU is above this: then each has at most one partner."""


class Thirds(NamedTuple):
    """Two sizes that cut the reference's objects in three: small up to the first, large above the second."""

    low: float
    high: float


class Objects(NamedTuple):
    """Connected components (edges and corners connect) of both masks.

    Attributes:
        sizes: voxels of each component of the reference.
        found: whether a component of the prediction has an IoU above `MATCHED` with it.
        predicted: components of the prediction.
    """

    sizes: NDArray[np.intp]
    found: NDArray[np.bool_]
    predicted: int


@dataclass(frozen=True)
class Look:
    """One class of one case under a scope.

    Attributes:
        pair: counts, and the surfaces' distances, which are computed once for all metrics.
        prediction: boolean mask.
        reference: boolean mask of the same shape.
        tolerance: of NSD, in the spacing's unit.
        voxel: size of a voxel, as `salstm.evaluation.sizes` says.
        thirds: of the sizes of the class's objects; None where they are not known.
    """

    pair: Pair
    prediction: Mask
    reference: Mask
    tolerance: float = 1.0
    voxel: float = 1.0
    thirds: Thirds | None = None

    @cached_property
    def objects(self) -> Objects:
        """The connected components of both masks, matched."""
        theirs, count = components(self.reference)
        ours, predicted = components(self.prediction)
        sizes = np.bincount(theirs.ravel(), minlength=count + 1)
        areas = np.bincount(ours.ravel(), minlength=predicted + 1)
        joint = np.bincount(
            (theirs * (predicted + 1) + ours).ravel(), minlength=(count + 1) * (predicted + 1)
        ).reshape(count + 1, predicted + 1)
        shared = joint[1:, 1:]
        union = sizes[1:, None] + areas[None, 1:] - shared
        found = np.asarray((shared > MATCHED * union).any(axis=1))
        return Objects(sizes[1:], found, predicted)


@dataclass(frozen=True)
class Chosen:
    """What a configuration asks of scoring beyond every scores.csv.

    Attributes:
        metrics: of other modules than ``salstm.evaluation.metrics``.
        tolerances: of NSD, by class.
        unit: of the tolerances.
        subgroups: names of the subgroups to keep (``salstm.evaluation.subgroups``).
        thirds: of the sizes of objects, by scope and class.
    """

    metrics: Sequence[str] = ()
    tolerances: Mapping[str, float] = field(default_factory=dict)
    unit: str = ""
    subgroups: Sequence[str] = ()
    thirds: Mapping[tuple[str, str], Thirds] = field(default_factory=dict)


NOTHING = Chosen()
"""What a configuration that names nothing more asks for."""


def components(mask: Mask) -> tuple[NDArray[Any], int]:
    """Number the connected components of a mask from 1; edges and corners connect (8 in 2D, 26 in 3D)."""
    from scipy import ndimage  # slow to load, and few runs ask for objects

    found: Any = ndimage.label(mask, np.ones((3,) * mask.ndim))
    return found[0].astype(np.intp), int(found[1])
