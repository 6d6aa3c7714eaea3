"""What a grid asks of networks that libraries bring, and whether they give it: asked before the first job, once.

Only a grid with such networks costs a plan anything: they are built and run in a process of their own (``salstm
examine``), and what was found is kept until the network, its library or what is asked changes.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from importlib import metadata
from pathlib import Path
from typing import Any

from salstm import libraries, recipes
from salstm.data.datasets import DATASETS
from salstm.fingerprint import fingerprint
from salstm.vocabulary import PLAIN

CACHE = Path(".snakemake/salstm-networks.json")
"""Cards by what they rest on, beside the fingerprints."""
CODE = ("salstm.examination", "salstm.cost.flops", "baselines.libraries")
PROCESS = (sys.executable, "-m", "salstm", "examine")


class ContractError(ValueError):
    """Every network of the grid that does not give what a cell wants, a line each."""


def cards(config: Mapping[str, Any]) -> dict[str, Any]:
    """The cards of a grid's networks that libraries bring; none, and nothing is done, without such networks.

    Args:
        config: checked.

    Raises:
        ContractError: a network that cannot be built, or that gives something else than its cells want.
    """
    wanted = asked(config)
    if not wanted:
        return {}
    keys = {name: _key(one) for name, one in wanted.items()}
    known = _known()
    new = {name: one for name, one in wanted.items() if keys[name] not in known}
    if new:
        found = _examined(new)
        if problems := [line for name in new for line in found[name]["problems"]]:
            raise ContractError(
                "config.yaml (or what was laid over it):\n  " + "\n  ".join(problems)
            )
        known |= {keys[name]: found[name]["card"] for name in new}
        _keep(known)
    return {name: known[key] for name, key in keys.items()}


def asked(config: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """What the cells of each such network want of it.

    Returns:
        By name: ``source`` as in ``config["networks"]``, ``place`` in the configuration, ``title``, ``library`` with
        version, ``datasets``, and ``builds``: input ``channels``, ``outputs`` (None: as many as a module wants),
        ``size`` it is built for, ``sides`` of images that it sees, ``smallest`` batch that passes it.
    """
    found: dict[str, dict[str, Any]] = {}
    for dataset, chosen in config["grid"].items():
        for name in chosen:
            if name in config["networks"]:
                one = found.setdefault(name, _asked(config, dataset, name))
                one["datasets"] = sorted({*one["datasets"], dataset})
                for variant in config["variants"]:
                    build = _build(config, (dataset, name, variant))
                    if build not in one["builds"]:
                        one["builds"].append(build)
    return found


def _asked(config: Mapping[str, Any], dataset: str, name: str) -> dict[str, Any]:
    source = config["networks"][name]
    given = name == libraries.short(source)
    return {
        "source": source,
        "place": f"grid.{dataset}: {name}" if given else f"networks.{name}",
        "title": libraries.title(source) if given else name,
        "library": libraries.version(source),
        "datasets": [],
        "builds": [],
    }


def _build(config: Mapping[str, Any], cell: tuple[str, str, str]) -> dict[str, Any]:
    recipe = recipes.resolve(config, *cell)
    dataset = DATASETS[cell[0]]
    pieces = recipes.pieces(recipe.batch, config["machine"]["micro_batch"])
    outputs = 1 if recipe.activation == "sigmoid" else len(dataset.classes) + 1
    return {
        "channels": dataset.channels,
        "outputs": outputs if cell[2] == PLAIN else None,
        "size": recipe.size,
        "sides": sorted({recipe.size, *(recipe.scales or (recipe.side,))}),
        "smallest": min(pieces),
    }


def _key(wanted: Mapping[str, Any]) -> str:
    versions = [metadata.version("torch"), sys.version, fingerprint(*CODE)]
    text = json.dumps([wanted, versions], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _examined(wanted: Mapping[str, Any]) -> dict[str, Any]:
    """What ``salstm examine`` finds, in a process of its own: a plan imports no torch."""
    with tempfile.TemporaryDirectory() as folder:
        question, answer = Path(folder) / "asked.json", Path(folder) / "found.json"
        question.write_text(json.dumps(wanted), encoding="utf-8")
        command = [*PROCESS, str(question), str(answer)]
        result = subprocess.run(command, capture_output=True, text=True, check=False)
        if result.returncode:
            lines = result.stderr.strip().splitlines() or ["it said nothing"]
            raise ContractError(
                f"the networks {', '.join(wanted)} could not be looked at (exit {result.returncode}): {lines[-1]}"
            )
        return json.loads(answer.read_text(encoding="utf-8"))


def _known() -> dict[str, Any]:
    with suppress(OSError, ValueError):
        return dict(json.loads(CACHE.read_text(encoding="utf-8")))
    return {}


def _keep(known: Mapping[str, Any]) -> None:
    """For the processes of the jobs, which read the same configuration; where nothing can be written they ask again."""
    with suppress(OSError):
        CACHE.parent.mkdir(exist_ok=True)
        temporary = CACHE.with_suffix(".new")
        temporary.write_text(json.dumps(known), encoding="utf-8")
        temporary.replace(CACHE)
