rule predict:
    """Label maps of the test cases from each selection of weights."""
    input:
        rules.train.output,
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
        cases=CASES,
        cell=CELL,
        code=lambda w: fingerprint("salstm.inference", f"baselines.{w.baseline}"),
    shell:
        "python -m salstm predict --run {params.cell} --cases {params.cases}"
        " --threads {threads} --log {log}"


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
    resources:
        mem_mb=4000,
        runtime=60,
    params:
        cases=CASES,
        cell=CELL,
        code=fingerprint("salstm.scoring"),
    shell:
        "python -m salstm score --run {params.cell} --cases {params.cases}"
        " --out {output} --log {log}"
