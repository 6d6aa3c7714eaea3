"""One page that holds everything: it opens without a network, on a phone, in the dark, and on paper."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from salstm import collected, conventions, tables
from salstm.collected import Collected, dataset_name, network_name, variant_name
from salstm.figures.panels import CLASS_COLOURS
from salstm.files import replacing
from salstm.report import completeness, origin, pictures
from salstm.tables import cost, formats, numbers
from salstm.tables.layout import Column, Table

log = logging.getLogger(__name__)

TEMPLATES = Path(__file__).parent.parent / "templates"
SHOWN = "strict"
"""The protocol that the page opens with."""
SECTIONS = (
    ("verdict", "Verdict"),
    ("tables", "Tables"),
    ("curves", "Training curves"),
    ("pictures", "Pictures"),
    ("cost", "Cost"),
    ("data", "Data audit"),
    ("provenance", "Provenance"),
    ("networks", "Networks"),
)


def write(
    collected_in: Path,
    results: Path,
    cards: Mapping[str, Any],
    out: Path,
    *,
    figures: Path | None = None,
    phantoms: Sequence[str] = (),
) -> None:
    """Write the page.

    Args:
        collected_in: folder that ``collect`` wrote.
        results: results/<name>, for the runs' records and the audits.
        cards: by network.
        out: the page, or the folder that gets an ``index.html``.
        figures: folder that ``figures`` wrote; by default ``figures`` beside the page.
        phantoms: datasets whose data were made here.
    """
    page = out if out.suffix == ".html" else out / "index.html"
    data = collected.read(collected_in)
    drawn = pictures.listed(figures or page.parent / "figures")
    context = _context(data, results, cards, phantoms)
    context |= _drawn(drawn, figures or page.parent / "figures")
    context |= {"sections": SECTIONS, "texts": _texts(context), "class_colours": CLASS_COLOURS}
    context["title"] = f"SALSTM and LSTMSA: {page.parent.resolve().name}"
    with replacing(page) as temporary:
        temporary.write_text(_render(context), encoding="utf-8")
    log.info("the report: %s (%.1f MB)", page, page.stat().st_size / 1e6)


def _context(
    data: Collected, results: Path, cards: Mapping[str, Any], phantoms: Sequence[str]
) -> dict[str, Any]:
    """Everything that the template shows, but for the figures."""
    tidy = {
        (dataset, protocol): numbers.comparison(data, cards, dataset, protocol)
        for dataset in data.datasets
        for protocol in conventions.PROTOCOLS
    }
    runs = origin.runs(data, results, cards)
    networks = list(dict.fromkeys(data.cells["baseline"]))
    return {
        "notices": completeness.notices(data, phantoms),
        "states": completeness.states(data),
        "variants": [{"key": one, "name": variant_name(one)} for one in data.variants],
        "matrix": completeness.matrix(data, cards),
        "gaps": completeness.gaps(data, cards),
        "verdicts": [
            {"dataset": dataset_name(one), "gains": completeness.gains(tidy[one, SHOWN])}
            for one in data.datasets
        ],
        "protocols": conventions.PROTOCOLS,
        "shown": SHOWN,
        "datasets": [_dataset(data, cards, tidy, one) for one in data.datasets],
        "costs": [_shown_table(cost.build(data, cards, one)) for one in data.datasets],
        "audits": [origin.audit(results, one) for one in data.datasets],
        "runs": runs,
        "provenance": origin.summary(runs),
        "names": {name: network_name(name, dict(cards)) for name in networks},
        "cards": {name: cards[name] for name in networks if name in cards},
    }


def _dataset(
    data: Collected, cards: Mapping[str, Any], tidy: Mapping[tuple[str, str], Any], dataset: str
) -> dict[str, Any]:
    found = {}
    for protocol in conventions.PROTOCOLS:
        made = tables.build(tidy[dataset, protocol], data, cards)
        found[protocol] = [_shown_table(table) for table in made]
    return {"key": dataset, "name": dataset_name(dataset), "tables": found}


def _shown_table(table: Table) -> dict[str, Any]:
    """A table with what the page's copy buttons give."""
    return {"table": table, "csv": formats.csv(table), "tex": formats.latex(table)}


def _markup(folder: Path, entry: Mapping[str, Any]) -> Any:
    from markupsafe import Markup

    return Markup(pictures.inline_svg(folder / f"{entry['file']}.svg", entry["alt"]))


def _texts(context: Mapping[str, Any]) -> dict[str, dict[str, str]]:
    """By table what its copy buttons give."""
    entries = [*context["costs"]]
    for dataset in context["datasets"]:
        entries += [entry for made in dataset["tables"].values() for entry in made]
    return {one["table"].key: {"csv": one["csv"], "tex": one["tex"]} for one in entries}


def _drawn(entries: list[dict[str, Any]], folder: Path) -> dict[str, Any]:
    """Curves as markup; cases with their pictures; and for a cell where its pictures are."""
    curves = [
        {**entry, "svg": _markup(folder, entry)} for entry in entries if entry["kind"] == "curves"
    ]
    cases = [entry for entry in entries if entry["kind"] == "cases"]
    anchors = {}
    for entry in cases:
        for panel in entry["panels"]:
            panel["url"] = pictures.data_url(folder / panel["file"])
            key = f"{entry['dataset']}/{entry['baseline']}/{panel['variant']}"
            anchors[key] = f"cases-{key.replace('/', '-')}"
    return {"curves": curves, "cases": cases, "anchors": anchors, "variant_name": variant_name}


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
    environment.filters.update(filters)
    inlined = {
        name: Markup((TEMPLATES / f"report.{suffix}").read_text(encoding="utf-8"))
        for name, suffix in (("style", "css"), ("script", "js"))
    }
    return environment.get_template("report.html.j2").render(context, **inlined)


def _groups(columns: Sequence[Column]) -> list[dict[str, Any]]:
    """Neighbouring columns under one heading: its name and how many."""
    runs = itertools.groupby(column.group for column in columns)
    return [{"name": name, "width": len(list(run))} for name, run in runs]


def _variants(panels: Sequence[Mapping[str, Any]]) -> list[tuple[str, list[Any]]]:
    runs = itertools.groupby(panels, lambda panel: panel["variant"])
    return [(variant, list(run)) for variant, run in runs]
