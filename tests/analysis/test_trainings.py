"""The variance of trainings: its parts by hand, the prior against draws from it, and how often a verdict is wrong."""

import math

import numpy as np
import pytest
from scipy import special, stats

from benchmarks import verdicts
from salstm.analysis import trainings
from salstm.analysis.trainings import Estimate


def test_two_parts_by_hand():
    # 4 + 12 = 16; Satterthwaite: 16^2 / (4^2 / 2 + 12^2 / 6) = 256 / 32 = 8
    error, degrees = trainings.combined(*map(np.float64, (4, 2, 12, 6)))
    assert (error, degrees) == (4, 8)


def test_where_nothing_varies_the_groups_freedom_stays():
    error, degrees = trainings.combined(
        np.zeros(2), np.full(2, 11.0), np.array([0, 1.0]), np.full(2, 6.0)
    )
    assert error.tolist() == [0, 1]
    assert degrees.tolist() == [11, 6]


def test_the_interval_and_p_are_students():
    found = Estimate(2.0, 0.5, 7)
    expected = stats.t.interval(0.9, 7, loc=2.0, scale=0.5)
    assert found.interval(0.9) == pytest.approx(expected)
    assert found.p == pytest.approx(2 * stats.t.sf(4, 7))
    assert math.isnan(Estimate(2.0, math.nan, 7).p)
    assert all(math.isnan(one) for one in Estimate(2.0, math.nan, math.nan).interval(0.9))


def test_trigamma_is_inverted():
    values = np.geomspace(1e-4, 1e4, 50)
    found = special.polygamma(1, trainings._inverse_trigamma(values))
    np.testing.assert_allclose(found, values, rtol=1e-8)


@pytest.mark.parametrize(("prior", "degrees"), [(4.0, 6), (10.0, 12), (3.0, 2)])
def test_the_prior_is_found_again(prior, degrees):
    """Variances of 20,000 networks from an inverse gamma around 2, each measured with so many degrees of freedom."""
    generator = np.random.default_rng(0)
    true = 2.0 * prior / generator.chisquare(prior, 20_000)
    measured = true * generator.chisquare(degrees, true.shape) / degrees
    centre, found = trainings._prior(measured, np.full(true.shape, float(degrees)))
    # sd of the logarithms' variance over 20,000: about 1 %, which the prior's degrees carry some ten times
    assert float(centre[0]) == pytest.approx(2.0, rel=0.05)
    assert float(found[0]) == pytest.approx(prior, rel=0.12)


def test_equal_variances_are_pooled_and_weigh_no_more_than_ones_own():
    found = trainings.moderated(np.array([1.0, 1.1, 0.9]), np.full(3, 6.0))
    # less spread than six degrees of freedom have by themselves: the prior is their mean, with their own weight
    assert found.variance.tolist() == pytest.approx([1.0, 1.05, 0.95])
    assert found.degrees.tolist() == [12, 12, 12]


def test_unequal_ones_keep_more_of_their_own():
    spread = np.geomspace(0.01, 100, 5)
    found = trainings.moderated(spread, np.full(5, 6.0))
    assert (found.degrees < 8).all()
    assert found.variance[-1] > 0.7 * spread[-1]


@pytest.mark.parametrize("variances", [[3.0], [3.0, math.nan], [3.0, 0.0]])
def test_a_network_alone_keeps_its_own(variances):
    found = trainings.moderated(np.array(variances), np.full(len(variances), 4.0))
    assert found.variance[0] == 3
    assert found.degrees[0] == 4


def test_many_datasets_at_once_are_the_single_ones():
    generator = np.random.default_rng(1)
    many = generator.chisquare(4, (7, 5)) * generator.uniform(0.2, 5, (7, 5))
    together = trainings.moderated(many, np.full(many.shape, 4.0))
    for row, variance, degrees in zip(many, together.variance, together.degrees, strict=True):
        alone = trainings.moderated(row, np.full(5, 4.0))
        np.testing.assert_allclose(alone.variance, variance)
        np.testing.assert_allclose(alone.degrees, degrees)


def coverage(shape, sigma, spread, *, studies=200):
    """Share of the 95 % intervals of `studies` studies that hold the truth, by method."""
    generator, found = np.random.default_rng(5), {}
    for _ in range(studies // verdicts.BATCH):
        batch = verdicts.simulate(
            generator, verdicts.SHAPES[shape], sigma * verdicts.SPREADS[spread], 3
        )
        for name, (error, degrees) in verdicts.methods(batch).items():
            inside = np.abs(batch.gains) <= stats.t.ppf(0.975, degrees) * error
            found.setdefault(name, []).append(inside.mean())
    return {name: float(np.mean(rows)) for name, rows in found.items()}


# The kept table's coverage (docs/measured/verdicts-coverage.csv) minus and plus three standard deviations of a share of
# 1,000: 200 studies of 5 networks, whose two modules share plain.
@pytest.mark.parametrize(
    ("shape", "sigma", "spread", "low", "high"),
    [("n20", 0.3, "unequal", 0.93, 0.972), ("n12", 1.0, "equal", 0.94, 0.985), ("n60", 0.0, "equal", 0.962, 0.995)],
)  # fmt: skip
def test_the_interval_holds_the_truth(shape, sigma, spread, low, high):
    assert low <= coverage(shape, sigma, spread)["trainings and patients"] <= high


def test_patients_alone_do_not_hold_it():
    """What failed: three trainings that differ by 0.3 points, 20 patients as in the authors' logs."""
    assert coverage("n20", 0.3, "equal", studies=100)["these trainings"] < 0.75


@pytest.mark.parametrize("seeds", [3, 5])
def test_the_detectable_gain_is_found_by_four_of_five(seeds):
    generator = np.random.default_rng(6)
    batches = [
        verdicts.simulate(generator, verdicts.SHAPES["n20"], 0.3 * verdicts.SPREADS["equal"], seeds)
        for _ in range(10)
    ]
    said, found = [], []
    for batch in batches:
        error, degrees = verdicts.methods(batch)["trainings and patients"]
        said += [
            trainings.detectable(*one, 0.95, 80)
            for one in zip(error.flat, degrees.flat, strict=True)
        ]
        found.append((batch.gains, error, degrees))
    gain = float(np.median(said))
    clear = [
        (gains + gain) / error >= stats.t.ppf(1 - 0.05 / 160, degrees)
        for gains, error, degrees in found
    ]
    # 0.8 but for the error's own spread: it is estimated too small more often than too large.
    # +- 4 standard deviations of a share of 1,000.
    assert np.mean(clear) == pytest.approx(0.77, abs=0.05)
