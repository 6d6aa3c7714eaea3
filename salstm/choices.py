"""What a configuration asks scoring for beyond the columns of every scores.csv: metrics, tolerances, subgroups.

It reaches the jobs as one option, ``--chosen``, and only where something is asked for, so that nothing else reruns.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from salstm import vocabulary
from salstm.data.datasets import DATASETS
from salstm.evaluation import tolerances
from salstm.vocabulary import MEASURED, METRICS, SUBGROUPS


def named(statistics: Mapping[str, Any]) -> list[str]:
    """Metrics that a run tests or explores, in the order of the columns."""
    asked = {*statistics["metrics"], *statistics.get("exploratory", ())}
    return [name for name in METRICS if name in asked]


def of(config: Mapping[str, Any], dataset: str) -> dict[str, Any]:
    """What the jobs of a dataset are told; empty where nothing is asked for.

    Args:
        config: a checked configuration.
        dataset: one of its datasets.
    """
    statistics = config["statistics"]
    more = [name for name in named(statistics) if name not in MEASURED]
    subgroups = list(statistics.get("subgroups", ()))
    told: dict[str, Any] = {}
    if more:
        told["metrics"] = more
    if "nsd" in more:
        asked = config["datasets"][dataset].get("tolerance")
        told |= tolerances.chosen(dataset, DATASETS[dataset].classes, asked)
    return told | ({"subgroups": subgroups} if subgroups else {})


def problems(config: Mapping[str, Any]) -> Iterator[str]:
    """What the schema does not see of the choices."""
    statistics = config["statistics"]
    own = any("classes" in block for block in config["datasets"].values())
    for name in statistics["subgroups"]:
        if name not in SUBGROUPS and not own:
            near = vocabulary.nearest(name, SUBGROUPS)
            yield (
                f"statistics.subgroups: {name!r} is none{f', did you mean {near}?' if near else '.'} Allowed: "
                f"{', '.join(SUBGROUPS)}, and the columns of a subgroups.csv of your own dataset"
            )
    if "ece" in named(statistics) and not config["probabilities"]["calibration"]:
        yield "statistics.exploratory: ece is computed while predicting; set probabilities.calibration to true"
    for dataset, block in config["datasets"].items():
        classes = tuple(block["classes"]) if "classes" in block else DATASETS[dataset].classes
        yield from tolerances.problems(dataset, classes, block.get("tolerance"))
