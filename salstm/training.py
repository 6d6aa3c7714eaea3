"""One training: from prepared cases and a recipe to three selections of weights.

Everything random follows from (seed, epoch, item), so a run that was killed goes on from its last epoch and ends
with the weights of an undisturbed run.
"""

from __future__ import annotations

import contextlib
import logging
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from salstm import checkpoint, losses, scales, schedules
from salstm.data.augment import AUGMENTATIONS
from salstm.data.case import Case
from salstm.data.store import Store
from salstm.data.windows import Windows
from salstm.evaluation import selection_score
from salstm.files import write_csv
from salstm.inference import View, predict
from salstm.modules.wrapper import Attached

log = logging.getLogger(__name__)

SELECTIONS = ("last", "best_val", "best_test")
PRECISIONS = {"bfloat16": torch.bfloat16, "float16": torch.float16}


class TrainingError(RuntimeError):
    """The training cannot go on; the message says where and what to do."""


@dataclass(frozen=True)
class Setting:
    """What a training needs beside its model; nothing here but ``recipe`` and ``seed`` changes its numbers.

    Attributes:
        recipe: as ``salstm.recipes.resolve`` gives it.
        seed: of initialisation, order and augmentation.
        classes: names of the foreground classes.
        key: ties checkpoints to recipe, seed and data.
        folder: where the results go.
        device: where the model runs.
        inner_test: select on test cases without their stacks' first and last frames, as the authors do where
            networks see neighbours.
        workers: loader processes.
    """

    recipe: dict[str, Any]
    seed: int
    classes: tuple[str, ...]
    key: str
    folder: Path
    device: torch.device
    inner_test: bool
    workers: int = 0


@dataclass
class State:
    """What changes while training, beside model and optimizer.

    Attributes:
        epoch: epochs done.
        iteration: optimizer steps done.
        history: one row an epoch.
        best: by selection, epoch and score of the best evaluation so far.
        seconds: wall time over all sessions.
        micro_batch: items that pass the model at once; shrinks when the memory runs out.
    """

    micro_batch: int
    epoch: int = 0
    iteration: int = 0
    history: list[dict[str, float]] = field(default_factory=list)
    best: dict[str, dict[str, float]] = field(default_factory=dict)
    seconds: float = 0.0


def train(model: Attached, store: Store, setting: Setting) -> State:
    """Train a model, or go on where an earlier run of the same recipe, seed and data stopped.

    Leaves ``{last,best_val,best_test}.safetensors`` and ``history.csv`` in ``setting.folder``.

    Raises:
        TrainingError: a loss that is not finite (with the batch's case ids), or memory that is not enough for one item.
    """
    return Trainer(model, store, setting).run()


class Trainer:
    """The loop behind ``train``: an epoch, an evaluation, a checkpoint, and so on."""

    def __init__(self, model: Attached, store: Store, setting: Setting) -> None:
        recipe = setting.recipe
        if recipe["scales"] and recipe["activation"] != "sigmoid":
            raise ValueError(
                f"scales {recipe['scales']}: they make soft masks, which {recipe['activation']} does not take; "
                f"set scales to null or activation to sigmoid"
            )
        self.setting, self.recipe, self.store = setting, recipe, store
        self.model = model.to(setting.device)
        self.loss = losses.build(recipe["loss"])
        self.optimizer = build_optimizer(self.model, recipe["optimizer"])
        self.scaler = torch.amp.GradScaler(enabled=recipe["precision"] == "float16")
        self.windows = windows(store, store.split("train"), recipe, setting.seed)
        self.loader = _Loader(self.windows, recipe["batch"], setting)
        self.view = View.of(recipe, store.cases[0].channels)
        self.state = State(micro_batch=recipe["batch"])

    def run(self) -> State:
        """Train to the last epoch."""
        self._resume()
        with _determinism(self.recipe["deterministic"]):
            while self.state.epoch < self.recipe["epochs"]:
                started = time.monotonic()
                row = self._epoch()
                weights = self._evaluate(row)
                self.state.seconds += time.monotonic() - started
                row["seconds"] = time.monotonic() - started
                self.state.history.append(row)
                self._save(weights)
                self._tell(row)
        self._finish()
        return self.state

    def _epoch(self) -> dict[str, float]:
        epoch = self.state.epoch
        # One seed an epoch for dropout and the like: an epoch is the same whatever ran before it in this process.
        torch.manual_seed(_mixed(self.setting.seed, epoch))
        self._set_mode(epoch)
        total, items, rate = 0.0, 0, 0.0
        for batch in self.loader.epoch(epoch):
            rate = self._set_rate()
            loss = self._step(batch)
            total, items = total + loss * len(batch["label"]), items + len(batch["label"])
            self.state.iteration += 1
        self.state.epoch += 1
        row = {"epoch": self.state.epoch, "iteration": self.state.iteration, "lr": rate}
        return {**row, "loss": total / items, "val_dice": math.nan, "test_dice": math.nan}

    def _step(self, batch: dict[str, Any]) -> float:
        while True:
            try:
                return self._accumulate(batch)
            except torch.OutOfMemoryError:
                self._halve()

    def _accumulate(self, batch: dict[str, Any]) -> float:
        """Gradient of the whole batch, micro-batch by micro-batch, and one optimizer step."""
        self.optimizer.zero_grad(set_to_none=True)
        count, total, size = len(batch["label"]), 0.0, self._size()
        for start in range(0, count, self.state.micro_batch):
            part = slice(start, start + self.state.micro_batch)
            image, label = (batch[key][part].to(self.setting.device) for key in ("image", "label"))
            if size != self.recipe["size"]:
                image, label = scales.resized(image, label, size)
            share = len(label) / count
            loss = self._loss(image, label)
            if not torch.isfinite(loss):
                raise self._diverged(loss, batch)
            self.scaler.scale(loss * share).backward()
            total += float(loss.detach()) * share
        self.scaler.step(self.optimizer)
        self.scaler.update()
        return total

    def _size(self) -> int:
        sizes = self.recipe["scales"] or [self.recipe["size"]]
        return scales.draw(sizes, self.setting.seed, self.state.iteration)

    def _loss(self, image: Tensor, label: Tensor) -> Tensor:
        with self._autocast():
            outputs = self.model(image)
        outputs = outputs if isinstance(outputs, tuple) else (outputs,)
        return self.loss(tuple(output.float() for output in outputs), label)

    def _autocast(self) -> contextlib.AbstractContextManager[Any]:
        precision = self.recipe["precision"]
        if precision == "float32":
            return contextlib.nullcontext()
        return torch.autocast(self.setting.device.type, dtype=PRECISIONS[precision])

    def _diverged(self, loss: Tensor, batch: dict[str, Any]) -> TrainingError:
        cases = ", ".join(sorted(set(batch["case"])))
        return TrainingError(
            f"epoch {self.state.epoch + 1}, iteration {self.state.iteration + 1}: the loss is {float(loss.detach())}; "
            f"cases of the batch: {cases}. Lower the learning rate, use precision float32, or look at these cases. "
            f"The weights of the last whole epoch are kept"
        )

    def _halve(self) -> None:
        if self.state.micro_batch == 1:
            raise TrainingError(
                f"out of memory on {self.setting.device} with a single item of {self.recipe['size']} pixels; "
                f"use a larger GPU or a smaller size"
            )
        self.state.micro_batch = max(1, self.state.micro_batch // 2)
        self.optimizer.zero_grad(set_to_none=True)
        if self.setting.device.type == "cuda":
            torch.cuda.empty_cache()
        log.warning(
            "out of memory: %d items at a time from now on, the batch stays %d; batch statistics and "
            "batch-pooled losses now see fewer items",
            self.state.micro_batch,
            self.recipe["batch"],
        )

    def _set_mode(self, epoch: int) -> None:
        self.model.train()
        after = self.recipe["freeze_norm_after"]
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
            iterations=self.recipe["epochs"] * self.loader.batches,
            epoch=self.state.epoch,
            epochs=self.recipe["epochs"],
            scores=scores,
        )
        rate = schedules.rate(self.recipe["schedule"], self.recipe["optimizer"]["lr"], progress)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        return rate

    def _evaluate(self, row: dict[str, float]) -> dict[str, dict[str, Tensor]]:
        """Score validation and test cases when their turn has come; give the weights that are now the best."""
        epoch, last = self.state.epoch, self.state.epoch == self.recipe["epochs"]
        if not last and epoch % self.recipe["evaluate_every"]:
            return {}
        improved = {}
        for selection, split in (("best_val", "val"), ("best_test", "test")):
            score = self._score(self.store.split(split), split)
            row[f"{split}_dice"] = score
            # A score that is not defined never beats one that is; while none is, the latest evaluation counts.
            best = self.state.best.get(selection)
            if best is None or score > best["score"] or math.isnan(best["score"]):
                self.state.best[selection] = {"epoch": epoch, "score": score}
                improved[selection] = self.model.state_dict()
        return improved

    def _score(self, cases: list[Case], split: str) -> float:
        predictions = predict(self.model, self.store, cases, self.view, self.setting.device)
        inner = split == "test" and self.setting.inner_test
        return selection_score(predictions, self.store, len(self.setting.classes), inner=inner)

    def _save(self, weights: dict[str, dict[str, Tensor]]) -> None:
        """Weights first, under the epoch's name; the state that refers to them last: a kill between is harmless."""
        folder = self._scratch()
        for selection, state in weights.items():
            checkpoint.save_weights(folder / _weights_name(selection, self.state), state)
        state = {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scaler": self.scaler.state_dict(),
            "state": vars(self.state),
        }
        checkpoint.save(folder / "state.pt", state, self.setting.key)
        keep = {_weights_name(selection, self.state) for selection in self.state.best}
        for path in folder.glob("best_*.safetensors"):
            if path.name not in keep:
                path.unlink()

    def _resume(self) -> None:
        saved = checkpoint.load(self._scratch() / "state.pt", self.setting.key)
        if saved is None:
            return
        self.model.load_state_dict(saved["model"])
        self.optimizer.load_state_dict(saved["optimizer"])
        self.scaler.load_state_dict(saved["scaler"])
        self.state = State(**saved["state"])
        log.info("going on after epoch %d of %d", self.state.epoch, self.recipe["epochs"])

    def _finish(self) -> None:
        import pandas as pd

        folder = self.setting.folder
        for selection in ("best_val", "best_test"):
            saved = checkpoint.load_weights(self._scratch() / _weights_name(selection, self.state))
            checkpoint.save_weights(folder / f"{selection}.safetensors", saved)
        checkpoint.save_weights(folder / "last.safetensors", self.model.state_dict())
        write_csv(folder / "history.csv", pd.DataFrame(self.state.history))

    def _scratch(self) -> Path:
        """Undeclared to Snakemake, so that it survives a job that is run again."""
        return self.setting.folder / "checkpoint"

    def _tell(self, row: dict[str, float]) -> None:
        left = self.recipe["epochs"] - self.state.epoch
        recent = [past["seconds"] for past in self.state.history[-5:]]
        log.info(
            "epoch %d/%d  loss %.4f  val dice %.4f  test dice %.4f  lr %.2e  %.1f s  ETA %s",
            self.state.epoch, self.recipe["epochs"], row["loss"], row["val_dice"], row["test_dice"],
            row["lr"], row["seconds"], _duration(left * sum(recent) / len(recent)),
        )  # fmt: skip


def build_optimizer(model: nn.Module, spec: dict[str, Any]) -> torch.optim.Optimizer:
    """The optimizer of a recipe over all parameters that train.

    Raises:
        ValueError: no such optimizer, or a parameter that it does not have.
    """
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    options = {key: value for key, value in spec.items() if key != "name"}
    kinds = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW, "sgd": torch.optim.SGD}
    if spec["name"] not in kinds:
        raise ValueError(f"optimizer {spec['name']!r}: unknown; allowed: {', '.join(kinds)}")
    try:
        return kinds[spec["name"]](parameters, **options)
    except TypeError as error:
        raise ValueError(f"optimizer {spec['name']!r}: {error}") from error


def windows(store: Store, cases: list[Case], recipe: dict[str, Any], seed: int) -> Windows:
    """The training windows of a recipe."""
    scale = recipe["normalise"]
    return Windows(
        store,
        cases,
        frames=recipe["frames"],
        border=recipe.get("border", "replicate"),
        size=recipe["size"],
        channels=store.cases[0].channels,
        augment=AUGMENTATIONS[recipe["augment"]],
        normalise=(scale["mean"], scale["std"]) if scale else None,
        seed=seed,
    )


class _Loader:
    """Batches in an order that follows from seed and epoch."""

    def __init__(self, items: Windows, batch: int, setting: Setting) -> None:
        self.items, self.setting = items, setting
        self.generator = torch.Generator()
        self.loader = DataLoader(
            items,
            batch_size=batch,
            shuffle=True,
            generator=self.generator,
            num_workers=setting.workers,
            persistent_workers=setting.workers > 0,
            pin_memory=setting.device.type == "cuda",
        )
        # A last batch of one item has no batch statistics on 1x1 maps: it joins no step.
        self.drop = len(items) % batch == 1 and len(items) > 1
        self.batches = len(self.loader) - self.drop

    def epoch(self, epoch: int) -> Iterator[dict[str, Any]]:
        self.items.set_epoch(epoch)
        self.generator.manual_seed(_mixed(self.setting.seed, epoch))
        for number, batch in enumerate(self.loader):
            if number < self.batches:
                yield batch


@contextlib.contextmanager
def _determinism(on: bool) -> Iterator[None]:
    before = torch.are_deterministic_algorithms_enabled()
    torch.use_deterministic_algorithms(on)
    torch.backends.cudnn.benchmark = not on
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before)


def _evaluated(row: dict[str, float]) -> bool:
    return not math.isnan(row["val_dice"])


def _weights_name(selection: str, state: State) -> str:
    return f"{selection}-{int(state.best[selection]['epoch'])}.safetensors"


def _mixed(seed: int, epoch: int) -> int:
    """One number from two; neighbours in either give unrelated streams."""
    return (seed * 1_000_003 + epoch) * 0x9E3779B97F4A7C15 % 2**63


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}"
