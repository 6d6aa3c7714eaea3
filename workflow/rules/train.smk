rule train:
    """One training: three selections of weights, the curve, and how it was made."""
    input:
        # The audit of the cases, so that it is made anew with them.
        audit=rules.check.output,
        weights=weights_of,
    output:
        weights=expand(
            f"{CELL}/{{selection}}.safetensors",
            selection=SELECTIONS,
            allow_missing=True,
        ),
        curve=f"{CELL}/history.csv",
        run=f"{CELL}/run.json",
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
        cases=CASES,
        cell=CELL,
    shell:
        "python -m salstm train --dataset {wildcards.dataset} --baseline {wildcards.baseline}"
        " --variant {wildcards.variant} --seed {wildcards.seed} --recipe {params.recipe:q}"
        " --cases {params.cases} --out {params.cell} --threads {threads} --log {log}"
