"""Which subgroup a scored row is of: by diagnosis, phase, slice position, sequence, size, or a column of one's own.

Columns ``by_<name>`` of scores.csv; empty where a case is in none. Slice positions are rows of their own, with scopes
``position:basal``, ``position:mid`` and ``position:apical``: the same prediction on a part of the volume.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from salstm import columns
from salstm.data import facts
from salstm.evaluation import sizes
from salstm.vocabulary import SUBGROUPS

Frame = Any
"""A pandas DataFrame, as in ``salstm.analysis.results``."""
log = logging.getLogger(__name__)

POSITION, SIZE, SEQUENCE = "position", "size", "sequence"
LEVELS = {POSITION: ("basal", "mid", "apical"), SIZE: ("small", "medium", "large")}
"""In their order; of others the names' own."""
STACKED = ("acdc",)
"""Datasets whose slices run from the base of the heart to its apex."""
VIDEOS = ("cvc_clinicdb",)


def parts(reference: NDArray[Any]) -> dict[str, slice]:
    """Basal, mid and apical slices of a short-axis stack: thirds of the slices that the reference has something in.

    The base is the end with more foreground, because headers say nothing reliable about it; slices beyond the last
    labelled one belong to the third at that end.

    Args:
        reference: ``(D, H, W)`` labels.

    Returns:
        Nothing where fewer than three slices are labelled.
    """
    filled = np.flatnonzero(reference.any(axis=(1, 2)))
    if len(filled) < 3:
        return {}
    first, count = int(filled[0]), int(filled[-1]) - int(filled[0]) + 1
    low, high = first + round(count / 3), first + round(2 * count / 3)
    cut = [slice(0, low), slice(low, high), slice(high, len(reference))]
    ends = [np.count_nonzero(reference[one]) for one in (cut[0], cut[2])]
    return dict(zip(LEVELS[POSITION], cut if ends[0] >= ends[1] else cut[::-1], strict=True))


def labelled(
    scores: Frame,
    asked: Sequence[str],
    folder: Path,
    dataset: str,
    voxels: Mapping[str, float],
) -> Frame:
    """Scores with a column for each kind of subgroup that the dataset knows.

    Args:
        scores: rows of `salstm.evaluation.scoring.score` of one cell.
        asked: kinds of subgroups.
        folder: of the prepared cases, with their facts.
        dataset: its name.
        voxels: by case the size of a voxel in native size.
    """
    known = facts.read(folder / facts.FILE)
    found: dict[str, Any] = {}
    for kind in asked:
        levels: Callable[[], Any] = {
            SIZE: lambda: _sizes(scores, voxels),
            SEQUENCE: lambda: scores["group"] if dataset in VIDEOS else None,
            POSITION: lambda: None,
        }.get(kind, lambda kind=kind: _of_facts(scores, known, kind))
        column = levels()
        if column is not None:
            found[f"{columns.SUBGROUP}{kind}"] = column
        elif kind not in SUBGROUPS:
            log.warning("subgroup %s: no column of that name is known of %s", kind, dataset)
    if f"{columns.SUBGROUP}{SIZE}" in found:
        found[columns.SIZE] = scores["reference_voxels"] * scores["case"].map(dict(voxels))
    return scores.assign(**found)


def _of_facts(scores: Frame, known: facts.Facts, kind: str) -> Any:
    levels = {case: one[kind] for case, one in known.items() if one.get(kind)}
    return scores["case"].map(levels) if levels else None


def _sizes(scores: Frame, voxels: Mapping[str, float]) -> Any:
    """Small, medium or large by class, cut in thirds of the test cases' references in native size."""
    table = scores[scores["scope"] == "native"].drop_duplicates(["case", "class"])
    table = table[table["reference_voxels"] > 0]
    table = table.assign(size=table["reference_voxels"] * table["case"].map(dict(voxels)))
    levels: dict[tuple[str, str], str] = {}
    for name, rows in table.groupby("class"):
        if cut := sizes.thirds(rows["size"]):
            for case, size in zip(rows["case"], rows["size"], strict=True):
                at = int(size > cut.low) + int(size > cut.high)
                levels[case, str(name)] = LEVELS[SIZE][at]
    pairs = zip(scores["case"], scores["class"], strict=True)
    return [levels.get(pair, np.nan) for pair in pairs]


def read(rows: Any, kind: str) -> Iterator[tuple[str, Any]]:
    """The rows of each subgroup in native size, in the order of their names.

    Args:
        rows: raw rows of a dataset, as they were collected.
        kind: of subgroup.
    """
    if kind == POSITION:
        for level in LEVELS[POSITION]:
            chosen = rows[rows["scope"] == f"{POSITION}:{level}"]
            if len(chosen):
                yield level, chosen.assign(scope="native")
        return
    column = f"{columns.SUBGROUP}{kind}"
    if column not in rows:
        return
    native = rows[rows["scope"] == "native"]
    levels = native[column].dropna().astype(str)
    for level in LEVELS.get(kind) or sorted(levels.unique()):
        chosen = native.loc[levels[levels == level].index]
        if len(chosen):
            yield level, chosen
