"""What a publication says of itself: ``publication.json``, made from a run's configuration and read with suspicion."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from salstm import provenance
from salstm.data import own
from salstm.data.datasets import DATASETS
from salstm.files import read_json
from salstm.fingerprint import NoSuchCodeError, fingerprint
from salstm.paths import Paths
from salstm.publication import members
from salstm.vocabulary import IMPORTED, VARIANTS, Identity, cells, check

PROTOCOL = "1.0"
"""Version of what a score means: columns, scopes, metrics and conventions. Another one is another benchmark."""
SUITE = (
    "salstm.jobs.training:train",
    "salstm.jobs.prediction:predict",
    "salstm.jobs.evaluation:score",
)
"""Where the code starts that decides the numbers of a cell, beside its network's folder."""
LICENCE = "https://spdx.org/licenses/MIT"
PAPER = "https://doi.org/10.1109/TIP.2024.3482189"

_KEYS: dict[str, type | tuple[type, ...]] = {
    "protocol": str,
    "name": str,
    "grid": dict,
    "statistics": dict,
    "limits": list,
    "phantoms": list,
    "own": dict,
    "code": dict,
    "data": dict,
    "imported": list,
}


def describe(config: dict[str, Any], limits: list[str], results: Path) -> dict[str, Any]:
    """The description of a run.

    Args:
        config: checked; paths of raw data in it are left out.
        limits: why the run cannot decide about accuracy (``salstm.limits``).
        results: results/<name>.

    Raises:
        FileNotFoundError: no cell of the grid has scores there.
    """
    paths = Paths(config)
    records = _records(results)
    grid = paths.grid(paths.name)
    if not any((one.folder(results) / "scores.csv").is_file() for one in cells(grid)):
        raise FileNotFoundError(
            f"{results}: no scores of a cell of the grid of {paths.name!r}; name results/<name> and, by --config, the "
            f"files that the run was made with"
        )
    outside = sorted({Identity.of(one["identity"]) for one in records if one.get(IMPORTED)})
    blocks = {
        name: {key: value for key, value in block.items() if key != "raw"}
        for name, block in config["datasets"].items()
        if name in paths.active
    }
    commits = {json.dumps(one.get("environment", {}).get("commit", {})) for one in records}
    return {
        "protocol": PROTOCOL,
        "name": paths.name,
        "grid": grid,
        "statistics": config["statistics"],
        "limits": limits,
        "phantoms": [one for one in paths.active if config["datasets"][one].get("phantom")],
        "own": own.settings(config["datasets"], paths.active, shown=True),
        "code": code({name for names in grid["grid"].values() for name in names}),
        "commits": [json.loads(one) for one in sorted(commits)],
        "data": {one: _data(results / one, config["datasets"][one]) for one in paths.active},
        "imported": [list(one) for one in outside],
        "configuration": {**config, "datasets": blocks},
        "licence": LICENCE,
        "citation": [PAPER, *(DATASETS[one].citation for one in paths.active)],
        "terms": {one: _terms(one) for one in paths.active},
    }


def code(networks: set[str]) -> dict[str, Any]:
    """Hashes of the checkout's code: of the suite, and of each network that it has."""
    known = {}
    for name in sorted(networks):
        with suppress(NoSuchCodeError):
            known[name] = fingerprint(f"baselines.{name}")
    return {"suite": fingerprint(*SUITE), "networks": known}


def read(path: Path) -> dict[str, Any]:
    """A description, checked.

    Raises:
        ValueError: not one, of another protocol, or with names that cannot be; the message names file and key.
    """
    said = read_json(path)
    if not isinstance(said, dict):
        raise ValueError(f"{path.name}: no description of results")
    for key, kind in _KEYS.items():
        if not isinstance(said.get(key), kind):
            raise ValueError(f"{path.name}: {key} is missing or of another kind")
    if said["protocol"] != PROTOCOL:
        raise ValueError(
            f"{path.name}: protocol {said['protocol']!r}, this program reads {PROTOCOL}; its scores mean something "
            f"else; use the version of salstm that published them"
        )
    _check_names(said, path.name)
    return said


def cells_of(said: Mapping[str, Any]) -> list[Identity]:
    """Every cell that a description speaks of: of the grid, and imported."""
    return [*cells(said["grid"]), *(Identity(*one) for one in said["imported"])]


def register(said: Mapping[str, Any]) -> None:
    """Make the datasets known that the publisher declared.

    Raises:
        ValueError: a dataset that this program does not have and that is not declared.
    """
    own.register(said["own"])
    for dataset in said["grid"]["grid"]:
        check("dataset", dataset, DATASETS)


def _check_names(said: Mapping[str, Any], where: str) -> None:
    try:
        members.checked_name("name", said["name"])
        if missing := {"grid", "variants", "seeds"} - {*said["grid"]}:
            raise ValueError(f"grid: no {min(missing)}")
        for cell in cells_of(said):
            for key, name in zip(Identity._fields[:3], cell[:3], strict=True):
                members.checked_name(key, name)
            check("variant", cell.variant, VARIANTS)
            if type(cell.seed) is not int:
                raise ValueError(f"seed: {cell.seed!r} is no whole number")
        if not all(type(one) is int for one in said["grid"].get("folds", {}).values()):
            raise ValueError("grid: folds are whole numbers")
        if taken := sorted(set(said["own"]) & set(own.BUILT_IN)):
            raise ValueError(f"own: {taken[0]} is a dataset that every salstm has")
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{where}: not of the form that this program writes: {error!r}") from error
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from error


def _records(results: Path) -> list[dict[str, Any]]:
    return [read_json(path) for path in sorted(results.glob("*/*/*/seed*/**/run.json"))]


def _data(folder: Path, block: Mapping[str, Any]) -> dict[str, Any]:
    """Hashes of a dataset's prepared cases and of its raw files, and how they are divided."""
    manifest = folder / "cases" / "manifest.json"
    raw = folder / "raw.json"
    hashed = hashlib.sha256(manifest.read_bytes()).hexdigest() if manifest.is_file() else None
    return {
        "manifest_sha256": hashed,
        "raw_sha256": raw_hash(raw) if raw.is_file() else None,
        "split": block["split"],
    }


def raw_hash(path: Path) -> str:
    """Hash of the names and hashes in a list of raw files, without times."""
    files = {name: one["sha256"] for name, one in read_json(path)["files"].items()}
    return hashlib.sha256(json.dumps(files, sort_keys=True).encode()).hexdigest()


def _terms(dataset: str) -> dict[str, str]:
    entry = DATASETS[dataset]
    return {"licence": entry.licence, "url": entry.licence_url, "cite": entry.citation}


def texts() -> dict[str, Path]:
    """Licence and citation of the suite, where this is a checkout."""
    return {
        name: provenance.ROOT / name
        for name in sorted(members.TEXTS)
        if (provenance.ROOT / name).is_file()
    }
