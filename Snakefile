# `snakemake --cores all` downloads, prepares, trains, scores and reports what config.yaml describes.
from pathlib import Path

from snakemake.utils import min_version

min_version("9.20")

# The folder of this file, wherever it is run from (-s, -d, module).
BASE = Path(workflow.current_basedir.get_path_or_uri(secret_free=True))


configfile: BASE / "config.yaml"


# Run from another folder, one's own config.yaml there is laid over it.
if Path.cwd() != BASE.resolve() and Path("config.yaml").is_file():

    configfile: "config.yaml"


report: "workflow/report/workflow.rst"


include: "workflow/rules/common.smk"


wildcard_constraints:
    dataset="|".join(config["datasets"]),
    baseline="|".join([*NETWORKS, *config["networks"]]),
    variant="|".join(config["variants"]),
    seed=r"\d+",
    # Nothing where a cell is one training.
    fold=r"(/fold\d+)?",
    edition="|".join(PATHS.editions),


rule all:
    """Everything: the report of the whole grid."""
    input:
        # A function: only who asks for it makes the list.
        lambda w: report_with(PATHS.name),


include: "workflow/rules/data.smk"
include: "workflow/rules/train.smk"
include: "workflow/rules/evaluate.smk"
include: "workflow/rules/cost.smk"
include: "workflow/rules/report.smk"


# One environment serves all rules.
for each in own_rules():
    if each.shellcmd:
        each.conda_env = "../envs/salstm.yaml"


# Partial results are results: after a failure the report is built from what there is, and names the gaps.
onerror:
    shell("{commands}", commands=partial_report())
