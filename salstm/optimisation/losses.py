"""The losses of all recipes, as their authors' code computes them, mistakes included where the name says so.

Every loss is a function of ``outputs`` = (logits, *auxiliary logits), each ``(B, C, H, W)``, and ``label``
``(B, H, W)`` int64; it returns a scalar. Losses of one sigmoid output also take a label that is a float share of
foreground. Where its authors do not say otherwise, a loss is averaged over the outputs.

A loss is a function here that returns it, and an entry at the end; its keyword-only parameters are those that a
recipe may give. A plan reads them: torch is imported where it computes.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, TypeAlias

from salstm.parameters import Choice, Kind, NotNegative, Odd, Share

if TYPE_CHECKING:
    from torch import Tensor

Outputs: TypeAlias = "tuple[Tensor, ...]"
Loss: TypeAlias = "Callable[[Outputs, Tensor], Tensor]"


def build(choice: Choice) -> Loss:
    """The loss of a recipe.

    Raises:
        ValueError: no such loss, or a parameter that it does not have.
    """
    return KIND.call(choice)


def dice_loss(logits: Tensor, label: Tensor) -> Tensor:
    """Soft Dice loss of the TransUNet family (DiceLoss in TransUNet's utils.py).

    Softmax; per class, background included, sums over batch and pixels together, squared denominators, 1e-5 in
    numerator and denominator; mean over classes.
    """
    import torch.nn.functional as F

    probability = logits.softmax(1)
    target = F.one_hot(label, logits.shape[1]).movedim(-1, 1).to(probability)
    axes = (0, 2, 3)
    overlap = 2 * (probability * target).sum(axes) + 1e-5
    total = probability.square().sum(axes) + target.square().sum(axes) + 1e-5
    return (1 - overlap / total).mean()


def cross_entropy_dice(*, cross_entropy: NotNegative, dice: NotNegative) -> Loss:
    """Weighted sum of cross entropy and soft Dice (TransUNet, MT-UNet, MISSFormer, DAEFormer, SALSTM)."""

    def one(logits: Tensor, label: Tensor) -> Tensor:
        return cross_entropy * _cross_entropy(logits, label) + dice * dice_loss(logits, label)

    return _mean_over_outputs(one)


def mutation(*, cross_entropy: NotNegative, dice: NotNegative) -> Loss:
    """MERIT's MUTATION: the sum of that loss over every non-empty subset of the four stages' summed logits.

    Without auxiliary outputs the only subset is the logits themselves.
    """
    import torch

    single = cross_entropy_dice(cross_entropy=cross_entropy, dice=dice)

    def loss(outputs: Outputs, label: Tensor) -> Tensor:
        stages = outputs[1:] or outputs
        sizes = range(1, len(stages) + 1)
        subsets = itertools.chain.from_iterable(itertools.combinations(stages, n) for n in sizes)
        return torch.stack([single((torch.stack(s).sum(0),), label) for s in subsets]).sum()

    return loss


def bce() -> Loss:
    """Binary cross entropy (UNet_Family; UNet++ averages it over its outputs)."""
    import torch.nn.functional as F

    return _mean_over_outputs(
        lambda logits, label: F.binary_cross_entropy_with_logits(logits, _mask(label, logits))
    )


def soft_dice() -> Loss:
    """DCSAU-Net: soft Dice over the whole batch flattened, smoothing 1."""

    def one(logits: Tensor, label: Tensor) -> Tensor:
        p, t = logits.sigmoid(), _mask(label, logits)
        return 1 - (2 * (p * t).sum() + 1) / (p.sum() + t.sum() + 1)

    return _mean_over_outputs(one)


def fcbformer() -> Loss:
    """FCBFormer: binary cross entropy plus a Dice per image whose smoothing stands inside the factor 2.

    It can go below zero: a perfect prediction of A pixels gives -1 / (2 A + 1).
    """
    import torch.nn.functional as F

    def one(logits: Tensor, label: Tensor) -> Tensor:
        p, t = logits.sigmoid(), _mask(label, logits)
        axes = (1, 2, 3)
        score = 2 * ((p * t).sum(axes) + 1) / (p.sum(axes) + t.sum(axes) + 1)
        return (1 - score).mean() + F.binary_cross_entropy_with_logits(logits, t)

    return _mean_over_outputs(one)


def ssformer() -> Loss:
    """SSFormer: sigmoid twice, and a Dice computed pixel by pixel, as the authors' code at 1351a07 has it.

    The floor is 0.4117 on foreground and 1.0265 on background, which makes it favour background.
    """
    import torch.nn.functional as F

    def one(logits: Tensor, label: Tensor) -> Tensor:
        s, t = logits.sigmoid(), _mask(label, logits)
        p = s.sigmoid()
        dice = 1 - (2 * p * t + 1) / (p + t + 1)
        return (F.binary_cross_entropy_with_logits(s, t, reduction="none") + dice).mean()

    return _mean_over_outputs(one)


def structure(*, kernel: Odd, weighted: bool = True) -> Loss:
    """Structure loss of the polyp networks: cross entropy plus IoU, both weighted towards the border.

    Weights 1 + 5 |mean over the kernel - mask|. With ``weighted=False`` the cross entropy is averaged first and so is
    not weighted: ESFPNet's code.
    """
    return _mean_over_outputs(partial(_structure, kernel=kernel, weighted=weighted))


def structure_boundary(*, kernel: Odd) -> Loss:
    """HarDNet-DFUS: structure loss on the logits and two auxiliary maps, boundary loss on the last one; summed."""
    import torch

    def loss(outputs: Outputs, label: Tensor) -> Tensor:
        maps = outputs[:3]
        total = torch.stack([_structure(one, label, kernel, weighted=True) for one in maps]).sum()
        return total + (_boundary(outputs[3], label) if len(outputs) > 3 else 0)

    return loss


def ohem(*, threshold: Share, auxiliary_weight: NotNegative) -> Loss:
    """Fast attention network: cross entropy over the hard pixels, auxiliary outputs weighted.

    Hard: a loss above -ln(threshold); at least one pixel in sixteen is kept. Which of the two holds is read off the
    first pixel that the sixteenth leaves out, as in theirs (ptsemseg/loss/loss.py at d4e5e3c).
    """
    import torch
    import torch.nn.functional as F

    def one(logits: Tensor, label: Tensor) -> Tensor:
        losses = F.cross_entropy(logits, label, reduction="none").flatten().sort(descending=True)[0]
        least = max(1, losses.numel() // 16)
        limit = -torch.log(torch.tensor(threshold, device=losses.device))
        return (
            losses[losses > limit].mean()
            if losses[min(least, losses.numel() - 1)] > limit
            else losses[:least].mean()
        )

    def loss(outputs: Outputs, label: Tensor) -> Tensor:
        auxiliary = [auxiliary_weight * one(output, label) for output in outputs[1:]]
        return torch.stack([one(outputs[0], label), *auxiliary]).sum()

    return loss


def nnunet() -> Loss:
    """nnU-Net's: cross entropy minus soft Dice over the whole batch, background left out; deep supervision.

    DC_and_CE_loss of nnU-Net v2 with ``batch_dice``, as it plans for 2D: 1e-5 in numerator and denominator. The outputs
    weigh 1, 1/2, 1/4, ..., divided by their sum. It goes below zero.
    """
    import torch
    import torch.nn.functional as F

    def one(logits: Tensor, label: Tensor) -> Tensor:
        p = logits.softmax(1)[:, 1:]
        t = F.one_hot(label, logits.shape[1]).movedim(-1, 1)[:, 1:].to(p)
        axes = (0, 2, 3)
        dice = (2 * (p * t).sum(axes) + 1e-5) / (p.sum(axes) + t.sum(axes) + 1e-5)
        return _cross_entropy(logits, label) - dice.mean()

    def loss(outputs: Outputs, label: Tensor) -> Tensor:
        shares = [2.0**-stage for stage in range(len(outputs))]
        parts = [share * one(output, label) for share, output in zip(shares, outputs, strict=True)]
        return torch.stack(parts).sum() / sum(shares)

    return loss


def _structure(logits: Tensor, label: Tensor, kernel: int, weighted: bool) -> Tensor:
    import torch.nn.functional as F

    t = _mask(label, logits)
    axes = (1, 2, 3)
    mean = F.avg_pool2d(t, kernel, stride=1, padding=kernel // 2)
    weight = 1 + 5 * (mean - t).abs()
    entropy = F.binary_cross_entropy_with_logits(logits, t, reduction="none")
    entropy = (weight * entropy).sum(axes) / weight.sum(axes) if weighted else entropy.mean()
    p = logits.sigmoid()
    overlap, total = (p * t * weight).sum(axes), ((p + t) * weight).sum(axes)
    return (entropy + 1 - (overlap + 1) / (total - overlap + 1)).mean()


def _boundary(maps: Tensor, label: Tensor) -> Tensor:
    """Binary cross entropy between the mask's Laplacian edge and every channel, after a sigmoid too many (theirs)."""
    import torch
    import torch.nn.functional as F

    t = _mask(label, maps)
    laplacian = torch.full((1, 1, 3, 3), -1.0, device=t.device, dtype=t.dtype)
    laplacian[..., 1, 1] = 8
    edge = (F.conv2d(t, laplacian, padding=1) > 0.1).to(t)
    return F.binary_cross_entropy_with_logits(maps.sigmoid(), edge.expand_as(maps))


def _cross_entropy(logits: Tensor, label: Tensor) -> Tensor:
    import torch
    import torch.nn.functional as F

    if logits.is_cuda and torch.are_deterministic_algorithms_enabled():
        # There the mean within the kernel adds up in any order, and torch refuses it.
        return F.cross_entropy(logits, label, reduction="none").mean()
    return F.cross_entropy(logits, label)


def _mask(label: Tensor, like: Tensor) -> Tensor:
    """(B, H, W) labels as a (B, 1, H, W) mask of the type of ``like``; a soft label is one already."""
    return (label if label.is_floating_point() else label > 0)[:, None].to(like)


def _mean_over_outputs(one: Callable[[Tensor, Tensor], Tensor]) -> Loss:
    import torch

    return lambda outputs, label: torch.stack([one(output, label) for output in outputs]).mean()


BY_ACTIVATION: dict[str, dict[str, Callable[..., Loss]]] = {
    "softmax": {
        "cross_entropy_dice": cross_entropy_dice,
        "mutation": mutation,
        "ohem": ohem,
        "nnunet": nnunet,
    },
    "sigmoid": {
        "bce": bce,
        "soft_dice": soft_dice,
        "fcbformer": fcbformer,
        "ssformer": ssformer,
        "structure": structure,
        "structure_boundary": structure_boundary,
    },
}
"""The losses by what makes probabilities of their logits: a recipe's ``activation``."""

KIND = Kind(
    "loss", {name: one for losses in BY_ACTIVATION.values() for name, one in losses.items()}
)
