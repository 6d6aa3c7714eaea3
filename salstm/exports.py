"""The numbers in other programs' formats: challengeR's long table, nnU-Net's summary, the claims."""

from __future__ import annotations

import logging
import math
import shutil
from pathlib import Path
from typing import Any

from salstm import collected, conventions, scoring
from salstm.collected import IDENTITY, Collected, Frame, classes_of
from salstm.files import replacing, write_csv, write_json

log = logging.getLogger(__name__)
METRICS = ("dice", "hd95")
COUNTS = {
    "FN": "fn",
    "FP": "fp",
    "TP": "tp",
    "n_pred": "prediction_voxels",
    "n_ref": "reference_voxels",
}
SCORES = {"Dice": "dice", "IoU": "iou"}
"""nnU-Net's keys -> columns of scores.csv. Its TN is no column there and is left out."""
COPIED = ("claims.csv", "comparisons.csv")


def write(collected_in: Path, out: Path) -> None:
    """Write ``challenger_<protocol>_<metric>.csv``, ``summary.json`` and copies of the verdicts into a folder.

    Args:
        collected_in: folder that ``collect`` and ``claims`` wrote.
        out: the folder.
    """
    data = collected.read(collected_in)
    for protocol in conventions.PROTOCOLS:
        rows = conventions.under_protocol(data.scores, protocol)
        for metric in METRICS:
            write_csv(out / f"challenger_{protocol}_{metric}.csv", scoring.long(rows, metric))
    write_json(out / "summary.json", summary(data))
    for name in COPIED:
        if (collected_in / name).is_file():
            with replacing(out / name) as temporary:
                shutil.copyfile(collected_in / name, temporary)
    log.info("machine-readable results in %s", out)


def summary(data: Collected) -> dict[str, Any]:
    """Every scored cell as nnU-Net's evaluation sums it up: ``foreground_mean``, and ``mean`` by label.

    As nnU-Net does: native size, means over cases without the undefined ones; weights chosen on validation
    (``best_val``). Its ``metric_per_case`` is scores.csv.

    Returns:
        'dataset/baseline/variant/seed<k>' -> its summary; a value is None where it is undefined.
    """
    rows = data.scores
    chosen = rows[(rows["scope"] == "native") & (rows["selection"] == "best_val")]
    found = {}
    for (dataset, baseline, variant, seed), cell in chosen.groupby(list(IDENTITY), sort=False):
        labels = {name: at for at, name in enumerate(classes_of(dataset, cell), start=1)}
        means = {
            str(labels[name]): _means(part) for name, part in cell.groupby("class", sort=False)
        }
        found[f"{dataset}/{baseline}/{variant}/seed{seed}"] = {
            "foreground_mean": _over_labels(means),
            "labels": {str(number): name for name, number in labels.items()},
            "mean": means,
        }
    return found


def _means(rows: Frame) -> dict[str, float | None]:
    columns = {**SCORES, **COUNTS}
    return {name: _value(rows[column].mean()) for name, column in columns.items()}


def _over_labels(means: dict[str, dict[str, float | None]]) -> dict[str, float | None]:
    found = {}
    for name in (*SCORES, *COUNTS):
        known = [value for one in means.values() if (value := one[name]) is not None]
        found[name] = sum(known) / len(known) if known else None
    return found


def _value(number: float) -> float | None:
    return None if math.isnan(number) else float(number)
