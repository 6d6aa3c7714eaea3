# What the rules share: the checked configuration, paths, and input functions; no rule stands here.
import atexit
import gc
import hashlib
import inspect
import json
import shlex
from functools import cache
from pathlib import Path

import baselines
import salstm
from salstm import config as configuration
from salstm import (
    choices,
    columns,
    contract,
    devices,
    libraries,
    limits,
    provenance,
    recipes,
)
from salstm import vocabulary
from salstm.cost import estimate as estimates
from salstm.data import augment, datasets, own
from salstm.data.acquire import listing
from salstm.data.frame_counts import amounts
from salstm.fingerprint import fingerprint
from salstm.paths import Paths
from salstm.training import machine
from snakemake.common import overwrite_function_params
from snakemake.logging import logger
from snakemake.resources import Resource
from snakemake_interface_executor_plugins.settings import SharedFSUsage

# A plan makes millions of small objects that live to its end: the collector would walk them over and over, and all of
# them once more when the process ends.
gc.set_threshold(1_000_000, 20, 20)
atexit.register(gc.disable)

machine.own_python()
if (said := provenance.share_package(Path.cwd())) and workflow.is_main_process:
    logger.info(f"To type the printed commands here, first: {said}")

NETWORKS = baselines.names()
try:
    SHIPPED = configuration.load(BASE / "config.yaml")
    # A module's config replaces configfile: what it does not say is as in the file.
    config = configuration.checked(
        configuration.merge(SHIPPED, config), NETWORKS, baselines.problems
    )
    LIBRARY_CARDS = contract.cards(config)
except (configuration.ConfigError, contract.ContractError) as error:
    raise WorkflowError(str(error)) from None

baselines.register(LIBRARY_CARDS)
PATHS = Paths(config)
CELL, TRAINING = PATHS.cell, PATHS.training
WEIGHTS = [f"{TRAINING}/{selection}.safetensors" for selection in vocabulary.SELECTIONS]
FIGURES = estimates.Figures(Path(PATHS.results) / "probe.csv")
# What the paper's own lists say is in a card; claims.yaml holds the sentences that are checked.
STATISTICS = json.dumps(config["statistics"], sort_keys=True)
# Datasets whose raw data this program makes: every report says so.
PHANTOMS = json.dumps(
    [one for one in PATHS.active if config["datasets"].get(one, {}).get("phantom")]
)
# Why this run cannot decide about accuracy: phantoms, or another run than config.yaml asks for.
LIMITS = json.dumps(limits.reasons(config, configuration.complete(SHIPPED)))
# Editing a template rebuilds the pages, nothing else.
TEMPLATES = hashlib.sha256(
    b"".join(
        path.read_bytes()
        for path in sorted(Path(salstm.__file__).parent.glob("templates/*"))
    )
).hexdigest()[:16]
COLLECTED = [f"{PATHS.collected}/{one}.csv" for one in columns.COLLECTED]
COLLECTED.append(f"{PATHS.collected}/runs.json")
JUDGED = [f"{PATHS.collected}/{one}.csv" for one in columns.JUDGED]
# Whether jobs see the files of the folder where Snakemake runs.
SHARED = SharedFSUsage.INPUT_OUTPUT in workflow.storage_settings.shared_fs_usage

# A machine without a GPU registers one slot a core: with none, Snakemake would not limit trainings at all.
devices.share(config["jobs_per_gpu"])
machine.share(config["machine"])
if "gpu" not in workflow.global_resources:
    workflow.register_resource("gpu", devices.slots(config["jobs_per_gpu"]))

if missing := [one for one in PATHS.active if one not in config["datasets"]]:
    raise WorkflowError(
        f"config.yaml: grid names {missing[0]}, datasets has no such block"
    )


def own_rules():
    """The rules of this workflow, without those of one that imports it."""
    return [one for one in workflow.rules if Path(one.snakefile).is_relative_to(BASE)]


def dataset_of(wildcards, key):
    """A setting of the dataset, as JSON where it is not a plain word."""
    value = config["datasets"][wildcards.dataset][key]
    return value if isinstance(value, str) else json.dumps(value, sort_keys=True)


def raw_options(wildcards):
    """How the raw data of a dataset are named to a command."""
    raw, phantom = (dataset_of(wildcards, key) for key in ("raw", "phantom"))
    named = f"--raw {shlex.quote(raw)} --phantom {shlex.quote(phantom)}"
    return f"{named} {own_of(wildcards)}".strip()


def own_option(*wanted, shown=False):
    """What a command must be told of those among some datasets that this configuration declares; often nothing."""
    told = own.settings(config["datasets"], wanted, shown=shown)
    return f"--own {shlex.quote(json.dumps(told))}" if told else ""


def own_of(wildcards):
    """As own_option, of the job's dataset."""
    return own_option(wildcards.dataset)


def own_of_report(wildcards):
    """As own_option, of the datasets of a report, with the cards of those among its networks that libraries bring."""
    chosen = PATHS.datasets(wildcards.edition)
    named = {one for dataset in chosen for one in config["grid"][dataset]}
    cards = {name: card for name, card in LIBRARY_CARDS.items() if name in named}
    told = f"--cards {shlex.quote(json.dumps(cards))}" if cards else ""
    return f"{own_option(*chosen, shown=True)} {told}".strip()


def chosen_of(wildcards):
    """What scoring measures beyond the columns of every scores.csv; often nothing."""
    told = choices.of(config, wildcards.dataset)
    return f"--chosen {shlex.quote(json.dumps(told, sort_keys=True))}" if told else ""


def changes_of(wildcards):
    """What has changed of the raw files since `fetch` listed them, by size and time."""
    listed = Path(f"{PATHS.results}/{wildcards.dataset}/raw.json")
    return listing.seen(wildcards.dataset, Path(dataset_of(wildcards, "raw")), listed)


@cache
def resolved(dataset, baseline, variant):
    """The cell's recipe, the same for all its seeds."""
    return recipes.resolve(config, dataset, baseline, variant)


@cache
def recipe_text(dataset, baseline, variant):
    """The cell's recipe as one line of JSON."""
    return recipes.dump(resolved(dataset, baseline, variant))


def recipe_of(wildcards):
    """As recipe_text, for the wildcards of a rule."""
    return recipe_text(wildcards.dataset, wildcards.baseline, wildcards.variant)


def network_options(wildcards):
    """How a network under all variants is named to a command."""
    of_variants = {
        variant: resolved(wildcards.dataset, wildcards.baseline, variant)
        for variant in config["variants"]
    }
    names = f"--dataset {wildcards.dataset} --baseline {wildcards.baseline}"
    named = f"{names} --recipes {shlex.quote(recipes.dump(of_variants))}"
    return f"{named} {own_of(wildcards)}".strip()


def training_options(wildcards):
    """What names a training to a command, in one string: a plan formats every field of every command three times."""
    names = (
        "--dataset {dataset} --baseline {baseline} --variant {variant} --seed {seed}"
    )
    fold = f" --fold {wildcards.fold.rpartition('fold')[2]}" if wildcards.fold else ""
    return f"{names.format(**wildcards)}{fold} {own_of(wildcards)}".strip()


def of_trainings_of_cell(file):
    """Input: a file of each training of a cell; a function where a dataset's cases are in folds, which takes longer."""
    if not PATHS.folds:
        return f"{CELL}/{file}"

    def files(wildcards):
        names = (getattr(wildcards, name) for name in vocabulary.IDENTITY)
        return [f"{one}/{file}" for one in PATHS.trainings(vocabulary.Identity(*names))]

    return files


@cache
def amounts_of(dataset):
    """Frames of a dataset, estimated where it is not prepared yet."""
    cases = Path(PATHS.cases.format(dataset=dataset))
    return amounts(dataset, config["datasets"][dataset], cases)


@cache
def estimate(dataset, baseline, variant):
    """What a cell's training asks for: minutes to train, minutes to predict, megabytes. Estimates; docs/clusters.md."""
    recipe, frames = resolved(dataset, baseline, variant), amounts_of(dataset)
    work = estimates.work(recipe, variant, frames, baselines.card(baseline))
    train, predict = FIGURES.seconds((dataset, baseline, variant), "gpu", recipe, work)
    return (
        estimates.minutes(train),
        estimates.minutes(predict),
        estimates.memory_mb(work, frames, recipe.size),
    )


def estimate_of(wildcards):
    """As estimate, for the wildcards of a rule."""
    return estimate(wildcards.dataset, wildcards.baseline, wildcards.variant)


def minutes_of_training(wildcards):
    """Minutes that a training asks a scheduler for."""
    return estimate_of(wildcards)[0]


def minutes_of_prediction(wildcards):
    """Minutes that a prediction asks a scheduler for."""
    return estimate_of(wildcards)[1]


def memory_of(wildcards, attempt):
    """Megabytes that a training or a prediction asks a scheduler for; twice as many when it is tried again."""
    return estimate_of(wildcards)[2] * 2 ** (attempt - 1)


GPU_JOB = {"gpu": 1, "mem_mb": memory_of}
SMALL_JOB = {"mem_mb": 16000, "runtime": 60}


# Of a dataset the registry's entry counts, of a network its folder. Of the variants, each is its own job's business;
# their labels and colours, and those of the selections, are nobody's who trains.
ENTRIES = "salstm.data.datasets:DATASETS"
DATASET = f"{ENTRIES}[{{dataset}}]"
PHANTOM = "salstm.data.phantoms:PHANTOMS[{dataset}]"
NETWORK = "baselines.{baseline}"
WORDS = ("salstm.vocabulary:VARIANTS[]", "salstm.vocabulary:SELECTIONS[]")
# What a recipe chooses from: of these a training's own count, and no other job's.
LOSSES = "salstm.optimisation.losses:BY_ACTIVATION"
SCHEDULES = "salstm.optimisation.schedules:SCHEDULES"
OPTIMIZERS = "salstm.optimisation.optimizers:OPTIMIZERS"
UNTRAINED = (*WORDS, f"{LOSSES}[]", f"{SCHEDULES}[]", f"{OPTIMIZERS}[]")


def heads(*variants):
    """The functions that build the heads of these variants."""
    chosen = [vocabulary.VARIANTS[one] for one in variants]
    return [f"{one.module}:{one.name}" for one in chosen if one.module]


def code_of(*roots):
    """Param: hash of the code that is reached from these; the wildcards of the job stand in their names."""
    if not any("{" in one for one in roots):
        return fingerprint(*roots)
    return lambda wildcards: with_library(
        wildcards.get("baseline"), fingerprint(*named_roots(roots, wildcards))
    )


def named_roots(roots, wildcards):
    """Roots of a fingerprint with the job's names; a dataset of one's own has no entry that is written out."""
    if wildcards["dataset"] not in own.BUILT_IN:
        roots = [one.replace(DATASET, f"{ENTRIES}[]") for one in roots]
    if wildcards.get("baseline") in config["networks"]:
        roots = [one.replace(NETWORK, "baselines.libraries") for one in roots]
    return [one.format(**wildcards) for one in roots]


def with_library(baseline, code):
    """A fingerprint; of a network that a library brings with the library's version, which decides its numbers."""
    network = config["networks"].get(baseline)
    return f"{code} {libraries.version(network)}" if network else code


def code_of_data(*roots):
    """Param: as code_of, with the modules that read the dataset and its entry in the registry."""
    return lambda wildcards: fingerprint(
        *named_roots((*roots, DATASET), wildcards),
        *datasets.modules(wildcards.dataset),
    )


def code_of_fetch(wildcards):
    """Hash of the code that finds a dataset's raw files, or makes them up where its phantom is asked for."""
    asked = config["datasets"][wildcards.dataset]["phantom"]
    phantom = PHANTOM if asked else "salstm.data.phantoms:PHANTOMS[]"
    return code_of_data("salstm.jobs.data:fetch", phantom)(wildcards)


COUNTED = (*UNTRAINED, *heads(*config["variants"]))


@cache
def code_of_cell(dataset, baseline, variant):
    """Hash of the code that a training runs: of losses, schedules and augmentations its own alone."""
    recipe = resolved(dataset, baseline, variant)
    roots = (
        *("salstm.jobs.training:train", "salstm.cli:builder", "baselines:build"),
        *(NETWORK, DATASET, *WORDS, *heads(variant)),
        f"{augment.module(recipe.augment)}:{recipe.augment}",
        f"{LOSSES}[{recipe.activation}][{recipe.loss.name}]",
        f"{SCHEDULES}[{recipe.schedule.name}]",
        f"{OPTIMIZERS}[{recipe.optimizer.name}]",
    )
    cell = {"dataset": dataset, "baseline": baseline, "variant": variant}
    return with_library(baseline, fingerprint(*named_roots(roots, cell)))


def code_of_training(wildcards):
    """As code_of_cell, for the wildcards of a rule."""
    return code_of_cell(wildcards.dataset, wildcards.baseline, wildcards.variant)


def weights_of(wildcards):
    """The backbone's weights that the recipe starts from, fetched before the training."""
    recipe = resolved(wildcards.dataset, wildcards.baseline, vocabulary.PLAIN)
    wanted = recipe.pretrained and recipe.network is None  # a library loads its own
    return f"data/weights/{wildcards.baseline}" if wanted else []


def code_of_stack(wildcards):
    """Param: as code_of, with the heads of the modules that are stacked."""
    names = ("salstm.jobs.costs:sparsity", NETWORK, *UNTRAINED)
    roots = (*names, *heads(*PATHS.stacked(wildcards.dataset)[1]))
    return code_of(*roots)(wildcards)


def grid_of(wildcards):
    """The cells that a report covers, and those imported beside them, as one line of JSON."""
    imported = PATHS.imported(wildcards.edition)
    beside = {vocabulary.IMPORTED: imported} if imported else {}
    return json.dumps(PATHS.grid(wildcards.edition) | beside)


def of_datasets(file):
    """Input function: a file of every dataset of a report."""
    return lambda wildcards: PATHS.of_datasets(wildcards.edition, file)


def of_cells(*files, first_seed=False):
    """Input function: files of every cell of a report."""
    return lambda wildcards: PATHS.of_cells(
        wildcards.edition, *files, first_seed=first_seed
    )


def of_trainings(*files, first_seed=False):
    """Input function: as of_cells, files of every training."""
    return lambda wildcards: PATHS.of_trainings(
        wildcards.edition, *files, first_seed=first_seed
    )


def folders_of(wildcards, input):
    """How the jobs that build a report are told what to read: the collected tables, and the results beside them."""
    collected = Path(input[0]).parent
    return f"--collected {collected} --results {collected.parents[1]}"


# Snakemake asks for the parameters of a function at each of its calls, of these for every training several times.
for each in (
    *(training_options, recipe_of, code_of_training, weights_of, chosen_of),
    *(memory_of, minutes_of_training, minutes_of_prediction),
    Resource.evaluate,
):
    overwrite_function_params(each, inspect.signature(each).parameters)


def shown(path, caption, category, *patterns, **labels):
    """An output that Snakemake's own report shows, under its patterns if it is a folder."""
    options = {"patterns": list(patterns)} if patterns else {}
    path = directory(path) if patterns else path
    return report(
        path,
        caption=f"../report/{caption}.rst",
        category=category,
        labels=labels,
        **options,
    )


def report_with(edition):
    """A report and the results that it is of: those that a report after a failure names as missing are asked for again."""
    results = ("scores.csv", PATHS.of_cells), ("cost.csv", PATHS.of_networks)
    files = [one for name, listed in results for one in listed(edition, name)]
    return [f"reports/{edition}/index.html", *files]


def report_of(dataset):
    """Input function: the report of one dataset.

    Raises:
        WorkflowError: the grid switches the dataset off.
    """

    def page(wildcards):
        if dataset not in PATHS.active:
            raise WorkflowError(
                f"config.yaml: grid.{dataset} is empty; name its networks there"
            )
        return report_with(f"{PATHS.name}-{dataset}")

    return page


def partial_report():
    """The commands of this run's jobs that build reports, for onerror: from what there is, whatever they say of it."""
    names = ("collect", "claims", "tables", "figures", "export", "page")
    jobs = [job for job in workflow.dag.jobs if job.rule.name in names]
    jobs = [job for job in jobs if SHARED and not workflow.dag.finished(job)]
    jobs.sort(key=lambda job: (job.wildcards.edition, names.index(job.rule.name)))
    return "; ".join([*(job.shellcmd for job in jobs), "true"])
