"""Which edits of the code rerun which jobs: asked of the real rules, through the real Snakefile."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.workflow.test_workflow import (
    CELL,
    ROOT,
    checkout,
    environment,
    snakemake,
    undisturbed,
)

__all__ = ["undisturbed"]

pytestmark = pytest.mark.extended

TRAINER, STEP = "salstm/training/trainer.py", "salstm/training/step.py"
LOSSES, DATASETS = "salstm/optimisation/losses.py", "salstm/data/datasets.py"
AUGMENTS = "salstm/data/augment/recipes.py"
REPORTING = {"claims", "tables", "figures", "export", "page"}

RERUN = {
    # name: (file, old text, new text), the rules that run again, what their jobs have in common: one of these
    "seed of the initialisation": (
        ("salstm/training/model.py", "manual_seed(seed)", "manual_seed(seed + 1)"),
        {"train", "predict", "sparsity", "count"},
        "",
    ),
    "cases that select weights": (
        ("salstm/jobs/training.py", "inner_test=dataset.frames == 3", "inner_test=True"),
        {"train"},
        "",
    ),
    "dropout's seed of an epoch": (
        (TRAINER, "mixed(self.setting.seed, epoch)", "mixed(self.setting.seed, 0)"),
        {"train"},
        "",
    ),
    "a step's share of a batch": (
        (STEP, "share = len(label) / count", "share = 1 / count"),
        {"train"},
        "",
    ),
    "order of the windows": (
        (
            "salstm/training/loader.py",
            "torch.randperm(self.length,",
            "torch.randperm(self.length - 0,",
        ),
        {"train"},
        "",
    ),
    "a network": (
        ("baselines/unet/model.py", "(32, 64, 128, 256, 512)", "(16, 64, 128, 256, 512)"),
        {"train", "count", "sparsity"},
        " unet ",
    ),
    "how every network is built": (
        ("baselines/__init__.py", "folder.build(in_channels, ", "folder.build(1 * in_channels, "),
        {"train"},
        "",
    ),
    "a network's own augmentation": (
        (
            AUGMENTS,
            "",
            "\n\ndef hardnet_dfus(frames, label, generator):\n    return frames, label\n",
        ),
        {"train"},
        "hardnet_dfus ",
    ),
    "a loss": (
        (LOSSES, "target.square().sum(axes) + 1e-5", "target.square().sum(axes) + 1e-4"),
        {"train"},
        (" synapse ", " acdc "),
    ),
    "a module": (
        ("salstm/modules/lstmsa.py", "value = h * self.value(h)", "value = self.value(h)"),
        {"train", "sparsity", "count"},
        (" lstmsa", "sparsity ", "count "),
    ),
    "neighbours of a frame": (
        ("salstm/training/windows.py", "max(frame - 1, first)", "max(frame - 2, first)"),
        {"train", "predict", "sparsity"},
        "",
    ),
    "classes of a dataset": (
        (DATASETS, '("RV", "MYO", "LV")', '("RV", "LV")'),
        {"fetch", "prepare", "check", "train", "count", "bounds", *REPORTING},
        (" acdc", " paper"),
    ),
    "a reader": (
        ("salstm/data/readers/isic2018.py", "", "\n\ndef find(raw):\n    return raw\n"),
        {"fetch", "prepare", "check"},
        " isic2018",
    ),
    "a table that a reader reads": (
        ("salstm/data/readers/cvc_sequences.csv", "", "700,30\n"),
        {"fetch", "prepare", "check"},
        " cvc_clinicdb",
    ),
    "a phantom": (
        ("salstm/data/phantoms/skin.py", "", "\n\ndef isic2018(folder, **_):\n    return folder\n"),
        {"fetch"},
        " isic2018",
    ),
    "how groups are drawn": (
        ("salstm/data/splits.py", "", "\n\ndef resolve(*_):\n    return {}\n"),
        {"prepare"},
        "",
    ),
    "a metric": (
        ("salstm/evaluation/metrics.py", "", "\n\ndef dice(pair):\n    return 0.0\n"),
        {"score", "bounds"},
        "",
    ),
    "what is measured beside networks": (
        ("salstm/evaluation/bounds.py", "np.zeros_like(oracle)", "np.ones_like(oracle)"),
        {"bounds"},
        "",
    ),
    "which images are the same": (
        ("salstm/data/groups.py", "", "\n\ndef united(cases, frames):\n    return {}\n"),
        {"prepare"},
        "",
    ),
    "how folds are drawn": (
        ("salstm/data/splits.py", "", "\n\ndef resolve_folds(*_):\n    return []\n"),
        {"prepare"},
        "",
    ),
    "the seed of a fold": (
        ("salstm/jobs/training.py", 'mixed(identity["seed"], fold)', 'identity["seed"]'),
        {"train"},
        "",
    ),
    "multiply-adds": (
        ("salstm/cost/flops.py", "", "\n\ndef cost(model, example, seconds):\n    return {}\n"),
        {"count"},
        "",
    ),
    "a test of the statistics": (
        ("salstm/analysis/statistics.py", "", "\n\ndef holm(p):\n    return p\n"),
        {"claims"},
        "",
    ),
    "what a table rounds": (
        ("salstm/tables/formats.py", "", "\n\ndef csv(table):\n    return ''\n"),
        {"tables", "page"},
        "",
    ),
    "what runs when a module is imported": (
        (STEP, "log = logging", "torch.set_flush_denormal(True)\nlog = logging"),
        {"train"},
        "",
    ),
}

STAYS = {
    "a phantom of a dataset whose real data are used": (
        "salstm/data/phantoms/heart.py",
        "",
        "\n\ndef acdc(folder, **_):\n    return folder\n",
    ),
    "a comment": (TRAINER, "import math\n", "import math  # for isnan\n"),
    "a docstring": (TRAINER, '"""The loop behind', '"""The loop that is behind'),
    "an annotation": (TRAINER, "def run(self) -> State:", "def run(self):"),
    "the unit of a bar": ("salstm/training/progress.py", "EVERY_S = 60.0", "EVERY_S = 30.0"),
    "a line of the log": (TRAINER, '"going on after epoch', '"continues after epoch'),
    "what is said after an interruption": (TRAINER, "No epoch is on disk yet", "No epoch is kept"),
    "the text of an error": (STEP, "Lower the learning rate, use", "Lower the rate, or use"),
    "the text of a known failure": ("salstm/training/errors.py", "the GPU failed", "a GPU failed"),
    "the text of an error in preparing": (
        DATASETS,
        "names none of the",
        "has none of the",
    ),
    "did you mean": ("salstm/vocabulary.py", "Did you mean", "Was it"),
    "the text of a network's error": ("baselines/__init__.py", "Set the recipe's size", "Set its size"),
    "TensorBoard": ("salstm/training/tensorboard.py", "", "\nNAME = 1\n"),
    "energy and memory": ("salstm/training/resources.py", "", "\n\ndef peak_bytes(device):\n    return 0\n"),
    "the record's circumstances": ("salstm/jobs/training.py", '"joules": state.joules', '"joule": state.joules'),
    "provenance": ("salstm/provenance.py", '"scipy",', '"scipy",\n    "rich",'),
    "slots of the GPUs": ("salstm/devices.py", "poll_s: float = 1.0", "poll_s: float = 2.0"),
    "a help text": ("salstm/options.py", "CPU threads; 0: all", "threads; 0: all"),
    "a citation": (DATASETS, "Bernard et al., Deep", "O. Bernard et al., Deep"),
    "a card's text": ("baselines/unet/card.yaml", "deviations:\n", "deviations:\n  - none\n"),
    "another loss": (LOSSES, '    "bce": bce,\n', '    "bce": bce,\n    "bce2": bce,\n'),
    "a function that nothing calls": (STEP, "", "\n\ndef unused():\n    return 1\n"),
    "another command": ("salstm/doctor.py", "TOLD = 3", "TOLD = 4"),
    "the plan's estimates": ("salstm/cost/estimate.py", "", "\n\ndef minutes(seconds):\n    return 0\n"),
}  # fmt: skip


@pytest.fixture(scope="module")
def changed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    """By edit, the jobs whose code it changed: 'rule wildcards...'."""
    folder = checkout(tmp_path_factory.mktemp("edits"))
    packages(folder)
    edits = {**{name: edit for name, (edit, _, _) in RERUN.items()}, **STAYS}
    (folder / "edits.json").write_text(json.dumps(edits))
    script = ROOT / "tests/workflow/edits.smk"
    command = [sys.executable, "-m", "snakemake", "-n", "--quiet", "-s", script, "data"]
    there = {**environment(), "PYTHONPATH": str(folder)}
    run = subprocess.run(
        command, cwd=folder, env=there, capture_output=True, text=True, check=False
    )
    assert (folder / "changed.json").is_file(), run.stdout[-3000:] + run.stderr[-3000:]
    found = json.loads((folder / "changed.json").read_text())
    assert len(found["jobs"]) > 200
    return {"jobs": found["jobs"], **found["changed"]}


def packages(folder: Path) -> None:
    """Copies of the packages, to be edited."""
    for name in ("salstm", "baselines"):
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / name, folder / name, ignore=ignored)


def test_every_edit_is_one():
    """A text that is not there would change nothing, and pass for an edit that reruns nothing."""
    edits = {**{name: edit for name, (edit, _, _) in RERUN.items()}, **STAYS}
    for name, (file, old, new) in edits.items():
        text = (ROOT / file).read_text(encoding="utf-8")
        assert old in text, name
        assert old != new, name


@pytest.mark.parametrize("name", RERUN)
def test_what_decides_numbers_runs_again_and_nothing_else_does(changed, name):
    _, rules, part = RERUN[name]
    parts = (part,) if isinstance(part, str) else part
    expected = [
        job for job in changed["jobs"]
        if job.split()[0] in rules and any(one in job for one in parts)
    ]  # fmt: skip
    assert expected
    assert {job.split()[0] for job in changed[name]} == rules
    assert sorted(changed[name]) == sorted(expected)


@pytest.mark.parametrize("name", STAYS)
def test_what_decides_nothing_reruns_nothing(changed, name):
    assert changed[name] == []


def test_snakemake_plans_what_an_edit_reruns(undisturbed, tmp_path):
    folder = tmp_path / "checkout"
    shutil.copytree(undisturbed, folder)
    packages(folder)

    def plan() -> str:
        result = snakemake(folder, "-n", f"{CELL}/run.json", packages=folder)
        assert result.returncode == 0, result.stderr
        return result.stdout + result.stderr

    path = folder / "salstm/training/step.py"
    text = path.read_text()
    path.write_text(text.replace("Lower the learning rate", "Lower the rate"))
    assert "Nothing to be done" in plan()
    path.write_text(text.replace("share = len(label) / count", "share = 1 / count"))
    said = plan()
    assert "Params have changed since last execution" in said or "params" in said
    assert "\ntrain " in said
    assert "\nprepare " not in said
