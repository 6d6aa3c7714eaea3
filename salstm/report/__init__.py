"""One page that holds everything: it opens without a network, on a phone, in the dark, and on paper."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from salstm import tables as printed
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
from salstm.report import answer, completeness, findings, pictures, provenance, verdict
from salstm.report.sections import Sections, tables_of
from salstm.tables import layout, numbers
from salstm.tables.layout import Column
from salstm.vocabulary import METRICS, PROTOCOLS, SELECTIONS, STRICT, VARIANTS

log = logging.getLogger(__name__)

TEMPLATES = Path(__file__).parent.parent / "templates"
SECTIONS = (
    ("verdict", "Answer"),
    ("claims", "Claims"),
    ("completeness", "Completeness"),
    ("provenance", "Provenance"),
    ("networks", "Networks"),
    ("notes", "Notes"),
)
"""Parts of the page that are about all datasets; each dataset is a part of its own, named by its key."""


def write(
    collected_in: Path,
    results: Path,
    cards: Mapping[str, Any],
    statistics: Mapping[str, Any],
    out: Path,
    *,
    figures: Path | None = None,
    tables: Path | None = None,
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
        tables: folder that ``tables`` wrote; by default ``tables`` beside the page. What is not there is made.
        phantoms: datasets whose data were made here.
    """
    page = out if out.suffix == ".html" else out / "index.html"
    family = Family(**statistics)
    data, records = read(collected_in, family.named), runs(collected_in)

    def make(folder: Path) -> None:
        printed.write(collected_in, cards, statistics, folder, phantoms)

    sections = Sections(data, tables_of(tables or page.parent / "tables", make), cards)
    context = _context(data, cards, family.metrics, phantoms)
    listed = provenance.runs(data, records, cards)
    context["notices"] += completeness.folded(records) + completeness.imported(records)
    context |= {"runs": listed, "provenance": provenance.summary(listed)}
    context |= _judged(data, collected_in)
    context["answer"] = answer.cards(
        context["answers"], context["summary_heads"], context["summary"]
    )
    context["limits"] = answer.limits(context["why"], context["summary"])
    context["extent"] = answer.extent(data, context["states"], listed)
    context |= _drawn(figures or page.parent / "figures")
    context["datasets"] = _datasets(sections, context, collected_in, results)
    context |= {"notes": sections.notes.all(), "texts": sections.texts, "sections": SECTIONS}
    context |= {"class_colours": CLASS_COLOURS, "error_colours": ERRORS}
    context["name"] = page.parent.resolve().name
    with replacing(page) as temporary:
        temporary.write_text(_render(context), encoding="utf-8")
    log.info("the report: %s (%.1f MB)", page, page.stat().st_size / 1e6)


def _context(
    data: Collected,
    cards: Mapping[str, Any],
    metrics: Sequence[str],
    phantoms: Sequence[str],
) -> dict[str, Any]:
    """What the template shows of the whole grid, but for the verdicts and the figures."""
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
        "names": {name: network_name(name, cards) for name in networks},
        "scratch": layout.from_scratch(data),
        "cards": {name: cards[name] for name in networks if name in cards},
    }


def _judged(data: Collected, folder: Path) -> dict[str, Any]:
    """What the template shows of the claims and the declared comparisons."""
    claims, comparisons = (judged(folder, one) for one in ("claims", "comparisons"))
    heads, rows = verdict.summary(data, comparisons, numbers.units(data, comparisons))
    answers, why = verdict.answers(claims)
    listed, shared = verdict.claims(claims)
    names = {dataset_name(one) for one in data.datasets}
    return {
        "headline": findings.headline([row for row in rows if row["dataset"] in names]),
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
    }


def _datasets(
    sections: Sections, context: Mapping[str, Any], collected_in: Path, results: Path
) -> list[dict[str, Any]]:
    """The section of each dataset, with its pictures."""
    comparisons, built = judged(collected_in, "comparisons"), []
    for dataset in sections.data.datasets:
        name = dataset_name(dataset)
        rows = [row for row in context["summary"] if row["dataset"] == name]
        audit = provenance.audit(results, dataset)
        drawings = context["drawings"].get(dataset, {})
        section = sections.build(dataset, drawings, comparisons, audit, rows)
        built.append(section | {"cases": context["cases"].get(dataset, [])})
    return built


def _markup(folder: Path, entry: Mapping[str, Any]) -> Any:
    from markupsafe import Markup

    return Markup(pictures.inline_svg(folder / f"{entry['file']}.svg", entry["alt"]))


def _drawn(folder: Path) -> dict[str, Any]:
    """By dataset its drawings as markup, by kind, and its pictures of cases; and for a cell where its pictures are."""
    drawings: dict[str, dict[str, Any]] = {}
    cases: dict[str, list[dict[str, Any]]] = {}
    anchors = {}
    for entry in pictures.listed(folder):
        dataset = entry["dataset"]
        if entry["kind"] != "cases":
            svg = _markup(folder, entry)
            drawn = {**entry, "svg": svg, "broad": pictures.is_broad(svg)}
            drawings.setdefault(dataset, {})[entry["kind"]] = drawn
            continue
        cases.setdefault(dataset, []).append(entry)
        for panel in entry["panels"]:
            for name, file in (("url", "file"), ("map", "errors")):
                panel[name] = pictures.data_url(folder / panel[file])
            key = f"{dataset}/{entry['baseline']}/{panel['variant']}"
            anchors[key] = f"cases-{key.replace('/', '-')}"
    return {"drawings": drawings, "cases": cases, "anchors": anchors, "variant_name": variant_name}


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
