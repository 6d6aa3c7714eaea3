"""Rows that calibrate a reader: what masks that no network made score under each scope.

- `oracle`: the reference itself, brought to the stored grid and back: what resizing costs, about the best that a
  network can reach on that grid;
- `annotators`: one expert against another, where the same images are there with two annotations: what people agree on;
- `empty`: nothing is found.

They are measured once a dataset, on its test cases (`annotators`: on whatever cases are there twice), as predictions
are, and take part in no rank, comparison or claim.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from salstm.columns import COLUMNS
from salstm.data.store import Store
from salstm.evaluation.look import NOTHING, Chosen
from salstm.evaluation.scoring import TOLERANCE, added, measured, views, with_thirds

Row = dict[str, Any]


def measure(
    store: Store, classes: Sequence[str], dataset: str, chosen: Chosen = NOTHING
) -> pd.DataFrame:
    """Measure every bound of a dataset.

    Args:
        store: the prepared cases.
        classes: names of the foreground classes in the order of their numbers, from 1.
        dataset: its name.
        chosen: what is measured beyond.

    Returns:
        One row per bound, scope, case and class, raw as in scores.csv. Of `annotators` the case is the first of each
        pair, whose annotation stands for the reference; Dice and distances are the same either way.
    """
    chosen = with_thirds(chosen, store, store.split("test"), classes)
    rows = [*_own(store, classes, chosen), *_between(store, classes, chosen)]
    columns = [*COLUMNS["bounds"], *added(chosen)]
    return pd.DataFrame([{"dataset": dataset, **row} for row in rows], columns=columns)


def _own(store: Store, classes: Sequence[str], chosen: Chosen) -> Iterator[Row]:
    for case in store.split("test"):
        oracle = store.labels(case)
        for name, labels in (("oracle", oracle), ("empty", np.zeros_like(oracle))):
            for view in views(store, case):
                key = {"bound": name, "scope": view.scope, "case": case.id, "group": case.group}
                for row in measured(labels, view, classes, TOLERANCE, chosen):
                    yield {**key, **row}


def _between(store: Store, classes: Sequence[str], chosen: Chosen) -> Iterator[Row]:
    """The second annotation of a case against its first, each on the grid of the scope."""
    for first, second in store.manifest["source"].get("annotated_twice", []):
        case = store.case(first)
        pairs = zip(views(store, case), views(store, store.case(second)), strict=True)
        for one, other in pairs:
            key = {"bound": "annotators", "scope": one.scope, "case": first, "group": case.group}
            every = replace(one, frames=slice(None))
            for row in measured(other.reference, every, classes, TOLERANCE, chosen):
                yield {**key, **row}
