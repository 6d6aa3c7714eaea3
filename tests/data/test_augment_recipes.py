"""The recipes are their authors': operations, order, odds and ranges; image and label as one.

Whole recipes are replayed with torchvision and PIL on the same draws. Odds and ranges are counted
over many draws of a fixed generator, by listening to the operations the recipes call.
"""

from __future__ import annotations

import pickle
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from PIL import Image, ImageEnhance
from scipy import ndimage
from torchvision.transforms import v2

from salstm.data import colour, masks, pillow, recipes_augment, someof
from salstm.data.augment import AUGMENTATIONS

functional: Any = v2.functional  # its annotations know tensors only
SCHEMA = Path(__file__).parents[2] / "workflow/schemas/config.schema.yaml"
RGB = ("dcsaunet", "fcbformer", "ssformer", "hardnet_dfus", "fanet", "esfpnet")
FLOATING = ("dcsaunet", "fcbformer", "missformer")
DRAWS = 1500


def window(
    side: int = 48, frames: int = 3, classes: int = 2, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Smooth RGB frames and a label of blobs."""
    generator = np.random.default_rng(seed)
    image = ndimage.gaussian_filter(generator.random((frames, side, side, 3)), (0, 1.5, 1.5, 0))
    image = (image - image.min()) / np.ptp(image)
    height = ndimage.gaussian_filter(generator.random((side, side)), 4)
    edges = np.quantile(height, np.linspace(0.5, 1, classes)[:-1])
    return (image * 255).astype(np.uint8), np.digitize(height, edges).astype(np.uint8)


def coded(side: int, classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Frames that show their label: 60 times the class in every channel."""
    _, label = window(side, 1, classes)
    return np.repeat((label * 60)[None, ..., None], 3, axis=-1).repeat(2, axis=0), label


class Calls(list):
    """Arguments of every call of a function that goes on doing its work."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, module: Any, name: str) -> None:
        super().__init__()
        original = getattr(module, name)

        def listener(*args: Any, **kwargs: Any) -> Any:
            self.append((args, kwargs))
            return original(*args, **kwargs)

        monkeypatch.setattr(module, name, listener)


def near(count: int, probability: float, draws: int = DRAWS) -> bool:
    """Within four standard deviations."""
    return abs(count - draws * probability) < 4 * (draws * probability * (1 - probability)) ** 0.5


def fills(values: list[float], low: float, high: float) -> bool:
    """Uniform between the two: extremes and mean."""
    array, width = np.array(values), high - low
    margin = 12 / len(array) * width
    return bool(
        low <= array.min() < low + margin
        and high - margin < array.max() <= high
        and abs(array.mean() - (low + high) / 2) < 4 * width / (12 * len(array)) ** 0.5
    )


def many(name: str, side: int = 24, frames: int = 1) -> None:
    image, label = window(side, frames)
    generator = np.random.default_rng(20240805)
    for _ in range(DRAWS):
        AUGMENTATIONS[name](image, label, generator)


# Every recipe


def test_the_registry_is_the_schemas_list():
    schema = yaml.safe_load(SCHEMA.read_text(encoding="utf-8"))
    found: list[list[str]] = []

    def walk(node: Any) -> None:
        if isinstance(node, dict):
            if isinstance(node.get("augment"), dict):
                found.append(node["augment"].get("enum", []))
            for value in node.values():
                walk(value)

    walk(schema)
    assert set(AUGMENTATIONS) in [set(names) for names in found]


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
        if name != "missformer":
            assert 0 <= image.min() <= image.max() <= 1 + 1e-5


@pytest.mark.parametrize("name", sorted(AUGMENTATIONS))
def test_workers_that_are_spawned_find_the_recipe_again(name):
    assert pickle.loads(pickle.dumps(AUGMENTATIONS[name])) is AUGMENTATIONS[name]


@pytest.mark.parametrize("name", sorted(set(AUGMENTATIONS) - {"none"}))
def test_image_and_label_move_together(name, monkeypatch):
    same: Callable[..., np.ndarray] = lambda frames, *rest: frames  # noqa: E731
    for function in ("brightness", "contrast", "saturation", "hue", "gaussian_blur"):
        monkeypatch.setattr(colour, function, same)
    for function in ("noise", "holes"):
        monkeypatch.setattr(colour, function, same)
    monkeypatch.setattr(pillow, "enhanced", same)
    monkeypatch.setattr(someof, "CHANGES", [c for c in someof.CHANGES if c is not someof.gain])
    frames, label = coded(64, 4)
    generator, moved = np.random.default_rng(8), 0
    for _ in range(30):
        image, truth = AUGMENTATIONS[name](frames, label, generator)
        high, low = (
            f(truth, 9, mode="nearest") for f in (ndimage.maximum_filter, ndimage.minimum_filter)
        )
        inner = np.asarray(high) == np.asarray(low)
        difference = np.abs(image[0, ..., 1].astype(float) - 60.0 * truth)[inner]
        assert (difference > 2).mean() < 0.01
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
        return values


@pytest.mark.parametrize("name", ["missformer", "dcsaunet", "hardnet_dfus", "esfpnet"])
def test_neutral_draws_change_nothing(name):
    image, label = window(32)
    draws: Any = Neutral()
    frames, truth = AUGMENTATIONS[name](image, label, draws)
    np.testing.assert_allclose(frames, image, atol=1e-4)
    np.testing.assert_array_equal(truth, label)


# MISSFormer


def test_missformer_takes_zero_to_four_of_ten_each_number_and_change_alike(monkeypatch):
    log: list[int] = []

    def change(index: int) -> Callable:
        return lambda frames, label, generator: (log.append(index), (frames, label))[1]

    monkeypatch.setattr(someof, "CHANGES", tuple(change(index) for index in range(10)))
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
    names = [change.__name__ for change in someof.CHANGES]
    assert (
        names
        == (
            "upside_down left_to_right noise blur gain scale rotate shear piecewise translate"
        ).split()
    )


def test_missformers_noise_of_sigma_1_275_is_reproduced_as_it_is():
    frames, label = np.full((1, 256, 256), 0.5, np.float32), np.zeros((256, 256), np.uint8)
    noisy, _ = someof.noise(frames, label, np.random.default_rng(10))
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
    calls = Calls(monkeypatch, someof, "affine_sources")
    frames, label = np.zeros((1, 6, 8), np.float32), np.zeros((6, 8), np.uint8)
    generator = np.random.default_rng(11)
    for _ in range(DRAWS):
        getattr(someof, change)(frames, label, generator)
    drawn = [bounds(args[1]) for args, _ in calls]
    assert fills([value for value, _, _ in drawn], *drawn[0][1:])


def test_missformers_translation_and_gain_ranges(monkeypatch):
    calls = Calls(monkeypatch, someof, "affine_sources")
    frames, label = np.ones((1, 10, 20), np.float32), np.zeros((10, 20), np.uint8)
    generator = np.random.default_rng(12)
    gains = []
    for _ in range(DRAWS):
        someof.translate(frames, label, generator)
        gains.append(float(someof.gain(frames, label, generator)[0][0, 0, 0]))
    assert fills([kwargs["shift"][0] for _, kwargs in calls], -4, 4)
    assert fills([kwargs["shift"][1] for _, kwargs in calls], -2, 2)
    assert fills(gains, 0.5, 1.5)


def test_missformers_piecewise_grid_and_jitter(monkeypatch):
    calls = Calls(monkeypatch, someof, "piecewise_sources")
    frames, label = np.zeros((1, 12, 16), np.float32), np.zeros((12, 16), np.uint8)
    generator = np.random.default_rng(13)
    for _ in range(DRAWS):
        someof.piecewise(frames, label, generator)
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


# DCSAU-Net, HarDNet-DFUS


def test_dcsaunets_odds_and_ranges(monkeypatch):
    flips = Calls(monkeypatch, recipes_augment, "flipped")
    warps = Calls(monkeypatch, recipes_augment, "affine_sources")
    reads = Calls(monkeypatch, recipes_augment, "warp")
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
    flips = Calls(monkeypatch, recipes_augment, "flipped")
    warps = Calls(monkeypatch, recipes_augment, "affine_sources")
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


# FCBFormer


@pytest.mark.parametrize("seed", range(6))
def test_fcbformer_is_torchvisions_pipeline(seed):
    image, label = window(88, 2, seed=seed)
    frames, truth = AUGMENTATIONS["fcbformer"](image, label, np.random.default_rng(seed))
    draw = np.random.default_rng(seed)
    x: Any = torch.from_numpy(np.moveaxis(image, -1, 1) / np.float32(255))
    y: Any = torch.from_numpy(label[None].astype(np.float32))
    sigma = draw.uniform(0.001, 2)
    x = functional.gaussian_blur(x, [25, 25], [sigma, sigma])
    ranges = {"brightness": (0.6, 1.4), "contrast": (0.5, 1.5), "saturation": (0.75, 1.25)}
    ranges["hue"] = (-0.01, 0.01)
    for step in draw.permutation(4):
        name = list(ranges)[step]
        x = getattr(functional, f"adjust_{name}")(x, draw.uniform(*ranges[name]))
    x = functional.normalize(x, [0.5], [0.5])
    for flip in (functional.horizontal_flip, functional.vertical_flip):
        if draw.random() < 0.5:
            x, y = flip(x), flip(y)
    angle = draw.uniform(-180, 180)
    shift = [draw.uniform(-11, 11), draw.uniform(-11, 11)]  # 88 / 8
    scale, shear = draw.uniform(0.5, 1.5), [draw.uniform(-22.5, 22.5), 0.0]
    x = functional.affine(x, angle, shift, scale, shear, fill=-1.0)
    y = functional.affine(y, angle, shift, scale, shear, fill=0.0)
    theirs = np.moveaxis(x.numpy(), 1, -1)
    different = np.abs(frames / 127.5 - 1 - theirs).max(axis=(0, 3)) > 1e-4
    assert different.mean() < 2e-3  # float32 grids tip some ties between two pixels
    assert (truth != y[0].numpy()).mean() < 2e-3


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


@pytest.mark.parametrize("seed", range(8))
def test_ssformer_is_pils_pipeline(seed):
    image, label = window(60, 1, seed=seed)
    frames, truth = AUGMENTATIONS["ssformer"](image, label, np.random.default_rng(seed))
    draw = np.random.default_rng(seed)
    x, y = Image.fromarray(image[0]), Image.fromarray(label * np.uint8(255))

    def middle(picture: Image.Image) -> Image.Image:
        left, top = (picture.width - 60) // 2, (picture.height - 60) // 2
        return picture.crop((left, top, (picture.width + 60) // 2, (picture.height + 60) // 2))

    scale = draw.uniform(0.75, 1.25)
    if draw.random() < 0.5:
        x, y = (
            middle(p.resize((round(60 * scale),) * 2, Image.Resampling.BICUBIC)) for p in (x, y)
        )
    for flip in (Image.Transpose.FLIP_LEFT_RIGHT, Image.Transpose.FLIP_TOP_BOTTOM):
        if draw.random() < 0.5:
            x, y = x.transpose(flip), y.transpose(flip)
    angle = int(draw.integers(359))
    if draw.random() < 0.5:
        x, y = (middle(picture.rotate(angle, expand=True)) for picture in (x, y))
    for name in draw.permutation(["Contrast", "Sharpness", "Brightness"]):
        if draw.random() < 0.5:
            x = getattr(ImageEnhance, name)(x).enhance(1 + draw.random() / 10)
    np.testing.assert_array_equal(frames[0], np.asarray(x))
    third, side = draw.integers(3), int(draw.integers(2, 5))
    change = [masks.dilated, masks.eroded, lambda planes, _: planes][third]
    np.testing.assert_array_equal(truth, change(np.asarray(y)[None], side)[0] > 127)


# FANet, ESFPNet


@pytest.mark.parametrize("seed", range(8))
def test_fanet_is_torchvisions_pipeline_on_pil_images(seed):
    image, label = window(64, 1, classes=3, seed=seed)
    frames, truth = AUGMENTATIONS["fanet"](image, label, np.random.default_rng(seed))
    draw = np.random.default_rng(seed)
    x, y = Image.fromarray(image[0]), Image.fromarray(label)
    angle = draw.uniform(-5, 5)
    x = functional.rotate(x, angle, interpolation=v2.InterpolationMode.BILINEAR)
    y = functional.rotate(y, angle)
    for name in ("brightness", "contrast", "saturation"):
        x = getattr(functional, f"adjust_{name}")(x, draw.uniform(0.5, 1.5))
    size = int(draw.uniform(0.5, 2) * 64), int(draw.uniform(0.5, 2) * 64)
    x, y = x.resize(size, Image.Resampling.BILINEAR), y.resize(size, Image.Resampling.NEAREST)
    if draw.random() < 0.5:
        x, y = functional.horizontal_flip(x), functional.horizontal_flip(y)
    if min(size) < 48:  # 384 of 512
        x, y = (
            x.resize((48, 48), Image.Resampling.BILINEAR),
            y.resize((48, 48), Image.Resampling.NEAREST),
        )
    else:
        top, left = int(draw.integers(size[1] - 47)), int(draw.integers(size[0] - 47))
        x, y = (functional.crop(picture, top, left, 48, 48) for picture in (x, y))
    np.testing.assert_array_equal(frames[0], np.asarray(x))
    np.testing.assert_array_equal(truth, np.asarray(y))


def test_fanets_ranges(monkeypatch):
    turns = Calls(monkeypatch, pillow, "rotated")
    jitter = Calls(monkeypatch, pillow, "enhanced")
    sizes = Calls(monkeypatch, recipes_augment, "_cut")
    many("fanet", side=100)
    assert fills([args[1] for args, _ in turns], -5, 5)
    for place, name in enumerate(("brightness", "contrast", "saturation")):
        assert {args[1] for args, _ in jitter[place::3]} == {name}
        assert fills([args[2] for args, _ in jitter[place::3]], 0.5, 1.5)
    for axis in (0, 1):
        assert fills([args[1].shape[axis] + 0.5 for args, _ in sizes], 50, 200)
    assert {args[2:4] for args, _ in sizes} == {(75, 75)}


@pytest.mark.parametrize("seed", range(6))
def test_esfpnet_is_torchvisions_pipeline_on_pil_images(seed):
    image, label = window(64, 1, classes=3, seed=seed)
    frames, truth = AUGMENTATIONS["esfpnet"](image, label, np.random.default_rng(seed))
    draw = np.random.default_rng(seed)
    x, y = Image.fromarray(image[0]), Image.fromarray(label)
    angle = draw.uniform(-90, 90)
    x, y = functional.rotate(x, angle), functional.rotate(y, angle)
    for flip in (functional.vertical_flip, functional.horizontal_flip):
        if draw.random() < 0.5:
            x, y = flip(x), flip(y)
    for name in draw.permutation(["brightness", "contrast"]):
        half = {"brightness": 0.2, "contrast": 0.1}[name]
        x = getattr(functional, f"adjust_{name}")(x, draw.uniform(1 - half, 1 + half))
    np.testing.assert_array_equal(frames[0], np.asarray(x))
    np.testing.assert_array_equal(truth, np.asarray(y))


def test_esfpnets_odds_and_ranges(monkeypatch):
    turns = Calls(monkeypatch, pillow, "rotated")
    flips = Calls(monkeypatch, recipes_augment, "flipped")
    jitter = Calls(monkeypatch, pillow, "enhanced")
    many("esfpnet")
    assert fills([args[1] for args, _ in turns], -90, 90)
    axes = Counter(args[2] for args, _ in flips)
    assert all(near(axes[axis], 0.5) for axis in (0, 1))
    assert fills([args[2] for args, _ in jitter if args[1] == "brightness"], 0.8, 1.2)
    assert fills([args[2] for args, _ in jitter if args[1] == "contrast"], 0.9, 1.1)
    assert near(sum(args[1] == "contrast" for args, _ in jitter[::2]), 0.5)
