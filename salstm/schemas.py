"""Values against a JSON schema: defaults filled in, texts read as what is wanted, messages that a person can act on."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import Any

from salstm import vocabulary

NULL = ("null", "~")
BOOLEAN = {"true": True, "false": False}


def nearest(name: object, allowed: Iterable[object]) -> str:
    """How a message goes on that names what is not allowed: with the nearest allowed name, or its full stop."""
    near = vocabulary.nearest(name, allowed)
    return f", did you mean {near}?" if near else "."


def filled(value: Any, schema: dict[str, Any], root: dict[str, Any]) -> Any:
    """A value with its schema's defaults, and with numbers for texts where numbers are wanted.

    ``snakemake --config 'seeds=[0,1]'`` gives a list of texts, and so does YAML for ``1e-3``.

    Args:
        value: not changed.
        schema: of the value.
        root: the schema whose ``$defs`` are referred to.
    """
    if "$ref" in schema:
        schema = root["$defs"][schema["$ref"].removeprefix("#/$defs/")]
    if isinstance(value, str):
        return _read(value, schema)
    if isinstance(value, list):
        return [filled(one, schema.get("items", {}), root) for one in value]
    if not isinstance(value, dict):
        return value
    result = dict(value)
    properties = schema.get("properties", {})
    for key, sub in properties.items():
        if key not in result and "default" in sub:
            result[key] = sub["default"]
    extra = schema.get("additionalProperties")
    for key in result:
        sub = properties.get(key, extra if isinstance(extra, dict) else None)
        if sub:
            result[key] = filled(result[key], sub, root)
    return result


def problems(value: Any, schema: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """What is wrong with a value: pairs of the place, dotted and empty for the value itself, and a message."""
    import jsonschema

    for error in jsonschema.Draft202012Validator(schema).iter_errors(value):
        place = ".".join(str(part) for part in error.absolute_path)
        for text in _explained(error):
            yield place, text


def _read(text: str, schema: dict[str, Any]) -> Any:
    """A text as the number, truth value or null that the schema wants; itself if it wants a text or none of these."""
    wanted = schema.get("type", ())
    types = {wanted} if isinstance(wanted, str) else set(wanted)
    types |= {one.get("type") for one in schema.get("anyOf", ())}
    for option in schema.get("enum", ()):
        if str(option) == text:
            return option
    if "string" in types:
        return text
    if "null" in types and text in NULL:
        return None
    if "boolean" in types and text.lower() in BOOLEAN:
        return BOOLEAN[text.lower()]
    if types & {"integer", "number"} and re.fullmatch(r"[+-]?\d+", text):
        return int(text)
    if "number" in types:
        with suppress(ValueError):
            return float(text) if math.isfinite(float(text)) else text
    return text


def _explained(error: Any) -> Iterator[str]:
    about = error.schema.get("description", "see salstm/config.schema.yaml")
    if error.validator == "additionalProperties":
        allowed = sorted(error.schema.get("properties", {}))
        for key in sorted(set(error.instance) - set(allowed)):
            yield f"unknown key {key!r}{nearest(key, allowed)} Allowed: {', '.join(allowed)}"
    elif error.validator == "enum":
        allowed = [str(option) for option in error.validator_value]
        yield (
            f"{error.instance!r} is not allowed{nearest(error.instance, allowed)} "
            f"Allowed: {', '.join(allowed)}"
        )
    elif error.validator in ("anyOf", "oneOf", "not"):
        yield f"{error.instance!r} does not fit. {about}"
    else:
        yield error.message
