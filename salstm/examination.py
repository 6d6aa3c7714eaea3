"""Whether a library's network gives what the cells of a grid want, and its card: built, run and counted.

What our own networks are held to by tests (tests/baselines/test_contract.py), at the sizes and channels of the grid.
"""

from __future__ import annotations

import logging
import re
import time
import warnings
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import nn

from salstm.cost import flops
from salstm.libraries import LIBRARIES
from salstm.training.model import FEATURES

log = logging.getLogger(__name__)

LINK = re.compile(r"https?://(?:arxiv\.org/(?:abs|pdf)/|(?:dx\.)?doi\.org/)[^\s>)\]`'\",]+")
TARGET = re.compile(r"\.\. _{1,2}[^:]*:\s+(https?://\S+)")
QUOTED = re.compile(r"[`\"]([^`\"<>]{8,150}?)[`\"]?\s*(?:[-,]\s*)?<?$")


def examine(
    wanted: Mapping[str, Mapping[str, Any]],
    build: Callable[..., nn.Module],
    told: Callable[[Mapping[str, Any]], str],
    is_fixed: Callable[[Mapping[str, Any]], bool],
) -> dict[str, dict[str, Any]]:
    """Look at all networks.

    Args:
        wanted: as ``salstm.contract.asked`` gives it.
        build: ``(in_channels, out_channels, image_size, source=)``.
        told: what a library's source says about a network.
        is_fixed: whether a network is built for one size.

    Returns:
        By name: ``problems``, lines that name place and cure, and where there are none ``card``.
    """
    found: dict[str, dict[str, Any]] = {}
    for name, one in wanted.items():
        started = time.monotonic()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the library's own business
            try:
                facts = _examined(one, build)
                source = one["source"]
                card = _card(one, facts, told(source), fixed=is_fixed(source))
                found[name] = {"problems": [], "card": card}
            except ValueError as error:
                found[name] = {"problems": [f"{one['place']}: {error}"]}
        log.info("%s: looked at in %.1f s", name, time.monotonic() - started)
    return found


def _examined(one: Mapping[str, Any], build: Callable[..., nn.Module]) -> dict[str, Any]:
    """Facts for the card.

    Raises:
        ValueError: what the network does not give.
    """
    facts: dict[str, Any] = {"counts": [], "unused": 0, "smallest_batch": 1}
    for wanted in one["builds"]:
        outputs, size = wanted["outputs"] or FEATURES, wanted["size"]
        torch.manual_seed(0)
        network = build(wanted["channels"], outputs, size, source=one["source"])
        for side in wanted["sides"]:
            _forward(network, wanted, side)
        if wanted is one["builds"][0]:
            facts["unused"] = _unused(network, wanted)
            facts["smallest_batch"] = 1 + _needs_two(network, wanted)
        if wanted["smallest"] < facts["smallest_batch"]:
            raise ValueError(
                "batches pass it one by one, and its batch norms of 1x1 maps need 2 items at once; set the recipe's "
                "batch, or machine.micro_batch, to 2 or more"
            )
        if wanted["outputs"] or not facts["counts"]:
            facts["counts"].append(_counted(network, wanted, outputs))
    return facts


def _forward(network: nn.Module, wanted: Mapping[str, Any], side: int) -> None:
    """Logits at the images' size, finite, the same twice."""
    images = torch.rand(1, wanted["channels"], side, side)
    network.eval()
    with torch.no_grad():
        logits, again = (_run(network, images, side) for _ in range(2))
    if not torch.isfinite(logits).all():
        raise ValueError(f"its outputs at {side}x{side} are not finite")
    if not torch.equal(logits, again):
        raise ValueError("two evaluations of one image differ: it draws at random in evaluation")


def _run(network: nn.Module, images: torch.Tensor, side: int) -> torch.Tensor:
    try:
        return network(images)
    except ImportError as error:
        text = " ".join(str(error).split())[:200]
        raise ValueError(
            f"it wants a package that is not installed: {text}; install it beside the suite's own"
        ) from error
    except Exception as error:
        text = " ".join(str(error).split())[:300]
        raise ValueError(
            f"it does not take images of {side}x{side}, the size in its recipe (size, train_size or scales): {text}"
        ) from error


def _unused(network: nn.Module, wanted: Mapping[str, Any]) -> int:
    """Parameters that get no gradient.

    Raises:
        ValueError: none gets one.
    """
    images = torch.rand(2, wanted["channels"], wanted["size"], wanted["size"])
    network.train()
    _run(network, images, wanted["size"]).square().mean().backward()
    parameters = list(network.parameters())
    without = sum(one.numel() for one in parameters if one.grad is None)
    if without == sum(one.numel() for one in parameters):
        raise ValueError("none of its parameters gets a gradient: it cannot be trained")
    network.zero_grad(set_to_none=True)
    return without


def _needs_two(network: nn.Module, wanted: Mapping[str, Any]) -> bool:
    """Whether batch norms of 1x1 maps refuse a single item in training."""
    side = min(wanted["sides"])
    network.train()
    try:
        with torch.no_grad():
            network(torch.rand(1, wanted["channels"], side, side))
    except ValueError as error:
        if "more than 1 value per channel" not in str(error):
            raise
        return True
    return False


def _counted(network: nn.Module, wanted: Mapping[str, Any], outputs: int) -> dict[str, int]:
    """A row of the card's counts, by our own counter.

    Raises:
        ValueError: an operator that it does not know.
    """
    size, channels = wanted["size"], wanted["channels"]
    try:
        figures = flops.count(network, torch.zeros(1, channels, size, size))
    except ValueError as error:
        raise ValueError(f"its multiply-adds cannot be counted: {error}") from error
    counted = {key: int(figures[key]) for key in ("parameters", "macs")}
    return {"in_channels": channels, "outputs": outputs, "size": size, **counted}


def _card(
    one: Mapping[str, Any], facts: Mapping[str, Any], text: str, *, fixed: bool
) -> dict[str, Any]:
    """As the card of a folder under baselines/, from what the library tells and what was counted."""
    word, _, name = one["source"]["from"].partition(":")
    library, version = LIBRARIES[word], one["library"]
    size = facts["counts"][0]["size"]
    unused = facts["unused"]
    return {
        "title": one["title"],
        "paper": paper(text, name, library.url, version),
        "code": {"url": library.url, "commit": version, "file": one["source"]["from"]},
        "licence": _licence(library.distributions[0]),
        "datasets": one["datasets"],
        "input": {
            "size": size,
            "multiple_of": 1,
            "smallest": 1,
            "smallest_batch": facts["smallest_batch"],
            "fixed": fixed,
            "test_size": size,
            "channels": "1 and 3; torchvision's take grey three times",
        },
        "counts": facts["counts"],
        "unused": [f"{unused} parameters get no gradient"] if unused else [],
        "features64": "its own last layer, built with 64 outputs",
        "auxiliary": {"outputs": 0, "note": "other outputs of the network are not used"},
        "weights": {"scratch": True, "note": "the library's initialisation, nothing downloaded"},
        "published": [],
        "recipe": "none is known: the dataset's, as config.yaml lays it",
        "deviations": [],
        "unverified": [
            f"that {version} computes what the paper describes: the library's code was taken as it is"
        ],
    }


def paper(text: str, name: str, url: str, version: str) -> dict[str, Any]:
    """The paper that a library names first; the library itself where it names none.

    Args:
        text: documentation of the network.
        name: of the network.
        url: of the library.
        version: of the library.
    """
    flat = " ".join(text.split())
    targets = [one for one in TARGET.findall(text) if LINK.match(one)]
    links = targets or LINK.findall(flat)
    if not links:
        return {"title": name, "authors": version, "venue": version, "year": "–", "url": url}
    link = links[0].rstrip(".")
    quoted = None if targets else QUOTED.search(flat.partition(link)[0])
    number = re.search(r"/(\d\d)(\d\d)\.\d{4,5}", link)
    return {
        "title": quoted[1].strip() if quoted else name,
        "authors": f"as {version} names it",
        "venue": "arXiv" if "arxiv" in link else "doi",
        "year": 2000 + int(number[1]) if number else "–",
        "url": re.sub(r"^https?://(dx\.)?", "https://", link),
    }


def _licence(distribution: str) -> str:
    from importlib import metadata

    facts: Any = metadata.metadata(distribution)
    found = facts.get("License-Expression") or facts.get("License") or "not stated"
    return str(found).strip().splitlines()[0][:60]
