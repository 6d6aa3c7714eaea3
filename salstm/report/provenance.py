"""Where the numbers come from: the runs' own records, and the audit of the data."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from salstm.analysis.results import Collected, dataset_name, network_name, of_cell, variant_name
from salstm.cards import authors_report
from salstm.data.datasets import DATASETS
from salstm.evaluation import conventions
from salstm.files import read_csv
from salstm.vocabulary import Identity

WARNINGS = (
    "in more than one split",
    "another split",
    "oddities",
    "may be wrong",
    "cannot be right",
)
"""Facts of an audit that should be 0."""
DIVIDED = "groups in more than one split"


def runs(
    data: Collected, records: Mapping[str, Mapping[str, Any]], cards: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """One entry per training that left a record: commit, device, time, command."""
    return [
        _run(record, cell, cards)
        for cell in data.cells.to_dict("records")
        for record in of_cell(records, Identity.of(cell)).values()
    ]


def summary(records: list[dict[str, Any]]) -> list[tuple[str, str]]:
    """What the runs have in common, as (fact, values): several values where they differ."""
    if not records:
        return []
    facts = {
        "Commit": "commit",
        "Device": "device",
        "Host": "host",
        "System": "system",
        "Python": "python",
        "Packages": "packages",
        "Data manifest (sha256)": "data",
    }
    lines = [
        (title, "; ".join(sorted({one[key] for one in records}))) for title, key in facts.items()
    ]
    lines.append(("Training time, all runs", duration(sum(one["seconds"] or 0 for one in records))))
    times = sorted(one["finished"] for one in records if one["finished"])
    return [*lines, ("Last run finished", times[-1] if times else "not recorded")]


def audit(results: Path, dataset: str) -> dict[str, Any]:
    """The audit of a dataset: a row per fact, a column per split; what should be 0 and is not is marked.

    With it goes what the owners want said: ``terms`` has the licence, where it stands, and the citation.
    """
    path = results / dataset / "audit.csv"
    terms = DATASETS[dataset]
    entry: dict[str, Any] = {
        "key": dataset,
        "dataset": dataset_name(dataset),
        "terms": {"licence": terms.licence, "url": terms.licence_url, "cite": terms.citation},
        "splits": [],
        "rows": [],
    }
    if not path.is_file():
        return entry
    table = read_csv(path, text=("split", "fact", "value")).fillna("")
    entry["splits"] = list(dict.fromkeys(table["split"]))
    for fact in dict.fromkeys(table["fact"]):
        values = table[table["fact"] == fact].set_index("split")["value"]
        watched = any(words in fact for words in WARNINGS)
        cells = [_shown(str(values.get(split, ""))) for split in entry["splits"]]
        alarm = watched and any(value not in ("", "0") for value in values)
        entry["rows"].append({"fact": fact, "cells": cells, "alarm": alarm})
    return entry


def caution(entry: Mapping[str, Any]) -> str:
    """What to say where groups stand in more than one split, so that there are no strict numbers; else empty.

    Args:
        entry: of ``audit``.
    """
    row = next((one for one in entry["rows"] if one["fact"] == DIVIDED and one["alarm"]), None)
    if row is None:
        return ""
    count = next(value for value in row["cells"] if value)
    return (
        f"{entry['dataset']}: {conventions.refusal(entry['key'], int(count.replace(',', '')))}. Its other scores are "
        "too good, the plain networks' as well as the modules'."
    )


def duration(seconds: float | None) -> str:
    """Seconds as hours, minutes and seconds."""
    if seconds is None or seconds != seconds:
        return "–"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d} h" if hours else f"{minutes}:{rest:02d} min"


def _run(
    record: Mapping[str, Any], cell: Mapping[str, Any], cards: Mapping[str, Any]
) -> dict[str, Any]:
    environment = record.get("environment", {})
    commit = environment.get("commit", {})
    packages = environment.get("packages", {})
    seconds, trained = record.get("seconds"), record.get("trained", {})
    return {
        "dataset": dataset_name(cell["dataset"]),
        "network": network_name(cell["baseline"], cards),
        "variant": variant_name(cell["variant"]),
        "seed": f"{cell['seed']}, fold {record['fold']}" if "fold" in record else cell["seed"],
        "commit": _commit(commit),
        "device": _device(record.get("device", {})),
        "seconds": seconds,
        "time": duration(seconds),
        "best": {name: int(one["epoch"]) for name, one in record.get("best", {}).items()},
        "epochs": trained.get("epochs", record.get("recipe", {}).get("epochs", "–")),
        "iterations": f"{trained['iterations']:,}" if trained else "–",
        "looks": trained.get("looks", "–"),
        "authors": authors_report(
            cards.get(cell["baseline"], {}), cell["dataset"], cell["variant"]
        ),
        "recipe": json.dumps(record.get("recipe", {}), sort_keys=True),
        "digest": record.get("recipe_digest", "–"),
        "data": str(record.get("data_manifest_sha256", "–"))[:16],
        "command": record.get("command", ""),
        "host": environment.get("host", "–"),
        "python": environment.get("python", "–"),
        "system": environment.get("system", "–"),
        "packages": ", ".join(f"{name} {version}" for name, version in sorted(packages.items())),
        "finished": record.get("finished", ""),
    }


def _commit(commit: Mapping[str, Any]) -> str:
    if not commit.get("id"):
        return "none (no git checkout)"
    return str(commit["id"])[:12] + ", changed files" * bool(commit.get("changed"))


def _device(device: Mapping[str, Any]) -> str:
    if device.get("type") == "cuda":
        peak = device.get("peak_memory_bytes", 0) / 2**30
        return f"{device.get('name')}, CUDA {device.get('cuda')}, peak {peak:.1f} GiB"
    threads = device.get("threads")
    return f"CPU, {threads} thread{'s' * (threads != 1)}" if device else "not recorded"


def _shown(text: str) -> str:
    try:
        value = float(text)
    except ValueError:
        return text
    return f"{int(value):,}" if value == int(value) else f"{value:.4g}"
