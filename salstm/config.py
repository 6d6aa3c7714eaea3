"""The configuration: checked against its schema with messages that a person can act on."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

from salstm import choices, libraries, recipes, schemas, vocabulary
from salstm.data import own
from salstm.data.datasets import DATASETS
from salstm.schemas import nearest
from salstm.vocabulary import LIMIT

PACKAGE = Path(__file__).parent
SCHEMA = PACKAGE / "config.schema.yaml"


class ConfigError(ValueError):
    """Every problem of a configuration, one a line: place, what was found, what is allowed."""


def load(path: Path) -> dict[str, Any]:
    """Read one YAML file.

    Raises:
        ConfigError: no such file, or not YAML; the message has the line.
    """
    import yaml

    # The C parser reads as the Python one does, ten times faster; every plan reads three files.
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        return yaml.load(path.read_text(encoding="utf-8"), Loader=loader) or {}
    except FileNotFoundError as error:
        raise ConfigError(
            f"{path}: no such file; run from the folder of the Snakefile, or name its file by --config"
        ) from error
    except yaml.YAMLError as error:
        raise ConfigError(f"{path}: not valid YAML: {error}") from error


def merge(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    """``over`` laid on ``base``, key by key, as ``snakemake --configfile`` does; neither is changed."""
    merged = dict(base)
    for key, value in over.items():
        both = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = merge(merged[key], value) if both else value
    return merged


def checked(
    config: dict[str, Any],
    networks: tuple[str, ...],
    accepts: Callable[..., Iterator[recipes.Problem]] = lambda *_: iter(()),
) -> dict[str, Any]:
    """Fill in the schema's defaults and check everything that can be known before anything runs.

    Args:
        config: as read from config.yaml and what was laid over it.
        networks: the names that can be built.
        accepts: as ``salstm.recipes.problems`` wants it; nothing is asked of the networks without it.

    Returns:
        A new configuration with every default filled in; networks of libraries are in its ``networks``, and the grid
        has their names. Datasets of one's own that it declares are in the
        registry from then on (``salstm.data.own``).

    Raises:
        ConfigError: lists all problems, each with its place and the nearest allowed name.
    """
    filled, schema = _filled(_quickened(config))
    problems = [
        f"{place or 'top level'}: {text}" for place, text in schemas.problems(filled, schema)
    ]
    if not problems:
        problems = [
            *libraries.declare(filled, networks),
            *_unknown_networks(filled, networks),
            *_without_function(filled),
            *_expand_raw(filled),
            *own.problems(filled["datasets"]),
        ]
    if not problems:
        own.complete(filled["datasets"])
        own.register(own.settings(filled["datasets"], filled["datasets"], shown=True))
        problems = [*recipes.problems(filled, accepts), *choices.problems(filled)]
    if problems:
        raise ConfigError("config.yaml (or what was laid over it):\n  " + "\n  ".join(problems))
    statistics = filled["statistics"]
    # What is tested is not explored, also where config.yaml explores it and what is laid over tests it.
    explored = (one for one in statistics["exploratory"] if one not in statistics["metrics"])
    statistics["exploratory"] = list(explored)
    if most := filled["limit"]:
        for block in filled["datasets"].values():
            block["split"] = {**block["split"], LIMIT: most}
    return filled


def _quickened(config: dict[str, Any]) -> dict[str, Any]:
    """A configuration with a limit: a name of its own, so that its results are taken for no others, and one epoch.

    What the configuration itself says under ``recipes.overrides`` holds.
    """
    most = schemas.filled(config, {"properties": {LIMIT: {"type": "integer"}}}, {}).get(LIMIT)
    if type(most) is not int:  # none, or one that the schema refuses
        return config
    mark = f"-{LIMIT}{most}"
    name = str(config.get("name", "paper")).removesuffix(mark)
    short = {"overrides": {"epochs": 1, "evaluate_every": 1, "batch": max(most, 2)}}
    quick = merge({"recipes": short}, {**config, "recipes": config.get("recipes") or {}})
    return {**quick, "name": f"{name}{mark}"}


def complete(config: dict[str, Any]) -> dict[str, Any]:
    """A configuration with the schema's defaults and nothing checked: to compare a checked one with.

    Raises:
        ConfigError: it is not even so much of a configuration that its defaults could be filled in.
    """
    try:
        return _filled(config)[0]
    except (AttributeError, KeyError, TypeError) as error:
        raise ConfigError(f"config.yaml: not a configuration ({error})") from error


def _filled(config: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """A configuration with defaults, and its schema."""
    blocks = config.get("datasets")
    schema = whole_schema(own.names(blocks) if isinstance(blocks, dict) else ())
    return schemas.filled(config, schema, schema), schema


def whole_schema(declared_here: Iterable[str] = ()) -> dict[str, Any]:
    """The schema with what is declared elsewhere.

    Args:
        declared_here: names of the datasets that the configuration itself declares.

    The lists of names stand in ``salstm.vocabulary`` and ``salstm.data.datasets``, the keys of a recipe in
    ``salstm.recipes.Recipe``.
    """
    schema = load(SCHEMA)
    labels = {name: DATASETS[name].label for name in own.BUILT_IN} | dict.fromkeys(
        declared_here, "A dataset of your own."
    )
    names = {
        "variant": vocabulary.VARIANTS,
        "module": vocabulary.MODULES,
        "metric": vocabulary.SHOWN,
        "explored": vocabulary.EXPLORED,
        "protocol": vocabulary.PROTOCOLS,
        "dataset_name": labels,
    }
    for key, allowed in names.items():
        schema["$defs"][key]["enum"] = list(allowed)
    for key, entry in (("grid", {"default": []}), ("datasets", {})):
        block = schema["properties"][key]
        each = {**block.pop("additionalProperties"), **entry}
        block["properties"] = {
            name: {**each, "description": label} for name, label in labels.items()
        }
        block["additionalProperties"] = False
    for name in declared_here:
        schema["properties"]["datasets"]["properties"][name] = {"$ref": "#/$defs/own_dataset"}
    declared = schema["properties"]["statistics"]["properties"]
    declared["modules"]["default"] = list(vocabulary.ATTENTION)
    declared["metrics"]["default"] = list(vocabulary.DECLARED)
    schema["properties"]["variants"]["default"] = [vocabulary.PLAIN, *vocabulary.ATTENTION]
    schema["$defs"]["recipe"] = layer = recipes.layer_schema()
    layers = schema["properties"]["recipes"]["properties"]
    layers["defaults"]["required"] = sorted(set(layer["properties"]) - set(recipes.OPTIONAL))
    return schema


def expanded(text: str) -> str:
    """A path as a shell reads it: ``~``, ``$HOME`` and ``${NAME}`` filled in.

    Raises:
        ConfigError: a variable that is not set, or a user that does not exist.
    """
    path = os.path.expanduser(os.path.expandvars(text))  # noqa: PTH111
    if path.startswith("~"):
        raise ConfigError(f"{text!r}: there is no user {path.split('/')[0][1:]!r}")
    if missing := re.search(r"\$(\w+|\{[^}]*\})", path):
        raise ConfigError(
            f"{text!r}: the variable {missing[0]} is not set; export it, or write the path out"
        )
    return path


def _expand_raw(config: dict[str, Any]) -> Iterator[str]:
    """Fill in the raw folders' paths; problems with them."""
    for name, dataset in config["datasets"].items():
        try:
            dataset["raw"] = expanded(dataset["raw"])
        except ConfigError as error:
            yield f"datasets.{name}.raw: {error}"


def _unknown_networks(config: dict[str, Any], networks: tuple[str, ...]) -> Iterator[str]:
    known = (*networks, *config["networks"])
    for dataset, chosen in config["grid"].items():
        for name in chosen:
            if name not in known and ":" not in name:  # of a line, it is said already what is wrong
                yield (
                    f"grid.{dataset}: no network {name!r} under baselines/{nearest(name, known)} "
                    f"Available: {', '.join(known)}; of a library: library:Name, such as monai:SegResNet"
                )


def _without_function(config: dict[str, Any]) -> Iterator[str]:
    """Names of the vocabulary that this run uses, or scores, and that nothing computes or builds."""
    for name, metric in vocabulary.METRICS.items():
        path = PACKAGE / "evaluation" / f"{metric.module}.py"
        if name not in _functions(path):
            yield f"metric {name!r} of salstm/vocabulary.py: no function {name} in {_place(path)}"
    for name in {*config["variants"], *config["statistics"]["modules"]} - {vocabulary.PLAIN}:
        path = PACKAGE.parent / f"{vocabulary.VARIANTS[name].module.replace('.', '/')}.py"
        if name not in _functions(path):
            yield f"variant {name!r} of salstm/vocabulary.py: no function {name} in {_place(path)}"


@cache
def _functions(path: Path) -> frozenset[str]:
    """Functions that a module defines, without importing it (a plan loads no torch); none if it is not there."""
    if not path.is_file():
        return frozenset()
    # A parser takes a tenth of a second for what every plan asks.
    return frozenset(re.findall(r"^def (\w+)", path.read_text(encoding="utf-8"), re.MULTILINE))


def _place(path: Path) -> str:
    return path.relative_to(PACKAGE.parent).as_posix()
