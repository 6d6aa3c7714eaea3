"""A recipe: everything that changes the numbers of one training, and nothing else.

``Recipe`` declares every key with its type and its bounds. The configuration's layers are checked against it before
anything runs, a training reads it, and its text, which is hashed, holds what the layers gave and nothing more.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any, Literal, NamedTuple, get_type_hints

from salstm import schemas
from salstm.data.augment import MODULES as AUGMENTATIONS
from salstm.data.datasets import DATASETS, Dataset
from salstm.optimisation import losses, optimizers, schedules
from salstm.parameters import Choice, Count, Kind, Pixels, Positive, Rule, closed, not_null, schema
from salstm.vocabulary import ATTENTION, PLAIN, VARIANTS

KINDS: dict[str, Kind] = {
    "loss": losses.KIND,
    "optimizer": optimizers.KIND,
    "schedule": schedules.KIND,
}
"""The keys of a recipe that are a name with parameters."""

LENGTHS = ("epochs", "iterations")
"""Keys that say how long a training is; a recipe has one of them, and a layer that gives one ends the other."""
OPTIONAL = ("iterations", "drop_last", "train_size", "resize", "restore", "postprocess", "wiring")
"""Keys that the defaults need not give: where no layer does, the first value of their type holds."""

Border = Literal["replicate", "authors"]
Resize = Literal["after", "before", "pad"]
Restore = Literal["labels", "logits"]
Postprocess = Literal["none", "fill_holes"]
Wiring = Literal["frames", "patches"]
PATCH = 32
"""Side in pixels of a patch under the wiring ``patches``."""
Problem = tuple[str, str]
"""A key of a recipe, such as ``loss.kernel``, and what is wrong with it."""


class RecipeError(ValueError):
    """Every problem of a recipe, each with its key."""


class Normalise(NamedTuple):
    """``(x - mean) / std`` on intensities in [0, 1], one value or one a channel."""

    mean: tuple[float, ...]
    std: tuple[Positive, ...]


def _sentence(found: list[Problem]) -> str:
    return "; ".join(f"recipe.{key}: {problem}".replace(".:", ":") for key, problem in found)


def _about(text: str) -> Rule:
    return Rule(description=text)


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """The recipe of one cell. A key whose default is None is left out of the text where it does not act.

    Raises:
        RecipeError: keys that do not fit each other.
    """

    size: Annotated[Pixels, _about("Side of the network's input in pixels.")]
    batch: Annotated[Count, _about("Effective batch.")]
    optimizer: Annotated[
        Choice, Rule(**optimizers.KIND.schema()), _about("salstm/optimisation/optimizers.py.")
    ]
    schedule: Annotated[
        Choice,
        Rule(**schedules.KIND.schema()),
        _about("Learning rate over the training; salstm/optimisation/schedules.py."),
    ]
    loss: Annotated[Choice, Rule(**losses.KIND.schema()), _about("salstm/optimisation/losses.py.")]
    activation: Annotated[
        Literal["softmax", "sigmoid"], _about("sigmoid: one output, for one class.")
    ]
    augment: Annotated[
        str, Rule(enum=list(AUGMENTATIONS)), _about("Training augmentation; salstm/data/augment.")
    ]
    normalise: Annotated[Normalise | None, _about(str(Normalise.__doc__))]
    auxiliary: Annotated[bool, _about("Train the plain network with its auxiliary outputs.")]
    evaluate_every: Annotated[
        Count, _about("Epochs between two evaluations; the last is always evaluated.")
    ]
    precision: Annotated[
        Literal["float32", "bfloat16", "float16"], _about("Autocast type of the training.")
    ]
    deterministic: Annotated[bool, _about("Bitwise equal runs at some cost.")]
    pretrained: Annotated[bool, _about("Start from the backbone weights of the card.")]
    freeze_norm_after: Annotated[
        Count | None,
        _about("Epoch after which batch norms and dropouts stay in evaluation mode."),
    ]
    scales: Annotated[
        tuple[Pixels, ...] | None,
        _about(
            "Sides in pixels, one drawn for each batch; null trains at size. For one sigmoid output."
        ),
    ]
    frames: Annotated[Literal[1, 3], _about("What the network sees; of the dataset and variant.")]
    border: Annotated[Border | None, _about("Neighbours of the first and last frame.")] = None
    attention_size: Annotated[
        Positive | Literal["map", "released"] | None,
        _about(
            "A positive number; map for the true H*W; released for what keeps the scores of 7744 at 224 at any size."
        ),
    ] = None
    epochs: Annotated[
        Count | None, _about("Passes over the training frames; in place of iterations.")
    ] = None
    iterations: Annotated[
        Count | None,
        _about("Optimizer steps, however many frames there are; in place of epochs."),
    ] = None
    drop_last: Annotated[
        bool | None, _about("Leave an epoch's last batch out if it is not a whole one.")
    ] = None
    train_size: Annotated[
        Pixels | None,
        _about("Side of the training windows in pixels, if it is not size: of a crop, say."),
    ] = None
    resize: Annotated[
        Resize | None,
        _about(
            "How a frame becomes a square: stretched after the augmentation, stretched before it, or padded before it."
        ),
    ] = None
    restore: Annotated[
        Restore | None,
        _about("What is brought to the stored grid: labels (nearest) or logits (linear)."),
    ] = None
    postprocess: Annotated[
        Postprocess | None, _about("What protocol paper does to predictions before scoring them.")
    ] = None

    wiring: Annotated[
        Wiring | None,
        _about("What a module reads where there is one frame: it thrice, or its patches in turn."),
    ] = None
    network: Annotated[
        dict | None,
        _about("The network, where a library brings it: from, arguments; salstm/libraries.py."),
    ] = None

    def __post_init__(self) -> None:
        """Refuse keys that do not fit each other, however the recipe came to be."""
        found = list(_unfit(self.activation, self.loss.name, self.scales, self.train_size))
        if found := found or [*_no_length(vars(self)), *_no_patches(vars(self))]:
            raise RecipeError(_sentence(found))

    @property
    def side(self) -> int:
        """Side of a training window in pixels, before several scales."""
        return self.train_size or self.size

    def batches(self, frames: int) -> int:
        """Optimizer steps of an epoch over that many training frames.

        A last batch that is not a whole one is left out under ``drop_last``; one of a single item always is, because
        it has no batch statistics on 1x1 maps. Fewer frames than a batch are one step.
        """
        whole, rest = divmod(frames, self.batch)
        if whole and (self.drop_last or rest == 1):
            rest = 0
        return whole + (rest > 0)

    def length(self, frames: int) -> tuple[int, int]:
        """Epochs and optimizer steps of the training; the last epoch is cut where ``iterations`` are reached."""
        steps = self.batches(frames)
        if self.iterations is None:
            epochs = self.epochs or 0  # a recipe without either is refused
            return epochs, epochs * steps
        return -(-self.iterations // steps), self.iterations

    @property
    def rate(self) -> float:
        """The optimizer's learning rate, which the schedule changes."""
        return self.optimizer.parameters["lr"]


RESOLVED = ("frames", "network")
"""Keys that no layer gives."""


def resolve(config: Mapping[str, Any], dataset: str, baseline: str, variant: str) -> Recipe:
    """The recipe of a cell: defaults < dataset < network < dataset and network < overrides.

    A named choice with parameters (``optimizer``, ``schedule``, ``loss``) that is given in a later layer under
    another name replaces the earlier one whole; under the same name its parameters are merged. A layer that gives
    ``size`` and no ``scales`` ends the earlier ``scales``, which belong to the earlier size, and likewise
    ``train_size``; one that gives ``epochs`` ends ``iterations``, and the other way round.

    What does not act is left out, so that changing it retrains nothing: ``attention_size`` without a module,
    ``border`` where a network sees one frame, ``wiring`` where it sees three. Auxiliary outputs are off under a module:
    the loss is on the module's output alone. ``frames`` is added: what the network sees, 1 for ``plain``, else the
    dataset's; and ``network``, where a library brings it.

    Raises:
        RecipeError: keys that do not fit each other; ``salstm.config.checked``, which comes first, says where.
    """
    return _load(_resolved(config, dataset, baseline, variant))


def load(given: Mapping[str, Any] | Recipe) -> Recipe:
    """A recipe from what its text says.

    Args:
        given: as ``json.loads`` gives it for ``dump``; a recipe is taken as it is.

    Raises:
        RecipeError: a key that is missing or unknown, of the wrong type, or that does not fit the others.
    """
    if isinstance(given, Recipe):
        return given
    found = list(schemas.problems(given, text_schema())) or list(_wrong(given))
    if found:
        raise RecipeError(_sentence(found))
    return _load(given)


def dump(recipe: Any) -> str:
    """A recipe, or recipes by name, as one line of JSON with sorted keys: equal recipes give equal text."""
    return json.dumps(recipe, default=given, sort_keys=True, separators=(",", ":"))


def given(recipe: Recipe) -> dict[str, Any]:
    """What the text of a recipe says: the inverse of ``load``."""
    found = {field.name: getattr(recipe, field.name) for field in dataclasses.fields(recipe)}
    found |= {key: found[key].block() for key in KINDS}
    if recipe.normalise is not None:
        found["normalise"] = recipe.normalise._asdict()
    return {key: found[key] for key in found if found[key] is not None or key not in _left_out()}


def digest(recipe: Recipe) -> str:
    """A short hash that names the recipe in run.json and in checkpoints."""
    return hashlib.sha256(dump(recipe).encode()).hexdigest()[:16]


def pieces(count: int, most: int | None) -> list[int]:
    """How ``count`` items pass a network, at most ``most`` at once: as evenly as can be, the larger pieces first.

    So a single item is left over only where ``most`` is 1, or 2 of an odd count. None: all at once.
    """
    number = -(-count // (most or count))
    return [count // number + (place < count % number) for place in range(number)]


@cache
def layer_schema() -> dict[str, Any]:
    """JSON schema of one layer: any of the keys that layers give."""
    return closed({key: one for key, one in _keys().items() if key not in RESOLVED})


@cache
def text_schema() -> dict[str, Any]:
    """JSON schema of what the text of a recipe says."""
    needed = [key for key in _keys() if key not in _left_out()]
    return closed(_keys()) | {"required": needed}


def problems(
    config: Mapping[str, Any],
    accepts: Callable[[str, Recipe, list[int]], Iterator[Problem]],
) -> Iterator[str]:
    """What the trainings of a grid would not accept, each with its place in the configuration.

    Args:
        config: whose layers fit ``layer_schema``.
        accepts: says what a network does not take: its name, a recipe, the pieces in which a batch passes.
    """
    seen: set[str] = set()
    for dataset, networks in config["grid"].items():
        for baseline in networks:
            for variant in config["variants"]:
                for key, problem in _of_cell(config, (dataset, baseline, variant), accepts):
                    line = f"{_place(config, dataset, baseline, key)}: {problem}"
                    if line not in seen:
                        seen.add(line)
                        yield line


def unfit_for(recipe: Recipe, dataset: Dataset) -> Iterator[Problem]:
    """What a recipe asks of frames and classes that a dataset does not have."""
    classes = len(dataset.classes)
    if recipe.activation == "sigmoid" and classes != 1:
        yield "activation", f"sigmoid is for one class, {dataset.name} has {classes}; use softmax"
    for key, values in (recipe.normalise._asdict() if recipe.normalise else {}).items():
        if len(values) not in (1, dataset.channels):
            yield (
                f"normalise.{key}",
                f"{len(values)} values for frames of {dataset.name}, which have {_channels(dataset)}",
            )


def _of_cell(
    config: Mapping[str, Any],
    cell: tuple[str, str, str],
    accepts: Callable[[str, Recipe, list[int]], Iterator[Problem]],
) -> Iterator[Problem]:
    text = _resolved(config, *cell)
    found = list(_wrong(text))
    unfit = _unfit(text["activation"], text["loss"]["name"], text["scales"], text.get("train_size"))
    if found := found or [*unfit, *_no_length(text), *_no_patches(text)]:
        yield from found
        return
    recipe, micro_batch = _load(text), config["machine"]["micro_batch"]
    yield from unfit_for(recipe, DATASETS[cell[0]])
    for key, problem in accepts(cell[1], recipe, pieces(recipe.batch, micro_batch)):
        yield ("machine.micro_batch" if key == "batch" and micro_batch else key), problem


def _no_length(text: Mapping[str, Any]) -> Iterator[Problem]:
    """A recipe that says twice how long a training is, or not at all."""
    given = [f"{key} {text[key]}" for key in LENGTHS if text.get(key) is not None]
    if len(given) != 1:
        yield (
            "iterations" if given else "",
            f"found {' and '.join(given) or 'neither epochs nor iterations'}, one of the two is allowed; give how "
            f"long to train either in epochs or in iterations",
        )


def _no_patches(text: Mapping[str, Any]) -> Iterator[Problem]:
    """Sides that cannot be cut into patches."""
    sides = [*(text["scales"] or ()), text.get("train_size") or text["size"], text["size"]]
    if text.get("wiring") == "patches" and any(side % PATCH for side in sides):
        yield "wiring", f"patches of {PATCH} pixels do not fill sides of {max(sides)}; use frames"


def _unfit(
    activation: str, loss: str, scales: Sequence[int] | None, train_size: int | None
) -> Iterator[Problem]:
    """Keys of a recipe that contradict each other."""
    if scales and train_size is not None:
        yield "train_size", "a batch has one of the scales already; leave one of the two out"
    fitting = losses.BY_ACTIVATION[activation]
    if loss not in fitting:
        yield (
            "loss.name",
            f"{loss} is not for outputs under activation {activation}: it goes with {', '.join(fitting)}; "
            f"change one of the two",
        )
    if scales and activation != "sigmoid":
        yield (
            "scales",
            f"they make soft masks, which {activation} does not take; set scales to null or activation to sigmoid",
        )


def _wrong(text: Mapping[str, Any]) -> Iterator[Problem]:
    """Names of a recipe's choices that do not exist, and parameters that do not fit them."""
    for key, kind in KINDS.items():
        for part, problem in kind.problems(text.get(key, {})):
            yield f"{key}.{part}".rstrip("."), problem


def _load(text: Mapping[str, Any]) -> Recipe:
    """A recipe from a text that is known to fit ``text_schema``."""
    keys: dict[str, Any] = dict(text)
    keys |= {key: Choice.of(keys[key]) for key in KINDS}
    if keys["normalise"] is not None:
        keys["normalise"] = Normalise(*(tuple(keys["normalise"][one]) for one in Normalise._fields))
    if keys["scales"] is not None:
        keys["scales"] = tuple(keys["scales"])
    return Recipe(**keys)


@cache
def _keys() -> dict[str, dict[str, Any]]:
    """The schema of every key; null is no value of those that are left out where they do not act."""
    hints = get_type_hints(Recipe, include_extras=True)
    found = {one.name: schema(hints[one.name]) for one in dataclasses.fields(Recipe)}
    for key in _left_out():
        found[key] = not_null(found[key])
    return found


@cache
def _left_out() -> tuple[str, ...]:
    """Keys that the text leaves out where they do not act."""
    return tuple(one.name for one in dataclasses.fields(Recipe) if one.default is None)


def _layers(
    config: Mapping[str, Any], dataset: str, baseline: str
) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The layers of a cell's recipe with their places, the first laid first."""
    recipes = config["recipes"]
    yield "recipes.defaults", recipes["defaults"]
    yield f"recipes.datasets.{dataset}", recipes["datasets"].get(dataset, {})
    yield f"recipes.networks.{baseline}", recipes["networks"].get(baseline, {})
    yield f"recipes.grid.{dataset}.{baseline}", recipes["grid"].get(dataset, {}).get(baseline, {})
    yield "recipes.overrides", recipes["overrides"]


def _resolved(
    config: Mapping[str, Any], dataset: str, baseline: str, variant: str
) -> dict[str, Any]:
    """What ``resolve`` makes a recipe of."""
    recipe: dict[str, Any] = {}
    for _, layer in _layers(config, dataset, baseline):
        recipe = _lay(recipe, layer)
    if variant not in ATTENTION:
        recipe.pop("attention_size", None)
    if variant != PLAIN:
        recipe["auxiliary"] = False
    recipe["frames"] = 1 if variant == PLAIN else config["datasets"][dataset]["frames"]
    if network := config.get("networks", {}).get(baseline):
        recipe["network"] = network
    if recipe["frames"] == 1:
        recipe.pop("border", None)
    if recipe["frames"] == 3 or not VARIANTS[variant].recurrent:
        recipe.pop("wiring", None)
    return recipe


def _lay(recipe: dict[str, Any], layer: Mapping[str, Any]) -> dict[str, Any]:
    result = dict(recipe)
    if "size" in layer:
        result["scales"] = None
        result.pop("train_size", None)
    for key in LENGTHS if any(key in layer for key in LENGTHS) else ():
        result.pop(key, None)
    for key, value in layer.items():
        old = result.get(key)
        if isinstance(value, dict) and isinstance(old, dict):
            same = value.get("name", old.get("name")) == old.get("name")
            value = {**old, **value} if same else value
        result[key] = value
    return result


def _place(config: Mapping[str, Any], dataset: str, baseline: str, key: str) -> str:
    """Where the configuration says what a cell's recipe has at a key: in the last layer that gives it."""
    parts = key.split(".")
    layers = list(_layers(config, dataset, baseline))[::-1]
    while parts:
        for place, layer in layers:
            value: Any = layer
            for part in parts:
                value = value.get(part) if isinstance(value, dict) else None
            if value is not None:
                return f"{place}.{'.'.join(parts)}"
        parts.pop()
    return key


def _channels(dataset: Dataset) -> str:
    return "1 channel: 1 is allowed" if dataset.channels == 1 else "3 channels: 1 or 3 are allowed"
