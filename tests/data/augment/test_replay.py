"""Whole recipes against torchvision and PIL on the same draws of the same generator."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image, ImageEnhance
from torchvision.transforms import v2

from salstm.data.augment import masks
from tests.data.draws import AUGMENTATIONS, window

functional: Any = v2.functional  # its annotations know tensors only


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


@pytest.mark.parametrize("seed", range(8))
def test_ssformer_is_pils_pipeline(seed):
    image, label = window(60, 1, seed=seed)
    frames, truth = AUGMENTATIONS["ssformer"](image, label, np.random.default_rng(seed))
    draw = np.random.default_rng(seed)
    x, y = Image.fromarray(image[0]), Image.fromarray(label * np.uint8(255))

    def middle(picture: Image.Image) -> Image.Image:
        left, top = (picture.width - 60) // 2, (picture.height - 60) // 2
        return picture.crop((left, top, (picture.width + 60) // 2, (picture.height + 60) // 2))

    side = round(60 * draw.uniform(0.75, 1.25))
    if draw.random() < 0.5:
        x, y = (middle(p.resize((side, side), Image.Resampling.BICUBIC)) for p in (x, y))
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
