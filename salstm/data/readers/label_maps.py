"""Abdominal organs by name: the one place that knows who numbers them how.

A label file holds numbers, and several numberings of the same organs are in use. Confusing them
raises no error and ruins a table, so numbers are only ever translated through names.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

BTCV: dict[int, str] = {
    1: "spleen",
    2: "right kidney",
    3: "left kidney",
    4: "gallbladder",
    5: "esophagus",
    6: "liver",
    7: "stomach",
    8: "aorta",
    9: "inferior vena cava",
    10: "portal vein and splenic vein",
    11: "pancreas",
    12: "right adrenal gland",
    13: "left adrenal gland",
}
"""The 13 organs of the official label files (downloads.md)."""

TRANSUNET: dict[int, str] = {
    1: "aorta",
    2: "gallbladder",
    3: "left kidney",
    4: "right kidney",
    5: "liver",
    6: "pancreas",
    7: "spleen",
    8: "stomach",
}
"""TransUNet's preprocessed files, and the columns of its family's tables. Ours."""

MERIT: dict[int, str] = {
    1: "spleen",
    2: "right kidney",
    3: "left kidney",
    4: "gallbladder",
    5: "pancreas",
    6: "liver",
    7: "stomach",
    8: "aorta",
}
"""What MERIT's loader makes of the official numbers: what its published weights predict."""


AMOS: dict[int, str] = {
    **{number: BTCV[number] for number in range(1, 10)},
    10: "pancreas",
    11: "right adrenal gland",
    12: "left adrenal gland",
    13: "duodenum",
}
"""AMOS 2022 (Ji et al., NeurIPS 2022 datasets track), without its last two."""

FLARE: dict[int, str] = {
    1: "liver",
    2: "right kidney",
    3: "spleen",
    4: "pancreas",
    5: "aorta",
    6: "inferior vena cava",
    7: "right adrenal gland",
    8: "left adrenal gland",
    9: "gallbladder",
    10: "esophagus",
    11: "stomach",
    12: "duodenum",
    13: "left kidney",
}
"""FLARE 2022 (Ma et al., Lancet Digital Health 2024)."""

TOTALSEGMENTATOR: dict[int, str] = {
    1: "spleen",
    2: "right kidney",
    3: "left kidney",
    4: "gallbladder",
    5: "liver",
    6: "stomach",
    7: "aorta",
    8: "inferior vena cava",
    9: "portal vein and splenic vein",
    10: "pancreas",
    11: "right adrenal gland",
    12: "left adrenal gland",
}
"""TotalSegmentator's first release, without its last classes."""

OTHERS: dict[str, dict[int, str]] = {
    "TransUNet": TRANSUNET,
    "MERIT": MERIT,
    "AMOS": AMOS,
    "FLARE": FLARE,
    "TotalSegmentator": TOTALSEGMENTATOR,
}
"""Lists that label files of the same organs are in, and that are not the official one."""


def numbers(order: Mapping[int, str]) -> dict[str, int]:
    """The numbering turned round: organ -> number."""
    return {name: number for number, name in order.items()}


def convert(label: np.ndarray, source: Mapping[int, str], target: Mapping[int, str]) -> np.ndarray:
    """Renumber by name; an organ that the target does not have becomes background.

    Args:
        label: uint8 of any shape, in the source's numbers, 0 the background.
        source: number -> organ, of the label.
        target: number -> organ, of the result.

    Returns:
        uint8 of the same shape.

    Raises:
        ValueError: a number that the source does not have.
    """
    wanted = numbers(target)
    table = np.zeros(256, dtype=np.uint8)
    for number, name in source.items():
        table[number] = wanted.get(name, 0)
    highest = int(label.max(initial=0))
    if highest > max(source):
        raise ValueError(
            f"organ {highest}: unknown; 0 to {max(source)} are allowed; this is another "
            f"numbering of the organs"
        )
    return table[label]
