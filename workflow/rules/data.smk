rule data:
    """Target: all datasets of the grid, prepared and checked."""
    input:
        expand(f"{RESULTS}/{{dataset}}/audit.csv", dataset=ACTIVE),


# A cluster's compute nodes often have no way to the internet.
localrules:
    fetch,
    weights,


rule fetch:
    """Raw data: found, or made (phantoms), or downloaded; then listed with their hashes."""
    output:
        f"{RESULTS}/{{dataset}}/raw.json",
    log:
        f"{RESULTS}/{{dataset}}/logs/fetch.log",
    conda:
        "../envs/salstm.yaml"
    params:
        raw=lambda w: dataset_of(w, "raw"),
        phantom=lambda w: dataset_of(w, "phantom"),
        changes=changes_of,
        code=lambda w: fingerprint("salstm.data.phantoms", *datasets.modules(w.dataset)),
    shell:
        "python -m salstm fetch --dataset {wildcards.dataset} --raw {params.raw:q}"
        " --phantom {params.phantom:q} --changes {params.changes:q} --out {output} --log {log}"


rule prepare:
    """Raw files to cases: one orientation, one size, one memory map."""
    input:
        rules.fetch.output,
    output:
        expand(
            f"{CASES}/{{file}}",
            file=["cases.csv", "manifest.json", "images.npy", "labels.npy"],
            allow_missing=True,
        ),
    log:
        f"{RESULTS}/{{dataset}}/logs/prepare.log",
    conda:
        "../envs/salstm.yaml"
    threads: 4
    params:
        raw=lambda w: dataset_of(w, "raw"),
        split=lambda w: dataset_of(w, "split"),
        size=lambda w: dataset_of(w, "size"),
        axes=lambda w: dataset_of(w, "axes"),
        cases=CASES,
        lists=split_of,
        code=lambda w: fingerprint("salstm.data.datasets", *datasets.modules(w.dataset)),
    shell:
        "python -m salstm prepare --dataset {wildcards.dataset} --raw {params.raw:q}"
        " --manifest {input} --split {params.split:q} --size {params.size} --axes {params.axes}"
        " --out {params.cases} --threads {threads} --log {log}"


rule check:
    """Audit of the prepared cases before anything trains on them."""
    input:
        rules.prepare.output,
    output:
        f"{RESULTS}/{{dataset}}/audit.csv",
    log:
        f"{RESULTS}/{{dataset}}/logs/check.log",
    conda:
        "../envs/salstm.yaml"
    params:
        cases=lambda w: CASES.format(dataset=w.dataset),
        code=fingerprint("salstm.data.audit"),
    shell:
        "python -m salstm check --dataset {wildcards.dataset} --cases {params.cases}"
        " --out {output} --log {log}"


rule weights:
    """A backbone's published weights: found under data/weights, or downloaded."""
    output:
        "data/weights/{baseline}.json",
    log:
        "data/weights/{baseline}.log",
    conda:
        "../envs/salstm.yaml"
    shell:
        "python -m salstm weights --baseline {wildcards.baseline} --out {output} --log {log}"
