"""The phantoms of the three other datasets: the same files for a seed, small, worth learning from."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from salstm.data import datasets, phantoms
from salstm.data.readers import cvc_clinicdb, isic2018, synapse
from tests.data.test_phantoms import contents

SMALL: dict[str, dict[str, Any]] = {
    "synapse": {"volumes": 2, "size": (32, 40), "slices": (6, 7)},
    "isic2018": {"images": 3, "size": (32, 40)},
    "cvc_clinicdb": {"sequences": 2, "frames": 4, "size": (32, 40)},
}
NUMBER = {"synapse": "volumes", "isic2018": "images", "cvc_clinicdb": "sequences"}
LAYOUT = {
    "synapse": r"RawData/Training/(img/img|label/label)00\d\d\.nii\.gz",
    "isic2018": r"ISIC2018_Task1(-2_Training_Input/ISIC_\d{7}\.jpg"
    r"|_Training_GroundTruth/ISIC_\d{7}_segmentation\.png"
    r"|.*/(LICENSE|ATTRIBUTION)\.txt)",
    "cvc_clinicdb": r"CVC-ClinicDB/(Original|Ground Truth)/[1-9]\d*\.tif",
}


def make(dataset: str, folder: Path, **parameters: Any) -> dict[str, bytes]:
    phantoms.PHANTOMS[dataset](folder, **{**SMALL[dataset], **parameters})
    return contents(folder)


@pytest.mark.parametrize("dataset", SMALL)
def test_layout_is_the_official_one(dataset, tmp_path):
    names = make(dataset, tmp_path)
    assert names
    assert [name for name in names if not re.fullmatch(LAYOUT[dataset], name)] == []
    listed = {
        path.relative_to(tmp_path).as_posix() for path in datasets.reader(dataset).files(tmp_path)
    }
    assert listed == {name for name in names if not name.endswith(".txt")}


@pytest.mark.parametrize("dataset", SMALL)
def test_the_same_seed_gives_the_same_bytes_and_another_does_not(dataset, tmp_path):
    one, again, other = (
        make(dataset, tmp_path / name, seed=seed) for name, seed in (("a", 1), ("b", 1), ("c", 2))
    )
    assert one == again
    assert set(one) == set(other)
    assert all(one[name] != other[name] for name in one if not name.endswith(("txt", "label")))


@pytest.mark.parametrize("dataset", SMALL)
def test_an_item_does_not_depend_on_how_many_there_are(dataset, tmp_path):
    few = make(dataset, tmp_path / "few", **{NUMBER[dataset]: 1})
    many = make(dataset, tmp_path / "many")
    assert few.items() < many.items()


@pytest.mark.parametrize("dataset", SMALL)
def test_ensure_makes_it_and_its_code_is_part_of_the_mark(dataset, tmp_path, monkeypatch):
    folder = tmp_path / "raw"
    parameters = json.loads(json.dumps(SMALL[dataset]))  # as a command line gives them
    phantoms.ensure(dataset, folder, parameters)
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    phantoms.ensure(dataset, folder, parameters)
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before
    monkeypatch.setattr(phantoms, "fingerprint", lambda name: "edited")
    phantoms.ensure(dataset, folder, parameters)
    assert json.loads((folder / "phantom.json").read_text())["code"] == "edited"


@pytest.mark.parametrize(
    ("dataset", "wrong"),
    [
        ("synapse", {"volumes": 0}),
        ("synapse", {"volumes": 31}),
        ("synapse", {"size": (40, 32)}),
        ("synapse", {"slices": (5, 9)}),
        ("isic2018", {"images": 0}),
        ("isic2018", {"size": (16, 40)}),
        ("cvc_clinicdb", {"sequences": 30}),
        ("cvc_clinicdb", {"frames": 3}),
        ("cvc_clinicdb", {"size": (72, 16)}),
    ],
)
def test_numbers_out_of_range_are_refused(dataset, wrong, tmp_path):
    with pytest.raises(ValueError, match=f"phantom {dataset}: .* are allowed"):
        make(dataset, tmp_path / "p", **wrong)
    assert not (tmp_path / "p").exists()


@pytest.mark.parametrize("dataset", phantoms.PHANTOMS)
def test_the_default_is_small(dataset, tmp_path):
    phantoms.PHANTOMS[dataset](tmp_path)
    assert sum(len(content) for content in contents(tmp_path).values()) < 20e6


def test_abdomens_have_all_organs_where_they_belong(tmp_path):
    phantoms.synapse(tmp_path, volumes=10, size=(48, 64), slices=(10, 14))
    cases = list(synapse.cases(tmp_path))
    assert {case.id: synapse.oddities(case.label) for case in cases} == {
        case.id: [] for case in cases
    }
    for index, case in enumerate(cases):
        present = set(np.unique(case.label)) - {0}
        missing = {2} if index % 5 == 4 else set()  # the gallbladder
        assert present == set(range(1, 9)) - missing
    empty = [not one.any() for case in cases for one in case.label]
    assert sum(empty) < len(empty)


def separation(values: np.ndarray, inside: np.ndarray) -> float:
    """Distance of two means in standard deviations of the noisier side."""
    one, other = values[inside], values[~inside]
    return abs(one.mean() - other.mean()) / max(one.std(), other.std())


def test_organs_stand_out_against_their_surroundings(abdomens):
    """What makes the phantom learnable: contrast above the noise."""
    for case in synapse.cases(abdomens):
        body = (case.image > -50) & (case.image < 150)
        for organ in ("liver", "spleen", "stomach"):
            inside = case.label == synapse.CLASSES.index(organ) + 1
            around = body & (case.label == 0)
            grey = np.concatenate([case.image[inside], case.image[around]])
            which = np.arange(len(grey)) < inside.sum()
            assert separation(grey, which) > 0.5, (case.id, organ)


@pytest.mark.parametrize(
    ("fixture", "reader", "channel"), [("lesions", isic2018, 0), ("videos", cvc_clinicdb, 2)]
)
def test_lesions_and_polyps_differ_in_colour(fixture, reader, channel, request):
    found = []
    for case in reader.cases(request.getfixturevalue(fixture)):
        inside = case.label[0] > 0
        assert 0.01 < inside.mean() < 0.7
        found.append(separation(case.image[0, ..., channel].astype(float), inside))
    assert np.median(found) > 1


def test_polyps_move_from_frame_to_frame(videos):
    cases = [case for case in cvc_clinicdb.cases(videos) if case.group == "sequence01"]
    centres = np.array([np.argwhere(case.label[0]).mean(0) for case in cases])
    steps = np.linalg.norm(np.diff(centres, axis=0), axis=1)
    assert steps.max() > 0.5
    assert steps.max() < 0.25 * cases[0].label.shape[1]


def test_polyps_are_in_every_frame_of_a_long_video(tmp_path):
    phantoms.cvc_clinicdb(tmp_path, sequences=8, frames=26, size=(32, 40))
    cases = list(cvc_clinicdb.cases(tmp_path))
    assert all(case.label.any() for case in cases)
    assert len({case.stack for case in cases}) == 8 + 3  # sequences 2, 5 and 8 have a gap


def test_unpadded_names_need_numeric_order(videos):
    names = sorted(path.stem for path in (videos / "CVC-ClinicDB" / "Original").iterdir())
    assert names != sorted(names, key=int)
