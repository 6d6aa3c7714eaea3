rule count:
    """Parameters, multiply-adds and latency of a network under each variant."""
    output:
        f"{RESULTS}/{{dataset}}/{{baseline}}/cost.csv",
    log:
        f"{RESULTS}/{{dataset}}/{{baseline}}/logs/cost.log",
    conda:
        "../envs/salstm.yaml"
    resources:
        mem_mb=16000,
        runtime=60,
    params:
        recipes=recipes_of,
        code=lambda w: fingerprint(
            "salstm.cost.flops",
            "salstm.modules.wrapper",
            *heads(*config["variants"]),
            f"baselines.{w.baseline}",
        ),
    shell:
        "python -m salstm cost --dataset {wildcards.dataset} --baseline {wildcards.baseline}"
        " --recipes {params.recipes:q} --threads {threads} --out {output} --log {log}"
