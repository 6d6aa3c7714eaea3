"""MISSFormer's augmentation is imgaug's: ten changes, zero to four of them, their ranges."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import numpy as np
import pytest

from salstm.data.augment import missformer
from tests.data.draws import AUGMENTATIONS, DRAWS, Calls, fills, near


def test_missformer_takes_zero_to_four_of_ten_each_number_and_change_alike(monkeypatch):
    log: list[int] = []

    def change(index: int) -> Callable:
        return lambda frames, label, generator: (log.append(index), (frames, label))[1]

    monkeypatch.setattr(missformer, "CHANGES", tuple(change(index) for index in range(10)))
    frames, label = np.zeros((1, 2, 2), np.float32), np.zeros((2, 2), np.uint8)
    generator = np.random.default_rng(9)
    numbers, used, first = Counter(), Counter(), Counter()
    for _ in range(DRAWS):
        log.clear()
        AUGMENTATIONS["missformer"](frames, label, generator)
        assert len(set(log)) == len(log)
        numbers[len(log)] += 1
        used.update(log)
        first.update(log[:1])
    assert set(numbers) == set(range(5))
    assert all(near(count, 0.2) for count in numbers.values())
    assert all(near(used[index], 0.2) for index in range(10))  # two of ten on average
    assert all(near(first[index], 0.08) for index in range(10))  # random order


def test_missformers_ten_changes_are_imgaugs():
    names = " ".join(change.__name__ for change in missformer.CHANGES)
    assert names == (
        "upside_down left_to_right noise blur gain scale rotate shear piecewise translate"
    )


def test_missformers_noise_of_sigma_1_275_is_reproduced_as_it_is():
    frames, label = np.full((1, 256, 256), 0.5, np.float32), np.zeros((256, 256), np.uint8)
    noisy, _ = missformer.noise(frames, label, np.random.default_rng(10))
    assert abs((noisy - frames).std() - 1.275) < 0.02
    assert noisy.min() < -3
    assert noisy.max() > 4  # nothing is cut


@pytest.mark.parametrize(
    ("change", "bounds"),
    [
        ("scale", lambda m: (m[0, 0], 0.5, 2.0)),
        ("rotate", lambda m: (np.rad2deg(np.arctan2(m[1, 0], m[0, 0])), -40, 40)),
        ("shear", lambda m: (np.rad2deg(np.arcsin(-m[0, 1])), -16, 16)),
    ],
)
def test_missformers_affine_ranges(change, bounds, monkeypatch):
    calls = Calls(monkeypatch, missformer, "affine_sources")
    frames, label = np.zeros((1, 6, 8), np.float32), np.zeros((6, 8), np.uint8)
    generator = np.random.default_rng(11)
    for _ in range(DRAWS):
        getattr(missformer, change)(frames, label, generator)
    drawn = [bounds(args[1]) for args, _ in calls]
    assert fills([value for value, _, _ in drawn], *drawn[0][1:])


def test_missformers_shear_is_imgaugs_on_the_scikit_image_of_its_time(monkeypatch):
    calls = Calls(monkeypatch, missformer, "affine_sources")
    frames, label = np.zeros((1, 6, 8), np.float32), np.zeros((6, 8), np.uint8)
    for seed in range(20):
        missformer.shear(frames, label, np.random.default_rng(seed))
        sine = -calls[-1][0][1][0, 1]
        cosine = (1 - sine**2) ** 0.5
        # to_matrix in geometric.py:636: a quarter turn back, shear, a quarter turn, shear
        expected = [[cosine - sine**2, -sine], [sine * cosine, cosine]]
        np.testing.assert_allclose(calls[-1][0][1], expected, atol=1e-12)


def test_missformers_translation_and_gain_ranges(monkeypatch):
    calls = Calls(monkeypatch, missformer, "affine_sources")
    frames, label = np.ones((1, 10, 20), np.float32), np.zeros((10, 20), np.uint8)
    generator = np.random.default_rng(12)
    gains = []
    for _ in range(DRAWS):
        missformer.translate(frames, label, generator)
        gains.append(float(missformer.gain(frames, label, generator)[0][0, 0, 0]))
    assert fills([kwargs["shift"][0] for _, kwargs in calls], -4, 4)
    assert fills([kwargs["shift"][1] for _, kwargs in calls], -2, 2)
    assert fills(gains, 0.5, 1.5)


def test_missformers_piecewise_grid_and_jitter(monkeypatch):
    calls = Calls(monkeypatch, missformer, "piecewise_sources")
    frames, label = np.zeros((1, 12, 16), np.float32), np.zeros((12, 16), np.uint8)
    generator = np.random.default_rng(13)
    for _ in range(DRAWS):
        missformer.piecewise(frames, label, generator)
    grids = Counter(args[1].shape[:2] for args, _ in calls)
    assert set(grids) == {(rows, columns) for rows in (2, 3, 4) for columns in (2, 3, 4)}
    assert all(near(count, 1 / 9) for count in grids.values())
    sigmas = [args[1].std() for args, _ in calls if args[1].shape[:2] == (4, 4)]
    assert 0.017 < np.mean(sigmas) < 0.021  # 0.008 to 0.03


def test_missformer_keeps_more_than_nine_classes():
    label = np.arange(24, dtype=np.uint8).repeat(24).reshape(24, 24)
    frames = (label / np.float32(24))[None]
    generator = np.random.default_rng(14)
    seen = set()
    for _ in range(60):
        _, truth = AUGMENTATIONS["missformer"](frames, label, generator)
        seen |= set(np.unique(truth))
    assert seen == set(range(24))
