"""The exported results as an RO-Crate: what each file is, which data and which runs it came from.

RO-Crate 1.1 (https://w3id.org/ro/crate/1.1), and a Process Run Crate 0.5 (https://w3id.org/ro/wfrun/process/0.5): one
``ro-crate-metadata.json`` in the folder it describes. Trainings are actions with their command, recipe, commit, machine
and result; a cell that failed is a failed action with its error, one that has not run is none.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from salstm.analysis.results import Collected, dataset_name, of_cell
from salstm.data.datasets import DATASETS
from salstm.files import write_json
from salstm.vocabulary import Identity

NAME = "ro-crate-metadata.json"
VERSION = "1.1"
PAPER = "https://doi.org/10.1109/TIP.2024.3482189"
SOFTWARE = f"{PAPER}#salstm"
"""An absolute URI, as the profile asks for: the suite has no address, so it is named by the paper that it examines."""
LICENCE = "https://spdx.org/licenses/MIT"
PROCESS = "https://w3id.org/ro/wfrun/process/0.5"
AUTHORS = "#authors"
OPERATOR = "#operator"
TERMS = {one: f"http://schema.org/{one}" for one in ("sha256", "creditText")}
"""What schema.org has and the context of RO-Crate 1.1 has not."""
FILES = {
    "challenger": "Scores as challengeR loads them: Task, TestCase, Algorithm, MetricValue.",
    "means": "Means of every cell, under nnU-Net's keys; not a file of nnU-Net.",
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
    crate.metadata.extra_terms.update(TERMS)
    files = [_file(crate, path, out) for path in sorted(out.rglob("*")) if _described(path)]
    cells = data.cells[data.cells["state"].isin(STATUS)].to_dict("records")
    runs = {_key(cell): _record(of_cell(records, Identity.of(cell))) for cell in cells}
    entities = [*_people(runs), _licence(), _profile(), _paper(), _software(runs)]
    entities += [_dataset(results, one) for one in data.datasets]
    names = {one.id for one in files}
    ended = max([one.get("finished", "") for one in runs.values()] + ["1970-01-01"])
    cells = [_action(cell, runs[_key(cell)], names) for cell in cells]
    exported = _export([one.id for one in files], [_id(one) for one in data.datasets], ended)
    for facts in (*entities, *cells, exported):
        properties = {key: value for key, value in facts.items() if key != "@id"}
        crate.add(ContextEntity(crate, facts["@id"], properties=properties))
    root = crate.root_dataset
    # The crate's date is the data's, not the clock's: the same results give the same bytes.
    root["datePublished"] = ended
    root["license"], root["conformsTo"] = {"@id": LICENCE}, {"@id": PROCESS}
    root["author"] = root["publisher"] = {"@id": AUTHORS}
    root["mentions"] = [{"@id": one["@id"]} for one in (*cells, exported)]
    root["citation"] = {"@id": PAPER}
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


def _people(runs: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Who wrote the suite and publishes what it writes, and who ran it, whom the records name by the machine."""
    hosts = {one.get("environment", {}).get("host", "") for one in runs.values()} - {""}
    where = f" on {', '.join(sorted(hosts))}" if hosts else ""
    return [
        {
            "@id": AUTHORS,
            "@type": "Organization",
            "name": "The salstm authors",
            "description": "Who wrote the suite and publishes what it writes.",
            "url": PAPER,
        },
        {
            "@id": OPERATOR,
            "@type": "Person",
            "name": f"Operator of the runs{where}",
            "description": "Who ran the trainings; the records name no person.",
        },
    ]


def _licence() -> dict[str, Any]:
    return {
        "@id": LICENCE,
        "@type": "CreativeWork",
        "name": "MIT License",
        "description": "Of the scores and tables; each dataset has a licence of its own.",
        "url": "https://opensource.org/license/mit",
    }


def _profile() -> dict[str, Any]:
    name = "Process Run Crate"
    return {"@id": PROCESS, "@type": "CreativeWork", "name": name, "version": "0.5"}


def _id(dataset: str) -> str:
    return f"#data-{dataset}"


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
        "description": "Benchmark of the modules SALSTM and LSTMSA on published segmentation networks.",
        "softwareVersion": ", ".join(sorted(named)) or "not recorded",
        "url": PAPER,
        "license": {"@id": LICENCE},
    }


def _dataset(results: Path, dataset: str) -> dict[str, Any]:
    terms = DATASETS[dataset]
    manifest = results / dataset / "cases" / "manifest.json"
    digest = hashlib.sha256(manifest.read_bytes()).hexdigest() if manifest.is_file() else "not here"
    return {
        "@id": _id(dataset),
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


def _action(
    cell: Mapping[str, Any], record: Mapping[str, Any], files: Collection[str]
) -> dict[str, Any]:
    """A training: who ran what on what, and the file of its scores, if it is among the files."""
    facts: dict[str, Any] = {
        "@id": f"#train-{_key(cell)}",
        "@type": "CreateAction",
        "name": f"Train and score {_key(cell)}",
        "description": "Training, prediction and scoring of one cell; its command is not recorded.",
        "actionStatus": f"http://schema.org/{STATUS[cell['state']]}",
        "agent": {"@id": OPERATOR},
        "instrument": {"@id": SOFTWARE},
        "object": {"@id": _id(cell["dataset"])},
    }
    result = f"nnunet/{_key(cell)}.json"
    if result in files:
        facts["result"] = {"@id": result}
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


def _export(files: list[str], datasets: list[str], ended: str) -> dict[str, Any]:
    return {
        "@id": "#export",
        "@type": "CreateAction",
        "name": "Collect, compare and export",
        "description": "python -m salstm collect, claims and export, after the trainings.",
        "actionStatus": f"http://schema.org/{STATUS['done']}",
        "agent": {"@id": OPERATOR},
        "instrument": {"@id": SOFTWARE},
        "object": [{"@id": one} for one in datasets],
        "result": [{"@id": one} for one in files],
        "endTime": ended,
    }
