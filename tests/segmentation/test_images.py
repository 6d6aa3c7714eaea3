"""The way back from a reader's frames to a file's voxels is exact, however the file stores them."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest

from salstm.data.readers import volumes
from salstm.segmentation import images
from salstm.segmentation.images import Preparation

load: Any = nibabel.load
VOXELS = np.random.default_rng(0).integers(0, 900, (6, 5, 4)).astype(np.int16)


@pytest.mark.parametrize("world", list(itertools.permutations(range(3))))
@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("dataset", ["acdc", "synapse"])
def test_the_way_back_is_exact(dataset, sign, world, tmp_path: Path):
    """Thick slices along any axis of the patient: ACDC's come first, Synapse's volumes stay axial."""
    affine = np.eye(4)
    affine[:3, :3] = np.diag([1.5 * sign, 1.5, 8.0])[list(world)]
    path = tmp_path / "x.nii.gz"
    nibabel.save(nibabel.Nifti1Image(VOXELS, affine), path)
    read = volumes.read(path)
    if dataset == "acdc":
        read, _ = volumes.slices_first(read, read)
        assert read.array.shape[0] == 4
    found = images.read(path, Preparation(dataset, 1, 8, "minmax99"))
    assert found.native == read.array.shape[1:]
    assert np.array_equal(found.back(read.array), VOXELS)


def test_a_volume_without_axes_needs_to_be_told(tmp_path: Path):
    path = tmp_path / "x.nii"
    image = nibabel.Nifti1Image(VOXELS, None)
    nibabel.save(image, path)
    assert images.read(path, Preparation("acdc", 1, None, "minmax99")).frames.shape == (4, 5, 6)
    with pytest.raises(ValueError, match="--axes"):
        images.read(path, Preparation("synapse", 1, None, "minmax99"))
    told = images.read(path, Preparation("synapse", 1, None, "minmax99", "LPS"))
    assert np.array_equal(told.back(np.transpose(VOXELS, (2, 1, 0))), VOXELS)
