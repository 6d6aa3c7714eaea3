"""The roof: ``salstm <command>`` or ``python -m salstm <command>``, one a workflow rule; only it imports everything.

Imports stand inside the commands: ``--help`` and the commands that need no torch start fast.
"""

from __future__ import annotations

import argparse
import json
import logging
import signal
import sys
from pathlib import Path
from typing import Any

from salstm.data import own
from salstm.options import OPTIONS
from salstm.vocabulary import IDENTITY

log = logging.getLogger("salstm")

EXPECTED_ERRORS = (ValueError, KeyError, OSError, RuntimeError)
OWN = "datasets of your own, JSON: by name their keys of config.yaml"
CARDS = "networks that libraries bring, JSON: by name their cards"


def main(arguments: list[str] | None = None) -> int:
    """Run one command.

    Returns:
        The exit code: 0 done, 1 failed, 130 interrupted, 143 terminated, 129 hung up; argparse exits with 2 on wrong
        usage.
    """
    from salstm import commands

    args = parser().parse_args(arguments)
    _configure_logging(getattr(args, "log", None))
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) != signal.SIG_IGN:  # nohup stays nohup
            signal.signal(number, _terminated)
    try:
        own.register(args.own)
        commands.register(args.cards)
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
    from salstm import commands

    known = {function.__name__: function for function in (*COMMANDS, *commands.COMMANDS)}
    named = Path(sys.argv[0]).stem == "salstm"
    program = "salstm" if named else "python -m salstm"
    root = argparse.ArgumentParser(prog=program, description=__doc__)
    listed = root.add_subparsers(dest="command", required=True, metavar="command")
    for name, options in OPTIONS.items():
        function = known[name]
        text = (function.__doc__ or "").splitlines()[0]
        command = listed.add_parser(name.replace("_", "-"), help=text, description=function.__doc__)
        command.add_argument("--log", type=Path, help="file to log to as well")
        command.add_argument("--own", type=json.loads, default="{}", help=OWN)
        command.add_argument("--cards", type=json.loads, default="{}", help=CARDS)
        for option, settings in options.items():
            command.add_argument(option, **settings)
        command.set_defaults(run=function)
    return root


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


def plan(args: argparse.Namespace) -> None:
    """Tell what the grid costs (hours, disk: estimates) and what of it is done."""
    from salstm import commands
    from salstm.cost import estimate, plan

    checked = commands.configured(args.config)
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
        blocks = budget.blocks(checked, commands.known_cards(), compared, results, figures)
        sys.stdout.write(budget.table(blocks, checked["variants"], hours))
        return
    if args.recipes:
        sys.stdout.write(plan.by_cell(checked, commands.known_cards(), results))
        return
    if args.probe:
        from salstm import devices

        with devices.claim(devices.lock_folder(), devices.shared()):
            from salstm import jobs

            jobs.probe(builder, checked, probed, **_machine(args))
    figures = estimate.Figures(probed)
    sys.stdout.write(
        plan.table(plan.plan(checked, commands.known_cards(), results, figures), figures)
    )


def examine(args: argparse.Namespace) -> None:
    """Build and run networks of libraries as a grid wants them, count them, write their cards: a plan asks it."""
    from baselines import libraries
    from salstm import examination
    from salstm.files import read_json, write_json

    asks = (libraries.build, libraries.told, libraries.is_fixed)
    write_json(args.out, examination.examine(read_json(args.asked), *asks))


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


# The others stand in salstm.commands, imported where it is used: a training's fingerprint reaches ``builder``, and must
# know nothing of them.
COMMANDS = (train, predict, segment, sparsity, cost, plan, examine)
"""Those that run networks."""
