# Input functions and the facts that the rules share; no rule stands here.
import gc
import hashlib
import json
import shlex
import sys
from functools import cache
from pathlib import Path

import baselines
import salstm
from salstm import config as configuration
from salstm import devices, recipes, vocabulary
from salstm.data import augment, datasets
from salstm.data.acquire import listing
from salstm.cost import estimate as estimates
from salstm.data.frame_counts import amounts
from salstm.fingerprint import fingerprint
from salstm.training import machine

# A plan makes millions of small objects that live to its end: the collector would walk them over and over.
gc.set_threshold(100_000, 20, 20)

machine.own_python()

NETWORKS = baselines.names()
try:
    config = configuration.checked(config, NETWORKS, baselines.problems)
except configuration.ConfigError as error:
    raise WorkflowError(str(error)) from None

NAME = config["name"]
RESULTS = f"results/{NAME}"
CELL = f"{RESULTS}/{{dataset}}/{{baseline}}/{{variant}}/seed{{seed}}"
CASES = f"{RESULTS}/{{dataset}}/cases"
ACTIVE = [dataset for dataset, chosen in config["grid"].items() if chosen]
EDITIONS = [NAME, *(f"{NAME}-{dataset}" for dataset in config["grid"])]
FIGURES = estimates.Figures(Path(RESULTS) / "probe.csv")
SELECTIONS = list(vocabulary.SELECTIONS)
COLLECTED = f"{RESULTS}/collected/{{edition}}"
# What the paper's own lists say is in a card; claims.yaml holds the sentences that are checked.
STATISTICS = json.dumps(config["statistics"], sort_keys=True)

# Datasets whose raw data this program makes: every report says so.
PHANTOMS = json.dumps(
    [one for one in ACTIVE if config["datasets"].get(one, {}).get("phantom")]
)
# Why this run cannot decide about accuracy: phantoms, or less than config.yaml asks for.
LIMITS = json.dumps(
    recipes.limits(
        config,
        configuration.checked(
            configuration.load(Path(workflow.basedir) / "config.yaml"), NETWORKS
        ),
    )
)
# Editing a template rebuilds the pages, nothing else.
TEMPLATES = hashlib.sha256(
    b"".join(
        path.read_bytes()
        for path in sorted(Path(salstm.__file__).parent.glob("templates/*"))
    )
).hexdigest()[:16]

# A machine without a GPU registers one slot a core: with none, Snakemake would not limit trainings at all.
devices.share(config["jobs_per_gpu"])
machine.share(config["machine"])
if "gpu" not in workflow.global_resources:
    workflow.register_resource("gpu", devices.slots(config["jobs_per_gpu"]))

if missing := [dataset for dataset in ACTIVE if dataset not in config["datasets"]]:
    raise WorkflowError(
        f"config.yaml: grid names {missing[0]}, datasets has no such block"
    )


def dataset_of(wildcards, key):
    """A setting of the dataset, as JSON where it is not a plain word."""
    value = config["datasets"][wildcards.dataset][key]
    return value if isinstance(value, str) else json.dumps(value, sort_keys=True)


def changes_of(wildcards):
    """What has changed of the raw files since `fetch` listed them, by size and time."""
    listed = Path(f"{RESULTS}/{wildcards.dataset}/raw.json")
    return listing.seen(wildcards.dataset, Path(dataset_of(wildcards, "raw")), listed)


def split_of(wildcards):
    """Hash of the list that the dataset's split names; nothing where the groups are drawn."""
    name = config["datasets"][wildcards.dataset]["split"]["name"]
    path = (
        Path(configuration.__file__).parent
        / f"data/splits/{wildcards.dataset}_{name}.json"
    )
    return hashlib.sha256(path.read_bytes()).hexdigest()[:16] if path.is_file() else ""


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


def recipes_of(wildcards):
    """The recipes of all variants of a network on a dataset, as one line of JSON."""
    return recipes.dump(
        {
            variant: resolved(wildcards.dataset, wildcards.baseline, variant)
            for variant in config["variants"]
        }
    )


@cache
def amounts_of(dataset):
    """Frames of a dataset, estimated where it is not prepared yet."""
    cases = Path(CASES.format(dataset=dataset))
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


def code_of_training(wildcards):
    """Hash of the code that a training runs."""
    recipe = resolved(wildcards.dataset, wildcards.baseline, wildcards.variant)
    return fingerprint(
        "salstm.training.trainer",
        "salstm.modules.wrapper",
        *heads(wildcards.variant),
        f"baselines.{wildcards.baseline}",
        augment.module(recipe.augment),
    )


def heads(*variants):
    """The modules that build the heads of these variants."""
    return sorted({vocabulary.VARIANTS[one].module for one in variants} - {""})


def weights_of(wildcards):
    """The backbone's weights that the recipe starts from, fetched before the training."""
    recipe = resolved(wildcards.dataset, wildcards.baseline, vocabulary.PLAIN)
    return f"data/weights/{wildcards.baseline}.json" if recipe.pretrained else []


def datasets_of(edition):
    """The datasets that a report covers."""
    return [one for one in ACTIVE if edition in (NAME, f"{NAME}-{one}")]


def grid_text(edition):
    """The cells that a report covers, as one line of JSON."""
    return json.dumps(
        {
            "grid": {one: config["grid"][one] for one in datasets_of(edition)},
            "variants": config["variants"],
            "seeds": config["seeds"],
        }
    )


def grid_of(wildcards):
    """As grid_text, for the edition of a rule's wildcards."""
    return grid_text(wildcards.edition)


def scores_of(wildcards):
    """The scores of every cell that a report covers."""
    return [
        f"{RESULTS}/{{dataset}}/{{baseline}}/{{variant}}/seed{{seed}}/scores.csv".format(
            **cell._asdict()
        )
        for dataset in datasets_of(wildcards.edition)
        for cell in vocabulary.cells(config, dataset)
    ]


def costs_of(wildcards):
    """The costs of every network that a report covers."""
    return [
        f"{RESULTS}/{dataset}/{baseline}/cost.csv"
        for dataset in datasets_of(wildcards.edition)
        for baseline in config["grid"][dataset]
    ]


def stacked(dataset):
    """The network whose trained modules are stacked, and its modules; no modules if the grid has none with attention.

    It is the one that the authors released their modules on, or the dataset's first.
    """
    chosen = config["grid"][dataset]
    network = "mtunet" if "mtunet" in chosen else chosen[0]
    return network, [one for one in config["variants"] if one in vocabulary.ATTENTION]


def stacks_of(wildcards):
    """The sparsity of every dataset that a report covers."""
    return [
        f"{RESULTS}/{dataset}/{stacked(dataset)[0]}/sparsity.csv"
        for dataset in datasets_of(wildcards.edition)
        if stacked(dataset)[1]
    ]


def stacked_cells(wildcards):
    """Folders of the cells whose modules are stacked: of the first seed."""
    variants = stacked(wildcards.dataset)[1]
    place = f"{RESULTS}/{wildcards.dataset}/{wildcards.baseline}"
    return [f"{place}/{one}/seed{config['seeds'][0]}" for one in variants]


def stacked_weights(wildcards):
    """What `train` left of those cells."""
    return [
        f"{cell}/{file}"
        for cell in stacked_cells(wildcards)
        for file in ("best_val.safetensors", "run.json")
    ]


def audits_of(wildcards):
    """The data audits that a report covers."""
    return [
        f"{RESULTS}/{dataset}/audit.csv" for dataset in datasets_of(wildcards.edition)
    ]


def report_of(dataset):
    """Input function: the report of one dataset.

    Raises:
        WorkflowError: the grid switches the dataset off.
    """

    def page(wildcards):
        if dataset not in ACTIVE:
            raise WorkflowError(
                f"config.yaml: grid.{dataset} is empty; name its networks there"
            )
        return f"reports/{NAME}-{dataset}/index.html"

    return page


def all_costs(wildcards):
    """The costs of every network of the grid."""
    return [
        f"{RESULTS}/{dataset}/{baseline}/cost.csv"
        for dataset in ACTIVE
        for baseline in config["grid"][dataset]
    ]


def partial_report():
    """The commands that build the report of the whole grid from what there is, for onerror.

    They are those of the rules collect, claims, tables, figures, export and page. Whatever fails here changes no exit code.
    """
    collected, page = f"{RESULTS}/collected/{NAME}", f"reports/{NAME}"
    python = f"{shlex.quote(sys.executable)} -m salstm"
    family = f"--statistics {shlex.quote(STATISTICS)}"
    made_up = f"--phantoms {shlex.quote(PHANTOMS)}"
    commands = [
        f"{python} claims --collected {collected} {family}"
        f" --grid {shlex.quote(grid_text(NAME))} --limits {shlex.quote(LIMITS)}",
        f"{python} tables --collected {collected} {family} {made_up} --out {page}/tables",
        f"{python} figures --collected {collected} --results {RESULTS} {family} {made_up} --out {page}/figures",
        f"{python} export --collected {collected} --results {RESULTS} {family} --out {page}/data",
        f"{python} report --collected {collected} --results {RESULTS} {family} {made_up}"
        f" --figures {page}/figures --out {page}/index.html",
    ]
    collect = f"{python} collect --results {RESULTS} --grid {shlex.quote(grid_text(NAME))} --out {collected}"
    text = f"{collect} && {{ {'; '.join(commands)}; }} || true"
    # shell() formats its text: braces that are meant stand twice.
    return text.replace("{", "{{").replace("}", "}}")


PARTIAL_REPORT = partial_report()
