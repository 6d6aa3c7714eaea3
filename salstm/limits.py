"""Why a run cannot decide about accuracy, whatever it finds: phantom data, or less than the paper's recipe."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from salstm import recipes

LESS = {"epochs": "fewer epochs", "size": "smaller images"}
"""Keys of a recipe of which less is a smaller run."""


def limits(config: dict[str, Any], paper: dict[str, Any]) -> list[str]:
    """Compare what runs with the paper as data.

    Args:
        config: the configuration of the run.
        paper: the configuration without what was laid over it.

    Returns:
        A sentence for each reason; none for a whole run. Networks that the paper's grid has not are no reason: no
        claim is about them.
    """
    datasets = [dataset for dataset, chosen in config["grid"].items() if chosen]
    made = [one for one in datasets if config["datasets"][one].get("phantom")]
    found = [f"phantom data: {', '.join(made)}"] if made else []
    cells = [
        (dataset, baseline)
        for dataset in datasets
        for baseline in config["grid"][dataset]
        if baseline in paper["grid"].get(dataset, ())
    ]
    for key, words in LESS.items():
        if smaller := list(_smaller(config, paper, cells, key)):
            more = f" and {len(smaller) - 1} more" if len(smaller) > 1 else ""
            found.append(f"{words} than in config.yaml: {smaller[0]}{more}")
    return found


def _smaller(
    config: dict[str, Any], paper: dict[str, Any], cells: list[tuple[str, str]], key: str
) -> Iterator[str]:
    for dataset, baseline in cells:
        run, whole = (
            recipes.resolve(one, dataset, baseline, "plain")[key] for one in (config, paper)
        )
        if run < whole:
            yield f"{dataset}/{baseline} {run} of {whole}"
