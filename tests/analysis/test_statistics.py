"""Statistics: against scipy, against values by hand, and against simulated clustered studies."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy import stats
from statsmodels.regression import linear_model as regression
from statsmodels.stats import multitest

from salstm.analysis import statistics
from salstm.analysis.statistics import clusters, interval

NAN = math.nan


def alone(values):
    """Each value a group of its own."""
    return clusters(np.asarray(values, dtype=float), np.arange(len(values)))


def rng(seed=0):
    return np.random.default_rng(seed)


class TestClusters:
    def test_by_hand(self):
        #  group b: 1, 3; group a: 5; group c: undefined
        data = clusters(np.array([1, 5, 3, NAN]), np.array(["b", "a", "b", "c"]))
        assert data.sums.tolist() == [5, 4]
        assert data.sizes.tolist() == [1, 2]
        assert data.means.tolist() == [5, 2]
        assert data.mean == 3
        # residuals s - mean n: 2, -2; error^2 = 2/1 * 8 / 3^2
        assert data.error == pytest.approx(4 / 3)

    def test_single_values_give_the_usual_error(self):
        values = rng().normal(size=15)
        assert alone(values).error == pytest.approx(stats.sem(values))

    def test_error_and_t_interval_equal_statsmodels_cluster_robust_regression(self):
        groups = rng(2).integers(0, 12, 80)
        values = rng(3).normal(size=80) + 0.1 * groups
        model = regression.OLS(values, np.ones(80))
        fit = model.fit(cov_type="cluster", cov_kwds={"groups": groups}, use_t=True)
        data = clusters(values, groups)
        assert data.error == pytest.approx(fit.bse[0], rel=1e-12)
        assert interval(data, rng(), method="t") == pytest.approx(fit.conf_int()[0], rel=1e-12)

    @pytest.mark.parametrize("values", [[], [NAN, NAN]])
    def test_nothing(self, values):
        data = alone(values)
        assert math.isnan(data.mean)
        assert math.isnan(data.error)
        assert math.isnan(statistics.sign_flip(data, rng()))
        assert math.isnan(statistics.wilcoxon(data))
        assert math.isnan(statistics.smallest_p(0))
        assert math.isnan(statistics.effect_size(data))
        assert all(math.isnan(end) for end in interval(data, rng()))

    def test_one_group(self):
        data = clusters(np.array([1.0, 2.0]), np.array([7, 7]))
        assert all(math.isnan(end) for end in interval(data, rng()))
        assert statistics.sign_flip(data, rng()) == statistics.smallest_p(1) == 1


class TestIntervals:
    values = np.exp(rng(3).normal(size=40))

    def test_t_equals_scipy(self):
        expected = stats.t.interval(0.9, 39, self.values.mean(), stats.sem(self.values))
        found = interval(alone(self.values), rng(), method="t", level=0.9)
        assert found == pytest.approx(expected)

    def test_studentised_equals_a_loop(self):
        """The definition, draw by draw, on groups of unequal size."""
        groups = np.repeat(np.arange(9), [1, 2, 3, 1, 4, 2, 2, 5, 1])
        values = rng(5).normal(size=len(groups)) + 0.3 * groups
        data = clusters(values, groups)
        draws = next(iter(statistics.draws(9, rng(6), 2000)))
        t = []
        for row in draws.astype(int):
            drawn = np.repeat(np.arange(9), row)
            again = statistics.Clusters(data.sums[drawn], data.sizes[drawn])
            t.append((again.mean - data.mean) / again.error)
        low, high = np.quantile(t, [(1 - 0.95) / 2, (1 + 0.95) / 2], method="inverted_cdf")
        expected = (data.mean - high * data.error, data.mean - low * data.error)
        found = interval(data, rng(6), method="studentised", resamples=2000)
        assert found == pytest.approx(expected)

    def test_robust_is_the_wider_end_of_both(self):
        data = alone(self.values)
        parts = [interval(data, rng(4), method=name) for name in ("t", "studentised")]
        expected = (min(low for low, _ in parts), max(high for _, high in parts))
        assert interval(data, rng(4)) == expected

    @pytest.mark.parametrize("method", statistics.METHODS)
    def test_seeded_and_ordered(self, method):
        data = alone(self.values)
        low, high = interval(data, rng(1), method=method, resamples=500)
        assert (low, high) == interval(data, rng(1), method=method, resamples=500)
        assert low < data.mean < high
        wide = interval(data, rng(1), method=method, resamples=500, level=0.99)
        assert wide[0] < low < high < wide[1]

    @pytest.mark.parametrize("method", statistics.METHODS)
    def test_no_spread_no_width(self, method):
        assert interval(alone([0.25] * 6), rng(), method=method) == (0.25, 0.25)
        assert interval(alone([0.0] * 6), rng(), method=method) == (0, 0)

    def test_draws_in_batches(self, monkeypatch):
        monkeypatch.setattr(statistics, "BATCH", 400)
        data = alone(self.values)
        low, high = interval(data, rng(), method="studentised", resamples=1003)
        assert len(statistics._resampled(data, rng(), 1003)[0]) == 1003
        assert low < data.mean < high

    def test_few_groups_may_have_no_bounds(self):
        # A draw of one group only has no spread: with two groups that is every second draw.
        low, high = interval(alone([1.0, 2.0]), rng())
        assert (low, high) == (-math.inf, math.inf)

    def test_unknown_method(self):
        with pytest.raises(ValueError, match="method: found 'bc', allowed are robust, t, stud"):
            interval(alone([1, 2]), rng(), method="bc")


class TestTests:
    @pytest.mark.parametrize("size", [2, 5, 9])
    def test_sign_flip_equals_scipy(self, size):
        values = rng(size).normal(0.4, size=size)
        expected = stats.permutation_test(
            (values,),
            lambda x, axis: x.mean(axis=axis),
            permutation_type="samples",
            vectorized=True,
            n_resamples=2**size,
        )
        assert statistics.sign_flip(alone(values), rng()) == pytest.approx(expected.pvalue)

    def test_sign_flip_by_enumeration_on_unequal_groups(self):
        values = np.array([1.0, 2.0, 0.5, -1.0, 0.25, 3.0])
        data = clusters(values, np.array([0, 0, 1, 2, 2, 3]))
        totals = [abs(np.dot(signs, data.sums)) for signs in itertools.product([-1, 1], repeat=4)]
        expected = np.mean(np.array(totals) >= abs(data.sums.sum()))
        assert statistics.sign_flip(data, rng()) == expected

    def test_drawn_signs_come_close_to_all(self, monkeypatch):
        data = alone(rng(2).normal(0.3, size=14))
        exact = statistics.sign_flip(data, rng())
        monkeypatch.setattr(statistics, "EXACT", 0)
        drawn = statistics.sign_flip(data, rng(), resamples=200_000)
        assert drawn == pytest.approx(exact, abs=3 * math.sqrt(exact / 200_000))

    @pytest.mark.parametrize("groups", [1, 2, 12, 20, 21, 50])
    def test_smallest_p_is_reached(self, groups):
        found = statistics.sign_flip(alone(np.arange(1, groups + 1)), rng(), resamples=9999)
        assert found == pytest.approx(statistics.smallest_p(groups, 9999))

    def test_known_smallest_values(self):
        assert statistics.smallest_p(12) == pytest.approx(0.00049, abs=1e-5)
        assert statistics.smallest_p(20) == pytest.approx(1.9e-6, rel=0.01)

    def test_no_difference(self):
        assert statistics.sign_flip(alone([0.0] * 5), rng()) == 1
        assert statistics.sign_flip(alone([0.0] * 30), rng()) == 1
        assert statistics.wilcoxon(alone([0.0] * 5)) == 1

    def test_wilcoxon_works_on_group_means(self):
        values = np.array([1, 3, 0.5, -1, 2.5, 0.75, 1.25, 4])
        data = clusters(values, np.array([0, 0, 1, 2, 3, 4, 5, 6]))
        expected = stats.wilcoxon([2, 0.5, -1, 2.5, 0.75, 1.25, 4])
        assert statistics.wilcoxon(data) == pytest.approx(expected[1])

    def test_wilcoxon_with_zeros(self):
        values = np.array([0.0, 0.0, 1.0, 2.0, -0.5, 3.0])
        expected = stats.wilcoxon(values, zero_method="zsplit")
        assert statistics.wilcoxon(alone(values)) == pytest.approx(expected[1])

    def test_effect_size(self):
        # group means 1, 2, 3: mean 2, sd 1
        data = clusters(np.array([0.5, 1.5, 2, 3.0]), np.array([0, 0, 1, 2]))
        assert statistics.effect_size(data) == pytest.approx(2)
        assert math.isnan(statistics.effect_size(alone([1.0, 1.0])))


class TestHolm:
    def test_by_hand(self):
        # sorted 0.005, 0.01, 0.03, 0.04 times 4, 3, 2, 1 -> 0.02, 0.03, 0.06, 0.06 (monotone)
        found = statistics.holm(np.array([0.01, 0.04, 0.03, 0.005]))
        assert found == pytest.approx([0.03, 0.06, 0.06, 0.02])

    def test_equals_statsmodels(self):
        p = rng(4).uniform(0, 0.2, 24)
        expected = multitest.multipletests(p, method="holm")[1]
        assert statistics.holm(p) == pytest.approx(expected, rel=1e-14)

    def test_a_gap_counts_as_a_member(self):
        found = statistics.holm(np.array([0.01, NAN, 0.02]))
        assert found[[0, 2]] == pytest.approx([0.03, 0.04])
        assert math.isnan(found[1])

    def test_edges(self):
        assert statistics.holm(np.array([])).size == 0
        assert np.isnan(statistics.holm(np.array([NAN, NAN]))).all()
        assert statistics.holm(np.array([0.6, 0.7])).tolist() == [1, 1]

    @settings(deadline=None, derandomize=True)
    @given(arrays.arrays(float, st.integers(1, 12), elements=st.floats(0, 1)))
    def test_never_smaller_and_never_above_bonferroni(self, p):
        found = statistics.holm(p)
        assert (found >= p).all()
        assert (found <= np.minimum(1, len(p) * p)).all()
        assert (np.diff(found[np.argsort(p, kind="stable")]) >= 0).all()


def study(generator, groups, sizes, kind):
    """Differences around 0 in clusters: a part of the group plus a part of the case."""
    counts = generator.integers(sizes[0], sizes[1] + 1, groups)

    def noise(number):
        if kind == "dice":  # of two errors, most small, some large
            return generator.gamma(0.6, 1, number) - generator.gamma(0.6, 1, number)
        if kind == "skewed":
            return generator.gamma(1.5, 1, number) - 1.5
        return generator.standard_normal(number)

    group = np.repeat(np.arange(groups), counts)
    return clusters(noise(groups)[group] + noise(len(group)), group)


def coverage(seed, studies, resamples, *shape):
    generator = rng(seed)
    hits = 0
    for _ in range(studies):
        low, high = interval(study(generator, *shape), generator, resamples=resamples)
        hits += low <= 0 <= high
    return hits / studies


ACDC, SYNAPSE, CVC = (20, (2, 2)), (12, (1, 1)), (20, (5, 30))


class TestSimulations:
    def test_coverage_quick(self):
        assert 0.92 <= coverage(0, 300, 500, *ACDC, "dice") <= 0.98

    @pytest.mark.slow
    @pytest.mark.parametrize("kind", ["normal", "dice", "skewed"])
    @pytest.mark.parametrize("shape", [ACDC, SYNAPSE, CVC], ids=["acdc", "synapse", "cvc"])
    def test_coverage(self, shape, kind):
        """3,000 clustered studies: the 95 % interval holds the truth in 93 to 97 % of them."""
        assert 0.93 <= coverage(7, 3000, 1000, *shape, kind) <= 0.97

    @pytest.mark.parametrize("kind", ["dice", "normal"])
    def test_type_one_error_after_holm(self, kind):
        """1,000 families of 8 tests without any effect: at most 5 % have a significant one."""
        generator = rng(11)
        wrong = 0
        for _ in range(1000):
            p = [
                statistics.sign_flip(study(generator, *SYNAPSE, kind), generator) for _ in range(8)
            ]
            wrong += bool((statistics.holm(np.array(p)) <= 0.05).any())
        assert wrong / 1000 <= 0.05

    def test_treating_cases_as_independent_would_be_wrong(self):
        """Why clusters: with every case its own group the interval misses far too often."""
        generator = rng(4)
        hits = {"clustered": 0, "independent": 0}
        for _ in range(300):
            group = np.repeat(np.arange(20), 15)
            values = generator.normal(size=20)[group] + generator.normal(size=300)
            for name, index in (("clustered", group), ("independent", np.arange(300))):
                low, high = interval(clusters(values, index), generator, method="t")
                hits[name] += low <= 0 <= high
        assert hits["clustered"] / 300 > 0.92
        assert hits["independent"] / 300 < 0.6
