"""The detectable gain: by hand, from what was measured, and by the command."""

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from salstm import cli
from salstm.analysis import comparisons, power
from salstm.analysis.comparisons import Family
from salstm.analysis.power import Noise
from tests.analysis.test_comparisons import grid_of

ROOT = Path(__file__).parents[2]


def test_by_hand():
    """Variances 3 between groups (2 lasting, 1 of the trainings' meeting them) and 1 between trainings."""
    noise = Noise(groups=13, lasting=2.0, interaction=1.5, training=1.5, source="")
    # 3 seeds: 2 + 2 * 1.5 / 3 = 3 and 2 * 1.5 / 3 = 1; Satterthwaite 16 / (9 / 12 + 1 / 6) = 17.4545
    degrees = 16 / (9 / 12 + 1 / 6)
    expected = 2 * (stats.t.ppf(1 - 0.05 / 20, degrees) + stats.t.ppf(0.8, degrees))
    assert power.detectable(noise, 3, 3, 0.95, 10) == pytest.approx(expected)
    assert power.detectable(noise, 10, 3, 0.95, 10) < expected
    assert math.isnan(power.detectable(Noise(1, 1, 0, 1, ""), 3, 3, 0.95, 10))


def test_what_was_measured_gives_what_the_comparisons_say():
    scores = grid_of(np.random.default_rng(0), {"unet": {"plain": 0, "salstm": 0.0, "lstmsa": 0.0}})
    family = Family(metrics=("dice",), resamples=100)
    table = comparisons.compare(scores, {"acdc": ["unet"]}, family, np.random.default_rng(1))
    noise = power.measured(table, "acdc")
    assert noise is not None
    assert noise.groups == 20
    # One network: its variance is its own. Nothing lasts between these groups, and a variance is not below 0.
    found = power.detectable(noise, 3, 3, 0.95, len(table))
    assert found == pytest.approx(table["detectable"].median(), rel=0.1)
    assert power.measured(table.assign(seeds=1), "acdc") is None
    assert power.measured(table, "synapse") is None


def test_interaction_is_what_trainings_meet_patients_with():
    """Groups that differ by 0.3, and trainings that meet each of them with an sd of 0.1: 0.01 / 40 groups."""
    generator = np.random.default_rng(2)
    base = generator.normal(0, 0.3, 40)
    values = base + generator.normal(0, 0.1, (5, 40)) + generator.normal(0, 5, (5, 1))
    table = pd.DataFrame({"group": [f"g{at:02}" for at in range(40)]})
    pairs = comparisons.Pairs(table, (values, values), 0, 0)
    # a variance of 4 * 39 degrees of freedom: sd 11 %
    assert comparisons._interaction(pairs) == pytest.approx(0.01 / 40, rel=0.3)


def told(capsys, *config, label="ACDC"):
    paths = [str(ROOT / one) for one in ("config.yaml", *config)]
    assert cli.main(["plan", "--config", *paths, "--results", "nowhere", "--power"]) == 0
    lines = capsys.readouterr().out.splitlines()
    (line,) = [line for line in lines if line.startswith(label)]
    return lines[0], line.split()[1:5], line


def test_folds_test_every_published_group(capsys):
    assert told(capsys, label="CVC-ClinicDB")[1][0] == "29"


def test_the_command_before_any_training(capsys):
    heading, (groups, *gains), line = told(capsys)
    assert "first of 80 tests" in heading
    assert groups == "20"
    assert "assumed" in line
    expected = [
        100 * power.detectable(power.assumed(20), seeds, 3, 0.95, 80) for seeds in (3, 5, 10)
    ]
    assert list(map(float, gains)) == pytest.approx(expected, abs=0.006)
    assert expected == sorted(expected, reverse=True)


def test_a_split_that_is_drawn_is_unknown_until_it_is_prepared(capsys):
    heading, found, _ = told(capsys, "config.small.yaml")
    assert "first of 8 tests" in heading
    assert found == ["?"] * 4
