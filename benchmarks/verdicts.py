"""How often a verdict is wrong: simulated studies with a known truth, the suite's method beside those that failed.

``python -m benchmarks.verdicts coverage|family|power [--studies 400] [--keep]``: each is a minute on one core.

A study is a dataset: networks x variants x trainings, cases in groups, in points of Dice, no true gain:

    y = [a module helps some patients more: mean 0 over groups and cases]
        + [training: normal, sigma, shared by all of its cases]
        + [training x patient, training x case: normal] - [3 % of the cases fail: exponential]

What cases share (how hard they are) cancels in a difference and is left out. ``n20`` has the noise of the authors'
ACDC logs. ``unequal``: the networks' sigma are 0.3, 0.6, 1, 1.4 and 2 times the stated one; ``modules``: the variants'
0.5, 1, 1.5 times. The arrays are (studies, networks, variants, trainings, groups) of sums over cases.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from salstm.analysis import trainings

Floats = NDArray[np.float64]
TARGET = Path(__file__).parent.parent / "docs" / "measured"
BATCH = 20
"""Studies that share the sizes of their groups."""
NETWORKS, VARIANTS = 5, 3
LEVEL, TESTS = 0.95, 80
"""Of the paper's grid: 20 networks, two modules, two metrics."""
SIGMAS = (0.0, 0.3, 0.7, 1.0)


@dataclass(frozen=True)
class Shape:
    """A test set: groups, cases of the smallest and largest, and the scale of its noise in points."""

    groups: int
    cases: tuple[int, int]
    scale: float


SHAPES = {
    "n12": Shape(12, (1, 1), 2.0),
    "n20": Shape(20, (2, 2), 0.55),
    "n60": Shape(60, (1, 3), 2.5),
    "n259": Shape(259, (1, 1), 4.0),
}
SPREADS: dict[str, Floats] = {
    "equal": np.ones((NETWORKS, VARIANTS)),
    "unequal": np.array([0.3, 0.6, 1, 1.4, 2])[:, None] * np.ones(VARIANTS),
    "modules": np.ones((NETWORKS, 1)) * np.array([0.5, 1, 1.5]),
}
"""Multiples of sigma, (networks, variants)."""


@dataclass(frozen=True)
class Studies:
    """Sums over the cases of each group, (studies, networks, variants, trainings, groups), and the groups' sizes."""

    sums: Floats
    sizes: Floats

    @property
    def means(self) -> Floats:
        """Of each training."""
        return self.sums.sum(-1) / self.sizes.sum()

    @property
    def own(self) -> Floats:
        """Variance of the trainings' means of each network and variant."""
        return self.means.var(-1, ddof=1)

    @property
    def seeds(self) -> int:
        """Trainings of each."""
        return self.sums.shape[3]

    @property
    def gains(self) -> Floats:
        """Of each module, (studies, networks, modules)."""
        means = self.means.mean(-1)
        return means[..., 1:] - means[..., :1]

    @property
    def between(self) -> Floats:
        """Variance of the gains between groups, as `salstm.analysis.statistics.Clusters.error` has it."""
        sums = self.sums.mean(3)
        return self._variance(sums[:, :, 1:] - sums[:, :, :1])

    @property
    def residual(self) -> Floats:
        """Variance of a training's mean that comes from how it meets each patient, of each network and variant."""
        rest = self.sums - self.sums.mean(3, keepdims=True)
        return self._variance(rest).sum(-1) / (self.seeds - 1)

    def _variance(self, sums: Floats) -> Floats:
        count, total = len(self.sizes), self.sizes.sum()
        rest = sums - sums.sum(-1, keepdims=True) / total * self.sizes
        return count / (count - 1) * (rest**2).sum(-1) / total**2


def simulate(generator: np.random.Generator, shape: Shape, sigmas: Floats, seeds: int) -> Studies:
    """A batch of studies without a true gain.

    Args:
        generator: source of chance.
        shape: of the test set.
        sigmas: of the trainings, (networks, variants).
        seeds: trainings of each.
    """
    low, high = shape.cases
    group = np.repeat(np.arange(shape.groups), generator.integers(low, high + 1, shape.groups))
    member = np.eye(shape.groups)[group]
    cells = (BATCH, *sigmas.shape)
    size = (*cells, seeds, len(group))

    def normal(*shape_of: int) -> Floats:
        return generator.standard_normal(shape_of)

    y = 0.45 * (normal(*cells, 1, shape.groups)[..., group] + normal(*cells, 1, len(group)))
    y = y + 0.4 * (normal(*cells, seeds, shape.groups)[..., group] + normal(*size))
    y -= np.where(generator.random(size) < 0.03, generator.exponential(4, size), 0)
    y = shape.scale * y + sigmas[:, :, None, None] * normal(*cells, seeds, 1)
    return Studies(y @ member, member.sum(0))


def methods(studies: Studies) -> dict[str, tuple[Floats, Floats]]:
    """Standard error and degrees of freedom of every gain, by method; the first decides."""
    free = float(studies.seeds - 1)
    own, between = studies.own, studies.between
    both = own[..., 1:] + own[..., :1]
    pooled = own.mean(2)
    network = trainings.moderated(pooled, np.full_like(pooled, VARIANTS * free))
    flat = own.reshape(len(own), -1)
    cells = trainings.moderated(flat, np.full_like(flat, free))
    moderated, degrees = (one.reshape(own.shape) for one in (cells.variance, cells.degrees))
    residual = np.maximum(network.variance - studies.residual.mean(2), 0)[..., None]
    parts: dict[str, tuple[Floats, Floats]] = {
        "trainings and patients": (2 * network.variance[..., None], network.degrees[..., None]),
        "these trainings": (np.zeros_like(both), np.ones_like(both)),
        "own variances": (both, both**2 / (own[..., 1:] ** 2 + own[..., :1] ** 2) * free),
        "one variance a dataset": (
            np.broadcast_to(2 * own.mean((1, 2))[:, None, None], both.shape),
            np.full_like(both, own[0].size * free),
        ),
        "moderated cells": (moderated[..., 1:] + moderated[..., :1], 2 * degrees[..., 1:]),
        "residual once": (2 * residual, network.degrees[..., None]),
    }
    groups = np.full_like(between, len(studies.sizes) - 1)
    found = {
        name: trainings.combined(between, groups, variance / studies.seeds, np.asarray(freedom))
        for name, (variance, freedom) in parts.items()
    }
    found["trainings alone"] = (np.sqrt(both / studies.seeds), parts["own variances"][1])
    return found


def coverage(studies: int) -> Iterator[dict[str, float | str]]:
    """Of the 95 % interval, and its width in points, in every cell: a row per method."""
    for at, (name, seeds, spread, sigma) in enumerate(_cells(("n12", "n20", "n60"))):
        generator = np.random.default_rng([1, at])
        found: dict[str, list[Floats]] = {}
        for _ in range(studies // BATCH):
            batch = simulate(generator, SHAPES[name], sigma * SPREADS[spread], seeds)
            for method, (error, degrees) in methods(batch).items():
                half = stats.t.ppf((1 + LEVEL) / 2, degrees) * error
                inside = np.abs(batch.gains) <= half
                found.setdefault(method, []).append(np.array([inside.mean(), 2 * half.mean()]))
        for method, rows in found.items():
            covered, width = np.mean(rows, axis=0)
            key = {"shape": name, "seeds": seeds, "networks": spread, "sigma": sigma}
            yield {**key, "method": method, "coverage": covered, "width": width}


def family(studies: int) -> Iterator[dict[str, float | str]]:
    """How often any test of a paper is clear under no effect: Dice on three datasets; HD95 and the fourth are gaps."""
    for at, (seeds, spread, sigma) in enumerate(
        (seeds, spread, sigma) for seeds in (3, 5) for spread in SPREADS for sigma in SIGMAS
    ):
        generator = np.random.default_rng([2, at])
        found: dict[str, list[NDArray[np.bool_]]] = {}
        for _ in range(studies // BATCH):
            smallest: dict[str, Floats] = {}
            for name in ("n12", "n20", "n259"):
                batch = simulate(generator, SHAPES[name], sigma * SPREADS[spread], seeds)
                for method, (error, degrees) in methods(batch).items():
                    p = 2 * stats.t.sf(np.abs(batch.gains) / error, degrees)
                    least = p.reshape(BATCH, -1).min(1)
                    smallest[method] = np.minimum(smallest.get(method, np.ones(BATCH)), least)
            for method, least in smallest.items():
                # Holm's first step: without it no test is clear
                found.setdefault(method, []).append(least * TESTS <= 1 - LEVEL)
        for method, rows in found.items():
            key = {"seeds": seeds, "networks": spread, "sigma": sigma}
            yield {**key, "method": method, "any_clear": float(np.mean(rows))}


def power(studies: int) -> Iterator[dict[str, float | str]]:
    """The gain that 80 % of the studies find at Holm's first step, and what the suite says of itself."""
    for at, (name, seeds, spread, sigma) in enumerate(_cells(("n12", "n20", "n259"), ("equal",))):
        generator = np.random.default_rng([3, at])
        needed, said = [], []
        for _ in range(studies // BATCH):
            batch = simulate(generator, SHAPES[name], sigma * SPREADS[spread], seeds)
            error, degrees = next(iter(methods(batch).values()))
            needed.append(
                (stats.t.ppf(1 - (1 - LEVEL) / TESTS / 2, degrees) * error - batch.gains).ravel()
            )
            said += [
                trainings.detectable(*one, LEVEL, TESTS)
                for one in zip(error.ravel(), degrees.ravel(), strict=True)
            ]
        found = float(np.quantile(np.concatenate(needed), trainings.POWER))
        key = {"shape": name, "seeds": seeds, "networks": spread, "sigma": sigma}
        yield {**key, "gain": found, "said": float(np.median(said))}


def _cells(
    shapes: tuple[str, ...], spreads: tuple[str, ...] = ("equal", "unequal")
) -> Iterator[tuple[str, int, str, float]]:
    for seeds in (3, 5):
        for spread in spreads:
            for name in shapes:
                for sigma in SIGMAS:
                    yield name, seeds, spread, sigma


def markdown(coverage: pd.DataFrame, family: pd.DataFrame) -> str:
    """The kept tables in short, a row a method: smallest and largest coverage, widths, largest family error."""
    widths = coverage[(coverage["seeds"] == 3) & (coverage["networks"] == "equal")]
    widths = widths.set_index(["method", "shape", "sigma"])["width"]
    lines = [
        "| method | coverage, equal networks | unequal | width n12: sigma 0 / 0.7 | n20: 0 / 0.3 | n60: 0 / 0.7 "
        "| any clear, equal | unequal | modules |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for method in dict.fromkeys(coverage["method"]):
        cells = []
        for spread in ("equal", "unequal"):
            part = coverage[(coverage["method"] == method) & (coverage["networks"] == spread)][
                "coverage"
            ]
            cells.append(f"{part.min():.3f}–{part.max():.3f}")
        for shape, sigma in (("n12", 0.7), ("n20", 0.3), ("n60", 0.7)):
            cells.append(" / ".join(f"{widths[method, shape, one]:.2f}" for one in (0.0, sigma)))
        for spread in SPREADS:
            part = family[(family["method"] == method) & (family["networks"] == spread)]
            cells.append(f"{part['any_clear'].max():.3f}")
        lines.append(f"| {method} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


KINDS: Mapping[str, object] = {"coverage": coverage, "family": family, "power": power}


def main() -> None:
    """Print one kind's table; keep it with --keep."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.verdicts", description=__doc__)
    parser.add_argument("kind", choices=KINDS)
    parser.add_argument("--studies", type=int, default=400)
    parser.add_argument("--keep", action="store_true", help="in docs/measured")
    arguments = parser.parse_args()
    table = pd.DataFrame(KINDS[arguments.kind](arguments.studies))  # type: ignore[operator]
    print(table.to_string(index=False, float_format=lambda one: f"{one:.3f}"))
    if arguments.keep:
        table.round(4).to_csv(TARGET / f"verdicts-{arguments.kind}.csv", index=False)


if __name__ == "__main__":
    main()
