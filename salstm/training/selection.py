"""The one number by which weights are selected while training."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from salstm.data.case import Case
from salstm.data.store import Store


def selection_score(
    predictions: Iterable[tuple[Case, np.ndarray]],
    store: Store,
    classes: int,
    *,
    inner: bool,
    authors: bool = False,
) -> float:
    """Mean Dice over cases and classes on the stored grid.

    Args:
        predictions: cases with their labels ``(D, H, W)``.
        store: the prepared dataset.
        classes: foreground classes, numbered from 1.
        inner: leave out each stack's first and last frame, as the authors' test does.
        authors: count as the authors' test code does (TransUNet's utils.py and its family, SALSTM): a class that is
            predicted where there is none is 1, one in neither is 0. Else the former is 0, the latter undefined.

    Returns:
        The mean over what is defined; NaN if nothing is.
    """
    scores = []
    for case, prediction in predictions:
        keep = _kept(case, store, inner)
        if keep.start < keep.stop:
            pair = prediction[keep], store.labels(case)[keep]  # views: nothing is copied
            scores.append(dice_by_class(*pair, classes, authors=authors))
    flat = np.concatenate(scores) if scores else np.empty(0)
    defined = flat[~np.isnan(flat)]
    return float(defined.mean()) if defined.size else float("nan")


def dice_by_class(
    prediction: np.ndarray, reference: np.ndarray, classes: int, *, authors: bool = False
) -> np.ndarray:
    """Dice of each class 1..classes; in neither: NaN, or as ``selection_score`` says of the authors."""
    found = [_counts(prediction == one, reference == one) for one in range(1, classes + 1)]
    predicted, referred, both = np.array(found).reshape(classes, 3).T
    with np.errstate(invalid="ignore"):
        dice = 2 * both / (predicted + referred)  # 0 / 0 is NaN
    return np.where(referred > 0, dice, predicted > 0) if authors else dice


def _counts(prediction: np.ndarray, reference: np.ndarray) -> tuple[int, int, int]:
    """Voxels of two masks and of what they share: three scans, a fifth of the time of a table of pairs."""
    masks = (prediction, reference, prediction & reference)
    predicted, referred, both = (int(np.count_nonzero(mask)) for mask in masks)
    return predicted, referred, both


def _kept(case: Case, store: Store, inner: bool) -> slice:
    """Places of a case's frames that count."""
    if not inner:
        return slice(0, case.depth)
    first, last = store.stack_bounds(case)
    return slice(max(first + 1 - case.first, 0), max(min(last - case.first, case.depth), 0))
