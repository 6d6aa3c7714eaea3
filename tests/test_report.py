"""The page: whole in itself, every section there, every gap named, and honest about its data."""

from __future__ import annotations

import dataclasses
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pandas as pd
import pytest

from salstm import report
from salstm import tables as printed
from salstm.analysis import analyse, results
from salstm.files import write_json
from salstm.report import findings, pictures, provenance, verdict
from salstm.tables import listing, numbers
from salstm.vocabulary import DECLARED
from tests import synthetic
from tests.synthetic import Made

VOID = {"meta", "link", "img", "input", "br", "path", "use"}
LOADING = {"src", "srcset", "data", "poster", "xlink:href"}
GAPS = {
    ("acdc", "mtunet", "salstm", 1): ("failed", "train: the loss is <nan> & more"),
    ("acdc", "transunet", "lstmsa", 0): ("running", "train: epoch 3/4"),
    ("isic2018", "unet", "plain", 0): ("missing", "not started"),
}


class Page(HTMLParser):
    """Parses strictly: every tag is closed in order; collects ids, links, what is loaded, and rows."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.loaded: list[str] = []
        self.text: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        values = dict(attrs)
        assert len(values) == len(attrs), f"{tag} has an attribute twice"
        self.ids += [value or "" for name, value in attrs if name == "id"]
        if tag == "a":
            self.links.append(values["href"] or "")
        elif tag == "link":
            self.loaded.append(values["href"] or "")
        self.loaded += [value or "" for name, value in attrs if name in LOADING]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        if tag not in VOID:
            assert self.open.pop() == tag, f"</{tag}> closes another element"

    def handle_data(self, data):
        if self.open and self.open[-1] not in ("script", "style"):
            self.text.append(data)

    @property
    def words(self) -> str:
        return " ".join(" ".join(self.text).split())


def test_the_wiring_of_two_dimensions_is_said(tmp_path):
    from salstm.analysis import results
    from salstm.report import completeness

    data = results.read(synthetic.collect(tmp_path, Made()))
    (note,) = [one for one in completeness.notices(data, []) if one["title"] == "2D wiring"]
    assert "three equal images" in note["text"]
    assert "zigzag" not in note["text"]
    wired = (
        data.cells["wiring"].astype(object).where(data.cells["dataset"] != "isic2018", "patches")
    )
    other = dataclasses.replace(data, cells=data.cells.assign(wiring=wired))
    (note,) = [one for one in completeness.notices(other, []) if one["title"] == "2D wiring"]
    assert "Not so on ISIC 2018 (wiring: patches)" in note["text"]
    assert "zigzag" in note["text"]


def build(tmp_path: Path, made: Made, *, limits=(), **options) -> str:
    folder = synthetic.collect(tmp_path / "collected", made)
    analyse.write(
        folder, synthetic.claims(folder / "claims.yaml"), {"resamples": 200}, made.grid, limits
    )
    report.write(
        folder, tmp_path / "results", synthetic.cards(), {}, tmp_path / "page/index.html", **options
    )
    return (tmp_path / "page/index.html").read_text()


def test_the_page_parses_and_loads_nothing(tmp_path):
    text = build(tmp_path, Made())
    page = Page(text)
    assert len(page.ids) == len(set(page.ids))
    assert [one for one in page.loaded if not one.startswith(("data:", "#"))] == []
    style = "".join(re.findall(r"<style>(.*?)</style>", text, re.S))
    assert "url(" not in style
    assert "@import" not in style
    script = re.findall(r"<script>(.*?)</script>", text, re.S)[-1]
    assert not re.search(r"fetch\(|XMLHttpRequest|import\(|https?:", script)


def test_every_section_is_there_and_every_link_inside_ends_somewhere(tmp_path):
    page = Page(build(tmp_path, Made()))
    for key in (*(one for one, _ in report.SECTIONS), *Made().grid):
        assert key in page.ids
        assert f"#{key}" in page.links
    inside = {link[1:] for link in page.links if link.startswith("#")}
    assert inside <= set(page.ids)


@pytest.mark.extended
def test_every_gap_is_named_with_its_reason_and_markup_is_escaped(tmp_path):
    text = build(tmp_path, Made(states=GAPS))
    words = Page(text).words
    assert "15 of 18 cells done" in words
    for state in ("1 running", "1 failed", "1 missing"):
        assert state in words
    assert "MT-UNet + SALSTM 1 failed train: the loss is <nan> & more" in words
    assert "TransUNet + LSTMSA 0 running train: epoch 3/4" in words
    assert "U_Net & co plain 0 missing not started" in words
    assert "<nan>" not in text


def test_nothing_done_still_makes_a_page(tmp_path):
    states = {tuple(one.values()): ("missing", "not started") for one in Made().identities()}
    page = Page(build(tmp_path, Made(states=states)))
    assert "0 of 18 cells done" in page.words
    assert "No training has left a curve yet." in page.words
    assert "none compared" in page.words
    assert "No network has scores of plain and of a module yet." in page.words


@pytest.mark.extended
@pytest.mark.parametrize("phantoms", [[], ["acdc"]])
def test_phantoms_are_said_to_be_phantoms(tmp_path, phantoms):
    words = Page(build(tmp_path, Made(), phantoms=phantoms)).words
    assert ("The data of ACDC are phantoms" in words) == bool(phantoms)


@pytest.mark.extended
def test_the_2d_wiring_is_said_where_it_applies(tmp_path):
    sentence = "The paper's own 2D wiring is not public."
    assert sentence in Page(build(tmp_path, Made())).words
    other = Page(build(tmp_path / "b", Made(grid={"acdc": ("mtunet",)}))).words
    assert sentence not in other


@pytest.mark.extended
def test_one_seed_is_said(tmp_path):
    assert "One seed." in Page(build(tmp_path, Made(seeds=(3,)))).words
    assert "One seed." not in Page(build(tmp_path / "b", Made())).words


def test_tables_of_both_protocols_and_their_copies(tmp_path):
    text = build(tmp_path, Made())
    copies = json.loads(re.findall(r'id="texts">(.*?)</script>', text, re.S)[0])
    for key in ("acdc_paper", "acdc_strict", "acdc_paper_dice", "isic2018_strict", "acdc_cost"):
        assert f'<table id="{key}"' in text
        assert copies[key]["tex"].startswith("% needs")
    data = results.read(tmp_path / "collected")
    tidy = numbers.comparison(data, synthetic.cards(), "acdc", "paper", DECLARED)
    value = tidy.set_index(["baseline", "variant", "metric", "class"]).loc[
        ("transunet", "salstm", "dice", "mean"), "mean"
    ]
    assert repr(float(value * 100)) in copies["acdc_paper"]["csv"]
    assert f'data-value="{float(value * 100)!r}"' in text


def test_the_page_shows_what_rule_tables_wrote(tmp_path):
    """Not a number is made twice: what stands in the list of tables is what the page says."""
    folder = synthetic.collect(tmp_path / "collected", Made())
    printed.write(folder, synthetic.cards(), {}, tmp_path / "tables")
    path = tmp_path / "tables" / listing.NAME
    known = listing.read(tmp_path / "tables")["acdc"][0].rows[0].cells[0].text
    assert known in Page(_page(folder, tmp_path)).words
    path.write_text(path.read_text().replace(f'"text": "{known}"', '"text": "77.123"'))
    assert "77.123" in Page(_page(folder, tmp_path)).words


def _page(folder: Path, out: Path) -> str:
    report.write(folder, out, synthetic.cards(), {}, out / "index.html")
    return (out / "index.html").read_text()


def test_a_list_of_tables_is_read_as_it_was_written(tmp_path):
    folder = synthetic.collect(tmp_path / "collected", Made(states=GAPS, bounds=True))
    data = results.read(folder)
    tidy = numbers.comparison(data, synthetic.cards(), "acdc", "strict", DECLARED)
    made = {"acdc": printed.build(tidy, data, synthetic.cards())}
    write_json(tmp_path / listing.NAME, listing.plain(made))
    found = listing.read(tmp_path)["acdc"]
    assert listing.plain({"acdc": found}) == listing.plain(made)
    assert any(cell.value != cell.value for row in found[0].rows for cell in row.cells)
    with pytest.raises(FileNotFoundError, match="salstm tables --out"):
        listing.read(tmp_path / "nowhere")


def test_a_note_stands_once_and_is_linked_from_every_table_that_needs_it(tmp_path):
    text = build(tmp_path, Made())
    page = Page(text)
    notes = re.findall(r'<li id="note-(\d+)">(.*?)</li>', text, re.S)
    assert [int(number) for number, _ in notes] == list(range(1, len(notes) + 1))
    # Not even but for a number: what is a table's own stands at the table.
    assert len({re.sub(r"\d+", "#", words) for _, words in notes}) == len(notes)
    assert "values a metric undefined and left out" not in " ".join(words for _, words in notes)
    assert "values a metric undefined and left out" in text
    bold = next(number for number, words in notes if words == "Best in bold, second underlined.")
    assert page.links.count(f"#note-{bold}") > 4
    assert page.words.count("Best in bold, second underlined.") == 1


def judged(tmp_path: Path, made: Made) -> tuple[results.Collected, dict]:
    """What was collected and, by name, the two tables of ``claims``."""
    folder = synthetic.collect(tmp_path, made)
    analyse.write(folder, synthetic.claims(folder / "claims.yaml"), {"resamples": 200}, made.grid)
    tables = {name: results.judged(folder, name) for name in ("claims", "comparisons")}
    return results.read(folder), tables


def test_the_summary_counts_what_the_comparisons_found(tmp_path):
    data, tables = judged(tmp_path, Made(states=GAPS))
    table, units = tables["comparisons"], numbers.units(data, tables["comparisons"])
    heads, rows = verdict.summary(data, table, units)
    assert heads == ["Dice", "HD95"]
    assert [(row["dataset"], row["module"]) for row in rows[:3]] == [
        ("All datasets", "salstm"), ("All datasets", "lstmsa"), ("ACDC", "salstm"),
    ]  # fmt: skip
    for row, chosen in ((rows[0], table), (rows[2], table[table["dataset"] == "acdc"])):
        ours = chosen[(chosen["module"] == "salstm") & (chosen["metric"] == "dice")].dropna(
            subset="improvement"
        )
        found = row["metrics"][0]
        assert (found["compared"], found["better"]) == (
            len(ours), (ours["improvement"] > 0).sum(),
        )  # fmt: skip
        mean = f"{100 * ours['improvement'].mean():+.2f}".replace("-", "−")
        assert found["mean"].split(" ")[0] == mean
        assert found["p"] == f"{ours['p_holm'].min():.3f}"


def test_a_mean_over_different_units_is_not_given(tmp_path):
    data, tables = judged(tmp_path, Made())
    units = {"acdc": "mm", "isic2018": "pixel"}
    _, rows = verdict.summary(data, tables["comparisons"], units)
    assert rows[0]["metrics"][1]["mean"] == "–"
    assert rows[0]["metrics"][0]["mean"] != "–"
    assert "mm" in rows[2]["metrics"][1]["mean"]


def test_the_page_says_the_verdict_on_every_claim(tmp_path):
    words = Page(build(tmp_path, Made(), limits=["phantom data: acdc"])).words
    for module in ("SALSTM", "LSTMSA"):
        assert f"{module}: undecided (by Dice and HD95) Dice : mean gain" in words
    assert "What it cannot tell: whether a module helps in general" in words
    assert "Phantom data: acdc " in words
    assert "Missing for every undecided claim about accuracy: phantom data: acdc;" in words
    assert "The paper's claims : 0 supported , 2 contradicted , 4 undecided" in words


def test_a_page_without_claims_says_what_to_run(tmp_path):
    folder = synthetic.collect(tmp_path / "collected", Made())
    report.write(folder, tmp_path, synthetic.cards(), {}, tmp_path / "index.html")
    words = Page((tmp_path / "index.html").read_text()).words
    assert "Nothing is compared yet: run python -m salstm claims" in words


@pytest.mark.extended
def test_a_split_that_divides_groups_has_no_strict_numbers_and_the_page_says_why(tmp_path):
    place = tmp_path / "results/acdc"
    place.mkdir(parents=True)
    fact = "split,fact,value\nall,groups in more than one split,{}\n"
    (place / "audit.csv").write_text(fact.format(3))
    words = Page(build(tmp_path, Made(divided={"acdc": 3}))).words
    assert "Not strict. ACDC: strict is refused because the split divides 3 groups" in words
    assert "Left empty: strict is refused because the split divides 3 groups" in words
    assert "another name with datasets.acdc.split: {name: strict}" in words
    (place / "audit.csv").write_text(fact.format(0))
    assert "Not strict." not in Page(build(tmp_path, Made())).words


def test_a_single_dataset_keeps_the_whole_family(tmp_path):
    whole = Made()
    folder = synthetic.collect(tmp_path / "collected", Made(grid={"isic2018": ("unet",)}))
    analyse.write(folder, synthetic.claims(folder / "claims.yaml"), {"resamples": 200}, whole.grid)
    report.write(folder, tmp_path, synthetic.cards(), {}, tmp_path / "index.html")
    words = Page((tmp_path / "index.html").read_text()).words
    assert "for all 12 declared tests" in words
    assert "All datasets" not in words


def test_runs_tell_how_they_were_made(tmp_path):
    made = Made(grid={"acdc": ("mtunet",)}, variants=("plain",), seeds=(0,))
    facts = {
        "best": {"best_val": {"epoch": 3, "score": 0.5}},
        "command": "python -m salstm train --recipe '{\"a\":1}'",
        "data_manifest_sha256": "f" * 64,
        "device": {"type": "cuda", "name": "GPU X", "cuda": "13.0", "peak_memory_bytes": 2**31},
        "environment": {
            "commit": {"id": "0123456789abcdef", "changed": True},
            "host": "h",
            "packages": {},
        },
        "recipe": {"epochs": 7},
        "recipe_digest": "digest0",
        "seconds": 3725.0,
    }
    write_json(tmp_path / "collected/runs.json", {"acdc/mtunet/plain/seed0": facts})
    words = Page(build(tmp_path, made)).words
    for said in (
        "GPU X, CUDA 13.0, peak 2.0 GiB",
        "0123456789ab, changed files",
        "1:02:05 h",
        "digest0",
    ):
        assert said in words
    assert facts["command"] in words


def test_every_dataset_comes_with_its_licence_and_citation(tmp_path):
    terms = provenance.audit(tmp_path, "acdc")["terms"]
    assert terms["licence"] == "CC BY-NC-SA 4.0"
    assert "10.1109/TMI.2018.2837502" in terms["cite"]


def test_the_audit_marks_what_should_be_zero(tmp_path):
    place = tmp_path / "acdc"
    place.mkdir()
    (place / "audit.csv").write_text(
        "split,fact,value\ntrain,cases,1234\ntest,cases,2\nall,groups in more than one split,1\n"
        "test,frames repeated exactly in another split,0\n"
    )
    found = provenance.audit(tmp_path, "acdc")
    assert found["splits"] == ["train", "test", "all"]
    assert [(row["cells"], row["alarm"]) for row in found["rows"]] == [
        (["1,234", "2", ""], False),
        (["", "", "1"], True),
        (["", "0", ""], False),
    ]
    assert provenance.audit(tmp_path, "synapse")["rows"] == []


def test_durations():
    texts = [provenance.duration(value) for value in (None, float("nan"), 59.6, 3725)]
    assert texts == ["–", "–", "1:00 min", "1:02:05 h"]


def test_drawings_take_the_pages_colours_and_keep_their_ids_apart(tmp_path):
    from salstm.figures import curves

    data = results.read(synthetic.collect(tmp_path, Made()))
    for dataset in data.datasets:
        curves.draw(data, {}, dataset, tmp_path)
    inlined = [
        pictures.inline_svg(tmp_path / f"curves-{one}.svg", 'a "quoted" alt')
        for one in data.datasets
    ]
    page = Page("".join(inlined))
    assert len(page.ids) == len(set(page.ids))
    for text in inlined:
        assert "var(--salstm)" in text
        assert "currentColor" in text
        assert not re.search(r"#(1a1a1b|d55e00|ffffff)", text)
        assert "<metadata" not in text
        references = re.findall(r'(?:url\(#|href="#)([^)"]+)', text)
        assert references
        assert set(references) <= set(page.ids)


def test_pictures_are_reached_from_the_table(tmp_path):
    folder = tmp_path / "figures"
    folder.mkdir()
    (folder / "p.webp").write_bytes(b"RIFF")
    panel = {
        "variant": "salstm",
        "seed": 0,
        "role": "worst",
        "case": "004",
        "dice": None,
        "hd95": None,
    }
    panel |= {"slice": 2, "slices": 9, "file": "p.webp", "errors": "p.webp"}
    entry = {"kind": "cases", "dataset": "acdc", "baseline": "mtunet", "file": "cases-acdc-mtunet"}
    entry |= {"title": "t", "caption": "c", "classes": ["RV", "MYO", "LV"], "panels": [panel]}
    write_json(folder / "figures.json", {"figures": [entry]})
    text = build(tmp_path, Made(), figures=folder)
    page = Page(text)
    assert "#cases-acdc-mtunet-salstm" in page.links
    assert "cases-acdc-mtunet-salstm" in page.ids
    assert "data:image/webp;base64,UklGRg==" in page.loaded
    assert "worst , Dice undefined" in page.words


@pytest.mark.extended
def test_a_grid_without_modules_says_so(tmp_path):
    words = Page(build(tmp_path, Made(variants=("plain",)))).words
    assert "This grid holds no module beside the plain networks" in words


def test_curves_say_what_they_are_too_short_for():
    history = pd.DataFrame({"epoch": [1]})
    assert findings.curves(None, history.iloc[:0]) == ""
    assert findings.curves(None, history) == "One epoch a training: no curve"
    assert findings.curves(None, pd.DataFrame({"epoch": [1, 2]})) == ""
    drawn = {"flagged": [], "judged": 0}
    assert findings.curves(drawn, history).startswith("Trainings of under 4 epochs")
    assert findings.curves({**drawn, "judged": 1}, history).startswith("No training diverged")
    assert findings.curves({**drawn, "flagged": [1]}, history).startswith("1 training diverged")


@pytest.mark.extended
def test_one_epoch_is_said_in_the_figures_place(tmp_path):
    words = Page(build(tmp_path, Made(epochs=1))).words
    assert "One epoch a training: no curve." in words
    assert "No training diverged" not in words


def test_broad_drawings_are_told_apart():
    for width, broad in ((418, False), (600, True)):
        assert pictures.is_broad(f'<svg viewBox="0 0 {width}.5 200">') == broad
