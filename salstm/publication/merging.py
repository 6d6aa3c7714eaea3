"""Results of several machines as one: what does not belong together is refused by name, before a file is copied."""

from __future__ import annotations

import filecmp
import logging
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from salstm import limits
from salstm.files import write_csv
from salstm.paths import stacked_of
from salstm.publication import tallies
from salstm.publication.members import CLAIMS, RESULTS, TEXTS
from salstm.publication.sources import Publication
from salstm.vocabulary import DUPLICATES, VARIANTS, check

log = logging.getLogger(__name__)


class ConflictError(ValueError):
    """Results that do not belong into one report; the message says which, what of each, and what to do."""


def merge(
    found: Sequence[Publication], duplicates: str, paper: dict[str, Any], scratch: Path
) -> Publication:
    """Put results together.

    Args:
        found: the results, in the order in which they are named.
        duplicates: what is done about files that several have and that differ: ``refuse`` them, or take those of the
            ``first`` or the ``last``. A cell is taken whole, with its record, its curve and its folds.
        paper: the suite's own configuration. Networks come in the order of its grid, then as named: the merged results
            do not depend on which machine did which part.
        scratch: a folder for tables that are put together of several.

    Raises:
        ConflictError: other protocols, code, data, splits, recipes, families or claims; or files that differ, where
            duplicates are refused.
        ValueError: an unknown rule, or fewer than two results.
    """
    check("duplicates", duplicates, DUPLICATES)
    if len(found) < 2:
        raise ValueError("merge: one result alone; name two or more")
    _check_rules(found)
    _check_code(found)
    _check_data(found)
    _check_recipes(found)
    chosen: dict[str, Path] = {}
    for part, holders in _parts(found).items():
        if tallies.is_tally(part) and any(
            _differs(_of(holders[0], part), _of(one, part)) for one in holders[1:]
        ):
            table = tallies.merged(part, [(one.origin, one.files[part]) for one in holders])
            chosen[part] = scratch / part
            write_csv(chosen[part], table)
        else:
            chosen |= _chosen(part, holders, duplicates)
    said = _said(found, paper)
    _keep_one_stack(chosen, said["grid"]["grid"])
    return Publication(" + ".join(one.origin for one in found), said, chosen)


def _check_rules(found: Sequence[Publication]) -> None:
    """Rules of the report, which all must have alike."""
    first = found[0]
    for other in found[1:]:
        for key in ("protocol", "statistics"):
            if first.said[key] != other.said[key]:
                _refuse(key, first, other, first.said[key], other.said[key])
        if not filecmp.cmp(_claims(first), _claims(other), shallow=False):
            _refuse(CLAIMS, first, other, "one file", "another")
        for name in set(first.said["own"]) & set(other.said["own"]):
            mine, theirs = first.said["own"][name], other.said["own"][name]
            if mine != theirs:
                _refuse(f"the dataset {name}", first, other, mine, theirs)


def _claims(one: Publication) -> Path:
    if CLAIMS not in one.files:
        raise ValueError(f"{one.origin}: has no {CLAIMS}")
    return one.files[CLAIMS]


def _check_code(found: Sequence[Publication]) -> None:
    """The suite's code, and that of networks that several have."""
    facts = [
        (one, what, value)
        for one in found
        for what, value in [
            ("code of the suite", one.said["code"].get("suite")),
            *((f"code of the network {name}", value) for name, value in _networks(one).items()),
        ]
    ]
    _alike(facts, "check out the same version, run there again what differs")


def _check_data(found: Sequence[Publication]) -> None:
    """Prepared cases: as published, and as each training recorded them."""
    facts = []
    for one in found:
        for dataset, data in one.said["data"].items():
            facts += [
                (one, f"{what} of {dataset}", data.get(key))
                for what, key in (("split", "split"), ("hash of the cases", "manifest_sha256"))
                if data.get(key) is not None
            ]
        for keys in one.trainings.values():
            for key in keys:
                record, dataset = one.record(key), key.split("/")[0]
                if hashed := record.get("data_manifest_sha256"):
                    facts.append((one, f"hash of the cases of {dataset}", hashed))
    _alike(facts, "train on the same prepared cases")


def _check_recipes(found: Sequence[Publication]) -> None:
    """One recipe for all seeds and folds of a dataset, network and variant."""
    facts = [
        (one, f"recipe of {cell.rpartition('/')[0]}", one.record(key).get("recipe_digest"))
        for one in found
        for cell, keys in one.trainings.items()
        for key in keys
    ]
    _alike(facts, "train again with one configuration")


def _alike(facts: Iterable[tuple[Publication, str, Any]], cure: str) -> None:
    known: dict[str, tuple[Publication, Any]] = {}
    for one, what, value in facts:
        first, before = known.setdefault(what, (one, value))
        if value != before:
            _refuse(what, first, one, before, value, cure)


def _refuse(
    what: str, first: Publication, other: Publication, mine: Any, theirs: Any, cure: str = ""
) -> None:
    where = f"{first.origin} has {mine}, {other.origin} has {theirs}"
    raise ConflictError(
        f"{what}: {where}; one report cannot hold both{f': {cure}' if cure else ''}"
    )


def _parts(found: Sequence[Publication]) -> dict[str, list[Publication]]:
    """What is taken whole -> who has it: a cell by its folder, every other file by its name."""
    parts: dict[str, list[Publication]] = {}
    for one in found:
        for part in dict.fromkeys(map(_part, one.files)):
            parts.setdefault(part, []).append(one)
    return parts


def _part(member: str) -> str:
    """The cell's folder, with its slash, or the file's own name."""
    cell = re.match(r"(.+/seed\d+/)", member)
    return cell[1] if cell else member


def _of(one: Publication, part: str) -> dict[str, Path]:
    if not part.endswith("/"):
        return {part: one.files[part]}
    return {name: path for name, path in one.files.items() if name.startswith(part)}


def _chosen(part: str, holders: Sequence[Publication], duplicates: str) -> dict[str, Path]:
    """The files of a part, from whom the rule takes it."""
    done = [one for one in holders if not part.endswith("/") or f"{part}scores.csv" in one.files]
    # A cell that one machine has finished is no duplicate of what another has begun.
    holders = done or holders
    first, *others = holders
    # Texts, and the list of raw files, whose times are those of a machine.
    if part in TEXTS or part == CLAIMS or part.endswith("/raw.json"):
        return _of(first, part)
    differ = [one for one in others if _differs(_of(first, part), _of(one, part))]
    if not differ:
        return _of(first, part)
    name = part.removeprefix(RESULTS).rstrip("/")
    if duplicates == DUPLICATES[0]:
        raise ConflictError(
            f"{name}: {first.origin} and {differ[0].origin} both have it, and it differs; take one by --duplicates "
            f"first or last, or leave it out of one"
        )
    taken = first if duplicates == "first" else holders[-1]
    log.warning("%s: differs; taken from %s", name, taken.origin)
    return _of(taken, part)


def _keep_one_stack(chosen: dict[str, Path], grid: Mapping[str, Sequence[str]]) -> None:
    """Leave out the sparsity of networks that one run would not stack: each part stacked the first of its own grid."""
    for dataset, networks in grid.items():
        tables = {one: f"{RESULTS}{dataset}/{one}/{tallies.SPARSITY}.csv" for one in networks}
        if tables.get(stacked_of(networks)) in chosen:
            for one in networks:
                if one != stacked_of(networks):
                    chosen.pop(tables[one], None)


def _differs(mine: Mapping[str, Path], theirs: Mapping[str, Path]) -> bool:
    common = {name for name in {*mine, *theirs} if not name.endswith((".safetensors", ".log"))}
    return any(
        name not in mine
        or name not in theirs
        or not filecmp.cmp(mine[name], theirs[name], shallow=False)
        for name in common
    )


def _said(found: Sequence[Publication], paper: dict[str, Any]) -> dict[str, Any]:
    """The description of all, whose grid is what all of them have."""
    first = found[0].said
    networks = {name: value for one in found for name, value in _networks(one).items()}
    grid = _grid([one.said["grid"] for one in found], paper["grid"])
    return {
        **first,
        **{key: _listed(found, key) for key in ("phantoms", "imported", "citation", "commits")},
        **{key: _by_name(found, key) for key in ("own", "data", "terms")},
        "grid": grid,
        "limits": _limits(found, grid, paper),
        "code": {"suite": first["code"].get("suite"), "networks": networks},
        "merged": [one.said["grid"] for one in found],
        "configuration": _configuration(found, grid),
    }


def _networks(one: Publication) -> dict[str, str]:
    return one.said["code"].get("networks", {})


def _grid(grids: Sequence[Mapping[str, Any]], order: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    datasets = _ordered((name for one in grids for name in one["grid"]), order)
    variants = {name for one in grids for name in one["variants"]}
    return {
        "grid": {
            name: _ordered(
                (each for one in grids for each in one["grid"].get(name, ())), order.get(name, ())
            )
            for name in datasets
        },
        "variants": [one for one in VARIANTS if one in variants],
        "seeds": sorted({seed for one in grids for seed in one["seeds"]}),
        "folds": {name: count for one in grids for name, count in one.get("folds", {}).items()},
    }


def _limits(
    found: Sequence[Publication], grid: Mapping[str, Any], paper: dict[str, Any]
) -> list[str]:
    """Why the merged run cannot decide: as one run would say it, where its parts had one set of recipes."""
    given = [one.said.get("configuration", {}).get("recipes") for one in found]
    if given[0] is None or any(one != given[0] for one in given):
        return _listed(found, "limits")
    return limits.reasons(_configuration(found, grid), paper)


def _configuration(found: Sequence[Publication], grid: Mapping[str, Any]) -> dict[str, Any]:
    parts = [one.said.get("configuration", {}) for one in found]
    blocks = {name: block for one in parts for name, block in one.get("datasets", {}).items()}
    chosen = {key: grid[key] for key in ("grid", "variants", "seeds")}
    return {**parts[0], **chosen, "datasets": blocks}


def _by_name(found: Sequence[Publication], key: str) -> dict[str, Any]:
    return {name: value for one in found for name, value in one.said.get(key, {}).items()}


def _listed(found: Sequence[Publication], key: str) -> list[Any]:
    """What any of the descriptions lists under a key, each once, in the order of naming."""
    together: list[Any] = []
    for one in found:
        together += [entry for entry in one.said.get(key, []) if entry not in together]
    return together


def _ordered(names: Iterable[str], order: Iterable[str]) -> list[str]:
    there = list(dict.fromkeys(names))
    known = [one for one in order if one in there]
    return [*known, *(one for one in there if one not in known)]
