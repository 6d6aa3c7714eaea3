"""One optimizer step on one batch: precision, micro-batches, memory that runs out, numbers that are not finite."""

from __future__ import annotations

import contextlib
import logging
import math
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn

from salstm.modules.wrapper import Attached
from salstm.optimisation import losses, optimizers
from salstm.recipes import Recipe, pieces
from salstm.training import multiscale
from salstm.training.errors import TrainingError
from salstm.training.machine import Machine
from salstm.vocabulary import PLAIN

log = logging.getLogger(__name__)

PRECISIONS = {"bfloat16": torch.bfloat16, "float16": torch.float16}


class Step:
    """Called with a batch, it moves the weights once and returns the batch's loss.

    Attributes:
        optimizer: over all parameters that train.
        micro_batch: items that pass the model at once; shrinks when memory runs out. The batch of the recipe stays:
            gradients add up. Batch statistics and losses that pool a batch then see fewer items. A model that sees
            neighbours computes its activations again first, which changes no number.

    Args:
        model: on its device.
        recipe: of the cell.
        machine: micro-batch and compilation.
        device: where the model is.

    Raises:
        ValueError: a precision that the device does not have.
    """

    def __init__(
        self, model: Attached, recipe: Recipe, machine: Machine, device: torch.device
    ) -> None:
        self.model, self.recipe, self.device = model, recipe, device
        _check_precision(recipe.precision, device)
        self.loss = losses.build(recipe.loss)
        self.optimizer = optimizers.build(model, recipe.optimizer)
        self.scaler = torch.amp.GradScaler(device.type, enabled=recipe.precision == "float16")
        # The model itself stays as it is: names of weights and predictions know nothing of the compiler.
        self.forward: Callable[[Tensor], Any] = _compiled(model) if machine.compile else model
        self.micro_batch = min(machine.micro_batch or recipe.batch, recipe.batch)
        # Three passes of the network are worth it; the compiled step would be another graph.
        self._may_recompute = model.variant != PLAIN and recipe.frames > 1 and not machine.compile
        self._fits = False
        self._cases: list[str] = []

    def __call__(self, batch: dict[str, Any], place: str, size: int) -> float:
        """Step on a batch.

        Args:
            batch: of ``salstm.training.loader.Batches``.
            place: epoch and iteration, for messages.
            size: side to which images and labels are brought first, in pixels.

        Raises:
            TrainingError: a loss or weights that are not finite, with the case ids of the batch that made them; or
                memory that is not enough for one item.
        """
        while (total := self._gradients(batch, place, size)) is None:
            self._make_room()
        self._fits = True
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self._cases = batch["case"]
        return total

    def check_weights(self, place: str) -> None:
        """Stop before weights that are not finite are kept as good ones.

        Raises:
            TrainingError: names the first such parameter or buffer and the cases of the last step.
        """
        if name := not_finite([*self.model.named_parameters(), *self.model.named_buffers()]):
            raise self._broken(name, place)

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint needs of the step."""
        return {"optimizer": self.optimizer.state_dict(), "scaler": self.scaler.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from what ``state_dict`` gave."""
        self.optimizer.load_state_dict(state["optimizer"])
        _lay_out(self.optimizer)
        self.scaler.load_state_dict(state["scaler"])

    def _gradients(self, batch: dict[str, Any], place: str, size: int) -> float | None:
        """Gradient of the whole batch, micro-batch by micro-batch; None when the memory ran out."""
        undo = None if self._fits else self._undo()
        self.optimizer.zero_grad(set_to_none=True)
        count, total = len(batch["label"]), 0.0
        with contextlib.suppress(torch.OutOfMemoryError):
            sizes = pieces(count, self.micro_batch)
            for image, label in zip(
                *(batch[key].split(sizes) for key in ("image", "label")), strict=True
            ):
                share = len(label) / count
                loss = self._loss(*self._moved(image, label, size), place)
                self.scaler.scale(loss * share).backward()
                # Read when the backward pass is queued: the step's only wait for a GPU.
                value = float(loss.detach())
                if not math.isfinite(value):
                    raise self._diverged(value, batch, place)
                total += value * share
            return total
        if undo:
            undo()
        return None

    def _moved(self, image: Tensor, label: Tensor, size: int) -> tuple[Tensor, Tensor]:
        image, label = (one.to(self.device, non_blocking=True) for one in (image, label))
        if size != image.shape[-1]:
            image, label = multiscale.resized(image, label, size)
        return image, label

    def _loss(self, image: Tensor, label: Tensor, place: str) -> Tensor:
        try:
            with self._autocast():
                outputs = self.forward(image)
        except ValueError as error:
            if len(image) == 1 and "more than 1 value per channel" in str(error):
                raise self._single(place) from error
            raise
        outputs = outputs if isinstance(outputs, tuple) else (outputs,)
        halves = PRECISIONS.values()
        return self.loss(
            tuple(output.float() if output.dtype in halves else output for output in outputs), label
        )

    def _autocast(self) -> contextlib.AbstractContextManager[Any]:
        if self.recipe.precision == "float32":
            return contextlib.nullcontext()
        return torch.autocast(self.device.type, dtype=PRECISIONS[self.recipe.precision])

    def _make_room(self) -> None:
        """Use less memory from now on: with the same numbers if that is possible, then with fewer items at a time."""
        self.optimizer.zero_grad(set_to_none=True)
        if self.device.type == "cuda":
            torch.cuda.empty_cache()
        if self.model.recompute or not self._may_recompute:
            self._halve()
            return
        self.model.recompute = True
        log.warning(
            "out of memory: activations are computed again from now on (machine: recompute); it takes longer, the "
            "numbers stay"
        )

    def _halve(self) -> None:
        if self.micro_batch == 1:
            raise TrainingError(
                f"out of memory on {self.device} with a single item of {self.recipe.size} pixels; "
                f"use a larger GPU or a smaller size"
            )
        self.micro_batch = -(-self.micro_batch // 2)  # of 3 not 1, which batch norms may not take
        log.warning(
            "out of memory: %d items at a time from now on, the batch stays %d; batch statistics and "
            "batch-pooled losses now see fewer items",
            self.micro_batch,
            self.recipe.batch,
        )

    def _undo(self) -> Callable[[], None]:
        """Take back what a pass leaves behind: drawn random numbers, running statistics.

        Kept until a first batch fits; so a training that began with too large a micro-batch ends as one that was told
        the right one. Later, when another program takes the memory, the statistics have seen a few items twice.
        """
        buffers = [(buffer, buffer.clone()) for buffer in self.model.buffers()]
        drawn = torch.get_rng_state()
        cuda = self.device.type == "cuda"
        drawn_there = torch.cuda.get_rng_state(self.device) if cuda else None

        def undo() -> None:
            for buffer, old in buffers:
                buffer.copy_(old)
            torch.set_rng_state(drawn)
            if drawn_there is not None:
                torch.cuda.set_rng_state(drawn_there, self.device)

        return undo

    def _diverged(self, loss: float, batch: dict[str, Any], place: str) -> TrainingError:
        # Buffers do not count: this very pass has spoilt the running statistics.
        if name := not_finite(self.model.named_parameters()):
            return self._broken(name, place)
        return TrainingError(
            f"{place}: the loss is {loss}; cases of the batch: {_names(batch['case'])}. Lower "
            f"the learning rate, use precision float32, or look at these cases. The weights of the last whole epoch "
            f"are kept"
        )

    def _single(self, place: str) -> TrainingError:
        return TrainingError(
            f"{place}: a single item passes the network, whose batch norms of 1x1 maps need two. The recipe's batch is "
            f"{self.recipe.batch}, of which {self.micro_batch} pass at once (machine: micro_batch, halved where the "
            f"memory runs out); choose them so that no item is left over, 2 or more"
        )

    def _broken(self, name: str, place: str) -> TrainingError:
        return TrainingError(
            f"{place}: the weights {name} are not finite since the last step or before; cases of its batch: "
            f"{_names(self._cases)}. Lower the learning rate, use precision float32, or look at these cases. The "
            f"weights of the last whole epoch are kept"
        )


def not_finite(tensors: Iterable[tuple[str, Tensor]]) -> str:
    """Name of the first tensor with NaN or infinity; empty when there is none."""
    names = (
        name
        for name, tensor in tensors
        if tensor.is_floating_point() and not torch.isfinite(tensor).all()
    )
    return next(names, "")


def _lay_out(optimizer: torch.optim.Optimizer) -> None:
    """Give what an optimizer keeps of a weight the weight's order of memory.

    Fused kernels pair the two by their places in memory, and the training may go on with other
    ``machine.channels_last`` than it began with.
    """
    for parameter, kept in optimizer.state.items():
        for name, value in kept.items():
            if isinstance(value, Tensor) and value.shape == parameter.shape:
                kept[name] = torch.empty_like(parameter).copy_(value)


def _compiled(model: nn.Module) -> Callable[[Tensor], Any]:
    # Left to itself the compiler draws dropout from numbers of its own: another training.
    return torch.compile(model, options={"fallback_random": True})


def _check_precision(precision: str, device: torch.device) -> None:
    if precision == "bfloat16" and device.type == "cuda":
        name = torch.cuda.get_device_name(device)
        if not torch.cuda.is_bf16_supported(including_emulation=False):
            raise ValueError(f"precision bfloat16: {name} has none; use float16 or float32")


def _names(cases: Iterable[str]) -> str:
    return ", ".join(sorted(set(cases)))
