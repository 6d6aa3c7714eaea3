rule train:
    """One training, of a cell or of a fold of it: three selections of weights, the curve, and how it was made."""
    input:
        audit=rules.check.output,
        cases=rules.prepare.output,
        weights=weights_of,
    output:
        WEIGHTS,
        run=f"{TRAINING}/run.json",
        curve=f"{TRAINING}/history.csv",
    log:
        f"{TRAINING}/logs/train.log",
    threads: 4
    resources:
        **GPU_JOB,
        runtime=minutes_of_training,
    params:
        training=training_options,
        recipe=recipe_of,
        code=code_of_training,
    shell:
        "python -m salstm train {params.training} --recipe {params.recipe:q} --cases {input.cases}"
        " --out {output.run} --threads {threads} --log {log} --weights {input.weights}"
