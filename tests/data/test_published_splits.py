"""The split files: sizes and ids as published, or as their rule draws them; groups kept together."""

from __future__ import annotations

import hashlib
import json
from collections import Counter

import numpy as np
import pytest

from salstm.data import datasets, splits
from salstm.data.case import Case
from salstm.data.readers import cvc_clinicdb, synapse

FILES = sorted(path.stem for path in splits.FOLDER.glob("*.json"))
PARTS = ("train", "val", "test")


def members(split: dict[str, str], part: str) -> list[str]:
    return [name for name, own in split.items() if own == part]


def digest(names: list[str]) -> str:
    return hashlib.sha256("\n".join(names).encode()).hexdigest()[:16]


@pytest.mark.parametrize("stem", FILES)
def test_every_file_says_where_it_is_from_and_has_known_parts(stem):
    content = json.loads((splits.FOLDER / f"{stem}.json").read_text(encoding="utf-8"))
    assert len(content["origin"]) > 60
    dataset = next(name for name in ("synapse", "acdc", "isic2018", "cvc_clinicdb") if name in stem)
    split = splits.load(dataset, stem.removeprefix(f"{dataset}_"))
    assert set(split.values()) <= {*PARTS, "unused"}
    assert {"train", "test"} <= set(split.values())


def test_synapse_by_the_paper_is_transunets_18_and_12():
    split = splits.paper("synapse")
    assert Counter(split.values()) == {"train": 18, "test": 12}
    assert sorted(split) == sorted(synapse.OFFICIAL)
    assert members(split, "train") == sorted(synapse.DEPTHS)
    assert sum(synapse.DEPTHS[name] for name in members(split, "train")) == 2211
    numbers = (1, 2, 3, 4, 8, 22, 25, 29, 32, 35, 36, 38)
    assert members(split, "test") == [f"case{number:04d}" for number in numbers]


def test_synapse_strict_holds_out_three_of_the_18():
    paper, strict = splits.paper("synapse"), splits.load("synapse", "strict")
    assert Counter(strict.values()) == {"train": 15, "val": 3, "test": 12}
    assert members(strict, "test") == members(paper, "test")
    pool = members(paper, "train")
    drawn = np.random.default_rng(0).permutation(18)[:3]
    assert members(strict, "val") == sorted(pool[index] for index in drawn)
    assert members(strict, "val") == ["case0007", "case0009", "case0028"]


def test_isic2018_is_drawn_by_the_rule_of_its_origin():
    split = splits.paper("isic2018")
    assert Counter(split.values()) == {"train": 1868, "val": 467, "test": 259}
    names = sorted(split)
    assert (names[0], names[-1]) == ("ISIC_0000000", "ISIC_0016072")
    drawn = [names[index] for index in np.random.default_rng(42).permutation(2594)]
    assert members(split, "test") == sorted(drawn[:259])
    assert members(split, "val") == sorted(drawn[259:726])
    assert members(split, "train") == sorted(drawn[726:])


def test_cvc_by_the_paper_is_fcbformers():
    assert splits.paper("cvc_clinicdb") == splits.load("cvc_clinicdb", "fcbformer")


def test_fcbformers_split_is_what_its_rule_draws():
    """scikit-learn's train_test_split by hand, over names sorted as strings (FCBFormer's loader).

    The digests are those of the lists that scikit-learn itself drew.
    """
    split = splits.load("cvc_clinicdb", "fcbformer")
    assert Counter(split.values()) == {"train": 490, "val": 61, "test": 61}
    files = sorted(f"{number}.tif" for number in range(1, 613))
    first = np.random.RandomState(42).permutation(612)
    test, rest = first[:61], first[61:]
    second = np.random.RandomState(42).permutation(551)
    drawn = {"test": test, "val": rest[second[:61]], "train": rest[second[61:]]}
    for part, indices in drawn.items():
        numbers = sorted(int(files[index].removesuffix(".tif")) for index in indices)
        assert members(split, part) == [f"frame{number:03d}" for number in numbers]
    assert {"frame059", "frame061", "frame072"} <= set(members(split, "test"))
    assert {"frame060", "frame062", "frame078"} <= set(members(split, "val"))
    assert digest(members(split, "test")) == "2fb107a3805ac902"
    assert digest(members(split, "val")) == "1fb06704c207a17f"


def test_pranets_split_has_62_test_frames_and_no_validation():
    split = splits.load("cvc_clinicdb", "pranet")
    assert Counter(split.values()) == {"train": 550, "test": 62}
    assert len(split) == 612
    test = members(split, "test")
    assert test[:4] == ["frame014", "frame021", "frame025", "frame031"]
    shared = set(test) & set(members(splits.load("cvc_clinicdb", "fcbformer"), "test"))
    expected = {31, 61, 89, 100, 307, 388, 481}  # FCBFormer's and PraNet's lists, compared by hand
    assert shared == {f"frame{number:03d}" for number in expected}


def cases(split: dict[str, str]) -> list[Case]:
    """All frames of CVC-ClinicDB under a split of frames or of sequences."""
    rows = []
    for number, sequence in cvc_clinicdb.sequences().items():
        name, group = f"frame{number:03d}", f"sequence{sequence:02d}"
        part = split.get(name, split.get(group, ""))
        sizes = (number - 1, 1, 8, 8, 3, 8, 8)
        rows.append(Case(name, group, part, group, *sizes, *[float("nan")] * 3))
    return rows


def test_the_split_by_sequences_keeps_them_whole():
    split = splits.load("cvc_clinicdb", "sequences")
    assert sorted(split) == [f"sequence{number:02d}" for number in range(1, 30)]
    frames = cases(split)
    assert Counter(case.split for case in frames) == {"train": 490, "val": 61, "test": 61}
    assert splits.divided(frames) == {}
    drawn = np.random.default_rng(244).permutation(29) + 1
    assert members(split, "test") == [f"sequence{number:02d}" for number in sorted(drawn[:3])]
    assert members(split, "val") == [f"sequence{number:02d}" for number in sorted(drawn[3:6])]


@pytest.mark.parametrize(("name", "beside"), [("fcbformer", 55), ("pranet", 62)])
def test_the_published_frame_splits_divide_sequences(name, beside):
    """Every test frame's sequence trains too; most have a neighbour there."""
    frames = cases(splits.load("cvc_clinicdb", name))
    divided = splits.divided(frames)
    assert all("train" in divided[case.group] for case in frames if case.split == "test")
    trained = {int(case.id[-3:]) for case in frames if case.split == "train"}
    known = cvc_clinicdb.sequences()
    tested = [int(case.id[-3:]) for case in frames if case.split == "test"]
    near = sum(
        any(one in trained and known.get(one) == known[number] for one in (number - 1, number + 1))
        for number in tested
    )
    assert near == beside


@pytest.mark.parametrize("name", datasets.DATASETS)
def test_the_split_that_a_dataset_names_for_strict_keeps_groups_whole(name):
    split = datasets.DATASETS[name].whole_split
    if split == "folds":  # which draw groups
        return
    split = splits.load(name, split)
    assert {"train", "val", "test"} == set(split.values()) - {"unused"}
    groups = {"acdc": "patient", "synapse": "case", "isic2018": "ISIC_"}  # the entries are groups
    assert all(entry.startswith(groups[name]) and entry.count("_") < 2 for entry in split)


def test_a_file_may_be_the_same_as_another(tmp_path, monkeypatch):
    monkeypatch.setattr(splits, "FOLDER", tmp_path)
    (tmp_path / "acdc_a.json").write_text('{"splits": {"train": ["p1"], "test": ["p2"]}}')
    (tmp_path / "acdc_b.json").write_text('{"origin": "as a", "same_as": "a"}')
    assert splits.load("acdc", "b") == {"p1": "train", "p2": "test"}
    (tmp_path / "acdc_c.json").write_text('{"origin": "as d", "same_as": "d"}')
    with pytest.raises(ValueError, match="split of acdc 'd': unknown"):
        splits.load("acdc", "c")
