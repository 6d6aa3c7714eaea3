"""Which pixels of a mask are foreground, decided by the values that the file holds."""

from __future__ import annotations

import numpy as np

from salstm.data.readers.samples import Samples

THRESHOLD = 127
"""A pixel of a smoothed mask above it is foreground. Many masks are smoothed: of CVC-ClinicDB's 612, 138
hold values between 0 and 255, and ``> 0`` would fatten them (IoU down to 0.69 against ``> 127``)."""

FEW = 8
"""Values up to which a mask may be a map of several classes instead of a smoothed edge."""
_SPREAD = 16
"""Channels this far apart are still grey: a grey mask that went through JPEG in colour."""
_AREA = 0.1


def foreground(samples: Samples) -> np.ndarray:
    """Decide by the values.

    Two values are background and foreground, the lower one background, whatever they are; two
    colours likewise, if one is black. 0 alone is an empty mask, the highest value alone a full one.
    More values are a smoothed mask, in which everything above half of the range is foreground.
    Transparency decides where the colour is the same everywhere: what is opaque is foreground.

    Returns:
        ``(H, W)`` bool.

    Raises:
        ValueError: the values can be read in more than one way; the message lists them.
    """
    alpha = samples.alpha
    if alpha is None or _constant(alpha):
        return _split(_one_channel(samples))
    if _constant(samples.colour):
        return _split(alpha)
    by_colour, by_alpha = _split(_one_channel(samples)), _split(alpha)
    if (by_colour != by_alpha).any():
        raise ValueError(
            "its colours and its transparency show two different masks; save it as grey without "
            "transparency"
        )
    return by_colour


def _one_channel(samples: Samples) -> np.ndarray:
    colour, index = samples.colour, samples.index
    if index is not None and _constant(colour) and not _constant(index):
        return index  # a palette that shows all its numbers in one colour
    if colour.ndim == 2:
        return colour
    if (colour == colour[..., :1]).all():
        return colour[..., 0]
    if colour.dtype == np.uint8 and _spread(colour) <= _SPREAD:
        from PIL import Image

        return np.asarray(Image.fromarray(np.ascontiguousarray(colour)).convert("L"))
    black = ~colour.any(axis=2)
    others = colour[~black]
    if black.any() and (others == others[0]).all():
        return np.where(black, 0, 255).astype(np.uint8)
    raise ValueError(
        f"a mask of several colours ({_named(colour)}); grey, or one colour on black, is expected"
    )


def _split(values: np.ndarray) -> np.ndarray:
    """Foreground of one channel."""
    if values.dtype == np.uint8:
        above = values > THRESHOLD
        if ((values == 255) == above).all() and ((values == 0) != above).all():
            return above  # 0 and 255, as nearly all are
    distinct = _distinct(values)
    top = np.iinfo(values.dtype).max if values.dtype.kind == "u" else np.inf
    if len(distinct) == 2:
        return values > distinct[0]
    if len(distinct) == 1 and distinct[0] in (0, top):
        return values > 0
    above = values > top // 2
    if len(distinct) == 1 or above.all() or not above.any() or _classes(values, distinct, above):
        raise ValueError(
            f"a mask of the {'values' if len(distinct) > 1 else 'value'} {_listed(distinct)} "
            f"({values.dtype}); two values, background and foreground, or a smoothed mask from 0 to "
            f"{top if np.isfinite(top) else 255} are expected"
        )
    return above


def _distinct(values: np.ndarray) -> np.ndarray:
    """The values, sorted."""
    if values.dtype.itemsize <= 2 and values.dtype.kind == "u":
        return np.flatnonzero(np.bincount(values.ravel()))
    if not np.isfinite(values).all() or values.min() < 0:
        raise ValueError("a mask with values that are negative or not finite")
    return np.unique(values)


def _classes(values: np.ndarray, distinct: np.ndarray, above: np.ndarray) -> bool:
    """Whether a value in between fills areas, as a class does and an edge does not."""
    if len(distinct) > FEW:
        return False
    top = np.iinfo(values.dtype).max
    between = [one for one in distinct[1:-1] if one < top * 7 // 8]
    smaller = min(above.sum(), (~above).sum())
    return any(_inner(values == one) > _AREA * smaller for one in between)


def _inner(area: np.ndarray) -> int:
    """Pixels whose eight neighbours belong to the area as well."""
    rows = area[:-2] & area[1:-1] & area[2:]
    return int((rows[:, :-2] & rows[:, 1:-1] & rows[:, 2:]).sum())


def _constant(array: np.ndarray) -> bool:
    return bool((array == array[:1, :1]).all())


def _spread(colour: np.ndarray) -> int:
    return int((colour.max(axis=2) - colour.min(axis=2)).max())


def _listed(distinct: np.ndarray) -> str:
    shown = ", ".join(f"{value:g}" for value in distinct[:6].tolist())
    return f"{shown}, ... {distinct[-1]:g}" if len(distinct) > 6 else shown


def _named(colour: np.ndarray) -> str:
    found = np.unique(
        colour.reshape(-1, colour.shape[2])[:: max(1, colour.size // 300_000)], axis=0
    )
    shown = ", ".join(str(tuple(one)) for one in found[:4].tolist())
    return f"{shown}, ..." if len(found) > 4 else shown
