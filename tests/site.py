"""A whole report as the rules build it, from made-up results: for tests that need the finished page."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from salstm import exports, figures, report, tables
from salstm.analysis import analyse
from salstm.data.store import Store
from salstm.files import write_json
from tests import synthetic
from tests.synthetic import Made

STATISTICS = {"resamples": 200}
RECORD = {"command": "python -m salstm train --seed 0", "seconds": 60.0, "recipe_digest": "0123"}
"""What the first cell left about its training."""


def predicted(folder: Path, results: Path, cases: Path, made: Made, dataset: str = "acdc") -> None:
    """Give a dataset real cases and predictions: its scores take their ids, masks shifted by a pixel are predicted.

    Args:
        folder: what was collected.
        results: results/<name>; gets the cases and the first seed's predictions.
        cases: a prepared dataset.
        made: what was collected, in words.
        dataset: the one whose cases they are.
    """
    (results / dataset).mkdir(parents=True)
    (results / dataset / "cases").symlink_to(cases)
    store = Store(cases)
    test = store.split("test")
    scores = pd.read_csv(folder / "scores.csv", dtype={"case": str, "group": str})
    names = {f"{number:03d}": case.id for number, case in enumerate(test)}
    ours = scores["dataset"] == dataset
    scores.loc[ours, "case"] = scores.loc[ours, "case"].map(names)
    scores.dropna(subset="case").to_csv(folder / "scores.csv", index=False)
    shifted: dict[str, Any] = {case.id: np.roll(store.labels(case), 1, axis=2) for case in test}
    for baseline in made.grid[dataset]:
        for variant in made.variants:
            place = results / dataset / baseline / variant / f"seed{made.seeds[0]}/predictions"
            place.mkdir(parents=True)
            np.savez_compressed(place / "best_val.npz", **shifted)


def build(root: Path, made: Made, cases: Path | None = None, **options: Any) -> Path:
    """Write everything that ``reports/<name>`` has; returns the page.

    Args:
        root: gets ``collected``, ``results`` and ``site``.
        made: what is made up.
        cases: prepared ACDC, for pictures; without it the page has none.
        options: of ``salstm.report.write``.
    """
    folder, results, out = root / "collected", root / "results", root / "site"
    synthetic.collect(folder, made)
    if cases is not None:
        predicted(folder, results, cases, made)
    first = made.identities()[0]
    name = "{dataset}/{baseline}/{variant}/seed{seed}".format(**first)
    write_json(folder / "runs.json", {name: {"identity": first, **RECORD}})
    claims = synthetic.claims(folder / "claims.yaml", made.grid)
    analyse.write(folder, claims, STATISTICS, made.grid)
    tables.write(folder, synthetic.cards(), STATISTICS, out / "tables")
    figures.write(folder, results, synthetic.cards(), STATISTICS, out / "figures")
    exports.write(folder, results, STATISTICS, out / "data")
    report.write(folder, results, synthetic.cards(), STATISTICS, out / "index.html", **options)
    return out / "index.html"
