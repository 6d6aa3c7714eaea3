"""The comparison: for each dataset and protocol one table of means and one by class for each metric."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from salstm import collected, conventions
from salstm.collected import Collected
from salstm.files import replacing, write_csv
from salstm.tables import agreement, formats, layout, numbers
from salstm.tables.layout import Table

log = logging.getLogger(__name__)


def write(
    collected_in: Path, cards: Mapping[str, Any], statistics: Mapping[str, Any], out: Path
) -> None:
    """Write ``<dataset>_<protocol>.{csv,md,tex}`` into a folder.

    Where cases of ours stand in the authors' logs too, also ``<dataset>_authors.{md,tex}``.

    Args:
        collected_in: folder that ``collect`` wrote.
        cards: by network.
        statistics: config's statistics.
        out: the folder of the tables.
    """
    data = collected.read(collected_in)
    for dataset in data.datasets:
        for protocol in conventions.PROTOCOLS:
            tidy = numbers.comparison(data, cards, dataset, protocol)
            tables = build(tidy, data, cards)
            stem = out / f"{dataset}_{protocol}"
            write_csv(stem.with_suffix(".csv"), tidy)
            _write(stem, tables)
        if beside := agreement.build(data, dataset):
            _write(out / beside.key, [beside])
    log.info("tables of %s in %s", ", ".join(data.datasets), out)


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
