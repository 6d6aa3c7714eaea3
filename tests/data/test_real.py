"""The readers on real files. ``SALSTM_DATA=/path python -m pytest -m data tests/data/test_real.py``.

The folder holds one raw folder per dataset, reduced or whole; a dataset that is not there is
skipped.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import tifffile

from salstm.data import audit, datasets, splits
from salstm.data.readers import cvc_clinicdb, synapse
from salstm.data.store import Store

pytestmark = pytest.mark.data


def folder(name: str) -> Path:
    raw = Path(os.environ.get("SALSTM_DATA", "data/raw")) / name
    if not raw.is_dir():
        pytest.skip(f"{raw}: not there")
    return raw


@pytest.mark.parametrize(("name", "size"), [("acdc", 96), ("isic2018", 128), ("cvc_clinicdb", 128)])
def test_prepare_and_audit(name, size, tmp_path):
    raw = folder(name)
    split = {"name": "groups", "validation": 0.3, "test": 0.3}
    datasets.prepare(name, raw, tmp_path / "s", split=split, size=size)
    table = audit.audit(Store(tmp_path / "s"), datasets.DATASETS[name].classes)
    crossing = table.loc[table["fact"] == "groups in more than one split", "value"]
    assert list(crossing) == [0]


@pytest.mark.parametrize(("name", "divided"), [("paper", ["patient074"]), ("strict", [])])
def test_one_patient_of_acdc_is_there_twice(name, divided, tmp_path):
    datasets.prepare("acdc", folder("acdc"), tmp_path / "s", split={"name": name}, size=64)
    store = Store(tmp_path / "s")
    group = {one.id: one.group for one in store.cases}
    assert {one for one, of in group.items() if of != one[:10]} == {
        "patient076_ED",
        "patient076_ES",
    }
    assert group["patient076_ED"] == "patient074"
    assert list(splits.divided(store.cases)) == divided
    twice = store.manifest["source"]["annotated_twice"]
    assert twice == [[f"patient07{k}_{phase}" for k in "46"] for phase in ("ED", "ES")]


def test_abdomens_are_upright_whatever_way_they_are_stored():
    for case in synapse.cases(folder("synapse")):
        assert synapse.oddities(case.label) == [], case.id
        liver = case.image[case.label == synapse.CLASSES.index("liver") + 1]
        assert 0 < np.median(liver) < 250


def test_every_frame_that_is_there_is_the_official_file():
    problems = cvc_clinicdb.check(folder("cvc_clinicdb"))
    assert [one for one in problems if "SHA-256" in one or "cannot be compared" in one] == []


def test_frames_are_in_colour_and_masks_are_above_127():
    raw = folder("cvc_clinicdb")
    place = cvc_clinicdb.find(raw)
    for case in cvc_clinicdb.cases(raw):
        name = f"{int(case.id[-3:])}.tif"
        np.testing.assert_array_equal(case.image[0], tifffile.imread(place / "Original" / name))
        red, green, blue = case.image[0].reshape(-1, 3).mean(0)
        assert red > green > blue
        mask = tifffile.imread(place / "Ground Truth" / name)
        np.testing.assert_array_equal(case.label[0], mask > 127)
