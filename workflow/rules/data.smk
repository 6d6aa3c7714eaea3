rule data:
    """Target: all datasets of the grid, prepared and checked."""
    input:
        PATHS.of_datasets(PATHS.name, "audit.csv"),


# A cluster's compute nodes often have no way to the internet, so what downloads is local. Raw data lie where Snakemake
# runs; other machines see them on a shared file system alone.
rule fetch:
    """Raw data: found, or made (phantoms), or downloaded; then listed with their hashes."""
    output:
        f"{PATHS.results}/{{dataset}}/raw.json",
    log:
        f"{PATHS.results}/{{dataset}}/logs/fetch.log",
    localrule: True
    params:
        raw=raw_options,
        changes=changes_of,
        code=code_of_fetch,
    shell:
        "python -m salstm fetch --dataset {wildcards.dataset} {params.raw}"
        " --changes {params.changes:q} --out {output} --log {log}"


rule prepare:
    """Raw files to cases: one orientation, one size, one memory map."""
    input:
        rules.fetch.output,
    output:
        directory(PATHS.cases),
    log:
        f"{PATHS.results}/{{dataset}}/logs/prepare.log",
    localrule: not SHARED
    threads: 4
    params:
        raw=lambda w: dataset_of(w, "raw"),
        split=lambda w: dataset_of(w, "split"),
        size=lambda w: dataset_of(w, "size"),
        axes=lambda w: dataset_of(w, "axes"),
        lists=lambda w: PATHS.split_list(w.dataset),
        own=own_of,
        code=code_of_data("salstm.jobs.data:prepare"),
    shell:
        "python -m salstm prepare --dataset {wildcards.dataset} --raw {params.raw:q}"
        " --manifest {input} --split {params.split:q} --size {params.size} --axes {params.axes}"
        " --out {output} --threads {threads} --log {log} {params.own}"


rule check:
    """Audit of the prepared cases before anything trains on them."""
    input:
        rules.prepare.output,
    output:
        f"{PATHS.results}/{{dataset}}/audit.csv",
    log:
        f"{PATHS.results}/{{dataset}}/logs/check.log",
    params:
        own=own_of,
        code=code_of_data("salstm.jobs.data:check"),
    shell:
        "python -m salstm check --dataset {wildcards.dataset} --cases {input}"
        " --out {output} --log {log} {params.own}"


rule weights:
    """A backbone's published weights: found under data/weights, or downloaded there."""
    output:
        directory("data/weights/{baseline}"),
    log:
        "data/weights/{baseline}.log",
    localrule: True
    shell:
        "python -m salstm weights --baseline {wildcards.baseline} --folder data/weights"
        " --out {output}/weights.json --log {log}"
