"""What `segment` writes of a file is what `predict` says of the case, in the file's own geometry."""

from __future__ import annotations

import gzip
import json
import logging
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
import tifffile
from PIL import Image

from salstm import jobs
from salstm.data.resize import resize
from salstm.segmentation.run import Request
from tests.segmentation.conftest import Training, build

load: Any = nibabel.load
CPU: dict[str, Any] = {"device": "cpu", "threads": 1}


def opened(path: Path) -> Image.Image:
    """A picture, read; its file is closed."""
    with Image.open(path) as picture:
        picture.load()
        return picture


def segment(training: Training, paths: list[Path], out: Path, **wishes) -> None:
    request = Request(cases=training.cases, **wishes)
    jobs.segment(build, training.run, paths, out, request, **CPU)


def images_of(training: Training) -> list[Path]:
    """The images of the test cases, in the order of their names."""
    if next(iter(training.predicted)).startswith("patient"):
        names = {one.split("_")[0] for one in training.predicted}
        found = [path for one in names for path in training.raw.rglob(f"{one}_frame??.nii.gz")]
        return sorted(found)
    if "ISIC" in next(iter(training.predicted)):
        return sorted(
            path for one in training.predicted for path in training.raw.rglob(f"{one}.jpg")
        )
    numbers = sorted(int(one.removeprefix("frame")) for one in training.predicted)
    return [next(training.raw.rglob(f"Original/{number}.tif")) for number in numbers]


def test_a_volume_is_what_predict_says_in_the_files_geometry(acdc, tmp_path):
    files = images_of(acdc)
    assert len(files) == len(acdc.predicted) >= 2
    segment(acdc, files, tmp_path)
    for path, case in zip(files, sorted(acdc.predicted), strict=True):
        image, made = load(path), load(tmp_path / path.name)
        assert made.shape == image.shape
        assert np.array_equal(made.affine, image.affine)
        assert made.header.get_zooms() == image.header.get_zooms()
        assert made.header.get_xyzt_units() == image.header.get_xyzt_units()
        for key in ("sform_code", "qform_code"):
            assert made.header[key] == image.header[key]
        assert made.get_data_dtype() == np.uint8
        stored = acdc.predicted[case]
        assert len(np.unique(stored)) > 1, "nothing to compare"
        native = resize(stored, image.shape[1], image.shape[0], 0)
        # The phantoms are stored in LPS, as the official files are.
        assert nibabel.aff2axcodes(image.affine) == ("L", "P", "S")
        assert np.array_equal(np.asarray(made.dataobj), native.transpose(2, 1, 0))


@pytest.mark.parametrize("codes", ["RAS", "PIR", "SLA"])
def test_a_volume_that_is_stored_otherwise_gives_the_same_labels(acdc, tmp_path, codes):
    """Turned by nibabel, segmented, and turned back by nibabel."""
    path = images_of(acdc)[0]
    image = load(path)
    start = nibabel.orientations.io_orientation(image.affine)
    wanted = nibabel.orientations.axcodes2ornt(tuple(codes))
    turn = nibabel.orientations.ornt_transform(start, wanted)
    nibabel.save(image.as_reoriented(turn), tmp_path / "turned.nii")
    segment(acdc, [path, tmp_path / "turned.nii"], tmp_path / "out")
    plain, turned = (load(tmp_path / "out" / one) for one in (path.name, "turned.nii"))
    back = nibabel.orientations.ornt_transform(wanted, start)
    again = turned.as_reoriented(back)
    assert np.array_equal(np.asarray(again.dataobj), np.asarray(plain.dataobj))
    assert np.allclose(again.affine, plain.affine)


def test_a_picture_is_what_predict_says(isic, tmp_path):
    files = images_of(isic)
    segment(isic, files, tmp_path)
    for path in files:
        made = opened(tmp_path / f"{path.stem}.png")
        assert made.size == opened(path).size
        native = resize(isic.predicted[path.stem], made.size[1], made.size[0], 0)[0]
        assert 0 < native.mean() < 1
        assert np.array_equal(np.asarray(made), native * 255)
    said = json.loads((tmp_path / "segmentation.json").read_text())
    assert said["values"] == {"background": 0, "lesion": 255}
    assert said["selection"] == "best_val"
    assert len(said["files"]) == len(files)


def test_many_pictures_at_once_are_the_same(isic, tmp_path):
    segment(isic, images_of(isic), tmp_path / "one")
    segment(isic, [images_of(isic)[0].parent], tmp_path / "many", batch=3)
    for path in (tmp_path / "one").glob("*.png"):
        assert path.read_bytes() == (tmp_path / "many" / path.name).read_bytes()
    assert len(list((tmp_path / "many").glob("*.png"))) == 4


@pytest.mark.parametrize("turned", [3, 5, 6, 8])
def test_a_photograph_that_a_camera_turned_is_labelled_as_it_is_stored(isic, tmp_path, turned):
    from PIL import ImageOps

    upright = tmp_path / "upright.png"
    opened(images_of(isic)[0]).save(upright)
    back = {3: 3, 5: 5, 6: 8, 8: 6}[turned]
    exif = Image.Exif()
    exif[0x0112] = back
    turned_picture = opened(upright)
    turned_picture.getexif()[0x0112] = back
    stored = ImageOps.exif_transpose(_with(turned_picture, back, tmp_path / "x.png"))
    exif[0x0112] = turned
    stored.save(tmp_path / "turned.png", exif=exif)
    segment(isic, [upright, tmp_path / "turned.png"], tmp_path / "out")
    made = opened(tmp_path / "out/turned.png")
    assert made.size == opened(tmp_path / "turned.png").size
    plain = np.asarray(opened(tmp_path / "out/upright.png"))
    assert np.array_equal(np.asarray(ImageOps.exif_transpose(made)), plain)


def _with(picture: Image.Image, orientation: int, path: Path) -> Image.Image:
    exif = Image.Exif()
    exif[0x0112] = orientation
    picture.save(path, exif=exif)
    return opened(path)


def test_frames_of_a_video_see_their_neighbours(cvc, tmp_path):
    files = images_of(cvc)
    assert len(files) == 4  # one sequence
    segment(cvc, files, tmp_path / "together", sequence=True)
    segment(cvc, files, tmp_path / "alone")
    differ = 0
    for path, case in zip(files, sorted(cvc.predicted), strict=True):
        made = tifffile.imread(tmp_path / "together" / path.name)
        height, width = tifffile.imread(path).shape[:2]
        native = resize(cvc.predicted[case], height, width, 0)[0]
        assert np.array_equal(made, native * 255)
        assert opened(tmp_path / "together" / path.name).size == (width, height)
        differ += not np.array_equal(made, tifffile.imread(tmp_path / "alone" / path.name))
    assert differ


def test_probabilities_sum_to_one_and_agree_with_the_labels(acdc, isic, tmp_path):
    path = images_of(acdc)[0]
    segment(acdc, [path], tmp_path, probabilities=True)
    made = load(tmp_path / path.name.replace(".nii.gz", "_probabilities.nii.gz"))
    labels = np.asarray(load(tmp_path / path.name).dataobj)
    values = made.get_fdata()
    assert values.shape == (*labels.shape, 4)
    assert np.allclose(values.sum(-1), 1, atol=1e-5)
    assert np.array_equal(made.affine, load(path).affine)
    # Nearest and linear differ at borders alone.
    assert (values.argmax(-1) == labels).mean() > 0.9
    picture = images_of(isic)[0]
    segment(isic, [picture], tmp_path / "p", probabilities=True)
    both = np.load(tmp_path / f"p/{picture.stem}_probabilities.npy", allow_pickle=False)
    assert both.shape == (*opened(picture).size[::-1], 2)
    assert both.dtype == np.float32


def test_the_manifest_is_found_above_the_training(isic, tmp_path):
    place = tmp_path / "results/x/isic2018/unet/plain/seed0"
    shutil.copytree(isic.run, place)
    (tmp_path / "results/x/isic2018/cases").mkdir()
    shutil.copy(isic.cases / "manifest.json", tmp_path / "results/x/isic2018/cases")
    jobs.segment(build, place, images_of(isic)[:1], tmp_path / "out", Request(), **CPU)
    assert len(list((tmp_path / "out").glob("*.png"))) == 1
    (tmp_path / "results/x/isic2018/cases/manifest.json").write_text("{}")
    with pytest.raises(ValueError, match="not of the cases"):
        jobs.segment(build, place, images_of(isic)[:1], tmp_path / "other", Request(), **CPU)


def test_one_bad_image_does_not_stop_the_others(isic, tmp_path, caplog):
    folder = tmp_path / "mine"
    folder.mkdir()
    for path in images_of(isic):
        shutil.copy(path, folder)
    (folder / "AAA.jpg").write_bytes(b"no picture")
    with caplog.at_level(logging.INFO), pytest.raises(ValueError, match=r"1 of .*AAA\.jpg"):
        segment(isic, [folder], tmp_path / "out")
    assert len(list((tmp_path / "out").glob("*.png"))) == len(images_of(isic))
    assert f"{len(images_of(isic))} of {len(images_of(isic)) + 1}: " in caplog.text
    assert "AAA" not in (tmp_path / "out/segmentation.json").read_text()
    assert not list((tmp_path / "out").glob(".*"))


@dataclass
class Bad:
    """An input that is refused: makes it in a folder, and what the message says."""

    make: Callable[[Path, Path], list[Path]]
    message: str
    volume: bool = True
    wishes: tuple[tuple[str, object], ...] = ()


def volume(name: str, values: np.ndarray, **header) -> Callable[[Path, Path], list[Path]]:
    def make(folder: Path, good: Path) -> list[Path]:
        del good
        affine = header.pop("affine", np.diag([-1.0, -1.0, 5.0, 1.0]))
        image = nibabel.Nifti1Image(values, affine)
        for key, value in header.items():
            image.header[key] = value
        nibabel.save(image, folder / name)
        return [folder / name]

    return make


def content(name: str, change: Callable[[bytes], bytes]) -> Callable[[Path, Path], list[Path]]:
    def make(folder: Path, good: Path) -> list[Path]:
        (folder / name).write_bytes(change(good.read_bytes()))
        return [folder / name]

    return make


def picture(name: str, values: np.ndarray) -> Callable[[Path, Path], list[Path]]:
    def make(folder: Path, good: Path) -> list[Path]:
        del good
        if name.endswith(".tif"):
            tifffile.imwrite(folder / name, values, photometric="minisblack")
        else:
            Image.fromarray(values).save(folder / name)
        return [folder / name]

    return make


def twins(folder: Path, good: Path) -> list[Path]:
    shutil.copy(good, folder / "a.nii.gz")
    (folder / "b").mkdir()
    shutil.copy(good, folder / "b/a.nii.gz")
    return [folder / "a.nii.gz", folder / "b/a.nii.gz"]


def written_over(folder: Path, good: Path) -> list[Path]:
    (folder / "out").mkdir()
    shutil.copy(good, folder / "out/a.nii.gz")
    return [folder / "out/a.nii.gz"]


def empty(folder: Path, good: Path) -> list[Path]:
    (folder / "nothing.png").mkdir()
    (folder / "nothing.png/notes.txt").write_text(good.name)
    return [folder / "nothing.png"]


def flat(content: bytes) -> bytes:
    """A header whose sform alone counts, and has a row of zeros."""
    plain = bytearray(gzip.decompress(content))
    plain[252:256] = (0).to_bytes(2, "little") + (1).to_bytes(2, "little")
    plain[280:296] = bytes(16)
    return bytes(plain)


NOISE = np.random.default_rng(0).normal(size=(9, 8, 4)).astype(np.float32)
COLOUR = np.zeros((9, 8, 4), dtype=[("R", "u1"), ("G", "u1"), ("B", "u1")])
BAD = {
    "absent": Bad(lambda folder, _: [folder / "x.nii.gz"], r"x\.nii\.gz: no such file"),
    "picture for volumes": Bad(picture("x.png", np.eye(9, dtype=np.uint8)), r"x\.png: .*of volumes"),
    "no ending": Bad(content("x", bytes), "/x: .* of volumes"),
    "empty file": Bad(content("x.nii.gz", lambda _: b""), r"x\.nii\.gz: cannot be read"),
    "text": Bad(content("x.nii", lambda _: b"hello" * 99), r"x\.nii: cannot be read"),
    "cut gzip": Bad(content("x.nii.gz", lambda all: all[:-40]), r"x\.nii\.gz: cannot be read"),
    "cut volume": Bad(
        content("x.nii", lambda all: gzip.decompress(all)[:-1]), r"x\.nii: .*promises"
    ),
    "several volumes": Bad(volume("x.nii", np.stack([NOISE] * 2, -1)), r"x\.nii: shape"),
    "one slice": Bad(volume("x.nii", NOISE[..., 0]), r"x\.nii: shape"),
    "colours": Bad(volume("x.nii", COLOUR), r"x\.nii: holds colours"),
    "not finite": Bad(volume("x.nii", np.full_like(NOISE, np.nan)), r"x\.nii: has values that are not finite"),
    "no axis": Bad(content("x.nii", flat), r"x\.nii: .*points nowhere"),
    "huge voxels": Bad(
        volume("x.nii", NOISE, affine=np.diag([500.0, 500.0, 900.0, 1.0])), r"x\.nii: voxels of 500"
    ),
    "constant": Bad(volume("x.nii", np.ones_like(NOISE)), r"x\.nii: every value is 1"),
    "twins": Bad(twins, r"b/a\.nii\.gz: a\.nii\.gz would be written of .*/a\.nii\.gz, too"),
    "written over": Bad(written_over, r"out/a\.nii\.gz: is there"),
    "named twice": Bad(lambda _, good: [good, good], "named twice"),
    "a volume's sequence": Bad(lambda _, good: [good], "--sequence", wishes=(("sequence", True),)),
    "volume for pictures": Bad(volume("x.nii", NOISE), r"x\.nii: .*of pictures", volume=False),
    "no picture": Bad(content("x.jpg", lambda _: b"hello"), r"x\.jpg: cannot be read", volume=False),
    "cut picture": Bad(content("x.jpg", lambda all: all[:300]), r"x\.jpg: cannot be read", volume=False),
    "nearly black": Bad(
        picture("x.tif", np.arange(72, dtype=np.uint16).reshape(8, 9)), r"x\.tif: .*nearly black", volume=False
    ),
    "fractions": Bad(picture("x.tif", NOISE[..., 0]), r"x\.tif", volume=False),
    "pages": Bad(picture("x.tif", (NOISE.T * 9).astype(np.uint8)), r"x\.tif: .*pictures", volume=False),
    "black": Bad(picture("x.png", np.zeros((9, 8), np.uint8)), r"x\.png: every value is 0", volume=False),
    "nothing in it": Bad(empty, r"nothing\.png: no file in it", volume=False),
    "axes of a picture": Bad(lambda _, good: [good], "--axes", False, (("axes", "LPS"),)),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_a_bad_input_is_refused_by_name_and_nothing_is_written(name, acdc, isic, tmp_path):
    bad = BAD[name]
    training = acdc if bad.volume else isic
    paths = bad.make(tmp_path, images_of(training)[0])
    before = {one: one.read_bytes() for one in tmp_path.rglob("*") if one.is_file()}
    with pytest.raises((ValueError, OSError), match=bad.message):
        segment(training, paths, tmp_path / "out", **dict(bad.wishes))
    after = {one: one.read_bytes() for one in tmp_path.rglob("*") if one.is_file()}
    assert after == before
