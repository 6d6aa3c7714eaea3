"""Guards on meaning: files that are read without an error, and cannot be, or may not be, what they are taken for.

A value range that is none of Hounsfield units, organs or chambers in one another's place, masks without foreground:
each trains without complaint and ruins a table. A finding says how sure it is. What cannot be right is refused, by
``check`` and before anything trains; what may be wrong is said.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import numpy as np

from salstm.data.case import RawCase, Reading
from salstm.data.readers import label_sanity

SURE, UNSURE = "cannot be right", "may be wrong"

SOFT_HU = (-150.0, 400.0)
"""The median of liver, spleen and kidneys in any patient, with contrast and without."""
SPAN_HU = 200.0
"""From fat to enhanced vessels; a window of less shows no abdomen."""
WRAPPED_HU = (-8192.0, 32767.0)
"""Below the padding of any scanner, above any metal: bits of a number of another type."""
WRAPPED_SHARE = 1e-3
LEAST = 30
"""Voxels below which a structure has no border to speak of."""
INSIDE, OPEN = 0.8, 0.6
"""Share of the left ventricle's border that the myocardium makes up: at least, and at most where another pair fits.

In 64 official volumes it is 0.996 or more, and of the right ventricle's 0.40 or less."""


@dataclass(frozen=True)
class Finding:
    """Something about a case, a class or a dataset.

    Attributes:
        subject: what it is about: a case's id, a pair of ids, a class and a part.
        sure: whether it cannot be right, or may be wrong.
        text: what was found, and what to do.
    """

    subject: str
    sure: bool
    text: str

    @property
    def fact(self) -> str:
        """Its name among the facts of an audit."""
        return f"{SURE if self.sure else UNSURE}: {self.subject}"


def watched(
    readings: Sequence[Reading],
    classes: Sequence[str],
    normalise: str,
    source: dict[str, Any],
    *,
    empty: bool = False,
) -> Iterator[Reading]:
    """The same readings, which put what they find into ``source["findings"]``, by case, if there is anything.

    The other arguments are those of ``of_case``.
    """

    def read(reading: Reading) -> RawCase:
        case = reading()
        if found := of_case(case, classes, normalise, empty=empty):
            entries = [asdict(one) for one in found]
            source.setdefault("findings", {})[case.id] = entries
        return case

    return (partial(read, reading) for reading in readings)


def recorded(source: Mapping[str, Any]) -> list[Finding]:
    """What ``watched`` found, from a store's manifest, in the order of the cases' ids."""
    found = source.get("findings", {})
    return [Finding(**entry) for case in sorted(found) for entry in found[case]]


def of_case(
    case: RawCase, classes: Sequence[str], normalise: str, *, empty: bool = False
) -> list[Finding]:
    """What is wrong with one case.

    Args:
        case: in native size, not normalised.
        classes: names of the foreground classes.
        normalise: ``hu`` for a CT.
        empty: whether a case may have no foreground.
    """
    numbers = {name: number for number, name in enumerate(classes, start=1)}
    guards: list[Callable[[], str]] = [] if empty else [partial(_empty, case.label)]
    if normalise == "hu":
        guards.append(partial(hounsfield, case.image, case.label, numbers))
    if {"liver", "spleen"} <= numbers.keys():
        guards.append(partial(_impossible, case.label, numbers))
    if {"RV", "MYO", "LV"} <= numbers.keys():
        guards.append(partial(chambers, case.label, numbers))
    return [Finding(case.id, True, text) for guard in guards if (text := guard())]


def hounsfield(image: np.ndarray, label: np.ndarray, numbers: Mapping[str, int]) -> str:
    """Why an image cannot be a CT in Hounsfield units, or nothing.

    Args:
        image: ``(D, H, W)``.
        label: ``(D, H, W)``.
        numbers: organ -> its number in the label.
    """
    low, high = float(image.min()), float(image.max())
    cure = "the image must be in Hounsfield units (air -1000, water 0)"
    if high - low < SPAN_HU:
        return f"values from {low:.4g} to {high:.4g}: scaled or cut already; {cure}"
    if low < WRAPPED_HU[0] or high > WRAPPED_HU[1]:
        wrapped = float(((image < WRAPPED_HU[0]) | (image > WRAPPED_HU[1])).mean())
        if wrapped > WRAPPED_SHARE:
            return (
                f"values from {low:.5g} to {high:.5g}, {wrapped:.1%} of them out of range: negative numbers read as "
                f"another type; {cure}"
            )
    if low >= 0:
        return f"values from {low:.4g} to {high:.4g}, none negative, neither air nor fat: shifted or scaled; {cure}"
    soft = [
        numbers[name]
        for name in ("liver", "spleen", "left kidney", "right kidney")
        if name in numbers
    ]
    wanted = np.zeros(256, dtype=bool)  # np.isin takes eight times the memory
    wanted[soft] = True
    inside = image[wanted[label]]
    if (
        inside.size >= LEAST
        and not SOFT_HU[0] <= (median := float(np.median(inside))) <= SOFT_HU[1]
    ):
        return (
            f"the median of liver, spleen and kidneys is {median:.4g}, {SOFT_HU[0]:.0f} to {SOFT_HU[1]:.0f} in any "
            f"patient: shifted, or the label is another one's; {cure}"
        )
    return ""


def chambers(label: np.ndarray, numbers: Mapping[str, int]) -> str:
    """Whether another pair than myocardium and left ventricle encloses one another; says which, or nothing.

    Args:
        label: ``(D, H, W)``, short axis.
        numbers: of RV, MYO and LV.
    """
    touching = _touching(label, max(numbers.values()))
    names = {number: name for name, number in numbers.items()}
    shares = {(names[a], names[b]): touching[a, b] for a in names for b in names if a != b}
    ours = shares["LV", "MYO"]
    (inner, outer), most = max(shares.items(), key=lambda one: one[1])
    if (inner, outer) == ("LV", "MYO") or most < INSIDE or ours > OPEN:
        return ""
    return (
        f"{outer} makes up {most:.0%} of the border of {inner}, and MYO {ours:.0%} of that of LV, which it encloses in "
        f"any heart: the labels are in another list (M&Ms: 1 is LV, 3 is RV); RV is {numbers['RV']}, MYO "
        f"{numbers['MYO']}, LV {numbers['LV']}"
    )


def _touching(label: np.ndarray, highest: int) -> np.ndarray:
    """Share of each number's border, in the plane, that is of each other one; rows of small structures are 0."""
    size = highest + 1
    counts = np.zeros(size * size, dtype=np.int64)
    for one, other in (
        (label[:, :-1], label[:, 1:]),
        (label[:, :, :-1], label[:, :, 1:]),
    ):
        apart = one != other
        pairs = one[apart].astype(np.int64) * size + other[apart]
        counts += np.bincount(pairs, minlength=size * size)
    table = counts.reshape(size, size)
    table = table + table.T
    total = table.sum(axis=1, keepdims=True)
    return np.where(total >= LEAST, table / np.maximum(total, 1), 0.0)


def _empty(label: np.ndarray) -> str:
    if label.any():
        return ""
    return (
        "no foreground, which every case of this dataset has: the mask is empty or coded otherwise; get it again, or "
        "take the case out of the raw folder"
    )


def _impossible(label: np.ndarray, numbers: Mapping[str, int]) -> str:
    found = label_sanity.impossible(label, numbers)
    return f"{'; '.join(found)}; the organs are in another list, or swapped" if found else ""


def of_parts(
    voxels: Mapping[str, Mapping[int, int]], present: Sequence[set[int]], classes: Sequence[str]
) -> list[Finding]:
    """Classes without a voxel in a part, or anywhere.

    Args:
        voxels: of each label, by part; parts without cases are left out.
        present: labels of each case.
        classes: names of the foreground classes.
    """
    found = []
    for number, name in enumerate(classes, start=1):
        lacking = [part for part, counts in voxels.items() if not counts.get(number)]
        if lacking and len(lacking) == len(voxels):
            others = set(range(1, len(classes) + 1)) - {number}
            complete = sum(others <= labels for labels in present)
            text = f"no voxel in any of {len(present)} cases, of which {complete} have every other class"
            cure = "the labels are in another list, or do not have it"
            found.append(Finding(f"{name}, all parts", complete > 0, f"{text}; {cure}"))
            continue
        found += [
            Finding(
                f"{name}, {part}",
                False,
                f"no voxel in {part}: nothing can be {_DONE.get(part, 'tested')} for it",
            )
            for part in lacking
        ]
    return found


_DONE = {"train": "learned", "val": "chosen", "test": "tested"}
