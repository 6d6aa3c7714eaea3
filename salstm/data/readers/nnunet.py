"""What the ``dataset.json`` of an nnU-Net raw dataset says: its labels, its channels, its number of cases.

Version 2 (nnU-Net's documentation/dataset_format.md) and version 1, which is the Medical Segmentation Decathlon's.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FILE = "dataset.json"
CHANNEL = r"_[0-9]{4}"
"""What the name of an image ends with, before its ending: the number of its channel."""


@dataclass(frozen=True)
class Described:
    """What a ``dataset.json`` says.

    Attributes:
        path: the file.
        labels: class -> number, without the background.
        channels: names in order; empty where it does not say.
        cases: how many there should be; None where it does not say.
    """

    path: Path
    labels: Mapping[str, int]
    channels: tuple[str, ...]
    cases: int | None

    @property
    def ct(self) -> bool:
        """Whether the voxels are Hounsfield units."""
        return any(name.upper() == "CT" for name in self.channels)


def read(folder: Path) -> Described | None:
    """Read the ``dataset.json`` beside a folder's images, if there is one.

    Raises:
        ValueError: not such a file, or labels that overlap (regions).
    """
    path = folder / FILE
    if not path.is_file():
        return None
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))
        channels = content.get("channel_names", content.get("modality", {}))
        return Described(
            path,
            _labels(content["labels"]),
            tuple(map(str, channels.values())),
            content.get("numTraining"),
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(
            f"{path}: {type(error).__name__} {error}; the dataset.json of an nnU-Net raw dataset is expected, with one "
            f"number for each of its labels; correct it, or take it away"
        ) from error


def check_channels(files: list[Path]) -> None:
    """Check that each image is one file.

    Raises:
        ValueError: names two channels of one case.
    """
    seen: dict[str, Path] = {}
    for path in files:
        name = re.sub(rf"{CHANNEL}(?=\.)", "", path.name, count=1)
        if name != path.name and name in seen:
            raise ValueError(
                f"{seen[name]} and {path}: two channels of one case; images of one channel, or RGB in one file, are "
                f"read; keep one channel"
            )
        seen[name] = path


def _labels(entries: Mapping[str, Any]) -> dict[str, int]:
    """Either way round: {"RV": 1}, or {"1": "RV"} in version 1."""
    pairs = [
        (value, int(key)) if isinstance(value, str) and key.isdecimal() else (key, value)
        for key, value in entries.items()
    ]
    if wrong := [key for key, value in pairs if not isinstance(value, int)]:
        raise TypeError(f"label {wrong[0]!r} is no number")
    return {str(key): int(value) for key, value in pairs if value}
