"""Which networks and seeds answer most in a given time, by what they cost and what they can detect.

A network under all variants of the grid is taken whole: a gain needs both sides. First networks at the least number of
seeds that a verdict needs, then more seeds of those, each time what adds the most information for an hour, which is one
over the square of the detectable gain (`salstm.analysis.power`). So breadth comes before depth: a claim about every
network is contradicted by one, and supported only by all of them.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from salstm import recipes
from salstm.analysis import power
from salstm.analysis.results import Frame, dataset_name
from salstm.cost import estimate
from salstm.cost.plan import state
from salstm.data.frame_counts import amounts
from salstm.vocabulary import Identity, folds_of


@dataclass
class Block:
    """A network on a dataset under all variants.

    Attributes:
        dataset: its name.
        network: its name.
        hours: of a GPU for the trainings of the first seed, the second, and so on, without those that are done.
        gains: seeds -> the detectable gain, as a share of 1 of Dice.
        seeds: that are chosen; 0 at first.
    """

    dataset: str
    network: str
    hours: list[float]
    gains: dict[int, float]
    seeds: int = field(default=0)

    @property
    def step(self) -> int:
        """The next number of seeds; 0 where there is none."""
        return next((count for count in power.SEEDS if count > self.seeds), 0)

    @property
    def cost(self) -> float:
        """Hours to the next number of seeds."""
        return sum(self.hours[self.seeds : self.step])

    @property
    def worth(self) -> float:
        """Information that the next number of seeds adds for an hour; NaN where nothing can be detected."""
        before = self.gains[self.seeds] ** -2 if self.seeds else 0.0
        added = self.gains[self.step] ** -2 - before
        return added / self.cost if self.cost else math.inf


def hours(text: str) -> float:
    """Hours from ``100``, ``100h`` or ``4d``.

    Raises:
        ValueError: anything else.
    """
    read = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([hd]?)", text)
    if not read or not float(read[1]):
        raise ValueError(f"--budget: found {text!r}, allowed is a time such as 100h or 4d")
    return float(read[1]) * (24 if read[2] == "d" else 1)


def blocks(
    settings: Mapping[str, Any],
    cards: Mapping[str, Any],
    comparisons: Frame,
    results: Path,
    figures: estimate.Figures,
) -> list[Block]:
    """Every network of the grid, with nothing chosen yet.

    Args:
        settings: the checked configuration.
        cards: by the network's name.
        comparisons: of its whole grid; no rows before there are any.
        results: folder of its results; need not be there.
        figures: what a window and a frame cost.
    """
    family = settings["statistics"]
    networks = sum(len(names) for names in settings["grid"].values())
    tests = networks * len(family["modules"]) * len(family["metrics"])
    found = []
    for dataset, names in settings["grid"].items():
        if not names:
            continue
        split = settings["datasets"][dataset]["split"]
        noise = power.measured(comparisons, dataset) or power.assumed(
            power.tested(dataset, split, results)
        )
        variants = len(settings["variants"])
        gains = {
            count: power.detectable(noise, count, variants, family["level"], tests)
            for count in power.SEEDS
        }
        found += [
            Block(
                dataset, one, _hours(settings, cards[one], (dataset, one), results, figures), gains
            )
            for one in names
        ]
    return found


def choose(found: list[Block], budget: float) -> float:
    """Set the seeds of each block; the hours that are left over.

    Args:
        found: of `blocks`.
        budget: hours of one GPU.
    """
    for first in (True, False):
        while True:
            open_ = [
                one
                for one in found
                if (one.seeds == 0) == first and one.step and one.cost <= budget and one.worth > 0
            ]
            if not open_:
                break
            best = max(open_, key=lambda one: one.worth)
            budget -= best.cost
            best.seeds = best.step
    return budget


def table(found: list[Block], variants: Sequence[str], budget: float) -> str:
    """For a terminal: what to train in a given time, and what stays open.

    Args:
        found: of `blocks`; their seeds are set.
        variants: of each network.
        budget: hours of one GPU.
    """
    left = choose(found, budget)
    lines = [
        f"In {budget:,.0f} GPU-hours (estimates, as the plan's), {', '.join(variants)} of each:",
        _line("dataset", "network", "seeds", "GPU-hours", "detectable [points of Dice]"),
    ]
    chosen = [one for one in found if one.seeds]
    for one in chosen:
        spent, gain = sum(one.hours[: one.seeds]), f"{100 * one.gains[one.seeds]:.2f}"
        lines.append(
            _line(dataset_name(one.dataset), one.network, str(one.seeds), f"{spent:,.1f}", gain)
        )
    lines.append(f"{budget - left:,.1f} of {budget:,.0f} hours. {_setting(chosen)}")
    return "\n".join([*lines, *_open(found)]) + "\n"


def _hours(
    settings: Mapping[str, Any],
    card: Mapping[str, Any],
    names: tuple[str, str],
    results: Path,
    figures: estimate.Figures,
) -> list[float]:
    """GPU-hours of each seed's trainings that are not done, those of the configuration's seeds first."""
    dataset, network = names
    block = settings["datasets"][dataset]
    counted, folds = amounts(dataset, block, results / dataset / "cases"), folds_of(block["split"])
    seeds = [*settings["seeds"], *(n for n in range(99) if n not in settings["seeds"])]
    total = [0.0] * power.SEEDS[-1]
    for variant in settings["variants"]:
        recipe = recipes.resolve(dict(settings), dataset, network, variant)
        work = estimate.work(recipe, variant, counted, card)
        each = sum(figures.seconds((dataset, network, variant), "gpu", recipe, work)) / 3600
        for place, seed in enumerate(seeds[: len(total)]):
            folders = Identity(dataset, network, variant, seed).trainings(folds)
            states = [state(results / one, recipes.digest(recipe)) for one in folders]
            total[place] += each * sum(one != "done" for one in states)
    return total


def _setting(chosen: list[Block]) -> str:
    if not chosen:
        return "No network fits, at the least number of seeds that a verdict needs."
    seeds = max(one.seeds for one in chosen)
    names: dict[str, list[str]] = {}
    for one in chosen:
        names.setdefault(one.dataset, []).append(one.network)
    grid = "; ".join(f"{dataset}: [{', '.join(those)}]" for dataset, those in names.items())
    return f"In a configuration: grid {grid}; seeds 0 to {seeds - 1}, where above are fewer those."


def _open(found: list[Block]) -> Iterator[str]:
    """What the choice does not answer."""
    rest = [one for one in found if not one.seeds]
    if rest:
        names = ", ".join(f"{dataset_name(one.dataset)} {one.network}" for one in rest)
        yield (
            f"Open: {len(rest)} of {len(found)} networks ({names}). A claim about every network can be contradicted "
            f"by what is chosen, and not be supported."
        )
    else:
        yield "Every network of the grid is in it: claims about all of them can be answered either way."
    if never := sorted({one.dataset for one in rest if math.isnan(one.gains[power.SEEDS[0]])}):
        yield f"Never, or not known before the cases are prepared: {', '.join(map(dataset_name, never))}."
    if unknown := sorted({one.network for one in rest if math.isnan(one.hours[0])}):
        yield f"No multiply-adds on the cards of {', '.join(unknown)}: python -m salstm plan --probe."
    yield "A gain smaller than detectable may be there and stay undecided. docs/statistics.md"


def _line(dataset: str, network: str, seeds: str, spent: str, gain: str) -> str:
    return f"{dataset:14} {network:14} {seeds:>5} {spent:>10}  {gain}"
