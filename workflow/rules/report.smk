rule report:
    """Target: the report of the whole grid."""
    input:
        # A function, so that only who asks for it makes the list.
        lambda w: report_with(PATHS.name),


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
        PATHS.of_networks(PATHS.name, "cost.csv"),


rule collect:
    """All cells in a few tables; what is missing is named with its reason."""
    input:
        of_cells("scores.csv"),
        of_trainings("history.csv", "run.json"),
        lambda w: PATHS.of_imported(w.edition, "scores.csv", "history.csv", "run.json"),
        lambda w: PATHS.of_networks(w.edition, "cost.csv"),
        lambda w: PATHS.stacks(w.edition),
        of_datasets("bounds.csv"),
    output:
        COLLECTED,
    log:
        f"{PATHS.collected}/logs/collect.log",
    params:
        grid=grid_of,
        results=subpath(input[0], ancestor=5),
        out=subpath(output[0], parent=True),
        code=code_of("salstm.analysis.collect:collect"),
    shell:
        "python -m salstm collect --results {params.results} --grid {params.grid:q}"
        " --out {params.out} --log {log}"


rule claims:
    """The declared comparisons with their intervals and tests, and a verdict on each of the paper's claims."""
    input:
        rules.collect.output,
        sentences=local(BASE / "claims.yaml"),
    output:
        JUDGED,
    log:
        f"{PATHS.collected}/logs/claims.log",
    localrule: not SHARED
    params:
        collected=subpath(output[0], parent=True),
        statistics=STATISTICS,
        # Of the whole grid: all of its comparisons are one family.
        grid=json.dumps(PATHS.grid(PATHS.name)),
        limits=LIMITS,
        code=code_of("salstm.analysis.analyse:write"),
    shell:
        "python -m salstm claims --collected {params.collected} --claims {input.sentences}"
        " --statistics {params.statistics:q} --grid {params.grid:q}"
        " --limits {params.limits:q} --log {log}"


rule tables:
    """Every table of the report as CSV, Markdown and LaTeX."""
    input:
        COLLECTED + JUDGED,
    output:
        shown(
            "reports/{edition}/tables",
            *("table", "Tables", "{dataset}_{table}.csv"),
            dataset="{dataset}",
            table="{table}",
        ),
    log:
        f"{PATHS.collected}/logs/tables.log",
    params:
        collected=subpath(input[0], parent=True),
        statistics=STATISTICS,
        phantoms=PHANTOMS,
        own=own_of_report,
        code=code_of("salstm.tables"),
    shell:
        "python -m salstm tables --collected {params.collected} --phantoms {params.phantoms:q}"
        " --statistics {params.statistics:q} --out {output} --log {log} {params.own}"


rule figures:
    """Gains, distributions, costs, training curves and pictures of cases, as SVG and PNG."""
    input:
        COLLECTED + JUDGED,
        cases=of_datasets("cases"),
        # The pictures are of the first seed.
        labels=of_trainings("predictions", first_seed=True),
    output:
        shown(
            "reports/{edition}/figures",
            *("figure", "Figures", "{figure}.svg"),
            figure="{figure}",
        ),
    log:
        f"{PATHS.collected}/logs/figures.log",
    params:
        folders=folders_of,
        phantoms=PHANTOMS,
        statistics=STATISTICS,
        pictures="" if config["pictures"] else "--no-pictures",
        own=own_of_report,
        code=code_of("salstm.figures"),
    shell:
        "python -m salstm figures {params.folders} {params.pictures} --phantoms {params.phantoms:q}"
        " --statistics {params.statistics:q} --out {output} --log {log} {params.own}"


rule export:
    """The results as other programs read them: challengeR, nnU-Net's summaries, the claims."""
    input:
        COLLECTED + JUDGED,
        of_datasets("cases"),
    output:
        shown(
            "reports/{edition}/data",
            *("data", "Data", "{file}.csv", "{file,means|ro-crate-metadata}.json"),
            file="{file}",
        ),
    log:
        f"{PATHS.collected}/logs/export.log",
    params:
        folders=folders_of,
        statistics=STATISTICS,
        own=own_of_report,
        code=code_of("salstm.exports:write"),
    shell:
        "python -m salstm export {params.folders} --statistics {params.statistics:q}"
        " --out {output} --log {log} {params.own}"


rule page:
    """One self-contained page: what is done, the tables, the figures, and where they come from."""
    input:
        COLLECTED + JUDGED,
        of_datasets("audit.csv"),
        rules.export.output,
        tables=rules.tables.output,
        figures=rules.figures.output,
    output:
        shown("reports/{edition}/index.html", "page", "Report", edition="{edition}"),
    log:
        f"{PATHS.collected}/logs/page.log",
    params:
        folders=folders_of,
        phantoms=PHANTOMS,
        templates=TEMPLATES,
        statistics=STATISTICS,
        own=own_of_report,
        code=code_of("salstm.report"),
    shell:
        "python -m salstm report {params.folders} --tables {input.tables} --figures {input.figures}"
        " --phantoms {params.phantoms:q} --statistics {params.statistics:q}"
        " --out {output} --log {log} {params.own}"
