"""One training: from prepared cases and a recipe to three selections of weights.

Everything random follows from (seed, epoch, item), so a run that was killed goes on from its last epoch and ends
with the weights of an undisturbed run.
"""

from __future__ import annotations

import contextlib
import logging
import math
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn

from salstm.data.case import Case
from salstm.data.store import Store
from salstm.files import share, write_csv
from salstm.modules.wrapper import Attached
from salstm.optimisation import schedules
from salstm.recipes import Recipe
from salstm.training import checkpoint, multiscale, resources
from salstm.training.errors import TrainingError, explained
from salstm.training.inference import View, predict
from salstm.training.loader import Batches, mixed, windows
from salstm.training.machine import Machine
from salstm.training.progress import Progress
from salstm.training.selection import selection_score
from salstm.training.step import Step
from salstm.training.tensorboard import board
from salstm.vocabulary import SELECTIONS

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Setting:
    """What a training needs beside its model; ``recipe`` and ``seed`` decide its numbers.

    Attributes:
        recipe: of the cell.
        seed: of initialisation, order and augmentation.
        classes: names of the foreground classes.
        key: ties checkpoints to recipe, seed and data.
        folder: where the results go.
        device: where the model runs.
        inner_test: select on test cases without their stacks' first and last frames, as the authors do where
            networks see neighbours.
        machine: how it runs here; ``workers`` None means none.
        bar: draw a progress bar.
    """

    recipe: Recipe
    seed: int
    classes: tuple[str, ...]
    key: str
    folder: Path
    device: torch.device
    inner_test: bool
    machine: Machine = field(default_factory=Machine)
    bar: bool = False


@dataclass
class State:
    """What changes while training, beside model and optimizer; all of it counts whole epochs of all sessions.

    Attributes:
        micro_batch: items that pass the model at once; shrinks when the memory runs out.
        epoch: epochs done.
        iteration: optimizer steps done.
        history: one row an epoch.
        best: by selection, epoch and score of the best evaluation so far.
        seconds: wall time.
        peak_bytes: most memory at any moment, see ``salstm.training.resources``.
        joules: of the GPU; None where it cannot be told.
    """

    micro_batch: int
    epoch: int = 0
    iteration: int = 0
    history: list[dict[str, float]] = field(default_factory=list)
    best: dict[str, dict[str, float]] = field(default_factory=dict)
    seconds: float = 0.0
    peak_bytes: int = 0
    joules: float | None = None


def train(model: Attached, store: Store, setting: Setting) -> State:
    """Train a model, or go on where an earlier run of the same recipe, seed and data stopped.

    Leaves ``{last,best_val,best_test}.safetensors`` and ``history.csv`` in ``setting.folder``; selections of the same
    epoch are one file under several names.

    Raises:
        TrainingError: a loss or weights that are not finite (with the batch's case ids), memory that is not enough
            for one item, a loader process that died, a GPU that is gone.
        OSError: a disk that is full. As after any other end, the last whole epoch is kept.
    """
    return Trainer(model, store, setting).run()


def amount(state: State) -> dict[str, int]:
    """How much a training was, over all its sessions: epochs, optimizer steps, looks at the test cases."""
    looks = sum(not math.isnan(row["test_dice"]) for row in state.history)
    return {"epochs": state.epoch, "iterations": state.iteration, "looks": looks}


class Trainer:
    """The loop behind ``train``: an epoch, an evaluation, a checkpoint, and so on."""

    def __init__(self, model: Attached, store: Store, setting: Setting) -> None:
        recipe, machine = setting.recipe, setting.machine
        self.setting, self.recipe, self.store = setting, recipe, store
        self.model = model.to(setting.device)
        self.model.recompute = machine.recompute
        if machine.channels_last:
            # torch's stub of nn.Module.to has no such overload.
            self.model.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
        self.step = Step(self.model, recipe, machine, setting.device)
        self.loader = Batches(
            windows(store, store.split("train"), recipe, setting.seed),
            recipe,
            seed=setting.seed,
            workers=machine.workers or 0,
            pinned=setting.device.type == "cuda",
        )
        self.epochs, self.iterations = recipe.length(len(self.loader.items))
        self.progress = Progress(self.epochs, self.loader.batches, bar=setting.bar)
        self.joules = resources.energy_meter(setting.device)
        self.view = View.of(recipe, store.cases[0].channels)
        self.state = State(micro_batch=self.step.micro_batch)
        self.saved = 0
        self.kept: set[str] = set()

    def run(self) -> State:
        """Train to the last epoch."""
        try:
            self._resume()
            with _determinism(self.recipe.deterministic):
                self._epochs()
            self._finish()
        except (KeyboardInterrupt, SystemExit, OSError):
            log.warning("%s", self._left())
            raise
        except RuntimeError as error:
            if why := explained(error):
                raise TrainingError(f"{why}. {self._left()}") from error
            raise
        return self.state

    def _epochs(self) -> None:
        write = board(
            self.setting.folder / "tensorboard",
            self.state.epoch,
            wanted=self.setting.machine.tensorboard,
        )
        while self.state.epoch < self.epochs:
            started, joules = time.monotonic(), self.joules()
            row = self._epoch()
            evaluating = (
                time.monotonic()
            )  # an epoch ends with a look at the weights: the device is done
            improved = self._evaluate(row)
            now = time.monotonic()
            row |= {"seconds": now - started, "evaluation_seconds": now - evaluating}
            self._account(row, joules)
            self._save(improved=improved)
            self.progress.summary(row, [past["seconds"] for past in self.state.history])
            write(row)

    def _epoch(self) -> dict[str, float]:
        epoch = self.state.epoch
        # One seed an epoch for dropout and the like: an epoch is the same whatever ran before it in this process.
        torch.manual_seed(mixed(self.setting.seed, epoch))
        self._set_mode(epoch)
        total, items, rate = 0.0, 0, 0.0
        with self.progress.epoch(epoch + 1) as note:
            for batch in self.loader.epoch(epoch):
                rate = self._set_rate()
                loss = self._step(batch)
                total, items = total + loss * len(batch["label"]), items + len(batch["label"])
                self.state.iteration += 1
                note(loss)
                if self.state.iteration == self.iterations:
                    break
        self.step.check_weights(f"end of epoch {epoch + 1}, iteration {self.state.iteration}")
        self.state.epoch += 1
        row = {"epoch": self.state.epoch, "iteration": self.state.iteration, "lr": rate}
        return {**row, "loss": total / items, "val_dice": math.nan, "test_dice": math.nan}

    def _step(self, batch: dict[str, Any]) -> float:
        place = f"epoch {self.state.epoch + 1}, iteration {self.state.iteration + 1}"
        sizes = self.recipe.scales or [self.recipe.side]
        return self.step(
            batch, place, multiscale.draw(sizes, self.setting.seed, self.state.iteration)
        )

    def _set_mode(self, epoch: int) -> None:
        self.model.train()
        after = self.recipe.freeze_norm_after
        if after is not None and epoch >= after:
            for module in self.model.modules():
                if isinstance(
                    module, nn.modules.batchnorm._BatchNorm | nn.modules.dropout._DropoutNd
                ):
                    module.eval()

    def _set_rate(self) -> float:
        scores = [row["val_dice"] for row in self.state.history if _evaluated(row)]
        progress = schedules.Progress(
            iteration=self.state.iteration,
            iterations=self.iterations,
            epoch=self.state.epoch,
            epochs=self.epochs,
            scores=scores,
        )
        rate = schedules.rate(self.recipe.schedule, self.recipe.rate, progress)
        for group in self.step.optimizer.param_groups:
            group["lr"] = rate
        return rate

    def _evaluate(self, row: dict[str, float]) -> bool:
        """Score validation and test cases when their turn has come; say whether the weights are now a best."""
        epoch, last = self.state.epoch, self.state.epoch == self.epochs
        if not last and epoch % self.recipe.evaluate_every:
            return False
        improved = False
        for selection, entry in SELECTIONS.items():
            if not (split := entry.split):
                continue
            score = self._score(self.store.split(split), split)
            row[f"{split}_dice"] = score
            # A score that is not defined never beats one that is; while none is, the latest evaluation counts.
            best = self.state.best.get(selection)
            if best is None or score > best["score"] or math.isnan(best["score"]):
                self.state.best[selection] = {"epoch": epoch, "score": score}
                improved = True
        return improved

    def _score(self, cases: list[Case], split: str) -> float:
        predictions = predict(self.model, self.store, cases, self.view, self.setting.device)
        test = split == "test"
        inner = test and self.setting.inner_test
        classes = len(self.setting.classes)
        return selection_score(predictions, self.store, classes, inner=inner, authors=test)

    def _account(self, row: dict[str, float], joules: float | None) -> None:
        state, now = self.state, self.joules()
        state.seconds += row["seconds"]
        if joules is not None and now is not None:
            state.joules = (state.joules or 0.0) + now - joules
        state.peak_bytes = max(state.peak_bytes, resources.peak_bytes(self.setting.device))
        state.micro_batch = self.step.micro_batch
        state.history.append(row)

    def _save(self, *, improved: bool) -> None:
        """Weights first, under the epoch's name; the state that refers to them last: a kill between is harmless."""
        folder = self._scratch()
        if improved:
            checkpoint.save_weights(
                folder / _weights_name(self.state.epoch), self.model.state_dict()
            )
        state = {
            "model": self.model.state_dict(),
            **self.step.state_dict(),
            "state": vars(self.state),
        }
        checkpoint.save(folder / "state.pt", state, self.setting.key)
        self.saved = self.state.epoch
        # The checkpoint before this one, which is kept in case this one is damaged, refers to weights as well.
        before, self.kept = self.kept, set(_weights_names(self.state.best).values())
        for path in folder.glob("epoch-*.safetensors"):
            if path.name not in self.kept | before:
                path.unlink()

    def _resume(self) -> None:
        checkpoint.sweep(self._scratch())
        checkpoint.sweep(self.setting.folder)
        saved = checkpoint.load(self._scratch() / "state.pt", self.setting.key, self._lacking)
        if saved is None:
            return
        self.model.load_state_dict(saved["model"])
        self.step.load_state_dict(saved)
        self.state = State(**saved["state"])
        # What was found to fit is kept, unless this session was told to use less.
        self.step.micro_batch = min(self.state.micro_batch, self.step.micro_batch)
        self.saved = self.state.epoch
        self.kept = set(_weights_names(self.state.best).values())
        log.info("going on after epoch %d of %d", self.state.epoch, self.epochs)

    def _lacking(self, saved: dict[str, Any]) -> str:
        names = _weights_names(saved["state"]["best"]).values()
        lacking = [name for name in names if not checkpoint.complete(self._scratch() / name)]
        return f"refers to {lacking[0]}, which is not there or damaged" if lacking else ""

    def _finish(self) -> None:
        import pandas as pd

        folder, names = self.setting.folder, _weights_names(self.state.best)
        last = _weights_name(self.state.epoch)
        if last not in names.values():
            checkpoint.save_weights(self._scratch() / last, self.model.state_dict())
        for selection, name in {**names, "last": last}.items():
            share(self._scratch() / name, folder / f"{selection}.safetensors")
        write_csv(folder / "history.csv", pd.DataFrame(self.state.history))

    def _scratch(self) -> Path:
        """Undeclared to Snakemake, so that it survives a job that is run again."""
        return self.setting.folder / "checkpoint"

    def _left(self) -> str:
        """What the same command will do."""
        if not self.saved:
            return "No epoch is on disk yet: the same command begins again"
        return f"The same command goes on after epoch {self.saved} of {self.epochs}"


@contextlib.contextmanager
def _determinism(on: bool) -> Iterator[None]:
    before = torch.are_deterministic_algorithms_enabled()
    if on:
        # cuBLAS wants this before its first call, or refuses to be deterministic.
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(on)
    torch.backends.cudnn.benchmark = not on
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before)


def _evaluated(row: dict[str, float]) -> bool:
    return not math.isnan(row["val_dice"])


def _weights_names(best: dict[str, dict[str, float]]) -> dict[str, str]:
    """The file of each selection; selections of the same epoch have the same."""
    return {selection: _weights_name(one["epoch"]) for selection, one in best.items()}


def _weights_name(epoch: float) -> str:
    return f"epoch-{int(epoch)}.safetensors"
