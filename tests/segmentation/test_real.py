"""As test_segment.py, on real files: ``SALSTM_DATA=/path python -m pytest -m data tests/segmentation``."""

from __future__ import annotations

from dataclasses import replace
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
from tests.data.test_real import folder
from tests.segmentation.conftest import Training, build
from tests.segmentation.test_segment import images_of

pytestmark = pytest.mark.data
load: Any = nibabel.load


def as_stored(path: Path, name: str) -> np.ndarray:
    """The labels of a file with axes (D, H, W), read by another program."""
    if name == "acdc":
        return np.asarray(load(path).dataobj).transpose(2, 1, 0)
    with Image.open(path) as picture:
        assert picture.mode == "L"
        return np.asarray(picture)[None] // 255


def check_geometry(made: Path, path: Path, name: str) -> None:
    if name == "acdc":
        one, other = load(made), load(path)
        assert one.shape == other.shape
        assert np.array_equal(one.affine, other.affine)
        assert one.header.get_zooms() == other.header.get_zooms()
        return
    shape = (
        tifffile.imread(path).shape if path.suffix == ".tif" else np.asarray(Image.open(path)).shape
    )
    with Image.open(made) as picture:
        assert picture.size == shape[1::-1]


@pytest.mark.parametrize("name", ["acdc", "isic2018", "cvc_clinicdb"])
def test_a_real_file_is_what_predict_says_in_its_own_geometry(name, small, tmp_path):
    """With foreground: the weights are arbitrary, and find something in every file."""
    frames = 1 if name == "isic2018" else 3
    recipe = replace(small, frames=frames, border=small.border if frames == 3 else None)
    training = Training(tmp_path, name, recipe, "plain", folder(name))
    files = images_of(training)
    request = Request(cases=training.cases)
    jobs.segment(build, training.run, files, tmp_path / "out", request, device="cpu", threads=1)
    cases = sorted(training.predicted, key=lambda one: (len(one), one))
    assert len(files) == len(cases) > 2
    for path, case in zip(files, cases, strict=True):
        made = next((tmp_path / "out").glob(f"{path.name.split('.')[0]}.*"))
        check_geometry(made, path, name)
        labels = as_stored(made, name)
        native = resize(training.predicted[case], *labels.shape[1:], order=0)
        assert native.any(), "nothing to compare"
        assert np.array_equal(labels, native)
