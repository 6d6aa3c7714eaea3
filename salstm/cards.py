"""The networks' cards, and the datasets, each as one table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from salstm.vocabulary import PAPER, PLAIN, PROTOCOLS, SELECTIONS

COLUMNS = (
    *("Network", "Name", "Year", "Paper", "Datasets", "Parameters [M]", "MACs [G]"),
    *("Input [px]", "Weights", "Licence of the authors' code", "Deviations"),
)
OF_DATASETS = ("Dataset", "Name", "Classes", "Channels", "Frames of a module", "Licence")
RIGHT = ("Year", "Parameters [M]", "MACs [G]", "Input [px]", "Deviations")
LONGEST = 60
"""Characters of a licence that are shown."""


def table(cards: Mapping[str, Any]) -> str:
    """All cards as a Markdown table, a network a row, in the order of the mapping.

    Parameters and MACs are of the card's first count, MACs of the first count that has them (one prediction at
    the size of that row); a dash where a card has none.

    Args:
        cards: by the network's name.
    """
    lines = [_line(COLUMNS), _line(["---:" if name in RIGHT else "---" for name in COLUMNS])]
    return "\n".join([*lines, *(_line(_row(name, card)) for name, card in cards.items())])


def datasets(entries: Mapping[str, Any]) -> str:
    """All datasets as a Markdown table, a dataset a row, in the order of the mapping.

    Args:
        entries: by name, as ``salstm.data.datasets.DATASETS``.
    """
    rows = [
        (one.label, f"`{name}`", ", ".join(one.classes), one.channels, one.frames, one.licence)
        for name, one in entries.items()
    ]
    lines = [_line(OF_DATASETS), _line(["---"] * len(OF_DATASETS))]
    return "\n".join([*lines, *map(_line, rows)])


def authors_report(card: Mapping[str, Any], dataset: str, variant: str) -> str:
    """Which of a training's weights the network's authors report, of a module SALSTM's, in words.

    Args:
        card: of the network.
        dataset: one of the datasets.
        variant: plain, or a module.
    """
    said = card.get("protocol", {}).get("selection", {}).get(dataset, "")
    selection = said if variant == PLAIN else PROTOCOLS[PAPER].selection
    return SELECTIONS[selection].label if selection in SELECTIONS else "not said"


def _row(name: str, card: Mapping[str, Any]) -> list[str]:
    paper, counts = card["paper"], card["counts"]
    macs = next((row["macs"] for row in counts if "macs" in row), None)
    return [
        card["title"],
        f"`{name}`",
        str(paper["year"]),
        f"[{paper['venue']}]({paper['url']})",
        ", ".join(card["datasets"]),
        f"{counts[0]['parameters'] / 1e6:.2f}",
        "–" if macs is None else f"{macs / 1e9:.2f}",
        str(card["input"]["size"]),
        "from scratch" if card["weights"]["scratch"] else "pretrained backbone",
        _shortened(card["licence"]),
        str(len(card.get("deviations") or [])),
    ]


def _shortened(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1].rstrip()}…"


def _line(cells: Any) -> str:
    return "| " + " | ".join(str(cell).replace("|", r"\|") for cell in cells) + " |"
