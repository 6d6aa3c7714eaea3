"""Raw folders as people have them: the same cases from every layout that can be meant in one way."""

from __future__ import annotations

import gzip
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from salstm.data.case import RawCase
from salstm.data.readers import acdc, cvc_clinicdb, isic2018, layout, synapse

JUNK = b"\0\5\x16\7\0\2\0\0Mac OS X        "
INPUT, TRUTH = "ISIC2018_Task1-2_Training_Input", "ISIC2018_Task1_Training_GroundTruth"
READERS = {"acdc": acdc, "synapse": synapse, "isic2018": isic2018, "cvc_clinicdb": cvc_clinicdb}
Change = Callable[[Path], object]


@pytest.fixture(scope="module")
def phantoms(phantom: Path, abdomens: Path, lesions: Path, videos: Path) -> dict[str, Path]:
    return {"acdc": phantom, "synapse": abdomens, "isic2018": lesions, "cvc_clinicdb": videos}


@pytest.fixture(scope="module")
def expected(phantoms: dict[str, Path]) -> dict[str, list[RawCase]]:
    return {name: list(READERS[name].cases(raw)) for name, raw in phantoms.items()}


def move(source: str, target: str) -> Change:
    """Move a folder, also into one of its own name."""

    def change(raw: Path) -> None:
        moved = raw.with_name("moved")
        (raw / source).rename(moved)
        (raw / target).parent.mkdir(parents=True, exist_ok=True)
        shutil.move(moved, raw / target)

    return change


def all_of(*changes: Change) -> Change:
    return lambda raw: [change(raw) for change in changes]


def renamed(pattern: str, old: str, new: str) -> Change:
    """Replace a part of the names of files."""

    def change(raw: Path) -> None:
        for path in [one for one in sorted(raw.rglob(pattern)) if one.is_file()]:
            path.rename(path.with_name(path.name.replace(old, new)))

    return change


def hidden_beside_everything(raw: Path) -> None:
    for path in sorted(raw.rglob("*")):
        path.with_name(f"._{path.name}").write_bytes(JUNK)
    (raw / ".DS_Store").write_bytes(JUNK)
    (raw / "__MACOSX").mkdir()
    (raw / "__MACOSX" / "._x.jpg").write_bytes(JUNK)


def unpacked(raw: Path) -> None:
    for path in sorted(raw.rglob("*.nii.gz")):
        path.with_suffix("").write_bytes(gzip.decompress(path.read_bytes()))
        path.unlink()


def in_folders_of_their_own_name(raw: Path) -> None:
    """As Kaggle's copy of ACDC has them."""
    for path in sorted(raw.rglob("*.nii.gz")):
        content = path.read_bytes()
        path.unlink()
        folder = path.with_suffix("")
        folder.mkdir()
        (folder / folder.name).write_bytes(content)


def info(content: Callable[[str], bytes], name: str = "Info.cfg") -> Change:
    def change(raw: Path) -> None:
        for path in sorted(raw.rglob("Info.cfg")):
            text = path.read_text()
            path.unlink()
            path.with_name(name).write_bytes(content(text))

    return change


def beside(raw: Path) -> None:
    for name in ("ATTRIBUTION.txt", "Thumbs.db", "readme.md", "1_superpixels.png"):
        for folder in [raw, *(path for path in sorted(raw.rglob("*")) if path.is_dir())]:
            (folder / name).write_bytes(JUNK)


def as_nnunet(raw: Path) -> None:
    for kind, folder, end in (("img", "imagesTr", "_0000"), ("label", "labelsTr", "")):
        (raw / folder).mkdir()
        for path in (raw / "RawData" / "Training" / kind).iterdir():
            number = path.name.removeprefix(kind).partition(".")[0]
            path.rename(raw / folder / f"BTCV_{number}{end}.nii.gz")
    shutil.rmtree(raw / "RawData")


CVC = "CVC-ClinicDB"
SAME: dict[str, Change] = {
    "acdc: hidden files": hidden_beside_everything,
    "acdc: other files": beside,
    "acdc: training in training": move("training", "training/training"),
    "acdc: ACDC/training": move("training", "ACDC/training"),
    "acdc: deep": move("training", "Resources/ACDC/database/training"),
    "acdc: plain": unpacked,
    "acdc: folders of their own name": in_folders_of_their_own_name,
    "acdc: info.cfg": info(str.encode, "info.cfg"),
    "acdc: Info.cfg.txt": info(str.encode, "Info.cfg.txt"),
    "acdc: UTF-8 with a mark": info(lambda text: text.encode("utf-8-sig")),
    "acdc: UTF-16": info(lambda text: text.encode("utf-16")),
    "acdc: UTF-16 without a mark": info(lambda text: text.encode("utf-16-be")),
    "acdc: Latin-1": info(lambda text: f"{text}Note: dilatée\n".encode("latin-1")),
    "acdc: Windows": info(lambda text: text.replace("\n", "\r\n").encode()),
    "acdc: old Mac": info(lambda text: text.replace("\n", "\r").encode()),
    "acdc: 12.0": info(lambda text: text.replace("\n", ".0\n").encode()),
    "synapse: hidden files": hidden_beside_everything,
    "synapse: other files": beside,
    "synapse: imagesTr": all_of(
        move("RawData/Training/img", "imagesTr"), move("RawData/Training/label", "labelsTr")
    ),
    "synapse: nnU-Net": as_nnunet,
    "synapse: deep": move("RawData", "BTCV/Abdomen/RawData"),
    "synapse: images plain, labels packed": renamed("img*", ".nii.gz", ".nii"),
    "synapse: numbers without zeros": renamed("*.nii.gz", "000", ""),
    "isic2018: hidden files": hidden_beside_everything,
    "isic2018: other files": beside,
    "isic2018: JPG": renamed("*.jpg", ".jpg", ".JPG"),
    "isic2018: jpeg": renamed("*.jpg", ".jpg", ".jpeg"),
    "isic2018: PNG": renamed("*.png", ".png", ".PNG"),
    "isic2018: masks called like their images": renamed("*.png", "_segmentation", ""),
    "isic2018: folders in folders": all_of(
        move(INPUT, f"{INPUT}/{INPUT}"), move(TRUTH, f"{TRUTH}/{TRUTH}")
    ),
    "isic2018: images and masks": all_of(move(INPUT, "images"), move(TRUTH, "masks")),
    "isic2018: small letters": all_of(move(INPUT, INPUT.lower()), move(TRUTH, TRUTH.lower())),
    "isic2018: deep": all_of(move(INPUT, f"data/x/{INPUT}"), move(TRUTH, f"data/x/{TRUTH}")),
    "cvc_clinicdb: hidden files": hidden_beside_everything,
    "cvc_clinicdb: other files": beside,
    "cvc_clinicdb: TIF": renamed("*.tif", ".tif", ".TIF"),
    "cvc_clinicdb: tiff": renamed("*.tif", ".tif", ".tiff"),
    "cvc_clinicdb: images and masks": all_of(
        move(f"{CVC}/Original", f"{CVC}/images"), move(f"{CVC}/Ground Truth", f"{CVC}/masks")
    ),
    "cvc_clinicdb: GroundTruth": move(f"{CVC}/Ground Truth", f"{CVC}/GroundTruth"),
    "cvc_clinicdb: deep": move(CVC, f"archive/{CVC}/TIF"),
}


@pytest.mark.parametrize("name", SAME)
def test_another_layout_gives_the_same_cases(phantoms, expected, tmp_path, name):
    dataset = name.partition(":")[0]
    raw = Path(shutil.copytree(phantoms[dataset], tmp_path / "raw"))
    SAME[name](raw)
    reader = READERS[dataset]
    assert len(reader.files(raw)) == len(reader.files(phantoms[dataset]))
    assert reader.identities(raw) == reader.identities(phantoms[dataset])
    for new, old in zip(reader.cases(raw), expected[dataset], strict=True):
        assert (new.id, new.group, new.stack, new.first) == (
            old.id,
            old.group,
            old.stack,
            old.first,
        )
        np.testing.assert_array_equal(new.image, old.image)
        np.testing.assert_array_equal(new.label, old.label)


def copied(source: str, target: str) -> Change:
    def change(raw: Path) -> None:
        paths = (raw / source, raw / target)
        (shutil.copytree if paths[0].is_dir() else shutil.copy)(*paths)

    return change


def another_part(raw: Path) -> None:
    for folder in (INPUT, TRUTH):
        shutil.copytree(raw / folder, raw / folder.replace("Training", "Validation"))


IMG, GT = "RawData/Training/img", f"{CVC}/Ground Truth"
TWICE: dict[str, tuple[Change, str, str]] = {
    "acdc: a copy of a patient": (
        copied("training/patient001", "training/patient001 (1)"), "patient001", r"patient001 \(1\)"),
    "acdc: a patient with fewer zeros": (
        copied("training/patient001", "training/patient1"), "patient001", "patient1"),
    "acdc: packed and plain": (
        copied("training/patient001/patient001_frame01.nii.gz", "training/patient001/patient001_frame01.nii"),
        r"patient001_frame01\.nii\.gz", r"patient001_frame01\.nii"),
    "acdc: two Info.cfg": (
        copied("training/patient001/Info.cfg", "training/patient001/Info.cfg.txt"),
        r"Info\.cfg", r"Info\.cfg\.txt"),
    "synapse: packed and plain": (
        copied(f"{IMG}/img0003.nii.gz", f"{IMG}/img0003.nii"), r"img0003\.nii", r"img0003\.nii\.gz"),
    "synapse: fewer zeros": (
        copied(f"{IMG}/img0003.nii.gz", f"{IMG}/img3.nii.gz"), r"img0003\.nii\.gz", r"img3\.nii\.gz"),
    "synapse: two labels": (
        copied("RawData/Training/label/label0002.nii.gz", "RawData/Training/label/label0002.nii"),
        r"label0002\.nii", r"label0002\.nii\.gz"),
    "isic2018: two endings": (
        copied(f"{INPUT}/ISIC_0000000.jpg", f"{INPUT}/ISIC_0000000.png"), r"0000\.jpg", r"0000\.png"),
    "isic2018: two masks": (
        copied(f"{TRUTH}/ISIC_0000000_segmentation.png", f"{TRUTH}/ISIC_0000000.png"),
        r"ISIC_0000000\.png", r"ISIC_0000000_segmentation\.png"),
    "isic2018: two parts": (another_part, "Training_Input/ISIC_0000000", "Validation_Input/ISIC_0000000"),
    "cvc_clinicdb: PNG beside TIFF": (
        copied(f"{CVC}/Original/1.tif", f"{CVC}/Original/1.png"), r"Original/1\.png", r"Original/1\.tif"),
    "cvc_clinicdb: zeros": (
        copied(f"{CVC}/Original/1.tif", f"{CVC}/Original/001.tif"), r"001\.tif", r"1\.tif"),
    "cvc_clinicdb: two masks": (copied(f"{GT}/2.tif", f"{GT}/02.png"), r"02\.png", r"2\.tif"),
}  # fmt: skip


@pytest.mark.parametrize("name", TWICE)
def test_two_candidates_for_one_case_are_refused_with_both_names(phantoms, tmp_path, name):
    dataset = name.partition(":")[0]
    raw = Path(shutil.copytree(phantoms[dataset], tmp_path / "raw"))
    change, one, other = TWICE[name]
    change(raw)
    for function in (READERS[dataset].files, lambda folder: list(READERS[dataset].cases(folder))):
        with pytest.raises(ValueError, match=r"both could be .*; remove or rename") as caught:
            function(raw)
        first, second = str(caught.value).partition(": both")[0].split(" and ")
        assert {True} == {
            any(re.search(f"{part}(/|$|[.])", path) for path in (first, second))
            for part in (one, other)
        }


@pytest.mark.parametrize("dataset", READERS)
def test_two_folders_that_could_be_the_data_are_refused_with_both_names(
    phantoms, tmp_path, dataset
):
    for name in ("first", "second"):
        shutil.copytree(phantoms[dataset], tmp_path / "raw" / name / "data")
    with pytest.raises(ValueError, match=r"2 folders could be the data: .*first.*second.*keep one"):
        READERS[dataset].find(tmp_path / "raw")


@pytest.mark.parametrize("dataset", READERS)
def test_what_is_there_is_said_beside_what_is_expected(tmp_path, dataset):
    (tmp_path / "raw" / "mine").mkdir(parents=True)
    with pytest.raises(FileNotFoundError, match=r"expected\. "):
        READERS[dataset].find(tmp_path / "raw")
    for number in range(3):
        (tmp_path / "raw" / "mine" / f"scan{number}.dcm").write_bytes(b"")
    (tmp_path / "raw" / "mine" / "._scan0.dcm").write_bytes(JUNK)
    with pytest.raises(
        FileNotFoundError,
        match=r"no [\w -]+ \(it holds mine: 3 \.dcm, like scan0\.dcm\); .*expected",
    ):
        READERS[dataset].find(tmp_path / "raw")


@pytest.mark.parametrize(
    ("dataset", "pattern"),
    [
        ("acdc", "patient001_frame01_gt*"),
        ("synapse", "label0001*"),
        ("isic2018", "*0_segmentation*"),
        ("cvc_clinicdb", "Ground Truth/1.tif"),
    ],
)
def test_a_missing_partner_is_named_with_what_lies_in_its_folder(
    phantoms, tmp_path, dataset, pattern
):
    raw = Path(shutil.copytree(phantoms[dataset], tmp_path / "raw"))
    path = min(raw.rglob(pattern))
    path.unlink()
    with pytest.raises(
        FileNotFoundError, match=rf"{path.name}: missing.*it holds \d+ \."
    ) as caught:
        READERS[dataset].files(raw)
    assert str(path) in str(caught.value)


def test_a_hidden_folder_is_not_looked_into(tmp_path):
    (tmp_path / ".cache").mkdir()
    (tmp_path / "__MACOSX").mkdir()
    (tmp_path / "b").mkdir()
    assert [path.name for path in layout.visible(tmp_path)] == ["b"]
    assert layout.visible(tmp_path / "none") == []
