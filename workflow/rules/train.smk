rule train:
    """One training: three selections of weights, the curve, and how it was made."""
    input:
        audit=rules.check.output,
        cases=rules.prepare.output,
        weights=weights_of,
    output:
        WEIGHTS,
        run=f"{CELL}/run.json",
        curve=f"{CELL}/history.csv",
    log:
        f"{CELL}/logs/train.log",
    threads: 4
    resources:
        **GPU_JOB,
        runtime=minutes_of_training,
    params:
        cell=cell_of,
        recipe=recipe_of,
        code=code_of_training,
    shell:
        "python -m salstm train {params.cell} --recipe {params.recipe:q} --cases {input.cases}"
        " --out {output.run} --threads {threads} --log {log} --weights {input.weights}"
