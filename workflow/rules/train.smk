rule train:
    """One training: three selections of weights, the curve, and how it was made."""
    input:
        cases=f"{CASES}/manifest.json",
        audit=rules.check.output,
        weights=weights_of,
    output:
        expand(
            f"{CELL}/{{selection}}.safetensors",
            selection=SELECTIONS,
            allow_missing=True,
        ),
        f"{CELL}/history.csv",
        f"{CELL}/run.json",
    log:
        f"{CELL}/logs/train.log",
    conda:
        "../envs/salstm.yaml"
    threads: 4
    resources:
        gpu=1,
        mem_mb=memory_of,
        runtime=minutes_of_training,
    params:
        recipe=recipe_of,
        code=code_of_training,
        cases=lambda w: CASES.format(dataset=w.dataset),
        cell=CELL,
    shell:
        "python -m salstm train --dataset {wildcards.dataset} --baseline {wildcards.baseline}"
        " --variant {wildcards.variant} --seed {wildcards.seed} --recipe {params.recipe:q}"
        " --cases {params.cases} --out {params.cell} --threads {threads} --log {log}"
