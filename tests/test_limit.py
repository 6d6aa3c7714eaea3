"""`limit: N`: any target on a few cases, under a name of its own, and never taken for a whole run."""

from __future__ import annotations

from pathlib import Path

import pytest

import baselines
from salstm import config, limits, recipes
from salstm.data import datasets, phantoms, splits
from salstm.data.store import Store

ROOT = Path(__file__).parents[1]
SHIPPED = config.load(ROOT / "config.yaml")
CASES = [(f"{group}{number}", group) for group in "abcdef" for number in range(3)]


def quick(**over):
    return config.checked(config.merge(SHIPPED, over), baselines.names())


@pytest.mark.parametrize("given", [3, "3"])
def test_a_limited_run_is_short_and_lies_elsewhere(given):
    found = quick(limit=given)
    assert found["name"] == "paper-limit3"
    assert found["datasets"]["acdc"]["split"] == {"name": "strict", "limit": 3}
    recipe = recipes.resolve(found, "acdc", "mtunet", "salstm")
    assert (recipe.epochs, recipe.batch) == (1, 3)
    reasons = limits.reasons(found, quick())
    assert reasons[0] == "a quick look: 3 cases of each part, one epoch"


def test_what_the_user_overrides_holds_and_no_limit_changes_nothing():
    over = {"limit": 2, "recipes": {"overrides": {"epochs": 7}}}
    recipe = recipes.resolve(quick(**over), "acdc", "mtunet", "plain")
    assert (recipe.epochs, recipe.batch) == (7, 2)
    assert quick()["name"] == "paper"
    assert "limit" not in quick()["datasets"]["acdc"]["split"]


@pytest.mark.parametrize("bad", [0, 1, "x", True, 2.5])
def test_another_limit_is_refused(bad):
    with pytest.raises(config.ConfigError, match="limit: "):
        quick(limit=bad)


def test_the_first_cases_of_each_part_are_kept_and_the_others_of_their_groups_unused():
    parts = {"a": "train", "b": "test", "c": "train", "d": "val", "e": "unused", "f": "test"}
    found = splits.limited({"name": "groups", "limit": 2}, parts, CASES)
    assert found == {
        **{"a0": "train", "a1": "train", "a2": "unused"},
        **{"b0": "test", "b1": "test", "b2": "unused"},
        **{"d0": "val", "d1": "val", "d2": "unused"},
    }


def test_of_folds_the_first_groups_are_kept():
    parts = dict.fromkeys("abcdef", "test")
    found = splits.limited({"name": "folds", "folds": 2, "limit": 2}, parts, CASES)
    assert list(found) == ["a0", "a1", "b0", "b1", "c0", "c1", "d0", "d1"]
    assert set(found.values()) == {"test"}


@pytest.mark.parametrize("name", ["groups", "folds"])
def test_a_limited_store_can_be_trained_on(name, tmp_path):
    phantoms.cvc_clinicdb(tmp_path / "raw", sequences=9, frames=5, seed=1)
    split = {"groups": {"validation": 0.3, "test": 0.3}, "folds": {"folds": 2}}[name]
    split = {"name": name, "limit": 2, **split}
    datasets.prepare("cvc_clinicdb", tmp_path / "raw", tmp_path / "s", split=split, size=32)
    store = Store(tmp_path / "s")
    assert store.manifest["source"]["split"] == split
    for number in range(1, len(store.folds) + 1) if name == "folds" else (None,):
        fold = store.fold(number)
        splits.check_trainable(store.manifest["source"], fold.cases)
        assert 0 < len(fold.split("test")) <= 4
    assert len(store.cases) - len(store.split("unused")) <= 8
