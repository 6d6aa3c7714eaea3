"""Preparing raw data against another checkout, side by side: CPU time, peak memory, and whether the bytes are the same.

    python -m benchmarks.preparing ../other acdc=data/raw/acdc isic2018=data/raw/isic2018

Each run is a process of its own, ours and theirs in turn; ratios are medians of ours through theirs of each pair. CPU
seconds are those of ``salstm.data.datasets.prepare`` on one thread, without Python's start; memory is a process's peak.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

OURS = Path(__file__).parent.parent
SIZES = {"synapse": None, "acdc": 224, "isic2018": 256, "cvc_clinicdb": 352}
JOB = """
import json, resource, sys, time
from salstm.data import datasets
name, raw, folder, size = sys.argv[1:]
split = {"name": "groups", "validation": 0.0, "test": 0.0, "seed": 0}
listed = datasets.raw_manifest(name, raw)
start = time.process_time()
datasets.prepare(name, raw, folder, split=split, size=json.loads(size), manifest=listed)
seconds = time.process_time() - start
print(json.dumps([seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024]))
"""


@dataclass(frozen=True)
class Run:
    """One preparation.

    Attributes:
        seconds: of CPU time.
        megabytes: at the peak.
        arrays: the store's files with their hashes.
        cases: its table.
    """

    seconds: float
    megabytes: float
    arrays: dict[str, str]
    cases: str


def run(checkout: Path, dataset: str, raw: Path) -> Run:
    """Prepare a raw folder with the code of a checkout."""
    environment = {**os.environ, "PYTHONPATH": str(checkout), "OMP_NUM_THREADS": "1"}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "store"
        words = (dataset, str(raw.resolve()), str(folder), json.dumps(SIZES[dataset]))
        done = subprocess.run(
            [sys.executable, "-c", JOB, *words],
            cwd=name, env=environment, capture_output=True, text=True, check=False,
        )  # fmt: skip
        if done.returncode:
            raise RuntimeError(f"{checkout}: {done.stderr[-2000:]}")
        arrays = json.loads((folder / "manifest.json").read_text())["arrays"]
        hashes = {file: entry["sha256"] for file, entry in arrays.items()}
        table = (folder / "cases.csv").read_text(encoding="utf-8")
    seconds, megabytes = json.loads(done.stdout)
    return Run(seconds, megabytes, hashes, table)


def compared(pairs: list[tuple[Run, Run]]) -> dict[str, float | bool]:
    """Medians of what ours and theirs took, of the ratios, and whether both wrote the same."""
    return {
        "seconds": statistics.median(ours.seconds for ours, _ in pairs),
        "time": statistics.median(ours.seconds / theirs.seconds for ours, theirs in pairs),
        "megabytes": statistics.median(ours.megabytes for ours, _ in pairs),
        "memory": statistics.median(ours.megabytes / theirs.megabytes for ours, theirs in pairs),
        "same": all(
            (ours.arrays, ours.cases) == (theirs.arrays, theirs.cases) for ours, theirs in pairs
        ),
    }


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("checkout", type=Path, help="the other one")
    parser.add_argument("raw", nargs="+", help="<dataset>=<raw folder>")
    parser.add_argument("--pairs", type=int, default=3)
    args = parser.parse_args(arguments)
    print(f"{'dataset':<14}{'CPU s':>8}{'ratio':>8}{'MB':>8}{'ratio':>8}  bytes")
    for entry in args.raw:
        dataset, _, raw = entry.partition("=")
        places = (OURS, args.checkout.resolve())
        pairs = []
        for at in range(args.pairs):
            order = places if at % 2 else places[::-1]
            done = {place: run(place, dataset, Path(raw)) for place in order}
            pairs.append((done[places[0]], done[places[1]]))
        row = compared(pairs)
        same = "the same" if row["same"] else "DIFFERENT"
        print(
            f"{dataset:<14}{row['seconds']:>8.2f}{row['time']:>8.2f}"
            f"{row['megabytes']:>8.0f}{row['memory']:>8.2f}  {same}",
            flush=True,
        )


if __name__ == "__main__":
    main()
