"""All tables of a report in one file, ``tables.json``: what rule ``tables`` printed is what the page shows."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from salstm.files import read_json
from salstm.tables.layout import Cell, Column, Row, Table

NAME = "tables.json"


def plain(tables: Mapping[str, Sequence[Table]]) -> dict[str, list[dict[str, Any]]]:
    """The tables of each dataset as JSON holds them; an undefined value is null, what is empty is left out."""
    return {dataset: [_plain(table) for table in listed] for dataset, listed in tables.items()}


def read(folder: Path) -> dict[str, list[Table]]:
    """The tables of each dataset, in the order in which they were written.

    Raises:
        FileNotFoundError: there is no such list; the message says what to run.
    """
    path = folder / NAME
    if not path.is_file():
        raise FileNotFoundError(
            f"{path}: no such file; run `python -m salstm tables --out {folder}` first"
        )
    return {dataset: list(map(_table, listed)) for dataset, listed in read_json(path).items()}


def _plain(table: Table) -> dict[str, Any]:
    rows = [
        {"labels": row.labels, "cells": [_plain_cell(cell) for cell in row.cells]}
        for row in table.rows
    ]
    columns = [vars(column) for column in table.columns]
    return {**vars(table), "columns": columns, "rows": rows}


def _plain_cell(cell: Cell) -> dict[str, Any]:
    known = {key: value for key, value in vars(cell).items() if value not in ("", None)}
    return {**known, "value": cell.value if math.isfinite(cell.value) else _word(cell.value)}


def _word(value: float) -> str | None:
    """JSON has no infinity and no NaN."""
    return None if math.isnan(value) else str(value)


def _table(entry: Mapping[str, Any]) -> Table:
    rows = tuple(
        Row(tuple(row["labels"]), tuple(_cell(cell) for cell in row["cells"]))
        for row in entry["rows"]
    )
    columns = tuple(Column(**one) for one in entry["columns"])
    labels, notes = tuple(entry["labels"]), tuple(entry["notes"])
    return Table(entry["key"], entry["title"], labels, columns, rows, notes)


def _cell(entry: Mapping[str, Any]) -> Cell:
    value = entry["value"]
    known = {"text": "", **entry, "value": math.nan if value is None else float(value)}
    return Cell(**known)
