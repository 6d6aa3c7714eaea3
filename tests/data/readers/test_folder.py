"""A folder of one's own: what Pillow and nibabel wrote comes out as it was; what could be two things is refused."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import nibabel
import numpy as np
import pytest
from nibabel.nifti1 import Nifti1Image
from PIL import Image

from salstm.data import datasets, own
from salstm.data.case import RawCase

GENERATOR = np.random.default_rng(3)
HEARTS = {"RV": 1, "MYO": 2, "LV": 3}


@pytest.fixture(autouse=True)
def registry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets, "DATASETS", dict(datasets.DATASETS))
    monkeypatch.setattr(own, "DATASETS", datasets.DATASETS)


def reader(raw: Path, **block: Any) -> Any:
    own.register(
        {
            "mine": {
                **{"reader": "folder", "classes": {"lesion": 1}, "group": None, "frames": 1},
                **{"kind": "colour", **block},
            }
        }
    )
    return datasets.reader("mine", raw)


def cases(raw: Path, **block: Any) -> dict[str, RawCase]:
    return {case.id: case for case in (read() for read in reader(raw, **block).readings(raw))}


def picture(path: Path, side: int = 12, **options: Any) -> np.ndarray:
    path.parent.mkdir(parents=True, exist_ok=True)
    array = GENERATOR.integers(0, 256, (side, side + 4, 3), dtype=np.uint8)
    Image.fromarray(array).save(path, **options)
    return array


def mask(path: Path, values: np.ndarray) -> np.ndarray:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(values.astype(np.uint8)).save(path)
    return values


def square(side: int = 12, value: int = 255) -> np.ndarray:
    label = np.zeros((side, side + 4), np.uint8)
    label[2:7, 3:8] = value
    return label


def pairs(
    raw: Path, names: list[str], form: str = "images/{}.png", of_mask: str = "masks/{}.png"
) -> None:
    for name in names:
        picture(raw / form.format(name))
        mask(raw / of_mask.format(name), square())


def volume(path: Path, array: np.ndarray, codes: str = "LPS", spacing: float = 8.0) -> None:
    """As nibabel writes it, stored along other axes than ``array`` (X, Y, Z in LPS)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Nifti1Image(array, np.diag([-1.5, -1.5, spacing, 1.0]))
    turn = nibabel.orientations.ornt_transform(
        nibabel.orientations.axcodes2ornt(tuple("LPS")),
        nibabel.orientations.axcodes2ornt(tuple(codes)),
    )
    image.as_reoriented(cast(Any, turn)).to_filename(path)


def hearts(
    raw: Path, patients: int = 3, codes: str = "RAS"
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """An nnU-Net raw dataset, two frames a patient, labels stored along other axes than images."""
    made = {}
    for number in range(patients):
        for frame in (1, 10):
            name = f"patient{number + 1:03d}_frame{frame:02d}"
            image = GENERATOR.integers(0, 900, (10, 12, 4)).astype(np.int16)
            label = GENERATOR.integers(0, 4, (10, 12, 4)).astype(np.uint8)
            volume(raw / f"imagesTr/{name}_0000.nii.gz", image)
            volume(raw / f"labelsTr/{name}.nii.gz", label, codes)
            made[name] = (image, label)
    described = {
        "channel_names": {"0": "cineMRI"},
        "labels": {"background": 0, **HEARTS},
        "numTraining": len(made),
        "file_ending": ".nii.gz",
    }
    (raw / "dataset.json").write_text(json.dumps(described))
    return made


@pytest.mark.parametrize(
    ("form", "of_mask"),
    [
        ("images/{}.jpg", "masks/{}.png"),
        ("Images/{}.png", "Ground Truth/{}_segmentation.png"),
        ("img/{}.tif", "labels/mask_{}.bmp"),
        ("{}.png", "{}_mask.png"),
        ("{}_image.png", "{}_GT.png"),
        ("data/images/{}.JPG", "data/masks/{}.PNG"),
    ],
)
def test_images_and_masks_are_paired_by_name(form, of_mask, tmp_path):
    pairs(tmp_path, ["a 1", "a 10", "a 2"], form, of_mask)
    for path in [*tmp_path.rglob("*.*")]:
        (path.parent / f"._{path.name}").write_bytes(b"\0")
    (tmp_path / "readme.txt").write_text("mine")
    found = cases(tmp_path)
    assert list(found) == ["a 1", "a 2", "a 10"]
    assert len(reader(tmp_path).files(tmp_path)) == 6
    with Image.open(tmp_path / form.format("a 2")) as image:
        assert (found["a 2"].image == np.asarray(image)[None]).all()
    assert (found["a 2"].label == square(value=1)[None]).all()


def test_pictures_in_folders_of_patients_are_grouped_and_may_differ_in_size(tmp_path):
    for patient, side in (("anna", 12), ("bo", 20)):
        for number in (1, 2):
            picture(tmp_path / f"images/{patient}/{number}.png", side)
            mask(tmp_path / f"masks/{patient}/{number}.png", square(side))
    found = cases(tmp_path, group="^[a-z]+")
    assert {case.id: case.group for case in found.values()} == {
        **{"anna_1": "anna", "anna_2": "anna"},
        **{"bo_1": "bo", "bo_2": "bo"},
    }
    assert found["bo_1"].image.shape == (1, 20, 24, 3)


def test_frames_of_a_sequence_are_one_stack_in_natural_order(tmp_path):
    pairs(tmp_path, [f"{number}_seq{number % 2}" for number in range(12)])
    found = cases(tmp_path, group=r"seq(\d)", frames=3)
    assert [one.id for one in found.values()] == [
        *(f"{number}_seq0" for number in range(0, 12, 2)),
        *(f"{number}_seq1" for number in range(1, 12, 2)),
    ]
    assert [(one.stack, one.first) for one in found.values()] == [
        (str(group), at) for group in (0, 1) for at in range(6)
    ]


def test_an_nnunet_dataset_is_read_as_it_is(tmp_path):
    made = hearts(tmp_path)
    options = {"classes": HEARTS, "kind": "MR", "group": r"patient\d+", "frames": 3}
    found = cases(tmp_path, **options)
    assert {name: case.group for name, case in found.items()} == {name: name[:10] for name in made}
    for name, (image, label) in made.items():
        assert (found[name].image == image.transpose(2, 1, 0)).all()
        assert (found[name].label == label.transpose(2, 1, 0)).all()
        assert found[name].spacing_mm == (8.0, 1.5, 1.5)
    source = reader(tmp_path, **options)
    assert source.NORMALISE == "minmax99"
    assert source.check(tmp_path) == []
    assert source.amount(tmp_path) == (24, 120)
    (tmp_path / "imagesTr/patient001_frame01_0000.nii.gz").unlink()
    (tmp_path / "labelsTr/patient001_frame01.nii.gz").unlink()
    assert source.check(tmp_path) == [f"5 cases, {tmp_path}/dataset.json says 6"]


def test_the_decathlons_dataset_json_is_read_too(tmp_path):
    made = hearts(tmp_path)
    for path in (tmp_path / "imagesTr").iterdir():
        path.rename(path.with_name(path.name.replace("_0000", "")))
    text = {
        "modality": {"0": "CT"},
        "labels": {"0": "background", "1": "RV", "2": "MYO", "3": "LV"},
    }
    (tmp_path / "dataset.json").write_text(json.dumps(text))
    block = {"x": {"reader": "folder", "raw": str(tmp_path), "kind": None, "classes": HEARTS}}
    own.complete(block)
    assert block["x"]["kind"] == "CT"
    found = cases(tmp_path, classes=HEARTS, kind="CT")
    assert sorted(found) == sorted(made)
    assert reader(tmp_path, classes=HEARTS, kind="CT").NORMALISE == "hu"


@pytest.mark.parametrize("mode", ["L", "P", "RGB"])
def test_numbers_of_classes_become_consecutive_in_their_order(mode, tmp_path):
    values = GENERATOR.choice([0, 4, 9], (12, 16)).astype(np.uint8)
    picture(tmp_path / "images/1.png")
    (tmp_path / "masks").mkdir()
    image = Image.fromarray(values)
    if mode == "P":
        image.putpalette(list(range(255, -1, -1)) * 3)
    elif mode == "RGB":
        image = image.convert("RGB")
    image.save(tmp_path / "masks/1.png")
    found = cases(tmp_path, classes={"b": 9, "a": 4})
    assert datasets.DATASETS["mine"].classes == ("a", "b")
    assert (found["1"].label[0] == np.select([values == 4, values == 9], [1, 2])).all()


@pytest.mark.parametrize("value", [1, 255, 7])
def test_one_class_may_have_its_number_or_be_white(value, tmp_path):
    picture(tmp_path / "images/1.png")
    mask(tmp_path / "masks/1.png", square(value=value))
    found = cases(tmp_path, classes={"lesion": 7 if value == 7 else 1})
    assert (found["1"].label[0] == (square() > 0)).all()


@pytest.mark.parametrize("first_is_white", [True, False])
def test_of_one_class_the_colours_of_a_palette_count(first_is_white, tmp_path):
    picture(tmp_path / "images/1.png")
    truth = square() > 0
    image = Image.fromarray((truth != first_is_white).astype(np.uint8)).convert("L")
    image = Image.frombytes("P", image.size, image.tobytes())
    image.putpalette([255] * 3 + [0] * 3 if first_is_white else [0] * 3 + [255] * 3)
    (tmp_path / "masks").mkdir()
    image.save(tmp_path / "masks/1.png")
    assert (cases(tmp_path)["1"].label[0] == truth).all()


def test_a_palette_whose_numbers_and_greys_are_two_masks_is_refused(tmp_path):
    picture(tmp_path / "images/1.png")
    values = GENERATOR.choice([0, 1, 2], (12, 16)).astype(np.uint8)
    image = Image.frombytes("P", (16, 12), values.tobytes())
    image.putpalette([2, 2, 2, 1, 1, 1, 0, 0, 0])
    (tmp_path / "masks").mkdir()
    image.save(tmp_path / "masks/1.png")
    with pytest.raises(ValueError, match=r"masks/1.png: .*two different masks"):
        cases(tmp_path, classes={"a": 1, "b": 2})


def test_a_mask_without_foreground_is_a_case(tmp_path):
    picture(tmp_path / "images/1.png")
    mask(tmp_path / "masks/1.png", np.zeros((12, 16)))
    assert not cases(tmp_path)["1"].label.any()


def test_grey_pictures_keep_one_channel(tmp_path):
    grey = GENERATOR.integers(0, 256, (12, 16), dtype=np.uint8)
    mask(tmp_path / "images/1.png", grey)
    mask(tmp_path / "masks/1.png", square())
    found = cases(tmp_path, kind="grey")["1"]
    assert datasets.DATASETS["mine"].channels == 1
    np.testing.assert_allclose(found.image, grey[None] / 255, rtol=1e-6)


def double(raw: Path) -> None:
    picture(raw / "images/a.jpg")


def lose_mask(raw: Path) -> None:
    (raw / "masks/b.png").unlink()


def lose_image(raw: Path) -> None:
    (raw / "images/b.png").unlink()


def second_mask(raw: Path) -> None:
    mask(raw / "masks/a_mask.png", square())


def second_folder(raw: Path) -> None:
    shutil.copytree(raw / "masks", raw / "labels")


def two_places(raw: Path) -> None:
    for name in ("one", "two"):
        shutil.copytree(raw / "images", raw / name / "images")
        shutil.copytree(raw / "masks", raw / name / "masks")
    shutil.rmtree(raw / "images")
    shutil.rmtree(raw / "masks")


def volume_beside(raw: Path) -> None:
    volume(raw / "images/v.nii.gz", np.zeros((4, 4, 4), np.uint8))


def other_value(raw: Path) -> None:
    mask(raw / "masks/b.png", square(value=2))


def other_size(raw: Path) -> None:
    mask(raw / "masks/b.png", square(20))


def coloured(raw: Path) -> None:
    picture(raw / "masks/b.png")


def one_word(raw: Path) -> None:
    for folder in ("images", "masks"):
        (raw / folder / "x").mkdir()
        shutil.copy(raw / folder / "a.png", raw / folder / "x/a.png")
        shutil.copy(raw / folder / "a.png", raw / folder / "x_a.png")


def no_layout(raw: Path) -> None:
    (raw / "masks").rename(raw / "targets")


@pytest.mark.parametrize(
    ("fault", "named"),
    [
        (double, ["images/a.jpg", "images/a.png", "both could be"]),
        (lose_mask, ["images/b.png", "has no mask in"]),
        (lose_image, ["masks/b.png", "a mask without its image"]),
        (second_mask, ["masks/a.png", "masks/a_mask.png", "both could be"]),
        (second_folder, ["labels", "masks", "both could be the masks"]),
        (two_places, ["one", "two", "2 folders could be the data"]),
        (volume_beside, ["images/v.nii.gz", "images/a.png", "a volume and a picture"]),
        (other_value, ["masks/b.png", "the values 2", "1 (lesion)"]),
        (other_size, ["masks/b.png", "(20, 24)", "(12, 16)"]),
        (coloured, ["masks/b.png", "colours"]),
        (one_word, ["images/x/a.png", "images/x_a.png", "both could be case"]),
        (no_layout, ["no images with masks", "targets: 2 .png", "imagesTr"]),
    ],
)
def test_what_could_be_two_things_is_refused_by_name(fault, named, tmp_path):
    pairs(tmp_path, ["a", "b"])
    fault(tmp_path)
    with pytest.raises((ValueError, FileNotFoundError)) as caught:
        cases(tmp_path)
    for words in named:
        assert words in str(caught.value)


def second_channel(raw: Path) -> dict[str, Any]:
    shutil.copy(
        raw / "imagesTr/patient001_frame01_0000.nii.gz",
        raw / "imagesTr/patient001_frame01_0001.nii.gz",
    )
    return {}


def other_labels(raw: Path) -> dict[str, Any]:
    return {"classes": {"LV": 1, "MYO": 2, "RV": 3}}


def fewer_classes(raw: Path) -> dict[str, Any]:
    (raw / "dataset.json").unlink()
    for path in (raw / "imagesTr").iterdir():
        path.rename(path.with_name(path.name.replace("_0000", "")))
    return {"classes": {"RV": 1, "MYO": 2}}


def regions(raw: Path) -> dict[str, Any]:
    (raw / "dataset.json").write_text('{"labels": {"background": 0, "whole": [1, 2]}}')
    return {}


def wrong_group(raw: Path) -> dict[str, Any]:
    return {"group": "subject"}


def wrong_kind(raw: Path) -> dict[str, Any]:
    return {"kind": "grey"}


@pytest.mark.parametrize(
    ("fault", "named"),
    [
        (second_channel, ["_0000.nii.gz", "_0001.nii.gz", "two channels of one case"]),
        (other_labels, ["dataset.json", "1 (RV)", "1 (LV)"]),
        (fewer_classes, ["labelsTr/patient001_frame01.nii.gz", "the values 3"]),
        (regions, ["dataset.json", "whole"]),
        (wrong_group, ["patient001_frame01_0000.nii.gz", "'subject'", "fits nothing"]),
        (wrong_kind, ["patient001_frame01_0000.nii.gz", "kind is grey", "a volume"]),
    ],
)
def test_faults_of_an_nnunet_dataset_are_named(fault, named, tmp_path):
    hearts(tmp_path)
    options = {"classes": HEARTS, "kind": "MR", **fault(tmp_path)}
    with pytest.raises(ValueError, match=str(tmp_path)) as caught:
        cases(tmp_path, **options)
    for words in named:
        assert words in str(caught.value)


def test_a_label_between_two_classes_is_refused(tmp_path):
    image = np.zeros((6, 6, 3), np.float32)
    label = image.copy()
    label[2:4, 2:4] = 1.0004
    volume(tmp_path / "images/1.nii.gz", image)
    volume(tmp_path / "masks/1.nii.gz", label)
    assert cases(tmp_path, kind="MR")["1"].label.sum() == 12
    label[2, 2, 1] = 0.5
    volume(tmp_path / "masks/1.nii.gz", label)
    with pytest.raises(ValueError, match=r"masks/1.nii.gz: has the values 0.5; 1 \(lesion\)"):
        cases(tmp_path, kind="MR")


def test_pictures_with_neighbours_need_a_group(tmp_path):
    pairs(tmp_path, ["1", "2"])
    with pytest.raises(ValueError, match=r"datasets.mine.group"):
        cases(tmp_path, frames=3)


def prepared(raw: Path, out: Path, split: dict[str, Any]) -> Iterator[Any]:
    from salstm.data.store import Store

    datasets.prepare("mine", raw, out, split=split, size=16)
    return iter(Store(out).cases)


def test_a_split_is_drawn_by_group_or_read_from_the_folder(tmp_path):
    raw = tmp_path / "raw"
    pairs(raw, [f"{patient}_{number}" for patient in "abcdef" for number in (1, 2)])
    source = reader(raw, group="^.")
    drawn = list(prepared(raw, tmp_path / "drawn", {"name": "groups", "test": 0.3}))
    assert len({(case.group, case.split) for case in drawn}) == 6
    lists = {"train": ["a", "b", "c"], "val": ["d"], "test": ["e_1", "e_2"]}
    with pytest.raises(FileNotFoundError, match=r"splits.json"):
        source.official(raw)
    (raw / "splits.json").write_text(json.dumps(lists))
    given = list(prepared(raw, tmp_path / "given", {"name": "official"}))
    assert {case.id: case.split for case in given} == {
        **{f"{patient}_{number}": "train" for patient in "abc" for number in (1, 2)},
        **{"d_1": "val", "d_2": "val", "e_1": "test", "e_2": "test"},
    }
    assert raw / "splits.json" in source.files(raw)
    for wrong, word in (({"train": ["z"]}, "'z'"), ({"trian": ["a"]}, "'trian'")):
        (raw / "splits.json").write_text(json.dumps(wrong))
        with pytest.raises(ValueError, match=word):
            source.official(raw)
