"""A finished training, found again with what its images went through, and applied to others."""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch

from salstm.data.case import Case
from salstm.data.resize import resize
from salstm.data.square import box
from salstm.files import read_json, write_json
from salstm.modules.wrapper import Attached
from salstm.segmentation import files
from salstm.segmentation.images import Image, Preparation, check_kind, read, within
from salstm.training import inference

if TYPE_CHECKING:
    from salstm.data.store import Store

log = logging.getLogger(__name__)
SUMMARY = "segmentation.json"


@dataclass(frozen=True)
class Trained:
    """A network with its weights, and what its images go through.

    Attributes:
        model: ready to predict.
        view: how frames reach it.
        classes: names of the foreground classes, in the order of their numbers.
        prepared: how images are prepared.
        device: where it runs.
    """

    model: Attached
    view: inference.View
    classes: Sequence[str]
    prepared: Preparation
    device: torch.device


@dataclass(frozen=True)
class Request:
    """What is asked of a training.

    Attributes:
        selection: which weights.
        cases: folder of the training's prepared cases, for their manifest; None finds it above the training's folder.
        axes: where the axes of volumes point whose header does not say, like 'LPS'.
        sequence: the pictures are frames of one video, in this order, and see their neighbours.
        probabilities: write those, too.
        batch: frames that pass the network at once, and pictures where they see no neighbours; 0 for the recipe's, and
            one picture.
    """

    selection: str = "best_val"
    cases: Path | None = None
    axes: str | None = None
    sequence: bool = False
    probabilities: bool = False
    batch: int = 0


class Frames:
    """Images in memory, as a store gives them: one stack after the other."""

    def __init__(self, images: Sequence[Image], *, together: bool) -> None:
        self.cases: list[Case] = []
        self._frames: list[np.ndarray] = []
        self._bounds: dict[str, tuple[int, int]] = {}
        for number, image in enumerate(images):
            stack = "0" if together else str(number)
            case = image.case(stack, len(self._frames))
            first = self._bounds.get(stack, (case.first, 0))[0]
            self._frames += list(image.frames)
            self._bounds[stack] = (first, len(self._frames) - 1)
            self.cases.append(case)

    def frame(self, number: int) -> np.ndarray:
        """Image by its number."""
        return self._frames[number]

    def stack_bounds(self, case: Case) -> tuple[int, int]:
        """Numbers of the first and the last frame of the case's stack."""
        return self._bounds[case.stack]


def preparation(run: Path, record: dict[str, Any], request: Request) -> Preparation:
    """How a training's cases were prepared, by the manifest of its cases.

    Args:
        run: folder of the training.
        record: its run record.
        request: of it, ``cases`` and ``axes``.

    Raises:
        FileNotFoundError: no manifest.
        ValueError: that of other cases than the training's, or axes or a sequence of what has none.
    """
    cases = request.cases
    places = [cases] if cases else [above / "cases" for above in run.resolve().parents]
    named = (one / "manifest.json" for one in places)
    manifest = next((one for one in named if one.is_file()), None)
    if manifest is None:
        raise FileNotFoundError(
            f"{run}: no manifest.json of its prepared cases above it; name their folder by --cases"
        )
    hashed = hashlib.sha256(manifest.read_bytes()).hexdigest()
    if hashed != record.get("data_manifest_sha256"):
        raise ValueError(
            f"{manifest}: not of the cases that {run} was trained on (its hash differs); name those by --cases"
        )
    said = read_json(manifest)["parameters"]
    dataset = record["identity"]["dataset"]
    facts = (record["channels"], said["size"], said["normalise"])
    found = Preparation(dataset, *facts, request.axes)
    if request.sequence and found.of_volumes:
        raise ValueError("--sequence: is for pictures; the frames of a volume are one")
    if request.axes and not found.of_volumes:
        raise ValueError("--axes: is for volumes; pictures have none")
    return found


def planned(
    paths: Sequence[Path], out: Path, trained: Preparation, request: Request
) -> dict[Path, list[Path]]:
    """Image -> the files that are written of it, before anything is read.

    Raises:
        FileNotFoundError: no such file, or a folder without an image.
        ValueError: another kind of file, two images of one name, or a file that would be written over.
    """
    found = [one for path in paths for one in within(path, trained)]
    owners: dict[Path, Path] = {}
    options: dict[str, bool] = {
        "volume": trained.of_volumes,
        "probabilities": request.probabilities,
    }
    plan = {}
    for path in found:
        check_kind(path, trained)
        plan[path] = files.names(path, out, **options)
        for target in plan[path]:
            if (other := owners.setdefault(target, path)) != path:
                raise ValueError(
                    f"{path}: {target.name} would be written of {other}, too; segment them apart"
                )
            if target.exists():
                raise ValueError(f"{target}: is there; name another folder by --out, or remove it")
    if len(plan) != len(found):
        raise ValueError(f"{next(one for one in found if found.count(one) > 1)}: named twice")
    return plan


def segment(trained: Trained, plan: dict[Path, list[Path]], request: Request) -> None:
    """Segment images, one after the other, and write each as soon as it is done.

    Args:
        trained: the network.
        plan: of ``planned``.
        request: how.

    Raises:
        ValueError: images that could not be read, all of them named; the others are done.
    """
    problems, done, started = [], 0, time.monotonic()
    sequence = request.sequence
    for group in _groups(list(plan), len(plan) if sequence else request.batch):
        images = []
        for path in group:
            try:
                images.append(read(path, trained.prepared))
            except (ValueError, OSError) as error:
                problems.append(str(error))
                log.error("%s", error)
        if sequence and len(images) < len(group):
            break  # without one of them its neighbours would see another one
        for alike in _alike(images, together=sequence or trained.view.frames == 1):
            _write(trained, alike, plan, together=len(alike) > 1)
            done += len(alike)
            log.info(
                "%d of %d: %s, %.1f s", done, len(plan), alike[-1].path, time.monotonic() - started
            )
    if problems:
        raise ValueError(
            f"{len(problems)} of {len(plan)} images not segmented: {'; '.join(problems)}"
        )


@contextmanager
def summarised(
    out: Path, trained: Trained, plan: dict[Path, list[Path]], facts: dict[str, Any]
) -> Iterator[None]:
    """Write beside the label maps what was done of a plan, whole or not: ``segmentation.json``.

    Raises:
        ValueError: the folder has one of another training.
    """
    numbers = {name: number for number, name in enumerate(trained.classes, start=1)}
    if len(numbers) == 1 and not trained.prepared.of_volumes:
        numbers = dict.fromkeys(numbers, files.SHOWN)
    facts = {**facts, "values": {"background": 0, **numbers}}
    before = read_json(out / SUMMARY) if (out / SUMMARY).is_file() else {}
    if before and any(before.get(key) != value for key, value in facts.items()):
        raise ValueError(f"{out / SUMMARY}: is of another training; name another folder by --out")
    try:
        yield
    finally:
        there = {
            str(path): [one.name for one in targets]
            for path, targets in plan.items()
            if all(one.is_file() for one in targets)
        }
        if there:
            write_json(out / SUMMARY, {**facts, "files": {**before.get("files", {}), **there}})


def _groups(paths: list[Path], size: int) -> Iterator[list[Path]]:
    for start in range(0, len(paths), max(1, size)):
        yield paths[start : start + max(1, size)]


def _alike(images: list[Image], *, together: bool) -> Iterator[list[Image]]:
    """Images of one size at once, or one by one."""
    if not together:
        yield from ([one] for one in images)
        return
    by_size: dict[tuple[int, ...], list[Image]] = {}
    for image in images:
        by_size.setdefault(image.frames.shape[1:], []).append(image)
    yield from by_size.values()


def _write(
    trained: Trained, images: list[Image], plan: dict[Path, list[Path]], *, together: bool
) -> None:
    frames = Frames(images, together=together)
    store = cast("Store", frames)
    model, view, device = trained.model, trained.view, trained.device
    predicted = inference.predict(model, store, frames.cases, view, device)
    for image, (_, labels) in zip(images, predicted, strict=True):
        native = resize(labels, *image.native, order=0)
        files.write_labels(plan[image.path][0], image, native, len(trained.classes))
    if any(len(plan[image.path]) > 1 for image in images):
        logits = torch.cat([
            part.float().cpu()
            for part in inference.logits(model, store, frames.cases, view, device)
        ])  # fmt: skip
        rest = iter(logits)
        for image in images:
            part = torch.stack([next(rest) for _ in image.frames])
            values = _probabilities(part, image, view)
            files.write_probabilities(plan[image.path][1], image, values)


def _probabilities(logits: torch.Tensor, image: Image, view: inference.View) -> np.ndarray:
    """``(D, rows, columns, classes with background)`` float32 in native size: linear, corners on corners, as labels."""
    place = box(image.frames.shape[1], image.frames.shape[2], view.size, view.resize)
    part = logits[:, :, place.rows, place.columns]
    one = part.shape[1] == 1
    values = torch.cat([1 - part.sigmoid(), part.sigmoid()], 1) if one else part.softmax(1)
    return np.moveaxis(resize(values.numpy(), *image.native, order=1), 1, -1)
