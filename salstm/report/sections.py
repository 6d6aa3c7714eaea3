"""One dataset as the page tells it: its tables, its figures and its pictures together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from salstm import tables
from salstm.analysis.results import Collected, Frame, dataset_name
from salstm.report import findings, notes, provenance
from salstm.tables import formats, sensitivity, sparsity
from salstm.tables.layout import Table
from salstm.vocabulary import PROTOCOLS

PLACES = ("ranking", "cost", "sparsity", "authors", "ranks", "selection")
"""Tables that have a place of their own in a dataset's section; any other is shown after them."""
DRAWINGS = ("forest", "spread", "pareto", "curves", "ranking", "sparsity", "agreement")
"""Likewise figures."""


class Sections:
    """Puts the sections together; the notes of all tables are numbered in one row."""

    def __init__(
        self, data: Collected, listed: Mapping[str, Sequence[Table]], cards: Mapping[str, Any]
    ) -> None:
        """Take what was collected, the tables of each dataset, and the networks' cards."""
        self.data, self.listed, self.cards = data, listed, cards
        self.notes = notes.Notes()
        self.texts: dict[str, dict[str, str]] = {}

    def build(
        self,
        dataset: str,
        figures: Mapping[str, Mapping[str, Any]],
        comparisons: Frame,
        audit: Mapping[str, Any],
        summary: Sequence[Mapping[str, Any]],
    ) -> dict[str, Any]:
        """A dataset's section.

        Args:
            dataset: its name.
            figures: its drawings, by kind.
            comparisons: the declared ones.
            audit: of ``provenance.audit``.
            summary: the rows of ``verdict.summary`` of this dataset.
        """
        shown = {
            table.key.removeprefix(f"{dataset}_"): self._shown(table)
            for table in self.listed.get(dataset, ())
        }
        scored = {one: [shown.pop(key) for key in _of_protocol(shown, one)] for one in PROTOCOLS}
        gains = [shown.pop(key) for key in list(shown) if key.startswith("gains_")]
        placed = {key: shown.pop(key, None) for key in PLACES}
        return {
            "key": dataset,
            "name": dataset_name(dataset),
            "headline": findings.headline(summary),
            "tables": scored,
            "gains": gains,
            **placed,
            "rules": self._rules(placed),
            "stack": sparsity.said(self.data, dataset) if placed["sparsity"] else "",
            "others": list(shown.values()),
            "figures": {one: figures.get(one) for one in DRAWINGS},
            "drawn": [figure for kind, figure in figures.items() if kind not in DRAWINGS],
            "audit": audit,
            "caution": provenance.caution(audit),
            "findings": self._findings(dataset, scored, placed, figures, comparisons),
        }

    def _shown(self, table: Table) -> dict[str, Any]:
        """A table with its count, the numbers of its notes, and what the copy buttons give."""
        self.texts[table.key] = {"csv": formats.csv(table), "tex": formats.latex(table)}
        count, foot = notes.at_table(table)
        return {"table": table, "count": count, "notes": self.notes.refer(foot)}

    def _rules(self, placed: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Ranks by scoring rule and scores by choice of weights, each with its finding in words."""
        words = {"ranks": sensitivity.moved, "selection": sensitivity.optimistic}
        return [
            {**placed[key], "said": say(placed[key]["table"])}
            for key, say in words.items()
            if placed[key]
        ]

    def _findings(
        self,
        dataset: str,
        scored: Mapping[str, Sequence[Mapping[str, Any]]],
        placed: Mapping[str, Any],
        figures: Mapping[str, Mapping[str, Any]],
        comparisons: Frame,
    ) -> dict[str, str]:
        main = {key: tables_of[0]["table"] for key, tables_of in scored.items() if tables_of}
        best = {key: findings.best(table) for key, table in main.items()}
        return {
            **{f"best_{key}": text for key, text in best.items()},
            "gains": findings.gains(comparisons, dataset),
            "worst": findings.worst(figures.get("spread"), self.cards),
            "cost": findings.cost(placed["cost"]["table"] if placed["cost"] else None),
            "curves": findings.curves(figures.get("curves"), self.data.of(dataset).history),
            "order": findings.order(figures.get("ranking")),
        }


def tables_of(folder: Any, write: Any) -> dict[str, list[Table]]:
    """What rule ``tables`` wrote; made in a folder of its own where it has not run.

    Args:
        folder: of the tables, or None.
        write: writes them into the folder that it is given.
    """
    from pathlib import Path
    from tempfile import TemporaryDirectory

    if folder is not None and (folder / tables.listing.NAME).is_file():
        return tables.listing.read(folder)
    with TemporaryDirectory() as place:
        write(Path(place))
        return tables.listing.read(Path(place))


def _of_protocol(shown: Mapping[str, Any], protocol: str) -> list[str]:
    """The keys of a protocol's tables: the overview first."""
    return [key for key in shown if key == protocol or key.startswith(f"{protocol}_")]
