"""Networks that a library brings, named in one line of a configuration: ``monai:SegResNet(init_filters=16)``.

A line is data: a name and literals, parsed, never evaluated. Only the libraries below can be named; nothing of them is
imported here. docs/networks-from-libraries.md is the page for users.
"""

from __future__ import annotations

import ast
import json
import keyword
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib import metadata
from typing import Any

from salstm.vocabulary import nearest


@dataclass(frozen=True)
class Library:
    """A package whose networks can be named.

    Attributes:
        package: as it is imported; where networks stand in full, their names begin with it.
        places: modules that hold its networks.
        distributions: whose versions decide what a network computes.
        url: of its documentation.
        shape: arguments that are the cell's, and no line's.
        weights: arguments that ask for weights of somebody's training.
    """

    package: str
    places: tuple[str, ...]
    distributions: tuple[str, ...]
    url: str
    shape: tuple[str, ...]
    weights: tuple[str, ...]


LIBRARIES = {
    "monai": Library(
        "monai",
        ("monai.networks.nets",),
        ("monai",),
        "https://docs.monai.io/en/stable/networks.html",
        (
            *("in_channels", "in_channel", "in_chans", "input_channels", "img_size", "image_size"),
            *("out_channels", "out_channel", "num_classes", "classes", "input_image_size"),
        ),
        ("pretrained", "use_pretrained"),
    ),
    "smp": Library(
        "segmentation_models_pytorch",
        ("segmentation_models_pytorch",),
        ("segmentation-models-pytorch", "timm"),
        "https://smp.readthedocs.io",
        ("in_channels", "classes", "activation", "aux_params"),
        ("encoder_weights",),
    ),
    "timm": Library(
        "timm",
        ("timm", "timm.models"),
        ("timm",),
        "https://huggingface.co/docs/timm",
        ("in_chans", "num_classes", "features_only", "img_size"),
        ("pretrained", "pretrained_cfg", "checkpoint_path", "cache_dir"),
    ),
    "torchvision": Library(
        "torchvision",
        ("torchvision.models.segmentation",),
        ("torchvision",),
        "https://pytorch.org/vision/stable/models.html",
        ("num_classes", "aux_loss"),
        ("weights", "weights_backbone", "progress"),
    ),
}
"""By the word before the colon."""

WITH_WEIGHTS = ("smp", "timm", "torchvision")
"""Libraries that have trained weights for their networks' encoders; a recipe with ``pretrained`` asks for them."""
LONGEST_LINE, LONGEST_NAME = 1000, 60
_LINE = re.compile(r"(?P<library>\w+):(?P<name>[A-Za-z_][\w.\-]*)(?P<call>\(.*\))?", re.DOTALL)
_WORD = re.compile(r"[A-Za-z_][\w.+\-]*")
_YAML = {"true": True, "false": False, "null": None}


class LineError(ValueError):
    """A line that names no network: what was found, what is allowed."""


def parse(text: str) -> dict[str, Any]:
    """What a line of a grid says.

    Args:
        text: ``library:Name`` or ``library:Name(key=value, ...)``; a value is a literal of Python or a bare word.

    Returns:
        ``from``: ``library:Name``; ``arguments``: by name, made of JSON's types.

    Raises:
        LineError: what does not fit.
    """
    match = _LINE.fullmatch(text.strip())
    if not match or len(text) > LONGEST_LINE:
        raise LineError(
            f"{text[:80]!r} is no library:Name(key=value, ...), such as monai:SegResNet or "
            f"smp:Unet(encoder_name=resnet34)"
        )
    arguments = _arguments(match["call"] or "()", text)
    return canonical(f"{match['library']}:{match['name']}", arguments)


def canonical(source: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """A network's library, name and arguments in the one form that recipes hold.

    Args:
        source: ``library:Name``, or the full name in its package: ``monai.networks.nets.SegResNet``.
        arguments: by name.

    Raises:
        LineError: a library or an argument that cannot be given.
    """
    key, name = _named(source)
    library = LIBRARIES[key]
    for argument in arguments:
        if argument in library.shape:
            raise LineError(f"{argument} follows from the dataset and the module; leave it out")
        if argument in library.weights:
            cure = (
                "set pretrained: true in its recipe (recipes.networks)"
                if key in WITH_WEIGHTS
                else "this library's networks start from scratch"
            )
            raise LineError(f"{argument} is no argument here; {cure}")
    if arguments.get("spatial_dims", 2) != 2:
        raise LineError(f"spatial_dims is {arguments['spatial_dims']!r}; frames have 2")
    try:
        plain = json.loads(json.dumps(dict(arguments)))
    except (TypeError, ValueError) as error:
        raise LineError(f"arguments must be numbers, words, lists: {error}") from error
    return {"from": f"{key}:{name}", "arguments": dict(sorted(plain.items()))}


def short(declared: Mapping[str, Any]) -> str:
    """The name of a network on the disk and in every table: ``smp_unet_resnet34``."""
    words = [declared["from"]]
    for key, value in declared["arguments"].items():
        words += [value] if isinstance(value, str) else [key, json.dumps(value)]
    name = re.sub(r"[^a-z0-9]+", "_", " ".join(words).lower()).strip("_")
    return name[:LONGEST_NAME].rstrip("_")


def title(declared: Mapping[str, Any]) -> str:
    """The same for people: ``Unet (resnet34)``."""
    _, _, name = declared["from"].partition(":")
    said = [
        str(value) if isinstance(value, str) else f"{key} {json.dumps(value)}"
        for key, value in declared["arguments"].items()
        if key != "spatial_dims"
    ]
    return f"{name} ({', '.join(said)})" if said else name


def version(declared: Mapping[str, Any]) -> str:
    """Distributions and versions that a network is built of: ``monai 1.6.1``; nothing of it is imported."""
    library = LIBRARIES[_named(declared["from"])[0]]
    return ", ".join(f"{one} {_version(one)}" for one in library.distributions)


def has_weights(declared: Mapping[str, Any]) -> bool:
    """Whether a network's library has trained weights for its encoder."""
    return declared["from"].partition(":")[0] in WITH_WEIGHTS


def declare(config: dict[str, Any], taken: Iterable[str]) -> Iterator[str]:
    """Put the networks of libraries that a grid names into ``config["networks"]``, and their names into the grid.

    Recipes' layers may name them by the same line. A second call changes nothing.

    Args:
        config: with all defaults of the schema; changed in place.
        taken: names of networks that there are.

    Yields:
        What is wrong, each with its place.
    """
    taken = set(taken)
    networks: dict[str, Any] = {}
    for name, block in config["networks"].items():
        try:
            if name in taken or not re.fullmatch(r"[a-z][a-z0-9_]*", name):
                raise LineError(
                    "a network cannot be called so; small letters, digits and _ are allowed, and no name of a folder "
                    "under baselines/"
                )
            networks[name] = canonical(block["from"], block["arguments"])
        except LineError as error:
            yield f"networks.{name}: {error}"
    named: dict[str, str] = {}
    for place, line, put in _lines(config):
        try:
            declared = parse(line)
        except LineError as error:
            yield f"{place}: {error}"
            continue
        name = short(declared)
        if networks.setdefault(name, declared) != declared:
            yield (
                f"{place}: {line!r} would be called {name}, as {named.get(name, 'another network')} is; give it a "
                f"name under networks: {{mine: {{from: {declared['from']}, arguments: ...}}}}"
            )
        named.setdefault(name, line)
        put(name)
    config["networks"] = networks


def _lines(config: dict[str, Any]) -> Iterator[tuple[str, str, Callable[[str], None]]]:
    """Every line of a configuration: its place, its text, and what puts a name in its stead."""
    for dataset, chosen in config["grid"].items():
        for index, text in enumerate(list(chosen)):
            if ":" in text:

                def put(name: str, into: list[str] = chosen, at: int = index) -> None:
                    into[at] = name

                yield f"grid.{dataset}.{index}", text, put
    layers = config["recipes"]
    for place, block in (
        ("recipes.networks", layers["networks"]),
        *((f"recipes.grid.{dataset}", block) for dataset, block in layers["grid"].items()),
    ):
        for text in [key for key in block if ":" in key]:

            def rename(name: str, into: dict[str, Any] = block, old: str = text) -> None:
                into[name] = into.pop(old)

            yield place, text, rename


def _named(source: str) -> tuple[str, str]:
    """Word of the library, and name of the network."""
    word, colon, name = source.partition(":")
    if colon:
        if word in LIBRARIES:
            return word, name
    else:
        place, _, name = source.rpartition(".")
        for key, library in LIBRARIES.items():
            if any(place == one or place.startswith(f"{one}.") for one in library.places):
                return key, name
        word = source.split(".")[0]
    raise LineError(
        f"{source!r}: no library {word!r}{_meant(word)} Networks come from "
        f"{', '.join(f'{key} ({library.places[0]})' for key, library in LIBRARIES.items())}"
    )


def _meant(word: str) -> str:
    near = nearest(word, LIBRARIES)
    return f", did you mean {near}?" if near else "."


def _arguments(call: str, text: str) -> dict[str, Any]:
    try:
        tree = ast.parse(f"f{call}", mode="eval").body
    except (SyntaxError, ValueError, MemoryError, RecursionError) as error:
        raise LineError(f"{text!r}: its brackets cannot be read: {error}") from error
    if not isinstance(tree, ast.Call) or not isinstance(tree.func, ast.Name):
        raise LineError(f"{text!r}: one pair of brackets with key=value is allowed")
    if tree.args or any(one.arg is None for one in tree.keywords):
        raise LineError(f"{text!r}: arguments are given by name: key=value")
    return {str(one.arg): _value(one.value, f"f{call}", text) for one in tree.keywords}


def _value(node: ast.expr, call: str, text: str) -> Any:
    try:
        return ast.literal_eval(node)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        word = ast.get_source_segment(call, node) or ""
        if _WORD.fullmatch(word) and not keyword.iskeyword(word):
            return _YAML.get(word, word)
    raise LineError(
        f"{text!r}: {ast.unparse(node)[:40]!r} is no value; numbers, words, 'texts', lists, true, false and null are"
    )


def _version(distribution: str) -> str:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return "is not installed"
