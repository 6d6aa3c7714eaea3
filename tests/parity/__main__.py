"""Print the table of differences and tolerances: ``python -m tests.parity [name ...]``.

The number of threads and the instruction sets are the environment's: ``OMP_NUM_THREADS``,
``ATEN_CPU_CAPABILITY`` (default, avx2, avx512), ``ONEDNN_MAX_CPU_ISA``, ``MKL_CBWR``.
"""

from __future__ import annotations

import sys
import time

import torch

from tests.parity import cases
from tests.parity.measure import measure
from tests.parity.mutations import MUTATIONS


def main(names: list[str]) -> int:
    """Print a row for each name; 1 if a difference exceeds its tolerance."""
    capability = torch.backends.cpu.get_cpu_capability()
    write(f"torch {torch.__version__}, {capability}, {torch.get_num_threads()} threads\n")
    write(
        "| network | difference | tolerance | mistake | its difference | in tolerances | seconds |"
    )
    write("|---|---:|---:|---|---:|---:|---:|")
    failed = False
    for name in names or cases.NAMES:
        start = time.perf_counter()
        figures = measure(name)
        difference, tolerance = figures.worst
        mistake = MUTATIONS[name].__name__.replace("_", " ")
        seconds = time.perf_counter() - start
        write(
            f"| {name} | {difference:.1e} | {tolerance:.1e} | {mistake} | {max(figures.mutated):.1e} "
            f"| {figures.seen:.0e} | {seconds:.1f} |"
        )
        failed = failed or difference > tolerance
    return int(failed)


def write(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
