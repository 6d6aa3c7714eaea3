"""Ratios against the straightforward way, measured side by side: ``python -m benchmarks [NAME ...]``.

Names: modules, networks, gpu, loading, hd95, workflow; all by default (about half an hour on two quiet cores).
With ``--machine WORD`` the figures are kept in ``docs/measured/bench-WORD.csv``.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable

from benchmarks import figures
from benchmarks.figures import Figure


def main() -> None:
    """Run the named benchmarks one after the other."""
    kinds = {"modules": _modules, "gpu": _gpu, "loading": _loading, "hd95": _hd95}
    kinds |= {"workflow": _workflow, "networks": _networks}
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", choices=[*kinds, []], metavar="NAME")
    parser.add_argument("--machine", help="a word that names this machine; keeps the figures")
    parser.add_argument("--threads", type=int, default=1, help="of torch")
    arguments = parser.parse_args()
    _threads(arguments.threads)
    for name in arguments.names or kinds:
        kept = figures.show(kinds[name]())
        if arguments.machine:
            print(f"kept in {figures.write(kept, arguments.machine)}")


def _threads(number: int) -> None:
    import torch

    torch.set_num_threads(number)


def _modules() -> Iterable[Figure]:
    from benchmarks import modules

    return modules.figures()


def _networks() -> Iterable[Figure]:
    from benchmarks import networks

    return networks.figures()


def _gpu() -> Iterable[Figure]:
    from benchmarks import gpu

    return gpu.figures()


def _loading() -> Iterable[Figure]:
    from benchmarks import loading

    return loading.figures()


def _hd95() -> Iterable[Figure]:
    from benchmarks import hd95

    return hd95.figures()


def _workflow() -> Iterable[Figure]:
    from benchmarks import workflow

    return workflow.figures()


if __name__ == "__main__":
    main()
