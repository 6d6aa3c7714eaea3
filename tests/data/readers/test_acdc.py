"""The ACDC reader: layout, Info.cfg traps, orientation, and messages for whatever is broken."""

from __future__ import annotations

import csv
import gzip
import shutil
import struct

import numpy as np
import pytest
from nibabel.nifti1 import Nifti1Header, Nifti1Image

from salstm.data.readers import acdc


def test_cases_are_ed_and_es_of_each_patient(phantom):
    cases = list(acdc.cases(phantom))
    expected = [f"patient00{number}_{phase}" for number in range(1, 5) for phase in ("ED", "ES")]
    assert [case.id for case in cases] == expected
    assert [case.stack for case in cases] == expected
    assert {case.group for case in cases} == {f"patient00{number}" for number in range(1, 5)}
    assert all(case.first == 0 for case in cases)
    assert acdc.identities(phantom) == [(case.id, case.group) for case in cases]


def test_arrays_are_slices_rows_columns_with_spacing_in_the_same_order(raw, rewrite):
    path = raw / "training" / "patient001" / "patient001_frame01.nii.gz"
    image = Nifti1Image.from_filename(path)
    x, y, z = image.shape
    stored = np.arange(x * y * z, dtype=np.int16).reshape(x, y, z)
    volume = Nifti1Image(stored, image.affine)
    volume.header.set_zooms((1.25, 1.5, 10.0))
    volume.to_filename(path)
    case = next(acdc.cases(raw))
    assert case.image.shape == case.label.shape == (z, y, x)
    assert case.spacing_mm == (10.0, 1.5, 1.25)
    assert case.image[2, 5, 3] == stored[3, 5, 2]


def test_float_and_integer_files_give_the_same_voxels(raw, rewrite):
    patient = raw / "training" / "patient001"
    rewrite(patient / "patient001_frame01.nii.gz", lambda array: np.rint(array).astype(np.int16))
    before = next(acdc.cases(raw))
    rewrite(patient / "patient001_frame01.nii.gz", lambda array: array.astype(np.float64))
    rewrite(patient / "patient001_frame01_gt.nii.gz", lambda array: array.astype(np.float32))
    after = next(acdc.cases(raw))
    np.testing.assert_array_equal(after.image, before.image)
    np.testing.assert_array_equal(after.label, before.label)
    assert after.label.dtype == np.uint8


def test_a_scale_factor_in_the_header_is_applied(raw):
    path = raw / "training" / "patient001" / "patient001_frame01.nii.gz"
    image = Nifti1Image.from_filename(path)
    values = np.random.default_rng(0).uniform(0, 3, image.shape)
    volume = Nifti1Image(values, image.affine)
    volume.set_data_dtype(np.int16)  # nibabel then stores integers with a slope
    volume.to_filename(path)
    [slope] = struct.unpack("<f", gzip.decompress(path.read_bytes())[112:116])
    assert 0 < slope < 0.01
    np.testing.assert_allclose(next(acdc.cases(raw)).image, values.transpose(2, 1, 0), atol=1e-4)


def test_ed_that_is_not_frame_1_is_read_from_info(raw):
    """patient090 has ED 4; the phantom's second patient too."""
    assert acdc.read_info(raw / "training" / "patient002" / "Info.cfg")["ED"] == 4
    shutil.copy(
        raw / "training" / "patient001" / "patient001_frame01.nii.gz",
        raw / "training" / "patient002" / "patient002_frame01.nii.gz",
    )
    ed = {case.id: case for case in acdc.cases(raw)}["patient002_ED"]
    path = raw / "training" / "patient002" / "patient002_frame04.nii.gz"
    expected = np.asanyarray(Nifti1Image.from_filename(path).dataobj).transpose(2, 1, 0)
    np.testing.assert_array_equal(ed.image, expected)


@pytest.mark.parametrize(
    "text",
    [
        "ED: 4\nES: 11\nGroup: RV\nHeight: 150.0\nNbFrame: 12\nWeight: 66.0\n",
        "Height: 150.0\nES:11\r\nED:  4 \r\n",  # other order, blanks, line ends; no Group
        "ED: 4\n\nES: 11\nNote: see: here\n",
    ],
)
def test_info_is_read_by_key(tmp_path, text):
    path = tmp_path / "Info.cfg"
    path.write_bytes(text.encode())
    assert acdc.read_info(path) == {"ED": 4, "ES": 11}


@pytest.mark.parametrize("text", ["ED: 1\n", "ED: 1\nES: twelve\n", "", "ED: 1\nES: 12.5\n"])
def test_info_without_a_frame_number_is_refused(tmp_path, text):
    (tmp_path / "Info.cfg").write_text(text)
    with pytest.raises(ValueError, match=r"Info\.cfg: ES is .* a line like 'ES: 12'|ED is None"):
        acdc.read_info(tmp_path / "Info.cfg")


@pytest.mark.parametrize("place", ["training", "database/training", "ACDC/database/training", "."])
def test_the_data_are_found_where_the_archives_unpack(phantom, tmp_path, place):
    shutil.copytree(phantom / "training", tmp_path / "raw" / place)
    assert acdc.find(tmp_path / "raw") == tmp_path / "raw" / place
    assert len(acdc.files(tmp_path / "raw")) == 4 * 5


def test_a_missing_folder_says_what_to_get_and_where_to_put_it(tmp_path):
    with pytest.raises(FileNotFoundError) as caught:
        list(acdc.cases(tmp_path / "acdc"))
    message = str(caught.value)
    for part in (str(tmp_path / "acdc"), acdc.URL, "database/training", "same command again"):
        assert part in message


def test_label_7_is_refused_by_name_value_and_cure(raw, rewrite):
    path = raw / "training" / "patient003" / "patient003_frame01_gt.nii.gz"

    def spoil(array):
        array = array.copy()
        array[3, 4, 1] = 7
        return array

    rewrite(path, spoil)
    with pytest.raises(
        ValueError, match=r"patient003_frame01_gt\.nii\.gz: label 7; 0 to 3 are"
    ) as caught:
        list(acdc.cases(raw))
    assert "fetch it again" in str(caught.value)


def test_an_interpolated_label_is_refused(raw, rewrite):
    path = raw / "training" / "patient001" / "patient001_frame01_gt.nii.gz"
    rewrite(path, lambda array: array.astype(np.float32) * 0.5)
    with pytest.raises(ValueError, match=r"label 0\.5, 1\.5; 0 to 3 are allowed"):
        list(acdc.cases(raw))


def test_a_label_of_another_shape_is_refused(raw, rewrite):
    path = raw / "training" / "patient001" / "patient001_frame01_gt.nii.gz"
    rewrite(path, lambda array: array[:, :-1])
    with pytest.raises(ValueError, match=r"frame01_gt\.nii\.gz: shape .* both must be alike"):
        list(acdc.cases(raw))


def test_a_volume_of_four_dimensions_is_refused(raw, rewrite):
    path = raw / "training" / "patient001" / "patient001_frame01.nii.gz"
    rewrite(path, lambda array: np.stack([array, array], axis=-1))
    with pytest.raises(ValueError, match="three dimensions are expected"):
        list(acdc.cases(raw))


def test_values_that_are_not_finite_are_refused(raw, rewrite):
    path = raw / "training" / "patient001" / "patient001_frame01.nii.gz"
    rewrite(path, lambda array: np.where(array == array.max(), np.nan, array))
    with pytest.raises(ValueError, match="not finite"):
        list(acdc.cases(raw))


@pytest.mark.parametrize("name", ["patient001_frame01.nii.gz", "patient001_frame01_gt.nii.gz"])
def test_a_missing_frame_is_named(raw, name):
    (raw / "training" / "patient001" / name).unlink()
    for function in (acdc.files, lambda folder: list(acdc.cases(folder))):
        with pytest.raises(FileNotFoundError, match=f"{name}: missing.*unpack the archive again"):
            function(raw)


def cut_off(content: bytes) -> bytes:
    return content[: len(content) // 2]


def flip_a_byte(content: bytes) -> bytes:
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 255]) + content[middle + 1 :]


def spoil_the_checksum(content: bytes) -> bytes:
    return content[:-8] + bytes([content[-8] ^ 1]) + content[-7:]


def cut_before_packing(content: bytes) -> bytes:
    return gzip.compress(gzip.decompress(content)[:-100])


def a_web_page(content: bytes) -> bytes:
    return b"<html>please log in</html>" + content[:0]


def nothing(content: bytes) -> bytes:
    return content[:0]


@pytest.mark.parametrize(
    "damage",
    [cut_off, flip_a_byte, spoil_the_checksum, cut_before_packing, a_web_page, nothing],
)
@pytest.mark.parametrize("name", ["patient001_frame01.nii.gz", "patient001_frame01_gt.nii.gz"])
def test_a_damaged_file_is_named_with_the_cure(raw, name, damage):
    path = raw / "training" / "patient001" / name
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(ValueError, match=f"{name}: cannot be read.*delete the file and fetch"):
        list(acdc.cases(raw))


def test_check_lists_what_differs_from_the_official_set(raw):
    problems = acdc.check(raw)
    assert problems[0].startswith("96 of 100 patients missing: patient005, ")
    assert any(
        "patient001_frame01.nii.gz: (" in problem and "officially (216, 256, 10)" in problem
        for problem in problems
    )
    (raw / "training" / "patient003" / "Info.cfg").write_text("ED: 2\nES: 5\n")
    (raw / "training" / "patient004" / "Info.cfg").write_text("")
    shutil.copytree(raw / "training" / "patient001", raw / "training" / "patient999")
    problems = acdc.check(raw)
    assert "1 unknown patients: patient999" in problems
    assert "patient003: ED is frame 2, officially 1" in problems
    assert any("patient003_frame02.nii.gz: missing" in problem for problem in problems)
    assert any("ED is None" in problem for problem in problems)


def test_check_is_content_with_a_set_that_has_the_official_headers(tmp_path):
    """All 100 patients as empty volumes of the official sizes."""
    with acdc.FACTS.open(newline="") as file:
        for row in csv.DictReader(file):
            patient = tmp_path / "training" / row["patient"]
            patient.mkdir(parents=True)
            (patient / "Info.cfg").write_text(f"ED: {row['ed']}\nES: {row['es']}\n")
            shape = tuple(int(row[key]) for key in ("width", "height", "slices"))
            header = Nifti1Header()
            header.set_data_shape(shape)
            header.set_zooms(tuple(float(row[key]) for key in ("pixel_mm", "pixel_mm", "slice_mm")))
            header["magic"] = b"n+1"
            header.set_data_offset(352)
            content = gzip.compress(header.binaryblock + bytes(4), compresslevel=1)
            for frame in (row["ed"], row["es"]):
                for end in ("", "_gt"):
                    name = f"{row['patient']}_frame{int(frame):02d}{end}.nii.gz"
                    (patient / name).write_bytes(content)
    assert acdc.check(tmp_path) == []
    assert len(acdc.files(tmp_path)) == 500
