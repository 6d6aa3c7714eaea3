"""The networks' own augmentations: what their authors do to an image and its mask, in their order.

Each takes ``(frames, label, generator)``: frames uint8 ``(T, H, W, 3)`` (float32 ``(T, H, W)`` in
[0, 1] if grey), label ``(H, W)``; and returns both, changed by one draw. Lengths in pixels count on
the authors' side of the image and are scaled with it. Resizing to the network's size and normalising
come later, in ``Windows``; docs/protocols.md says where that differs from the authors' order.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps

import numpy as np

from salstm.data.augment import colour, masks, pillow
from salstm.data.augment.geometry import Pair, affine_sources, flipped, rotation, warp

Augmentation = Callable[[np.ndarray, np.ndarray, np.random.Generator], Pair]


def _rgb(change: Augmentation) -> Augmentation:
    """Let grey frames through as 8-bit RGB with three equal channels."""

    @wraps(change)
    def augment(frames: np.ndarray, label: np.ndarray, generator: np.random.Generator) -> Pair:
        if frames.ndim == 4:
            return change(frames, label, generator)
        grey = np.rint(np.clip(frames, 0, 1) * 255).astype(np.uint8)
        changed, truth = change(np.repeat(grey[..., None], 3, axis=-1), label, generator)
        return changed[..., 0] / np.float32(255), truth

    return augment


@_rgb
def dcsaunet(frames: np.ndarray, label: np.ndarray, generator: np.random.Generator) -> Pair:
    """DCSAU-Net (xq141839/DCSAU-Net at 40b796e; albumentations 0.3.2) at 256 x 256.

    Flip left to right, p 1/4. Scale by 0.9 to 1.1 and rotate by up to 45 degrees, linear, mirrored
    at the border, p 1/4. Eight or nine black holes, 8 or 9 pixels a side, p 1/2.

    Returns:
        Frames float32 in [0, 255], unrounded as the authors'; the label.
    """
    frames = frames.astype(np.float32)
    if generator.random() < 0.25:
        frames, label = flipped(frames, label, 1)
    if generator.random() < 0.25:
        frames, label = _shift_scale_rotate(frames, label, generator, shift=0)
    if generator.random() < 0.5:
        sides = generator.integers(8, 10, (generator.integers(8, 10), 2))
        frames = colour.holes(frames, _pixels(frames, sides, 256), generator)
    return frames, label


@_rgb
def fcbformer(frames: np.ndarray, label: np.ndarray, generator: np.random.Generator) -> Pair:
    """FCBFormer (ESandML/FCBFormer at c353199; torchvision on tensors) at 352 x 352.

    Image: Gaussian blur, 25 taps, sigma 0.001 to 2; then brightness 0.6 to 1.4, contrast 0.5 to
    1.5, saturation 0.75 to 1.25, hue -0.01 to 0.01, in random order. Both: flips p 1/2 each; always
    an affine map: any rotation, up to 1/8 of the side in x and y, scale 0.5 to 1.5, shear along x
    by up to 22.5 degrees, nearest for both, black and background outside.

    Returns:
        Frames float32 in [0, 255], unrounded as the authors'; the label.
    """
    image = frames / np.float32(255)
    image = colour.gaussian_blur(image, generator.uniform(0.001, 2), 25)
    image = _float_jitter(image, generator)
    for axis in (1, 0):
        if generator.random() < 0.5:
            image, label = flipped(image, label, axis)
    height, width = label.shape
    turn = rotation(generator.uniform(-180, 180))
    shift = (generator.uniform(-width / 8, width / 8), generator.uniform(-height / 8, height / 8))
    scale, angle = generator.uniform(0.5, 1.5), np.deg2rad(generator.uniform(-22.5, 22.5))
    linear = scale * turn @ np.array([[1, -np.tan(angle)], [0, 1]])
    sources = affine_sources((height, width), linear, shift=shift)
    image, label = warp(image, label, sources, border="constant", order=0)
    return image * np.float32(255), label


@_rgb
def ssformer(frames: np.ndarray, label: np.ndarray, generator: np.random.Generator) -> Pair:
    """SSFormer (Qiming-Huang/ssformer at 1351a07; PIL, OpenCV) at 352 x 352.

    Scale by 0.75 to 1.25, bicubic, cut or padded with black to the old size, p 1/2. Flips p 1/2
    each. Rotate by 0 to 358 whole degrees, nearest, black outside, p 1/2. Image: contrast,
    sharpness and brightness, each 1 to 1.1, p 1/2, in random order. Mask: dilated, p 1/3, or
    eroded, p 1/3, by an ellipse of 2 to 4 pixels. The mask stays soft on the way; above a half is
    foreground.
    """
    planes = masks.planes(label)
    scale = generator.uniform(0.75, 1.25)
    if generator.random() < 0.5:
        frames, planes = (pillow.scaled_whole(each, scale) for each in (frames, planes))
    for axis in (2, 1):
        if generator.random() < 0.5:
            frames, planes = (np.flip(each, axis) for each in (frames, planes))
    angle = int(generator.integers(359))
    if generator.random() < 0.5:
        frames, planes = (pillow.rotated_whole(each, angle) for each in (frames, planes))
    for name in generator.permutation(["contrast", "sharpness", "brightness"]):
        if generator.random() < 0.5:
            frames = pillow.enhanced(frames, name, 1 + generator.random() / 10)
    third, side = generator.integers(3), int(generator.integers(2, 5))
    if third < 2:
        planes = masks.dilated(planes, side) if third == 0 else masks.eroded(planes, side)
    return frames, masks.label(planes, label)


@_rgb
def hardnet_dfus(frames: np.ndarray, label: np.ndarray, generator: np.random.Generator) -> Pair:
    """HarDNet-DFUS (YuWenLo/HarDNet-DFUS at 84dc3c0; albumentations 1.1.0) at 384 x 384.

    Flips p 1/2 each. Shift by up to 1/10 of the side in x and y, scale by 0.9 to 1.1, rotate by up
    to 45 degrees, linear, mirrored at the border, p 1/2. With p 1/2 one of: eight black holes of
    20 x 20 pixels; Gaussian noise of variance 10 to 50. Brightness and contrast 0.5 to 1.5 in
    random order, p 0.3. Their crop to 384 (p 0.3) of CVC frames, padded to 384, changes nothing.
    """
    for axis in (1, 0):
        if generator.random() < 0.5:
            frames, label = flipped(frames, label, axis)
    if generator.random() < 0.5:
        frames, label = _shift_scale_rotate(frames, label, generator, shift=0.1)
    if generator.random() < 0.5:
        if generator.random() < 0.5:
            sides = _pixels(frames, np.full((8, 2), 20), 384)
            frames = colour.holes(frames, sides, generator)
        else:
            noisy = colour.noise(frames, generator.uniform(10, 50) ** 0.5, generator)
            frames = np.clip(noisy, 0, 255).astype(np.uint8)  # cut, not rounded, as theirs
    if generator.random() < 0.3:
        frames = _enhanced_in_any_order(frames, {"brightness": 0.5, "contrast": 0.5}, generator)
    return frames, label


@_rgb
def fanet(frames: np.ndarray, label: np.ndarray, generator: np.random.Generator) -> Pair:
    """The fast attention network (feinanshan/FANet at d4e5e3c; PIL) at 512 x 512.

    Rotate by up to 5 degrees, linear, black outside. Brightness, contrast, saturation 0.5 to 1.5,
    in this order. Width and height each times 0.5 to 2, linear. Flip left to right, p 1/2. Cut 384
    out of 512 anywhere; a side that is shorter: resize to 384 instead. The label: nearest.

    Returns:
        Frames and label of 3/4 of the height and width.
    """
    height, width = label.shape
    angle = generator.uniform(-5, 5)
    frames = pillow.rotated(frames, angle, pillow.LINEAR)
    label = pillow.rotated(label[None], angle)[0]
    for name in ("brightness", "contrast", "saturation"):
        frames = pillow.enhanced(frames, name, generator.uniform(0.5, 1.5))
    columns, rows = (max(1, int(generator.uniform(0.5, 2) * side)) for side in (width, height))
    frames, label = _resized(frames, label, rows, columns)
    if generator.random() < 0.5:
        frames, label = flipped(frames, label, 1)
    return _cut(frames, label, round(height * 0.75), round(width * 0.75), generator)


@_rgb
def esfpnet(frames: np.ndarray, label: np.ndarray, generator: np.random.Generator) -> Pair:
    """ESFPNet (dumyCq/ESFPNet at a6813ed; torchvision on PIL images).

    Rotate by up to 90 degrees, nearest, black and background outside. Flips p 1/2 each. Image:
    brightness 0.8 to 1.2 and contrast 0.9 to 1.1, in random order.
    """
    angle = generator.uniform(-90, 90)
    frames, label = pillow.rotated(frames, angle), pillow.rotated(label[None], angle)[0]
    for axis in (0, 1):
        if generator.random() < 0.5:
            frames, label = flipped(frames, label, axis)
    widths = {"brightness": 0.2, "contrast": 0.1}
    return _enhanced_in_any_order(frames, widths, generator), label


def _shift_scale_rotate(
    frames: np.ndarray, label: np.ndarray, generator: np.random.Generator, *, shift: float
) -> Pair:
    """Albumentations' ShiftScaleRotate, OpenCV's centre: half a pixel beside the middle."""
    height, width = label.shape
    angle, scale = generator.uniform(-45, 45), generator.uniform(0.9, 1.1)
    moved = (width * generator.uniform(-shift, shift), height * generator.uniform(-shift, shift))
    centre = (width / 2, height / 2)
    linear = scale * rotation(-angle)
    sources = affine_sources((height, width), linear, shift=moved, centre=centre)
    return warp(frames, label, sources, border="reflect")


def _float_jitter(image: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """FCBFormer's ColorJitter."""
    steps = (
        (colour.brightness, 0.6, 1.4),
        (colour.contrast, 0.5, 1.5),
        (colour.saturation, 0.75, 1.25),
        (colour.hue, -0.01, 0.01),
    )
    for step in generator.permutation(len(steps)):
        change, low, high = steps[step]
        image = change(image, generator.uniform(low, high))
    return image


def _enhanced_in_any_order(
    frames: np.ndarray, widths: dict[str, float], generator: np.random.Generator
) -> np.ndarray:
    """PIL's enhancers, each by 1 - width to 1 + width."""
    for name in generator.permutation(list(widths)):
        factor = generator.uniform(1 - widths[name], 1 + widths[name])
        frames = pillow.enhanced(frames, name, factor)
    return frames


def _pixels(frames: np.ndarray, lengths: np.ndarray, side: int) -> np.ndarray:
    """Lengths on an image of that side, in pixels of these frames; at least 1."""
    return np.maximum(np.rint(lengths * (frames.shape[2] / side)), 1).astype(int)


def _resized(frames: np.ndarray, label: np.ndarray, height: int, width: int) -> Pair:
    frames = pillow.resized(frames, height, width, pillow.LINEAR)
    return frames, pillow.resized(label[None], height, width, pillow.NEAREST)[0]


def _cut(
    frames: np.ndarray, label: np.ndarray, height: int, width: int, generator: np.random.Generator
) -> Pair:
    """A random part of that size; the whole, resized, if a side is too short."""
    if label.shape[0] < height or label.shape[1] < width:
        return _resized(frames, label, height, width)
    row = generator.integers(label.shape[0] - height + 1)
    column = generator.integers(label.shape[1] - width + 1)
    part = (slice(row, row + height), slice(column, column + width))
    return frames[:, *part], label[part]
