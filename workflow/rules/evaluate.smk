rule predict:
    """Label maps of the test cases from each selection of weights."""
    input:
        WEIGHTS,
        run=rules.train.output.run,
        cases=rules.prepare.output,
    output:
        directory(f"{TRAINING}/predictions"),
    log:
        f"{TRAINING}/logs/predict.log",
    threads: 4
    resources:
        **GPU_JOB,
        runtime=minutes_of_prediction,
    params:
        kept=" ".join(
            f"--{one}" for one, asked in config["probabilities"].items() if asked
        ),
        # The network's and the module's own code retrain, which predicts again.
        code=code_of("salstm.jobs.prediction:predict", *UNTRAINED),
    shell:
        "python -m salstm predict --run {input.run} --cases {input.cases} --out {output}"
        " --threads {threads} --log {log} {params.kept}"


rule score:
    """Every metric of every test case, under every scope; one job a cell, over its folds where there are any."""
    input:
        run=of_trainings_of_cell("run.json"),
        cases=rules.prepare.output,
        predictions=of_trainings_of_cell("predictions"),
    output:
        f"{CELL}/scores.csv",
    log:
        f"{CELL}/logs/score.log",
    params:
        chosen=chosen_of,
        code=code_of("salstm.jobs.evaluation:score"),
    shell:
        "python -m salstm score --run {input.run} --cases {input.cases}"
        " --predictions {input.predictions} --out {output} --log {log} {params.chosen}"


rule bounds:
    """What the reference on the stored grid, an empty mask and a second annotation score: feet of the tables."""
    input:
        rules.prepare.output,
    output:
        f"{PATHS.results}/{{dataset}}/bounds.csv",
    log:
        f"{PATHS.results}/{{dataset}}/logs/bounds.log",
    params:
        own=own_of,
        chosen=chosen_of,
        code=code_of("salstm.jobs.evaluation:bounds", DATASET),
    shell:
        "python -m salstm bounds --dataset {wildcards.dataset} --cases {input}"
        " --out {output} --log {log} {params.own} {params.chosen}"


rule sparsity:
    """How sparse the attention's output is when the trained modules of one network are stacked."""
    input:
        cases=rules.prepare.output,
        runs=lambda w: PATHS.stacked_cells(w.dataset, "run.json"),
        weights=lambda w: PATHS.stacked_cells(w.dataset, "best_val.safetensors"),
    output:
        f"{PATHS.results}/{{dataset}}/{{baseline}}/sparsity.csv",
    log:
        f"{PATHS.results}/{{dataset}}/{{baseline}}/logs/sparsity.log",
    threads: 4
    resources:
        **SMALL_JOB,
        gpu=1,
    params:
        stack="--layers {layers} --count {cases}".format(**config["sparsity"]),
        code=code_of_stack,
    shell:
        "python -m salstm sparsity --runs {input.runs} --cases {input.cases} {params.stack}"
        " --threads {threads} --out {output} --log {log}"
