"""What evaluations take of a training: ``python -m benchmarks.evaluating [--write | --results FOLDER]``.

Counted, not timed: multiply-adds of the forward passes of validation and test frames over those of all passes of the
training, a backward pass as two forward ones. Scoring is not in it; it takes 0.1 % and less. ``--write`` keeps the
table in docs/measured/evaluating.md. ``--results`` sums the seconds of trainings that were run instead.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

import baselines
from benchmarks.figures import TARGET
from benchmarks.gpu_page import paper
from salstm import recipes
from salstm.analysis.results import dataset_name
from salstm.cost import estimate
from salstm.data.frame_counts import amounts
from salstm.files import read_csv

AIM = 0.03
NETWORKS = {"synapse": "mtunet", "acdc": "mtunet", "isic2018": "unet", "cvc_clinicdb": "esfpnet"}
HEAD = """# What evaluations take of a training

The forward passes of validation and test frames as a share of a training's multiply-adds, by `python -m
benchmarks.evaluating --write`: the floor, whatever the machine. Frames pass the network once each, without gradients, a
batch at a time; what is left to choose is how often (`evaluate_every` of a recipe), which is also how finely `best val`
and `best test` choose. The last column is the least `evaluate_every` that takes under 3 %.

| dataset | network | variant | training frames | evaluated | evaluate_every | share | every epoch | under 3 % |
|---|---|---|---:|---:|---:|---:|---:|---:|
"""
TIME = "evaluation_seconds"
TIMED = """| dataset | network | variant | trainings | epochs | evaluations | hours | evaluating |
|---|---|---|---:|---:|---:|---:|---:|
"""


def share(dataset: str, network: str, variant: str, every: int | None = None) -> float:
    """Of evaluations in a training: with the recipe's `evaluate_every`, or another."""
    settings = paper()
    recipe = recipes.resolve(settings, dataset, network, variant)
    if every:
        recipe = replace(recipe, evaluate_every=every)
    frames = amounts(dataset, settings["datasets"][dataset], Path("no-results"))
    work = estimate.work(recipe, variant, frames, baselines.card(network))
    evaluated = work.evaluated * work.frame_macs
    return evaluated / (evaluated + estimate.STEP * work.windows * work.window_macs)


def rows() -> Iterator[str]:
    """Lines of the table: a network of each dataset, plain and with SALSTM."""
    settings = paper()
    for dataset, network in NETWORKS.items():
        frames = amounts(dataset, settings["datasets"][dataset], Path("no-results"))
        for variant in ("plain", "salstm"):
            names = dataset, network, variant
            every = recipes.resolve(settings, *names).evaluate_every
            least = next(one for one in range(1, 1000) if share(*names, one) < AIM)
            cells = (dataset_name(dataset), network, variant, frames.train, frames.val + frames.test,
                     every, f"{share(*names):.1%}", f"{share(*names, 1):.1%}", least)  # fmt: skip
            yield f"| {' | '.join(map(str, cells))} |"


def timed(results: Path) -> Iterator[str]:
    """Lines of the trainings in a folder, by cell: how many, their hours, what evaluations took of them.

    Raises:
        SystemExit: no training's history in the folder says how long its evaluations took.
    """
    sums: dict[tuple[str, ...], np.ndarray] = {}
    for path in sorted(results.glob("*/*/*/seed*/**/history.csv")):
        history = read_csv(path)
        if TIME in history:
            cell = path.relative_to(results).parts[:3]
            amount = 1, len(history), history["val_dice"].notna().sum()
            facts = np.array([*amount, history["seconds"].sum(), history[TIME].sum()])
            sums[cell] = sums.get(cell, 0) + facts
    if not sums:
        raise SystemExit(f"{results}: no history.csv of a training has a column {TIME}")
    for cell, (*counts, seconds, evaluating) in sums.items():
        texts = (
            *(f"{one:.0f}" for one in counts),
            f"{seconds / 3600:.2f}",
            f"{evaluating / seconds:.1%}",
        )
        yield f"| {' | '.join((*cell, *texts))} |"


def main() -> None:
    """Print the table; keep it."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.evaluating", description=__doc__)
    parser.add_argument("--write", action="store_true", help="keep it in docs/measured")
    parser.add_argument("--results", type=Path, help="results/<name>: what its trainings took")
    given = parser.parse_args()
    if given.results:
        print(TIMED + "\n".join(timed(given.results)))
        return
    text = HEAD + "\n".join(rows()) + "\n"
    print(text)
    if given.write:
        (TARGET / "evaluating.md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
