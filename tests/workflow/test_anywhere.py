"""The workflow from other folders: another working folder, as a module of another workflow, without a shared disk."""

from __future__ import annotations

import importlib.util
import os
import shutil
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from tests.workflow.test_workflow import (
    CELL,
    ROOT,
    TINY,
    checkout,
    environment,
    snakemake,
    undisturbed,
)

__all__ = ["undisturbed"]

PAGE = "reports/tiny-isic2018/index.html"
ISIC = {
    **TINY,
    "grid": {"synapse": [], "acdc": [], "isic2018": ["unet"], "cvc_clinicdb": []},
    "datasets": {
        "isic2018": {
            "raw": "raw",
            "phantom": {"images": 8, "seed": 0, "size": [32, 40]},
            "split": {"name": "groups", "validation": 0.2, "test": 0.2, "seed": 0},
            "size": 32,
        }
    },
    "recipes": {
        "networks": {"unet": {"size": 32}},
        "overrides": {"epochs": 1, "batch": 4, "pretrained": False},
    },
    "statistics": {"resamples": 100},
}
MODULE = """
configfile: "mine.yaml"

module salstm:
    snakefile: "{snakefile}"
    config: config

use rule * from salstm as suite_*

rule mine:
    input: rules.suite_isic2018.input
    default_target: True
"""
# What the storage plugin calls, where it is not on this machine: --recursive --times --copy-links SOURCE TARGET.
RSYNC = """#!{python}
import shutil, sys
from pathlib import Path
*_, source, target = sys.argv
at = Path(target)
if Path(source).is_dir():
    shutil.copytree(source, at / Path(source).name if not source.endswith("/") else at, dirs_exist_ok=True)
else:
    shutil.copy2(source, at)
"""


def run(folder: Path, *arguments: str | Path, **variables: str) -> str:
    """Snakemake in a folder that is not the checkout, and without its packages on the path."""
    there = {**environment(), **variables}
    del there["PYTHONPATH"]
    command = [sys.executable, "-m", "snakemake", "--cores", "1", *map(str, arguments)]
    result = subprocess.run(
        command, cwd=folder, env=there, capture_output=True, text=True, check=False, timeout=600
    )
    said = result.stdout + result.stderr
    assert result.returncode == 0, said[-4000:]
    return said


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(ISIC))
    return tmp_path


@pytest.mark.extended
def test_from_another_folder_from_fetch_to_report(folder):
    place = ("--configfile", "mine.yaml", "-s", ROOT / "Snakefile")
    said = run(folder, *place, "isic2018")
    assert f"export PYTHONPATH={ROOT}" in said
    assert (folder / PAGE).is_file()
    assert "Nothing to be done" in run(folder, *place, "-n", "isic2018")
    # The printed line makes the cell again.
    line = next(one for one in said.splitlines() if "-m salstm train " in one)
    shutil.rmtree(folder / "results/tiny/isic2018/unet/plain/seed0")
    typed = f"export PYTHONPATH={ROOT}; {line.removeprefix('Shell command: ').strip()}"
    subprocess.run(["bash", "-c", typed], cwd=folder, env=environment(), check=True)
    assert (folder / "results/tiny/isic2018/unet/plain/seed0/run.json").is_file()


@pytest.mark.extended
def test_a_config_yaml_of_the_working_folder_is_laid_over_the_shipped_one(folder):
    (folder / "mine.yaml").rename(folder / "config.yaml")
    place = ("-n", "isic2018", "-s", ROOT / "Snakefile")
    assert PAGE in run(folder, *place)
    assert "reports/other-isic2018" in run(folder, *place, "--config", "name=other")


@pytest.mark.extended
def test_as_a_module_of_another_workflow(folder):
    """Its plan and its first jobs; the whole of it is extended."""
    (folder / "Snakefile").write_text(MODULE.format(snakefile=ROOT / "Snakefile"))
    assert "suite_page" in run(folder, "-n")
    run(folder, "results/tiny/isic2018/audit.csv")
    assert (folder / "results/tiny/isic2018/audit.csv").is_file()


@pytest.mark.extended
def test_as_a_module_of_another_workflow_from_fetch_to_report(folder):
    (folder / "Snakefile").write_text(MODULE.format(snakefile=ROOT / "Snakefile"))
    run(folder)
    assert (folder / PAGE).is_file()
    assert "Nothing to be done" in run(folder, "-n")


@pytest.mark.extended
def test_copied_results_are_told_up_to_date(undisturbed, tmp_path):
    """As `cp -r` leaves them: the times are those of copying, here the cases' last, and Snakemake's records stay."""
    folder = tmp_path / "other"
    folder.mkdir()
    checkout(folder)
    for name in ("results", "raw"):
        shutil.copytree(undisturbed / name, folder / name, copy_function=shutil.copyfile)
    stamp = folder / "results/tiny/acdc/cases/.snakemake_timestamp"
    os.utime(stamp, (time.time() + 1, time.time() + 1))
    weights = folder / CELL / "last.safetensors"
    before = weights.read_bytes()
    assert "\ntrain " in snakemake(folder, "-n", f"{CELL}/run.json").stdout
    assert snakemake(folder, "--touch", f"{CELL}/run.json").returncode == 0
    said = snakemake(folder, "-n", f"{CELL}/run.json")
    assert "Nothing to be done" in said.stdout + said.stderr
    assert weights.read_bytes() == before


@pytest.mark.extended
@pytest.mark.storage
def test_without_a_shared_file_system_from_fetch_to_report(folder):
    """Inputs come from the storage, outputs go there, and copies beside the job are removed: nothing else is read."""
    assert importlib.util.find_spec("snakemake_storage_plugin_fs"), "install the test extra"
    tools = folder / "tools"
    tools.mkdir()
    if not shutil.which("rsync"):
        (tools / "rsync").write_text(RSYNC.format(python=sys.executable))
        (tools / "rsync").chmod(stat.S_IRWXU)
    store = folder / "store"
    work = folder / "work"
    work.mkdir()
    place = ("--configfile", folder / "mine.yaml", "-s", ROOT / "Snakefile")
    storage = ("--default-storage-provider", "fs", "--default-storage-prefix", store)
    there = {"PATH": f"{tools}:{environment()['PATH']}"}
    run(work, *place, *storage, "--shared-fs-usage", "none", "--", "isic2018", **there)
    assert (store / PAGE).is_file()
    assert not (work / "results").exists()
    page = (store / PAGE).read_text()
    assert 'class="picture' in page or "webp" in page
