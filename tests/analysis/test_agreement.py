"""The authors' own numbers beside ours in tables, figures and page: values by hand, nothing where nothing is shared."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from salstm import tables
from salstm.analysis import authors_logs, results
from salstm.analysis.results import Collected
from salstm.figures import agreement as figure
from salstm.tables import agreement, formats
from salstm.vocabulary import DECLARED
from tests import synthetic
from tests.analysis.test_authors_logs import scored

CASES = ("patient002_ED", "patient002_ES", "patient003_ED", "patient003_ES", "patient008_ED")


@pytest.fixture
def data(tmp_path) -> Collected:
    whole = results.read(synthetic.collect(tmp_path / "collected"))
    return replace(whole, scores=scored(0.01, cases=CASES))


def test_the_table_says_ours_theirs_and_the_shift_between(data):
    made = agreement.build(data, "acdc", resamples=200)
    assert made is not None
    assert [row.labels for row in made.rows] == [
        ("+ SALSTM", "best on test"),
        ("+ SALSTM", "last"),
    ]
    theirs = authors_logs.cases().set_index(["variant", "selection", "case"])
    dice = [theirs.loc[("salstm", "last", case), "dice"] for case in CASES]
    n, ours, of_theirs, difference, limits = made.rows[1].cells[:5]
    assert n.text == "5"
    assert of_theirs.value == pytest.approx(100 * np.mean(dice))
    assert ours.value - of_theirs.value == pytest.approx(1.0)
    # The same shift everywhere: interval and limits have no width.
    assert difference.text == "+1.00 [+1.00, +1.00]"
    assert limits.text == "[+1.00, +1.00]"
    assert made.rows[1].cells[7].text.startswith("+0.02")  # HD95: twice the shift, in voxels
    assert "MT-UNet" in formats.markdown(made)


def test_the_figure_names_the_volumes_and_the_biases(data, tmp_path):
    facts = figure.draw(data, "acdc", tmp_path)
    assert facts is not None
    assert (tmp_path / "agreement-acdc.svg").is_file()
    assert facts["caption"].startswith("Bland-Altman: 5 test volumes")
    assert "dice + SALSTM +0.010" in facts["alt"]


def test_without_a_shared_volume_there_is_neither(tmp_path):
    whole = results.read(synthetic.collect(tmp_path / "collected"))
    for dataset in whole.datasets:
        assert agreement.build(whole, dataset) is None
        assert figure.draw(whole, dataset, tmp_path / "figures") is None
    nothing = replace(whole, scores=whole.scores.iloc[:0])
    assert agreement.build(nothing, "acdc") is None


def test_phantoms_with_the_official_ids_are_not_compared(data):
    empty = {one: data.cells.iloc[:0].assign(metric="") for one in tables.JUDGED}
    keys = [
        {
            table.key
            for table in tables.others(
                data, empty, synthetic.cards(), "acdc", DECLARED, made_up=one
            )
        }
        for one in (False, True)
    ]
    assert keys[0] - keys[1] == {"acdc_authors"}
