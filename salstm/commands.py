"""The commands that run no network: data, scores, tables, what travels, what there is. Roof, as ``salstm.cli``.

Imports stand inside the commands: ``--help`` and the commands that need no torch start fast.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from salstm.data import own

if TYPE_CHECKING:
    from salstm.publication.sources import Publication

log = logging.getLogger("salstm")

BLAS_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def fetch(args: argparse.Namespace) -> None:
    """Find, make or download a dataset's raw files and list them with their hashes."""
    from salstm import jobs

    options = {
        "phantom": args.phantom,
        "changes": args.changes,
        "sources": args.sources,
        "everything": args.all,
    }
    jobs.fetch(args.dataset, args.raw, args.out, **options)


def prepare(args: argparse.Namespace) -> None:
    """Turn raw files into cases: one orientation, one size, split, one memory map."""
    # Threads work on a case each. Snakemake gives BLAS as many again, read at numpy's import: they would spin.
    os.environ.update(dict.fromkeys(BLAS_THREADS, "1"))
    from salstm import jobs

    options = {
        "split": args.split,
        "size": args.size,
        "axes": args.axes,
        "threads": args.threads or os.cpu_count() or 1,
    }
    jobs.prepare(args.dataset, args.raw, args.manifest, args.out, **options)


def check(args: argparse.Namespace) -> None:
    """Audit prepared cases: counts, sizes, intensities, class volumes, duplicates, groups on both sides."""
    from salstm import jobs

    jobs.check(args.dataset, args.cases, args.out)


def score(args: argparse.Namespace) -> None:
    """Score a cell's predictions: every metric, every test case, every scope."""
    from salstm import jobs

    predictions = args.predictions or [one / "predictions" for one in args.run_folder]
    jobs.score(args.run_folder, predictions, args.cases, args.out, chosen=args.chosen)


def import_predictions(args: argparse.Namespace) -> None:
    """Score a folder of label files that another program wrote, as a network of a run."""
    from salstm import choices, jobs
    from salstm.vocabulary import Identity

    chosen = choices.of(configured(args.config), args.dataset)
    theirs = Identity(args.dataset, args.name, args.variant, args.seed)
    options = {"names": args.names, "axes": args.axes, "chosen": chosen}
    place = jobs.import_predictions(theirs, args.folder, args.results, **options)
    log.info("%s; snakemake shows it in the run's report", place)


def bounds(args: argparse.Namespace) -> None:
    """Score the reference on the stored grid, an empty mask and second annotations: the last rows of the tables."""
    from salstm import jobs

    jobs.bounds(args.dataset, args.cases, args.out, chosen=args.chosen)


def collect(args: argparse.Namespace) -> None:
    """Gather the scores, costs and states of all cells; cells that are missing are named with the reason."""
    from salstm.analysis import collect

    collect.collect(args.results, args.grid, args.out)


def claims(args: argparse.Namespace) -> None:
    """Compare modules with plain networks as declared, and judge the paper's claims."""
    from salstm.analysis import analyse

    analyse.write(args.collected, args.claims, args.statistics, args.grid["grid"], args.limits)


def tables(args: argparse.Namespace) -> None:
    """Write the comparison tables as CSV, Markdown and LaTeX."""
    from salstm import tables

    tables.write(args.collected, known_cards(), args.statistics, args.out, args.phantoms)


def figures(args: argparse.Namespace) -> None:
    """Draw the figures."""
    from salstm import figures

    options = {"phantoms": args.phantoms, "pictures": not args.no_pictures}
    figures.write(args.collected, args.results, known_cards(), args.statistics, args.out, **options)


def export(args: argparse.Namespace) -> None:
    """Write the results as other programs read them: challengeR, nnU-Net, RO-Crate."""
    from salstm import exports

    exports.write(args.collected, args.results, args.statistics, args.out)


def report(args: argparse.Namespace) -> None:
    """Build one self-contained HTML page from tables and figures."""
    from salstm import report

    options = {"figures": args.figures, "tables": args.tables, "phantoms": args.phantoms}
    report.write(args.collected, args.results, known_cards(), args.statistics, args.out, **options)


def publish(args: argparse.Namespace) -> None:
    """Write results as one archive: scores, records, costs, hashes, rules; reanalyze and merge take it."""
    from salstm.publication import publishing

    with _sources(args, [args.source], weights=args.weights) as found:
        publishing.write(found[0], args.out)


def reanalyze(args: argparse.Namespace) -> None:
    """Judge, tabulate and draw results again from their per-case scores alone."""
    from salstm.publication import publishing, reanalysis

    with publishing.whole(args.out) as folder, _sources(args, [args.source]) as found:
        publishing.lay_out(found[0], folder)
        reanalysis.reanalyze(folder, known_cards())


def merge(args: argparse.Namespace) -> None:
    """Put results of several machines into one report; what does not belong together is refused by name."""
    import tempfile

    from salstm.publication import merging, publishing, reanalysis

    with publishing.whole(args.out) as folder, _sources(args, args.sources) as found:
        with tempfile.TemporaryDirectory(dir=folder) as scratch:
            merged = merging.merge(found, args.duplicates, _shipped(), Path(scratch))
            publishing.lay_out(merged, folder)
        reanalysis.reanalyze(folder, known_cards())


def networks(args: argparse.Namespace) -> None:
    """Print the table of the networks' cards."""
    from salstm import cards

    if args.config:
        configured(args.config)
    sys.stdout.write(cards.table(known_cards()) + "\n")


def datasets(args: argparse.Namespace) -> None:
    """Print the datasets that there are, and those that a configuration declares."""
    from salstm import cards
    from salstm.data.datasets import DATASETS

    if args.config:
        configured(args.config)
    sys.stdout.write(cards.datasets(DATASETS) + "\n")


def new(args: argparse.Namespace) -> None:
    """Write the files that a network or a dataset of your own begins with."""
    import baselines
    from salstm import scaffold

    taken = baselines.names() if args.kind == "network" else (*own.BUILT_IN, *own.TAKEN)
    written = getattr(scaffold, args.kind)(args.name, Path.cwd(), taken)
    sys.stdout.write("\n".join(str(path.relative_to(Path.cwd())) for path in written) + "\n")


def doctor(args: argparse.Namespace) -> None:
    """Tell which raw data and weights are there, missing or wrong, and what to do about each."""
    from salstm import doctor

    findings = doctor.examine(configured(args.config), known_cards(), deep=args.deep)
    sys.stdout.write(doctor.table(findings))
    doctor.judge(findings)


def weights(args: argparse.Namespace) -> None:
    """Find a backbone's published weights under data/weights, or download them."""
    import baselines
    from salstm.data.acquire import weights

    card = baselines.card(args.baseline)

    def fits(file: Path) -> None:
        size = card["input"]["size"]
        facts = {"in_channels": 3, "out_channels": 2, "image_size": size}
        baselines.build(args.baseline, **facts, pretrained=file)

    weights.fetch(args.baseline, card["weights"], args.out, args.folder, fits)


def import_weights(args: argparse.Namespace) -> None:
    """Turn a checkpoint with the authors' names into safetensors with ours."""
    import baselines
    from salstm import authors_weights

    authors_weights.convert(
        args.file, args.out, lambda entries: baselines.from_authors(args.baseline, entries)
    )


def configured(paths: list[Path]) -> dict[str, Any]:
    """The configuration of these files, each laid over the one before."""
    from functools import reduce

    import baselines
    from salstm import config, contract

    laid = reduce(config.merge, map(config.load, paths))
    checked = config.checked(laid, baselines.names(), baselines.problems)
    register(contract.cards(checked))
    return checked


def register(cards: dict[str, Any]) -> None:
    """Make the cards of networks that libraries bring known."""
    if cards:
        import baselines

        baselines.register(cards)


def known_cards() -> dict[str, Any]:
    """The cards of all networks, by name."""
    import baselines

    return {name: baselines.card(name) for name in (*baselines.names(), *baselines.LIBRARY_CARDS)}


def _shipped() -> dict[str, Any]:
    """The suite's own configuration: what a whole run is."""
    from salstm import provenance

    return configured([provenance.ROOT / "config.yaml"])


@contextmanager
def _sources(
    args: argparse.Namespace, paths: list[Path], *, weights: bool = False
) -> Iterator[list[Publication]]:
    """Results opened, archives in a temporary folder beside ``--out``."""
    import tempfile

    from salstm import limits
    from salstm.publication import description, sources

    def describe(folder: Path) -> dict[str, Any]:
        config = configured(args.config)
        return description.describe(config, limits.reasons(config, _shipped()), folder)

    args.out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".unpacked-", dir=args.out.parent) as scratch:
        yield [
            sources.opened(path, Path(scratch, str(at)), describe, args.claims, weights=weights)
            for at, path in enumerate(paths)
        ]


COMMANDS = (
    *(fetch, prepare, check, score, import_predictions, bounds),
    *(collect, claims, tables, figures, export, report, publish, reanalyze, merge),
    *(networks, datasets, new, doctor, weights, import_weights),
)
