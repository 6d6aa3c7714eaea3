"""Datasets of one's own: declared in the configuration, registered once, then like any other.

The jobs of a workflow see no configuration; they are told by ``--own`` (``salstm.cli``), a dataset's block as JSON.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from salstm.data.datasets import DATASETS, Dataset

BUILT_IN: tuple[str, ...] = tuple(DATASETS)
READERS = {"folder": "salstm.data.readers.folder"}
TAKEN = (
    *("all", "data", "fetch", "prepare", "check", "weights", "train", "predict", "score"),
    *("sparsity", "cost", "count", "collect", "claims", "tables", "figures", "export", "page"),
    *("bounds", "report", "collected"),
)
"""Names of the workflow's rules and of folders beside the datasets': no dataset can be called so."""
SHOWN = ("label", "licence", "citation")
"""What reports print of a dataset, and no number depends on."""
KEYS = ("reader", "classes", "group", "frames", "kind")
"""What a dataset's cases and trainings depend on."""


def names(blocks: Mapping[str, Any]) -> list[str]:
    """Names among the blocks ``datasets`` of a configuration that declare a dataset of one's own."""
    return [
        name
        for name, block in blocks.items()
        if name not in BUILT_IN
        and isinstance(block, Mapping)
        and {"reader", "classes"} & set(block)
    ]


def problems(blocks: Mapping[str, Any]) -> Iterator[str]:
    """What the schema does not see: each with its place."""
    for name in names(blocks):
        place, block = f"datasets.{name}", blocks[name]
        if name in TAKEN or not re.fullmatch(r"[a-z][a-z0-9_]*", name):
            yield (
                f"{place}: a dataset cannot be called so; small letters, digits and _ are allowed, and no name of a "
                f"rule ({', '.join(TAKEN)})"
            )
        values = list(block["classes"].values())
        if len(set(values)) != len(values):
            yield f"{place}.classes: {max(values, key=values.count)} is the number of two classes"
        try:
            re.compile(block["group"] or "")
        except re.error as error:
            yield f"{place}.group: {block['group']!r} is no regular expression: {error}"
        if block["split"]["name"] == "official" and len(block["split"]) > 1:
            yield f"{place}.split: of official nothing is drawn; leave the other keys out"


def complete(blocks: Mapping[str, Any]) -> None:
    """Fill in the kind of the images where the configuration leaves it to the files."""
    for name in names(blocks):
        from salstm.data.readers import folder  # numpy, which other plans do without

        block = blocks[name]
        block["kind"] = block["kind"] or folder.kind(Path(block["raw"])) or "colour"


def register(blocks: Mapping[str, Mapping[str, Any]]) -> None:
    """Put datasets into the registry, over what an earlier configuration has called so.

    Args:
        blocks: name -> its block, defaults filled in; of ``SHOWN`` all may be missing.
    """
    DATASETS.update({name: _entry(name, block) for name, block in blocks.items()})


def settings(
    blocks: Mapping[str, Any], wanted: Iterable[str], *, shown: bool = False
) -> dict[str, Any]:
    """What ``register`` needs of those among some datasets that are one's own.

    Args:
        blocks: ``datasets`` of a checked configuration.
        wanted: names of datasets.
        shown: with what reports print.
    """
    keys = (*KEYS, *(SHOWN if shown else ()))
    own = set(names(blocks))
    return {name: {key: blocks[name][key] for key in keys} for name in wanted if name in own}


def _entry(name: str, block: Mapping[str, Any]) -> Dataset:
    ordered = dict(sorted(block["classes"].items(), key=lambda one: one[1]))
    grey = block["kind"] != "colour"
    return Dataset(
        name=name,
        label=block.get("label") or name,
        module=READERS[block["reader"]],
        classes=tuple(ordered),
        frames=block["frames"],
        channels=1 if grey else 3,
        binary=len(ordered) == 1,
        licence=block.get("licence") or "not given",
        licence_url="",
        citation=block.get("citation") or "",
        whole_split="groups",
        published_frames=0,
        settings={"kind": block["kind"], "classes": ordered, "group": block["group"]},
    )
