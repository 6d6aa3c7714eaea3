"""From predictions to raw scores: one row per selection, scope, case and class.

Scopes, because papers differ in what they look at:

- `stored`: all frames on the stored grid, distances in voxels;
- `inner`: the same without the first and the last frame of the stack (the release of SALSTM drops
  them, because its model needs both neighbours); a video frame that is one of the two is absent;
- `native`: all frames, the prediction restored to native size by nearest neighbour, distances in mm
  where the spacing is known, else in pixels.

What protocol `paper` reads (`stored` and `inner`) may be post-processed as a network's authors do (a recipe's
`postprocess`); `native` never is.

A case of one frame is scored in 2D, a volume in 3D. Values are raw: NaN where undefined
(`salstm.evaluation.metrics`); `salstm.evaluation.conventions` says what that counts as.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from salstm.columns import COLUMNS, SCORE_KEYS, TOLERATED
from salstm.data.case import Case
from salstm.data.resize import resize
from salstm.data.splits import divided
from salstm.evaluation import objects, sizes, subgroups, surfaces, tolerances
from salstm.evaluation.look import NOTHING, Chosen, Look
from salstm.evaluation.metrics import compare, union_box, values
from salstm.vocabulary import IDENTITY

Labels = NDArray[np.integer]

TOLERANCE = 2.0  # of the surface Dice, in the unit of the row
FUNCTIONS = {**surfaces.FUNCTIONS, **objects.FUNCTIONS}
"""Metrics that are computed where the configuration names them."""


class Source(Protocol):
    """What scoring needs of a store (`salstm.data.store.Store`)."""

    @property
    def cases(self) -> Sequence[Case]:
        """All cases of the dataset."""
        ...

    def labels(self, case: Case, /) -> NDArray[Any]:
        """Reference on the stored grid, (D, H, W)."""
        ...

    def native(self, case: Case, /) -> NDArray[Any]:
        """Reference in native size, (D, native_height, native_width)."""
        ...

    def stack_bounds(self, case: Case, /) -> tuple[int, int]:
        """Global numbers of the first and the last frame of the case's stack."""
        ...


def score(
    predictions: Mapping[str, Mapping[str, Labels]],
    store: Source,
    classes: Sequence[str],
    identity: Mapping[str, Any],
    *,
    tolerance: float = TOLERANCE,
    postprocess: str = "none",
    chosen: Chosen = NOTHING,
) -> pd.DataFrame:
    """Measure every prediction of one training under every scope.

    Args:
        predictions: selection ('last', 'best_val', 'best_test') -> case id -> labels (D, H, W) on
            the stored grid, 0 is background, k the k-th of `classes`.
        store: the dataset's cases and references.
        classes: names of the foreground classes in the order of their numbers, from 1.
        identity: dataset, baseline, variant, seed of the training.
        tolerance: of the surface Dice, in voxels (stored, inner) or mm or pixels (native).
        postprocess: a name in `POSTPROCESSES`; of predictions under the scopes that protocol `paper` reads.
        chosen: what is measured beyond.

    Returns:
        A frame of the columns of scores.csv (`salstm.columns`), then those that were chosen, sorted by `SCORE_KEYS`;
        without rows if there are no predictions. `diagonal` is the length of the image's diagonal in `unit`: 'mm', or
        'voxel' ('pixel' in 2D). `divided_groups` is how many patients or sequences the split of the dataset divides.

    Raises:
        ValueError: a prediction has no case, the wrong shape or an unknown label, or the selections
            do not hold the same cases.
    """
    cases = {case.id: case for case in store.cases}
    _check_cases(predictions, cases)
    fixed = {**identity, "divided_groups": len(divided(store.cases))}
    rows: list[dict[str, Any]] = []
    identifiers = list(next(iter(predictions.values()), {}))
    chosen = with_thirds(chosen, store, [cases[one] for one in identifiers], classes)
    for identifier in identifiers:
        case = cases[identifier]
        looks = asked_views(store, case, identity["dataset"], chosen)
        for selection, labels in predictions.items():
            prediction = _checked(labels[identifier], case, len(classes), selection)
            processed = POSTPROCESSES[postprocess](prediction)
            for view in looks:
                key = {"selection": selection, "scope": view.scope, "case": case.id}
                shown = processed if view.scope in ("stored", "inner") else prediction
                for row in measured(shown, view, classes, tolerance, chosen):
                    rows.append({**fixed, **key, "group": case.group, **row})
    frame = pd.DataFrame(rows, columns=[*COLUMNS["scores"], *added(chosen)])
    return frame.sort_values(list(SCORE_KEYS), ignore_index=True)


def same_cell(records: Sequence[Mapping[str, Any]], folds: int) -> Mapping[str, Any]:
    """The first run record of a cell, after a look at the others.

    Args:
        records: of its trainings: one, or one a fold.
        folds: of the prepared cases; 0 for none.

    Raises:
        ValueError: records of different cells, recipes or data, or not one of each fold.
    """
    first = records[0]
    for key in ("identity", "classes", "recipe_digest", "data_manifest_sha256"):
        if any(one.get(key) != first.get(key) for one in records):
            found = "; ".join(str(one.get(key)) for one in records)
            raise ValueError(f"runs: {key} differs: {found}; score the trainings of one cell")
    found, wanted = [one.get("fold", 0) for one in records], list(range(1, folds + 1)) or [0]
    if sorted(found) != wanted:
        raise ValueError(
            f"runs: found folds {found}, the cases want {wanted} (0: no folds); name one training of each"
        )
    return first


def check_once(parts: Sequence[Iterable[str]], cases: Iterable[str]) -> None:
    """Check that every test case was predicted by exactly one training.

    Args:
        parts: ids of the cases that each training predicted.
        cases: ids of all cases that are tested.

    Raises:
        ValueError: names the first case that was predicted more than once, not at all, or is not tested.
    """
    counts, wanted = Counter(one for part in parts for one in part), set(cases)
    for case in sorted(wanted | set(counts)):
        if (case in wanted, counts[case]) != (True, 1):
            of = "" if case in wanted else ", which is no test case,"
            raise ValueError(
                f"predictions: {case}{of} is predicted by {counts[case]} of {len(parts)} trainings; every test case "
                f"is tested once; predict again from the prepared cases"
            )


def long(frame: pd.DataFrame, metric: str = "dice") -> pd.DataFrame:
    """Rearrange scored rows for challengeR: one value per task, test case and algorithm.

    Args:
        frame: rows of one scope, under one selection for each dataset, raw or as a convention
            scores them.
        metric: the column that becomes the value.

    Returns:
        Columns Task (dataset/class), TestCase, Algorithm (baseline+variant) and MetricValue: the
        mean over the seeds, NaN if none is defined; sorted.

    Raises:
        ValueError: a run has several rows for a case and class: scopes or selections are mixed.
    """
    if frame.duplicated([*IDENTITY, "case", "class"]).any():
        raise ValueError(
            "rows: several scopes or selections for one case and class, allowed is one; filter the "
            "rows, or use salstm.evaluation.conventions.under_protocol"
        )
    table = pd.DataFrame(
        {
            "Task": frame["dataset"].astype(str) + "/" + frame["class"].astype(str),
            "TestCase": frame["case"],
            "Algorithm": frame["baseline"].astype(str) + "+" + frame["variant"].astype(str),
            "MetricValue": frame[metric],
        }
    )
    grouped = table.groupby(["Task", "TestCase", "Algorithm"])
    return grouped.agg(MetricValue=("MetricValue", "mean")).reset_index()


def none(labels: Labels) -> Labels:
    """As it was predicted."""
    return labels


def fill_holes(labels: Labels) -> Labels:
    """Give each class the holes in it, frame by frame: what no path along edges joins to the frame's border.

    HarDNet-DFUS fills what a flood from pixel (0, 0) does not reach (at 84dc3c0): the same, but that a structure that
    cuts the frame in two fills its other half there, and one that covers the corner all of it.
    """
    from scipy.ndimage import binary_fill_holes

    filled = labels.copy()
    for number in np.unique(labels[labels > 0]):
        for place, frame in enumerate(labels):
            filled[place][binary_fill_holes(frame == number) & (frame == 0)] = number
    return filled


POSTPROCESSES: dict[str, Callable[[Labels], Labels]] = {"none": none, "fill_holes": fill_holes}
"""By the name in a recipe."""


@dataclass(frozen=True)
class View:
    """A case under a scope.

    Attributes:
        scope: 'stored', 'inner' or 'native'.
        frames: those of a prediction that are scored.
        reference: the labels of these frames on the scope's grid.
        spacing: of that grid, ``(y, x)`` for a single frame, else ``(z, y, x)``.
        unit: of the spacing.
    """

    scope: str
    frames: slice
    reference: NDArray[Any]
    spacing: tuple[float, ...]
    unit: str

    @property
    def voxel(self) -> float:
        """Size of a voxel, as `salstm.evaluation.sizes` says."""
        shape = self.reference.shape[-len(self.spacing) :]
        return sizes.voxel(shape, self.spacing, self.unit)

    def tolerated(self, name: str, chosen: Chosen) -> float:
        """Tolerance of a class's NSD: what is stated holds in native size and in its own unit."""
        stated = self.scope not in ("stored", "inner") and chosen.unit in ("", self.unit)
        return chosen.tolerances.get(name, tolerances.DEFAULT) if stated else tolerances.DEFAULT


def views(store: Source, case: Case) -> list[View]:
    """A case under every scope that has frames of it."""
    ndim = 2 if case.depth == 1 else 3
    ones, voxels = (1.0,) * ndim, "pixel" if ndim == 2 else "voxel"
    spacing = (case.spacing_z, case.spacing_y, case.spacing_x)[-ndim:]
    known = all(math.isfinite(value) and value > 0 for value in spacing)
    every, labels = slice(0, case.depth), store.labels(case)
    found = [View("stored", every, labels, ones, voxels)]
    first, last = (bound - case.first for bound in store.stack_bounds(case))
    inner = slice(max(first + 1, 0), min(last, case.depth))
    if inner.start < inner.stop:
        found.append(View("inner", inner, labels[inner], ones, voxels))
    grid = (spacing, "mm") if known else (ones, voxels)
    return [*found, View("native", every, store.native(case), *grid)]


def asked_views(store: Source, case: Case, dataset: str, chosen: Chosen) -> list[View]:
    """As ``views``, with the parts of a volume where they are asked for and the dataset has them."""
    looks = views(store, case)
    if subgroups.POSITION in chosen.subgroups and dataset in subgroups.STACKED:
        looks += positions(looks[-1])
    return looks


def added(chosen: Chosen) -> list[str]:
    """Columns beyond those of every scores.csv."""
    return [*chosen.metrics, *([TOLERATED] if chosen.tolerances else [])]


def with_thirds(
    chosen: Chosen, store: Source, cases: Iterable[Case], classes: Sequence[str]
) -> Chosen:
    """What was chosen, with the thirds of the sizes of the references' objects where a metric needs them.

    Args:
        chosen: as the configuration says.
        store: with the references.
        cases: those that are tested.
        classes: names of the foreground classes in the order of their numbers, from 1.
    """
    if not any(name.startswith("recall_") for name in chosen.metrics):
        return chosen
    found: dict[tuple[str, str], list[float]] = {}
    for case in cases:
        for view in views(store, case):
            for number, name in enumerate(classes, start=1):
                mask = view.reference == number
                each = (size * view.voxel for size in sizes.of_objects(mask))
                found.setdefault((view.scope, name), []).extend(each)
    thirds = {key: cut for key, values in found.items() if (cut := sizes.thirds(values))}
    return replace(chosen, thirds=thirds)


def voxel(case: Case) -> float:
    """Size of a voxel of a case in native size, as `salstm.evaluation.sizes` says."""
    shape = (case.depth, case.native_height, case.native_width)
    spacing = (case.spacing_z, case.spacing_y, case.spacing_x)
    ndim = 2 if case.depth == 1 else 3
    known = all(math.isfinite(value) and value > 0 for value in spacing[-ndim:])
    return sizes.voxel(shape[-ndim:], spacing[-ndim:], "mm" if known else "")


def positions(view: View) -> list[View]:
    """A volume in native size in parts from base to apex, each under a scope of its own."""
    return [
        replace(
            view,
            scope=f"{subgroups.POSITION}:{name}",
            frames=frames,
            reference=view.reference[frames],
        )
        for name, frames in subgroups.parts(view.reference).items()
    ]


def measured(
    prediction: Labels,
    view: View,
    classes: Sequence[str],
    tolerance: float,
    chosen: Chosen = NOTHING,
) -> Iterator[dict[str, Any]]:
    """Metrics of every class of a case under a scope: a row each, raw.

    Args:
        prediction: ``(D, H, W)`` labels on any grid of the case's frames.
        view: from ``views``.
        classes: names of the foreground classes in the order of their numbers, from 1.
        tolerance: of the surface Dice, in the view's unit.
        chosen: what is measured beyond.
    """
    reference, size = view.reference, view.voxel
    prediction = resize(prediction[view.frames], *reference.shape[1:], order=0)
    if len(view.spacing) == 2:
        prediction, reference = prediction[0], reference[0]
    extent = [size * step for size, step in zip(reference.shape, view.spacing, strict=True)]
    fixed = {"diagonal": math.hypot(*extent), "unit": view.unit}
    box = union_box(prediction > 0, reference > 0)  # once, for the classes to look at less
    prediction, reference = prediction[box], reference[box]
    for number, name in enumerate(classes, start=1):
        masks = prediction == number, reference == number
        pair = compare(*masks, view.spacing, tolerance)
        more = {}
        if chosen.metrics:
            tolerated = view.tolerated(name, chosen)
            look = Look(pair, *masks, tolerated, size, chosen.thirds.get((view.scope, name)))
            more = {one: FUNCTIONS[one](look) for one in chosen.metrics if one in FUNCTIONS}
            more |= {TOLERATED: tolerated} if chosen.tolerances else {}
        yield {"class": name, **values(pair), **fixed, **more}


def _check_cases(
    predictions: Mapping[str, Mapping[str, Labels]], cases: Mapping[str, Case]
) -> None:
    cases_of = {selection: set(labels) for selection, labels in predictions.items()}
    for selection, identifiers in cases_of.items():
        if unknown := sorted(identifiers - set(cases)):
            raise ValueError(
                f"{selection}: found {len(unknown)} predictions without a case in the store, the "
                f"first is {unknown[0]}; score with the store they were predicted from"
            )
        for other, others in cases_of.items():
            if missing := sorted(others - identifiers):
                raise ValueError(
                    f"{selection}: lacks {len(missing)} cases that {other} has, the first is "
                    f"{missing[0]}; allowed are equal cases, predict again"
                )


def _checked(prediction: Labels, case: Case, classes: int, selection: str) -> Labels:
    subject = f"{selection}, {case.id}: prediction"
    shape = (case.depth, case.height, case.width)
    if prediction.shape != shape:
        raise ValueError(f"{subject}: found shape {prediction.shape}, allowed is {shape}")
    if not np.issubdtype(prediction.dtype, np.integer):
        raise ValueError(f"{subject}: found {prediction.dtype}, allowed are integer labels")
    low, high = int(prediction.min()), int(prediction.max())
    if low < 0 or high > classes:
        raise ValueError(f"{subject}: found labels {low} to {high}, allowed are 0 to {classes}")
    return prediction
