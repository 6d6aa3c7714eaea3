"""The numbers in other programs' formats: challengeR's long table, nnU-Net's summaries, the claims, an RO-Crate."""

from __future__ import annotations

import logging
import math
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from salstm import crate
from salstm.analysis.comparisons import Family
from salstm.analysis.results import Collected, Frame, classes_of, read, runs
from salstm.columns import JUDGED
from salstm.data.case import read_cases
from salstm.evaluation import conventions, scoring
from salstm.files import replacing, write_csv, write_json
from salstm.vocabulary import IDENTITY, PROTOCOLS

log = logging.getLogger(__name__)
COUNTS = {
    "FN": "fn",
    "FP": "fp",
    "TP": "tp",
    "n_pred": "prediction_voxels",
    "n_ref": "reference_voxels",
}
SCORES = {"Dice": "dice", "IoU": "iou"}
"""nnU-Net's keys -> columns of scores.csv; its TN is what is left of the case's voxels."""
COPIED = ("cells", "sparsity", *JUDGED)


def write(collected_in: Path, results: Path, statistics: Mapping[str, Any], out: Path) -> None:
    """Write into a folder what other programs read.

    ``challenger_<dataset>_<protocol>_<metric>.csv``, and where networks are the same on all datasets
    ``challenger_all_<protocol>_<metric>.csv``; ``means.json`` with the means of every cell, ``nnunet/<cell>.json`` with
    its cases; copies of what was collected and judged; ``ro-crate-metadata.json``, which describes all of them.

    Args:
        collected_in: folder that ``collect`` and ``claims`` wrote.
        results: results/<name>, for the prepared cases.
        statistics: config's statistics; its metrics are written, those that are only explored included.
        out: the folder.
    """
    family = Family(**statistics)
    data = read(collected_in, family.named)
    for protocol in PROTOCOLS:
        rows = conventions.under_protocol(data.scores, protocol)
        for metric in family.named:
            for place, table in challenges(scoring.long(rows, metric), data.datasets):
                write_csv(out / f"challenger_{place}_{protocol}_{metric}.csv", table)
    sizes = {one: voxels(results / one / "cases" / "cases.csv") for one in data.datasets}
    cells = dict(summaries(data, sizes))
    for name, summary in cells.items():
        write_json(out / "nnunet" / f"{name.replace('/', '-')}.json", summary)
    means = {
        name: {**summary, "metric_per_case": len(summary["metric_per_case"])}
        for name, summary in cells.items()
    }
    write_json(out / "means.json", means)
    for name in COPIED:
        if (collected_in / f"{name}.csv").is_file():
            with replacing(out / f"{name}.csv") as temporary:
                shutil.copyfile(collected_in / f"{name}.csv", temporary)
    crate.write(data, runs(collected_in), results, out)
    log.info("machine-readable results in %s", out)


def challenges(table: Frame, datasets: Sequence[str]) -> Iterator[tuple[str, Frame]]:
    """What challengeR reads: it compares the same algorithms on every task, so that each dataset has a table.

    Args:
        table: of ``salstm.evaluation.scoring.long``.
        datasets: those of the grid, scored or not.

    Yields:
        A dataset and its rows; then 'all' and the rows of the algorithms that are on every task of all datasets,
        where there are several datasets and such algorithms.
    """
    of = table["Task"].astype(str).str.split("/").str[0]
    for dataset in datasets:
        yield dataset, table[of == dataset]
    tasks = table.groupby("Algorithm")["Task"].nunique()
    common = tasks.index[tasks == table["Task"].nunique()]
    if of.nunique() > 1 and len(common) > 1:
        yield "all", table[table["Algorithm"].isin(common)]


def voxels(path: Path) -> dict[str, int]:
    """Voxels of each case in native size, by its id; none if the cases are not on this machine."""
    if not path.is_file():
        return {}
    return {one.id: one.depth * one.native_height * one.native_width for one in read_cases(path)}


def summaries(
    data: Collected, sizes: Mapping[str, Mapping[str, int]]
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every scored cell as nnU-Net's evaluation writes it: ``foreground_mean``, ``mean``, ``metric_per_case``.

    As nnU-Net does: native size, means over cases without the undefined ones, and none over the classes if one of
    them is undefined for every case; weights chosen on validation (``best_val``).

    Args:
        data: what was collected.
        sizes: voxels of the cases, by dataset and case; TN is None where they are not known.

    Yields:
        'dataset/baseline/variant/seed<k>' and its summary; a value is None where it is undefined.
    """
    rows = data.scores
    chosen = rows[(rows["scope"] == "native") & (rows["selection"] == "best_val")]
    pairs = zip(chosen["dataset"], chosen["case"], strict=True)
    known = [float(sizes.get(dataset, {}).get(case, math.nan)) for dataset, case in pairs]
    chosen = chosen.assign(TN=known - chosen["tp"] - chosen["fp"] - chosen["fn"])
    columns = {"TN": "TN", **SCORES, **COUNTS}
    table = chosen.rename(columns={value: name for name, value in columns.items()})
    for key, cell in table.groupby(list(IDENTITY), sort=False):
        labels = {name: str(at) for at, name in enumerate(classes_of(key[0]), start=1)}
        means = cell.groupby("class", sort=False)[list(columns)].mean()
        named = zip(means.index, _values(means), strict=True)
        by_label = {labels[str(name)]: values for name, values in named}
        yield (
            "{}/{}/{}/seed{}".format(*key),
            {
                "foreground_mean": _over_labels(by_label),
                "labels": {number: name for name, number in labels.items()},
                "mean": by_label,
                "metric_per_case": _per_case(cell, labels, list(columns)),
            },
        )


def _per_case(table: Frame, labels: Mapping[str, str], names: list[str]) -> list[dict[str, Any]]:
    """One entry per case; the files of both masks are named by the case's id."""
    cases: dict[str, dict[str, Any]] = {}
    for case, name, values in zip(
        table["case"], table["class"], _values(table[names]), strict=True
    ):
        cases.setdefault(case, {})[labels[name]] = values
    return [
        {"metrics": metrics, "prediction_file": case, "reference_file": case}
        for case, metrics in cases.items()
    ]


def _values(table: Frame) -> Iterator[dict[str, float | None]]:
    """The rows of a table of numbers, by column; an undefined value is None."""
    columns = [list(map(_value, table[name].tolist())) for name in table.columns]
    return (dict(zip(table.columns, row, strict=True)) for row in zip(*columns, strict=True))


def _over_labels(means: Mapping[str, Mapping[str, float | None]]) -> dict[str, float | None]:
    by_name = {}
    for name in next(iter(means.values()), {}):
        known = [value for one in means.values() if (value := one[name]) is not None]
        by_name[name] = sum(known) / len(known) if len(known) == len(means) else None
    return by_name


def _value(number: float) -> float | None:
    return None if math.isnan(number) else float(number)
