"""The ISIC2018 reader: images as they are, each its own group, official parts where there are."""

from __future__ import annotations

import logging
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from salstm.data import datasets, splits
from salstm.data.readers import isic2018
from salstm.data.store import Store

INPUT = "ISIC2018_Task1-2_{}_Input"
TRUTH = "ISIC2018_Task1_{}_GroundTruth"


@pytest.fixture
def raw(lesions: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(lesions, tmp_path / "raw"))


def add(raw: Path, part: str, names: list[str], *, masks: bool = True) -> None:
    """Copy training images under other names into another part."""
    images, truths = raw / INPUT.format(part), raw / TRUTH.format(part)
    images.mkdir()
    shutil.copy(min((raw / INPUT.format("Training")).glob("*.jpg")), images / "x.jpg")
    if masks:
        truths.mkdir()
    for name in names:
        shutil.copy(images / "x.jpg", images / f"{name}.jpg")
        if masks:
            mask = min((raw / TRUTH.format("Training")).glob("*.png"))
            shutil.copy(mask, truths / f"{name}_segmentation.png")
    (images / "x.jpg").unlink()


def test_cases_are_single_images_of_their_own_group(lesions):
    cases = list(isic2018.cases(lesions))
    assert len(cases) == 8
    assert [case.id for case in cases] == sorted(case.id for case in cases)
    assert isic2018.identities(lesions) == [(case.id, case.group) for case in cases]
    for case in cases:
        assert case.id == case.group == case.stack
        assert case.image.shape == (*case.label.shape, 3)
        assert len(case.image) == 1
        assert case.image.dtype == case.label.dtype == np.uint8
        assert set(np.unique(case.label)) == {0, 1}
        assert case.spacing_mm is None
    assert len({case.label.shape for case in cases}) > 4
    assert any(side % 2 for case in cases for side in case.label.shape[1:])


def test_colours_and_masks_are_those_of_the_files(lesions):
    for case in isic2018.cases(lesions):
        with Image.open(lesions / INPUT.format("Training") / f"{case.id}.jpg") as image:
            np.testing.assert_array_equal(case.image[0], np.asarray(image))
        path = lesions / TRUTH.format("Training") / f"{case.id}_segmentation.png"
        with Image.open(path) as mask:
            np.testing.assert_array_equal(case.label[0], np.asarray(mask.convert("L")) > 127)


def test_the_other_files_of_the_official_folders_are_passed_over(lesions):
    names = {path.name for path in (lesions / INPUT.format("Training")).iterdir()}
    assert {"LICENSE.txt", "ATTRIBUTION.txt"} < names
    assert len(isic2018.files(lesions)) == 16


def test_prepare_in_a_fixed_size_keeps_native_masks(lesions, tmp_path):
    split = {"name": "groups", "validation": 0.25, "test": 0.25}
    datasets.prepare("isic2018", lesions, tmp_path / "s", split=split, size=32)
    store = Store(tmp_path / "s")
    for raw, case in zip(isic2018.cases(lesions), store.cases, strict=True):
        assert store.frames(case).shape == (1, 32, 32, 3)
        np.testing.assert_array_equal(store.native(case), raw.label)


def test_official_parts_are_read_where_there_are_any(raw, tmp_path):
    add(raw, "Validation", ["ISIC_9000001"])
    add(raw, "Test", ["ISIC_9000002", "ISIC_9000003"])
    assert len(isic2018.identities(raw)) == 11
    datasets.prepare("isic2018", raw, tmp_path / "s", split={"name": "official"}, size=32)
    store = Store(tmp_path / "s")
    assert [len(store.split(part)) for part in ("train", "val", "test")] == [8, 1, 2]


def test_a_part_without_any_ground_truth_does_not_count(raw):
    add(raw, "Test", ["ISIC_9000002"], masks=False)
    assert len(isic2018.identities(raw)) == 8
    assert len(isic2018.files(raw)) == 16


def test_a_published_split_leaves_out_what_it_does_not_name(raw, tmp_path, caplog, monkeypatch):
    """With the official validation images beside them, the paper's split of the 2594 still works."""
    names = [name for name, _ in isic2018.identities(raw)]
    parts = dict.fromkeys(names, "train") | {names[0]: "val", names[1]: "test"}
    monkeypatch.setattr(splits, "load", lambda dataset, name: parts)
    add(raw, "Validation", ["ISIC_9000001"])
    with caplog.at_level(logging.WARNING):
        datasets.prepare("isic2018", raw, tmp_path / "s", split={"name": "paper"}, size=32)
    assert "split paper does not name 1 of 9 cases, which are left out: ISIC_9000001" in caplog.text
    store = Store(tmp_path / "s")
    assert [case.id for case in store.cases] == names
    assert store.manifest["source"]["left_out"] == ["ISIC_9000001"]


@pytest.mark.parametrize("place", [".", "ISIC2018"])
def test_the_data_are_found(lesions, tmp_path, place):
    shutil.copytree(lesions, tmp_path / "raw" / place)
    assert isic2018.find(tmp_path / "raw") == tmp_path / "raw" / place


def test_a_missing_folder_says_what_to_get_and_where_to_put_it(tmp_path):
    with pytest.raises(FileNotFoundError) as caught:
        list(isic2018.cases(tmp_path / "isic"))
    for part in (isic2018.URL, "ISIC2018_Task1-2_Training_Input", "same command again"):
        assert part in str(caught.value)


def test_a_missing_mask_is_named(raw):
    masks = sorted((raw / TRUTH.format("Training")).glob("*.png"))
    for path in masks[:2]:
        path.unlink()
    with pytest.raises(FileNotFoundError, match=rf"{masks[0].name}: missing, and 1 more"):
        isic2018.files(raw)
    with pytest.raises(FileNotFoundError, match=f"{masks[0].name}: missing"):
        list(isic2018.cases(raw))
    assert f"{masks[0].name}: missing" in isic2018.check(raw)


def test_a_mask_of_another_size_is_refused(raw):
    path = sorted((raw / TRUTH.format("Training")).glob("*.png"))[2]
    Image.new("L", (9, 9)).save(path)
    with pytest.raises(ValueError, match=rf"{path.name}: \(9, 9\) pixels.*fetch both files again"):
        list(isic2018.cases(raw))


def test_check_compares_with_the_official_ids(raw):
    add(raw, "Validation", ["ISIC_9000001"])
    problems = isic2018.check(raw)
    official = set(splits.paper("isic2018"))
    known = len(official & {name for name, _ in isic2018.identities(raw)})
    assert problems[0].startswith(f"{2594 - known} training images missing: ISIC_0000001, ")
    assert problems[1].startswith(f"{8 - known} training images unknown: ISIC_")
    assert problems[2] == "Validation: 1 images, officially 100"
    assert problems[3].startswith(
        "9 images have a side below 540 pixels, which no official one has: "
    )


def test_check_measures_images_by_their_headers_and_leaves_damage_to_the_reader(tmp_path):
    images, masks = (
        tmp_path / f"ISIC2018_Task1{one}" for one in ("-2_Training_Input", "_Training_GroundTruth")
    )
    images.mkdir()
    masks.mkdir()
    for name, size in (("ISIC_0000000", (767, 540)), ("ISIC_0000001", (1022, 539))):
        Image.new("RGB", size).save(images / f"{name}.jpg")
        Image.new("L", size).save(masks / f"{name}_segmentation.png")
    (images / "ISIC_0000003.jpg").write_bytes(b"no picture")
    Image.new("L", (8, 8)).save(masks / "ISIC_0000003_segmentation.png")
    [small] = [one for one in isic2018.check(tmp_path) if "below 540" in one]
    assert small.startswith(
        "1 images have a side below 540 pixels, which no official one has: ISIC_0000001;"
    )
