"""Cases with the same images are of one group, wherever groups count."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from salstm.data import audit, datasets, groups, phantoms, splits, writing
from salstm.data.case import RawCase
from salstm.data.frame_counts import amounts
from salstm.data.store import Store
from tests.data.conftest import readings, volume


def like(case: RawCase, name: str, frames: list[int]) -> RawCase:
    """Another case that has some frames of a case; its other frames and its labels are its own."""
    other = volume(name, len(case.image))
    image = other.image.copy()
    image[frames] = case.image[frames]
    return replace(other, image=image)


def store(folder: Path, cases: list[RawCase], parts) -> Store:
    source = {"dataset": "acdc", "split": {"name": "x"}}
    writing.write(folder, readings(cases), parts, size=None, normalise="none", source=source)
    return Store(folder)


def test_one_shared_frame_makes_one_group_named_as_the_first(tmp_path):
    a, b = volume("a"), volume("b")
    cases = [a, b, like(a, "c", [2]), like(b, "d", [0, 1, 2, 3])]
    opened = store(tmp_path / "s", cases, dict.fromkeys("abcd", "train"))
    assert [one.group for one in opened.cases] == ["a", "b", "a", "b"]
    assert [one.id for one in opened.cases] == ["a", "b", "c", "d"]
    source = opened.manifest["source"]
    assert source["same_images"] == {"c": "a", "d": "b"}
    assert source["annotated_twice"] == [["b", "d"]]


def test_groups_that_meet_in_a_third_are_one(tmp_path):
    a, b = volume("a"), volume("b")
    both = like(a, "c", [0])
    both.image[1] = b.image[1]
    opened = store(tmp_path / "s", [a, b, both], dict.fromkeys("abc", "train"))
    assert [one.group for one in opened.cases] == ["a", "a", "a"]


def test_padding_makes_no_group_and_nothing_is_recorded(tmp_path):
    cases = [volume("a"), volume("b")]
    for case in cases:
        case.image[0] = 7
    opened = store(tmp_path / "s", cases, {"a": "train", "b": "test"})
    assert [one.group for one in opened.cases] == ["a", "b"]
    assert {"same_images", "annotated_twice"}.isdisjoint(opened.manifest["source"])


def test_values_of_another_shape_or_type_are_no_same_image():
    grey = np.arange(12, dtype=np.uint8).reshape(1, 3, 4)
    assert groups.digests(grey) == groups.digests(grey.copy())
    assert groups.digests(grey) != groups.digests(grey.reshape(1, 4, 3))
    assert groups.digests(grey) != groups.digests(grey.astype(np.int8))


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("name", ["groups", "folds"])
def test_a_draw_never_divides_the_same_images(tmp_path, monkeypatch, name, seed):
    """Six patients, of whom the first and the last are one: five groups are drawn."""
    phantoms.acdc(tmp_path / "raw", patients=5, seed=2, size=(32, 40), slices=(4, 4))
    place = next((tmp_path / "raw").rglob("patient*_frame*.nii.gz")).parents[1]
    first = sorted(place.iterdir())[0]
    twin = place / "patient099"
    twin.mkdir()
    for path in first.iterdir():
        (twin / path.name.replace(first.name, twin.name)).write_bytes(path.read_bytes())
    split = {"name": name, "seed": seed, "validation": 0.2}
    split |= {"folds": 3} if name == "folds" else {"test": 0.2}
    datasets.prepare("acdc", tmp_path / "raw", tmp_path / "s", split=split, size=32)
    opened = Store(tmp_path / "s")
    views = [opened.fold(k) for k in (1, 2, 3)] if opened.folds else [opened]
    for view in views:
        assert splits.divided(view.cases) == {}
        assert len({one.group for one in view.cases}) == 5
        assert {one.split for one in view.cases} == {"train", "val", "test"}
    assert len(opened.manifest["source"]["annotated_twice"]) == 2


def test_a_list_that_divides_them_is_found(tmp_path):
    a = volume("a")
    cases = [a, volume("b"), like(a, "c", [0, 1, 2, 3])]
    opened = store(tmp_path / "s", cases, {"a": "train", "b": "test", "c": "val"})
    assert splits.divided(opened.cases) == {"a": {"train", "val"}}
    table: Any = audit.audit(opened, ("RV", "MYO", "LV")).set_index("fact")["value"]
    assert table["groups in more than one split"] == 1
    assert (
        "which the split divides, so that strict refuses it"
        in table["may be wrong: images of a and c"]
    )


def test_an_unused_case_is_there_and_in_no_part(tmp_path):
    a = volume("a")
    cases = [a, volume("b"), like(a, "c", [0, 1, 2, 3]), volume("d")]
    opened = store(tmp_path / "s", cases, {"a": "train", "b": "val", "c": "unused", "d": "test"})
    assert Counter(one.split for one in opened.cases) == Counter(["train", "val", "unused", "test"])
    assert splits.divided(opened.cases) == {}
    splits.check_trainable(opened.manifest["source"], opened.cases)
    counted = amounts("acdc", {"split": {"name": "x"}, "phantom": None}, tmp_path / "s")
    assert (counted.train, counted.val, counted.test) == (4, 4, 4)
    table = audit.audit(opened, ("RV", "MYO", "LV"))
    facts: Any = table.set_index(["split", "fact"])["value"]
    assert facts["unused", "cases"] == 1
    assert "which the split keeps whole" in facts["all", "may be wrong: images of a and c"]
    leaks = table[table["fact"].str.contains("repeated exactly")]
    assert set(leaks["value"]) == {0}


def test_acdc_leaves_out_the_validation_patient_that_trains_under_another_name():
    paper, strict = splits.load("acdc", "paper"), splits.load("acdc", "strict")
    assert strict == {**paper, "patient076": "unused"}
    assert (paper["patient074"], paper["patient076"]) == ("train", "val")
    counted = amounts("acdc", {"split": {"name": "strict"}, "phantom": None}, Path("nowhere"))
    # Patient 076 has 8 slices at each of two phases (salstm/data/readers/acdc_patients.csv).
    assert (counted.train, counted.val, counted.test) == (1304, 182 - 16, 416)
