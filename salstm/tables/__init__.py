"""The comparison: for each dataset and protocol one table of means and one by class for each metric."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from salstm.analysis import results
from salstm.analysis.comparisons import Family
from salstm.analysis.results import Collected, Frame
from salstm.files import replacing, write_csv, write_json
from salstm.tables import (
    agreement,
    cost,
    exploration,
    formats,
    gains,
    layout,
    listing,
    numbers,
    ranking,
    sensitivity,
    sparsity,
    subgroups,
)
from salstm.tables.layout import Table
from salstm.vocabulary import PROTOCOLS

JUDGED = ("comparisons", "ranking", "pairs")
log = logging.getLogger(__name__)


def write(
    collected_in: Path,
    cards: Mapping[str, Any],
    statistics: Mapping[str, Any],
    out: Path,
    phantoms: Collection[str] = (),
) -> None:
    """Write ``<dataset>_<protocol>.{csv,md,tex}`` into a folder, and the other tables of the report likewise.

    Metrics that are only explored stand in ``<dataset>_<protocol>-exploratory``.

    Those are ``gains-<metric>``, ``ranking``, ``ranks``, ``selection``, ``cost``, ``sparsity`` and, where cases of ours
    stand in the authors' logs too, ``authors``; those that hold nothing are left out. ``tables.json`` holds all of them
    as the page shows them.

    Args:
        collected_in: folder that ``collect`` wrote.
        cards: by network.
        statistics: config's statistics; its metrics are shown.
        out: the folder of the tables.
        phantoms: datasets that are made up; their ids are those of the official files, their cases are not.
    """
    family = Family(**statistics)
    data, metrics = results.read(collected_in, family.named), family.metrics
    judged = {one: results.judged(collected_in, one) for one in JUDGED}
    shown: dict[str, list[Table]] = {}
    for dataset in data.datasets:
        listed = shown.setdefault(dataset, [])
        for protocol in PROTOCOLS:
            tidy = numbers.comparison(data, cards, dataset, protocol, metrics)
            tables = build(tidy, data, cards)
            stem = out / f"{dataset}_{protocol}"
            write_csv(stem.with_suffix(".csv"), tidy)
            _write(stem, tables)
            listed += tables
            if explored := exploration.build(data, cards, dataset, protocol, family.exploratory):
                stem = out / f"{dataset}_{protocol}-exploratory"
                _write_text(stem.with_suffix(".csv"), formats.csv(explored))
                _write(stem, [explored])
                listed.append(explored)
        more = subgroups.build(data, cards, dataset, family.subgroups, metrics)
        beside = others(data, judged, cards, dataset, metrics, made_up=dataset in phantoms)
        for table in [*beside, *more]:
            stem = out / f"{dataset}_{table.key.removeprefix(f'{dataset}_').replace('_', '-')}"
            _write_text(stem.with_suffix(".csv"), formats.csv(table))
            _write(stem, [table])
            listed.append(table)
    write_json(out / listing.NAME, listing.plain(shown))
    log.info("tables of %s in %s", ", ".join(data.datasets), out)


def others(
    data: Collected,
    judged: Mapping[str, Frame],
    cards: Mapping[str, Any],
    dataset: str,
    metrics: Sequence[str],
    *,
    made_up: bool = False,
) -> list[Table]:
    """The tables of a dataset beside the comparison; those that hold nothing are left out.

    Args:
        data: what was collected.
        judged: ``JUDGED`` as ``claims`` wrote them.
        cards: by network.
        dataset: one of the datasets.
        metrics: those that are shown.
        made_up: whether its cases are phantoms, which nobody else has scored.
    """
    comparisons = judged["comparisons"]
    unit = numbers.unit_in(data, dataset, numbers.declared(comparisons))
    declared = dict.fromkeys(comparisons.loc[comparisons["dataset"] == dataset, "metric"])
    built = [
        *(gains.build(comparisons, cards, dataset, metric, unit) for metric in declared),
        ranking.build(data, judged, cards, dataset),
        sensitivity.by_convention(data, cards, dataset, metrics),
        sensitivity.by_selection(data, cards, dataset, metrics),
        cost.build(data, cards, dataset),
        sparsity.build(data, cards, dataset),
        None if made_up else agreement.build(data, dataset),
    ]
    return [table for table in built if table and table.columns]


def build(tidy: Any, data: Collected, cards: Mapping[str, Any]) -> list[Table]:
    """The tables of a dataset and protocol: the overview, then one by class for each metric.

    Args:
        tidy: of ``salstm.tables.numbers.comparison``.
        data: what was collected.
        cards: by network.
    """
    several = tidy["class"].nunique() > 2  # one class and its mean are the same numbers
    metrics = dict.fromkeys(tidy["metric"]) if several else {}
    classes = [layout.by_class(tidy, data, cards, metric) for metric in metrics]
    return [layout.overview(tidy, data, cards), *classes]


def _write(stem: Path, tables: list[Table]) -> None:
    _write_text(stem.with_suffix(".md"), "\n".join(map(formats.markdown, tables)))
    _write_text(stem.with_suffix(".tex"), "\n".join(map(formats.latex, tables)))


def _write_text(path: Path, text: str) -> None:
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
