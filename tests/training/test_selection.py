"""The score that selects on the test set is the authors' own; the one on validation leaves out what is undefined."""

from __future__ import annotations

import math

import numpy as np
import pytest

from salstm.data.store import Store
from salstm.training.selection import dice_by_class, selection_score

# Class 1 in both (2 of 3 and 2 voxels), 2 missed, 3 invented, 4 in neither.
PREDICTION = np.array([[[1, 1, 1, 3], [0, 0, 0, 0]]])
REFERENCE = np.array([[[1, 1, 0, 0], [2, 2, 0, 0]]])
PRESENT = 2 * 2 / (3 + 2)


def test_the_authors_count_an_invention_as_1_and_an_absence_as_0():
    found = dice_by_class(PREDICTION, REFERENCE, 4, authors=True)
    assert found.tolist() == [PRESENT, 0.0, 1.0, 0.0]
    ours = dice_by_class(PREDICTION, REFERENCE, 4)
    assert ours[:3].tolist() == [PRESENT, 0.0, 0.0]
    assert math.isnan(ours[3])


def per_volume(prediction: np.ndarray, reference: np.ndarray) -> float:
    """TransUNet's test, from the facts: what a pair of masks scores."""
    if prediction.sum() > 0 and reference.sum() > 0:
        return 2 * (prediction & reference).sum() / (prediction.sum() + reference.sum())
    return 1.0 if prediction.sum() > 0 else 0.0


@pytest.mark.parametrize("inner", [False, True])
def test_the_score_on_the_test_set_is_the_mean_over_volumes_of_each_class_then_over_classes(
    cases_folder, inner
):
    store, generator = Store(cases_folder), np.random.default_rng(3)
    pairs = []
    for case in store.split("test"):
        labels = store.labels(case).copy()
        noise = generator.integers(0, 3, labels.shape)  # no voxel is predicted as class 3
        pairs.append((case, np.where(generator.random(labels.shape) < 0.3, noise, labels) % 3))
    score = selection_score(pairs, store, 3, inner=inner, authors=True)
    cut = slice(1, -1) if inner else slice(None)
    by_class = [
        np.mean([per_volume(p[cut] == one, store.labels(c)[cut] == one) for c, p in pairs])
        for one in (1, 2, 3)
    ]
    assert score == pytest.approx(np.mean(by_class), abs=1e-12)
    assert by_class[2] == 0
