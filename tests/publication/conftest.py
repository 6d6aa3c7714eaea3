"""Results of a run as they lie on a disk, made up and small."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from salstm.analysis import analyse, collect
from salstm.columns import COLUMNS
from salstm.files import write_csv, write_json
from salstm.publication import description, sources
from salstm.publication.sources import Publication
from salstm.vocabulary import Identity, cells
from tests import synthetic
from tests.synthetic import Made

MADE = Made(
    grid={"isic2018": ("unet", "resunet"), "acdc": ("mtunet",)},
    variants=("plain", "salstm"),
    cases=3,
    epochs=2,
)
GRID = {
    "grid": {name: list(chosen) for name, chosen in MADE.grid.items()},
    "variants": list(MADE.variants),
    "seeds": list(MADE.seeds),
    "folds": {},
}
STATISTICS = {"modules": ["salstm"], "metrics": ["dice", "hd95"], "resamples": 20}


def results(folder: Path, made: Made = MADE) -> Path:
    """Write the files that rules leave before `collect`; returns results/<name>."""
    for dataset in made.grid:
        manifest = {"source": {"dataset": dataset}, "arrays": {}}
        write_json(folder / dataset / "cases" / "manifest.json", manifest)
        write_json(folder / dataset / "raw.json", {"files": {"a": {"sha256": "0" * 64}}})
        (folder / dataset / "cases" / "images.npy").write_bytes(b"pixels")
        write_csv(folder / dataset / "audit.csv", pd.DataFrame(columns=["split", "fact", "value"]))
    for one in cells(vars(made)):
        _cell(folder, made, one)
    for dataset, networks in made.grid.items():
        stack(folder, Identity(dataset, networks[0], "plain", made.seeds[0]))
    return folder


def stack(folder: Path, one: Identity) -> None:
    """Write the sparsity of the network whose modules a run stacks: its dataset's first."""
    write_csv(
        folder / one.dataset / one.baseline / "sparsity.csv", synthetic._sparsity(one._asdict())
    )


def _cell(folder: Path, made: Made, one: Identity) -> None:
    place, keys = one.folder(folder), one._asdict()
    write_csv(place / "scores.csv", synthetic._scores(made, keys))
    curve = synthetic._history(made, keys)
    write_csv(place / "history.csv", curve.drop(columns=list(keys)))
    manifest = (folder / one.dataset / "cases" / "manifest.json").read_bytes()
    record = {
        "identity": keys,
        "recipe": {"epochs": 2},
        "recipe_digest": hashlib.sha256(one.key.rpartition("/")[0].encode()).hexdigest()[:16],
        "data_manifest_sha256": hashlib.sha256(manifest).hexdigest(),
        "best": {"best_val": {"epoch": 1, "score": 0.5}, "best_test": {"epoch": 1, "score": 0.5}},
        "seconds": 2.0,
        "environment": {"commit": {"id": "abc", "changed": False}, "host": "here"},
    }
    write_json(place / "run.json", record)
    for name in ("last", "best_val", "best_test"):
        (place / f"{name}.safetensors").write_bytes(b"weights")
    rows = [synthetic._cost({**keys, "variant": variant}) for variant in made.variants]
    write_csv(
        folder / one.dataset / one.baseline / "cost.csv",
        pd.DataFrame(rows).reindex(columns=list(COLUMNS["cost"])),
    )


def said(folder: Path, grid: dict[str, Any] | None = None) -> dict[str, Any]:
    """A description, as `describe` makes it of a configuration."""
    grid = grid or GRID
    manifests = {one: folder / one / "cases" / "manifest.json" for one in grid["grid"]}
    hashes = {one: hashlib.sha256(path.read_bytes()).hexdigest() for one, path in manifests.items()}
    return {
        "protocol": description.PROTOCOL,
        "name": "small",
        "grid": grid,
        "statistics": STATISTICS,
        "limits": [],
        "phantoms": [],
        "own": {},
        "code": {"suite": "s1", "networks": {"unet": "u1"}},
        "commits": [{"id": "abc"}],
        "data": {one: {"manifest_sha256": value, "split": {}} for one, value in hashes.items()},
        "imported": [],
        "citation": ["somebody"],
        "terms": {},
    }


@pytest.fixture(scope="session")
def made_results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve cells of three networks; never changed."""
    return results(tmp_path_factory.mktemp("made") / "small")


@pytest.fixture(scope="session")
def claims(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two sentences about them."""
    return synthetic.claims(tmp_path_factory.mktemp("claims") / "claims.yaml", MADE.grid)


@pytest.fixture(scope="session")
def one_run(made_results: Path, claims: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the rules collect and claims make of the results where they were trained."""
    out = tmp_path_factory.mktemp("collected")
    collect.collect(made_results, GRID, out)
    analyse.write(out, claims, STATISTICS, GRID["grid"], [])
    return out


Open = Callable[..., Publication]


def every(cell: Identity) -> bool:
    del cell
    return True


def nothing(folder: Path) -> None:
    del folder


@pytest.fixture
def open_part(made_results: Path, claims: Path, tmp_path: Path) -> Open:
    """A copy of some cells as a machine of its own has them: `open_part("a", lambda cell: ..., change=...)`."""

    def opened(
        name: str,
        wanted: Callable[[Identity], bool] = every,
        change: Callable[[Path], None] = nothing,
        **keys: Any,
    ) -> Publication:
        folder = made_results
        if wanted is not every or change is not nothing:
            folder = tmp_path / name
            shutil.copytree(made_results, folder)
        for one in cells(GRID):
            if not wanted(one):
                shutil.rmtree(one.folder(folder))
        change(folder)
        grid = {**GRID, **keys.pop("grid", {})}
        told = {**said(folder, grid), **keys}
        return sources.opened(
            folder, tmp_path / "unused", lambda _: json.loads(json.dumps(told)), claims
        )

    return opened
