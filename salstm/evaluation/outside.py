"""Predictions that another program made, as label files: read, checked case by case, scored like ours.

What is scored in native size is the file's own labels, never brought to the stored grid and back: the Dice is what any
other tool finds on the same files. The scopes on the stored grid see them by nearest neighbour.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from salstm.columns import COLUMNS, SCORE_KEYS
from salstm.data.case import Case
from salstm.data.datasets import Dataset
from salstm.data.readers import acdc, class_masks, pictures, volumes
from salstm.data.readers.labels import as_labels
from salstm.data.splits import divided
from salstm.data.store import Store
from salstm.evaluation import scoring
from salstm.evaluation.look import NOTHING, Chosen
from salstm.vocabulary import SELECTIONS

ENDINGS = (".nii.gz", ".nii", *pictures.ENDINGS)
USUAL_AXES = {"acdc": acdc.AXES}
"""Where the axes of a dataset's volumes point whose header does not say."""


def listed(folder: Path, cases: Sequence[Case], names: Path | None = None) -> dict[str, Path]:
    """Case id -> its file.

    Args:
        folder: with a file a case, called as the case, whatever it ends with (``ENDINGS``).
        cases: those that are tested.
        names: a CSV file with columns ``file`` and ``case``, where files are called otherwise.

    Raises:
        FileNotFoundError: no folder, or a case without a file; the message names the case.
        ValueError: a file of no tested case, two of one, or a list that does not fit; names it.
    """
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder}: no such folder")
    said = _said(names) if names else {}
    wanted, found = {one.id for one in cases}, {}
    for path in sorted(folder.iterdir()):
        ending = next((one for one in ENDINGS if path.name.lower().endswith(one)), None)
        if path.name.startswith(".") or ending is None:
            continue
        case = said.get(path.name) if names else path.name[: -len(ending)]
        if case is None:
            raise ValueError(f"{path}: {names} does not name it; add its case, or take it out")
        if case not in wanted:
            raise ValueError(
                f"{path}: {case!r} is no case that is tested; take it out, or name it by --names"
            )
        if case in found:
            raise ValueError(f"{path}: {case} has {found[case].name} already; one file a case")
        found[case] = path
    if missing := sorted(wanted - set(found)):
        more = f", and {len(missing) - 1} more" if missing[1:] else ""
        raise FileNotFoundError(
            f"{folder}: no file of {missing[0]}{more}; {len(wanted)} cases are tested, each wants one"
        )
    return found


def read(path: Path, case: Case, dataset: Dataset, axes: str | None = None) -> np.ndarray:
    """The labels of a case ``(D, H, W)`` uint8 in native size and the dataset's orientation.

    Raises:
        ValueError: damaged, of another size, or with labels that the dataset has not; names the file.
    """
    if path.name.lower().endswith((".nii", ".nii.gz")):
        volume = volumes.read(path, axes or USUAL_AXES.get(dataset.name), "--axes")
        if dataset.name in USUAL_AXES or dataset.settings is not None:
            volume, _ = volumes.slices_first(volume, volume)
        if dataset.settings is not None:
            labels = class_masks.of_volume(path, volume.array, dataset.settings["classes"])
        else:
            labels = as_labels(path, volume.array, range(len(dataset.classes) + 1))
    elif dataset.settings is not None:
        shape = (case.native_height, case.native_width)
        labels = class_masks.read(path, dataset.settings["classes"], shape)[None]
    else:
        labels = pictures.read_mask(path)[None]
    shape = (case.depth, case.native_height, case.native_width)
    if labels.shape != shape:
        raise ValueError(
            f"{path}: {labels.shape} (slices, rows, columns), {case.id} has {shape} in native size; predictions are "
            f"in the image's own size"
        )
    return labels


def score(
    files: Mapping[str, Path],
    store: Store,
    dataset: Dataset,
    identity: Mapping[str, Any],
    axes: str | None = None,
    chosen: Chosen = NOTHING,
) -> pd.DataFrame:
    """Measure every file under every scope: a table as of ``salstm.evaluation.scoring.score``.

    There is one set of labels: the rows of all selections are the same. What is chosen beyond is measured as of our
    own predictions, but for what needs probabilities, which is undefined.

    Raises:
        ValueError: as in ``read``.
    """
    fixed = {**identity, "divided_groups": len(divided(store.cases))}
    cases, rows = store.split("test"), []
    chosen = scoring.with_thirds(chosen, store, cases, dataset.classes)
    for case in cases:
        labels = read(files[case.id], case, dataset, axes)
        for view in scoring.asked_views(store, case, identity["dataset"], chosen):
            key = {"scope": view.scope, "case": case.id, "group": case.group}
            for row in scoring.measured(labels, view, dataset.classes, scoring.TOLERANCE, chosen):
                rows += [{**fixed, "selection": one, **key, **row} for one in SELECTIONS]
    frame = pd.DataFrame(rows, columns=[*COLUMNS["scores"], *scoring.added(chosen)])
    return frame.sort_values(list(SCORE_KEYS), ignore_index=True)


def _said(path: Path) -> dict[str, str]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        table = csv.DictReader(file)
        if not {"file", "case"} <= set(table.fieldnames or ()):
            raise ValueError(
                f"{path}: columns file and case are expected, found {table.fieldnames}"
            )
        return {row["file"]: row["case"] for row in table}
