"""The training batches of a recipe, in an order that follows from seed and epoch."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch.utils.data import DataLoader, Sampler

from salstm.data.augment import augmentation
from salstm.data.case import Case
from salstm.data.store import Store
from salstm.recipes import Recipe
from salstm.training.windows import Window, Windows


def windows(store: Store, cases: list[Case], recipe: Recipe, seed: int) -> Windows:
    """The training windows of a recipe."""
    window = Window.of(recipe, store.cases[0].channels)
    return Windows(store, cases, window, augment=augmentation(recipe.augment), seed=seed)


class Batches:
    """All windows once an epoch.

    Attributes:
        batches: how many an epoch has.

    Args:
        items: the windows.
        recipe: says how many items a batch has, and which last batches join no step.
        seed: of the order.
        workers: loader processes; they change no item and no order.
        pinned: batches in page-locked memory, for a GPU.
    """

    def __init__(
        self, items: Windows, recipe: Recipe, *, seed: int, workers: int, pinned: bool
    ) -> None:
        self.items, self.order = items, _Order(len(items), seed)
        self.loader = DataLoader(
            items,
            batch_size=recipe.batch,
            sampler=self.order,
            # Of its own: the loader draws from it, and must not draw from the stream of dropout.
            generator=torch.Generator(),
            num_workers=workers,
            persistent_workers=workers > 0,
            pin_memory=pinned,
        )
        self.batches = recipe.batches(len(items))

    def epoch(self, epoch: int) -> Iterator[dict[str, Any]]:
        """The batches of an epoch, counted from 0."""
        self.items.set_epoch(epoch)
        self.order.epoch = epoch
        for number, batch in enumerate(self.loader):
            if number < self.batches:
                yield batch


class _Order(Sampler[int]):
    """An order that follows from seed and epoch alone.

    The loader's own shuffling does not: processes that outlive an epoch spare it a draw, so that a training that was
    resumed would go on in another order than one that was not.
    """

    def __init__(self, length: int, seed: int) -> None:
        self.length, self.seed, self.epoch = length, seed, 0

    def __len__(self) -> int:
        return self.length

    def __iter__(self) -> Iterator[int]:
        generator = torch.Generator().manual_seed(mixed(self.seed, self.epoch))
        torch.empty((), dtype=torch.int64).random_(generator=generator)  # the draw in question
        return iter(torch.randperm(self.length, generator=generator).tolist())


def mixed(seed: int, epoch: int) -> int:
    """One number from two; neighbours in either give unrelated streams."""
    return (seed * 1_000_003 + epoch) * 0x9E3779B97F4A7C15 % 2**63
