"""Random changes to files: the oracle's values, or a refusal that names the file; never anything else."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from tests.data.readers import fuzz


def run(datasets: dict[str, Path], folder: Path, trials: int, seed: int) -> Counter[str]:
    outcomes: Counter[str] = Counter()
    for number in range(trials):
        generator = np.random.default_rng([seed, number])
        try:
            _, outcome = fuzz.trial(generator, datasets, folder)
        except Exception as error:
            error.add_note(f"trial {number} of seed {seed}")
            raise
        outcomes[outcome] += 1
    return outcomes


def test_random_changes_of_phantoms(phantom, abdomens, lesions, videos, tmp_path):
    datasets = {"acdc": phantom, "synapse": abdomens, "isic2018": lesions, "cvc_clinicdb": videos}
    outcomes = run(datasets, tmp_path, 60, seed=0)
    assert min(outcomes[one] for one in ("kept", "oracle", "refused")) > 5, outcomes


@pytest.mark.data
@pytest.mark.parametrize("part", range(10))
def test_random_changes_of_real_files(tmp_path, part):
    """500 in all."""
    top = Path(os.environ.get("SALSTM_DATA", "data/raw"))
    datasets = {name: top / name for name in fuzz.READERS if (top / name).is_dir()}
    assert datasets, f"{top}: no raw data; SALSTM_DATA names their folder"
    outcomes = run(datasets, tmp_path, 50, seed=100 + part)
    assert outcomes.total() == 50
