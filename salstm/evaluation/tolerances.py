"""How far apart two surfaces may be and still count as the same in NSD: by dataset and class, with the reason.

They hold in native size. On the stored grid, where a millimetre means nothing, the tolerance is ``DEFAULT`` voxels, and
so it is where a dataset's files have no spacing although its tolerances are in mm.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

DEFAULT = 2.0
"""In voxels or pixels, or in the unit of a dataset that states none."""


@dataclass(frozen=True)
class Stated:
    """The tolerances of a dataset.

    Attributes:
        values: by class.
        unit: 'mm' or 'pixel'.
        why: where they are from, as a sentence.
    """

    values: Mapping[str, float]
    unit: str
    why: str


STATED: dict[str, Stated] = {
    "synapse": Stated(
        {
            "aorta": 2.0,
            "gallbladder": 2.0,
            "left kidney": 3.0,
            "right kidney": 3.0,
            "liver": 5.0,
            "pancreas": 5.0,
            "spleen": 3.0,
            "stomach": 5.0,
        },
        "mm",
        "those of the FLARE 2022 challenge, which has all eight organs (its published evaluation script)",
    ),
    "acdc": Stated(
        {"RV": 2.0, "MYO": 2.0, "LV": 2.0},
        "mm",
        "about a pixel (0.7 to 1.9 mm); within it lie 97 to 99 % of the surfaces of the one patient annotated twice",
    ),
    "isic2018": Stated(
        {"lesion": 10.0},
        "pixel",
        "the photographs have no spacing, and 540 to 6748 pixels a side: ours, one to three pixels of the stored grid, "
        "no published value",
    ),
    "cvc_clinicdb": Stated(
        {"polyp": 2.0},
        "pixel",
        "the frames have no spacing: ours, 0.4 % of the diagonal, no published value",
    ),
}


def chosen(dataset: str, classes: Sequence[str], asked: Any = None) -> dict[str, Any]:
    """The tolerances of a dataset as a job is told them.

    Args:
        dataset: its name.
        classes: its classes.
        asked: of the configuration: a number for all classes, a number by class, or None for what is stated here.

    Returns:
        ``tolerances`` by class, and ``unit``, '' where they hold whatever the unit of the native grid is.
    """
    stated = STATED.get(dataset)
    values: dict[str, Any] = dict(stated.values) if stated else {}
    if isinstance(asked, Mapping):
        values |= asked
    elif asked is not None:
        values = dict.fromkeys(classes, asked)
    of_all = {name: float(values.get(name, DEFAULT)) for name in classes}
    return {"tolerances": of_all, "unit": stated.unit if stated else ""}


def problems(dataset: str, classes: Sequence[str], asked: Any) -> Iterator[str]:
    """What is wrong about the tolerances that a configuration asks for: classes that the dataset has not."""
    for name in asked if isinstance(asked, Mapping) else ():
        if name not in classes:
            yield f"datasets.{dataset}.tolerance: no class {name!r}; there are {', '.join(classes)}"


def reason(dataset: str, used: Mapping[str, float]) -> str:
    """Why these tolerances: what is stated here where they are those, else that the configuration says so."""
    stated = STATED.get(dataset)
    if stated and all(stated.values.get(name) == value for name, value in used.items()):
        return stated.why
    return "as the configuration says" if stated else "the default"
