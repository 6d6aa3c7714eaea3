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
        if keep.any():
            pair = prediction[keep], store.labels(case)[keep]
            scores.append(dice_by_class(*pair, classes, authors=authors))
    flat = np.concatenate(scores) if scores else np.empty(0)
    defined = flat[~np.isnan(flat)]
    return float(defined.mean()) if defined.size else float("nan")


def dice_by_class(
    prediction: np.ndarray, reference: np.ndarray, classes: int, *, authors: bool = False
) -> np.ndarray:
    """Dice of each class 1..classes; in neither: NaN, or as ``selection_score`` says of the authors."""
    pair = np.bincount(
        prediction.ravel().astype(np.intp) * (classes + 1) + reference.ravel(),
        minlength=(classes + 1) ** 2,
    ).reshape(classes + 1, classes + 1)
    predicted, referred = pair.sum(1)[1:], pair.sum(0)[1:]
    with np.errstate(invalid="ignore"):
        dice = 2 * np.diag(pair)[1:] / (predicted + referred)  # 0 / 0 is NaN
    return np.where(referred > 0, dice, predicted > 0) if authors else dice


def _kept(case: Case, store: Store, inner: bool) -> np.ndarray:
    numbers = np.arange(case.first, case.first + case.depth)
    first, last = store.stack_bounds(case)
    return (numbers > first) & (numbers < last) if inner else np.ones(case.depth, dtype=bool)
