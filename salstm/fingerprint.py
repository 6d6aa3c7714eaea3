"""A hash of the code that decides a job's numbers: edits to it rerun the job.

It starts at the job's function and follows the names that definitions use (``salstm.definitions``), through imports,
also those inside functions. What is not known to be cosmetic is hashed.
"""

from __future__ import annotations

import atexit
import hashlib
import json
import os
import re
import sys
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

from salstm import definitions
from salstm.definitions import Module

ROOT = Path(__file__).parent.parent
CACHE = Path(".snakemake/salstm-fingerprints.json")
"""Modules by file, size and time: parsing a hundred of them takes longer than Snakemake's plan. Walks by all files'."""
WALK = "walk "
COSMETIC = (
    # Says how it goes, what it takes, what went wrong and where it ran.
    "salstm.data.acquire.progress",
    "salstm.devices",
    "salstm.provenance",
    "salstm.training.errors:explained",
    "salstm.training.progress",
    "salstm.training.resources",
    "salstm.training.tensorboard",
    "salstm.training.trainer:Trainer._left",
    "salstm.files:no_room",
    "salstm.jobs.training:_circumstances",
    "salstm.jobs.training:_watched",
    # Says which name was meant.
    "salstm.vocabulary:check",
    "salstm.vocabulary:nearest",
    "salstm.schemas:nearest",
    "salstm.parameters:Kind.problems",
    "baselines:check",
    "baselines:_InputCheck",
    # This.
    "salstm.definitions",
    "salstm.fingerprint",
)
"""What decides no number: modules, and definitions and methods of modules. Nothing is followed from there."""


class NoSuchCodeError(LookupError):
    """A module, a definition or an entry that is not there."""


@cache
def fingerprint(*roots: str) -> str:
    """Hash of the code that is reached from some roots.

    Args:
        *roots: ``module``: all of it; ``module:name``: a definition; ``module:NAME[key]``: of a dictionary that is
            written out, this entry alone, whatever else uses the dictionary (``NAME[key][key]``: of one inside;
            ``NAME[]``: none of it).

    Raises:
        NoSuchCodeError: a root that is not there.
    """
    chosen = frozenset(root.split("[")[0] for root in roots if "[" in root)
    text = "\n".join(sorted({_reached(one, chosen) for one in roots if not one.endswith("[]")}))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def reached(*roots: str) -> list[str]:
    """What ``fingerprint`` hashes, one line a definition: to see why an edit reran something."""
    chosen = frozenset(root.split("[")[0] for root in roots if "[" in root)
    return sorted({line for root in roots for line in _walk(root, chosen) if root[-2:] != "[]"})


@cache
def _reached(root: str, chosen: frozenset[str]) -> str:
    key = f"{WALK}{_state()} {root} {' '.join(sorted(chosen))}"
    if key not in _known():
        _known()[key] = hashlib.sha256("\n".join(_walk(root, chosen)).encode()).hexdigest()
    return _known()[key]


def _walk(root: str, chosen: frozenset[str]) -> list[str]:
    """Name and digest of everything that is reached, sorted."""
    seen: dict[str, str] = {}
    waiting = [root]
    while waiting:
        place = waiting.pop()
        if place in seen or place in chosen or _cosmetic(place):
            continue
        digest, uses = _place(place)
        seen[place] = digest
        for use in uses:
            waiting.extend(_places(use))
    return [f"{place} {digest}" for place, digest in sorted(seen.items())]


def _place(place: str) -> tuple[str, list[str]]:
    """Digest and uses of a place: ``=file``, ``!module`` (its effects), ``module``, ``module:name[key]``."""
    if place[0] == "=":
        return hashlib.sha256((ROOT / place[1:]).read_bytes()).hexdigest()[:16], []
    name, _, definition = place.lstrip("!").partition(":")
    module = _module(name)
    if place[0] == "!":
        digest, uses = module["effects"]
        parent = name.rpartition(".")[0]
        return digest, [*uses, *(f"!{one}" for one in (*module["loads"], parent) if one)]
    if not definition:
        return "", [f"!{name}", *(f"{name}.{one}" for one in module["definitions"])]
    key = re.fullmatch(r"(\w+)\[(.+)\]", definition)
    try:
        found = module["entries"][key[1]][key[2]] if key else module["definitions"][definition]
    except KeyError:
        raise NoSuchCodeError(
            f"{place}: no such definition, or no dictionary with that key"
        ) from None
    return found[0], [*found[1], f"!{name}"]


@cache
def _places(use: str) -> tuple[str, ...]:
    """Where a dotted name leads; to all of a module where its part is not known."""
    if use[0] == "=":
        return (use,)
    if use[0] == "!":
        return (use,) if _path(use[1:]) else ()
    parts = use.split(".")
    count = next((n for n in range(len(parts), 0, -1) if _path(".".join(parts[:n]))), 0)
    name = ".".join(parts[:count])
    if not count or count == len(parts):
        return (name,) if count else ()
    module, part = _module(name), parts[count]
    if part in module["definitions"]:
        return (f"{name}:{part}",)
    if part in module["imports"]:
        return (*_places(".".join([module["imports"][part], *parts[count + 1 :]])), f"!{name}")
    return (name,)


@cache
def _cosmetic(place: str) -> bool:
    name = place.lstrip("!")
    return any(name == one or name.startswith((f"{one}.", f"{one}:")) for one in COSMETIC)


@cache
def _module(name: str) -> Module:
    path = _path(name)
    if path is None:
        raise NoSuchCodeError(f"{name}: no such module under {ROOT}")
    stat = path.stat()
    key = f"{path} {stat.st_size} {stat.st_mtime_ns} {_version()}"
    if key not in _known():
        methods = [one.partition(":")[2] for one in COSMETIC if one.startswith(f"{name}:")]
        _known()[key] = definitions.parse(path, name, ROOT, methods)
    return _known()[key]


@cache
def _state() -> str:
    """Of all our files, by name, size and time: where none changed, every walk leads where it led."""
    found = sorted(line for name in definitions.PACKAGES for line in _stats(ROOT / name))
    return hashlib.sha256("\n".join([_version(), *found]).encode()).hexdigest()[:16]


def _stats(folder: Path | str) -> Iterator[str]:
    for entry in os.scandir(folder):
        if not entry.is_dir():
            yield f"{entry.path} {entry.stat().st_size} {entry.stat().st_mtime_ns}"
        elif entry.name != "__pycache__":
            yield from _stats(entry.path)


@cache
def _version() -> str:
    """Of what is kept: another Python, or other rules, parse anew."""
    rules = b"".join(Path(one).read_bytes() for one in (__file__, definitions.__file__))
    return f"{sys.version_info[:3]} {hashlib.sha256(rules).hexdigest()[:16]}"


@cache
def _known() -> dict[str, Any]:
    """What earlier plans found, modules and walks; written back at exit, and dropped if it cannot be read."""
    known: dict[str, Any] = {}
    with suppress(OSError, ValueError):
        known.update(json.loads(CACHE.read_text(encoding="utf-8")))
    before = set(known)

    def write() -> None:
        if set(known) != before and CACHE.parent.is_dir():
            with suppress(OSError):
                stale = {key for key in known if key.startswith(WALK) and _state() not in key}
                kept = {key: value for key, value in known.items() if key not in stale}
                CACHE.write_text(json.dumps(kept), encoding="utf-8")

    atexit.register(write)
    return known


@cache
def _path(name: str) -> Path | None:
    if name.split(".")[0] not in definitions.PACKAGES:
        return None
    base = ROOT.joinpath(*name.split("."))
    return next((one for one in _sources(base) if one.is_file()), None)


def _sources(base: Path) -> Iterator[Path]:
    yield base / "__init__.py"
    yield base.with_suffix(".py")
