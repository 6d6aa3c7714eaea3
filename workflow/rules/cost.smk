rule count:
    """Parameters, multiply-adds and latency of a network under each variant."""
    output:
        f"{PATHS.results}/{{dataset}}/{{baseline}}/cost.csv",
    log:
        f"{PATHS.results}/{{dataset}}/{{baseline}}/logs/cost.log",
    resources:
        **SMALL_JOB,
    params:
        network=network_options,
        code=code_of("salstm.jobs.costs:cost", NETWORK, DATASET, *COUNTED),
    shell:
        "python -m salstm cost {params.network} --threads {threads} --out {output} --log {log}"
