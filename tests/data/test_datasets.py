"""The registry, and the whole road from raw files to a store."""

from __future__ import annotations

import hashlib
import logging
import os
import subprocess
import sys

import numpy as np
import pytest

from salstm import jobs
from salstm.data import audit, datasets, splits
from salstm.data.augment.intensity import NORMALISATIONS, minmax99
from salstm.data.readers import acdc
from salstm.data.store import Store

GROUPS = {"name": "groups", "validation": 0.25, "test": 0.25}


def test_importing_the_registry_loads_nothing_heavy():
    """The Snakefile imports it; a dry run must stay fast."""
    code = (
        "import sys, salstm.data.datasets, salstm.data.phantoms\n"
        "heavy = {'torch', 'pandas', 'nibabel', 'scipy', 'matplotlib', 'salstm.data.readers.acdc'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    made = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert made.stdout.strip() == "[]"


def test_every_entry_goes_by_its_key_and_names_its_licence_and_source():
    for name, entry in datasets.DATASETS.items():
        assert entry.name == name
        assert entry.module == f"salstm.data.readers.{name}"
        assert entry.binary == (len(entry.classes) == 1)
        assert entry.licence
        assert entry.citation
        assert entry.licence_url.startswith("https://")
    frames = {name: entry.frames for name, entry in datasets.DATASETS.items()}
    assert frames == {"synapse": 1, "acdc": 3, "isic2018": 1, "cvc_clinicdb": 3}


def test_the_acdc_module_says_what_the_registry_says():
    classes = datasets.DATASETS["acdc"].classes
    assert classes == datasets.reader("acdc").CLASSES
    assert acdc.NORMALISE in NORMALISATIONS


def test_an_unknown_dataset_gets_a_suggestion():
    assert datasets.check("acdc") == "acdc"
    with pytest.raises(ValueError, match=r"dataset 'ACDC': unknown.* Available: synapse, acdc"):
        datasets.check("ACDC")
    with pytest.raises(ValueError, match=r"dataset 'acdcc'.*Did you mean acdc\?"):
        datasets.reader("acdcc")


def test_the_raw_manifest_lists_sizes_and_hashes_by_relative_path(phantom):
    listed = datasets.raw_manifest("acdc", phantom)
    assert len(listed) == 20
    assert list(listed) == sorted(listed)
    for name, entry in listed.items():
        content = (phantom / name).read_bytes()
        assert entry == {"size": len(content), "sha256": hashlib.sha256(content).hexdigest()}


def test_prepare_writes_normalised_cases_on_the_grid_with_the_split(phantom, tmp_path):
    datasets.prepare("acdc", phantom, tmp_path / "s", split=GROUPS, size=32)
    store = Store(tmp_path / "s")
    assert [case.id for case in store.cases] == [
        identity for identity, _ in acdc.identities(phantom)
    ]
    parts = {case.group: case.split for case in store.cases}
    assert sorted(parts.values()) == ["test", "train", "train", "val"]
    assert all(parts[case.group] == case.split for case in store.cases)
    source = store.manifest["source"]
    assert source["dataset"] == "acdc"
    assert source["split"] == GROUPS
    assert source["files"] == datasets.raw_manifest("acdc", phantom)
    assert store.manifest["parameters"] == {"size": 32, "normalise": "minmax99"}
    for raw, case in zip(acdc.cases(phantom), store.cases, strict=True):
        np.testing.assert_array_equal(store.native(case), raw.label)
        assert case.spacing_mm == raw.spacing_mm


def test_prepare_in_native_size_keeps_the_normalised_volume(phantom, tmp_path):
    datasets.prepare("acdc", phantom, tmp_path / "s", split=GROUPS, size=None)
    store = Store(tmp_path / "s")
    for raw, case in zip(acdc.cases(phantom), store.cases, strict=True):
        np.testing.assert_array_equal(store.frames(case), minmax99(raw.image))
        np.testing.assert_array_equal(store.labels(case), raw.label)
        np.testing.assert_array_equal(store.native(case), raw.label)
    names = {path.name for path in (tmp_path / "s").iterdir()}
    assert names == {"images.npy", "labels.npy", "cases.csv", "facts.csv", "manifest.json"}


def test_prepare_refuses_files_that_are_not_those_of_the_list(raw, tmp_path):
    """Changed with its size and time kept, added, removed: each is named, and nothing is written."""
    listed = datasets.raw_manifest("acdc", raw)
    changed = raw / "training/patient002/Info.cfg"
    text, stat = changed.read_text(), changed.stat()
    cases = {
        "has another content": listed
        | {"training/patient002/Info.cfg": {"size": 1, "sha256": "0"}},
        "is gone": listed | {"training/patient009/Info.cfg": {"size": 1, "sha256": "0"}},
        "is not in the list": {
            one: listed[one] for one in listed if not one.endswith("002/Info.cfg")
        },
    }
    for state, manifest in cases.items():
        with pytest.raises(
            ValueError, match=rf"patient00[29]/Info\.cfg: {state}.*fetch, then prepare"
        ):
            datasets.prepare("acdc", raw, tmp_path / "s", split=GROUPS, size=32, manifest=manifest)
    changed.write_text(text.replace("Height: 1", "Height: 2"))
    os.utime(changed, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert changed.read_text() != text
    with pytest.raises(ValueError, match="has another content than when it was listed"):
        datasets.prepare("acdc", raw, tmp_path / "s", split=GROUPS, size=32, manifest=listed)
    assert not (tmp_path / "s").exists()


def test_a_file_that_changes_while_it_is_read_leaves_no_store(raw, tmp_path, monkeypatch):
    path = raw / "training/patient003/Info.cfg"
    states = datasets._states

    def touching(paths):
        """The state of now; then somebody writes."""
        found = states(paths)
        path.write_text(path.read_text() + " ")
        return found

    monkeypatch.setattr(datasets, "_states", touching)
    with pytest.raises(ValueError, match=r"patient003/Info\.cfg: changed while it was read"):
        datasets.prepare("acdc", raw, tmp_path / "s", split=GROUPS, size=32)
    assert not (tmp_path / "s").exists()


def test_a_part_of_a_published_split_can_be_prepared_and_audited_not_trained_on(
    phantom, tmp_path, caplog
):
    """Patients 1 to 4 are train, test, test, train; none validates."""
    with caplog.at_level(logging.WARNING):
        datasets.prepare("acdc", phantom, tmp_path / "s", split={"name": "paper"}, size=32)
    assert "lacks 96 of the 100 that split paper names: patient005, patient006" in caplog.text
    store = Store(tmp_path / "s")
    source = store.manifest["source"]
    assert source["parts"] == ["train", "val", "test"]
    assert len(source["absent"]) == 96
    table = audit.audit(store, datasets.DATASETS["acdc"].classes)
    counts = table[table["fact"] == "cases"].set_index("split")["value"]
    assert counts.to_dict() == {"train": 4, "val": 0, "test": 4}
    with pytest.raises(
        ValueError, match=r"no case to validate on; the raw folder lacks 96 .*groups"
    ):
        splits.check_trainable(source, store.cases)


def test_training_refuses_such_a_store_before_it_builds_a_network(phantom, tmp_path, recipe):
    datasets.prepare("acdc", phantom, tmp_path / "s", split={"name": "paper"}, size=32)
    identity = {"dataset": "acdc", "baseline": "unet", "variant": "plain", "seed": 0}
    paths = {"cases": tmp_path / "s", "out": tmp_path / "out"}
    with pytest.raises(ValueError, match="no case to validate on"):
        jobs.train(lambda **_: pytest.fail("built"), identity, recipe, **paths)
    assert not paths["out"].exists()


def test_a_split_that_names_none_of_the_cases_is_refused(phantom, tmp_path, monkeypatch):
    monkeypatch.setattr(splits, "load", lambda dataset, name: {"patient099": "train"})
    with pytest.raises(ValueError, match="split paper names none of the 8 cases"):
        datasets.prepare("acdc", phantom, tmp_path / "s", split={"name": "paper"}, size=32)
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_file_leaves_no_store(raw, tmp_path):
    path = raw / "training" / "patient004" / "patient004_frame01_gt.nii.gz"
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(ValueError, match="patient004_frame01_gt"):
        datasets.prepare("acdc", raw, tmp_path / "stores" / "s", split=GROUPS, size=32)
    assert list((tmp_path / "stores").iterdir()) == []
