"""The workflow as a person types it: planning, mistakes, faults, resuming after kill -9."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from safetensors.torch import load_file

ROOT = Path(__file__).parents[2]
CELL = "results/tiny/acdc/unet/plain/seed0"
TINY = {
    "name": "tiny",
    "variants": ["plain"],
    "seeds": [0],
    "grid": {"synapse": [], "acdc": ["unet"], "isic2018": [], "cvc_clinicdb": []},
    "datasets": {
        "acdc": {
            "raw": "raw",
            "phantom": {"patients": 6, "seed": 0, "size": [32, 40], "slices": [5, 6]},
            "split": {"name": "groups", "validation": 0.2, "test": 0.2, "seed": 0},
            "size": 32,
        }
    },
    "recipes": {
        "networks": {"unet": {"size": 32}},
        "overrides": {"epochs": 6, "batch": 4, "deterministic": True},
    },
}


def checkout(folder: Path) -> Path:
    """A checkout without results; the packages come from this one."""
    for name in ("Snakefile", "config.yaml", "claims.yaml"):
        if (ROOT / name).exists():
            shutil.copy(ROOT / name, folder)
    for name in ("workflow", "profiles"):
        shutil.copytree(ROOT / name, folder / name)
    (folder / "tiny.yaml").write_text(yaml.safe_dump(TINY))
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return checkout(tmp_path)


def command(*arguments: str, config: str | None = "tiny.yaml") -> list[str]:
    laid = ["--configfile", config] if config else []
    return [sys.executable, "-m", "snakemake", "--cores", "1", *arguments, *laid]


def environment(packages: Path = ROOT) -> dict[str, str]:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return {**os.environ, "PYTHONPATH": str(packages), "PATH": path, "CUDA_VISIBLE_DEVICES": ""}


def snakemake(
    folder: Path, *arguments: str, config: str | None = "tiny.yaml", packages: Path = ROOT
) -> subprocess.CompletedProcess:
    return subprocess.run(
        command(*arguments, config=config),
        cwd=folder, env=environment(packages), capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip


def change(folder: Path, **keys) -> None:
    (folder / "tiny.yaml").write_text(yaml.safe_dump({**TINY, **keys}))


def test_the_papers_plan_needs_no_data_and_loads_no_torch(folder):
    result = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "snakemake", "-n"],
        cwd=folder, env=environment(), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert result.returncode == 0, result.stdout[-3000:]
    loaded = {line.rsplit("|", 1)[-1].strip() for line in result.stderr.splitlines() if "|" in line}
    assert "snakemake" in loaded
    assert not {"torch", "monai", "matplotlib"} & loaded
    counts = dict(re.findall(r"^(\w+) +(\d+)$", result.stdout, flags=re.MULTILINE))
    # 180 cells; those of CVC-ClinicDB, a quarter, are five trainings each.
    assert counts["score"] == "180"
    assert counts["train"] == counts["predict"] == str(3 * 45 + 5 * 45)


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"sedes": [0]}, "unknown key 'sedes', did you mean seeds?"),
        (
            {"grid": {"acdc": ["unett"]}},
            "grid.acdc: no network 'unett' under baselines/, did you mean unet?",
        ),
    ],
)
def test_a_mistake_in_the_configuration_ends_at_once_with_its_place(folder, keys, message):
    change(folder, **keys)
    result = snakemake(folder)
    assert result.returncode == 1
    assert message in result.stdout + result.stderr
    assert "Traceback" not in result.stdout + result.stderr
    assert not (folder / "results").exists()


def test_a_missing_raw_folder_is_named_with_the_cure(folder):
    datasets = {"acdc": {**TINY["datasets"]["acdc"], "phantom": None, "raw": "nowhere"}}
    change(folder, datasets=datasets)
    result = snakemake(folder, "data")
    assert result.returncode == 1
    assert "nowhere" in result.stdout + result.stderr
    assert "run the same command again" in result.stdout + result.stderr
    assert not (folder / "results/tiny/acdc/raw.json").exists()


@pytest.mark.extended
def test_a_label_that_names_no_class_is_refused_and_leaves_nothing(folder):
    import nibabel
    import numpy as np

    assert snakemake(folder, "results/tiny/acdc/raw.json").returncode == 0
    path = sorted((folder / "raw/training/patient002").glob("*_gt.nii.gz"))[0]
    image = nibabel.Nifti1Image.from_filename(path)
    label = np.asarray(image.dataobj).copy()
    label[0, 0, 0] = 7
    nibabel.Nifti1Image(label, image.affine).to_filename(path)
    result = snakemake(folder, "data")
    assert result.returncode == 1
    text = result.stdout + result.stderr
    # The plan names the changed file as well; the refusal is the command's.
    assert re.search(rf"ERROR [^\n]*{re.escape(path.name)}[^\n]*\b7\b", text), text
    cases = folder / "results/tiny/acdc/cases"
    assert not cases.exists() or not list(cases.iterdir())


def wait_for(path: Path, text: str, seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if path.is_file() and text in path.read_text():
            return
        time.sleep(0.01)
    raise AssertionError(f"{path}: {text!r} did not appear in {seconds} s")


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one cell, trained; never changed."""
    folder = checkout(tmp_path_factory.mktemp("undisturbed"))
    result = snakemake(folder, f"{CELL}/run.json")
    assert result.returncode == 0, result.stderr[-2000:]
    return folder


@pytest.fixture
def prepared(undisturbed: Path, tmp_path: Path) -> Path:
    """The same folder before the training."""
    folder = tmp_path / "prepared"
    shutil.copytree(undisturbed, folder)
    shutil.rmtree(folder / CELL)
    return folder


def cut(folder: Path, number: signal.Signals) -> str:
    """Run the cell, send a signal to the whole process group in its third epoch; give what was said."""
    said = folder / "said"
    with said.open("w") as file:
        process = subprocess.Popen(
            ["env", "--default-signal=INT", *command(f"{CELL}/run.json")], cwd=folder, env=environment(),
            start_new_session=True, stdout=file, stderr=file,
        )  # fmt: skip
        wait_for(folder / CELL / "logs/train.log", "epoch 2/6")
        os.killpg(process.pid, number)
        assert process.wait(60) != 0
    assert not (folder / CELL / "last.safetensors").exists()
    return said.read_text()


def assert_goes_on(folder: Path, undisturbed: Path) -> None:
    resumed = snakemake(folder, f"{CELL}/run.json")
    assert resumed.returncode == 0, resumed.stderr[-2000:]
    assert "going on after epoch" in (folder / CELL / "logs/train.log").read_text()
    whole, again = (load_file(one / CELL / "last.safetensors") for one in (undisturbed, folder))
    assert whole.keys() == again.keys()
    assert all(whole[key].equal(again[key]) for key in whole)


@pytest.mark.faults
def test_after_kill_9_the_same_command_goes_on_and_ends_bitwise_the_same(prepared, undisturbed):
    cut(prepared, signal.SIGKILL)
    locked = snakemake(prepared, f"{CELL}/run.json")
    assert locked.returncode == 1
    assert "--unlock" in locked.stdout + locked.stderr
    assert snakemake(prepared, "--unlock").returncode == 0
    assert_goes_on(prepared, undisturbed)


@pytest.mark.faults
@pytest.mark.extended
def test_after_ctrl_c_the_same_command_goes_on_without_unlocking(prepared, undisturbed):
    said = cut(prepared, signal.SIGINT)
    assert re.search(r"The same command goes on after epoch \d of 6", said)
    assert_goes_on(prepared, undisturbed)


@pytest.mark.extended
def test_options_of_the_machine_reach_the_training_and_rerun_nothing(prepared, undisturbed):
    change(prepared, machine={"micro_batch": 2, "workers": 1}, jobs_per_gpu=2)
    result = snakemake(prepared, f"{CELL}/run.json")
    assert result.returncode == 0, result.stderr[-2000:]
    made = json.loads((prepared / CELL / "run.json").read_text())
    assert made["machine"] == {
        "workers": 1, "micro_batch": 2, "channels_last": False, "compile": False, "recompute": False,
        "tensorboard": False
    }  # fmt: skip
    plain = json.loads((undisturbed / CELL / "run.json").read_text())
    assert made["recipe_digest"] == plain["recipe_digest"]
    change(prepared, machine={"micro_batch": 4})
    again = snakemake(prepared, "-n", f"{CELL}/run.json")
    assert "Nothing to be done" in again.stdout + again.stderr


@pytest.mark.extended
def test_imported_cells_are_collected_into_the_workflows_report(folder):
    place = folder / "results/tiny/acdc/imported-other/salstm/seed3"
    place.mkdir(parents=True)
    for name in ("scores.csv", "history.csv", "run.json"):
        (place / name).write_text("")
    planned = snakemake(folder, "-n", "-p", "results/tiny/collected/tiny/cells.csv")
    collect = next(one for one in planned.stdout.splitlines() if "salstm collect" in one)
    assert '"imported": [["acdc", "imported-other", "salstm", 3]]' in collect
    assert "imported-other/salstm/seed3/scores.csv" in planned.stdout
    claims = snakemake(folder, "-n", "-p", "results/tiny/collected/tiny/claims.csv").stdout
    judged = next(one for one in claims.splitlines() if "salstm claims" in one)
    assert '"imported"' not in judged  # they are in no comparison


@pytest.mark.extended
def test_a_broken_cell_does_not_stop_the_others_and_the_report_names_it(folder):
    recipes = {
        "networks": {"unet": {"size": 32}, "dwunet": {"size": 32, "optimizer": {"lr": 1e30}}},
        "overrides": {"epochs": 1, "batch": 4},
    }
    change(folder, grid={**TINY["grid"], "acdc": ["dwunet", "unet"]}, recipes=recipes)
    result = snakemake(folder)
    assert result.returncode == 1
    assert "the loss is" in result.stdout + result.stderr
    assert (folder / CELL / "scores.csv").is_file()
    page = (folder / "reports/tiny/index.html").read_text()
    assert "dwunet" in page
    assert "the loss is" in page
    # The report that is there is no reason to leave it at that.
    planned = snakemake(folder, "-n")
    assert "results/tiny/acdc/dwunet/plain/seed0/run.json" in planned.stdout + planned.stderr
    # As the README has it: the counts alone.
    counts = snakemake(folder, "-n", "--quiet", "rules").stdout
    assert "\ntrain " in counts
    assert "run.json" not in counts


def test_the_whole_run_ends_with_a_report_and_a_second_one_has_nothing_to_do(folder):
    recipes = {"networks": {"unet": {"size": 32}}, "overrides": {"epochs": 1, "batch": 4}}
    change(folder, recipes=recipes)
    first = snakemake(folder)
    assert first.returncode == 0, first.stderr[-3000:]
    assert (folder / "reports/tiny/index.html").stat().st_size > 10_000
    facts = json.loads((folder / CELL / "run.json").read_text())
    assert facts["recipe"]["epochs"] == 1
    second = snakemake(folder)
    assert second.returncode == 0
    assert "Nothing to be done" in second.stdout + second.stderr
