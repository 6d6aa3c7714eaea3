"""One measured figure, how pairs are timed, and where the figures of a machine are kept."""

from __future__ import annotations

import os
import platform
import statistics
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path

import pandas as pd

PACKAGES = ("torch", "numpy", "scipy", "snakemake")
ROOT = Path(__file__).parent.parent
PAGE = "docs/benchmarks.md"
"""Where the figures stand, below ROOT."""
TARGET = ROOT / "docs" / "measured"
MARKS = ("<!-- benchmarks -->\n", "<!-- /benchmarks -->")


@dataclass(frozen=True)
class Figure:
    """What was measured.

    Attributes:
        name: what is compared.
        setting: sizes, precision, number of pairs.
        reference: of the straightforward way, in ``unit``; NaN where there is none.
        ours: the same of this project.
        unit: of both.
        ratio: how many times better ours is: the median over the pairs; NaN without a reference.
        reach: the aim, as text.
    """

    name: str
    setting: str
    reference: float
    ours: float
    unit: str
    ratio: float
    reach: str


def seconds(work: Callable[[], object]) -> float:
    """Wall time of one call."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def paired(
    name: str,
    setting: str,
    reference: Callable[[], object],
    ours: Callable[[], object],
    *,
    pairs: int,
    reach: str,
) -> Figure:
    """Time both in turn, after one call of each that is not counted."""
    for once in (reference, ours):
        once()
    found = [(seconds(reference), seconds(ours)) for _ in range(pairs)]
    slow, fast = (statistics.median(column) for column in zip(*found, strict=True))
    ratio = statistics.median(one / other for one, other in found)
    return Figure(name, f"{setting}; {pairs} pairs", slow, fast, "s", ratio, reach)


def show(figures: Iterable[Figure]) -> list[Figure]:
    """Print each figure as it comes."""
    print(f"{'figure':<58}{'reference':>16}{'ours':>16}{'ratio':>9}  reach")
    kept = []
    for one in figures:
        ratio = "" if one.ratio != one.ratio else f"{one.ratio:.2f}x"
        reference = "" if one.reference != one.reference else f"{one.reference:.4g} {one.unit}"
        print(
            f"{one.name:<58}{reference:>16}{f'{one.ours:.4g} {one.unit}':>16}{ratio:>9}  {one.reach}",
            flush=True,
        )
        kept.append(one)
    return kept


def write(figures: list[Figure], machine: str) -> Path:
    """Keep the figures with their machine, threads and versions; those of other benchmarks stay.

    Args:
        figures: what was measured.
        machine: a word for the file's name.
    """
    import torch

    path = TARGET / f"bench-{machine}.csv"
    facts = {
        "hardware": f"{os.cpu_count()} cores, {platform.machine()}"
        + (f", {torch.cuda.get_device_name()}" if torch.cuda.is_available() else ", no GPU"),
        "threads": torch.get_num_threads(),
        "versions": "; ".join(f"{name} {version(name)}" for name in PACKAGES),
    }
    table = pd.DataFrame([{**asdict(one), **facts} for one in figures])
    if path.is_file():
        old = pd.read_csv(path)
        table = pd.concat([old.loc[~old["name"].isin(table["name"])], table], ignore_index=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    table.sort_values("name").to_csv(path, index=False)
    page = ROOT / PAGE
    before, rest = page.read_text(encoding="utf-8").split(MARKS[0])
    after = rest.split(MARKS[1])[1]
    block = MARKS[0] + markdown(path) + MARKS[1]
    page.write_text(before + block + after, encoding="utf-8")
    return path


def markdown(path: Path) -> str:
    """The figures of a file as the page shows them."""
    table = pd.read_csv(path, keep_default_na=False, na_values={"reference": "", "ratio": ""})
    facts = table[["hardware", "versions"]].drop_duplicates().agg(", ".join, axis=1)
    lines = [
        "| figure | setting | threads | reference | ours | ratio | aim |",
        "|---|---|---:|---:|---:|---:|---:|",
    ]
    for row in table.to_dict("records"):
        amounts = [
            f"{value:.3g} {row['unit']}" if value == value else ""
            for value in (row["reference"], row["ours"])
        ]
        ratio = f"{row['ratio']:.2f}x" if row["ratio"] == row["ratio"] else ""
        cells = [row["name"], row["setting"], row["threads"], *amounts, ratio, row["reach"]]
        lines.append(f"| {' | '.join(map(str, cells))} |")
    return "\n".join([*lines, "", f"`make bench` on {'; '.join(facts)}.", ""])
