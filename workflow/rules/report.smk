rule collect:
    """All cells in four tables; what is missing is named with its reason."""
    input:
        scores_of,
        costs_of,
    output:
        expand(
            f"{COLLECTED}/{{file}}.csv",
            file=["cells", "scores", "cost", "history"],
            allow_missing=True,
        ),
    log:
        f"{COLLECTED}/logs/collect.log",
    conda:
        "../envs/salstm.yaml"
    params:
        grid=grid_of,
        results=RESULTS,
        out=COLLECTED,
        code=fingerprint("salstm.collection"),
    shell:
        "python -m salstm collect --results {params.results} --grid {params.grid:q}"
        " --out {params.out} --log {log}"
