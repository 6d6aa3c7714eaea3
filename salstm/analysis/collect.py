"""All cells of a grid in three tables; what is missing is a row with its reason, never a gap."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd

from salstm.files import read_json, write_csv

log = logging.getLogger(__name__)

STATES = ("done", "running", "failed", "missing")
TEXT: Any = {"case": str, "group": str, "class": str}  # an id like 001 is no number
IDENTITY = ["dataset", "baseline", "variant", "seed"]
ROWS = ["selection", "scope", "case", "class"]


def collect(results: Path, grid: dict[str, Any], out: Path) -> None:
    """Write ``cells.csv``, ``scores.csv``, ``cost.csv``, ``history.csv`` and ``sparsity.csv`` into a folder.

    Args:
        results: results/<name>.
        grid: ``{"grid": {dataset: [baseline]}, "variants": [...], "seeds": [...]}``.
        out: the folder.
    """
    cells, scores, curves = [], [], []
    for identity in identities(grid):
        place = folder(results, identity)
        state, reason = _state(place)
        if state == "done":
            try:
                scored, curve = _scores(place / "scores.csv"), _table(place / "history.csv")
                facts = read_json(place / "run.json")
            except (ValueError, OSError) as error:
                state, reason, facts = "failed", _broken(error), {}
            else:
                scores.append(scored)
                curves.append(curve.assign(**identity))
        else:
            facts = _known(place)
        cells.append(_cell(identity, state, reason, facts))
    states = pd.DataFrame(cells)
    write_csv(out / "cells.csv", states)
    write_csv(out / "scores.csv", _stacked(scores, IDENTITY))
    write_csv(out / "history.csv", _stacked(curves, IDENTITY))
    for name, keys in (("cost", IDENTITY[:3]), ("sparsity", IDENTITY[:2])):
        found = (path for path in _files(results, grid, f"{name}.csv") if path.is_file())
        tables = (pd.read_csv(path, dtype=TEXT) for path in found)
        write_csv(out / f"{name}.csv", _stacked(tables, keys))
    counts = states["state"].value_counts()
    log.info("cells: %s", ", ".join(f"{counts.get(state, 0)} {state}" for state in STATES))


def identities(grid: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Every cell of a grid, in its order."""
    for dataset, baselines in grid["grid"].items():
        for baseline in baselines:
            for variant in grid["variants"]:
                for seed in grid["seeds"]:
                    yield dict(zip(IDENTITY, (dataset, baseline, variant, seed), strict=True))


def folder(results: Path, cell: dict[str, Any]) -> Path:
    """Where a cell's results lie."""
    return results / cell["dataset"] / cell["baseline"] / cell["variant"] / f"seed{cell['seed']}"


def _cell(
    identity: dict[str, Any], state: str, reason: str, facts: dict[str, Any]
) -> dict[str, Any]:
    best = facts.get("best", {})
    return {
        **identity,
        "state": state,
        "reason": reason,
        "epochs": facts.get("recipe", {}).get("epochs"),
        "best_val_epoch": best.get("best_val", {}).get("epoch"),
        "best_test_epoch": best.get("best_test", {}).get("epoch"),
        "parameters": facts.get("parameters"),
        "seconds": facts.get("seconds"),
        "joules": facts.get("joules"),
        "training_bytes": facts.get("device", {}).get("peak_memory_bytes"),
        "pretrained": facts.get("recipe", {}).get("pretrained"),
        "recipe": facts.get("recipe_digest"),
        "command": facts.get("command"),
    }


def _state(place: Path) -> tuple[str, str]:
    """State of a cell and, where it is not done, why."""
    if (place / "scores.csv").is_file():
        return "done", ""
    for step in ("score", "predict", "train"):
        path = place / "logs" / f"{step}.log"
        if not path.is_file():
            continue
        text = path.read_text(encoding="utf-8", errors="replace")
        errors = re.findall(r"^\S+ ERROR (.*)$", text, flags=re.MULTILINE)
        if errors:
            return "failed", errors[-1]
        lines = text.strip().splitlines()
        return "running", f"{step}: {lines[-1] if lines else 'no output yet'}"
    return "missing", "not started"


def _scores(path: Path) -> pd.DataFrame:
    """The scores of a cell.

    Raises:
        ValueError: the file is not what ``score`` wrote: cut, or without rows that it always has.
        OSError: it cannot be read.
    """
    table = _table(path)
    if missing := [name for name in (*ROWS, "unit") if name not in table.columns]:
        raise ValueError(f"{path}: no column {missing[0]}")
    if table[[*ROWS, "unit"]].isna().to_numpy().any():
        raise ValueError(f"{path}: a row without an end")
    rows = [set(part.itertuples(index=False)) for _, part in table.groupby("selection")[ROWS[1:]]]
    if not rows or any(one != rows[0] for one in rows):
        raise ValueError(f"{path}: not the same cases for every choice of weights")
    if len(table) != sum(map(len, rows)):
        raise ValueError(f"{path}: a case stands twice")
    return table


def _table(path: Path) -> pd.DataFrame:
    try:
        return pd.read_csv(path, dtype=TEXT)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def _broken(error: Exception) -> str:
    return f"{' '.join(str(error).split())}; delete this file and run the same command again"


def _known(place: Path) -> dict[str, Any]:
    """What a cell that is not done says of itself; nothing if that is broken, too."""
    try:
        return read_json(place / "run.json")
    except (ValueError, OSError):
        return {}


def _files(results: Path, grid: dict[str, Any], name: str) -> Iterator[Path]:
    """Where the networks have a file of that name."""
    for dataset, baselines in grid["grid"].items():
        for baseline in baselines:
            yield results / dataset / baseline / name


def _stacked(frames: Any, columns: list[str]) -> pd.DataFrame:
    """All frames in one, identity columns first; only those columns where there is nothing."""
    parts = list(frames)
    if not parts:
        return pd.DataFrame(columns=columns)
    table = pd.concat(parts, ignore_index=True)
    others = [name for name in table.columns if name not in columns]
    return table.reindex(columns=[*columns, *others])
