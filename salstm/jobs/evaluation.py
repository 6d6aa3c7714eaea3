"""Predictions to scores, ours and those of other programs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from salstm.vocabulary import IDENTITY, SELECTIONS

if TYPE_CHECKING:
    import pandas as pd

    from salstm.data.store import Store
    from salstm.evaluation.look import Chosen
    from salstm.vocabulary import Identity


def score(
    runs: Sequence[Path],
    predictions: Sequence[Path],
    cases: Path,
    out: Path,
    *,
    chosen: Mapping[str, Any] | None = None,
) -> None:
    """Score a cell's predictions: every metric, every test case, every scope.

    Args:
        runs: folders of the cell's trainings, for their run.json: one, or one a fold.
        predictions: folders that ``predict`` wrote, one a training.
        cases: folder of the prepared cases.
        out: the table, CSV.
        chosen: what is measured beyond the columns of every scores.csv, as ``salstm.choices.of`` says it.

    Raises:
        ValueError: trainings of different cells or recipes; a case that is tested twice, or by none.
    """
    from collections import ChainMap

    import numpy as np

    from salstm.data.store import Store
    from salstm.evaluation import scoring
    from salstm.evaluation.calibration import joined
    from salstm.evaluation.look import Chosen
    from salstm.files import read_json, write_csv

    records, store = [read_json(one / "run.json") for one in runs], Store(cases)
    record = scoring.same_cell(records, len(store.folds))
    by_selection = {
        name: [np.load(one / f"{name}.npz") for one in predictions] for name in SELECTIONS
    }
    for parts in by_selection.values():
        scoring.check_once(parts, [one.id for one in store.split("test")])
    labels = {name: ChainMap(*parts) for name, parts in by_selection.items()}
    # Records of before 0.2.0 name none.
    options = {"postprocess": record["recipe"].get("postprocess", "none")}
    known = (record["classes"], record["identity"])
    asked = Chosen(**(chosen or {}))
    scores = scoring.score(labels, store, *known, **options, chosen=asked)
    scores = joined(scores, predictions) if "ece" in asked.metrics else scores
    write_csv(out, _in_subgroups(scores, asked, store, cases, record["identity"]["dataset"]))


def _in_subgroups(
    scores: pd.DataFrame, asked: Chosen, store: Store, cases: Path, dataset: str
) -> pd.DataFrame:
    """Scores of test cases with the columns of the subgroups that are asked for."""
    from salstm.evaluation import scoring, subgroups

    if not asked.subgroups:
        return scores
    voxels = {one.id: scoring.voxel(one) for one in store.split("test")}
    return subgroups.labelled(scores, asked.subgroups, cases, dataset, voxels)


def import_predictions(
    theirs: Identity,
    folder: Path,
    results: Path,
    *,
    names: Path | None = None,
    axes: str | None = None,
    chosen: Mapping[str, Any] | None = None,
) -> Path:
    """Score label files that another program wrote, as a network of a run.

    Args:
        theirs: dataset, the name of what made them, as tables print it after ``imported-``, variant and seed.
        folder: a file for each tested case: volumes as NIfTI, or pictures; in the image's own size.
        results: results/<name> of the run, for the prepared cases; gets the cell.
        names: a CSV file with columns file and case, where files are not called as their cases.
        axes: where the axes of volumes point whose header does not say, like 'LPS'.
        chosen: as for ``score``; what needs probabilities is undefined.

    Returns:
        The cell's folder: ``scores.csv``, a ``history.csv`` without rows, ``run.json`` with the files' hashes.

    Raises:
        FileNotFoundError: a case without a file.
        ValueError: a file too many, of another size, with unknown labels; the message names it.
        FileExistsError: the cell is there.
    """
    import hashlib

    import pandas as pd

    from salstm import provenance
    from salstm.columns import COLUMNS
    from salstm.data import datasets
    from salstm.data.readers.npy import sha256
    from salstm.data.store import Store
    from salstm.evaluation import outside
    from salstm.evaluation.look import Chosen
    from salstm.files import write_csv, write_json
    from salstm.publication.members import checked_name
    from salstm.vocabulary import IMPORTED, VARIANTS, check

    dataset = theirs.dataset
    entry = datasets.DATASETS[datasets.check(dataset)]
    check("variant", theirs.variant, VARIANTS)
    cell = theirs._replace(baseline=f"{IMPORTED}-{checked_name('name', theirs.baseline)}")
    place = cell.folder(results)
    if place.exists():
        raise FileExistsError(f"{place}: is there; name another seed, or remove it")
    cases = results / dataset / "cases"
    store = Store(cases)
    files = outside.listed(folder, store.split("test"), names)
    asked = Chosen(**(chosen or {}))
    scores = outside.score(files, store, entry, cell._asdict(), axes, asked)
    scores = _in_subgroups(scores, asked, store, cases, dataset)
    record = {
        "identity": cell._asdict(),
        IMPORTED: {
            path.name: {"case": case, "sha256": sha256(path)} for case, path in files.items()
        },
        "classes": list(entry.classes),
        "recipe_digest": IMPORTED,
        "split": store.manifest["source"].get("split", {}),
        "data_manifest_sha256": hashlib.sha256((cases / "manifest.json").read_bytes()).hexdigest(),
        "finished": provenance.now(),
        "command": provenance.command(),
        "environment": provenance.environment(),
    }
    write_json(place / "run.json", record)
    curve = [one for one in COLUMNS["history"] if one not in IDENTITY]
    write_csv(place / "history.csv", pd.DataFrame(columns=curve))
    write_csv(place / "scores.csv", scores)  # last: it makes the cell done
    return place


def bounds(
    dataset: str, cases: Path, out: Path, *, chosen: Mapping[str, Any] | None = None
) -> None:
    """Score what no network predicted: the reference on the stored grid, an empty mask, a second annotation.

    Args:
        dataset: its name.
        cases: folder of the prepared cases.
        out: the table, CSV.
        chosen: as for ``score``.
    """
    from salstm.data import datasets
    from salstm.data.store import Store
    from salstm.evaluation import bounds as rows
    from salstm.evaluation.look import Chosen
    from salstm.files import write_csv

    classes = datasets.DATASETS[datasets.check(dataset)].classes
    write_csv(out, rows.measure(Store(cases), classes, dataset, Chosen(**(chosen or {}))))
