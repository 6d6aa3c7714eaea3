"""The one number by which weights are selected while training."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from salstm.data.case import Case
from salstm.data.store import Store


def selection_score(
    predictions: Iterable[tuple[Case, np.ndarray]], store: Store, classes: int, *, inner: bool
) -> float:
    """Mean Dice over cases and classes on the stored grid.

    Args:
        predictions: cases with their labels ``(D, H, W)``.
        store: the prepared dataset.
        classes: foreground classes, numbered from 1.
        inner: leave out each stack's first and last frame, as the authors' test does.

    Returns:
        The mean over what is defined (a class absent from prediction and reference of a case is not); NaN if
        nothing is.
    """
    scores = []
    for case, prediction in predictions:
        keep = _kept(case, store, inner)
        if keep.any():
            scores.append(dice_by_class(prediction[keep], store.labels(case)[keep], classes))
    flat = np.concatenate(scores) if scores else np.empty(0)
    defined = flat[~np.isnan(flat)]
    return float(defined.mean()) if defined.size else float("nan")


def dice_by_class(prediction: np.ndarray, reference: np.ndarray, classes: int) -> np.ndarray:
    """Dice of each class 1..classes; NaN where it is in neither."""
    pair = np.bincount(
        prediction.ravel().astype(np.intp) * (classes + 1) + reference.ravel(),
        minlength=(classes + 1) ** 2,
    ).reshape(classes + 1, classes + 1)
    total = (pair.sum(0) + pair.sum(1))[1:]
    with np.errstate(invalid="ignore"):
        return np.where(total > 0, 2 * np.diag(pair)[1:] / total, np.nan)


def _kept(case: Case, store: Store, inner: bool) -> np.ndarray:
    numbers = np.arange(case.first, case.first + case.depth)
    first, last = store.stack_bounds(case)
    return (numbers > first) & (numbers < last) if inner else np.ones(case.depth, dtype=bool)
