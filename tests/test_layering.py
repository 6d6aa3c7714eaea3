"""Imports point one way, and packages stay light until they are used."""

from __future__ import annotations

import ast
import graphlib
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
ROOF = {"salstm/cli.py", "salstm/commands.py", "salstm/__main__.py"}


def imported(path: Path) -> set[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            found.add(node.module or "")
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def sources(package: str) -> list[Path]:
    return sorted((ROOT / package).rglob("*.py"))


def starts(names: set[str], prefix: str) -> set[str]:
    return {name for name in names if name == prefix or name.startswith(f"{prefix}.")}


def test_only_the_roof_imports_networks_and_nothing_imports_the_roof():
    for path in sources("salstm"):
        names = imported(path)
        place = path.relative_to(ROOT).as_posix()
        if place not in ROOF:
            assert not starts(names, "baselines"), place
        if place != "salstm/__main__.py":
            assert not starts(names, "salstm.cli"), place
        if place != "salstm/cli.py":
            assert not starts(names, "salstm.commands"), place


def test_a_network_imports_nothing_of_ours_and_no_other_network():
    for path in sources("baselines")[1:]:
        own = ".".join(["baselines", path.relative_to(ROOT / "baselines").parts[0]])
        names = imported(path)
        assert not starts(names, "salstm"), path
        registry = {"baselines", "baselines.card"}  # a network may read its own card
        others = {name for name in starts(names, "baselines") if not starts({name}, own)} - registry
        assert not others, path


def module(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def package(name: str) -> str:
    """The package or the file directly below salstm that a module lies in; `salstm` for the package itself."""
    return ".".join(name.split(".")[:2])


def arrows() -> dict[str, set[str]]:
    """Module -> the modules of ours that it imports anywhere, functions and types alone included."""
    paths = {module(path): path for path in sources("salstm")}
    return {name: (imported(path) & paths.keys()) - {name} for name, path in paths.items()}


@pytest.mark.parametrize("of", [str, package], ids=["files", "packages"])
def test_nothing_imports_itself_by_way_of_others(of):
    """Not counted: a package's own name, which an import of any of its modules names as well."""
    graph: dict[str, set[str]] = {}
    for name, others in arrows().items():
        inner = {
            other for other in others if not any(starts({one}, other) - {other} for one in others)
        }
        graph.setdefault(of(name), set()).update({of(one) for one in inner} - {of(name)})
    graphlib.TopologicalSorter(graph).prepare()  # raises CycleError, which names the circle


def test_modules_import_torch_alone():
    allowed = ("torch", "salstm.modules", "salstm.vocabulary", *sys.stdlib_module_names)
    for path in sources("salstm/modules"):
        names = imported(path) - {"salstm"}  # from salstm import vocabulary
        wrong = {name for name in names if not any(starts({name}, one) for one in allowed)}
        assert not wrong, path


def test_nothing_imports_the_workflow_and_no_file_is_a_bin():
    for path in [*sources("salstm"), *sources("baselines"), *sources("tests")]:
        assert not starts(imported(path), "workflow"), path
        assert path.stem not in {"utils", "helpers", "common", "misc"}, path


@pytest.mark.parametrize(
    "modules",
    [
        "salstm, baselines, salstm.cli, salstm.config, salstm.recipes, salstm.fingerprint, salstm.devices",
        "salstm.evaluation.scoring, salstm.evaluation.conventions, salstm.analysis.collect",
        "salstm.tables, salstm.figures, salstm.report",
    ],
)
def test_planning_and_reporting_load_no_torch(modules):
    code = f"import sys, {modules}; print(sorted({{'torch', 'monai'}} & set(sys.modules)))"
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "[]"
