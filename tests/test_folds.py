"""Cross-validation over groups: every case is tested once, by a training that saw nothing of its group."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from torch import nn

from salstm import jobs
from salstm.analysis import collect
from salstm.columns import COLUMNS
from salstm.data import audit, datasets, phantoms
from salstm.data.frame_counts import amounts
from salstm.data.store import Store
from salstm.evaluation import conventions
from salstm.files import read_csv, read_json, write_json
from salstm.recipes import Recipe
from salstm.report import completeness
from salstm.training import trainer
from salstm.vocabulary import Identity, folds_of

SPLIT = {"name": "folds", "folds": 5, "validation": 0.1, "seed": 0}
CELL = {"dataset": "cvc_clinicdb", "baseline": "conv", "variant": "plain", "seed": 0}
GRID = {"grid": {"cvc_clinicdb": ["conv"]}, "variants": ["plain"], "seeds": [0]}


def build(in_channels: int, out_channels: int, image_size: int) -> nn.Module:
    del image_size
    return nn.Conv2d(in_channels, out_channels, 3, padding=1)


@pytest.fixture(scope="module")
def cases(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """29 phantom videos in five folds; never changed."""
    root = tmp_path_factory.mktemp("videos")
    phantoms.cvc_clinicdb(root / "raw", sequences=29, frames=4, seed=1, size=(32, 40))
    datasets.prepare("cvc_clinicdb", root / "raw", root / "cases", split=SPLIT, size=32)
    return root / "cases"


@pytest.fixture(scope="module")
def trained(tmp_path_factory, cases) -> tuple[Path, list[set[str]]]:
    """A folder of results with five trainings and their scores, and the groups that each of them trained on."""
    root, seen = tmp_path_factory.mktemp("results"), []
    original = trainer.windows

    def watched(store, chosen, *arguments):
        seen.append({one.group for one in chosen})
        return original(store, chosen, *arguments)

    place = root / Identity.of(CELL).key
    folders = [root / key for key in Identity.of(CELL).trainings(5)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trainer, "windows", watched)
        for number, folder in enumerate(folders, start=1):
            jobs.train(build, {**CELL, "fold": number}, short(), cases=cases, out=folder)
            jobs.predict(build, folder, cases=cases, out=folder / "predictions")
    jobs.score(folders, [one / "predictions" for one in folders], cases, place / "scores.csv")
    return root, seen


def short() -> Recipe:
    """One epoch of a conventional recipe."""
    from salstm import recipes

    keys = {"activation": "softmax", "augment": "rotflip", "auxiliary": False, "batch": 16}
    keys |= {"deterministic": True, "epochs": 1, "evaluate_every": 1, "frames": 1, "scales": None}
    keys |= {"freeze_norm_after": None, "normalise": None, "precision": "float32", "size": 32}
    keys |= {
        "loss": {"name": "cross_entropy_dice", "cross_entropy": 0.5, "dice": 0.5},
        "pretrained": False,
    }
    keys |= {"optimizer": {"name": "adam", "lr": 1e-3, "weight_decay": 0.0}}
    return recipes.load({**keys, "schedule": {"name": "constant"}})


def folders_of(root: Path) -> list[Path]:
    return [root / key for key in Identity.of(CELL).trainings(5)]


def test_strict_has_every_case_once_by_a_training_that_never_saw_its_group(trained, cases):
    root, seen = trained
    scores = read_csv(root / Identity.of(CELL).key / "scores.csv")
    rows: Any = conventions.under_protocol(scores, "strict")
    store = Store(cases)
    assert Counter(rows["case"]) == Counter(one.id for one in store.cases)
    assert rows["group"].nunique() == 29
    for folder, groups in zip(folders_of(root), seen, strict=True):
        tested = np.load(folder / "predictions/best_val.npz").files
        assert tested
        assert not groups & {store.case(one).group for one in tested}


def test_folds_differ_in_their_seed_and_record_which_they_are(trained):
    from safetensors.torch import load_file

    folders = folders_of(trained[0])
    records = [read_json(one / "run.json") for one in folders]
    assert [one["fold"] for one in records] == [1, 2, 3, 4, 5]
    assert all(one["identity"] == CELL for one in records)
    first, second = (load_file(one / "last.safetensors") for one in folders[:2])
    apart = max(float((first[key] - second[key]).abs().max()) for key in first)
    # An epoch of seven Adam steps of 1e-3 moves no weight by more than 7e-3; the initial weights differ by more.
    assert apart > 2 * 7e-3 + 1e-3


def test_scoring_refuses_trainings_that_are_not_one_of_each_fold(trained, cases, tmp_path):
    folders = folders_of(trained[0])
    labels = [one / "predictions" for one in folders]
    out = tmp_path / "scores.csv"
    with pytest.raises(ValueError, match=r"found folds \[1, 2, 3, 4\], the cases want"):
        jobs.score(folders[:4], labels[:4], cases, out)
    with pytest.raises(ValueError, match=r"found folds \[1, 2, 3, 4, 4\]"):
        jobs.score([*folders[:4], folders[3]], [*labels[:4], labels[3]], cases, out)
    with pytest.raises(ValueError, match=r"is predicted by [02] of 5 trainings"):
        jobs.score(folders, [*labels[:4], labels[3]], cases, out)
    other = tmp_path / "fold5"
    write_json(other / "run.json", {**read_json(folders[4] / "run.json"), "recipe_digest": "x"})
    with pytest.raises(ValueError, match="recipe_digest differs"):
        jobs.score([*folders[:4], other], labels, cases, out)
    assert not out.exists()


@pytest.mark.parametrize(
    ("fold", "there"), [(None, "not named; there are 1 to 5"), (6, "6; there are 1 to 5")]
)
def test_a_training_names_its_fold(cases, tmp_path, fold, there):
    identity = {**CELL, **({"fold": fold} if fold else {})}
    with pytest.raises(ValueError, match=f"fold {there}"):
        jobs.train(build, identity, short(), cases=cases, out=tmp_path)


def test_cases_without_folds_have_none_to_name(cases_folder):
    assert Store(cases_folder).fold(None).split("train")
    with pytest.raises(ValueError, match="fold 1; there are none"):
        Store(cases_folder).fold(1)


def test_a_view_on_a_fold_survives_the_way_to_a_loader_process(cases):
    import pickle

    store = pickle.loads(pickle.dumps(Store(cases).fold(2)))
    assert [one.split for one in store.cases] == [one.split for one in Store(cases).fold(2).cases]
    assert {one.split for one in store.cases} == {"train", "val", "test"}


def test_a_cell_in_folds_is_one_cell(trained, tmp_path):
    root, _ = trained
    collect.collect(root, {**GRID, "folds": {"cvc_clinicdb": 5}}, tmp_path)
    cells = read_csv(tmp_path / "cells.csv")
    assert cells["state"].tolist() == ["done"]
    records = [read_json(one / "run.json") for one in folders_of(root)]
    assert cells["seconds"][0] == pytest.approx(sum(one["seconds"] for one in records))
    assert list(read_json(tmp_path / "runs.json")) == Identity.of(CELL).trainings(5)
    curves = [read_csv(one / "history.csv") for one in folders_of(root)]
    history = read_csv(tmp_path / "history.csv")
    assert history["epoch"].tolist() == [1]
    assert history["loss"][0] == pytest.approx(np.mean([one["loss"][0] for one in curves]))
    assert list(history.columns) == list(COLUMNS["history"])


def test_the_report_says_that_cases_are_in_folds(trained):
    records = {one.name: read_json(one / "run.json") for one in folders_of(trained[0])}
    [said] = completeness.folded(records)
    assert said["text"].startswith("CVC-ClinicDB (5 folds): every case is tested once")
    assert completeness.folded({"a": {"identity": CELL}}) == []


def test_a_fold_that_failed_is_named(trained, tmp_path):
    import shutil

    root = tmp_path / "results"
    shutil.copytree(trained[0], root)
    place = root / Identity.of(CELL).key
    (place / "scores.csv").unlink()
    (place / "fold3/logs").mkdir()
    (place / "fold3/logs/train.log").write_text("12:00:00 ERROR train: the loss is nan\n")
    collect.collect(root, {**GRID, "folds": {"cvc_clinicdb": 5}}, tmp_path / "out")
    cells = read_csv(tmp_path / "out/cells.csv")
    assert cells["state"].tolist() == ["failed"]
    assert cells["reason"].tolist() == ["fold3: train: the loss is nan"]


def test_the_plan_counts_a_training_a_fold(cases, tmp_path):
    split = {"split": SPLIT, "phantom": None}
    store = Store(cases)
    counted, before = (amounts("cvc_clinicdb", split, one) for one in (cases, tmp_path))
    assert counted.total == len(store)
    means = [
        np.mean([len(store.fold(k).split(part)) for k in range(1, 6)]) for part in ("val", "test")
    ]
    assert [counted.val, counted.test] == [round(one) for one in means]
    assert (before.total, before.test, before.val) == (612, 122, 61)
    assert folds_of(SPLIT) == 5
    assert folds_of({"name": "folds"}) == 5
    assert folds_of({"name": "groups"}) == 0


def test_the_audit_looks_at_what_each_fold_tests(cases):
    store = Store(cases)
    table = audit.audit(store, ("polyp",))
    facts: Any = table.set_index(["fact", "split"])["value"]
    tested = [int(facts["groups", f"fold {number}"]) for number in range(1, 6)]
    assert tested == [6, 6, 6, 6, 5]
    assert sum(int(facts["cases", f"fold {number}"]) for number in range(1, 6)) == len(store.cases)
    assert facts["groups in more than one split", "all"] == 0


def test_an_image_that_another_fold_has_too_is_found(cases, tmp_path):
    import shutil

    shutil.copytree(cases, tmp_path / "cases")
    store = Store(cases)
    one, other = store.fold(1).split("test")[0], store.fold(4).split("test")[0]
    images = np.load(tmp_path / "cases/images.npy", mmap_mode="r+")
    size = one.height * one.width * 3
    images[other.first * size :][:size] = images[one.first * size :][:size]
    images.flush()
    table = audit.audit(Store(tmp_path / "cases"), ("polyp",))
    facts: Any = table.set_index(["fact", "split"])["value"]
    assert facts["frames repeated exactly in another split", "fold 4"] == 1
    assert f"may be wrong: images of {one.id} and {other.id}" in set(table["fact"])
