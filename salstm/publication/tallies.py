"""Tables of a network that several machines have measured: costs, and the sparsity of stacked modules."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from salstm import columns
from salstm.columns import CELL, COLUMNS
from salstm.files import read_csv
from salstm.publication.members import NAME, RESULTS
from salstm.vocabulary import VARIANTS

MEASURED = (
    "latency_seconds",
    "latency_repeats",
    "throughput_per_second",
    "latency_device",
    "peak_memory_bytes",
)
"""Columns of cost.csv that a machine decides; all others are counted and must agree."""
SPARSITY = "sparsity"
_LAYER = ["dataset", "baseline", "model", "split", "case", "layer"]


def is_tally(member: str) -> bool:
    """Whether a member is such a table."""
    return re.fullmatch(rf"{RESULTS}{NAME}/{NAME}/(cost|sparsity)\.csv", member) is not None


def merged(member: str, tables: Sequence[tuple[str, Path]]) -> Any:
    """One table of several.

    Costs: a row a variant, of the first who has it; what is counted must agree. Sparsity: of each model the first
    seed, as one run measures it.

    Args:
        member: its name.
        tables: where each came from, for messages, and where it lies.

    Raises:
        ValueError: counts that differ, or a table without its columns; names both.
    """
    import pandas as pd

    name = Path(member).stem
    frames: list[Any] = [read_csv(path) for _, path in tables]
    for (origin, _), frame in zip(tables, frames, strict=True):
        columns.check(Path(f"{origin}: {member}"), frame.columns, COLUMNS[name])
    if name == SPARSITY:
        together: Any = pd.concat(frames, ignore_index=True)
        least = together.groupby("model")["seed"].transform("min")
        return together[together["seed"] == least].drop_duplicates(_LAYER, ignore_index=True)
    _check_counts(member, [origin for origin, _ in tables], frames)
    together = pd.concat(frames, ignore_index=True)
    together = together.drop_duplicates(list(CELL))
    place = together["variant"].map({one: at for at, one in enumerate(VARIANTS)})
    return together.loc[place.sort_values(kind="stable").index].reset_index(drop=True)


def _check_counts(member: str, origins: Sequence[str], frames: Sequence[Any]) -> None:
    counted = [one for one in COLUMNS["cost"] if one not in (*CELL, *MEASURED)]
    known: dict[tuple[str, str], tuple[str, Any]] = {}
    for origin, frame in zip(origins, frames, strict=True):
        for row in frame.to_dict("records"):
            for column in counted:
                first, value = known.setdefault((row["variant"], column), (origin, row[column]))
                if str(value) != str(row[column]):
                    raise ValueError(
                        f"{member.removeprefix(RESULTS)}: {column} of {row['variant']} is {value} in {first}, "
                        f"{row[column]} in {origin}; the networks differ; merge results of one version"
                    )
