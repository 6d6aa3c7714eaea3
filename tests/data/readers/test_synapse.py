"""The Synapse reader: one orientation, Hounsfield units, organs by name, clear complaints."""

from __future__ import annotations

import gzip
import shutil
import tempfile
from pathlib import Path
from unittest import mock

import nibabel
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nibabel import orientations
from nibabel.nifti1 import Nifti1Image

from salstm.data import datasets
from salstm.data.augment import intensity
from salstm.data.readers import label_maps, orientation, synapse
from salstm.data.store import Store
from tests.data.readers.test_orientation import CODES, affine_of

TRAINING = Path("RawData") / "Training"


@pytest.fixture
def raw(abdomens: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(abdomens, tmp_path / "raw"))


def image_of(raw: Path, number: int = 1) -> Path:
    return raw / TRAINING / "img" / f"img{number:04d}.nii.gz"


def label_of(raw: Path, number: int = 1) -> Path:
    return raw / TRAINING / "label" / f"label{number:04d}.nii.gz"


def turned(path: Path, codes: str) -> None:
    """Store a file with other axes; the anatomy stays where it is."""
    image = Nifti1Image.from_filename(path)
    turn = orientations.ornt_transform(
        orientations.io_orientation(image.affine), orientations.axcodes2ornt(codes)
    )
    again = Nifti1Image(np.asanyarray(image.dataobj), image.affine).as_reoriented(
        turn.astype(int).tolist()
    )
    path.write_bytes(gzip.compress(again.to_bytes()))


def test_cases_are_volumes_by_number_in_lps(abdomens):
    cases = list(synapse.cases(abdomens))
    assert [case.id for case in cases] == [f"case000{number}" for number in range(1, 6)]
    assert synapse.identities(abdomens) == [(case.id, case.group) for case in cases]
    for case in cases:
        assert (case.stack, case.first) == (case.id, 0)
        assert case.image.shape == case.label.shape
        assert case.label.dtype == np.uint8
        assert case.spacing_mm is not None
        assert case.spacing_mm[0] in (12.0, 15.0)
        assert case.spacing_mm[1] == pytest.approx(300 / case.image.shape[1], rel=1e-5)
        assert case.spacing_mm[2] == pytest.approx(380 / case.image.shape[2], rel=1e-5)
        assert synapse.oddities(case.label) == []


def test_the_phantoms_are_stored_in_every_awkward_way(abdomens):
    """What the reader has to see through: axes, number types, an offset in the header."""
    images = [Nifti1Image.from_filename(image_of(abdomens, k)) for k in range(1, 6)]
    assert ["".join(orientations.aff2axcodes(one.affine)) for one in images] == [
        *("LPS", "RAS", "LAS", "PIR", "LPS")
    ]
    assert [str(one.get_data_dtype()) for one in images] == [
        *("int16", "float32", "uint16", "int16", "float32")
    ]
    label = Nifti1Image.from_filename(label_of(abdomens, 4))
    assert label.get_data_dtype() == np.float32
    assert "".join(orientations.aff2axcodes(label.affine)) == "LPS"


def test_every_way_of_storing_gives_hounsfield_units(abdomens):
    """Air, muscle and the liver have their values, offset in the header or not."""
    for case in synapse.cases(abdomens):
        assert case.image.min() == pytest.approx(-1000, abs=30)
        liver = case.image[case.label == synapse.CLASSES.index("liver") + 1]
        assert np.median(liver) == pytest.approx(110, abs=30)


@pytest.mark.parametrize("codes", ["RAS", "LPS", "PIR", "SRA", "IAL"])
def test_the_same_anatomy_stored_otherwise_gives_the_same_case(raw, codes):
    before = list(synapse.cases(raw))
    for number in range(1, 6):
        turned(image_of(raw, number), codes)
        if number % 2:  # a label may have axes of its own
            turned(label_of(raw, number), codes)
    for old, new in zip(before, synapse.cases(raw), strict=True):
        np.testing.assert_array_equal(new.image, old.image)
        np.testing.assert_array_equal(new.label, old.label)
        assert new.spacing_mm == pytest.approx(old.spacing_mm)


def volume(path: Path, array: np.ndarray, affine: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(nibabel.Nifti1Image(array, affine).to_bytes()))


@settings(max_examples=30, deadline=None)
@given(
    codes=st.sampled_from(CODES),
    shape=st.tuples(*[st.integers(2, 9)] * 3),
    spacing=st.tuples(*[st.floats(0.5, 8)] * 3),
    size=st.sampled_from([None, 16, 33]),
    seed=st.integers(0, 99),
)
def test_prepare_then_restore_is_the_identity_on_labels(codes, shape, spacing, size, seed):
    """From three files to a store and back to the files' own grid: the eight organs in their voxels.

    Whatever the size of the volume, its spacing, its axes and the size of the stored frames. The
    five organs that the benchmark leaves out come back as background. The labels are noise, so that
    whether their anatomy is that of another list is not asked.
    """
    generator = np.random.default_rng(seed)
    affine = affine_of(codes, spacing)
    labels = [generator.integers(0, 14, shape, dtype=np.uint8) for _ in range(3)]
    with tempfile.TemporaryDirectory() as folder:
        raw, store = Path(folder) / "raw", Path(folder) / "store"
        for number, label in enumerate(labels, start=1):
            volume(image_of(raw, number), generator.normal(0, 200, shape), affine)
            volume(label_of(raw, number), label, affine)
        with mock.patch.object(synapse.label_sanity, "other_list", return_value=""):
            datasets.prepare("synapse", raw, store, split={"name": "groups"}, size=size)
        opened = Store(store)
        for label, case in zip(labels, opened.cases, strict=True):
            native = orientation.restore(opened.native(case), affine)
            kept = label_maps.convert(native, label_maps.TRANSUNET, label_maps.BTCV)
            expected = np.where(np.isin(label, [5, 9, 10, 12, 13]), 0, label)
            np.testing.assert_array_equal(kept, expected)
            assert case.spacing_mm is not None
            assert sorted(case.spacing_mm) == pytest.approx(sorted(spacing), rel=1e-5)


def test_intensities_are_the_window_of_transunet_in_0_to_1():
    image = np.array([[[-3000, -125, 75, 275, 3000]]], dtype=np.int16)
    expected = [0, 0, 0.5, 1, 1]
    np.testing.assert_allclose(intensity.hu(image)[0, 0], expected, atol=1e-7)
    assert intensity.hu(image).dtype == np.float32
    assert image.min() == -3000


def test_prepare_keeps_the_native_size_of_each_volume(abdomens, tmp_path):
    split = {"name": "groups", "validation": 0.2, "test": 0.2}
    datasets.prepare("synapse", abdomens, tmp_path / "s", split=split, size=None)
    store = Store(tmp_path / "s")
    for raw, case in zip(synapse.cases(abdomens), store.cases, strict=True):
        np.testing.assert_array_equal(store.labels(case), raw.label)
        np.testing.assert_array_equal(store.frames(case), intensity.hu(raw.image))
        assert (case.native_height, case.native_width) == raw.label.shape[1:]
    assert len({(case.height, case.width) for case in store.cases}) > 2
    assert store.manifest["source"]["reader"] == "salstm.data.readers.synapse"


@pytest.mark.parametrize("place", ["RawData/Training", "Abdomen/RawData/Training", "Training", "."])
def test_the_data_are_found_where_the_archive_unpacks(abdomens, tmp_path, place):
    shutil.copytree(abdomens / TRAINING, tmp_path / "raw" / place)
    assert synapse.find(tmp_path / "raw") == tmp_path / "raw" / place
    assert len(synapse.files(tmp_path / "raw")) == 10


def test_a_missing_folder_says_what_to_get_and_where_to_put_it(tmp_path):
    with pytest.raises(FileNotFoundError) as caught:
        list(synapse.cases(tmp_path / "synapse"))
    for part in (synapse.URL, "RawData/Training/img/img0001.nii.gz", "train_npz", "same command"):
        assert part in str(caught.value)


def test_a_missing_label_is_named(raw):
    label_of(raw, 3).unlink()
    with pytest.raises(FileNotFoundError, match=r"label0003\.nii\.gz: missing.*unpack RawData"):
        synapse.files(raw)
    with pytest.raises(FileNotFoundError, match=r"label0003\.nii\.gz: missing"):
        list(synapse.cases(raw))


@pytest.mark.parametrize(
    ("value", "message"),
    [(14, "label 14; 0 to 13 are allowed"), (2.5, r"label 2\.5; 0 to 13 are allowed")],
)
def test_a_wrong_label_is_refused_by_name_value_and_cure(raw, rewrite, value, message):
    def spoil(array):
        array = array.astype(np.float32)
        array[2, 3, 4] = value
        return array

    rewrite(label_of(raw, 2), spoil)
    with pytest.raises(ValueError, match=rf"label0002\.nii\.gz: {message}.*fetch it again"):
        list(synapse.cases(raw))


def test_a_label_of_another_shape_is_refused(raw, rewrite):
    rewrite(label_of(raw), lambda array: array[:, :-1])
    with pytest.raises(ValueError, match=r"label0001\.nii\.gz: shape .* must lie on one grid"):
        list(synapse.cases(raw))


def test_a_label_whose_header_contradicts_its_image_is_refused(raw):
    """The voxels as the image's, the header as if they were mirrored: one of the two is wrong."""
    path = label_of(raw)
    label = Nifti1Image.from_filename(path)
    wrong = Nifti1Image(np.asanyarray(label.dataobj), np.diag([1.0, 1.0, 12.0, 1.0]))
    path.write_bytes(gzip.compress(wrong.to_bytes()))
    with pytest.raises(ValueError, match=r"label0001\.nii\.gz: axes RAS, its image .* has LPS"):
        list(synapse.cases(raw))


def test_a_singular_affine_is_refused_with_the_file(raw):
    path = image_of(raw)
    image = Nifti1Image.from_filename(path)
    broken = Nifti1Image(np.asanyarray(image.dataobj), None)
    broken.header["sform_code"] = 1
    broken.header["srow_x"] = broken.header["srow_y"] = (1, 0, 0, 0)
    broken.header["srow_z"] = (0, 0, 2, 0)
    volume_bytes = (
        broken.header.binaryblock
        + bytes(4)
        + np.asfortranarray(np.asanyarray(image.dataobj)).tobytes(order="F")
    )
    path.write_bytes(gzip.compress(volume_bytes))
    with pytest.raises(ValueError, match=r"img0001\.nii\.gz: affine .* points nowhere"):
        list(synapse.cases(raw))


def test_check_lists_what_differs_from_the_official_set(raw, rewrite):
    problems = synapse.check(raw)
    assert problems[0].startswith("25 of 30 volumes missing: case0006, ")
    assert problems[1].startswith("case0005: 1")
    assert problems[1].endswith(" slices, officially 117")
    assert len(problems) == 2

    rewrite(label_of(raw, 2), lambda array: np.choose(np.isin(array, (2, 3)), (array, 5 - array)))
    rewrite(image_of(raw, 3), lambda array: array + 1024)
    label_of(raw, 4).write_bytes(b"")
    for kind, path in (("img", image_of(raw)), ("label", label_of(raw))):
        shutil.copy(path, path.parent / f"{kind}0099.nii.gz")
    found = "\n".join(synapse.check(raw))
    assert "1 unknown volumes: case0099" in found
    assert "case0002: the left kidney lies on the liver's side" in found
    assert "case0002: the right kidney lies nearer to the left than the left kidney" in found
    assert "case0003: the liver's median is 11" in found
    assert "the image is not in Hounsfield units" in found
    assert "label0004.nii.gz: cannot be read" in found


def test_the_official_numbers_and_depths():
    assert len(synapse.OFFICIAL) == 30
    assert len(synapse.DEPTHS) == 18
    assert sum(synapse.DEPTHS.values()) == 2211
    assert set(synapse.DEPTHS) < set(synapse.OFFICIAL)
