"""Other people's preprocessed files: TransUNet's Synapse package and MT-UNet's ACDC package."""

from __future__ import annotations

import importlib
import shutil
from pathlib import Path

import h5py
import numpy as np
import pytest

from salstm.data import datasets
from salstm.data.augment.intensity import NORMALISATIONS
from salstm.data.case import RawCase
from salstm.data.readers import acdc, acdc_package, synapse, synapse_package
from salstm.data.store import Store

THIRDS = {"name": "groups", "validation": 0.25, "test": 0.25}


def slices(case: RawCase, pattern: str, image_key: str, labels: type = np.float32) -> None:
    """Write a volume as one npz a slice; ``{}`` in the pattern is the slice's number."""
    for number, (image, label) in enumerate(zip(case.image, case.label, strict=True)):
        path = Path(pattern.format(number))
        path.parent.mkdir(parents=True, exist_ok=True)
        arrays = {image_key: image.astype(np.float32), "label": label.astype(labels)}
        np.savez(path, **arrays)  # pyright: ignore[reportArgumentType]


@pytest.fixture
def transunet(abdomens: Path, tmp_path: Path) -> Path:
    """Three phantom volumes as slices, two as h5."""
    raw = tmp_path / "raw"
    (raw / "test_vol_h5").mkdir(parents=True)
    for index, case in enumerate(synapse.cases(abdomens)):
        if index < 3:
            slices(case, f"{raw}/train_npz/{case.id}_slice{{:03d}}.npz", "image")
        else:
            with h5py.File(raw / "test_vol_h5" / f"{case.id}.npy.h5", "w") as file:
                file["image"], file["label"] = case.image, case.label.astype(np.float32)
    return raw


@pytest.fixture
def mtunet(phantom: Path, tmp_path: Path) -> Path:
    """Phantom patients 1, 2 and 3 as slices of train and valid, 4 as volumes of test."""
    raw = tmp_path / "raw"
    for case in acdc.cases(phantom):
        number, phase = case.group[-3:], case.id[-2:]
        if number == "004":
            path = raw / "test" / f"case_{number}_volume_{phase}.npz"
            path.parent.mkdir(parents=True, exist_ok=True)
            np.savez(path, img=case.image, label=case.label)
        else:
            part = "valid" if number == "003" else "train"
            slices(case, f"{raw}/{part}/case_{number}_slice{phase}_{{}}.npz", "img")
    (raw / "lists_ACDC").mkdir()
    (raw / "lists_ACDC" / "train.txt").write_text("case_001_sliceED_0.npz\n")
    return raw


def test_transunets_package_gives_the_same_labels_as_the_official_files(transunet, abdomens):
    assert datasets.reader("synapse", transunet) is synapse_package
    cases = list(synapse_package.cases(transunet))
    assert synapse_package.identities(transunet) == [(case.id, case.group) for case in cases]
    for case, official in zip(cases, synapse.cases(abdomens), strict=True):
        assert (case.id, case.stack, case.first) == (official.id, official.id, 0)
        np.testing.assert_array_equal(case.label, official.label)
        np.testing.assert_allclose(case.image, official.image)
        assert case.label.dtype == np.uint8
        assert case.spacing_mm is None
        assert synapse_package.oddities(case.label) == []
    assert len(synapse_package.files(transunet)) == sum(len(case.image) for case in cases[:3]) + 2


def test_transunets_package_is_not_normalised_again(transunet, tmp_path):
    datasets.prepare("synapse", transunet, tmp_path / "s", split=THIRDS, size=None)
    store = Store(tmp_path / "s")
    assert store.manifest["parameters"]["normalise"] == "none"
    assert store.manifest["source"]["reader"] == "salstm.data.readers.synapse_package"
    for case, raw in zip(store.cases, synapse_package.cases(transunet), strict=True):
        np.testing.assert_array_equal(store.frames(case), raw.image)


def test_the_official_files_go_before_a_package(transunet, abdomens):
    (transunet / "RawData").symlink_to(abdomens / "RawData")
    assert datasets.reader("synapse", transunet) is synapse


def test_without_any_files_the_official_reader_says_what_to_get(tmp_path):
    assert datasets.reader("synapse", tmp_path) is synapse
    for package in (synapse_package, acdc_package):
        with pytest.raises(FileNotFoundError, match="are expected; its authors share it"):
            package.find(tmp_path)


def test_a_missing_slice_is_named(transunet):
    (transunet / "train_npz" / "case0002_slice004.npz").unlink()
    with pytest.raises(ValueError, match=r"case0002_slice005\.npz: follows a gap; slice 4"):
        synapse_package.files(transunet)


def test_a_damaged_slice_is_named(transunet):
    path = transunet / "train_npz" / "case0002_slice004.npz"
    path.write_bytes(path.read_bytes()[:300])
    with pytest.raises(ValueError, match=r"case0002_slice004\.npz: cannot be read.*unpack"):
        list(synapse_package.cases(transunet))
    np.savez(path, image=np.zeros((3, 3)), label=np.zeros((3, 4)))
    with pytest.raises(ValueError, match=r"slice004\.npz: image \(3, 3\), label \(3, 4\)"):
        list(synapse_package.cases(transunet))
    np.savez(path, image=np.zeros((3, 3)), label=np.zeros((3, 3)))
    with pytest.raises(ValueError, match=r"slice004\.npz: slice \(3, 3\), case0002_slice000"):
        list(synapse_package.cases(transunet))
    np.savez(path, picture=np.zeros((3, 3)))
    with pytest.raises(ValueError, match=r"slice004\.npz: .* arrays image and label is expected"):
        list(synapse_package.cases(transunet))


def test_a_damaged_h5_is_named(transunet):
    path = transunet / "test_vol_h5" / "case0005.npy.h5"
    path.write_bytes(path.read_bytes()[:300])
    with pytest.raises(ValueError, match=r"case0005\.npy\.h5: cannot be read"):
        list(synapse_package.cases(transunet))


def test_merits_labels_in_a_package_are_refused(transunet):
    """MERIT keeps the 13 official numbers in its files; above 8 they are no number of TransUNet's."""
    path = transunet / "test_vol_h5" / "case0004.npy.h5"
    with h5py.File(path, "r+") as file:
        file["label"][2, 2, 2] = 11  # pyright: ignore[reportIndexIssue]
    with pytest.raises(ValueError, match=r"case0004\.npy\.h5: label 11; 0 to 8 are allowed"):
        list(synapse_package.cases(transunet))


def test_check_of_transunets_package(transunet):
    problems = synapse_package.check(transunet)
    assert problems == [
        "25 of 30 volumes missing: "
        + ", ".join(name for name in synapse.OFFICIAL if name > "case0005")
    ]
    for path in (transunet / "train_npz").glob("case0001*"):
        path.rename(path.with_name(path.name.replace("case0001", "case0006")))
    assert any("case0006: 1" in line for line in synapse_package.check(transunet))


def test_mtunets_package_gives_the_same_cases_as_the_official_files(mtunet, phantom):
    assert datasets.reader("acdc", mtunet) is acdc_package
    cases = list(acdc_package.cases(mtunet))
    assert acdc_package.identities(mtunet) == acdc.identities(phantom)
    for case, official in zip(cases, acdc.cases(phantom), strict=True):
        assert (case.id, case.group, case.stack) == (official.id, official.group, official.id)
        np.testing.assert_array_equal(case.label, official.label)
        np.testing.assert_allclose(case.image, official.image)
        assert case.spacing_mm is None


def test_mtunets_slices_are_sorted_by_number(mtunet):
    """``sliceED_10`` comes after ``sliceED_9``."""
    folder = mtunet / "train"
    first = folder / "case_001_sliceED_0.npz"
    depth = len(list(folder.glob("case_001_sliceED_*.npz")))
    for number in range(depth, 12):
        (folder / f"case_001_sliceED_{number}.npz").write_bytes(first.read_bytes())
    numbers = [
        int(path.stem.rsplit("_", 1)[1])
        for path in acdc_package._volumes(mtunet)["patient001", "ED"]
    ]
    assert numbers == list(range(12))


def test_mtunets_package_is_prepared_by_the_same_splits(mtunet, tmp_path):
    datasets.prepare("acdc", mtunet, tmp_path / "s", split=THIRDS, size=32)
    store = Store(tmp_path / "s")
    assert len(store.cases) == 8
    assert store.manifest["parameters"]["normalise"] == "none"


def test_stray_slices_of_test_patients_are_passed_over(mtunet):
    """One public copy of the package has seven of them."""
    stray = mtunet / "train" / "slice017_7.npz"
    stray.write_bytes((mtunet / "train" / "case_001_sliceED_0.npz").read_bytes())
    assert stray not in acdc_package.files(mtunet)


def test_a_slice_that_is_there_twice_is_refused(mtunet):
    copy = mtunet / "valid" / "case_001_sliceED_0.npz"
    copy.write_bytes((mtunet / "train" / copy.name).read_bytes())
    with pytest.raises(ValueError, match=r"case_001_sliceED_0\.npz: twice"):
        acdc_package.files(mtunet)


def test_a_volume_that_is_there_twice_is_refused_with_both_names(mtunet, transunet):
    volume = min((mtunet / "test").glob("case_*_volume_ED.npz"))
    (mtunet / "more").mkdir()
    shutil.copy(volume, mtunet / "more" / volume.name)
    with pytest.raises(
        ValueError, match=rf"more/{volume.name} and .*test/{volume.name}: both could"
    ):
        acdc_package.files(mtunet)
    whole = min((transunet / "test_vol_h5").glob("*.h5"))
    sliced = min((transunet / "train_npz").glob("*.npz"))
    name = sliced.name.partition("_")[0]
    shutil.copy(whole, whole.with_name(f"{name}.npy.h5"))
    with pytest.raises(
        ValueError, match=rf"{name}_slice000\.npz and .*{name}\.npy\.h5: both could"
    ):
        synapse_package.files(transunet)


def test_check_of_mtunets_package(mtunet):
    [problem] = acdc_package.check(mtunet)
    assert problem.startswith("192 of 200 volumes missing: patient005_ED, patient005_ES, ")


@pytest.mark.parametrize("name", datasets.DATASETS)
def test_every_reader_has_the_registrys_classes_and_a_known_normalisation(name):
    for module in datasets.modules(name):
        reader = importlib.import_module(module)
        assert datasets.DATASETS[name].classes == reader.CLASSES
        assert reader.NORMALISE in NORMALISATIONS
        for function in ("find", "files", "identities", "cases", "check"):
            assert callable(getattr(reader, function)), (module, function)
