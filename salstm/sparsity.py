"""How sparse the attention's output is when trained modules are stacked: the paper's motivation figure, our reading.

The paper plots "L1 norm sparsity" against the layer and defines neither. Here:

- Layer l is the trained module applied l + 1 times. A module gives two maps of 64 channels for each frame, one of each
  direction; their mean is the next layer's frame. No further network was trained, the layers share their weights.
- Self-attention is the module's attention with Q = K = V = x, the same scale and no ConvLSTM; it starts from the same
  features.
- ``l1`` is the mean absolute value of the attention's output, its L1 norm over its number of entries. SALSTM's is
  below 1 by construction, the others' is not bounded. ``ratio`` is the L1 norm over the L2 norm and the root of the
  number of entries: 1 where all entries are equally large, small where few hold all, the same at any scale.

A falling ``l1`` beside a level ``ratio`` means that the output shrinks, not that it gets sparser.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch import Tensor

from salstm.data.case import Case
from salstm.data.store import Store
from salstm.modules.attention import AttentionSize, channel_attention, scale
from salstm.modules.heads import Bidirectional, Head
from salstm.modules.wrapper import Attached
from salstm.training.inference import View
from salstm.training.windows import neighbours, network_input

SPLITS = ("train", "test")
Step = Callable[[Tensor], tuple[Tensor, Tensor]]
"""From the frames of a layer ``(N, 64, H, W)`` to what is measured of them and the next layer's frames."""


def chosen(store: Store, split: str, count: int) -> list[Case]:
    """At most ``count`` cases of a split, evenly spread over it."""
    cases = store.split(split)
    places = np.linspace(0, len(cases) - 1, min(count, len(cases))).round().astype(int)
    return [cases[at] for at in places]


@torch.no_grad()
def measure(step: Step, frames: Tensor, layers: int) -> Iterator[tuple[float, float]]:
    """``l1`` and ``ratio`` of the middle frame's output, layer by layer.

    Args:
        step: one layer.
        frames: of the first layer, ``(N, 64, H, W)``.
        layers: how many.
    """
    middle = len(frames) // 2
    for _ in range(layers):
        output, frames = step(frames)
        entries = output[middle].double()
        norm = float(entries.norm())
        total = float(entries.abs().sum())
        ratio = total / (norm * math.sqrt(entries.numel())) if norm else math.nan
        yield total / entries.numel(), ratio


def module(head: Head) -> Step:
    """A layer that is a trained module; frames at the ends are their own neighbours.

    Raises:
        ValueError: the head has no two directions.
    """
    if not isinstance(head, Bidirectional):
        raise ValueError(
            f"stacking: found a {type(head).__name__}; the cells of salstm and lstmsa are allowed"
        )

    def step(frames: Tensor) -> tuple[Tensor, Tensor]:
        last = len(frames) - 1
        before = [(max(at - 1, 0), at) for at in range(len(frames))]
        after = [(min(at + 1, last), at) for at in range(len(frames))]
        ahead = torch.cat(list(head.forward_net.sweep(frames, before)))
        back = torch.cat(list(head.reverse_net.sweep(frames, after)))
        return torch.cat((ahead, back), dim=1), (ahead + back) / 2

    return step


def attention(attention_size: AttentionSize) -> Step:
    """A layer that is plain self-attention between channels."""

    def step(frames: Tensor) -> tuple[Tensor, Tensor]:
        output = channel_attention(frames, frames, frames, scale(attention_size, frames))
        return output, output

    return step


@torch.no_grad()
def maps(model: Attached, store: Store, case: Case, view: View, device: torch.device) -> Tensor:
    """Features of a case's middle frame with its neighbours, ``(3, 64, H, W)``; of a single frame ``(1, ...)``."""
    centre = case.first + case.depth // 2
    first, last = store.stack_bounds(case)
    numbers = [centre] if view.frames == 1 else neighbours(centre, first, last, view.border)
    frames = np.stack([store.frame(number) for number in numbers])
    images = network_input(frames, view)
    return model.features(torch.from_numpy(images).to(device))


def rows(
    steps: dict[str, Step],
    model: Attached,
    store: Store,
    view: View,
    device: torch.device,
    *,
    layers: int,
    count: int,
) -> Iterator[dict[str, str | int | float]]:
    """One row per model, split, case and layer: ``l1`` and ``ratio``.

    Args:
        steps: model's name -> its layer; all start from the features of ``model``.
        model: in evaluation mode.
        store: the cases.
        view: how frames reach the network.
        device: where it runs.
        layers: of the stack.
        count: cases of each split.
    """
    for split in SPLITS:
        for case in chosen(store, split, count):
            frames = maps(model, store, case, view, device)
            for name, step in steps.items():
                for layer, (size, ratio) in enumerate(measure(step, frames, layers)):
                    facts = {"model": name, "split": split, "case": case.id, "layer": layer}
                    yield {**facts, "l1": size, "ratio": ratio}
