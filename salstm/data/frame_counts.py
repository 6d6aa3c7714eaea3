"""How many frames a training trains, validates and tests on: counted where they are prepared, else as published."""

from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from salstm.data.case import UNUSED
from salstm.data.datasets import DATASETS, reader
from salstm.vocabulary import folds_of

FOLDER = Path(__file__).parent / "splits"

PHANTOM = {
    "synapse": ("volumes", 8, "slices", (12, 18), 1),
    "acdc": ("patients", 12, "slices", (6, 9), 2),
    "isic2018": ("images", 24, None, (1, 1), 1),
    "cvc_clinicdb": ("sequences", 6, "frames", (8, 8), 1),
}
"""Of each phantom: key and default of its items, key and default of the frames of one, stacks an item."""


@dataclass(frozen=True)
class Amounts:
    """Frames by split; of cases in folds, the mean over the folds.

    Attributes:
        train: frames that train; each is the middle of one window an epoch.
        val: frames that validate.
        test: frames that test.
        source: where the counts are from: 'prepared', 'phantom', 'raw files', 'published list' or 'share of the
            published total'.
        pixels: of a native frame; None where it is not known before preparing.
    """

    train: int
    val: int
    test: int
    source: str
    pixels: float | None

    @property
    def total(self) -> int:
        """Frames of all splits."""
        return self.train + self.val + self.test


def amounts(dataset: str, settings: Mapping[str, Any], cases: Path | None = None) -> Amounts:
    """Count a dataset's frames without its data where need be.

    Args:
        dataset: its name.
        settings: its block of the configuration, defaults filled in.
        cases: folder of the prepared cases, which need not be there; None: as published.
    """
    split = settings["split"]
    if cases and (table := cases / "cases.csv").is_file():
        return _prepared(table)
    if settings["phantom"]:
        total, pixels = _phantom(dataset, settings["phantom"])
        return Amounts(**_shared(total, split), source="phantom", pixels=pixels)
    facts = DATASETS[dataset]
    if facts.settings is not None:
        total, pixels = _own(dataset, Path(settings["raw"]))
        return Amounts(**_shared(total, split), source="raw files", pixels=pixels)
    total, pixels = facts.published_frames, facts.native_pixels
    path = FOLDER / f"{dataset}_{split['name']}.json"
    if path.is_file():
        return Amounts(**_listed(path, total), source="published list", pixels=pixels)
    counts = facts.official if split["name"] == "official" else None
    counts = counts or _shared(total, split)
    return Amounts(**counts, source="share of the published total", pixels=pixels)


def _own(dataset: str, raw: Path) -> tuple[int, float | None]:
    """Frames of a dataset of one's own, and pixels of one; 0 where there are no files yet."""
    source: Any = reader(dataset, raw)
    try:
        return source.amount(raw)
    except (OSError, ValueError):  # fetch says what is missing or wrong
        return 0, None


def _prepared(table: Path) -> Amounts:
    with table.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    manifest = json.loads((table.parent / "manifest.json").read_text(encoding="utf-8"))
    folds = manifest["source"].get("folds") or [{}]
    total: Counter[str] = Counter()
    pixels = 0
    for row in rows:
        for parts in folds:
            total[parts.get(row["group"], row["split"])] += int(row["depth"])
        pixels += int(row["depth"]) * int(row["native_height"]) * int(row["native_width"])
    every = sum(total.values()) // len(folds)
    del total[UNUSED]
    counts = {part: round(total[part] / len(folds)) for part in ("val", "test")}
    counts["train"] = sum(total.values()) // len(folds) - sum(counts.values())
    return Amounts(**counts, source="prepared", pixels=pixels / max(1, every))


def _listed(path: Path, total: int) -> dict[str, int]:
    content = json.loads(path.read_text(encoding="utf-8"))
    if "same_as" in content:
        dataset = path.stem.split("_")[0]
        return _listed(next(FOLDER.glob(f"{dataset}*_{content['same_as']}.json")), total)
    lists = {part: len(entries) for part, entries in content["splits"].items()}
    listed = sum(lists.values())
    # The lists name frames, or groups of which the file may say how many slices they have.
    counts = {part: round(total * number / listed) for part, number in lists.items()}
    counts = {"train": 0, "val": 0, "test": 0, **counts, **content.get("slices", {})}
    if "slices" in content:
        missing = [part for part in lists if part not in content["slices"]]
        for part in missing:
            counts[part] = total - sum(content["slices"].values())
    counts.pop(UNUSED, None)
    return counts


def _shared(total: int, split: Mapping[str, Any]) -> dict[str, int]:
    val = round(total * split.get("validation", 0.1))
    folds = folds_of(split)
    test = round(total / folds if folds else total * split.get("test", 0.2))
    return {"train": total - val - test, "val": val, "test": test}


def _phantom(dataset: str, parameters: Mapping[str, Any]) -> tuple[int, float]:
    items, many, frames, (low, high), stacks = PHANTOM[dataset]
    depth = parameters.get(frames, (low, high)) if frames else (low, high)
    low, high = depth if isinstance(depth, list | tuple) else (depth, depth)
    sides = parameters.get("size", (72, 104))
    return round(parameters.get(items, many) * stacks * (low + high) / 2), (sum(sides) / 2) ** 2
