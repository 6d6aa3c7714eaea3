"""One case as a picture: image, outline of the truth, outline of the prediction."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

CLASS_COLOURS = (
    *("#e69f00", "#56b4e9", "#009e73", "#f0e442", "#cc79a7"),
    *("#0072b2", "#d55e00", "#b3b3ff"),
)
"""Okabe and Ito's colours, by label from 1; more classes start over."""
SIDE = 320
"""Pixels of a panel's side, at least."""
MARGIN = 0.25
"""Of the structures' extent, on each side of the cut-out."""
FILL = 0.3
"""Of the truth's colour in its area."""
SMALLEST = 0.5
"""Of the frame's side: a cut-out is no smaller."""
ERRORS = {"missed": "#56b4e9", "invented": "#e69f00", "wrong class": "#cc79a7"}
"""Colours of the error map."""
DIMMED = 0.45
"""Of the image's brightness under the error map."""


@dataclass(frozen=True)
class Picture:
    """What a panel shows.

    Attributes:
        image: ``(H, W)`` or ``(H, W, 3)``.
        truth: ``(H, W)`` labels.
        prediction: ``(H, W)`` labels.
        slice_number: of the case, from 1.
        slices: of the case.
    """

    image: NDArray
    truth: NDArray
    prediction: NDArray
    slice_number: int
    slices: int


def worst_slice(image: NDArray, truth: NDArray, prediction: NDArray) -> Picture:
    """The slice with the most wrong pixels, and of equals the one with the most truth.

    Args:
        image: ``(D, H, W)`` or ``(D, H, W, 3)``.
        truth: ``(D, H, W)`` labels.
        prediction: ``(D, H, W)`` labels.
    """
    wrong = (truth != prediction).sum((1, 2)).astype(np.int64)
    present = (truth > 0).sum((1, 2))
    number = int(np.lexsort((-present, -wrong))[0])
    return Picture(image[number], truth[number], prediction[number], number + 1, len(image))


def window(truth: NDArray, prediction: NDArray) -> tuple[slice, slice]:
    """A square part of the frame that holds all structures with a margin; the whole frame if there are none."""
    side = min(truth.shape)
    rows, columns = np.nonzero((truth > 0) | (prediction > 0))
    if not len(rows):
        return slice(None), slice(None)
    extent = max(np.ptp(rows), np.ptp(columns)) + 1
    size = int(min(side, max(extent * (1 + 2 * MARGIN), side * SMALLEST)))
    if extent > size:
        return slice(None), slice(None)
    return _span(rows, size, truth.shape[0]), _span(columns, size, truth.shape[1])


def draw(picture: Picture) -> NDArray[np.uint8]:
    """Paint a panel: the image, the truth as a tinted area with a white rim, the prediction as a coloured line.

    Every pixel of the data is a square of the panel, so that outlines run along pixel edges.

    Returns:
        ``(H, W, 3)`` uint8, at least ``SIDE`` pixels high where the frame is smaller.
    """
    part = window(picture.truth, picture.prediction)
    factor = max(1, -(-SIDE // picture.truth[part].shape[0]))
    canvas = _enlarged(_rgb(picture.image)[part], factor)
    truth, prediction = (
        _enlarged(labels[part], factor) for labels in (picture.truth, picture.prediction)
    )
    width = max(1, round(len(canvas) / 180))
    labels = range(1, int(max(truth.max(), prediction.max())) + 1)
    for label in labels:
        area = truth == label
        canvas[area] = (1 - FILL) * canvas[area] + FILL * colour(label)
        canvas[_outline(area, width)] = 255.0
    for label in labels:
        canvas[_outline(prediction == label, width, inside=True)] = colour(label)
    return canvas.round().clip(0, 255).astype(np.uint8)


def errors(picture: Picture) -> NDArray[np.uint8]:
    """Paint the error map of the same cut-out: wrong pixels by kind, over the dimmed image.

    Returns:
        As ``draw``.
    """
    part = window(picture.truth, picture.prediction)
    factor = max(1, -(-SIDE // picture.truth[part].shape[0]))
    canvas = _rgb(picture.image)[part] * DIMMED
    truth, prediction = picture.truth[part], picture.prediction[part]
    kinds = (prediction == 0, truth == 0, (truth > 0) & (prediction > 0))
    for area, shade in zip(kinds, ERRORS.values(), strict=True):
        canvas[area & (truth != prediction)] = _rgb_of(shade)
    return _enlarged(canvas, factor).round().clip(0, 255).astype(np.uint8)


def colour(label: int) -> NDArray[np.float64]:
    """RGB of a label, 0 to 255."""
    return _rgb_of(CLASS_COLOURS[(label - 1) % len(CLASS_COLOURS)])


def _rgb_of(text: str) -> NDArray[np.float64]:
    return np.array([int(text[at : at + 2], 16) for at in (1, 3, 5)], dtype=np.float64)


def _span(places: NDArray, size: int, side: int) -> slice:
    middle = (int(places.min()) + int(places.max()) + 1) // 2
    start = min(max(middle - size // 2, 0), side - size)
    return slice(start, start + size)


def _rgb(image: NDArray) -> NDArray[np.float64]:
    """The image from 0 to 255; grey values are stretched over their 1st to 99th percentile."""
    if image.ndim == 3:
        return image.astype(np.float64)
    low, high = np.percentile(image, (1, 99))
    grey = np.clip((image - low) / max(high - low, 1e-9), 0, 1) * 255
    return np.repeat(grey[..., None], 3, axis=2)


def _enlarged(array: NDArray, factor: int) -> NDArray:
    return array.repeat(factor, axis=0).repeat(factor, axis=1)


def _outline(mask: NDArray[np.bool_], width: int, *, inside: bool = False) -> NDArray[np.bool_]:
    """The rim of a mask, ``width`` pixels wide, outside of it or inside."""
    from scipy import ndimage

    if inside:
        core = ndimage.binary_erosion(mask, iterations=width, border_value=1)
        return np.logical_and(mask, np.logical_not(core))
    grown = ndimage.binary_dilation(mask, iterations=width)
    return np.logical_and(grown, np.logical_not(mask))
