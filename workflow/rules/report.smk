rule report:
    """Target: the report of the whole grid."""
    input:
        f"reports/{NAME}/index.html",


for dataset in config["grid"]:

    rule:
        """Target: the report of this dataset alone."""
        name:
            dataset
        input:
            report_of(dataset),


rule cost:
    """Target: what every network of the grid costs under each variant."""
    input:
        all_costs,


rule collect:
    """All cells in five tables; what is missing is named with its reason."""
    input:
        scores_of,
        costs_of,
        stacks_of,
    output:
        expand(
            f"{COLLECTED}/{{file}}.csv",
            file=["cells", "scores", "cost", "history", "sparsity"],
            allow_missing=True,
        ),
    log:
        f"{COLLECTED}/logs/collect.log",
    conda:
        "../envs/salstm.yaml"
    params:
        grid=grid_of,
        results=lambda w: RESULTS,
        out=lambda w: COLLECTED.format(edition=w.edition),
        code=fingerprint("salstm.analysis.collect", "salstm.vocabulary"),
    shell:
        "python -m salstm collect --results {params.results} --grid {params.grid:q}"
        " --out {params.out} --log {log}"


rule claims:
    """The declared comparisons with their intervals and tests, and a verdict on each of the paper's claims."""
    input:
        rules.collect.output,
        sentences="claims.yaml",
    output:
        expand(
            f"{COLLECTED}/{{file}}.csv",
            file=["comparisons", "claims", "ranking", "shares", "pairs"],
            allow_missing=True,
        ),
    log:
        f"{COLLECTED}/logs/claims.log",
    conda:
        "../envs/salstm.yaml"
    params:
        collected=lambda w: COLLECTED.format(edition=w.edition),
        grid=grid_text(NAME),
        limits=LIMITS,
        statistics=STATISTICS,
        code=fingerprint("salstm.analysis.analyse", "salstm.vocabulary"),
    shell:
        "python -m salstm claims --collected {params.collected} --claims {input.sentences}"
        " --statistics {params.statistics:q} --grid {params.grid:q}"
        " --limits {params.limits:q} --log {log}"


rule tables:
    """Every table of the report as CSV, Markdown and LaTeX."""
    input:
        rules.collect.output,
        rules.claims.output,
    output:
        report(
            directory("reports/{edition}/tables"),
            patterns=["{dataset}_{table}.csv"],
            caption="../report/table.rst",
            category="Tables",
            labels={"dataset": "{dataset}", "table": "{table}"},
        ),
    log:
        f"{COLLECTED}/logs/tables.log",
    conda:
        "../envs/salstm.yaml"
    params:
        collected=lambda w: COLLECTED.format(edition=w.edition),
        statistics=STATISTICS,
        phantoms=PHANTOMS,
        code=fingerprint("salstm.tables", "salstm.vocabulary"),
    shell:
        "python -m salstm tables --collected {params.collected} --phantoms {params.phantoms:q}"
        " --statistics {params.statistics:q} --out {output} --log {log}"


rule figures:
    """Gains, distributions, costs, training curves and pictures of cases, as SVG and PNG."""
    input:
        rules.collect.output,
        rules.claims.output,
    output:
        report(
            directory("reports/{edition}/figures"),
            patterns=["{figure}.svg"],
            caption="../report/figure.rst",
            category="Figures",
            labels={"figure": "{figure}"},
        ),
    log:
        f"{COLLECTED}/logs/figures.log",
    conda:
        "../envs/salstm.yaml"
    params:
        collected=lambda w: COLLECTED.format(edition=w.edition),
        results=lambda w: RESULTS,
        phantoms=PHANTOMS,
        statistics=STATISTICS,
        code=fingerprint("salstm.figures", "salstm.vocabulary"),
    shell:
        "python -m salstm figures --collected {params.collected} --results {params.results}"
        " --statistics {params.statistics:q} --phantoms {params.phantoms:q} --out {output} --log {log}"


rule export:
    """The results as other programs read them: challengeR, nnU-Net's summary, the claims."""
    input:
        rules.collect.output,
        rules.claims.output,
    output:
        report(
            directory("reports/{edition}/data"),
            patterns=["{file}.csv", "{file,summary|ro-crate-metadata}.json"],
            caption="../report/data.rst",
            category="Data",
            labels={"file": "{file}"},
        ),
    log:
        f"{COLLECTED}/logs/export.log",
    conda:
        "../envs/salstm.yaml"
    params:
        collected=lambda w: COLLECTED.format(edition=w.edition),
        results=lambda w: RESULTS,
        statistics=STATISTICS,
        code=fingerprint("salstm.exports", "salstm.vocabulary"),
    shell:
        "python -m salstm export --collected {params.collected} --results {params.results}"
        " --statistics {params.statistics:q} --out {output} --log {log}"


rule page:
    """One self-contained page: what is done, the tables, the figures, and where they come from."""
    input:
        rules.collect.output,
        rules.claims.output,
        audits_of,
        rules.export.output,
        tables=rules.tables.output,
        figures=rules.figures.output,
    output:
        report(
            "reports/{edition}/index.html",
            caption="../report/page.rst",
            category="Report",
            labels={"edition": "{edition}"},
        ),
    log:
        f"{COLLECTED}/logs/page.log",
    conda:
        "../envs/salstm.yaml"
    params:
        collected=lambda w: COLLECTED.format(edition=w.edition),
        results=lambda w: RESULTS,
        phantoms=PHANTOMS,
        templates=TEMPLATES,
        statistics=STATISTICS,
        code=fingerprint("salstm.report", "salstm.vocabulary"),
    shell:
        "python -m salstm report --collected {params.collected} --results {params.results}"
        " --statistics {params.statistics:q} --figures {input.figures} --phantoms {params.phantoms:q} --out {output} --log {log}"
