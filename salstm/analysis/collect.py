"""All cells of a grid in three tables; what is missing is a row with its reason, never a gap."""

from __future__ import annotations

import hashlib
import logging
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd

from salstm import columns
from salstm.columns import COLUMNS
from salstm.files import read_csv, read_json, write_csv, write_json
from salstm.vocabulary import IDENTITY, IMPORTED, Identity, cells

log = logging.getLogger(__name__)

STATES = ("done", "running", "failed", "missing")
CHOOSING = ("scores", "bounds")
"""Tables that may have columns beyond their own."""
ROWS = ["selection", "scope", "case", "class"]
CURVE = tuple(name for name in COLUMNS["history"] if name not in IDENTITY)
"""Columns of a training's own history.csv."""


def collect(results: Path, grid: dict[str, Any], out: Path) -> None:
    """Write ``salstm.columns.COLLECTED`` as CSV, and runs.json, into a folder.

    Args:
        results: results/<name>.
        grid: ``{"grid": {dataset: [baseline]}, "variants": [...], "seeds": [...], "folds": {dataset: number}}``; of
            datasets in folds, how many. Under ``imported`` may stand cells beside the grid, as lists.
        out: the folder.

    Raises:
        ValueError: a cost.csv, sparsity.csv or bounds.csv is cut or lacks a column; the message names it.
    """
    states, scores, curves, runs = [], [], [], {}
    outside = (Identity(*one) for one in grid.get("imported", ()))
    for identity in (*cells(grid), *outside):
        place = identity.folder(results)
        keys = identity.trainings(grid.get("folds", {}).get(identity.dataset, 0))
        state, reason = _state(place, [results / key for key in keys])
        if state == "done" and (stale := _stale(place, results / identity.dataset / "cases")):
            state, reason = "failed", stale
        if state == "done":
            try:
                scored = _scores(place / "scores.csv")
                curve = _curve([_table(results / key / "history.csv", CURVE) for key in keys])
                facts = {key: read_json(results / key / "run.json") for key in keys}
            except (ValueError, OSError) as error:
                state, reason, facts = "failed", _broken(error), {}
            else:
                scores.append(scored)
                curves.append(curve.assign(**identity._asdict()))
        else:
            facts = {key: one for key in keys if (one := _known(results / key))}
        row = _cell(identity, state, reason, list(facts.values()))
        states.append(row | {"phantom": _made_up(results / identity.dataset / "raw.json")})
        runs |= facts
    frame = pd.DataFrame(states, columns=list(COLUMNS["cells"]))
    parts = {"cells": [frame], "scores": scores, "history": curves}
    for name in ("cost", "sparsity", "bounds"):
        paths = (path for path in _files(results, grid, f"{name}.csv") if path.is_file())
        try:
            parts[name] = [_table(path, COLUMNS[name]) for path in paths]
        except ValueError as error:
            raise ValueError(_broken(error)) from error
    for name in columns.COLLECTED:
        names = (*COLUMNS[name], *_chosen(parts[name])) if name in CHOOSING else COLUMNS[name]
        write_csv(out / f"{name}.csv", _stacked(parts[name], names))
    write_json(out / "runs.json", runs)
    counts = frame["state"].value_counts()
    log.info("cells: %s", ", ".join(f"{counts.get(state, 0)} {state}" for state in STATES))


def _chosen(parts: list[pd.DataFrame]) -> list[str]:
    """Columns that were asked for, of any part; where a part has not been scored with them they are NaN."""
    return columns.chosen(name for part in parts for name in part.columns)


def _cell(
    identity: Identity, state: str, reason: str, records: list[dict[str, Any]]
) -> dict[str, Any]:
    """A row of cells.csv: of several folds the time is of all, the epoch of the best weights their mean."""
    facts = records[0] if records else {}
    trained = [one.get("trained", {}) for one in records]
    return {
        **identity._asdict(),
        "state": state,
        "reason": reason,
        # Records of before 0.2.0 have the recipe's alone.
        "epochs": (trained or [{}])[0].get("epochs", facts.get("recipe", {}).get("epochs")),
        "iterations": _over(sum, [one.get("iterations") for one in trained]),
        "looks": _over(sum, [one.get("looks") for one in trained]),
        "split": facts.get("split", {}).get("name"),
        "grid": facts.get("grid"),
        "wiring": facts.get("recipe", {}).get("wiring"),
        "best_val_epoch": _best(records, "best_val"),
        "best_test_epoch": _best(records, "best_test"),
        "parameters": facts.get("parameters"),
        "seconds": _over(sum, [one.get("seconds") for one in records]),
        "joules": _over(sum, [one.get("joules") for one in records]),
        "training_bytes": _over(
            max, [one.get("device", {}).get("peak_memory_bytes") for one in records]
        ),
        "pretrained": facts.get("recipe", {}).get("pretrained"),
        "recipe": facts.get("recipe_digest"),
        "command": facts.get("command"),
    }


def _stale(place: Path, cases: Path) -> str:
    """Why the scores of an imported cell do not count: no rule scores it again when the cases have changed."""
    record, manifest = _known(place), cases / "manifest.json"
    if not record.get(IMPORTED) or not manifest.is_file():
        return ""
    now = hashlib.sha256(manifest.read_bytes()).hexdigest()
    if record.get("data_manifest_sha256") == now:
        return ""
    return "imported before the cases were prepared again; remove its folder and import it again"


def _made_up(listed: Path) -> bool:
    """Whether the list of a dataset's raw files says that this program made them."""
    try:
        return bool(read_json(listed).get("phantom"))
    except (ValueError, OSError):
        return False


def _over(function: Callable[[list[Any]], Any], values: list[Any]) -> Any:
    """A function of what trainings say; None where one of them does not."""
    return function(values) if values and None not in values else None


def _best(records: list[dict[str, Any]], selection: str) -> float | None:
    epochs = [one.get("best", {}).get(selection, {}).get("epoch") for one in records]
    return _over(lambda known: known[0] if len(known) == 1 else sum(known) / len(known), epochs)


def _curve(curves: list[pd.DataFrame]) -> pd.DataFrame:
    """The curve of a cell; of several folds the mean of each epoch, seconds their sum."""
    if len(curves) == 1:
        return curves[0]
    grouped: Any = pd.concat(curves).groupby("epoch", sort=True)
    means = grouped.agg(lambda values: values.mean(skipna=False))
    return means.assign(seconds=grouped["seconds"].sum()).reset_index()[list(CURVE)]


def _state(place: Path, trainings: list[Path]) -> tuple[str, str]:
    """State of a cell and, where it is not done, why: the worst of its trainings."""
    if (place / "scores.csv").is_file():
        return "done", ""
    if trainings == [place]:
        return _logged(place)
    found = [("", *_logged(place)), *((one.name, *_logged(one)) for one in trainings)]
    for wanted in ("failed", "running"):
        for name, state, reason in found:
            if state == wanted:
                return state, f"{name}: {reason}".removeprefix(": ")
    return "missing", "not started"


def _logged(place: Path) -> tuple[str, str]:
    """What the logs of a folder say of its latest step."""
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
    table = _table(path, COLUMNS["scores"])
    if table[[*ROWS, *COLUMNS["scores"][-2:]]].isna().to_numpy().any():
        raise ValueError(f"{path}: a row without an end")
    rows = [set(part.itertuples(index=False)) for _, part in table.groupby("selection")[ROWS[1:]]]
    if not rows or any(one != rows[0] for one in rows):
        raise ValueError(f"{path}: not the same cases for every choice of weights")
    if len(table) != sum(map(len, rows)):
        raise ValueError(f"{path}: a case stands twice")
    return table


def _table(path: Path, wanted: tuple[str, ...]) -> pd.DataFrame:
    table = read_csv(path)
    columns.check(path, table.columns, wanted)
    return table


def _broken(error: Exception) -> str:
    return f"{' '.join(str(error).split())}; delete this file and run the same command again"


def _known(place: Path) -> dict[str, Any]:
    """What a cell that is not done says of itself; nothing if that is broken, too."""
    try:
        return read_json(place / "run.json")
    except (ValueError, OSError):
        return {}


def _files(results: Path, grid: dict[str, Any], name: str) -> Iterator[Path]:
    """Where the datasets and their networks have a file of that name."""
    for dataset, baselines in grid["grid"].items():
        yield results / dataset / name
        for baseline in baselines:
            yield results / dataset / baseline / name


def _stacked(parts: list[pd.DataFrame], names: tuple[str, ...]) -> pd.DataFrame:
    """All frames in one, with these columns even where there is nothing."""
    if not parts:
        return pd.DataFrame(columns=list(names))
    return pd.concat(parts, ignore_index=True).reindex(columns=list(names))
