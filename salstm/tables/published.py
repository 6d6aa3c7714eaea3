"""Published numbers from the networks' cards, in our units."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from salstm.vocabulary import PAPER, PLAIN

SCALE = {"percent": 0.01}
COMPARABLE_UNDER = PAPER
"""Published numbers choose their weights on the test set: no other protocol can be held against them."""


FACTS = ("source", "protocol", "why", "split", "selection", "grid")


def find(card: Mapping[str, Any], dataset: str, metric: str, variant: str) -> dict[str, Any] | None:
    """The card's number for a dataset, metric and variant.

    Where a card has several, a comparable one goes first, then the one that the card names first.

    Args:
        card: of the network.
        dataset: as in config.yaml.
        metric: a name in ``salstm.vocabulary.METRICS``.
        variant: rows of a card without a ``variant`` are of the plain network.

    Returns:
        ``value`` and ``classes`` (name in lower case -> value) in our units (a percentage becomes a fraction),
        ``comparable``, ``verified``, ``source``, ``protocol``, ``why``, and of a comparable one the ``split``, the
        ``selection`` and the ``grid`` that a run must have to be held against it; None if there is none.
    """
    wanted = (dataset, metric, variant)
    rows = [
        row
        for row in card.get("published") or []
        if (row["dataset"], row["metric"], row.get("variant", PLAIN)) == wanted
    ]
    if not rows:
        return None
    best = min(rows, key=lambda row: not row.get("comparable"))
    scale = SCALE.get(best.get("unit", ""), 1.0)
    classes = {plain_name(name): value * scale for name, value in best.get("classes", {}).items()}
    facts = {key: str(best.get(key, "")) for key in FACTS}
    marks = {key: bool(best.get(key)) for key in ("comparable", "verified")}
    return {"value": best["value"] * scale, "classes": classes, **marks, **facts}


def plain_name(name: str) -> str:
    """A class name without case and underscores: cards and datasets spell them differently."""
    return name.lower().replace("_", " ")
