"""Why a run cannot decide about accuracy, whatever it finds: made-up data, or another run than config.yaml asks for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from salstm import recipes
from salstm.data.frame_counts import amounts
from salstm.vocabulary import FOLDS, LIMIT, Identity

LESS = {"epochs": "fewer epochs", "iterations": "fewer iterations", "size": "smaller images"}
"""Keys of a recipe of which less is a smaller run: what a reduced run reduces."""
SHORTER = "shorter trainings"
FLATTER = "flatter attention"
OTHER = "another recipe"
WORDS = (SHORTER, *LESS.values(), FLATTER)
SETTINGS = ("split", "size", "frames")
"""Of a dataset, what decides which cases are tested and what a network sees of them."""


def reasons(config: dict[str, Any], paper: dict[str, Any]) -> list[str]:
    """What of a configuration keeps its run from a verdict about accuracy.

    Args:
        config: the configuration of the run.
        paper: the configuration without what was laid over it.

    Returns:
        A sentence for each reason; none for a whole run. Networks that the paper's grid has not are no reason: no
        claim is about them.
    """
    active = [dataset for dataset, chosen in config["grid"].items() if chosen]
    phantoms = [one for one in active if config["datasets"][one].get("phantom")]
    found = [phantom_data(phantoms)] if phantoms else []
    if most := config.get(LIMIT):
        found.append(f"a quick look: {most} cases of each part, one epoch")
    found += _settings(config, paper, [one for one in active if one in paper["datasets"]])
    return [*found, *_recipes(config, paper, active)]


def phantom_data(datasets: list[str]) -> str:
    """The reason that made-up data are."""
    return f"phantom data: {', '.join(datasets)}"


def fewer_cases(scores: Any, dataset: str) -> str:
    """Why the scores of a dataset are not of the published test set; empty if they are, or are of another one.

    Args:
        scores: collected raw rows of the dataset.
        dataset: its name.
    """
    from salstm.data import splits  # a plan reads this module without numpy

    tested = {*scores["group"].unique(), *scores["case"].unique()}
    try:
        listed = [entry for entry, part in splits.paper(dataset).items() if part == "test"]
    except ValueError:  # no list is published
        return ""
    known = sum(entry in tested for entry in listed)
    if known in (0, len(listed)):
        return ""
    return f"fewer test cases than in the published split: {dataset} {known} of {len(listed)}"


def _settings(
    config: Mapping[str, Any], paper: Mapping[str, Any], datasets: list[str]
) -> Iterator[str]:
    for key in SETTINGS:
        pairs = [
            (name, *(one["datasets"][name][key] for one in (config, paper))) for name in datasets
        ]
        differ = [
            f"{name} {_text(run)} where it has {_text(full)}"
            for name, run, full in pairs
            if run != full and not (key == "split" and run["name"] == FOLDS)
        ]
        if differ:
            yield f"another {key} than in config.yaml: {_first(differ)}"


def _recipes(config: dict[str, Any], paper: dict[str, Any], datasets: list[str]) -> Iterator[str]:
    cells = [
        Identity(dataset, baseline, variant, 0)
        for dataset in datasets
        for baseline in config["grid"][dataset]
        if baseline in paper["grid"].get(dataset, ())
        for variant in config["variants"]
    ]
    found: dict[str, dict[str, None]] = {words: {} for words in (*WORDS, OTHER)}
    for cell in cells:
        texts = [recipes.given(recipes.resolve(one, *cell[:3])) for one in (config, paper)]
        told = {**_length(config, paper, cell, *texts), **_smaller(*texts)}
        keys = sorted({*texts[0], *texts[1]} - {key for key, _ in told})
        rest = [key for key in keys if texts[0].get(key) != texts[1].get(key)]
        for words, what in [
            *((words, what) for (_, words), what in told.items()),
            *((OTHER, key) for key in rest),
        ]:
            if what:
                found[words][f"{cell.dataset}/{cell.baseline} {what}"] = None
    for words, those in found.items():
        if those:
            yield f"{words} than in config.yaml: {_first(list(those))}"


def _length(
    config: Mapping[str, Any], paper: Mapping[str, Any], cell: Identity, *texts: dict[str, Any]
) -> dict[tuple[str, str], str]:
    """(key, words) -> how much of how much, where a training is shorter; in steps where the units differ."""
    for key in recipes.LENGTHS:
        run, full = (text.get(key) for text in texts)
        if run is not None and full is not None:
            return {(key, LESS[key]): f"{run} of {full}"} if run < full else {}
    steps, whole = (
        recipes.resolve(one, *cell[:3]).length(
            amounts(cell.dataset, one["datasets"][cell.dataset]).train
        )[1]
        for one in (config, paper)
    )
    if steps >= whole:
        return {}
    return {("epochs", SHORTER): "", ("iterations", SHORTER): f"{steps} of {whole} iterations"}


def _smaller(run: dict[str, Any], full: dict[str, Any]) -> dict[tuple[str, str], str]:
    """The same of smaller images, and of an attention whose scores shrink with them."""
    if run["size"] >= full["size"]:
        return {}
    found = {("size", LESS["size"]): f"{run['size']} of {full['size']}"}
    if "attention_size" in full and run["attention_size"] == full["attention_size"]:
        share = (full["size"] / run["size"]) ** 2
        found["attention_size", FLATTER] = (
            f"scores 1/{share:.0f} (attention_size: released keeps them)"
        )
    elif run.get("attention_size") == "released":
        found["attention_size", FLATTER] = ""  # it keeps what the paper's size has
    return found


def _first(texts: list[str]) -> str:
    return texts[0] + (f" and {len(texts) - 1} more" if len(texts) > 1 else "")


def _text(value: Any) -> str:
    if not isinstance(value, Mapping):
        return "the native size" if value is None else str(value)
    return " ".join(str(one) for one in value.values())
