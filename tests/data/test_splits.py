"""Splits: the published lists as published, and draws that never divide a group."""

from __future__ import annotations

import csv
from collections import Counter
from contextlib import ExitStack

import pytest
from hypothesis import given
from hypothesis import strategies as st

from salstm.data import splits
from salstm.data.case import Case
from salstm.data.readers import acdc


def test_the_papers_acdc_split_is_70_10_20_patients_and_covers_all():
    split = splits.paper("acdc")
    assert Counter(split.values()) == {"train": 70, "val": 10, "test": 20}
    assert sorted(split) == [f"patient{number:03d}" for number in range(1, 101)]


def test_the_papers_acdc_split_has_the_published_numbers_of_slices():
    """1304, 182 and 416: the lists of the package, and 163 iterations of 8 in the authors' logs."""
    with acdc.FACTS.open(newline="") as file:
        slices = {row["patient"]: 2 * int(row["slices"]) for row in csv.DictReader(file)}
    count: Counter[str] = Counter()
    for patient, part in splits.paper("acdc").items():
        count[part] += slices[patient]
    assert count == {"train": 1304, "val": 182, "test": 416}


def test_the_test_patients_are_those_of_the_authors_logs():
    logged = "002 003 008 009 012 014 017 024 042 048 049 053 055 064 067 079 081 088 092 095"
    split = splits.paper("acdc")
    assert [name for name, part in split.items() if part == "test"] == [
        f"patient{number}" for number in logged.split()
    ]


names = st.lists(st.integers(0, 999).map(str), min_size=3, unique=True)


@given(names, st.floats(0.01, 0.45), st.floats(0.01, 0.45), st.integers(0, 99))
def test_a_draw_names_every_group_once_and_fills_every_part(groups, validation, test, seed):
    split = splits.by_group(groups, validation, test, seed)
    count = Counter(split.values())
    assert set(split) == set(groups)
    assert min(count[part] for part in ("train", "val", "test")) >= 1
    assert abs(count["val"] - validation * len(groups)) <= 1
    assert abs(count["test"] - test * len(groups)) <= 1


def test_a_draw_depends_on_the_seed_and_not_on_the_order():
    groups = [f"p{number}" for number in range(30)]
    split = splits.by_group(groups, 0.1, 0.2, 7)
    assert splits.by_group(groups[::-1] + groups, 0.1, 0.2, 7) == split
    assert splits.by_group(groups, 0.1, 0.2, 8) != split
    assert Counter(split.values()) == {"train": 21, "val": 3, "test": 6}


@pytest.mark.parametrize(
    ("groups", "shares", "message"),
    [
        ("aabb", (0.1, 0.2), "2 groups; at least 3 are needed"),
        ("", (0.1, 0.2), "0 groups"),
        ("abcdefgh", (0.5, 0.5), "their sum below 1"),
        ("abcdefgh", (-0.1, 0.2), "both must be 0 or more"),
        ("a", (0, 0.2), "1 groups; at least 2 are needed, one for each of train, test"),
    ],
)
def test_draws_that_cannot_fill_every_part_are_refused(groups, shares, message):
    with pytest.raises(ValueError, match=message):
        splits.by_group(groups, validation=shares[0], test=shares[1], seed=0)


def test_a_split_of_the_configuration():
    assert splits.resolve("acdc", {"name": "paper"}, []) == splits.paper("acdc")
    drawn = splits.resolve("acdc", {"name": "groups", "test": 0.5, "seed": 3}, "abcdefghij")
    assert drawn == splits.by_group("abcdefghij", 0.1, 0.5, 3)
    with pytest.raises(ValueError, match=r"split of acdc 'papers'.*Did you mean paper\?"):
        splits.resolve("acdc", {"name": "papers"}, [])
    with pytest.raises(ValueError, match=r"key 'seed'; allowed: name$"):
        splits.resolve("acdc", {"name": "paper", "seed": 1}, [])
    with pytest.raises(ValueError, match="allowed: name, validation, test, seed"):
        splits.resolve("acdc", {"name": "groups", "sede": 1}, "abc")


def test_a_file_that_lists_an_entry_twice_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(splits, "FOLDER", tmp_path)
    text = '{"splits": {"train": ["a", "b"], "test": ["b"]}}'
    (tmp_path / "acdc_mine.json").write_text(text)
    with pytest.raises(ValueError, match="an entry is listed twice"):
        splits.load("acdc", "mine")


def test_a_share_of_0_is_no_group():
    """Two volumes can be looked at; they cannot train, validate and test."""
    assert splits.by_group("ab", 0, 0, 0) == {"a": "train", "b": "train"}
    assert sorted(splits.by_group("ab", 0, 0.5, 0).values()) == ["test", "train"]
    assert Counter(splits.by_group("abcdefghij", 0.2, 0, 0).values()) == {"train": 8, "val": 2}


@pytest.mark.parametrize(
    ("split", "parts", "there", "lack"),
    [
        ({"name": "paper"}, "train val test", "test", "train on and validate on"),
        ({"name": "paper"}, "train test", "train test", ""),
        ({"name": "paper"}, "train test", "train", "test on"),
        ({"name": "official"}, "train", "train", "test on"),
        ({"name": "groups", "validation": 0}, "train test", "train test", "validate on"),
        ({"name": "groups"}, "train val test", "train val test", ""),
    ],
)
def test_a_training_needs_a_case_in_every_part_that_its_split_has(split, parts, there, lack):
    resolved = {part: part for part in parts.split()}
    source = {"dataset": "acdc", "split": split, "parts": splits.needed(split, resolved)}
    cases = [case(part, part) for part in there.split()]
    with ExitStack() as context:
        if lack:
            said = f"acdc: split {split['name']} leaves no case to {lack}"
            context.enter_context(pytest.raises(ValueError, match=said))
        splits.check_trainable(source, cases)


def case(name: str, part: str) -> Case:
    return Case(name, name, part, name, 0, 1, 8, 8, 1, 8, 8, 1.0, 1.0, 1.0)


def test_folds_test_every_group_once_and_give_each_training_all_three_parts():
    groups = [f"{number:02d}" for number in range(29)]
    drawn = splits.folds(groups[::-1] + groups, 5, 0.1, 0)
    assert drawn == splits.folds(groups, 5, 0.1, 0)
    assert drawn != splits.folds(groups, 5, 0.1, 1)
    tested = [group for fold in drawn for group, part in fold.items() if part == "test"]
    assert sorted(tested) == groups
    for fold in drawn:
        assert sorted(fold) == groups
        counts = Counter(fold.values())
        assert counts["val"] == 3
        assert counts["test"] in (5, 6)
    assert len({frozenset(g for g, part in fold.items() if part == "val") for fold in drawn}) == 5


def test_the_fewest_groups_that_make_folds():
    assert [sorted(one.values()) for one in splits.folds("abc", 3, 0.1, 0)] == [
        ["test", "train", "val"]
    ] * 3


@pytest.mark.parametrize(
    ("groups", "count", "validation", "message"),
    [
        ("abcd", 1, 0.1, "folds 1 and"),
        ("abcd", 2, 0, "a share between 0 and 1"),
        ("ab", 2, 0.1, "2 groups; 2 folds .* need 3 or more"),
        ("abcd", 5, 0.1, "4 groups; 5 folds .* need 5 or more"),
        ("abcd", 2, 0.5, "set folds or validation lower"),
    ],
)
def test_folds_that_cannot_be_are_refused(groups, count, validation, message):
    with pytest.raises(ValueError, match=message):
        splits.folds(groups, count, validation, 0)


def test_folds_of_the_configuration():
    split = {"name": "folds", "folds": 3}
    assert splits.resolve("acdc", split, "abcab") == dict.fromkeys("abc", "test")
    assert splits.resolve_folds(split, "abcab") == splits.folds("abc", 3, 0.1, 0)
    assert splits.resolve_folds({"name": "groups"}, "abcab") == []
    with pytest.raises(ValueError, match="key 'test'; allowed: name, folds, validation, seed"):
        splits.resolve("acdc", {"name": "folds", "test": 0.2}, "abc")
