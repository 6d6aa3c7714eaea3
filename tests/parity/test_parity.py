"""Every network and both modules are the authors' functions, on any processor; a mistake in each is seen."""

from __future__ import annotations

import pytest
import torch

import baselines
from tests.parity import cases, constants
from tests.parity.measure import UNITS, measure
from tests.parity.mutations import MUTATIONS

pytestmark = pytest.mark.parity

IN_FLOAT32 = 1e-4
"""The worst that float32 may do to an output of these functions, whose weights are random."""


@pytest.mark.parametrize("name", cases.NAMES)
def test_is_the_authors_function(name):
    figures = measure(name)
    rows = zip(figures.differences, figures.tolerances, strict=True)
    text = [f"difference {a:.1e}, tolerance {b:.1e}" for a, b in rows]
    print(f"{name}: {'; '.join(text)}")  # noqa: T201 - shown by -rP
    assert all(a <= b for a, b in zip(figures.differences, figures.tolerances, strict=True)), text


@pytest.mark.parametrize("name", cases.NAMES)
def test_a_mistake_fails_by_orders_of_magnitude(name):
    """By eight: it is told from rounding even in float32, in which it is computed here."""
    figures = measure(name)
    print(f"{name}, {MUTATIONS[name].__name__}: {figures.seen:.1e} tolerances")  # noqa: T201
    assert figures.seen > UNITS


@pytest.mark.parametrize("name", cases.NAMES)
def test_float32_stays_near(name):
    """A tolerance is 32 units in float64 only where the function does not blow rounding up."""
    assert max(measure(name).moved) < IN_FLOAT32


def test_every_network_and_module_has_its_mistake():
    """And no golden file is missing: the mistakes are listed by hand."""
    assert sorted(MUTATIONS) == sorted(cases.NAMES)
    assert len(set(MUTATIONS.values())) == len(MUTATIONS)


@pytest.mark.parametrize("name", baselines.names())
def test_no_constant_depends_on_the_processor_but_the_one_that_is_settled(name):
    size = baselines.card(name)["input"]["test_size"]
    network = baselines.build(name, in_channels=1, out_channels=2, image_size=size)
    found = dict(constants.inexact(network))
    assert {at.split(".")[-1] for at in found} == ({"rel_coords_log"} if name == "merit" else set())
    for table in found.values():
        true = constants.logarithms(table)
        unit = true.abs().float().nextafter(torch.tensor(torch.inf)) - true.abs().float()
        assert ((table - true).abs() <= 1.5 * unit).all(), "more than the rounding of a logarithm"
