"""The published networks, one folder each; a folder's name is the network's name.

Nothing is imported until it is built: ``import baselines`` loads no torch. A folder holds ``__init__.py``
(``build`` and ``from_authors``), ``model.py`` and ``card.yaml``; docs/add-a-network.md walks through it.
"""

from __future__ import annotations

import importlib
import inspect
import keyword
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from salstm import vocabulary
from salstm.libraries import has_weights

if TYPE_CHECKING:
    from torch import Tensor, nn

FOLDER = Path(__file__).parent
LIBRARY_CARDS: dict[str, dict[str, Any]] = {}
"""Of networks that libraries bring, by name, as far as this process was told."""


@cache
def names() -> tuple[str, ...]:
    """The networks that can be built, sorted: every folder with a card.

    Raises:
        ValueError: a folder whose name no import can say.
    """
    found = tuple(sorted(card.parent.name for card in FOLDER.glob("*/card.yaml")))
    for name in found:
        if not name.isidentifier() or keyword.iskeyword(name):
            raise ValueError(
                f"baselines/{name}: the folder of a network must be a Python name (letters, digits and _, no digit "
                f"first), because it is imported; rename it, for example to {_importable(name)}"
            )
    return found


def check(name: str) -> str:
    """Return ``name`` if there is such a network.

    Raises:
        ValueError: unknown name; the message suggests the nearest one and lists all.
    """
    return vocabulary.check("baseline", name, names())


@cache
def card(name: str) -> dict[str, Any]:
    """The network's card: paper, code, licence, sizes, counts, weights, published numbers, deviations."""
    import yaml

    if name in LIBRARY_CARDS:
        return LIBRARY_CARDS[name]
    # The C parser reads as the Python one does, six times faster: a plan reads every card.
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    return yaml.load((FOLDER / check(name) / "card.yaml").read_text(encoding="utf-8"), loader)


def register(cards: Mapping[str, Mapping[str, Any]]) -> None:
    """Make the cards of networks that libraries bring known; ``salstm.contract`` makes them."""
    if cards:
        LIBRARY_CARDS.update({name: dict(one) for name, one in cards.items()})
        card.cache_clear()


def check_size(name: str, height: int, width: int) -> None:
    """Check that the network's structure allows an input of this size.

    Raises:
        ValueError: the card's ``input`` rule forbids the size; the message states the rule.
    """
    rule = card(name)["input"]
    multiple, smallest = rule["multiple_of"], rule["smallest"]
    if min(height, width) < smallest or height % multiple or width % multiple:
        raise ValueError(
            f"{name}: input of {height}x{width} pixels; sides must be multiples of {multiple}, "
            f"{smallest} or more (the authors use {rule['size']}). Set the recipe's size accordingly"
        )


def problems(name: str, recipe: Any, pieces: list[int]) -> Iterator[tuple[str, str]]:
    """What a network does not take of a recipe, by its card.

    Args:
        name: one of ``names()``.
        recipe: has ``size``, ``side`` (of a training window), ``scales``, ``auxiliary`` and ``pretrained``.
        pieces: items of a batch that pass the network at once, piece by piece.

    Yields:
        The key of the recipe, and what is wrong.
    """
    if recipe.network is not None:
        yield from _of_library(name, recipe)
        return
    facts = card(name)
    smallest = facts["input"].get("smallest_batch", 1)
    sides = recipe.scales or (recipe.size, recipe.side)
    try:
        for side in sides:
            check_size(name, side, side)
    except ValueError as error:
        key = "size" if recipe.side == recipe.size else "train_size"
        yield "scales" if recipe.scales else key, str(error)
    if facts["input"]["fixed"] and set(sides) != {recipe.size}:
        key, cure = (
            ("scales", "set it to null") if recipe.scales else ("train_size", "leave it out")
        )
        yield key, f"{name} is built for one size; {cure}"
    if recipe.auxiliary and not facts["auxiliary"]["outputs"]:
        yield "auxiliary", f"{name} has no auxiliary outputs; set it to false"
    if recipe.pretrained and not facts["weights"].get("file"):
        yield "pretrained", f"{name} has no published backbone weights; set it to false"
    if min(pieces) < smallest:
        yield (
            "batch",
            f"a batch of {sum(pieces)} passes {name} in pieces of {', '.join(map(str, pieces))}, and its batch norms "
            f"of 1x1 maps need {smallest} items at once; leave no piece smaller",
        )


def build(
    name: str, *, in_channels: int, out_channels: int, image_size: int, **options: Any
) -> nn.Module:
    """Build a network.

    Args:
        name: one of ``names()``.
        in_channels: 1 or 3.
        out_channels: channels of the logits: classes, or 64 under a module.
        image_size: side of the square input in pixels.
        **options: the folder's own options, such as ``auxiliary`` (extra outputs in training mode)
            or ``pretrained`` (path of the backbone's weights, ``card.yaml`` says which file). With ``source``
            a library brings the network, whatever its name (``baselines.libraries``).

    Returns:
        A module from ``(B, in_channels, H, W)`` float to logits ``(B, out_channels, H, W)``; in training
        mode, and only with ``auxiliary=True``, a tuple ``(logits, *auxiliary logits)``.

    Raises:
        ValueError: unknown name, a size or channel count that the network cannot take.
        TypeError: an option that the network does not have; the message lists those it has.
    """
    library = "source" in options
    if not library:
        check(name)
    if in_channels not in (1, 3):
        raise ValueError(f"{name}: in_channels is {in_channels}; 1 and 3 are allowed")
    if out_channels < 1:
        raise ValueError(f"{name}: out_channels is {out_channels}; it must be at least 1")
    if not library:
        check_size(name, image_size, image_size)
    folder = importlib.import_module(f"baselines.{'libraries' if library else name}")
    known = set(inspect.signature(folder.build).parameters)
    allowed = sorted(known - {"in_channels", "out_channels", "image_size"})
    if unknown := sorted(set(options) - known):
        raise TypeError(f"{name}: unknown option {unknown[0]!r}; it has {allowed or 'no options'}")
    network = folder.build(in_channels, out_channels, image_size, **options)
    if not library:  # those check what comes in themselves
        network.register_forward_pre_hook(_InputCheck(name, in_channels, image_size))
    return network


def from_authors(name: str, entries: dict[str, Tensor]) -> dict[str, Tensor]:
    """Map a state dict with the authors' names to ours, ready for ``load_state_dict(strict=True)``.

    Raises:
        KeyError: an entry that the authors' model does not have, or one that is missing.
    """
    return importlib.import_module(f"baselines.{check(name)}").from_authors(entries)


def _of_library(name: str, recipe: Any) -> Iterator[tuple[str, str]]:
    """What a network of a library does not take, before it is built."""
    if recipe.auxiliary:
        yield "auxiliary", f"{name} is trained on its main output alone; set it to false"
    if recipe.pretrained and not has_weights(recipe.network):
        yield "pretrained", f"{name}: its library has no weights to start from; set it to false"


def _importable(name: str) -> str:
    word = "".join(letter if letter.isalnum() and letter.isascii() else "_" for letter in name)
    return word if word.isidentifier() and not keyword.iskeyword(word) else f"net_{word}"


class _InputCheck:
    """Forward pre-hook that says which inputs are allowed instead of failing deep inside."""

    def __init__(self, name: str, in_channels: int, image_size: int) -> None:
        self.name, self.in_channels, self.image_size = name, in_channels, image_size

    def __call__(self, module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        import torch

        if torch._C._get_tracing_state() or torch.compiler.is_compiling():
            return
        shape = tuple(inputs[0].shape)
        if len(shape) != 4 or shape[1] != self.in_channels:
            raise ValueError(
                f"{self.name}: input of shape {shape}; (B, {self.in_channels}, H, W) is expected"
            )
        if card(self.name)["input"]["fixed"] and shape[2:] != (self.image_size, self.image_size):
            raise ValueError(
                f"{self.name}: input of {shape[2]}x{shape[3]} pixels, built for {self.image_size}; "
                f"build it with the image_size that you feed"
            )
        check_size(self.name, shape[2], shape[3])
