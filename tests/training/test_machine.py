"""Options of a machine: checked by name, equal to the configuration's block, no part of a recipe."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from pathlib import Path

import pytest

import baselines
from salstm import config, recipes
from salstm.training import machine
from salstm.training.machine import Machine

ROOT = Path(__file__).parents[2]


def test_the_block_of_the_configuration_is_this_class_with_its_defaults():
    paper = config.checked(config.load(ROOT / "config.yaml"), baselines.names())
    assert paper["machine"] == dataclasses.asdict(Machine())
    recipe = recipes.resolve(paper, "acdc", "unet", "salstm")
    assert not recipes.given(recipe).keys() & paper["machine"].keys()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"microbatch": 2},
            r"unknown key 'microbatch', did you mean micro_batch\?.*Allowed: workers",
        ),
        ({"micro_batch": 0}, "micro_batch is 0; null or at least 1"),
        ({"workers": -1}, "workers is -1; null or at least 0"),
    ],
)
def test_mistakes_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        Machine.of(options)


def test_options_reach_the_jobs_of_this_process(monkeypatch):
    monkeypatch.setenv(machine.OPTIONS, "")
    machine.share({"workers": 2})
    told = "import json; from salstm.training import machine; print(json.loads(machine.shared())['workers'])"
    assert _job([sys.executable, "-c", told]) == "2"
    monkeypatch.delenv(machine.OPTIONS)
    assert machine.shared() == "{}"


def test_python_of_a_job_is_the_one_that_runs(monkeypatch):
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    machine.own_python()
    assert _job(["sh", "-c", "python -c 'import sys; print(sys.prefix)'"]) == sys.prefix


def _job(command: list[str]) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
