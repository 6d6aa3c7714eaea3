"""Raw files that change after a run: the same command prepares them again, and otherwise finds nothing to do."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

import numpy as np
import pytest
from nibabel.nifti1 import Nifti1Image

from salstm.data import phantoms
from tests.workflow.test_workflow import TINY, change, checkout, snakemake

NOTHING = "Nothing to be done"


def plan(folder: Path) -> str:
    done = snakemake(folder, "data", "-n")
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.mark.extended
def test_a_repaired_label_is_prepared_again_and_a_touched_folder_is_not(tmp_path):
    folder = checkout(tmp_path)
    made = TINY["datasets"]["acdc"]["phantom"]
    phantoms.acdc(folder / "mine", **made)
    change(folder, datasets={"acdc": {**TINY["datasets"]["acdc"], "phantom": None, "raw": "mine"}})
    assert snakemake(folder, "data").returncode == 0
    for path in (folder / "mine").rglob("*"):
        os.utime(path, (0, 0))
    assert NOTHING in plan(folder)

    path = sorted((folder / "mine/training/patient002").glob("*_gt.nii.gz"))[0]
    image = Nifti1Image.from_filename(path)
    label = np.asarray(image.dataobj).copy()
    label[tuple(np.argwhere(label == 3)[0])] = 2
    Nifti1Image(label, image.affine).to_filename(path)
    assert "1 changed: training/patient002" in plan(folder)
    assert snakemake(folder, "data").returncode == 0
    files = json.loads((folder / "results/tiny/acdc/cases/manifest.json").read_text())["source"][
        "files"
    ]
    name = path.relative_to(folder / "mine").as_posix()
    assert files[name]["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert NOTHING in plan(folder)
