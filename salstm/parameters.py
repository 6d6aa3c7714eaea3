"""Named choices of a recipe: what each name takes is the signature of the function that implements it.

Nothing here imports torch or numpy: a plan reads the signatures, a training calls the functions.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from types import SimpleNamespace, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from salstm import vocabulary


class Rule:
    """Keywords of JSON schema beside a type, in Annotated: what is written down once is the type and its check."""

    def __init__(self, **keywords: Any) -> None:
        self.keywords = keywords


Count = Annotated[int, Rule(minimum=1)]
Pixels = Annotated[int, Rule(minimum=16)]
Odd = Annotated[
    int, Rule(minimum=1, **{"not": {"multipleOf": 2}}, description="An odd number of pixels.")
]
Positive = Annotated[float, Rule(exclusiveMinimum=0)]
NotNegative = Annotated[float, Rule(minimum=0)]
Share = Annotated[float, Rule(exclusiveMinimum=0, exclusiveMaximum=1)]

_TYPES = {
    int: "integer",
    float: "number",
    bool: "boolean",
    str: "string",
    dict: "object",
    type(None): "null",
}


def schema(hint: Any) -> dict[str, Any]:
    """An annotation as JSON schema.

    Args:
        hint: int, float, bool, str, dict, None, Choice; a Literal; a tuple of any length; a named tuple; a union of
            these; each of them also in Annotated with rules.
    """
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Annotated:
        found = schema(arguments[0])
        for rule in arguments[1:]:
            found = {**found, **rule.keywords}  # the outermost description is the one that is meant
        return found
    if origin is Literal:
        return {"enum": list(arguments)}
    if origin is tuple:
        return {"type": "array", "minItems": 1, "items": schema(arguments[0])}
    if origin in (Union, UnionType):
        return _either([schema(one) for one in arguments])
    if fields := getattr(hint, "_fields", None):
        hints = get_type_hints(hint, include_extras=True)
        properties = {name: schema(hints[name]) for name in fields}
        return closed(properties) | {"required": list(fields)}
    return {"type": "object" if hint is Choice else _TYPES[hint]}


def closed(properties: dict[str, Any]) -> dict[str, Any]:
    """The schema of an object with these properties and no others."""
    return {"type": "object", "additionalProperties": False, "properties": properties}


@cache
def declared(function: Callable[..., Any]) -> dict[str, dict[str, Any]]:
    """Schemas of a function's keyword-only parameters, with ``default`` where they have one."""
    parameters = {
        name: one
        for name, one in inspect.signature(function).parameters.items()
        if one.kind is one.KEYWORD_ONLY
    }
    # Of the parameters alone: the other annotations may need torch.
    annotations = {name: one.annotation for name, one in parameters.items()}
    hints = get_type_hints(
        SimpleNamespace(__annotations__=annotations), function.__globals__, include_extras=True
    )
    defaults = {
        name: {} if one.default is one.empty else {"default": one.default}
        for name, one in parameters.items()
    }
    return {name: schema(hints[name]) | defaults[name] for name in parameters}


@dataclass(frozen=True)
class Choice:
    """A name with the parameters that a recipe gives it; those that it leaves out have their defaults.

    Attributes:
        name: of a loss, an optimizer, a schedule.
        parameters: by name, as given.
    """

    name: str
    parameters: Mapping[str, Any]

    @classmethod
    def of(cls, block: Mapping[str, Any]) -> Choice:
        """From the block of a recipe: ``{"name": ..., parameters...}``."""
        return cls(block["name"], {key: value for key, value in block.items() if key != "name"})

    def block(self) -> dict[str, Any]:
        """As the recipe has it."""
        return {"name": self.name, **self.parameters}


@dataclass(frozen=True)
class Kind:
    """What can be chosen in one block of a recipe.

    Attributes:
        word: what is chosen, for messages: 'loss'.
        functions: by name; their keyword-only parameters are those of the block.
        shared: a function whose keyword-only parameters every name takes as well.
    """

    word: str
    functions: Mapping[str, Callable[..., Any]]
    shared: Callable[..., Any] | None = None

    def parameters(self, name: str) -> dict[str, dict[str, Any]]:
        """Schemas of what a name takes."""
        shared = declared(self.shared) if self.shared else {}
        return declared(self.functions[name]) | shared

    def schema(self) -> dict[str, Any]:
        """Of a block in any layer, which may give a part of the parameters and no name.

        Raises:
            TypeError: a parameter means one thing for one name and another for the next.
        """
        properties: dict[str, Any] = {"name": {"enum": list(self.functions)}}
        for name in self.functions:
            for key, one in self.parameters(name).items():
                part = {keyword: value for keyword, value in one.items() if keyword != "default"}
                if properties.setdefault(key, part) != part:
                    raise TypeError(f"{self.word} {name}: {key} is {part}, and {properties[key]}")
        return closed(properties)

    def problems(self, block: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
        """What a training would not accept of a whole block: pairs of key and message; empty key: the block."""
        name = str(block.get("name"))
        if name not in self.functions:
            try:
                vocabulary.check(self.word, name, self.functions)
            except ValueError as error:
                yield "name", str(error)
            return
        takes = self.parameters(name)
        for key in sorted(block.keys() - takes.keys() - {"name"}):
            try:
                vocabulary.check(f"{self.word} {name}, parameter", key, takes or ["none"])
            except ValueError as error:
                yield key, str(error)
        for key, one in takes.items():
            if "default" not in one and key not in block:
                yield "", f"{self.word} {name} needs {key}"

    def call(self, choice: Choice, *arguments: Any) -> Any:
        """Call the function of a choice with its parameters.

        Raises:
            ValueError: no such name, a parameter that it does not have, or one that is missing.
        """
        for key, problem in self.problems(choice.block()):
            raise ValueError(f"{self.word}.{key}: {problem}" if key else problem)
        return self.functions[choice.name](*arguments, **choice.parameters)


def not_null(found: dict[str, Any]) -> dict[str, Any]:
    """The schema of a union without its null."""
    if "anyOf" in found:
        rest = _either([one for one in found["anyOf"] if one != {"type": "null"}])
        return {key: value for key, value in found.items() if key != "anyOf"} | rest
    return {**found, "type": found["type"][0]}


def _either(schemas: list[dict[str, Any]]) -> dict[str, Any]:
    """One of several; in one piece where all but one are null."""
    rest = [one for one in schemas if one != {"type": "null"}]
    if len(schemas) == 1:
        return schemas[0]
    if len(rest) == 1 and "type" in rest[0]:
        return {**rest[0], "type": [rest[0]["type"], "null"]}
    return {"anyOf": schemas}
