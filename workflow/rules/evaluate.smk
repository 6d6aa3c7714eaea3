rule predict:
    """Label maps of the test cases from each selection of weights."""
    input:
        # All but the curve.
        rules.train.output.weights,
        rules.train.output.run,
    output:
        expand(
            f"{CELL}/predictions/{{selection}}.npz",
            selection=SELECTIONS,
            allow_missing=True,
        ),
    log:
        f"{CELL}/logs/predict.log",
    conda:
        "../envs/salstm.yaml"
    threads: 4
    resources:
        gpu=1,
        mem_mb=memory_of,
        runtime=minutes_of_prediction,
    params:
        cell=f"--run {CELL} --cases {CASES}",
        # The network's own code retrains it, which predicts again.
        code=fingerprint("salstm.training.inference"),
    shell:
        "python -m salstm predict {params.cell} --threads {threads} --log {log}"


rule score:
    """Every metric of every test case, under every scope; one job a training."""
    input:
        rules.predict.output,
    output:
        f"{CELL}/scores.csv",
    log:
        f"{CELL}/logs/score.log",
    conda:
        "../envs/salstm.yaml"
    params:
        cell=f"--run {CELL} --cases {CASES}",
        code=fingerprint("salstm.evaluation.scoring", "salstm.vocabulary"),
    shell:
        "python -m salstm score {params.cell} --out {output} --log {log}"


rule sparsity:
    """How sparse the attention's output is when the trained modules of one network are stacked."""
    input:
        stacked_weights,
    output:
        f"{RESULTS}/{{dataset}}/{{baseline}}/sparsity.csv",
    log:
        f"{RESULTS}/{{dataset}}/{{baseline}}/logs/sparsity.log",
    conda:
        "../envs/salstm.yaml"
    threads: 4
    resources:
        gpu=1,
        mem_mb=16000,
        runtime=60,
    params:
        cells=stacked_cells,
        cases=lambda w: CASES.format(dataset=w.dataset),
        layers=config["sparsity"]["layers"],
        sampled=config["sparsity"]["cases"],
        code=lambda w: fingerprint(
            "salstm.sparsity",
            *heads(*stacked(w.dataset)[1]),
            f"baselines.{w.baseline}",
        ),
    shell:
        "python -m salstm sparsity --runs {params.cells} --cases {params.cases}"
        " --layers {params.layers} --count {params.sampled} --threads {threads}"
        " --out {output} --log {log}"
