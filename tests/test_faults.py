"""The fault matrix: whatever ends a training, the plain command then ends with the weights of an undisturbed run,
bit for bit; where it cannot, the error says what is wrong and nothing that is good is lost.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file

import baselines
from salstm import config, recipes
from salstm.data.store import Store
from salstm.training.trainer import SELECTIONS

pytestmark = [pytest.mark.faults, pytest.mark.extended]
ROOT = Path(__file__).parent.parent
KILLED, INTERRUPTED, TERMINATED = -9, 130, 143


def resolved(**changes: Any) -> dict[str, Any]:
    paper = config.checked(config.load(ROOT / "config.yaml"), baselines.names())
    recipe = recipes.resolve(paper, "acdc", "dwunet", "plain")
    small = {"size": 32, "epochs": 3, "batch": 8, "deterministic": True}
    return {**recipes.given(recipe), **small, **changes}


@dataclass
class Cell:
    """A training that can be run again and again."""

    cases: Path
    folder: Path

    def command(self, recipe: dict | None, machine: dict | None, fault: str | None) -> list[str]:
        module = ["tests.breaking", fault] if fault else ["salstm"]
        given = json.dumps(recipe or resolved())
        return [
            sys.executable, "-m", *module, "train", "--dataset", "acdc", "--baseline", "dwunet", "--variant", "plain",
            "--seed", "0", "--recipe", given, "--cases", str(self.cases), "--out", str(self.folder), "--device", "cpu",
            "--threads", "1", "--machine", json.dumps(machine or {}),
        ]  # fmt: skip

    def run(
        self,
        fault: str | None = None,
        *,
        recipe: dict | None = None,
        machine: dict | None = None,
        prefix: tuple[str, ...] = (),
    ) -> subprocess.CompletedProcess:
        result = subprocess.run(
            [*prefix, *self.command(recipe, machine, fault)],
            cwd=ROOT, capture_output=True, text=True, check=False, timeout=300, start_new_session=True,
        )  # fmt: skip
        assert "Traceback" not in result.stderr, result.stderr
        assert not list(self.folder.rglob("*.part")) or result.returncode == KILLED
        return result

    def go_on(self, after: int, **options: Any) -> subprocess.CompletedProcess:
        """The plain command, which must say where it goes on, end well, and tidy up."""
        result = self.run(**options)
        assert result.returncode == 0, result.stderr
        found = re.findall(r"going on after epoch (\d) of 3", result.stderr)
        assert found == ([str(after)] if after else []), result.stderr
        assert not (self.folder / "checkpoint").exists()
        assert not list(self.folder.rglob("*.part"))
        return result

    @property
    def state(self) -> Path:
        return self.folder / "checkpoint" / "state.pt"


def assert_equal(one: Cell, other: Cell) -> None:
    for selection in SELECTIONS:
        pair = [load_file(cell.folder / f"{selection}.safetensors") for cell in (one, other)]
        assert pair[0].keys() == pair[1].keys()
        assert all(torch.equal(pair[0][key], pair[1][key]) for key in pair[0])
    curves = [
        pd.read_csv(cell.folder / "history.csv").drop(columns=["seconds", "evaluation_seconds"])
        for cell in (one, other)
    ]
    pd.testing.assert_frame_equal(curves[0], curves[1])


@pytest.fixture(scope="module")
def undisturbed(cases_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Cell:
    cell = Cell(cases_folder, tmp_path_factory.mktemp("undisturbed"))
    cell.go_on(after=0)
    return cell


@pytest.fixture
def cell(cases_folder: Path, tmp_path: Path) -> Cell:
    return Cell(cases_folder, tmp_path / "cell")


@pytest.mark.parametrize(
    ("fault", "after"),
    [
        ("kill_in_mid_epoch", 1),
        ("kill_in_evaluation", 1),
        ("kill_while_the_checkpoint_is_written", 1),
        ("kill_between_the_renames", 1),
        ("kill_while_results_are_written", 3),
        ("kill_between_a_link_and_its_name", 3),
    ],
)
def test_after_kill_9_the_same_command_goes_on(undisturbed, cell, fault, after):
    assert cell.run(fault).returncode == KILLED
    assert not (cell.folder / "run.json").exists()
    cell.go_on(after)
    assert_equal(cell, undisturbed)


@pytest.mark.parametrize(
    ("fault", "code", "machine"),
    [
        ("terminate", TERMINATED, {}),
        ("interrupt_the_group", INTERRUPTED, {}),
        ("interrupt_the_group", INTERRUPTED, {"workers": 2}),
    ],
)
def test_a_signal_ends_it_at_once_and_says_where_it_goes_on(
    undisturbed, cell, fault, code, machine
):
    result = cell.run(fault, machine=machine)
    assert result.returncode == code, result.stderr
    assert "The same command goes on after epoch 1 of 3" in result.stderr
    assert not (cell.folder / "last.safetensors").exists()
    cell.go_on(1)
    assert_equal(cell, undisturbed)


def test_a_full_disk_is_named_and_costs_one_epoch(undisturbed, cell):
    result = cell.run("fill_the_disk")
    assert result.returncode == 1
    assert f"{cell.state}: cannot be written" in result.stderr
    assert "MiB are free on its disk" in result.stderr
    assert "The same command goes on after epoch 1 of 3" in result.stderr
    cell.go_on(1)
    assert_equal(cell, undisturbed)


def test_a_file_system_that_is_full_for_real(undisturbed, cell):
    """A tmpfs with room for one checkpoint, then for all."""
    space = ("unshare", "--map-root-user", "--mount", "bash", "-c")
    place = cell.folder
    place.mkdir()
    mount = f"mount -t tmpfs -o size=40m tmpfs {place}"
    if shutil.which("unshare") is None or subprocess.run([*space, mount], check=False).returncode:
        pytest.skip("this user may not mount a tmpfs")
    saved = cell.folder.with_name("saved")
    script = (
        f'{mount} && "$@"; echo "ended with $?" >&2; ls -A {place}/checkpoint >&2; '
        f'mount -o remount,size=200m {place} && "$@" && cp -r {place} {saved}'
    )
    result = cell.run(prefix=(*space, script, "bash"))
    assert result.returncode == 0, result.stderr
    assert "ended with 1" in result.stderr
    assert "No space left on device" in result.stderr or "cannot be written" in result.stderr
    assert "The same command goes on after epoch 1 of 3" in result.stderr
    assert "going on after epoch 1 of 3" in result.stderr
    assert ".part" not in result.stderr
    assert_equal(Cell(cell.cases, saved), undisturbed)


def flip_a_bit(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def cut_short(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1000])


@pytest.mark.parametrize("damage", [flip_a_bit, cut_short])
def test_a_damaged_checkpoint_is_set_aside_for_the_one_before(undisturbed, cell, damage):
    # Killed while the results are written: the last checkpoint is that of epoch 3, the one before of epoch 2.
    assert cell.run("kill_while_results_are_written").returncode == KILLED
    damage(cell.state)
    result = cell.go_on(2)
    assert re.search(
        r"state\.pt (is damaged|cannot be read).* kept as state\.pt\.set-aside", result.stderr
    )
    assert_equal(cell, undisturbed)


def test_without_any_good_checkpoint_it_begins_again(undisturbed, cell):
    assert cell.run("kill_while_results_are_written").returncode == KILLED
    flip_a_bit(cell.state)
    for path in cell.state.parent.glob("epoch-*"):
        cut_short(path)
    result = cell.go_on(0)
    assert "which is not there or damaged" in result.stderr
    assert_equal(cell, undisturbed)


def test_a_changed_recipe_trusts_no_old_checkpoint(undisturbed, cell, tmp_path):
    assert cell.run("kill_in_mid_epoch").returncode == KILLED
    other = resolved(optimizer={"name": "adam", "lr": 2e-4, "weight_decay": 1e-4})
    result = cell.go_on(0, recipe=other)
    assert "belongs to another recipe or data" in result.stderr
    fresh = Cell(cell.cases, tmp_path / "fresh")
    fresh.go_on(0, recipe=other)
    assert_equal(cell, fresh)
    with pytest.raises(AssertionError):
        assert_equal(cell, undisturbed)


def test_a_case_that_is_not_finite_is_named(undisturbed, cell, tmp_path):
    broken = Cell(Path(shutil.copytree(cell.cases, tmp_path / "cases")), cell.folder)
    case = Store(broken.cases).split("train")[1]
    images = np.load(broken.cases / "images.npy", mmap_mode="r+")
    good = images.copy()
    frame = images.size // sum(one.depth for one in Store(broken.cases).cases)
    images.reshape(-1)[case.first * frame : (case.first + case.depth) * frame] = np.nan
    images.flush()
    result = broken.run()
    assert result.returncode == 1
    assert re.search(
        rf"epoch 1, iteration \d+: the loss is nan; cases of the batch: .*{case.id}", result.stderr
    )
    images[...] = good
    images.flush()
    broken.go_on(0)
    assert_equal(broken, undisturbed)


@pytest.mark.parametrize(
    ("fault", "place"),
    [
        ("spoil_the_weights", r"epoch 2, iteration \d+"),
        ("spoil_the_weights_at_the_end_of_the_epoch", r"end of epoch 2, iteration \d+"),
    ],
)
def test_weights_that_are_not_finite_are_never_kept(undisturbed, cell, fault, place):
    result = cell.run(fault)
    assert result.returncode == 1
    assert re.search(
        rf"{place}: the weights network\S* are not finite since the last step or before; cases of its batch: patient",
        result.stderr,
    )
    cell.go_on(1)
    assert_equal(cell, undisturbed)


def test_memory_that_runs_out_gives_what_the_right_micro_batch_gives(cell, tmp_path):
    result = cell.run("run_out_of_memory")
    assert result.returncode == 0, result.stderr
    assert "out of memory: 2 items at a time from now on, the batch stays 8" in result.stderr
    told = Cell(cell.cases, tmp_path / "told")
    told.go_on(0, machine={"micro_batch": 2})
    assert_equal(cell, told)
    facts = [json.loads((one.folder / "run.json").read_text()) for one in (cell, told)]
    assert facts[0]["machine"]["micro_batch"] == facts[1]["machine"]["micro_batch"] == 2
    assert facts[0]["recipe"]["batch"] == 8


def test_a_loader_process_that_dies_is_named(undisturbed, cell):
    result = cell.run("lose_a_worker", machine={"workers": 1})
    assert result.returncode == 1
    assert re.search(
        r"a loader process died: .*The same command goes on after epoch 1 of 3", result.stderr
    )
    cell.go_on(1, machine={"workers": 1})
    assert_equal(cell, undisturbed)


def test_shared_memory_that_is_full_for_real_is_named(undisturbed, cell):
    """A /dev/shm of 64 kB, which a batch of eight does not fit into."""
    space = ("unshare", "--map-root-user", "--mount", "bash", "-c")
    mount = "mount -t tmpfs -o size=64k tmpfs /dev/shm"
    if shutil.which("unshare") is None or subprocess.run([*space, mount], check=False).returncode:
        pytest.skip("this user may not mount a tmpfs")
    result = cell.run(machine={"workers": 1}, prefix=(*space, f'{mount} && "$@"', "bash"))
    assert result.returncode == 1
    assert re.search(
        r"ran out of shared memory: .*/torch_\S+: No space left on device .*/dev/shm.*workers, 0 for none",
        result.stderr,
    ), result.stderr
    cell.go_on(0, machine={"workers": 1})
    assert_equal(cell, undisturbed)


def test_a_gpu_that_disappears_is_named(undisturbed, cell):
    result = cell.run("lose_the_gpu")
    assert result.returncode == 1
    assert re.search(
        r"the GPU failed: CUDA error: unspecified launch failure\. .*goes on after epoch 1 of 3",
        result.stderr,
    )
    cell.go_on(1)
    assert_equal(cell, undisturbed)
