"""How far ours is from the authors', how far that may be, and how far a mistake takes it.

Two machines that compute one function in float64 round differently: the sums of a matrix product run in another
order, exp and log differ in their last place, and so do the weights and the input, whose rule has logarithms and
sines in it. How much of that reaches the output is a property of the function, and is measured: the same model in
float32 has every weight, every stored statistic and every pixel moved by up to half a unit of float32's last place,
and every intermediate result rounded likewise. Float64's units are 2**-29 of float32's, and so is the output's
movement. (Moving weights and input by one unit of float64's last place instead gives the same to a factor of two,
and takes a pass in float64, which is ten times slower.) ``FACTOR`` allows for two machines and for orders of
summation that differ more than two precisions do.
"""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import numpy as np
import pytest
import torch

from tests.parity import authors, cases
from tests.parity.mutations import MUTATIONS

FACTOR = 32
UNITS = torch.finfo(torch.float32).eps / torch.finfo(torch.float64).eps
"""2**29: float64's units of the last place in one of float32's."""


class Figures(NamedTuple):
    """Relative differences (norm over norm), one for each output that is compared."""

    differences: list[float]
    moved: list[float]  # by the rounding of float32
    mutated: list[float]  # ditto, and by a mistake

    @property
    def tolerances(self) -> list[float]:
        """Of ``differences``, in float64."""
        return [FACTOR * moved / UNITS for moved in self.moved]

    @property
    def worst(self) -> tuple[float, float]:
        """Difference and tolerance of the output that is nearest to failing."""
        rows = zip(self.differences, self.tolerances, strict=True)
        return max(rows, key=lambda row: row[0] / row[1])

    @property
    def seen(self) -> float:
        """The mistake's difference in units of the tolerance, in the output that shows it best."""
        return max(b / a for a, b in zip(self.tolerances, self.mutated, strict=True))


@cache
def measure(name: str) -> Figures:
    """Three passes of one model: in float64, in float32, and in float32 with its mistake."""
    model, x, compute, expected = cases.make(name)
    right = compute(model, x)
    model, x = model.float(), x.float()
    moved = compute(model, x)
    with pytest.MonkeyPatch.context() as monkeypatch:
        MUTATIONS[name](model, monkeypatch)
        broken = compute(model, x)
    return Figures(relatives(right, expected), relatives(moved, right), relatives(broken, expected))


def relatives(ours: list[np.ndarray], theirs: list[np.ndarray]) -> list[float]:
    pairs = zip(ours, theirs, strict=True)
    return [authors.relative(a.astype(np.float64), b) for a, b in pairs]
