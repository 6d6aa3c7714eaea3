"""The exported results as an RO-Crate: what each file is, which data and which runs it came from.

RO-Crate 1.1 (https://w3id.org/ro/crate/1.1): one ``ro-crate-metadata.json`` in the folder it describes. Trainings are
actions with their command, recipe, commit and machine; a cell that failed is a failed action with its error.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from salstm.analysis.results import Collected, dataset_name, of_cell
from salstm.data.datasets import DATASETS
from salstm.files import write_json
from salstm.vocabulary import Identity

NAME = "ro-crate-metadata.json"
VERSION = "1.1"
PAPER = "https://doi.org/10.1109/TIP.2024.3482189"
SOFTWARE = "#salstm"
LICENCE = "https://spdx.org/licenses/MIT"
FILES = {
    "challenger": "Scores as challengeR loads them: Task, TestCase, Algorithm, MetricValue.",
    "summary": "Means of every cell with nnU-Net's keys.",
    "comparisons": "The declared comparisons: gains, intervals, tests.",
    "claims": "The paper's claims and what this run says about them.",
    "ranking": "Rank of every network and variant with its bootstrap interval.",
    "shares": "Share of the bootstrap draws with each rank.",
    "pairs": "Every pair of networks and variants: gain and p (exploration).",
    "cells": "Every cell of the grid: its state, the reason, the recipe's digest and the command.",
    "sparsity": "Sparsity of the attention's output across stacked modules.",
    "nnunet": "One cell case by case, as nnU-Net's evaluation writes it.",
}
FORMATS = {".csv": "text/csv", ".json": "application/json"}
STATUS = {"done": "CompletedActionStatus", "failed": "FailedActionStatus"}


def write(data: Collected, records: Mapping[str, dict[str, Any]], results: Path, out: Path) -> None:
    """Describe every file of a folder in its ``ro-crate-metadata.json``.

    Args:
        data: what was collected.
        records: of the runs, by the keys of their identities; a run without one has an action without details.
        results: results/<name>, for the manifests of the prepared cases.
        out: the folder.
    """
    from rocrate.model.contextentity import ContextEntity
    from rocrate.rocrate import ROCrate

    crate = ROCrate(version=VERSION)
    crate.name = f"SALSTM and LSTMSA: results of {results.name}"
    crate.description = "Do the modules of Ji, Ye and Ma improve published segmentation networks? Scores and verdicts."
    crate.license = LICENCE
    files = [_file(crate, path, out) for path in sorted(out.rglob("*")) if _described(path)]
    cells = data.cells.to_dict("records")
    runs = {_key(cell): _record(of_cell(records, Identity.of(cell))) for cell in cells}
    entities = [_paper(), _software(runs), *(_dataset(data, results, one) for one in data.datasets)]
    cells = [_action(cell, runs[_key(cell)]) for cell in cells]
    exported = _export([one.id for one in files], [one["@id"] for one in cells])
    for facts in (*entities, *cells, exported):
        properties = {key: value for key, value in facts.items() if key != "@id"}
        crate.add(ContextEntity(crate, facts["@id"], properties=properties))
    # The crate's date is the data's, not the clock's: the same results give the same bytes.
    crate.root_dataset["datePublished"] = max(
        [one.get("finished", "") for one in runs.values()] + ["1970-01-01"]
    )
    crate.root_dataset["mentions"] = [{"@id": one["@id"]} for one in (*cells, exported)]
    crate.root_dataset["citation"] = {"@id": PAPER}
    write_json(out / NAME, crate.metadata.generate())


def _described(path: Path) -> bool:
    return path.is_file() and path.suffix in FORMATS and path.name != NAME


def _file(crate: Any, path: Path, out: Path) -> Any:
    content = path.read_bytes()
    place = path.relative_to(out)
    kind = place.parts[0] if len(place.parts) > 1 else path.stem.split("_")[0]
    properties = {
        "name": place.as_posix(),
        "description": FILES[kind],
        "encodingFormat": FORMATS[path.suffix],
        "contentSize": str(len(content)),
        "sha256": hashlib.sha256(content).hexdigest(),
    }
    return crate.add_file(path, place.as_posix(), properties=properties)


def _paper() -> dict[str, Any]:
    title = (
        "Sparse Coding Inspired LSTM and Self-Attention Integration for Medical Image Segmentation"
    )
    return {"@id": PAPER, "@type": "ScholarlyArticle", "name": title, "datePublished": "2024"}


def _software(runs: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """The suite, at the commits of the runs."""
    commits = [one.get("environment", {}).get("commit", {}) for one in runs.values()]
    named = {
        f"{one['id']}{' with changed files' * bool(one.get('changed'))}"
        for one in commits
        if one.get("id")
    }
    return {
        "@id": SOFTWARE,
        "@type": "SoftwareApplication",
        "name": "salstm",
        "version": ", ".join(sorted(named)) or "not recorded",
        "license": LICENCE,
    }


def _dataset(data: Collected, results: Path, dataset: str) -> dict[str, Any]:
    terms = DATASETS[dataset]
    manifest = results / dataset / "cases" / "manifest.json"
    digest = hashlib.sha256(manifest.read_bytes()).hexdigest() if manifest.is_file() else "not here"
    return {
        "@id": f"#data-{dataset}",
        "@type": "Dataset",
        "name": dataset_name(dataset),
        "license": terms.licence_url or terms.licence,
        "creditText": terms.citation,
        "description": f"Prepared cases; sha256 of their manifest: {digest}",
    }


def _key(cell: Mapping[str, Any]) -> str:
    return f"{cell['dataset']}-{cell['baseline']}-{cell['variant']}-seed{cell['seed']}"


def _record(trainings: Mapping[str, dict[str, Any]]) -> dict[str, Any]:
    """The record of a cell: of several folds the first, from the start of the first to the end of the last."""
    known = list(trainings.values())
    if len(known) < 2:
        return known[0] if known else {}
    times = {"started": min, "finished": max}
    return {
        **known[0],
        **{key: end(one.get(key, "") for one in known) for key, end in times.items()},
    }


def _action(cell: Mapping[str, Any], record: Mapping[str, Any]) -> dict[str, Any]:
    status = STATUS.get(cell["state"], "PotentialActionStatus")
    facts: dict[str, Any] = {
        "@id": f"#train-{_key(cell)}",
        "@type": "CreateAction",
        "name": f"Train and score {_key(cell)}",
        "actionStatus": f"http://schema.org/{status}",
        "instrument": {"@id": SOFTWARE},
        "object": {"@id": f"#data-{cell['dataset']}"},
    }
    if cell["state"] != "done":
        facts["error"] = str(cell["reason"])
    for name, key in (("startTime", "started"), ("endTime", "finished")):
        if record.get(key):
            facts[name] = record[key]
    if record:
        device = record.get("device", {})
        facts["description"] = (
            f"{record.get('command', '')}; recipe {record.get('recipe_digest', 'not recorded')}; "
            f"{device.get('name') or device.get('type', 'device not recorded')}"
        )
    return facts


def _export(files: list[str], actions: list[str]) -> dict[str, Any]:
    return {
        "@id": "#export",
        "@type": "CreateAction",
        "name": "Collect, compare and export",
        "instrument": {"@id": SOFTWARE},
        "object": [{"@id": one} for one in actions],
        "result": [{"@id": one} for one in files],
    }
