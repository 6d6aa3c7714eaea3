"""A recipe: everything that changes the numbers of one training, and nothing else."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from salstm.config import merge
from salstm.vocabulary import ATTENTION, PLAIN


def resolve(config: dict[str, Any], dataset: str, baseline: str, variant: str) -> dict[str, Any]:
    """The recipe of a cell: defaults < dataset < network < dataset and network < overrides.

    A named choice with parameters (``optimizer``, ``schedule``, ``loss``) that is given in a later layer under
    another name replaces the earlier one whole; under the same name its parameters are merged. A layer that gives
    ``size`` and no ``scales`` ends the earlier ``scales``, which belong to the earlier size.

    What does not act is left out, so that changing it retrains nothing: ``attention_size`` without a module,
    ``border`` where a network sees one frame. Auxiliary outputs are off under a module: the loss is on the
    module's output alone. ``frames`` is added: what the network sees, 1 for ``plain``, else the dataset's.

    Returns:
        A dict with sorted keys, ready for ``dump``.
    """
    recipes = config["recipes"]
    layers = [
        recipes["defaults"],
        recipes["datasets"].get(dataset, {}),
        recipes["networks"].get(baseline, {}),
        recipes["grid"].get(dataset, {}).get(baseline, {}),
        recipes["overrides"],
    ]
    recipe: dict[str, Any] = {}
    for layer in layers:
        recipe = _lay(recipe, layer)
    if variant not in ATTENTION:
        recipe.pop("attention_size", None)
    if variant != PLAIN:
        recipe["auxiliary"] = False
    recipe["frames"] = 1 if variant == PLAIN else config["datasets"][dataset]["frames"]
    if recipe["frames"] == 1:
        recipe.pop("border", None)
    return dict(sorted(recipe.items()))


def dump(recipe: dict[str, Any]) -> str:
    """The recipe as one line of JSON with sorted keys: equal recipes give equal text."""
    return json.dumps(recipe, sort_keys=True, separators=(",", ":"))


def digest(recipe: dict[str, Any]) -> str:
    """A short hash that names the recipe in run.json and in checkpoints."""
    return hashlib.sha256(dump(recipe).encode()).hexdigest()[:16]


def _lay(recipe: dict[str, Any], layer: dict[str, Any]) -> dict[str, Any]:
    result = dict(recipe)
    if "size" in layer:
        result["scales"] = None
    for key, value in layer.items():
        old = result.get(key)
        if isinstance(value, dict) and isinstance(old, dict):
            same = value.get("name", old.get("name")) == old.get("name")
            value = merge(old, value) if same else value
        result[key] = value
    return result
