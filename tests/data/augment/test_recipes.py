"""The recipes are their authors': operations, order, odds and ranges; image and label as one.

Odds and ranges are counted over many draws of a fixed generator, by listening to the operations the
recipes call. ``test_augment_replay`` compares whole recipes with torchvision and PIL.
"""

from __future__ import annotations

import pickle
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy import ndimage

from salstm.data.augment import colour, masks, missformer, pillow, recipes
from tests.data.draws import AUGMENTATIONS, Calls, fills, many, near, window

RGB = ("dcsaunet", "fcbformer", "ssformer", "hardnet_dfus", "fanet", "esfpnet")
FLOATING = ("dcsaunet", "fcbformer", "missformer", "nnunet")


def coded() -> tuple[np.ndarray, np.ndarray]:
    """Frames that show their label: 60 times the class in every channel."""
    label = np.zeros((64, 64), np.uint8)
    label[6:24, 5:30], label[30:60, 40:60], label[5:20, 40:58] = 1, 2, 3
    return np.tile((label * 60)[None, ..., None], (2, 1, 1, 3)), label


def filtered(label: np.ndarray, kind: str) -> np.ndarray:
    return np.asarray(getattr(ndimage, f"{kind}_filter")(label, 9))


# Every recipe


@pytest.mark.parametrize("name", sorted(AUGMENTATIONS))
def test_the_draw_is_the_generators_alone_and_the_input_is_left_alone(name):
    image, label = window(40, classes=4)
    before = image.copy(), label.copy()
    image.flags.writeable = label.flags.writeable = False
    results = []
    for seed in (1, 1, 2, 3, 4):
        np.random.seed(seed * 7)
        frames, truth = AUGMENTATIONS[name](image, label, np.random.default_rng(seed))
        results.append((frames.copy(), truth.copy()))
        assert truth.dtype == np.uint8
        assert set(np.unique(truth)) <= set(range(4))
        assert frames.shape[1:3] == truth.shape
        assert frames.shape[0] == frames.shape[-1] == 3
        assert frames.dtype == (np.float32 if name in FLOATING else np.uint8)
    np.testing.assert_array_equal(results[0][0], results[1][0])
    np.testing.assert_array_equal(results[0][1], results[1][1])
    np.testing.assert_array_equal(image, before[0])
    np.testing.assert_array_equal(label, before[1])
    if name != "none":
        kinds = {frames.tobytes() for frames, _ in results}
        assert len(kinds) > 1


@pytest.mark.parametrize("name", sorted(AUGMENTATIONS))
@pytest.mark.parametrize("grey", [False, True])
def test_equal_frames_stay_equal(name, grey):
    image, label = window(32, 1)
    image = image.repeat(3, axis=0)
    if grey:
        image = image[..., 0] / np.float32(255)
    generator = np.random.default_rng(5)
    for _ in range(12):
        frames, _ = AUGMENTATIONS[name](image, label, generator)
        np.testing.assert_array_equal(frames[0], frames[1])
        np.testing.assert_array_equal(frames[0], frames[2])


@pytest.mark.parametrize("name", RGB)
def test_values_stay_in_the_range_of_bytes(name):
    image, label = window(32)
    image[:, :8], image[:, -8:] = 0, 255
    generator = np.random.default_rng(6)
    for _ in range(40):
        frames, _ = AUGMENTATIONS[name](image, label, generator)
        assert 0 <= frames.min() <= frames.max() <= 255 + 1e-3


@pytest.mark.parametrize("name", sorted(AUGMENTATIONS))
@pytest.mark.parametrize("shape", [(8, 8), (9, 14), (1, 1)])
def test_grey_and_tiny_frames_go_through(name, shape):
    generator = np.random.default_rng(7)
    frames = generator.random((2, *shape), dtype=np.float32)
    label = generator.integers(0, 3, shape, dtype=np.uint8)
    for _ in range(20):
        image, truth = AUGMENTATIONS[name](frames, label, generator)
        assert image.dtype == np.float32
        assert image.shape == (2, *truth.shape)
        if name not in ("missformer", "nnunet"):  # nothing is cut there, as theirs
            assert 0 <= image.min() <= image.max() <= 1 + 1e-5


@pytest.mark.parametrize("name", sorted(AUGMENTATIONS))
def test_workers_that_are_spawned_find_the_recipe_again(name):
    assert pickle.loads(pickle.dumps(AUGMENTATIONS[name])) is AUGMENTATIONS[name]


# nnU-Net's, which leaves the mean outside, has a test of its own.
@pytest.mark.parametrize("name", sorted(set(AUGMENTATIONS) - {"none", "nnunet"}))
def test_image_and_label_move_together(name, monkeypatch):
    same: Callable[..., np.ndarray] = lambda frames, *rest: frames  # noqa: E731
    for function in ("brightness", "contrast", "saturation", "hue", "gaussian_blur"):
        monkeypatch.setattr(colour, function, same)
    for function in ("noise", "holes"):
        monkeypatch.setattr(colour, function, same)
    monkeypatch.setattr(pillow, "enhanced", same)
    monkeypatch.setattr(
        missformer, "CHANGES", [c for c in missformer.CHANGES if c is not missformer.gain]
    )
    frames, label = coded()
    generator, moved = np.random.default_rng(8), 0
    for _ in range(30):
        image, truth = AUGMENTATIONS[name](frames, label, generator)
        inner = np.zeros(truth.shape, bool)  # one class for 4 pixels all round
        inner[5:-5, 5:-5] = (filtered(truth, "maximum") == filtered(truth, "minimum"))[5:-5, 5:-5]
        difference = np.abs(image[0, ..., 1].astype(float) - 60.0 * truth)[inner]
        assert (difference > 2).mean() < 1e-3
        moved += truth.shape != label.shape or not np.array_equal(truth, label)
    assert moved > 10


class Neutral:
    """Draws that leave things as they are: no branch taken, the middle of every range."""

    def random(self) -> float:
        return 0.999

    def uniform(self, low: float, high: float) -> float:
        return (low + high) / 2

    def integers(self, low: int, high: int | None = None) -> int:
        return 0 if high is None else low

    def permutation(self, values: Any) -> Any:
        return range(values) if isinstance(values, int) else values


@pytest.mark.parametrize("name", ["missformer", "dcsaunet", "hardnet_dfus", "esfpnet"])
def test_neutral_draws_change_nothing(name):
    image, label = window(32)
    draws: Any = Neutral()
    frames, truth = AUGMENTATIONS[name](image, label, draws)
    np.testing.assert_allclose(frames, image, atol=1e-4)
    np.testing.assert_array_equal(truth, label)


# DCSAU-Net, HarDNet-DFUS


def test_dcsaunets_odds_and_ranges(monkeypatch):
    flips = Calls(monkeypatch, recipes, "flipped")
    warps = Calls(monkeypatch, recipes, "affine_sources")
    reads = Calls(monkeypatch, recipes, "warp")
    holes = Calls(monkeypatch, colour, "holes")
    many("dcsaunet", side=256 // 8)  # a hole of 8 pixels is 1 here
    assert near(len(flips), 0.25)
    assert {args[2] for args, _ in flips} == {1}
    assert near(len(warps), 0.25)
    matrices = [args[1] for args, _ in warps]
    assert fills([np.linalg.det(m) ** 0.5 for m in matrices], 0.9, 1.1)
    assert fills([np.rad2deg(np.arctan2(m[0, 1], m[0, 0])) for m in matrices], -45, 45)
    assert {tuple(kwargs["shift"]) for _, kwargs in warps} == {(0, 0)}
    assert {kwargs["centre"] for _, kwargs in warps} == {(16, 16)}
    assert {kwargs["border"] for _, kwargs in reads} == {"reflect"}
    assert near(len(holes), 0.5)
    counts = Counter(len(args[1]) for args, _ in holes)
    assert set(counts) == {8, 9}
    assert near(counts[8], 0.5, len(holes))


def test_dcsaunets_holes_are_8_or_9_pixels_at_256(monkeypatch):
    holes = Calls(monkeypatch, colour, "holes")
    image, label = window(256, 1)
    generator = np.random.default_rng(15)
    for _ in range(60):
        AUGMENTATIONS["dcsaunet"](image, label, generator)
    sides = Counter(int(side) for args, _ in holes for side in args[1].ravel())
    assert set(sides) == {8, 9}
    assert near(sides[8], 0.5, sides.total())


def test_hardnets_odds_and_ranges(monkeypatch):
    flips = Calls(monkeypatch, recipes, "flipped")
    warps = Calls(monkeypatch, recipes, "affine_sources")
    holes, noises = Calls(monkeypatch, colour, "holes"), Calls(monkeypatch, colour, "noise")
    jitter = Calls(monkeypatch, pillow, "enhanced")
    many("hardnet_dfus")
    axes = Counter(args[2] for args, _ in flips)
    assert all(near(axes[axis], 0.5) for axis in (0, 1))
    assert near(len(warps), 0.5)
    assert fills([kwargs["shift"][0] / 24 for _, kwargs in warps], -0.1, 0.1)
    assert fills([kwargs["shift"][1] / 24 for _, kwargs in warps], -0.1, 0.1)
    assert fills([np.linalg.det(args[1]) ** 0.5 for args, _ in warps], 0.9, 1.1)
    assert near(len(holes), 0.25)
    assert near(len(noises), 0.25)
    assert fills([args[1] ** 2 for args, _ in noises], 10, 50)
    assert near(len(jitter) // 2, 0.3)
    for name in ("brightness", "contrast"):
        assert fills([args[2] for args, _ in jitter if args[1] == name], 0.5, 1.5)
    assert near(sum(args[1] == "contrast" for args, _ in jitter[::2]), 0.5, len(jitter) // 2)


def test_hardnets_holes_are_eight_of_20_pixels_at_384(monkeypatch):
    holes = Calls(monkeypatch, colour, "holes")
    for side in (384, 352):
        image, label = window(side, 1)
        generator = np.random.default_rng(16)
        for _ in range(8):
            AUGMENTATIONS["hardnet_dfus"](image, label, generator)
    assert {args[1].shape for args, _ in holes} == {(8, 2)}
    assert {int(args[1].max()) for args, _ in holes} == {20, 18}


# SSFormer


def test_ssformers_odds_and_ranges(monkeypatch):
    scales = Calls(monkeypatch, pillow, "scaled_whole")
    turns = Calls(monkeypatch, pillow, "rotated_whole")
    jitter = Calls(monkeypatch, pillow, "enhanced")
    wider, thinner = Calls(monkeypatch, masks, "dilated"), Calls(monkeypatch, masks, "eroded")
    many("ssformer")
    assert near(len(scales) // 2, 0.5)  # one call for the frames, one for the masks
    assert fills([args[1] for args, _ in scales], 0.75, 1.25)
    assert near(len(turns) // 2, 0.5)
    angles = {args[1] for args, _ in turns}
    assert angles <= set(range(359))
    assert len(angles) > 250
    for name in ("contrast", "sharpness", "brightness"):
        factors = [args[2] for args, _ in jitter if args[1] == name]
        assert near(len(factors), 0.5)
        assert fills(factors, 1, 1.1)
    for calls in (wider, thinner):
        assert near(len(calls), 1 / 3)
        sides = Counter(args[1] for args, _ in calls)
        assert set(sides) == {2, 3, 4}
        assert all(near(count, 1 / 3, len(calls)) for count in sides.values())


# FANet, ESFPNet


def test_fanets_ranges(monkeypatch):
    turns = Calls(monkeypatch, pillow, "rotated")
    jitter = Calls(monkeypatch, pillow, "enhanced")
    sizes = Calls(monkeypatch, recipes, "_cut")
    many("fanet", side=100)
    assert fills([args[1] for args, _ in turns], -5, 5)
    for place, name in enumerate(("brightness", "contrast", "saturation")):
        assert {args[1] for args, _ in jitter[place::3]} == {name}
        assert fills([args[2] for args, _ in jitter[place::3]], 0.5, 1.5)
    for axis in (0, 1):
        assert fills([args[1].shape[axis] + 0.5 for args, _ in sizes], 50, 200)
    assert {args[2:4] for args, _ in sizes} == {(75, 75)}


def test_esfpnets_odds_and_ranges(monkeypatch):
    turns = Calls(monkeypatch, pillow, "rotated")
    flips = Calls(monkeypatch, recipes, "flipped")
    jitter = Calls(monkeypatch, pillow, "enhanced")
    many("esfpnet")
    assert fills([args[1] for args, _ in turns], -90, 90)
    axes = Counter(args[2] for args, _ in flips)
    assert all(near(axes[axis], 0.5) for axis in (0, 1))
    assert fills([args[2] for args, _ in jitter if args[1] == "brightness"], 0.8, 1.2)
    assert fills([args[2] for args, _ in jitter if args[1] == "contrast"], 0.9, 1.1)
    assert near(sum(args[1] == "contrast" for args, _ in jitter[::2]), 0.5)
