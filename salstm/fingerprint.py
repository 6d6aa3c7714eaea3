"""A hash of the code that a job runs: edits to it rerun the job, comments and docstrings do not."""

from __future__ import annotations

import ast
import atexit
import hashlib
import json
import sys
from contextlib import suppress
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parent.parent
PACKAGES = ("salstm", "baselines")
ROOF = "salstm.cli"
NAMES = "salstm.vocabulary"
"""Labels, colours and the names of all variants and metrics: no training depends on those of others."""
CACHE = Path(".snakemake/salstm-fingerprints.json")
"""Digests by file, size and time: parsing a hundred modules takes longer than Snakemake's plan."""


@cache
def fingerprint(*modules: str) -> str:
    """Hash of the syntax trees of these modules and of everything of ours that they import.

    Imports inside functions count; ``salstm.cli`` does not (it imports everything and only passes arguments on),
    nor does ``salstm.vocabulary`` where it is not asked for by name.
    """
    seen: dict[str, str] = {}
    waiting = list(modules)
    while waiting:
        name = waiting.pop()
        if name in seen or name == ROOF or (name == NAMES and name not in modules):
            continue
        digest, imports = _module(name)
        seen[name] = digest
        waiting.extend(imports)
    text = "\n".join(f"{name} {digest}" for name, digest in sorted(seen.items()))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


@cache
def _module(name: str) -> tuple[str, tuple[str, ...]]:
    path = _path(name)
    if path is None:
        raise ModuleNotFoundError(f"{name}: no such module under {ROOT}")
    stat = path.stat()
    key = f"{path} {stat.st_size} {stat.st_mtime_ns} {sys.version}"
    if key not in _known():
        _known()[key] = _digest(path.read_text(encoding="utf-8"), name)
    digest, imports = _known()[key]
    return digest, tuple(imports)


def _digest(text: str, name: str) -> tuple[str, list[str]]:
    """Hash of a module's syntax tree, and what of ours it imports."""
    tree = ast.parse(text)
    imports = {found for node in ast.walk(tree) for found in _imports(node)}
    _strip_docstrings(tree)
    digest = hashlib.sha256(ast.dump(tree).encode()).hexdigest()
    return digest, sorted(imports - {name})


@cache
def _known() -> dict[str, tuple[str, list[str]]]:
    """What earlier plans found; written back at exit, and dropped if it cannot be read."""
    known: dict[str, tuple[str, list[str]]] = {}
    with suppress(OSError, ValueError):
        known.update(json.loads(CACHE.read_text(encoding="utf-8")))
    before = len(known)

    def write() -> None:
        if len(known) != before and CACHE.parent.is_dir():
            with suppress(OSError):
                CACHE.write_text(json.dumps(known), encoding="utf-8")

    atexit.register(write)
    return known


def _path(name: str) -> Path | None:
    base = ROOT.joinpath(*name.split("."))
    for path in (base.with_suffix(".py"), base / "__init__.py"):
        if path.is_file():
            return path
    return None


def _imports(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        names = [alias.name for alias in node.names]
    elif isinstance(node, ast.ImportFrom) and node.module:
        names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    else:
        return []
    return [name for name in names if name.split(".")[0] in PACKAGES and _path(name)]


def _strip_docstrings(tree: ast.Module) -> None:
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            first = node.body[0] if node.body else None
            if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant):
                node.body = node.body[1:] or [ast.Pass()]
