"""Guards on meaning: what cannot be right is refused and named, what may be wrong is said, and nothing else is."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from nibabel.nifti1 import Nifti1Image

from salstm.cli import main
from salstm.data import audit, datasets, guards, phantoms, splits
from salstm.data.readers import label_maps, synapse
from salstm.data.store import Store
from tests.data.conftest import Rewrite, volume
from tests.data.test_audit import pictures, scene, store

GROUPS = {"name": "groups", "validation": 0.2, "test": 0.2, "seed": 0}
LABELS = "RawData/Training/label"
IMAGES = "RawData/Training/img"


def audited(dataset: str, raw: Path, folder: Path) -> pd.DataFrame:
    datasets.prepare(dataset, raw, folder, split=GROUPS, size=None)
    return audit.audit(Store(folder), datasets.DATASETS[dataset].classes)


def found(table: pd.DataFrame, kind: str) -> dict[str, str]:
    rows = table[table["fact"].str.startswith(kind)]
    return {
        fact.partition(": ")[2]: value
        for fact, value in zip(rows["fact"], rows["value"], strict=True)
    }


def check(dataset: str, folder: Path, capfd: pytest.CaptureFixture[str]) -> tuple[int, str]:
    code = main(
        [
            "check",
            "--dataset",
            dataset,
            "--cases",
            str(folder),
            "--out",
            str(folder.with_suffix(".csv")),
        ]
    )
    return code, capfd.readouterr().err


@pytest.mark.parametrize("dataset", ["synapse", "acdc", "isic2018", "cvc_clinicdb"])
def test_phantoms_as_they_are_give_no_alarm(dataset, tmp_path, capfd):
    make = {"synapse": {"volumes": 6}, "acdc": {"patients": 6}, "isic2018": {"images": 12}}
    phantoms.PHANTOMS[dataset](tmp_path / "raw", **make.get(dataset, {}), seed=0)
    table = audited(dataset, tmp_path / "raw", tmp_path / "s")
    assert found(table, guards.SURE) == found(table, guards.UNSURE) == {}
    code, said = check(dataset, tmp_path / "s", capfd)
    assert (code, "WARNING" in said) == (0, False)
    assert "findings" not in Store(tmp_path / "s").manifest["source"]


# Hounsfield units. The oracle is what a CT is: air -1000, fat -100, water 0, liver some 50 to 120.


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda hu: (np.clip(hu, -1000, 1000) + 1000) / 2000, "scaled or cut already"),
        (lambda hu: (np.clip(hu, -125, 275) + 125) / 400 * 255, "none negative"),
        (lambda hu: hu + 1024, "none negative"),
        (lambda hu: hu + 900, "median of liver, spleen and kidneys"),
        (lambda hu: hu - 1024, "median of liver, spleen and kidneys"),
        (lambda hu: hu.astype(np.int16).view(np.uint16).astype(np.float64), "read as another type"),
        (lambda hu: np.clip(hu, 0, 80), "scaled or cut already"),
    ],
    ids=["0 to 1", "0 to 255", "plus 1024", "plus 900", "minus 1024", "wrapped", "window of 80"],
)
def test_a_ct_that_is_not_in_hounsfield_units_is_refused_by_name(
    abdomens, tmp_path, capfd, change, words
):
    raw = Path(shutil.copytree(abdomens, tmp_path / "raw"))
    path = raw / IMAGES / "img0002.nii.gz"
    image = Nifti1Image.from_filename(path)
    Nifti1Image(change(image.get_fdata()).astype(np.float32), image.affine).to_filename(path)
    table = audited("synapse", raw, tmp_path / "s")
    [(case, text)] = found(table, guards.SURE).items()
    assert case == "case0002"
    assert words in text
    code, said = check("synapse", tmp_path / "s", capfd)
    assert code == 1
    assert f"case0002: {text}" in said
    store = Store(tmp_path / "s")
    with pytest.raises(ValueError, match="case0002: cannot be right"):
        splits.check_trainable(store.manifest["source"], store.cases)


@pytest.mark.parametrize(
    "change",
    [
        lambda hu: np.clip(hu, -125, 275),  # TransUNet's own window
        lambda hu: np.where(hu < -1000, -3024, hu),  # padding outside the scanner's circle
        lambda hu: np.where(hu > 600, 30_000, hu),  # metal, a few voxels, on a scanner of 16 bits
        lambda hu: hu - 60,  # a fatty liver without contrast
    ],
    ids=["window", "padding", "metal", "fat"],
)
def test_a_ct_of_another_patient_or_scanner_is_not(abdomens, change):
    case = next(iter(synapse.cases(abdomens)))
    changed = replace(case, image=change(case.image.astype(np.float64)))
    assert guards.of_case(changed, synapse.CLASSES, "hu") == []


def test_images_that_are_no_ct_are_not_looked_at_as_one():
    assert (
        guards.of_case(replace(volume("a"), label=np.ones((4, 7, 5), np.uint8)), ("x",), "minmax99")
        == []
    )


# Organs.


def renumbered(raw: Path, rewrite: Rewrite, names: dict[int, str], only: str = "*") -> None:
    """Store the labels in another list; organs that it does not have become background."""
    official = label_maps.numbers(label_maps.BTCV)
    table = np.zeros(256, dtype=np.uint8)
    for number, name in names.items():
        table[official.get(name, 0)] = number
    table[0] = 0
    for path in (raw / LABELS).glob(f"label{only}.nii.gz"):
        rewrite(path, lambda array: table[array.astype(np.uint8)])


@pytest.fixture
def bodies(tmp_path: Path) -> Path:
    """Three phantom abdomens, large enough to say where each organ lies."""
    return phantoms.synapse(tmp_path / "bodies", volumes=3, seed=0)


@pytest.mark.parametrize("name", ["TransUNet", "FLARE", "TotalSegmentator"])
def test_labels_in_another_list_are_refused_with_its_name(bodies, tmp_path, rewrite, name):
    renumbered(bodies, rewrite, label_maps.OTHERS[name], only="0002")
    with pytest.raises(
        ValueError, match=rf"label0002\.nii\.gz: its numbers are those of .*{name}.*label_maps"
    ):
        datasets.prepare("synapse", bodies, tmp_path / "s", split=GROUPS, size=None)
    assert not (tmp_path / "s").exists()


@pytest.mark.parametrize("name", ["MERIT", "AMOS"])
def test_a_list_that_differs_in_one_organ_is_refused_as_that_organ_is_nowhere(
    bodies, tmp_path, rewrite, capfd, name
):
    """MERIT's pancreas is the official oesophagus; AMOS's the official veins."""
    kept = {
        number: organ for number, organ in label_maps.OTHERS[name].items() if "adrenal" not in organ
    }
    renumbered(bodies, rewrite, kept)
    table = audited("synapse", bodies, tmp_path / "s")
    [(subject, text)] = found(table, guards.SURE).items()
    assert subject == "pancreas, all parts"
    assert "no voxel in any of 3 cases, of which 3 have every other class" in text
    code, said = check("synapse", tmp_path / "s", capfd)
    assert code == 1
    assert "pancreas, all parts" in said


def test_swapped_kidneys_are_refused_case_by_case(bodies, tmp_path, rewrite):
    swapped = {**label_maps.BTCV, 2: "left kidney", 3: "right kidney"}
    renumbered(bodies, rewrite, swapped, only="0003")
    table = audited("synapse", bodies, tmp_path / "s")
    [(case, text)] = found(table, guards.SURE).items()
    assert case == "case0003"
    assert "the left kidney lies on the liver's side and the right one on the spleen's" in text


def test_one_mirrored_patient_may_be_right_and_most_cannot(bodies, tmp_path, rewrite):
    """Situs inversus is one in ten thousand; a wrong header is the same in all files."""
    rewrite(bodies / IMAGES / "img0001.nii.gz", lambda array: array[::-1])
    rewrite(bodies / LABELS / "label0001.nii.gz", lambda array: array[::-1])
    table = audited("synapse", bodies, tmp_path / "s")
    assert found(table, guards.SURE) == {}
    assert "oddities of case0001" in set(table["fact"])
    for kind in (f"{IMAGES}/img", f"{LABELS}/label"):
        rewrite(bodies / f"{kind}0002.nii.gz", lambda array: array[::-1])
    table = audited("synapse", bodies, tmp_path / "s2")
    assert "2 of 3 are odd" in found(table, guards.SURE)["most cases"]


@pytest.mark.parametrize("flip", [(1, 1, -1), (1, -1, 1), (-1, 1, 1), (-1, -1, 1), (-1, -1, -1)])
def test_turned_volumes_fit_no_other_list(abdomens, flip):
    """Else a wrong header would be taken for wrong numbers."""
    for case in synapse.cases(abdomens):
        turned = case.label[tuple(slice(None, None, step) for step in flip)]
        official = {
            number: name for name, number in label_maps.numbers(label_maps.TRANSUNET).items()
        }
        assert guards.label_sanity.other_list(turned, official, {"BTCV": label_maps.BTCV}) == ""
        assert guards.label_sanity.impossible(turned, label_maps.numbers(official)) == []


# Chambers of the heart.

NUMBERS = {"RV": 1, "MYO": 2, "LV": 3}


@pytest.mark.parametrize(
    ("read_as", "words"),
    [
        ((3, 2, 1), "MYO makes up 100% of the border of RV"),  # M&Ms: LV 1, MYO 2, RV 3
        ((1, 3, 2), "LV makes up 100% of the border of MYO"),
        ((2, 1, 3), "RV makes up 100% of the border of LV"),
        ((3, 1, 2), "RV makes up 100% of the border of MYO"),
        ((2, 3, 1), "LV makes up 100% of the border of RV"),
    ],
)
def test_hearts_in_another_list_are_refused(phantom, tmp_path, rewrite, read_as, words):
    raw = Path(shutil.copytree(phantom, tmp_path / "raw"))
    table = np.array([0, *read_as], dtype=np.uint8)
    for path in (raw / "training/patient003").glob("*_gt.nii.gz"):
        rewrite(path, lambda array: table[array.astype(np.uint8)])
    facts = found(audited("acdc", raw, tmp_path / "s"), guards.SURE)
    assert sorted(facts) == ["patient003_ED", "patient003_ES"]
    assert all(words in text for text in facts.values())


def test_the_shares_of_a_heart_drawn_by_hand():
    """A ring two wide around a square of 4 x 4, and a square that touches the ring on one side of four."""
    label = np.zeros((1, 24, 32), dtype=np.uint8)
    label[0, 4:16, 4:16] = 2
    label[0, 6:14, 6:14] = 3
    label[0, 6:14, 16:24] = 1
    touching = guards._touching(label, 3)
    assert touching[3, 2] == 1.0  # 32 of 32 edges
    assert touching[1, 2] == 0.25  # 8 of 32
    assert touching[2, 3] == 32 / (32 + 48)
    assert guards.chambers(label, NUMBERS) == ""
    assert "RV" in guards.chambers(np.array([0, 3, 2, 1], dtype=np.uint8)[label], NUMBERS)


def test_a_heart_without_a_left_ventricle_is_not_judged():
    """The slices above the valves, or below the apex, in a cut volume."""
    label = np.zeros((1, 24, 32), dtype=np.uint8)
    label[0, 4:16, 4:16] = 1
    assert guards.chambers(label, NUMBERS) == ""


# Masks.


@pytest.mark.parametrize("dataset", ["isic2018", "cvc_clinicdb"])
def test_a_mask_without_foreground_is_refused_by_name(lesions, videos, tmp_path, capfd, dataset):
    import tifffile
    from PIL import Image

    raw = Path(
        shutil.copytree({"isic2018": lesions, "cvc_clinicdb": videos}[dataset], tmp_path / "raw")
    )
    path = sorted(
        raw.rglob("*_segmentation.png")
        if dataset == "isic2018"
        else raw.glob("*/Ground Truth/*.tif")
    )[1]
    if dataset == "isic2018":
        shape = np.asarray(Image.open(path)).shape
        Image.fromarray(np.zeros(shape, dtype=np.uint8)).save(path)
    else:
        tifffile.imwrite(path, np.zeros_like(tifffile.imread(path)))
    split = {"name": "groups", "validation": 0.25, "test": 0.25}
    datasets.prepare(dataset, raw, tmp_path / "s", split=split, size=None)
    code, said = check(dataset, tmp_path / "s", capfd)
    assert code == 1
    assert f"{path.stem.removesuffix('_segmentation')}: no foreground" in said.replace("frame", "")


def test_a_class_without_a_voxel_in_a_part_is_said():
    voxels = {"train": {0: 9, 1: 5}, "test": {0: 9, 1: 1, 2: 3}}
    [one] = guards.of_parts(voxels, [{0, 1}, {0, 1, 2}], ("RV", "MYO"))
    assert one.fact == "may be wrong: MYO, train"
    assert "nothing can be learned" in one.text


def test_a_class_that_is_nowhere_is_sure_only_if_the_others_are_there():
    """Two thin scans that show no kidneys are no other list of organs."""
    classes = ("liver", "kidney", "pancreas")
    thin = guards.of_parts({"train": {0: 9, 1: 5}}, [{0, 1}], classes)
    assert {one.fact for one in thin} == {
        "may be wrong: kidney, all parts",
        "may be wrong: pancreas, all parts",
    }
    full = guards.of_parts({"train": {0: 9, 1: 5, 2: 4}}, [{0, 1, 2}, {0, 1}], classes)
    assert [one.fact for one in full] == ["cannot be right: pancreas, all parts"]


# Images that repeat.


def test_a_patient_who_is_there_twice_is_named_with_both_ids(phantom, tmp_path):
    raw = Path(shutil.copytree(phantom, tmp_path / "raw"))
    shutil.rmtree(raw / "training/patient004")
    shutil.copytree(raw / "training/patient001", raw / "training/patient004")
    for path in (raw / "training/patient004").glob("patient001*"):
        path.rename(path.with_name(path.name.replace("patient001", "patient004")))
    label = sorted((raw / "training/patient004").glob("*_gt.nii.gz"))[0]
    image = Nifti1Image.from_filename(label)
    truth = np.asarray(image.dataobj).astype(np.uint8)
    drawn = truth.copy()
    drawn[tuple(np.argwhere(truth == 3)[0])] = 2
    Nifti1Image(drawn, image.affine).to_filename(label)
    facts = found(audited("acdc", raw, tmp_path / "s"), guards.UNSURE)
    assert sorted(facts) == [
        "images of patient001_ED and patient004_ED",
        "images of patient001_ES and patient004_ES",
    ]
    size = int((truth == 3).sum())
    assert (
        f"LV {2 * (size - 1) / (2 * size - 1):.3f}"
        in facts["images of patient001_ED and patient004_ED"]
    )
    assert "with the same labels" in facts["images of patient001_ES and patient004_ES"]


def test_a_picture_that_looks_like_one_of_another_part_is_named(tmp_path):
    """Brighter, noisier, moved by a pixel; the neighbour in its own video is not named."""
    first = scene(1)
    noise = np.random.default_rng(0).normal(0, 3, first.shape)
    second = np.clip(scene(1, shift=1) * 0.9 + 12 + noise, 0, 255).astype(np.uint8)
    cases = [
        *pictures("a", [first]),
        *pictures("b", [second]),
        *pictures("c", [scene(2), scene(2, shift=1)]),
    ]
    parts = {"a": "train", "b": "test", "c_0": "train", "c_1": "test"}
    facts = found(audit.audit(store(tmp_path / "s", cases, parts), ("polyp",)), guards.UNSURE)
    assert [*facts] == ["images of a_0 and b_0"]
    assert "hash bits (train, test)" in facts["images of a_0 and b_0"]


def test_the_store_says_what_was_found_and_nothing_else_changes(phantom, tmp_path, rewrite):
    raw = Path(shutil.copytree(phantom, tmp_path / "raw"))
    for path in (raw / "training/patient003").glob("*_gt.nii.gz"):
        rewrite(path, lambda array: np.zeros_like(array))
    datasets.prepare("acdc", raw, tmp_path / "s", split=GROUPS, size=None, threads=3)
    source = json.loads((tmp_path / "s/manifest.json").read_text())["source"]
    assert sorted(source["findings"]) == ["patient003_ED", "patient003_ES"]
    assert [one.subject for one in guards.recorded(source)] == ["patient003_ED", "patient003_ES"]
