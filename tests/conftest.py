"""What many tests need: one thread, a small prepared phantom dataset, a small recipe."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from salstm.recipes import Recipe

NEEDS = {
    "browser": ({"chromium", "chromium-browser", "google-chrome"}, "apt install chromium"),
    "latex": ({"pdflatex"}, "apt install texlive-latex-recommended poppler-utils"),
    "java": ({"java"}, "apt install default-jre-headless"),
}
"""Marker -> programs of which one must be on the path, and what to install."""
ABSENT = pytest.StashKey[list[str]]()

# No test downloads from the world; those of the download talk to a server of their own and clear this.
os.environ["SALSTM_OFFLINE"] = "1"


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> Iterator[None]:
    """Small tensors are fastest on one thread, and sums are then the same on every machine."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def cases_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six phantom patients of ACDC, prepared at 32 pixels; never changed."""
    from salstm.data import datasets, phantoms

    root = tmp_path_factory.mktemp("acdc")
    phantoms.acdc(root / "raw", patients=6, seed=1, size=(32, 40), slices=(4, 5))
    split = {"name": "groups", "validation": 0.2, "test": 0.34, "seed": 0}
    datasets.prepare("acdc", root / "raw", root / "cases", split=split, size=32)
    return root / "cases"


@pytest.fixture
def recipe() -> Recipe:
    """A recipe of two short epochs at 32 pixels."""
    from salstm import recipes

    return recipes.load(
        {
            "activation": "softmax",
            "attention_size": 7744,
            "augment": "rotflip",
            "auxiliary": False,
            "batch": 8,
            "border": "authors",
            "deterministic": True,
            "epochs": 2,
            "evaluate_every": 1,
            "frames": 3,
            "freeze_norm_after": None,
            "scales": None,
            "loss": {"name": "cross_entropy_dice", "cross_entropy": 0.5, "dice": 0.5},
            "normalise": None,
            "optimizer": {"name": "adam", "lr": 1e-3, "weight_decay": 1e-4},
            "precision": "float32",
            "pretrained": False,
            "schedule": {"name": "poly", "power": 0.9},
            "size": 32,
        }
    )


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory, cases_folder: Path) -> Path:
    """The page of a whole made-up report, with a failed cell and pictures of ACDC; never changed."""
    from tests import site, synthetic

    failed = {("acdc", "transunet", "lstmsa", 1): ("failed", "train: the loss is <nan> & more")}
    made = synthetic.Made(states=failed)
    return site.build(tmp_path_factory.mktemp("whole"), made, cases_folder, phantoms=["acdc"])


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out tests whose program is not on this machine, unless their marker was asked for; whole runs go first.

    Of several processes one would else be left alone with the longest tests at the end.
    """
    items.sort(key=lambda one: "workflow" not in one.path.parts)
    asked = str(config.getoption("markexpr"))
    absent = {name for name, (programs, _) in NEEDS.items() if not any(map(shutil.which, programs))}
    left = {id(one): absent & {mark.name for mark in one.iter_markers()} for one in items}
    dropped = [one for one in items if any(name not in asked for name in left[id(one)])]
    if dropped:
        config.hook.pytest_deselected(items=dropped)
        items[:] = [one for one in items if one not in dropped]
    config.stash[ABSENT] = [name for one in dropped for name in sorted(left[id(one)])]


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Of several processes, each tells the one that prints what it left out: all collect the same tests."""
    output = getattr(session.config, "workeroutput", None)
    if output is not None:
        output["absent"] = session.config.stash.get(ABSENT, [])


class Workers:
    """What only pytest-xdist calls; a name that pytest does not know would be refused without it."""

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        """Keep what a process left out."""
        node.config.stash[ABSENT] = getattr(node, "workeroutput", {}).get("absent", [])


def pytest_configure(config: pytest.Config) -> None:
    """Listen to pytest-xdist where it is used."""
    config.pluginmanager.register(Workers())


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Say what was left out for want of a program: a silent gap looks like a success."""
    names = config.stash.get(ABSENT, [])
    for name in sorted(set(names)):
        programs, install = NEEDS[name]
        terminalreporter.write_line(
            f"NOT RUN: {names.count(name)} tests marked {name}: no {' or '.join(sorted(programs))} "
            f"on the path; {install}",
            yellow=True,
        )
