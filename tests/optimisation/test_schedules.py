"""Learning rates against torch's schedulers, the authors' logs and values by hand."""

from __future__ import annotations

import math

import pytest
import torch

from salstm.optimisation import schedules
from salstm.optimisation.schedules import Progress
from salstm.parameters import Choice

NAN = math.nan


def rate(schedule: dict, base: float, progress: Progress) -> float:
    return schedules.rate(Choice.of(schedule), base, progress)


def at(
    iteration: int = 0, iterations: int = 100, epoch: int = 0, epochs: int = 10, scores=()
) -> Progress:
    return Progress(iteration, iterations, epoch, epochs, scores)


def test_poly_is_one_step_late_as_the_authors_logs():
    # 200 epochs of 163 iterations; the log prints 1e-4 (1 - (i - 1) / 32600)^0.9 for its 1-based iteration i,
    # after the step: iterations 0 and 1 both ran at the full rate.
    poly = {"name": "poly", "power": 0.9}
    assert rate(poly, 1e-4, at(0, 32600)) == rate(poly, 1e-4, at(1, 32600)) == 1e-4
    assert rate(poly, 1e-4, at(32599, 32600)) == pytest.approx(1e-4 * (2 / 32600) ** 0.9)


def test_step_and_delayed_step():
    assert rate({"name": "step", "every": 100, "gamma": 0.5}, 1e-3, at(epoch=99)) == 1e-3
    assert rate({"name": "step", "every": 100, "gamma": 0.5}, 1e-3, at(epoch=100)) == 5e-4
    delayed = {"name": "delayed_step", "every": 200, "gamma": 0.1}
    found = [rate(delayed, 1e-4, at(epoch=epoch)) for epoch in (0, 1, 200, 201, 401)]
    assert found == pytest.approx([0, 1e-4, 1e-4, 1e-5, 1e-6])


def test_raised_cosine_starts_at_twice_its_rate():
    cosine = {"name": "raised_cosine"}
    found = [rate(cosine, 1e-4, at(epoch=epoch, epochs=300)) for epoch in (0, 150, 300)]
    assert found == pytest.approx([2.001e-4, 1.001e-4, 1e-7])


def test_warmup_poly_rises_from_a_thousandth_and_ends_at_zero():
    schedule = {"name": "warmup_poly", "warmup": 1000, "power": 0.9}
    assert rate(schedule, 1e-2, at(0, 40000)) == pytest.approx(1e-5)
    assert rate(schedule, 1e-2, at(1000, 40000)) == pytest.approx(1e-2)
    assert rate(schedule, 1e-2, at(20500, 40000)) == pytest.approx(1e-2 * 0.5**0.9)
    # A training that is shorter than the warm-up ends within it: nothing is cut without saying so.
    assert rate(schedule, 1e-2, at(0, 50)) == pytest.approx(1e-5)
    assert rate(schedule, 1e-2, at(49, 50)) == pytest.approx(1e-5 * 1e3**0.049)
    assert rate(schedule, 1e-2, at(999, 1000)) == pytest.approx(1e-5 * 1e3**0.999)


@pytest.mark.parametrize("seed", range(5))
def test_plateau_equals_torch(seed):
    generator = torch.Generator().manual_seed(seed)
    scores = torch.rand(60, generator=generator).cumsum(0).sqrt().tolist()
    scores = [min(score, 3.0) for score in scores]
    parameter = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([parameter], lr=1e-2)
    theirs = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, "max", 0.5, 3, min_lr=1e-3)
    ours = {"name": "plateau", "factor": 0.5, "patience": 3, "min_lr": 1e-3}
    for count, score in enumerate(scores, start=1):
        theirs.step(score)
        expected = optimizer.param_groups[0]["lr"]
        assert rate(ours, 1e-2, at(scores=scores[:count])) == pytest.approx(expected)


def test_plateau_counts_an_undefined_score_as_no_rise():
    schedule = {"name": "plateau", "factor": 0.5, "patience": 1}
    assert rate(schedule, 1.0, at(scores=[NAN, NAN])) == 0.5


def test_an_unknown_schedule_is_explained():
    with pytest.raises(ValueError, match="Available: constant"):
        rate({"name": "cosine"}, 1.0, at())
