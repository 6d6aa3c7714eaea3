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
        # One string, here and for the other rules of a cell: a plan formats every field of every command three times.
        cell="--dataset {dataset} --baseline {baseline} --variant {variant} --seed {seed}"
        f" --cases {CASES} --out {CELL}",
    shell:
        "python -m salstm train {params.cell} --recipe {params.recipe:q}"
        " --threads {threads} --log {log}"
