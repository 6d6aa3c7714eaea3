"""Subgroups: who is in which, by hand; what is written, read and shown, and that no other number knows of it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import baselines
from salstm import config
from salstm.analysis import results
from salstm.data import facts
from salstm.data.readers import acdc
from salstm.evaluation import conventions, scoring, subgroups
from salstm.evaluation.look import Chosen
from salstm.figures import subgroups as figure
from salstm.files import read_csv
from salstm.tables import subgroups as tables
from tests import synthetic
from tests.evaluation.test_scoring import IDENTITY, Store
from tests.synthetic import Made

ROOT = Path(__file__).parents[1]


def stack(*areas: int) -> np.ndarray:
    """A volume whose slices have so many foreground pixels."""
    labels = np.zeros((len(areas), 8, 8), np.uint8)
    for number, area in enumerate(areas):
        labels[number].flat[:area] = 1
    return labels


class TestPosition:
    def test_thirds_of_the_labelled_slices_the_base_at_the_larger_end(self):
        # Slices 1 to 6 are labelled: two each; slice 0 belongs to the first third, 7 and 8 to the last.
        labels = stack(0, 20, 18, 12, 10, 6, 3, 0, 0)
        assert subgroups.parts(labels) == {
            "basal": slice(0, 3),
            "mid": slice(3, 5),
            "apical": slice(5, 9),
        }
        turned = subgroups.parts(labels[::-1])
        assert turned["basal"] == slice(6, 9)
        assert turned["apical"] == slice(0, 4)

    def test_two_labelled_slices_have_no_thirds(self):
        assert subgroups.parts(stack(0, 5, 5, 0)) == {}

    def test_rows_of_the_parts_are_the_part_scored_alone(self):
        labels = stack(20, 18, 12, 10, 6, 3)
        prediction = np.roll(labels, 1, axis=2)
        store = Store().add("v", labels, spacing=(2.0, 1.0, 1.0))
        chosen = Chosen(subgroups=("position",))
        frame = scoring.score({"last": {"v": prediction}}, store, ["a"], IDENTITY, chosen=chosen)
        rows = frame.set_index("scope")
        basal = (labels[:2] & prediction[:2]).sum()
        assert rows.loc["position:basal", "tp"] == basal
        assert rows.loc["position:apical", "reference_voxels"] == 9
        parts = rows[[str(name).startswith("position") for name in rows.index]]
        assert parts["tp"].sum() == rows.loc["native", "tp"]
        whole = scoring.score({"last": {"v": prediction}}, store, ["a"], IDENTITY)
        others = frame[~frame["scope"].str.startswith("position")].reset_index(drop=True)
        assert others.equals(whole)
        for convention in conventions.CONVENTIONS:
            scored = conventions.apply(frame, convention)
            assert len(scored) == len(conventions.apply(whole, convention)), convention


class TestLabelled:
    def scores(self) -> Any:
        rows = [
            {
                "scope": "native",
                "case": f"c{size}",
                "class": name,
                "group": "g",
                "reference_voxels": size,
            }
            for size in (0, 1, 2, 3)
            for name in "ab"
        ]
        return pd.DataFrame(rows)

    def test_sizes_are_cut_class_by_class_and_an_absent_structure_is_in_none(self, tmp_path):
        voxels = {f"c{size}": 2.0 for size in range(4)}
        found: Any = subgroups.labelled(self.scores(), ["size"], tmp_path, "acdc", voxels)
        by_case = found[found["class"] == "a"].set_index("case")
        assert by_case["by_size"].to_dict() == {
            "c0": pytest.approx(np.nan, nan_ok=True),
            "c1": "small",
            "c2": "medium",
            "c3": "large",
        }
        assert by_case["reference_size"].tolist() == [0, 2, 4, 6]

    def test_facts_and_sequences_where_they_are_known(self, tmp_path):
        facts.write(tmp_path, {"c1": {"diagnosis": "DCM"}, "c2": {"diagnosis": ""}})
        asked = ["diagnosis", "sequence", "scanner"]
        found: Any = subgroups.labelled(self.scores(), asked, tmp_path, "cvc_clinicdb", {})
        assert found.loc[found["case"] == "c1", "by_diagnosis"].tolist() == ["DCM", "DCM"]
        assert found.loc[found["case"] != "c1", "by_diagnosis"].isna().all()
        assert set(found["by_sequence"]) == {"g"}
        assert "by_scanner" not in found
        assert "by_sequence" not in subgroups.labelled(self.scores(), asked, tmp_path, "acdc", {})


class TestFacts:
    def test_written_and_read_back(self, tmp_path):
        known = {"a": {"diagnosis": "NOR", "phase": "ED"}, "b": {"phase": "ES"}}
        facts.write(tmp_path, known)
        again = facts.read(tmp_path / facts.FILE)
        assert again == {
            "a": {"diagnosis": "NOR", "phase": "ED"},
            "b": {"diagnosis": "", "phase": "ES"},
        }
        assert facts.read(tmp_path / "none.csv") == {}

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("id,site\na,x\n", "one is called case"),
            ("case,My Site\na,x\n", "column 'My Site'; small letters"),
            ("case,site\na,x\na,y\n", "case 'a' stands twice"),
        ],
    )
    def test_what_is_no_such_table_is_refused(self, text, message, tmp_path):
        (tmp_path / "subgroups.csv").write_text(text)
        with pytest.raises(ValueError, match=re.escape(message)):
            facts.read(tmp_path / "subgroups.csv")

    def test_acdc_says_diagnosis_and_phase(self, tmp_path):
        for number, group in ((1, "Group: HCM\n"), (2, "")):
            folder = tmp_path / f"training/patient{number:03d}"
            folder.mkdir(parents=True)
            (folder / "Info.cfg").write_text(f"ED: 1\nES: 9\n{group}NbFrame: 30\n")
        found = acdc.facts(tmp_path)
        assert found["patient001_ES"] == {"diagnosis": "HCM", "phase": "ES"}
        assert found["patient002_ED"] == {"diagnosis": "", "phase": "ED"}


def test_an_unknown_kind_is_refused_with_the_nearest():
    laid = config.merge(
        config.load(ROOT / "config.yaml"), {"statistics": {"subgroups": ["diagnosys"]}}
    )
    with pytest.raises(config.ConfigError, match=r"'diagnosys' is none, did you mean diagnosis\?"):
        config.checked(laid, baselines.names())


def test_tables_and_figure_show_each_subgroup_with_its_n(tmp_path):
    made = Made(grid={"acdc": ("mtunet",)}, cases=4, epochs=2)
    folder = synthetic.collect(tmp_path / "collected", made)
    scores: Any = read_csv(folder / "scores.csv")
    levels = {"000": "DCM", "001": "NOR", "002": "NOR"}
    scores = scores.assign(by_diagnosis=scores["case"].map(levels))
    scores.to_csv(folder / "scores.csv", index=False)
    data = results.read(folder)
    (table,) = tables.build(data, synthetic.cards(), "acdc", ("diagnosis", "phase"), ("dice",))
    assert table.key == "acdc_by-diagnosis_dice"
    assert [row.labels for row in table.rows] == [("DCM",), ("NOR",)]
    assert [row.cells[0].text for row in table.rows] == ["1", "2"]
    strict: Any = conventions.under_protocol(data.scores, "strict")
    chosen = strict[(strict["variant"] == "plain") & strict["case"].isin(["001", "002"])]
    mean = chosen.groupby(["seed", "class"])["dice"].mean().groupby("seed").mean().mean()
    assert table.rows[1].cells[1].value == pytest.approx(100 * mean)
    assert "Exploration" in " ".join(table.notes)
    entry = figure.draw(data, "acdc", ("diagnosis",), "dice", tmp_path)
    assert entry is not None
    assert "diagnosis: DCM 1, NOR 2" in entry["alt"]
    assert "n = 2" in (tmp_path / "subgroups-acdc.svg").read_text()
    assert figure.draw(data, "acdc", ("phase",), "dice", tmp_path) is None


def test_a_subgroup_may_be_called_NA_or_by_a_number(tmp_path):
    """Cases in no subgroup have an empty cell; beside them pandas would read 01 and 02 as 1.0 and 2.0."""
    rows = [{"scope": "native", "by_site": name} for name in ("NA", "02", "01", "nan", None, "02")]
    pd.DataFrame(rows).to_csv(tmp_path / "scores.csv", index=False)
    found = subgroups.read(read_csv(tmp_path / "scores.csv"), "site")
    assert {level: len(part) for level, part in found} == {"01": 1, "02": 2, "NA": 1, "nan": 1}
