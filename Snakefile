# `snakemake --cores all` downloads, prepares, trains, scores and reports what config.yaml describes.
from snakemake.utils import min_version

min_version("9.20")


configfile: "config.yaml"


report: "workflow/report/workflow.rst"


include: "workflow/rules/common.smk"


wildcard_constraints:
    dataset="|".join(config["datasets"]),
    baseline="|".join(NETWORKS),
    variant="|".join(config["variants"]),
    seed=r"\d+",
    edition="|".join(EDITIONS),


rule all:
    """Everything: the report of the whole grid."""
    input:
        f"reports/{NAME}/index.html",


include: "workflow/rules/data.smk"
include: "workflow/rules/train.smk"
include: "workflow/rules/evaluate.smk"
include: "workflow/rules/cost.smk"
include: "workflow/rules/report.smk"


# Partial results are results: after a failure the report is built from what there is, and names the gaps.
onerror:
    shell(PARTIAL_REPORT)
