"""One page that holds everything: it opens without a network, on a phone, in the dark, and on paper."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from salstm import tables
from salstm.analysis.comparisons import Family
from salstm.analysis.results import (
    Collected,
    dataset_name,
    judged,
    network_name,
    read,
    runs,
    variant_name,
)
from salstm.figures.panels import CLASS_COLOURS, ERRORS
from salstm.files import replacing
from salstm.report import completeness, pictures, provenance, verdict
from salstm.tables import (
    agreement,
    cost,
    exploration,
    formats,
    gains,
    layout,
    numbers,
    ranking,
    sensitivity,
    sparsity,
    subgroups,
)
from salstm.tables.layout import Column, Table
from salstm.vocabulary import METRICS, PROTOCOLS, SELECTIONS, STRICT, VARIANTS

log = logging.getLogger(__name__)

TEMPLATES = Path(__file__).parent.parent / "templates"
DRAWINGS = ("forest", "spread", "pareto", "curves", "agreement", "sparsity", "ranking", "subgroups")
SECTIONS = (
    ("verdict", "Verdict"),
    ("tables", "Tables"),
    ("gains", "Gains"),
    ("cases", "Cases"),
    ("rules", "Rules"),
    ("cost", "Cost"),
    ("curves", "Training curves"),
    ("pictures", "Pictures"),
    ("sparsity", "Sparsity"),
    ("data", "Data audit"),
    ("provenance", "Provenance"),
    ("networks", "Networks"),
)


def write(
    collected_in: Path,
    results: Path,
    cards: Mapping[str, Any],
    statistics: Mapping[str, Any],
    out: Path,
    *,
    figures: Path | None = None,
    phantoms: Sequence[str] = (),
) -> None:
    """Write the page.

    Args:
        collected_in: folder that ``collect`` wrote.
        results: results/<name>, for the audits.
        cards: by network.
        statistics: config's statistics; its metrics are shown.
        out: the page, or the folder that gets an ``index.html``.
        figures: folder that ``figures`` wrote; by default ``figures`` beside the page.
        phantoms: datasets whose data were made here.
    """
    page = out if out.suffix == ".html" else out / "index.html"
    family = Family(**statistics)
    data = read(collected_in, family.named)
    drawn = pictures.listed(figures or page.parent / "figures")
    context = _context(data, results, cards, family, phantoms)
    records = runs(collected_in)
    listed = provenance.runs(data, records, cards)
    context["notices"] += completeness.folded(records) + completeness.imported(records)
    context |= {"runs": listed, "provenance": provenance.summary(listed)}
    context |= _judged(data, collected_in, cards)
    context["orders"] = _orders(data, collected_in, cards)
    context |= _drawn(drawn, figures or page.parent / "figures")
    context |= {"sections": SECTIONS, "texts": _texts(context), "class_colours": CLASS_COLOURS}
    context["error_colours"] = ERRORS
    context["title"] = f"SALSTM and LSTMSA: {page.parent.resolve().name}"
    with replacing(page) as temporary:
        temporary.write_text(_render(context), encoding="utf-8")
    log.info("the report: %s (%.1f MB)", page, page.stat().st_size / 1e6)


def _context(
    data: Collected,
    results: Path,
    cards: Mapping[str, Any],
    family: Family,
    phantoms: Sequence[str],
) -> dict[str, Any]:
    """Everything that the template shows, but for the figures."""
    metrics = family.metrics
    tidy = {
        (dataset, protocol): numbers.comparison(data, cards, dataset, protocol, metrics)
        for dataset in data.datasets
        for protocol in PROTOCOLS
    }
    audits = {one: provenance.audit(results, one) for one in data.datasets}
    networks = list(dict.fromkeys(data.cells["baseline"]))
    return {
        "notices": completeness.notices(data, phantoms),
        "states": completeness.states(data),
        "variants": [{"key": one, "name": variant_name(one)} for one in data.variants],
        "matrix": completeness.matrix(data, cards),
        "gaps": completeness.gaps(data, cards),
        "protocols": PROTOCOLS,
        "shown": STRICT,
        "selections": SELECTIONS,
        "shares": " and ".join(
            METRICS[one].label for one in metrics if not METRICS[one].is_distance
        ),
        "datasets": [
            _dataset(data, cards, tidy, one, family.exploratory, made_up=one in phantoms)
            for one in data.datasets
        ],
        "costs": [_shown_table(cost.build(data, cards, one)) for one in data.datasets],
        "audits": list(audits.values()),
        "cautions": {one: provenance.caution(found) for one, found in audits.items()},
        "stacks": {one: _stacked(data, cards, one) for one in data.datasets},
        "subgroups_of": {
            one: [
                _shown_table(table)
                for table in subgroups.build(data, cards, one, family.subgroups, metrics)
            ]
            for one in data.datasets
        },
        "rules": [_rules(data, cards, one, metrics) for one in data.datasets],
        "names": {name: network_name(name, dict(cards)) for name in networks},
        "scratch": layout.from_scratch(data),
        "cards": {name: cards[name] for name in networks if name in cards},
    }


def _judged(data: Collected, folder: Path, cards: Mapping[str, Any]) -> dict[str, Any]:
    """What the template shows of the claims and the declared comparisons."""
    claims, comparisons = (judged(folder, one) for one in ("claims", "comparisons"))
    units = numbers.units(data, comparisons)
    heads, rows = verdict.summary(data, comparisons, units)
    tables_of = {}
    for dataset in data.datasets:
        metrics = dict.fromkeys(comparisons.loc[comparisons["dataset"] == dataset, "metric"])
        built = (gains.build(comparisons, cards, dataset, one, units[dataset]) for one in metrics)
        tables_of[dataset] = [_shown_table(table) for table in built]
    answers, why = verdict.answers(claims)
    listed, shared = verdict.claims(claims)
    return {
        "answers": answers,
        "why": why,
        "claims": listed,
        "shared": shared,
        "verdicts": verdict.counts(claims),
        "summary_heads": heads,
        "summary": rows,
        "family": comparisons.head(1).to_dict("records"),
        "own_family": verdict.own_family(claims),
        "one_seed": bool(len(comparisons)) and bool((comparisons["seeds"] < 2).all()),
        "gains": tables_of,
    }


def _orders(data: Collected, folder: Path, cards: Mapping[str, Any]) -> dict[str, Any]:
    """By dataset the table of how firm its order is; None where nothing is ranked."""
    tables_of_ranks = {one: judged(folder, one) for one in ("ranking", "pairs")}
    built = {one: ranking.build(data, tables_of_ranks, cards, one) for one in data.datasets}
    return {one: _shown_table(table) if table else None for one, table in built.items()}


def _dataset(
    data: Collected,
    cards: Mapping[str, Any],
    tidy: Mapping[tuple[str, str], Any],
    dataset: str,
    explored: Sequence[str],
    *,
    made_up: bool,
) -> dict[str, Any]:
    by_protocol = {}
    for protocol in PROTOCOLS:
        built = tables.build(tidy[dataset, protocol], data, cards)
        more = exploration.build(data, cards, dataset, protocol, explored)
        built += [more] if more else []
        by_protocol[protocol] = [_shown_table(table) for table in built]
    beside = None if made_up else agreement.build(data, dataset)
    shown = _shown_table(beside) if beside else None
    return {"key": dataset, "name": dataset_name(dataset), "tables": by_protocol, "authors": shown}


def _rules(
    data: Collected, cards: Mapping[str, Any], dataset: str, metrics: Sequence[str]
) -> list[dict[str, Any]]:
    """Ranks by scoring rule and scores by choice of weights, each with its finding in words."""
    moves, selection = (
        make(data, cards, dataset, metrics)
        for make in (sensitivity.by_convention, sensitivity.by_selection)
    )
    return [
        {**_shown_table(moves), "said": sensitivity.moved(moves)},
        {**_shown_table(selection), "said": sensitivity.optimistic(selection)},
    ]


def _stacked(data: Collected, cards: Mapping[str, Any], dataset: str) -> dict[str, Any] | None:
    table = sparsity.build(data, cards, dataset)
    return {**_shown_table(table), "said": sparsity.said(data, dataset)} if table else None


def _shown_table(table: Table) -> dict[str, Any]:
    """A table with what the page's copy buttons give."""
    return {"table": table, "csv": formats.csv(table), "tex": formats.latex(table)}


def _markup(folder: Path, entry: Mapping[str, Any]) -> Any:
    from markupsafe import Markup

    return Markup(pictures.inline_svg(folder / f"{entry['file']}.svg", entry["alt"]))


def _texts(context: Mapping[str, Any]) -> dict[str, dict[str, str]]:
    """By table what its copy buttons give."""
    entries = [*context["costs"], *itertools.chain(*context["rules"], *context["gains"].values())]
    for dataset in context["datasets"]:
        entries += [entry for shown in dataset["tables"].values() for entry in shown]
        entries.append(dataset["authors"])
    entries += itertools.chain(*context["subgroups_of"].values())
    entries += [*context["stacks"].values(), *context["orders"].values()]
    return {one["table"].key: {"csv": one["csv"], "tex": one["tex"]} for one in entries if one}


def _drawn(entries: list[dict[str, Any]], folder: Path) -> dict[str, Any]:
    """Drawings as markup, by kind; cases with their pictures; and for a cell where its pictures are."""
    drawings: dict[str, dict[str, Any]] = {kind: {} for kind in DRAWINGS}
    for entry in entries:
        if entry["kind"] in drawings:
            drawings[entry["kind"]][entry["dataset"]] = {**entry, "svg": _markup(folder, entry)}
    cases = [entry for entry in entries if entry["kind"] == "cases"]
    anchors = {}
    for entry in cases:
        for panel in entry["panels"]:
            for name, file in (("url", "file"), ("map", "errors")):
                panel[name] = pictures.data_url(folder / panel[file])
            key = f"{entry['dataset']}/{entry['baseline']}/{panel['variant']}"
            anchors[key] = f"cases-{key.replace('/', '-')}"
    return {**drawings, "cases": cases, "anchors": anchors, "variant_name": variant_name}


def _render(context: Mapping[str, Any]) -> str:
    import jinja2
    from markupsafe import Markup

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    filters = {"dataset_name": dataset_name, "groupby_run": _groups, "groupby_variant": _variants}
    filters["groupby_reading"] = _readings
    environment.filters.update(filters)
    script = Markup((TEMPLATES / "report.js").read_text(encoding="utf-8"))
    colours = {
        mode: Markup(" ".join(f"--{one.name}: {getattr(one, mode)};" for one in VARIANTS.values()))
        for mode in ("light", "dark")
    }
    style = environment.get_template("report.css").render(colours=colours) + "\n"
    inlined = {"style": Markup(style), "script": script}
    return environment.get_template("report.html.j2").render(context, **inlined)


def _groups(columns: Sequence[Column]) -> list[dict[str, Any]]:
    """Neighbouring columns under one heading: its name and how many."""
    runs = itertools.groupby(column.group for column in columns)
    return [{"name": name, "width": len(list(run))} for name, run in runs]


def _variants(panels: Sequence[Mapping[str, Any]]) -> list[tuple[str, list[Any]]]:
    runs = itertools.groupby(panels, lambda panel: panel["variant"])
    return [(variant, list(run)) for variant, run in runs]


def _readings(claims: Sequence[Mapping[str, Any]]) -> list[tuple[str, list[Any]]]:
    runs = itertools.groupby(claims, lambda claim: claim["reading"])
    return [(reading, list(run)) for reading, run in runs]
