"""Volumes as tools leave them: the voxels and millimetres that nibabel and ITK see, or a refusal."""

from __future__ import annotations

import gzip
import io
import logging
import shutil
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
from nibabel import orientations
from nibabel.nifti1 import Nifti1Header, Nifti1Image
from nibabel.nifti2 import Nifti2Image

from salstm.data import datasets
from salstm.data.case import RawCase
from salstm.data.readers import acdc, nifti, synapse, volumes
from salstm.data.store import Store
from tests.data.readers.test_orientation import CODES, affine_of

PATIENT = Path("training") / "patient001"
IMAGE, LABEL = "patient001_frame01.nii.gz", "patient001_frame01_gt.nii.gz"


def itk() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of SWIG, at import
        import SimpleITK

    return SimpleITK


def first(raw: Path) -> RawCase:
    return next(acdc.cases(raw))


def edit(path: Path, **fields: Any) -> None:
    """Change fields of a header as they are stored, and nothing else."""
    content = path.read_bytes()
    content = gzip.decompress(content) if content[:2] == b"\x1f\x8b" else content
    header = Nifti1Header.from_fileobj(io.BytesIO(content), check=False)
    for name, value in fields.items():
        if name == "pixdim":
            header["pixdim"][1:4] = value
        else:
            header[name] = value
    path.write_bytes(gzip.compress(header.binaryblock + content[348:]))


def change(path: Path, function: Callable[[Any], Any]) -> None:
    path.write_bytes(gzip.compress(function(Nifti1Image.from_filename(path)).to_bytes()))


def turned(codes: str) -> Callable[[Any], Any]:
    def change_axes(image: Any) -> Any:
        turn = orientations.ornt_transform(
            orientations.io_orientation(image.affine), orientations.axcodes2ornt(codes)
        )
        again = Nifti1Image(np.asanyarray(image.dataobj), image.affine)
        return again.as_reoriented(turn.astype(int).tolist())

    return change_axes


@pytest.mark.parametrize("codes", CODES[::5])
@pytest.mark.parametrize(
    "names", [[LABEL], [IMAGE], [IMAGE, LABEL]], ids=["label", "image", "both"]
)
def test_other_axes_give_the_same_case(raw, codes, names):
    before = first(raw)
    for name in names:
        change(raw / PATIENT / name, turned(codes))
    after = first(raw)
    np.testing.assert_array_equal(after.image, before.image)
    np.testing.assert_array_equal(after.label, before.label)
    assert after.spacing_mm == pytest.approx(before.spacing_mm)


def test_a_short_axis_stack_that_lies_askew_keeps_its_slices(raw):
    """The heart's axis is nobody's: here the slices follow each other from front to back."""
    before = first(raw)
    for name in (IMAGE, LABEL):
        image = Nifti1Image.from_filename(raw / PATIENT / name)
        x, y, z = (float(side) for side in image.header.get_zooms())
        askew = affine_of("LSP", (x, y, z))
        change(
            raw / PATIENT / name,
            lambda image, askew=askew: Nifti1Image(np.asanyarray(image.dataobj), askew),
        )
    after = first(raw)
    assert after.image.shape == before.image.shape
    assert after.spacing_mm == pytest.approx(before.spacing_mm)
    np.testing.assert_array_equal(after.image, before.image)
    np.testing.assert_array_equal(after.label, before.label)


def test_thick_slices_come_first_only_where_there_are_any(tmp_path):
    nibabel.save(Nifti1Image(np.zeros((4, 5, 6)), np.diag([-1, -1.5, 1, 1.0])), tmp_path / "a.nii")
    volume = volumes.read(tmp_path / "a.nii")
    assert volumes.slices_first(volume, volume)[0].array.shape == (6, 5, 4)


@pytest.mark.parametrize(("unit", "times"), [("micron", 1e3), ("meter", 1e-3), ("unknown", 1.0)])
def test_every_unit_becomes_millimetres(raw, unit, times):
    """As ITK converts them."""
    before = first(raw)

    def scaled(image: Any) -> Any:
        affine = image.affine.copy()
        affine[:3] *= times
        again = Nifti1Image(np.asanyarray(image.dataobj), affine)
        again.header.set_xyzt_units(unit)
        again.set_qform(affine, 1)
        again.set_sform(affine, 1)
        return again

    for name in (IMAGE, LABEL):
        change(raw / PATIENT / name, scaled)
    assert first(raw).spacing_mm == pytest.approx(before.spacing_mm, rel=1e-5)
    seen = itk().ReadImage(str(raw / PATIENT / IMAGE)).GetSpacing()[::-1]
    assert first(raw).spacing_mm == pytest.approx(seen, rel=1e-5)


def test_units_reach_the_offset_between_image_and_label(abdomens, tmp_path):
    """One in microns, the other in millimetres and with other axes, at the same place."""
    raw = Path(shutil.copytree(abdomens, tmp_path / "raw"))
    before = next(synapse.cases(raw))
    label = raw / "RawData" / "Training" / "label" / "label0001.nii.gz"
    change(label, turned("RAS"))

    def scaled(image: Any) -> Any:
        affine = image.affine.copy()
        affine[:3] *= 1000
        again = Nifti1Image(np.asanyarray(image.dataobj), affine)
        again.header.set_xyzt_units("micron")
        return again

    change(label, scaled)
    np.testing.assert_array_equal(next(synapse.cases(raw)).label, before.label)


@pytest.mark.parametrize(
    ("stored", "fields", "expected"),
    [
        ((1.5, 1.25, 0), {"qform_code": 1, "sform_code": 0}, (np.nan, 1.25, 1.5)),
        ((0, 0, 0), {"qform_code": 0, "sform_code": 0}, (np.nan,) * 3),
        ((np.nan, 1.25, 5), {"qform_code": 0, "sform_code": 0}, (5.0, 1.25, np.nan)),
        ((0, 0, 0), {"qform_code": 1, "sform_code": 1}, (5.0, 1.25, 1.5)),  # the sform knows
        ((-1.5, 1.25, 5), {"qform_code": 0, "sform_code": 0}, (5.0, 1.25, 1.5)),
    ],
)
def test_a_spacing_of_0_is_unknown(raw, stored, fields, expected):
    affine = np.diag([-1.5, -1.25, 5.0, 1.0])

    def spaced(image: Any) -> Any:
        again = Nifti1Image(np.asanyarray(image.dataobj), affine)
        again.set_qform(affine, 1)
        return again

    change(raw / PATIENT / IMAGE, spaced)
    edit(raw / PATIENT / IMAGE, pixdim=stored, **fields)
    np.testing.assert_allclose(np.array(first(raw).spacing_mm), expected, rtol=1e-6)


def forms(tmp_path: Path, sform: Any, qform: Any, pixdim: tuple[float, ...]) -> Path:
    image = Nifti1Image(np.arange(120, dtype=np.int16).reshape(4, 5, 6), np.eye(4))
    image.set_qform(qform, int(qform is not None))
    image.set_sform(sform, int(sform is not None))
    path = tmp_path / "a.nii.gz"
    path.write_bytes(gzip.compress(image.to_bytes()))
    edit(path, pixdim=pixdim)
    return path


RIGHT, UNIT = np.diag([-1.5, -1.25, 5.0, 1.0]), np.diag([-1.0, -1.0, 1.0, 1.0])


@pytest.mark.parametrize(
    ("sform", "qform", "pixdim", "said"),
    [
        (RIGHT, RIGHT, (1.5, 1.25, 5), ""),
        (RIGHT, None, (1.5, 1.25, 5), ""),
        (None, RIGHT, (1.5, 1.25, 5), ""),
        (UNIT, RIGHT, (1.5, 1.25, 5), "pixdim and qform are used, which agree"),
        (np.diag([2.0, 2.0, 2.0, 1.0]), RIGHT, (1.5, 1.25, 5), "pixdim and qform are used"),
        (UNIT, None, (1.5, 1.25, 5), "the sform for the axes alone"),
        (RIGHT, None, (1, 1, 1), "the sform is used"),
        (RIGHT, UNIT, (1, 1, 1), "the sform is used"),
        (np.diag([0.0, -1.25, 5.0, 1.0]), RIGHT, (1.5, 1.25, 5), "its qform is used"),
    ],
)
def test_of_two_forms_the_one_that_agrees_with_pixdim_counts(
    tmp_path, caplog, sform, qform, pixdim, said
):
    path = forms(tmp_path, sform, qform, pixdim)
    with caplog.at_level(logging.WARNING):
        volume = volumes.read(path)
    assert volume.spacing_mm == pytest.approx((5.0, 1.25, 1.5))
    assert volume.codes == "LPS"
    assert said in caplog.text
    assert (str(path) in caplog.text) == bool(said)
    if pixdim != (1, 1, 1):  # ITK believes in pixdim whatever the forms say
        itk_image = itk().ReadImage(str(path))
        assert itk_image.GetSpacing()[::-1] == pytest.approx(volume.spacing_mm)
        np.testing.assert_array_equal(itk().GetArrayFromImage(itk_image), volume.array)


def test_forms_of_one_size_and_other_axes_are_said(tmp_path, caplog):
    path = forms(tmp_path, RIGHT, np.diag([1.5, 1.25, 5.0, 1.0]), (1.5, 1.25, 5))
    with caplog.at_level(logging.WARNING):
        assert volumes.read(path).codes == "LPS"
    assert "its sform says that the axes are LPS, its qform RAS; the sform is used" in caplog.text


def test_a_voxel_of_a_size_that_no_scan_has_is_refused(tmp_path):
    path = forms(tmp_path, RIGHT * 1000, None, (1500, 1250, 5000))
    with pytest.raises(ValueError, match=r"a\.nii\.gz: voxels of 1500, 1250, 5000 mm .*no scan"):
        nifti.read(path)


@pytest.mark.parametrize("more", [1, 2])
def test_axes_of_one_voxel_do_not_count(raw, more):
    before = first(raw)
    for name in (IMAGE, LABEL):

        def widened(image: Any) -> Any:
            array = np.asanyarray(image.dataobj)
            return Nifti1Image(array.reshape(*array.shape, *[1] * more), image.affine)

        change(raw / PATIENT / name, widened)
        assert Nifti1Image.from_filename(raw / PATIENT / name).ndim == 3 + more
    np.testing.assert_array_equal(first(raw).image, before.image)
    np.testing.assert_array_equal(first(raw).label, before.label)


def second_kind(image: Any) -> bytes:
    return Nifti2Image(np.asanyarray(image.dataobj), image.affine).to_bytes()


def other_byte_order(image: Any) -> bytes:
    swapped = image.header.as_byteswapped(">")
    return Nifti1Image(np.asanyarray(image.dataobj), image.affine, swapped).to_bytes()


@pytest.mark.parametrize(
    ("content", "name"),
    [
        (lambda image: image.to_bytes(), "{}.nii.gz"),
        (lambda image: image.to_bytes(), "{}.nii"),
        (lambda image: gzip.compress(image.to_bytes()), "{}.nii"),
        (lambda image: gzip.compress(gzip.compress(image.to_bytes())), "{}.nii.gz"),
        (second_kind, "{}.nii.gz"),
        (lambda image: gzip.compress(second_kind(image)), "{}.nii.gz"),
        (other_byte_order, "{}.nii"),
    ],
)
def test_a_file_is_what_its_first_bytes_say(raw, content, name):
    before = first(raw)
    for path in (raw / PATIENT / IMAGE, raw / PATIENT / LABEL):
        image = Nifti1Image.from_filename(path)
        whole = content(image)
        path.unlink()
        path.with_name(name.format(path.name.removesuffix(".nii.gz"))).write_bytes(whole)
    np.testing.assert_array_equal(first(raw).image, before.image)
    np.testing.assert_array_equal(first(raw).label, before.label)
    assert first(raw).spacing_mm == before.spacing_mm
    assert len(acdc.files(raw)) == 20
    assert not any("cannot be read" in one for one in acdc.check(raw))


def with_slope(image: Any) -> bytes:
    array = np.asanyarray(image.dataobj).astype(np.uint8) * np.uint8(85)
    header = Nifti1Image(array, image.affine).header
    header.set_slope_inter(3 / 255, 0)
    header["vox_offset"] = 352
    header["magic"] = b"n+1"
    return header.binaryblock + bytes(4) + array.tobytes(order="F")


@pytest.mark.parametrize(
    "content",
    [
        lambda image: Nifti1Image(
            np.asanyarray(image.dataobj).astype(np.float32) * np.float32(1.000001), image.affine
        ).to_bytes(),
        lambda image: Nifti1Image(
            np.asanyarray(image.dataobj) - 9e-4, image.affine
        ).to_bytes(),
        with_slope,
    ],
    ids=["times 1.000001", "less 0.0009", "slope 3/255"],
)  # fmt: skip
def test_a_label_that_is_almost_a_whole_number_is_rounded(raw, content):
    before = first(raw)
    path = raw / PATIENT / LABEL
    path.write_bytes(gzip.compress(content(Nifti1Image.from_filename(path))))
    stored = np.asanyarray(Nifti1Image.from_filename(path).dataobj)
    assert (stored != np.rint(stored)).any()
    np.testing.assert_array_equal(first(raw).label, before.label)


def test_a_label_further_off_is_refused_with_its_digits(raw):
    path = raw / PATIENT / LABEL
    change(
        path,
        lambda image: Nifti1Image(np.asanyarray(image.dataobj) * np.float32(1.002), image.affine),
    )
    with pytest.raises(ValueError, match=r"gt\.nii\.gz: label 1\.002, 2\.004, 3\.006; 0 to 3"):
        first(raw)


def without_codes(raw: Path, numbers: tuple[str, ...] = ("img", "label")) -> None:
    for kind in numbers:
        for path in (raw / "RawData" / "Training" / kind).iterdir():
            edit(path, sform_code=0, qform_code=0)


@pytest.mark.parametrize("codes", ["LPS", "LAS", "RAS"])
def test_without_an_orientation_the_setting_decides(abdomens, tmp_path, codes):
    raw = Path(shutil.copytree(abdomens, tmp_path / "raw"))
    before = list(synapse.cases(raw))
    for kind in ("img", "label"):
        for path in (raw / "RawData" / "Training" / kind).iterdir():
            change(path, turned(codes))
    without_codes(raw)
    with pytest.raises(ValueError, match=r"img0001\.nii\.gz: .* no orientation.*synapse\.axes"):
        list(synapse.cases(raw))
    after = [read() for read in synapse.readings(raw, axes=codes)]
    for old, new in zip(before, after, strict=True):
        np.testing.assert_array_equal(new.image, old.image)
        np.testing.assert_array_equal(new.label, old.label)
        assert new.spacing_mm == pytest.approx(old.spacing_mm)


def test_axes_that_are_none_are_refused():
    for codes in ("LPX", "LLS", "LP", "lps"):
        with pytest.raises(ValueError, match=f"axes '{codes}'; three letters"):
            volumes.affine_of(codes, (1.0, 1.0, 1.0))


def test_hearts_without_an_orientation_stay_as_stored_and_say_so(raw, caplog):
    before = first(raw)
    for name in (IMAGE, LABEL):
        edit(raw / PATIENT / name, sform_code=0, qform_code=0)
    with caplog.at_level(logging.WARNING):
        after = first(raw)
    np.testing.assert_array_equal(after.image, before.image)
    np.testing.assert_array_equal(after.label, before.label)
    assert "no orientation; its axes are taken as LPS (datasets.acdc.axes)" in caplog.text


@pytest.mark.parametrize(("lost", "kept"), [(LABEL, IMAGE), (IMAGE, LABEL)])
def test_a_label_without_an_orientation_beside_a_turned_image_is_refused(raw, lost, kept):
    edit(raw / PATIENT / lost, sform_code=0, qform_code=0)
    first(raw)  # the other one is LPS, as such files are taken to be
    change(raw / PATIENT / kept, turned("RAS"))
    with pytest.raises(ValueError, match=f"{lost}: .*no orientation, and that of {kept} says RAS"):
        first(raw)


def colours(image: Any) -> Any:
    kind = np.dtype([("R", "u1"), ("G", "u1"), ("B", "u1")])
    return Nifti1Image(np.zeros(image.shape, kind), image.affine)


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (colours, r"holds colours \(RGB\)"),
        (lambda i: Nifti1Image(np.ones(i.shape, "c8"), i.affine), "numbers of type complex64"),
        (lambda i: Nifti1Image(np.asanyarray(i.dataobj)[..., 0], i.affine), "three dimensions"),
    ],
)
def test_what_is_no_volume_of_numbers_is_refused_with_its_name(raw, function, message):
    for name in (IMAGE, LABEL):
        fresh = (raw / PATIENT / name).read_bytes()
        change(raw / PATIENT / name, function)
        with pytest.raises(ValueError, match=f"{name}: .*{message}"):
            first(raw)
        (raw / PATIENT / name).write_bytes(fresh)


def test_a_header_that_promises_more_than_the_memory_has_is_refused(raw):
    edit(raw / PATIENT / IMAGE, dim=[3, 30000, 30000, 30000, 1, 1, 1, 1])
    with pytest.raises(ValueError, match=f"{IMAGE}: cannot be read .*its header promises"):
        first(raw)


def test_prepare_takes_the_axes_from_the_configuration(abdomens, tmp_path):
    raw = Path(shutil.copytree(abdomens, tmp_path / "raw"))
    for path in sorted(raw.rglob("*0004.nii.gz")):  # its label is stored in another way
        path.unlink()
    without_codes(raw)
    split = {"name": "groups", "validation": 0.2, "test": 0.2}
    with pytest.raises(ValueError, match=r"datasets\.synapse\.axes"):
        datasets.prepare("synapse", raw, tmp_path / "s", split=split, size=None)
    datasets.prepare("synapse", raw, tmp_path / "s", split=split, size=None, axes="LPS")
    # Stored LPS, RAS, LAS, LPS: the first is now right, and nothing says so of the others.
    before = next(synapse.cases(abdomens))
    np.testing.assert_array_equal(
        Store(tmp_path / "s").native(Store(tmp_path / "s").cases[0]), before.label
    )


def test_axes_of_files_that_are_no_volumes_are_refused(lesions, tmp_path):
    with pytest.raises(
        ValueError, match=r"datasets\.isic2018\.axes is 'LPS'; the files in .* are no"
    ):
        datasets.prepare(
            "isic2018", lesions, tmp_path / "s", split={"name": "groups"}, size=32, axes="LPS"
        )
