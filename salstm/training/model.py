"""From a recipe to a model: how many channels go in and out, and which seed initialises it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from salstm.data.datasets import Dataset
from salstm.modules import ATTENTION_SIZE, attach
from salstm.modules.wrapper import Attached
from salstm.recipes import Recipe
from salstm.vocabulary import PLAIN

FEATURES = 64
"""Channels of the network under a module."""


def outputs(recipe: Recipe, classes: int) -> int:
    """Channels of the logits: one under sigmoid, background and classes under softmax.

    Raises:
        ValueError: sigmoid for more than one class.
    """
    if recipe.activation == "softmax":
        return classes + 1
    if classes != 1:
        raise ValueError(f"activation sigmoid: found {classes} classes, 1 is allowed; use softmax")
    return 1


def assemble(
    build: Callable[..., nn.Module],
    recipe: Recipe,
    *,
    variant: str,
    channels: int,
    classes: int,
    seed: int,
    options: dict[str, Any] | None = None,
) -> Attached:
    """Build a network and put a variant on it, initialised from the seed.

    Args:
        build: ``(in_channels=, out_channels=, image_size=, **options) -> nn.Module``.
        recipe: of the cell.
        variant: one of ``salstm.vocabulary.VARIANTS``.
        channels: of the frames, 1 or 3.
        classes: foreground classes.
        seed: of the initialisation; the caller's random state is left as it was.
        options: for ``build``, such as ``pretrained``.
    """
    logits = outputs(recipe, classes)
    options = dict(options or {})
    if recipe.auxiliary:
        options["auxiliary"] = True
    if recipe.network is not None:
        options["source"] = recipe.network
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = build(
            in_channels=channels,
            out_channels=logits if variant == PLAIN else FEATURES,
            image_size=recipe.size,
            **options,
        )
        # Recipes of variants without attention leave its scale out.
        size, wiring = recipe.attention_size or ATTENTION_SIZE, recipe.wiring or "frames"
        return attach(network, variant, logits, size, wiring)


def untrained(
    build: Callable[..., nn.Module], recipe: Recipe, variant: str, dataset: Dataset
) -> Attached:
    """As ``assemble``, from seed 0, for the frames and classes that a dataset has before it is prepared."""
    return assemble(
        build,
        recipe,
        variant=variant,
        channels=dataset.channels,
        classes=len(dataset.classes),
        seed=0,
    )
