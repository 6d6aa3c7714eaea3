"""The phantoms: official layout, the same files for the same seed, worth learning from."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from nibabel.nifti1 import Nifti1Image

from salstm.data import phantoms
from salstm.data.readers import acdc


def contents(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_layout_is_the_official_one(phantom):
    for name in contents(phantom):
        assert re.fullmatch(
            r"training/(patient\d{3})/(Info\.cfg|\1_frame\d{2}(_gt)?\.nii\.gz)", name
        ), name
    info = (phantom / "training" / "patient001" / "Info.cfg").read_text()
    keys = [line.split(":")[0] for line in info.splitlines()]
    assert keys == ["ED", "ES", "Group", "Height", "NbFrame", "Weight"]
    assert len(acdc.files(phantom)) == len(contents(phantom)) == 4 * 5


def test_the_same_seed_gives_the_same_bytes_and_another_does_not(tmp_path):
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        phantoms.acdc(tmp_path / name, patients=2, seed=seed, size=(32, 40), slices=(4, 5))
    assert contents(tmp_path / "a") == contents(tmp_path / "b")
    assert contents(tmp_path / "a") != contents(tmp_path / "c")
    for path in (tmp_path / "a").rglob("*.gz"):
        assert path.read_bytes()[4:8] == bytes(4)  # gzip's time stamp


def test_a_patient_does_not_depend_on_how_many_there_are(tmp_path, phantom):
    phantoms.acdc(tmp_path, patients=1, seed=3, size=(32, 44), slices=(4, 5))
    assert contents(tmp_path).items() <= contents(phantom).items()


def test_hearts_have_all_classes_nested_as_they_should_and_shrink_at_es(phantom):
    cases = {case.id: case for case in acdc.cases(phantom)}
    for number in range(1, 5):
        ed, es = (cases[f"patient00{number}_{phase}"] for phase in ("ED", "ES"))
        for case in (ed, es):
            assert set(np.unique(case.label)) == {0, 1, 2, 3}
            assert _touches_only(case.label, inner=3, allowed={2, 3})
        for cavity in (1, 3):
            assert (es.label == cavity).sum() < 0.8 * (ed.label == cavity).sum()


def _touches_only(label: np.ndarray, inner: int, allowed: set[int]) -> bool:
    """Whether the in-plane neighbours of a class are of the allowed classes."""
    inside = label[:, 1:-1, 1:-1] == inner
    shifts = [
        label[:, 1 + dy : label.shape[1] - 1 + dy, 1 + dx : label.shape[2] - 1 + dx]
        for dy, dx in ((0, 1), (1, 0), (0, -1), (-1, 0))
    ]
    return set(np.unique(np.concatenate([shift[inside] for shift in shifts]))) <= allowed


def test_some_slices_lack_a_class_and_sizes_spacings_types_and_ed_vary(tmp_path):
    phantoms.acdc(tmp_path, patients=12, seed=0, size=(32, 60), slices=(4, 6))
    cases = list(acdc.cases(tmp_path))
    counts = [set(np.unique(one)) for case in cases for one in case.label]
    assert {0, 1, 2, 3} in counts
    assert any(1 not in one and 3 in one for one in counts)
    assert {0} in counts
    assert len({case.label.shape for case in cases}) > 4
    assert any(side % 2 for case in cases for side in case.label.shape[1:])
    assert len({case.spacing_mm for case in cases}) > 2
    assert {str(case.image.dtype) for case in cases} == {"float32", "int16"}
    infos = tmp_path.glob("training/*/Info.cfg")
    assert {acdc.read_info(info)["ED"] for info in infos} == {1, 4}


def test_both_frames_of_a_patient_have_one_grid(phantom):
    for patient in (phantom / "training").iterdir():
        grids = {
            (image.shape, image.header.get_zooms())
            for image in map(Nifti1Image.from_filename, patient.glob("*.nii.gz"))
        }
        assert len(grids) == 1


def test_cavities_are_brighter_than_the_wall_and_the_noise(phantom):
    """What makes the phantom learnable: tissue contrast of several noise deviations."""
    for case in acdc.cases(phantom):
        means = [case.image[case.label == value].mean() for value in range(4)]
        spread = case.image[case.label == 3].std()
        assert min(means[1], means[3]) - means[2] > 2 * spread


@pytest.mark.parametrize(
    "wrong",
    [
        {"patients": 0},
        {"size": (16, 64)},
        {"size": (64, 32)},
        {"slices": (2, 4)},
        {"patients": 1000},
    ],
)
def test_numbers_out_of_range_are_refused(tmp_path, wrong):
    with pytest.raises(ValueError, match="phantom acdc"):
        phantoms.acdc(tmp_path / "p", **wrong)
    assert not (tmp_path / "p").exists()


SMALL = {"patients": 1, "seed": 0, "size": [32, 36], "slices": [4, 4]}


def test_ensure_makes_once_and_again_for_other_parameters(tmp_path):
    folder = tmp_path / "raw" / "acdc"
    phantoms.ensure("acdc", folder, SMALL)
    times = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    phantoms.ensure("acdc", folder, SMALL)
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == times
    before = contents(folder)
    phantoms.ensure("acdc", folder, {**SMALL, "seed": 1})
    assert contents(folder) != before
    assert json.loads((folder / "phantom.json").read_text())["seed"] == 1
    assert [path.name for path in folder.parent.iterdir()] == ["acdc"]


def test_ensure_never_touches_real_data(raw):
    before = contents(raw)
    with pytest.raises(FileExistsError, match="holds data that are no phantoms"):
        phantoms.ensure("acdc", raw, SMALL)
    assert contents(raw) == before


def test_ensure_leaves_nothing_of_an_interrupted_run(tmp_path, monkeypatch):
    def interrupted(folder, *, patients=1):
        folder.mkdir(parents=True)
        (folder / "half").write_text("")
        raise KeyboardInterrupt

    monkeypatch.setitem(phantoms.PHANTOMS, "acdc", interrupted)
    with pytest.raises(KeyboardInterrupt):
        phantoms.ensure("acdc", tmp_path / "acdc", {})
    assert list(tmp_path.iterdir()) == []


def test_ensure_suggests_names(tmp_path):
    with pytest.raises(ValueError, match=r"phantom 'acdd'.*Did you mean acdc\?"):
        phantoms.ensure("acdd", tmp_path / "p", {})
    with pytest.raises(ValueError, match=r"parameter of phantom acdc 'patient'.*mean patients\?"):
        phantoms.ensure("acdc", tmp_path / "p", {"patient": 3})
