"""Does a label map look like an abdomen? Sides and proportions of the organs.

A mirrored volume, swapped kidneys or another numbering of the organs train without complaint and
score near zero on somebody else's files. Patients differ (a kidney can be missing, a spleen taken
out), so a problem is something to look at, not a proof; but no patient has both kidneys on the
other side and the liver on its own, or several organs in another one's place and proportion.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

LEAST = 30
"""Voxels below which a structure is too small a part to say where its organ lies."""

_AXES = {
    "x": (2, "right", "left"),
    "y": (1, "front", "back"),
    "z": (0, "foot", "head"),
}

# (axis, organ nearer to the low end, organ nearer to the high end), in LPS.
_SIDES = (
    ("x", "right kidney", "left kidney"),
    ("x", "liver", "spleen"),
    ("x", "liver", "stomach"),
    ("y", "stomach", "aorta"),
    ("y", "pancreas", "aorta"),
    ("z", "right kidney", "liver"),
)

# (larger, smaller, how many times at least).
_PROPORTIONS = (
    ("liver", "spleen", 1.5),
    ("liver", "left kidney", 3.0),
    ("liver", "right kidney", 3.0),
    ("liver", "stomach", 1.0),
    ("liver", "pancreas", 5.0),
    ("liver", "aorta", 3.0),
    ("pancreas", "liver", 1 / 200),
    ("spleen", "gallbladder", 1.0),
    ("left kidney", "right kidney", 1 / 3),
    ("right kidney", "left kidney", 1 / 3),
)


FAR = 3.0
"""How many times less than usual is nothing that a patient has."""


@dataclass(frozen=True)
class _Part:
    """What the volume shows of an organ: voxels, centre ``(z, y, x)``, cut off above or below."""

    voxels: int
    centre: np.ndarray
    cut: bool


def problems(label: np.ndarray, numbers: Mapping[str, int], *, oriented: bool = True) -> list[str]:
    """Compare sides and volumes of the organs with what they are in nearly every patient.

    Args:
        label: ``(Z, Y, X)`` uint8; in LPS (see ``salstm.data.readers.orientation``) if ``oriented``.
        numbers: organ -> its number in the label.
        oriented: whether the axes are known. If not, only what holds in any orientation is checked:
            proportions, and that the left kidney lies where the spleen does.

    Returns:
        One sentence for each thing that is odd. Organs that are not there are not compared, and an
        organ that the first or last slice cuts is not called too small.
    """
    parts = _parts(label, numbers)
    found = [*_crossed(parts), *_disproportions(parts)]
    return [*_wrong_sides(parts), *found] if oriented else found


def impossible(label: np.ndarray, numbers: Mapping[str, int]) -> list[str]:
    """What no patient has, however slices are turned: kidneys crossed over, two proportions far from usual.

    Args:
        label: ``(Z, Y, X)`` uint8.
        numbers: organ -> its number in the label.

    Returns:
        One sentence for each; none where all may be right.
    """
    parts = _parts(label, numbers)
    far = _disproportions(parts, FAR)
    return [*_crossed(parts, 0.5), *(far if len(far) > 1 else [])]


def other_list(
    label: np.ndarray, official: Mapping[int, str], others: Mapping[str, Mapping[int, str]]
) -> str:
    """Which other list of organs a label's numbers fit, where they do not fit the official one.

    Args:
        label: ``(Z, Y, X)`` uint8 in LPS, as stored in the file.
        official: number -> organ.
        others: name -> list.

    Returns:
        What speaks against the official list and for the other one, or nothing: two problems or more
        under the official list, and none under another one that has every number and at least half as much to
        compare.
    """
    shown = _shown(label)
    against = _judged(shown, official)
    if len(against.problems) < 2:
        return ""
    fitting = []
    for name, one in others.items():
        judged = _judged(shown, one)
        comparable = shown.keys() <= one.keys() and judged.compared >= max(against.compared / 2, 3)
        if comparable and not judged.problems:
            fitting.append(name)
    if not fitting:
        return ""
    return (
        f"its numbers are those of {' or '.join(fitting)}, not the official ones: read as these, "
        f"{'; '.join(against.problems)}"
    )


@dataclass(frozen=True)
class _Judged:
    """What is odd about a label under one list, and how many things were compared."""

    problems: list[str]
    compared: int


def _judged(shown: Mapping[int, _Part], names: Mapping[int, str]) -> _Judged:
    parts = {names[number]: part for number, part in shown.items() if number in names}
    pairs = [{low, high} for _, low, high in _SIDES] + [{one, two} for one, two, _ in _PROPORTIONS]
    found = [*_wrong_sides(parts), *_crossed(parts), *_disproportions(parts)]
    return _Judged(found, sum(pair <= set(parts) for pair in pairs))


def _parts(label: np.ndarray, numbers: Mapping[str, int]) -> dict[str, _Part]:
    shown = _shown(label)
    return {name: shown[number] for name, number in numbers.items() if number in shown}


def _shown(label: np.ndarray) -> dict[int, _Part]:
    """Each number that is large enough to say something."""
    count, sums = np.zeros(256, dtype=np.int64), np.zeros((3, 256))
    for z, plane in enumerate(label):  # places of a whole CT would take thirty times its memory
        rows, columns = (np.flatnonzero(plane.any(axis=axis)) for axis in (1, 0))
        if not rows.size:
            continue
        box = plane[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        places = np.nonzero(box)
        values = box[places].astype(np.intp)
        here = np.bincount(values, minlength=256)
        count += here
        sums[0] += z * here
        for axis, (place, first) in enumerate(
            zip(places, (rows[0], columns[0]), strict=True), start=1
        ):
            sums[axis] += np.bincount(values, weights=place, minlength=256) + first * here
    ends = np.bincount(label[[0, -1]].ravel(), minlength=256) > 0
    return {
        int(k): _Part(int(count[k]), sums[:, k] / count[k], bool(ends[k]))
        for k in np.flatnonzero(count >= LEAST)
    }


def _wrong_sides(parts: Mapping[str, _Part]) -> list[str]:
    found = []
    for name, low, high in _SIDES:
        axis, low_end, high_end = _AXES[name]
        if low in parts and high in parts and _along(parts, low, high)[axis] < 0:
            found.append(
                f"the {low} lies nearer to the {high_end} than the {high}, which belongs there; "
                f"the volume is mirrored along {name} ({low_end} to {high_end}), or labels are "
                f"swapped"
            )
    return found


def _crossed(parts: Mapping[str, _Part], least: float = 0.0) -> list[str]:
    """Kidneys against liver and spleen: holds however slices are turned.

    Args:
        parts: what is shown.
        least: minus the cosine between the two directions at which it counts.
    """
    if not {"left kidney", "right kidney", "liver", "spleen"} <= set(parts):
        return []
    kidneys = _along(parts, "right kidney", "left kidney")[1:]
    others = _along(parts, "liver", "spleen")[1:]
    if float(kidneys @ others) >= -least * float(np.linalg.norm(kidneys) * np.linalg.norm(others)):
        return []
    return [
        "the left kidney lies on the liver's side and the right one on the spleen's; the labels "
        "of the kidneys, or of liver and spleen, are swapped"
    ]


def _disproportions(parts: Mapping[str, _Part], far: float = 1.0) -> list[str]:
    """Volumes that are less than usual, by a factor of ``far`` or more."""
    found = []
    for larger, smaller, times in _PROPORTIONS:
        if not {larger, smaller} <= set(parts) or parts[larger].cut:
            continue
        ratio = parts[larger].voxels / parts[smaller].voxels
        if ratio < times / far:
            found.append(
                f"the {larger} has {ratio:.2g} times the volume of the {smaller}; at least "
                f"{times:.2g} is usual; labels may be swapped"
            )
    return found


def _along(parts: Mapping[str, _Part], low: str, high: str) -> np.ndarray:
    return parts[high].centre - parts[low].centre
