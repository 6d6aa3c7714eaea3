"""Metrics of objects: each lesion, polyp or piece of an organ counts once, however large it is.

An object is a connected component of the class's mask, edges and corners connecting; it is found where one predicted
object has an IoU above 0.5 with it (``salstm.evaluation.look``); a predicted object without such a partner is false.

| | both empty | prediction empty | reference empty |
|---|---|---|---|
| object_f1 | NaN | 0 | 0 |
| object_recall, recall_small, _medium, _large | NaN | 0 (NaN without an object of the size) | NaN |
| object_precision | NaN | NaN | 0 |
| missed_objects | 0 | all | 0 |
| false_objects | 0 | 0 | all |
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from salstm.evaluation.look import Look, Thirds
from salstm.evaluation.metrics import Pair


def object_f1(look: Look) -> float:
    """F1 of objects: twice those found over all of both masks.

    >>> object_f1(example())
    0.6666666666666666
    """
    found, there, predicted = _counts(look)
    return 2 * found / (there + predicted) if there + predicted else math.nan


def object_recall(look: Look) -> float:
    """Share of the reference's objects that are found.

    >>> object_recall(example())
    0.6666666666666666
    """
    found, there, _ = _counts(look)
    return found / there if there else math.nan


def object_precision(look: Look) -> float:
    """Share of the predicted objects that are found in the reference.

    >>> object_precision(example())
    0.6666666666666666
    """
    found, _, predicted = _counts(look)
    return found / predicted if predicted else math.nan


def missed_objects(look: Look) -> float:
    """Objects of the reference that are not found.

    >>> missed_objects(example())
    1.0
    """
    found, there, _ = _counts(look)
    return float(there - found)


def false_objects(look: Look) -> float:
    """Predicted objects that are none of the reference's.

    >>> false_objects(example())
    1.0
    """
    found, _, predicted = _counts(look)
    return float(predicted - found)


def recall_small(look: Look) -> float:
    """Share of the reference's small objects that are found: those up to the first third of all sizes.

    >>> recall_small(example())
    0.0
    """
    return _recall(look, -math.inf, look.thirds.low) if look.thirds else math.nan


def recall_medium(look: Look) -> float:
    """Share of the reference's objects of the middle third of sizes that are found.

    >>> recall_medium(example())
    1.0
    """
    return _recall(look, *look.thirds) if look.thirds else math.nan


def recall_large(look: Look) -> float:
    """Share of the reference's large objects that are found: those above the second third of all sizes.

    >>> recall_large(example())
    1.0
    """
    return _recall(look, look.thirds.high, math.inf) if look.thirds else math.nan


def example() -> Look:
    """A row of pixels: the reference has objects of 1, 2 and 4; the last two are found, and one more is predicted."""
    reference, prediction = (_row(text) for text in ("#..##..####..", "...##..####.#"))
    pair = Pair(tp=0, fp=0, fn=0, directed=None, tolerance=1.0)
    return Look(pair, prediction, reference, thirds=Thirds(1.0, 2.0))


def _row(text: str) -> NDArray[np.bool_]:
    return np.array([[letter == "#" for letter in text]])


def _counts(look: Look) -> tuple[int, int, int]:
    """Objects found, of the reference, predicted."""
    objects = look.objects
    return int(objects.found.sum()), len(objects.sizes), objects.predicted


def _recall(look: Look, above: float, up_to: float) -> float:
    sizes = look.objects.sizes * look.voxel
    chosen = (sizes > above) & (sizes <= up_to)
    return float(look.objects.found[chosen].mean()) if chosen.any() else math.nan


FUNCTIONS: dict[str, Callable[[Look], float]] = {
    one.__name__: one
    for one in (
        object_f1,
        object_recall,
        object_precision,
        recall_small,
        recall_medium,
        recall_large,
        missed_objects,
        false_objects,
    )
}
