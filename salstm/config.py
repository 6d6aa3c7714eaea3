"""The configuration: checked against its schema with messages that a person can act on."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

SCHEMA = Path(__file__).parent.parent / "workflow" / "schemas" / "config.schema.yaml"


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
        raise ConfigError(f"{path}: no such file; run from the folder of the Snakefile") from error
    except yaml.YAMLError as error:
        raise ConfigError(f"{path}: not valid YAML: {error}") from error


def merge(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    """``over`` laid on ``base``, key by key, as ``snakemake --configfile`` does; neither is changed."""
    merged = dict(base)
    for key, value in over.items():
        both = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = merge(merged[key], value) if both else value
    return merged


def checked(config: dict[str, Any], networks: tuple[str, ...]) -> dict[str, Any]:
    """Fill in the schema's defaults and check everything.

    Args:
        config: as read from config.yaml and what was laid over it.
        networks: the names that can be built.

    Returns:
        A new configuration with every default filled in.

    Raises:
        ConfigError: lists all problems, each with its place and the nearest allowed name.
    """
    import jsonschema

    schema = load(SCHEMA)
    filled = _with_defaults(config, schema, schema)
    errors = jsonschema.Draft202012Validator(schema).iter_errors(filled)
    problems = [line for error in errors for line in _explain(error)]
    if not problems:
        problems = list(_unknown_networks(filled, networks))
    if problems:
        raise ConfigError("config.yaml (or what was laid over it):\n  " + "\n  ".join(problems))
    return filled


def cells(config: dict[str, Any], dataset: str | None = None) -> list[dict[str, Any]]:
    """Every training of the grid: dicts of dataset, baseline, variant and seed, in the grid's order."""
    return [
        {"dataset": name, "baseline": baseline, "variant": variant, "seed": seed}
        for name, baselines in config["grid"].items()
        if dataset in (None, name)
        for baseline in baselines
        for variant in config["variants"]
        for seed in config["seeds"]
    ]


def nearest(name: str, allowed: list[str] | tuple[str, ...]) -> str:
    """How a message goes on that names what is not allowed: with the nearest allowed name, or its full stop."""
    near = difflib.get_close_matches(str(name), [str(option) for option in allowed], n=1)
    return f", did you mean {near[0]}?" if near else "."


def _with_defaults(value: Any, schema: dict[str, Any], root: dict[str, Any]) -> Any:
    if "$ref" in schema:
        schema = root["$defs"][schema["$ref"].removeprefix("#/$defs/")]
    if isinstance(value, list):
        return [_with_defaults(one, schema.get("items", {}), root) for one in value]
    if isinstance(value, str) and schema.get("type") == "integer" and value.isdecimal():
        return int(value)  # `snakemake --config 'seeds=[0,1]'` gives a list of texts
    if not isinstance(value, dict):
        return value
    filled = dict(value)
    properties = schema.get("properties", {})
    for key, sub in properties.items():
        if key not in filled and "default" in sub:
            filled[key] = sub["default"]
    extra = schema.get("additionalProperties")
    for key in filled:
        sub = properties.get(key, extra if isinstance(extra, dict) else None)
        if sub:
            filled[key] = _with_defaults(filled[key], sub, root)
    return filled


def _explain(error: Any) -> Iterator[str]:
    place = ".".join(str(part) for part in error.absolute_path) or "top level"
    if error.validator == "additionalProperties":
        allowed = sorted(error.schema.get("properties", {}))
        for key in sorted(set(error.instance) - set(allowed)):
            yield f"{place}: unknown key {key!r}{nearest(key, allowed)} Allowed: {', '.join(allowed)}"
    elif error.validator == "enum":
        allowed = [str(option) for option in error.validator_value]
        yield (
            f"{place}: {error.instance!r} is not allowed{nearest(error.instance, allowed)} "
            f"Allowed: {', '.join(allowed)}"
        )
    elif error.validator == "propertyNames":
        yield f"{place}: {error.message}"
    elif error.validator in ("anyOf", "oneOf"):
        rule = error.schema.get("description", "see workflow/schemas/config.schema.yaml")
        yield f"{place}: {error.instance!r} does not fit. {rule}"
    else:
        yield f"{place}: {error.message}"


def _unknown_networks(config: dict[str, Any], networks: tuple[str, ...]) -> Iterator[str]:
    for dataset, chosen in config["grid"].items():
        for name in chosen:
            if name not in networks:
                yield (
                    f"grid.{dataset}: no network {name!r} under baselines/{nearest(name, networks)} "
                    f"Available: {', '.join(networks)}"
                )
