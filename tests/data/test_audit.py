"""The audit: every fact by hand, and the leaks that it must find."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from salstm.data import audit, datasets, writing
from salstm.data.case import RawCase
from salstm.data.readers import cvc_clinicdb, synapse
from salstm.data.store import Store
from tests.data.conftest import readings, video, volume

REPEATED = "frames repeated exactly in another split"
NEAR = "frames within 12 of 128 hash bits of one in another split"
BESIDE = "frames beside a frame of another split"
DIVIDED = ("groups in more than one split", "stacks in more than one split")


def store(folder: Path, cases: list[RawCase], parts: dict[str, str]) -> Store:
    source = {"dataset": "acdc"}
    writing.write(folder, readings(cases), parts, size=None, normalise="none", source=source)
    return Store(folder)


def fact(table: pd.DataFrame, split: str, name: str):
    [value] = table.loc[(table["split"] == split) & (table["fact"] == name), "value"]
    return value


def scene(seed: int, shift: int = 0, side: int = 72) -> np.ndarray:
    """A smooth colour picture; ``shift`` moves the camera by pixels."""
    from scipy.ndimage import gaussian_filter

    generator = np.random.default_rng(seed)
    wide = gaussian_filter(generator.standard_normal((side, 2 * side)), 10)
    wide = 128 + 40 * wide[..., None] / wide.std() * (1.0, 0.8, 0.6)
    return np.clip(wide[:, shift : shift + side], 0, 255).astype(np.uint8)


def pictures(name: str, images: list[np.ndarray]) -> list[RawCase]:
    blank = video(name, len(images), *images[0].shape[:2])
    return [replace(case, image=image[None]) for case, image in zip(blank, images, strict=True)]


def test_counts_sizes_ranges_and_classes_by_hand(tmp_path):
    label = np.zeros((2, 4, 5), dtype=np.uint8)
    label[0, :2, :3] = 2
    label[1, 0, 0] = 1
    one = replace(volume("a", 2, 4, 5), label=label, image=np.arange(40.0).reshape(2, 4, 5))
    cases = [one, volume("b", 3, 6, 7), volume("c"), volume("d")]
    opened = store(tmp_path / "s", cases, {"a": "train", "b": "val", "c": "test", "d": "test"})
    table = audit.audit(opened, ("RV", "MYO", "LV"))
    assert list(table.columns) == ["split", "fact", "value"]
    expected = {
        "cases": 1,
        "groups": 1,
        "frames": 2,
        "native sizes": "4x5",
        "intensity minimum": 0.0,
        "intensity maximum": 39.0,
        "RV voxels": 1,
        "RV cases": 1,
        "MYO voxels": 6,
        "MYO cases": 1,
        "LV voxels": 0,
        "LV cases": 0,
    }
    assert {name: fact(table, "train", name) for name in expected} == expected
    assert fact(table, "test", "cases") == 2
    for name in DIVIDED:
        assert fact(table, "all", name) == 0
    for split in ("val", "test"):
        assert fact(table, split, REPEATED) == fact(table, split, BESIDE) == 0


def test_a_split_without_validation_cases_is_counted_not_refused(tmp_path):
    """TransUNet's Synapse and PraNet's CVC-ClinicDB have none."""
    opened = store(tmp_path / "s", [volume("a"), volume("b")], {"a": "train", "b": "test"})
    table = audit.audit(opened, ("RV", "MYO", "LV"))
    assert fact(table, "val", "cases") == 0


def test_a_label_without_a_name_is_refused(tmp_path):
    opened = store(tmp_path / "s", [volume("a")], {"a": "train"})
    with pytest.raises(ValueError, match="label 3 names no class; 0 to 2 are known"):
        audit.audit(opened, ("RV", "MYO"))


def test_an_exact_copy_under_another_name_is_found(tmp_path):
    cases = [volume("a", 3), volume("b"), volume("c", 3)]
    cases[2] = replace(cases[2], image=cases[2].image.copy())
    cases[2].image[1] = cases[0].image[2]
    opened = store(tmp_path / "s", cases, {"a": "train", "b": "val", "c": "test"})
    table = audit.audit(opened, ("RV", "MYO", "LV"))
    assert fact(table, "test", REPEATED) == 1
    assert fact(table, "val", REPEATED) == 0


def test_a_near_copy_is_found_by_its_perceptual_hash(tmp_path):
    """Brighter, noisier, moved by a pixel: no byte is the same."""
    first = scene(1)
    noise = np.random.default_rng(0).normal(0, 3, first.shape)
    second = np.clip(scene(1, shift=1) * 0.9 + 12 + noise, 0, 255).astype(np.uint8)
    cases = pictures("a", [first]) + pictures("b", [second]) + pictures("c", [scene(2)])
    opened = store(tmp_path / "s", cases, {"a": "train", "b": "test", "c": "test"})
    table = audit.audit(opened, ("polyp",))
    assert fact(table, "test", NEAR) == 1
    assert fact(table, "test", REPEATED) == 0


def test_the_hash_is_blind_to_size_and_brightness_and_sees_other_pictures():
    picture = scene(5)
    twice = np.kron(picture, np.ones((2, 2, 1))).astype(np.uint8)

    def apart(one: np.ndarray, other: np.ndarray) -> int:
        return (audit.perceptual_hash(one) ^ audit.perceptual_hash(other)).bit_count()

    assert apart(picture, twice) == 0
    assert apart(picture, picture * 0.5) == 0
    assert apart(picture, picture[..., :1].repeat(3, -1)) < 40
    others = [apart(scene(one), scene(other)) for one in range(8) for other in range(one)]
    assert min(others) > audit.NEAR
    assert 0 <= audit.perceptual_hash(picture) < 2**audit.BITS


def frame_split(raw: Path) -> dict[str, str]:
    """Every fourth frame tests and the one after validates, whatever the sequence: what is published."""
    names = [name for name, _ in cvc_clinicdb.identities(raw)]
    parts = {2: "test", 3: "val"}
    return {name: parts.get(number % 4, "train") for number, name in enumerate(names)}


def test_the_leak_of_a_frame_split_is_found(videos, tmp_path):
    parts = frame_split(videos)
    cases = list(cvc_clinicdb.cases(videos))
    opened = store(tmp_path / "s", cases, parts)
    table = audit.audit(opened, ("polyp",))
    for name in DIVIDED:
        assert fact(table, "all", name) >= 4
    # By hand from the numbers: a frame whose neighbour in the run has another part.
    place = {(case.stack, case.first): parts[case.id] for case in cases}
    for split in ("val", "test"):
        beside = [
            case
            for case in cases
            if parts[case.id] == split
            and any(place.get((case.stack, case.first + step), split) != split for step in (-1, 1))
        ]
        assert fact(table, split, BESIDE) == len(beside) > 0
    assert fact(table, "test", NEAR) > 0


def test_a_split_by_sequences_has_no_such_leak(videos, tmp_path):
    split = {"name": "groups", "validation": 0.25, "test": 0.25}
    datasets.prepare("cvc_clinicdb", videos, tmp_path / "s", split=split, size=None)
    table = audit.audit(Store(tmp_path / "s"), ("polyp",))
    for name in DIVIDED:
        assert fact(table, "all", name) == 0
    for part in ("val", "test"):
        for name in (REPEATED, NEAR, BESIDE):
            assert fact(table, part, name) == 0, name


def test_odd_organs_are_named_case_by_case(abdomens, tmp_path, rewrite):
    raw = Path(shutil.copytree(abdomens, tmp_path / "raw"))
    split = {"name": "groups", "validation": 0.2, "test": 0.2}
    folder = raw / "RawData" / "Training"
    for kind in ("img", "label"):  # mirrored, header and all
        rewrite(folder / kind / f"{kind}0002.nii.gz", lambda array: array[::-1])
    datasets.prepare("synapse", raw, tmp_path / "s", split=split, size=None)
    table = audit.audit(Store(tmp_path / "s"), synapse.CLASSES)
    assert fact(table, "all", "cases with oddities") == 1
    [text] = table.loc[table["fact"] == "oddities of case0002", "value"]
    assert "the liver lies nearer to the left than the spleen" in text
    assert "mirrored along x" in text


def test_datasets_without_a_check_of_their_own_have_no_such_rows(videos, tmp_path):
    split = {"name": "groups", "validation": 0.25, "test": 0.25}
    datasets.prepare("cvc_clinicdb", videos, tmp_path / "s", split=split, size=None)
    table = audit.audit(Store(tmp_path / "s"), ("polyp",))
    assert not table["fact"].str.contains("oddities").any()
