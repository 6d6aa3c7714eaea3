"""What evaluations take of a training, at the least: ``python -m benchmarks.evaluating [--write]``.

Counted, not timed: multiply-adds of the forward passes of validation and test frames over those of all passes of the
training, a backward pass as two forward ones. Scoring is not in it; it takes 0.1 % and less. ``--write`` keeps the
table in docs/measured/evaluating.md.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import baselines
from benchmarks.figures import TARGET
from benchmarks.gpu_page import paper
from salstm import recipes
from salstm.analysis.results import dataset_name
from salstm.cost import estimate
from salstm.data.frame_counts import amounts

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


def main() -> None:
    """Print the table; keep it."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.evaluating", description=__doc__)
    parser.add_argument("--write", action="store_true", help="keep it in docs/measured")
    given = parser.parse_args()
    text = HEAD + "\n".join(rows()) + "\n"
    print(text)
    if given.write:
        (TARGET / "evaluating.md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
