"""The authors' training loop, written from the facts: plain optimizers, their losses term by term, nothing of ours.

Each loss takes the network's outputs (main first) and the label ``(B, H, W)`` and returns the terms that are
propagated back one after the other.
"""

from __future__ import annotations

import contextlib
import itertools
import math
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tests.fidelity.facts import Facts


def ce_dice(logits: Tensor, label: Tensor, ce: float, dice: float) -> Tensor:
    """Cross entropy and the TransUNet family's Dice, class by class."""
    p, count = torch.softmax(logits, dim=1), logits.shape[1]
    loss = 0.0
    for number in range(count):
        score, target = p[:, number], (label == number).to(p.dtype)
        overlap, y, z = (score * target).sum(), (target * target).sum(), (score * score).sum()
        loss = loss + 1 - (2 * overlap + 1e-5) / (z + y + 1e-5)
    return ce * F.cross_entropy(logits, label) + dice * loss / count


def half_half(outputs: list[Tensor], label: Tensor) -> list[Tensor]:
    """TransUNet, MT-UNet, SALSTM."""
    return [ce_dice(outputs[0], label, 0.5, 0.5)]


def four_six(outputs: list[Tensor], label: Tensor) -> list[Tensor]:
    """MISSFormer, DAE-Former."""
    return [ce_dice(outputs[0], label, 0.4, 0.6)]


def mutation(outputs: list[Tensor], label: Tensor) -> list[Tensor]:
    """MERIT: over the fifteen subsets of p1 to p4."""
    stages, total = outputs[1:], torch.zeros(())
    for size in (1, 2, 3, 4):
        for subset in itertools.combinations(stages, size):
            total = total + ce_dice(sum(subset[1:], subset[0]), label, 0.3, 0.7)
    return [total]


def soft_dice(outputs: list[Tensor], label: Tensor) -> list[Tensor]:
    """DCSAU-Net; UNet++ takes the mean over its outputs."""
    t, losses = label.to(outputs[0].dtype).flatten(), []
    for logits in outputs:
        p = torch.sigmoid(logits).flatten()
        losses.append(1 - (2 * (p * t).sum() + 1) / (p.sum() + t.sum() + 1))
    return [sum(losses[1:], losses[0]) / len(losses)]


def fcbformer(outputs: list[Tensor], label: Tensor) -> list[Tensor]:
    """SoftDice with its smoothing inside the factor 2, and BCE."""
    p = torch.sigmoid(outputs[0]).flatten(1)
    t = label.to(p.dtype).flatten(1)
    score = 2.0 * ((p * t).sum(1) + 1) / (p.sum(1) + t.sum(1) + 1)
    return [1 - score.sum() / len(p) + F.binary_cross_entropy(p, t)]


def ssformer(outputs: list[Tensor], label: Tensor) -> list[Tensor]:
    """BCE with logits of a sigmoid, and a Dice of every pixel."""
    s = torch.sigmoid(outputs[0])
    t = label[:, None].to(s.dtype)
    again = torch.sigmoid(s)
    dice = 1 - (2 * again * t + 1) / (again + t + 1)
    return [(F.binary_cross_entropy_with_logits(s, t, reduction="none") + dice).mean()]


def _structure(logits: Tensor, label: Tensor, kernel: int, *, weighted: bool) -> Tensor:
    t = label[:, None].to(logits.dtype)
    weight = 1 + 5 * torch.abs(F.avg_pool2d(t, kernel, stride=1, padding=kernel // 2) - t)
    p, axes = torch.sigmoid(logits), (2, 3)
    bce = F.binary_cross_entropy_with_logits(logits, t, reduction="none" if weighted else "mean")
    wbce = (weight * bce).sum(dim=axes) / weight.sum(dim=axes)
    inter, union = (p * t * weight).sum(dim=axes), ((p + t) * weight).sum(dim=axes)
    return (wbce + 1 - (inter + 1) / (union - inter + 1)).mean()


def esfpnet(outputs: list[Tensor], label: Tensor) -> list[Tensor]:
    """Structure loss whose cross entropy is a mean before it is weighted."""
    return [_structure(outputs[0], label, 15, weighted=False)]


def hardnet(outputs: list[Tensor], label: Tensor) -> list[Tensor]:
    """Three structure losses and one on the outline, each propagated back on its own."""
    twice = torch.sigmoid(outputs[3])
    t = label[:, None].to(twice.dtype)
    kernel = torch.tensor([[-1.0, -1, -1], [-1, 8, -1], [-1, -1, -1]])[None, None].to(t)
    edge = (F.conv2d(t, kernel, padding=1) > 0.1).to(t)
    outline = F.binary_cross_entropy_with_logits(twice, edge.expand(-1, 48, -1, -1))
    return [*(_structure(one, label, 31, weighted=True) for one in outputs[:3]), outline]


def fanet(outputs: list[Tensor], label: Tensor) -> list[Tensor]:
    """OHEM on three outputs, a sixteenth of the pixels at least."""

    def ohem(logits: Tensor) -> Tensor:
        loss = F.cross_entropy(logits, label, reduction="none").view(-1)
        loss, _ = torch.sort(loss, descending=True)
        least, limit = label.numel() // 16, -math.log(0.7)
        return (loss[loss > limit] if loss[least] > limit else loss[:least]).mean()

    main, *auxiliary = (ohem(one) for one in outputs)
    return [main + 0.5 * auxiliary[1] + 0.5 * auxiliary[0]]


LOSSES = {
    one.__name__: one
    for one in (
        *(half_half, four_six, mutation, soft_dice, fcbformer, ssformer, esfpnet, hardnet, fanet),
    )
}


def train(
    model: nn.Module,
    epochs: Iterator[tuple[int, list[tuple[Tensor, Tensor]]]],
    facts: Facts,
    *,
    steps: int,
    frozen_after: int | None,
    half: bool,
) -> list[float]:
    """The losses of the first steps.

    Args:
        model: called with images.
        epochs: the number that seeds an epoch's dropout, and its batches of images and labels.
        facts: of the cell.
        steps: to take.
        frozen_after: epochs after which the network is in evaluation mode for good (MERIT on Synapse).
        half: float16 autocast with a scaled loss (HarDNet-DFUS).
    """
    kind: Any = getattr(torch.optim, facts.optimizer)
    optimizer = kind(model.parameters(), lr=facts.rate(0, 0), foreach=False, **facts.options)
    scaler = torch.amp.GradScaler("cpu", enabled=half)
    losses: list[float] = []
    model.train()
    for number, (seed, batches) in enumerate(epochs):
        torch.manual_seed(seed)
        if frozen_after is not None and number >= frozen_after:
            model.eval()
            model.training = model.network.training = True  # type: ignore[union-attr] # its outputs
        for image, label in batches:
            for group in optimizer.param_groups:
                group["lr"] = facts.rate(len(losses), number)
            half_precision = torch.autocast("cpu", torch.float16)
            with half_precision if half else contextlib.nullcontext():
                outputs = model(image)
            outputs = list(outputs) if isinstance(outputs, tuple) else [outputs]
            outputs = [one.float() if half else one for one in outputs]
            terms = LOSSES[facts.loss](outputs, label)
            optimizer.zero_grad()
            for place, term in enumerate(terms):
                scaler.scale(term).backward(retain_graph=place + 1 < len(terms))
            scaler.step(optimizer)
            scaler.update()
            losses.append(sum(float(term.detach()) for term in terms))
            if len(losses) == steps:
                return losses
    raise AssertionError("not enough batches")
