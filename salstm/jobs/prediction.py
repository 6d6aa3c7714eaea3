"""A trained cell on images: those of the test set, and one's own."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from salstm.jobs.models import assembled, device_of
from salstm.vocabulary import SELECTIONS

if TYPE_CHECKING:
    from salstm.jobs.models import Build
    from salstm.segmentation.run import Request

log = logging.getLogger(__name__)


def predict(
    build: Build,
    run: Path,
    *,
    cases: Path,
    out: Path,
    device: str = "auto",
    threads: int = 0,
    calibration: bool = False,
    maps: bool = False,
) -> None:
    """Predict the test cases with each selection of a cell's weights.

    Selections with the same weights are predicted once; their files are one.

    Args:
        build: builds the network, without published weights.
        run: folder of the training, with what ``train`` left.
        cases: folder of the prepared cases.
        out: folder that gets ``<selection>.npz``: labels of every test case on the stored grid.
        device: auto, cpu or cuda.
        threads: CPU threads; 0 leaves torch's own number.
        calibration: also writes ``calibration.csv``, the expected calibration error of each case and class.
        maps: also writes the probabilities of each case, ``probabilities/<selection>/<case>.npz``: large.
    """
    import numpy as np

    from salstm.data.store import Store
    from salstm.evaluation.calibration import Keeper
    from salstm.files import read_json, replacing, same, share
    from salstm.recipes import load
    from salstm.training import checkpoint, inference

    record = read_json(run / "run.json")
    store = Store(cases).fold(record.get("fold"))
    chosen = device_of(device, threads)
    model = assembled(build, record, chosen)
    view = inference.View.of(load(record["recipe"]), record["channels"])
    predicted: dict[Path, Path] = {}
    keeper = Keeper(store.labels, record["classes"], out, maps=maps)
    watched = calibration or maps
    for selection in SELECTIONS:
        weights, path = run / f"{selection}.safetensors", out / f"{selection}.npz"
        if twin := next((known for known in predicted if same(known, weights)), None):
            share(predicted[twin], path)
            keeper.same(selection, twin.stem)
            log.info("%s: the weights of %s", selection, twin.stem)
            continue
        predicted[weights] = path
        model.load_state_dict(checkpoint.load_weights(weights))
        watch = keeper.of(selection) if watched else None
        cases_of = inference.predict(model, store, store.split("test"), view, chosen, watch)
        labels = {case.id: prediction for case, prediction in cases_of}
        # An open file keeps numpy from appending .npz to the temporary name.
        with replacing(path) as temporary, temporary.open("wb") as file:
            np.savez_compressed(file, allow_pickle=False, **labels)
        log.info("%s: %d cases predicted", selection, len(labels))
    if calibration:
        keeper.write()


def segment(
    build: Build,
    run: Path,
    paths: Sequence[Path],
    out: Path,
    request: Request,
    *,
    device: str = "auto",
    threads: int = 0,
) -> None:
    """Segment images of one's own with a trained cell, as ``predict`` does its test cases.

    Args:
        build: builds the network, without published weights.
        run: folder of the training, with what ``train`` left.
        paths: images, or folders of them: NIfTI volumes where the training was of volumes, else pictures.
        out: folder that gets a label map of each, in native size and the file's own geometry, and segmentation.json.
        request: which weights, and how.
        device: auto, cpu or cuda.
        threads: CPU threads; 0 leaves torch's own number.

    Raises:
        FileNotFoundError: no weights, no manifest, no image.
        ValueError: what cannot be segmented, every file of it named; the others are done.
    """
    from dataclasses import replace

    from salstm.files import read_json
    from salstm.recipes import load
    from salstm.segmentation import run as applied
    from salstm.training import checkpoint, inference

    record = read_json(run / "run.json")
    prepared = applied.preparation(run, record, request)
    plan = applied.planned(paths, out, prepared, request)
    chosen = device_of(device, threads)
    model = assembled(build, record, chosen)
    model.load_state_dict(checkpoint.load_weights(run / f"{request.selection}.safetensors"))
    view = inference.View.of(load(record["recipe"]), record["channels"])
    view = replace(view, batch=request.batch) if request.batch else view
    trained = applied.Trained(model, view, record["classes"], prepared, chosen)
    facts = {key: record[key] for key in ("identity", "recipe_digest") if key in record}
    with applied.summarised(out, trained, plan, {**facts, "selection": request.selection}):
        applied.segment(trained, plan, request)
