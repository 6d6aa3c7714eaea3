"""The roof: ``salstm <command>`` or ``python -m salstm <command>``, one a workflow rule; only it imports everything.

Imports stand inside the commands: ``--help`` and the commands that need no torch start fast.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from salstm.data import own
from salstm.options import OPTIONS
from salstm.vocabulary import IDENTITY

if TYPE_CHECKING:
    from salstm.publication.sources import Publication

log = logging.getLogger("salstm")

EXPECTED_ERRORS = (ValueError, KeyError, OSError, RuntimeError)
OWN = "datasets of your own, JSON: by name their keys of config.yaml"
CARDS = "networks that libraries bring, JSON: by name their cards"
BLAS_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def main(arguments: list[str] | None = None) -> int:
    """Run one command.

    Returns:
        The exit code: 0 done, 1 failed, 130 interrupted, 143 terminated, 129 hung up; argparse exits with 2 on wrong
        usage.
    """
    args = parser().parse_args(arguments)
    _configure_logging(getattr(args, "log", None))
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) != signal.SIG_IGN:  # nohup stays nohup
            signal.signal(number, _terminated)
    try:
        own.register(args.own)
        _register(args.cards)
        args.run(args)
    except KeyboardInterrupt:
        log.warning("interrupted; the same command goes on where this one stopped")
        return 130
    except EXPECTED_ERRORS as error:
        log.debug("traceback", exc_info=True)
        log.error("%s: %s", args.command, _sentence(error))
        return 1
    return 0


def parser() -> argparse.ArgumentParser:
    """Every command with its options."""
    named = Path(sys.argv[0]).stem == "salstm"
    program = "salstm" if named else "python -m salstm"
    root = argparse.ArgumentParser(prog=program, description=__doc__)
    commands = root.add_subparsers(dest="command", required=True, metavar="command")
    for function in COMMANDS:
        name = function.__name__.replace("_", "-")
        text = (function.__doc__ or "").splitlines()[0]
        command = commands.add_parser(name, help=text, description=function.__doc__)
        command.add_argument("--log", type=Path, help="file to log to as well")
        command.add_argument("--own", type=json.loads, default="{}", help=OWN)
        command.add_argument("--cards", type=json.loads, default="{}", help=CARDS)
        for option, settings in OPTIONS[function.__name__].items():
            command.add_argument(option, **settings)
        command.set_defaults(run=function)
    return root


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


def train(args: argparse.Namespace) -> None:
    """Train one cell, or go on where an earlier run of it stopped."""
    from salstm import devices, recipes

    args.recipe = recipes.load(args.recipe)  # refused before a GPU is waited for
    with devices.claim(devices.lock_folder(), devices.shared()):
        from salstm import jobs

        published = args.weights if args.recipe.pretrained else None
        build = builder(args.baseline, published, args.recipe.network)
        options = {**_machine(args), "machine": args.machine}
        paths = {"cases": args.cases, "out": args.out}
        jobs.train(build, _identity(args), args.recipe, **paths, **options)


def predict(args: argparse.Namespace) -> None:
    """Predict the test cases with each selection of a cell's weights."""
    from salstm import jobs
    from salstm.files import read_json

    build = builder(read_json(args.run_folder / "run.json")["identity"]["baseline"])
    out = args.out or args.run_folder / "predictions"
    kept = {"calibration": args.calibration, "maps": args.maps}
    jobs.predict(build, args.run_folder, cases=args.cases, out=out, **_machine(args), **kept)


def segment(args: argparse.Namespace) -> None:
    """Segment images of your own with a trained cell: volumes, pictures, folders; in their own geometry."""
    from salstm import jobs
    from salstm.files import read_json
    from salstm.segmentation.run import Request

    build = builder(read_json(args.run_folder / "run.json")["identity"]["baseline"])
    request = Request(**{key: getattr(args, key) for key in Request.__dataclass_fields__})
    jobs.segment(build, args.run_folder, args.files, args.out, request, **_machine(args))


def score(args: argparse.Namespace) -> None:
    """Score a cell's predictions: every metric, every test case, every scope."""
    from salstm import jobs

    predictions = args.predictions or [one / "predictions" for one in args.run_folder]
    jobs.score(args.run_folder, predictions, args.cases, args.out, chosen=args.chosen)


def import_predictions(args: argparse.Namespace) -> None:
    """Score a folder of label files that another program wrote, as a network of a run."""
    from salstm import choices, jobs
    from salstm.vocabulary import Identity

    chosen = choices.of(_checked(args.config), args.dataset)
    theirs = Identity(args.dataset, args.name, args.variant, args.seed)
    options = {"names": args.names, "axes": args.axes, "chosen": chosen}
    place = jobs.import_predictions(theirs, args.folder, args.results, **options)
    log.info("%s; snakemake shows it in the run's report", place)


def bounds(args: argparse.Namespace) -> None:
    """Score the reference on the stored grid, an empty mask and second annotations: the last rows of the tables."""
    from salstm import jobs

    jobs.bounds(args.dataset, args.cases, args.out, chosen=args.chosen)


def sparsity(args: argparse.Namespace) -> None:
    """Measure how sparse the attention's output is across stacked modules, from the cells of one network."""
    from salstm import jobs

    options = {"layers": args.layers, "count": args.count, **_machine(args)}
    jobs.sparsity(builder, args.run_folders, cases=args.cases, out=args.out, **options)


def cost(args: argparse.Namespace) -> None:
    """Count parameters, multiply-adds and latency of a network under each variant."""
    from salstm import jobs

    names = (args.dataset, args.baseline)
    jobs.cost(builder(args.baseline), *names, args.recipes, args.out, threads=args.threads)


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

    tables.write(args.collected, _cards(), args.statistics, args.out, args.phantoms)


def figures(args: argparse.Namespace) -> None:
    """Draw the figures."""
    from salstm import figures

    options = {"phantoms": args.phantoms, "pictures": not args.no_pictures}
    figures.write(args.collected, args.results, args.statistics, args.out, **options)


def export(args: argparse.Namespace) -> None:
    """Write the results as other programs read them: challengeR, nnU-Net, RO-Crate."""
    from salstm import exports

    exports.write(args.collected, args.results, args.statistics, args.out)


def report(args: argparse.Namespace) -> None:
    """Build one self-contained HTML page from tables and figures."""
    from salstm import report

    options = {"figures": args.figures, "tables": args.tables, "phantoms": args.phantoms}
    report.write(args.collected, args.results, _cards(), args.statistics, args.out, **options)


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
        reanalysis.reanalyze(folder, _cards())


def merge(args: argparse.Namespace) -> None:
    """Put results of several machines into one report; what does not belong together is refused by name."""
    import tempfile

    from salstm.publication import merging, publishing, reanalysis

    with publishing.whole(args.out) as folder, _sources(args, args.sources) as found:
        with tempfile.TemporaryDirectory(dir=folder) as scratch:
            merged = merging.merge(found, args.duplicates, _shipped(), Path(scratch))
            publishing.lay_out(merged, folder)
        reanalysis.reanalyze(folder, _cards())


def networks(args: argparse.Namespace) -> None:
    """Print the table of the networks' cards."""
    from salstm import cards

    if args.config:
        _checked(args.config)
    sys.stdout.write(cards.table(_cards()) + "\n")


def datasets(args: argparse.Namespace) -> None:
    """Print the datasets that there are, and those that a configuration declares."""
    from salstm import cards
    from salstm.data.datasets import DATASETS

    if args.config:
        _checked(args.config)
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

    findings = doctor.examine(_checked(args.config), _cards(), deep=args.deep)
    sys.stdout.write(doctor.table(findings))
    doctor.judge(findings)


def plan(args: argparse.Namespace) -> None:
    """Tell what the grid costs (hours, disk: estimates) and what of it is done."""
    from salstm.cost import estimate, plan

    checked = _checked(args.config)
    results = args.results or Path("results") / checked["name"]
    probed = results / "probe.csv"
    if args.power or args.budget:
        from salstm.analysis import power
        from salstm.analysis.results import judged

        compared = judged(results / "collected" / checked["name"], "comparisons")
        if args.power:
            sys.stdout.write(power.table(checked, compared, results))
            return
        from salstm.cost import budget

        hours, figures = budget.hours(args.budget), estimate.Figures(probed)
        sys.stdout.write(budget.table(checked, _cards(), compared, results, figures, hours))
        return
    if args.recipes:
        sys.stdout.write(plan.by_cell(checked, _cards(), results))
        return
    if args.probe:
        from salstm import devices

        with devices.claim(devices.lock_folder(), devices.shared()):
            from salstm import jobs

            jobs.probe(builder, checked, probed, **_machine(args))
    figures = estimate.Figures(probed)
    sys.stdout.write(plan.table(plan.plan(checked, _cards(), results, figures), figures))


def examine(args: argparse.Namespace) -> None:
    """Build and run networks of libraries as a grid wants them, count them, write their cards: a plan asks it."""
    from baselines import libraries
    from salstm import examination
    from salstm.files import read_json, write_json

    asks = (libraries.build, libraries.told, libraries.is_fixed)
    write_json(args.out, examination.examine(read_json(args.asked), *asks))


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


def builder(
    baseline: str, published: Path | None = None, network: dict[str, Any] | None = None
) -> Any:
    """``baselines.build`` for one network.

    Args:
        baseline: the network.
        published: folder of the backbone's published weights, which the network then starts from.
        network: the recipe's, where a library brings it, and its weights.
    """
    from functools import partial

    import baselines

    if published is None:
        return partial(baselines.build, baseline)
    if network is not None:
        return partial(baselines.build, baseline, pretrained=True)
    from salstm.data.acquire.weights import locate

    file = locate(published, baselines.card(baseline)["weights"])
    return partial(baselines.build, baseline, pretrained=file)


def _checked(paths: list[Path]) -> dict[str, Any]:
    """The configuration of these files, each laid over the one before."""
    from functools import reduce

    import baselines
    from salstm import config, contract

    laid = reduce(config.merge, map(config.load, paths))
    checked = config.checked(laid, baselines.names(), baselines.problems)
    _register(contract.cards(checked))
    return checked


def _register(cards: dict[str, Any]) -> None:
    if cards:
        import baselines

        baselines.register(cards)


def _shipped() -> dict[str, Any]:
    """The suite's own configuration: what a whole run is."""
    from salstm import provenance

    return _checked([provenance.ROOT / "config.yaml"])


@contextmanager
def _sources(
    args: argparse.Namespace, paths: list[Path], *, weights: bool = False
) -> Iterator[list[Publication]]:
    """Results opened, archives in a temporary folder beside ``--out``."""
    import tempfile

    from salstm import limits
    from salstm.publication import description, sources

    def describe(folder: Path) -> dict[str, Any]:
        config = _checked(args.config)
        return description.describe(config, limits.reasons(config, _shipped()), folder)

    args.out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".unpacked-", dir=args.out.parent) as scratch:
        yield [
            sources.opened(path, Path(scratch, str(at)), describe, args.claims, weights=weights)
            for at, path in enumerate(paths)
        ]


def _cards() -> dict[str, Any]:
    import baselines

    return {name: baselines.card(name) for name in (*baselines.names(), *baselines.LIBRARY_CARDS)}


def _identity(args: argparse.Namespace) -> dict[str, Any]:
    names = (*IDENTITY, "fold") if args.fold else IDENTITY
    return {key: getattr(args, key) for key in names}


def _machine(args: argparse.Namespace) -> dict[str, Any]:
    return {"device": args.device, "threads": args.threads}


def _sentence(error: BaseException) -> str:
    # str(KeyError) quotes its message.
    text = str(error.args[0]) if isinstance(error, KeyError) and error.args else str(error)
    return text or type(error).__name__


def _terminated(number: int, frame: object) -> None:
    log.warning("terminated; the same command goes on where this one stopped")
    raise SystemExit(128 + number)


def _configure_logging(path: Path | None) -> None:
    handlers: list[logging.Handler] = [logging.StreamHandler(sys.stderr)]
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        handlers.append(logging.FileHandler(path, mode="w", encoding="utf-8"))
    form = "%(asctime)s %(levelname)s %(message)s"
    logging.basicConfig(
        level=logging.INFO, handlers=handlers, format=form, datefmt="%H:%M:%S", force=True
    )
    logging.getLogger("fvcore").setLevel(logging.ERROR)
    logging.captureWarnings(True)
    # On a full disk every line of the log file would fail with a traceback and bury the message.
    logging.raiseExceptions = False


COMMANDS = (
    *(
        fetch,
        prepare,
        check,
        train,
        predict,
        segment,
        score,
        import_predictions,
        bounds,
        sparsity,
        cost,
    ),
    *(collect, claims, tables, figures, export, report),
    *(publish, reanalyze, merge),
    *(networks, datasets, new, doctor, plan, examine, weights, import_weights),
)
