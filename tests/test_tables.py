"""The tables: numbers against independent code, text exactly, holes and gaps said aloud."""

from __future__ import annotations

import csv
import dataclasses
import math
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from salstm import tables
from salstm.analysis import analyse, results
from salstm.evaluation import conventions
from salstm.tables import cost, formats, gains, layout, numbers, published, sensitivity
from salstm.vocabulary import DECLARED, METRICS, PROTOCOLS
from tests import synthetic
from tests.synthetic import Made

GAPS = {
    ("acdc", "mtunet", "salstm", 1): ("failed", "train: the loss is nan"),
    ("acdc", "transunet", "lstmsa", 0): ("missing", "not started"),
    ("acdc", "transunet", "lstmsa", 1): ("missing", "not started"),
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return synthetic.collect(tmp_path / "collected")


@pytest.fixture
def data(folder: Path) -> results.Collected:
    return results.read(folder)


def comparison(data, dataset="acdc", protocol="strict"):
    return numbers.comparison(data, synthetic.cards(), dataset, protocol, DECLARED)


INNER = ("acdc", "cvc_clinicdb")
"""Scored without the first and last frame under the protocol of the paper."""


def counted(record: dict, protocol: str) -> dict:
    """A raw row as a protocol counts it, from docs/protocols.md, without the library's conventions."""
    found, wanted = record["prediction_voxels"] > 0, record["reference_voxels"] > 0
    if found and wanted:
        return record
    if protocol == "paper":
        return {**record, "dice": 1.0 if found else 0.0, "hd95": 0.0}
    if not found and not wanted:
        return {**record, "dice": np.nan, "hd95": np.nan}
    return {**record, "dice": 0.0, "hd95": record["diagonal"]}


def by_hand(folder: Path, row: dict) -> tuple[float, float]:
    """Mean and sd over seeds of one number, with plain loops over the file's rows."""
    scores: Any = pd.read_csv(folder / "scores.csv")
    paper = row["protocol"] == "paper"
    scope = ("inner" if row["dataset"] in INNER else "stored") if paper else "native"
    rows = scores[
        (scores["scope"] == scope) & (scores["selection"] == ("best_test" if paper else "best_val"))
    ]
    seeds = {}
    for raw in rows.to_dict("records"):
        if all(raw[key] == row[key] for key in ("dataset", "baseline", "variant")):
            record = counted(raw, row["protocol"])
            seeds.setdefault(record["seed"], {}).setdefault(record["class"], []).append(record)
    values = []
    for classes in seeds.values():
        means = {
            name: float(np.nanmean([one[row["metric"]] for one in records]))
            for name, records in classes.items()
        }
        wanted = list(means.values()) if row["class"] == "mean" else [means[row["class"]]]
        values.append(sum(wanted) / len(wanted))
    return sum(values) / len(values), float(np.std(values, ddof=1))


def test_fifty_random_cells_are_what_independent_code_finds(folder, data):
    frames = [comparison(data, name, protocol) for name in data.datasets for protocol in PROTOCOLS]
    rows = pd.concat(frames).to_dict("records")
    for row in random.Random(0).sample(rows, 50):
        assert (row["mean"], row["sd"]) == pytest.approx(by_hand(folder, row), rel=1e-12)


@pytest.fixture
def divided(tmp_path: Path) -> Path:
    return synthetic.collect(tmp_path / "divided", Made(divided={"acdc": 7}))


def test_the_strict_table_of_a_split_that_divides_groups_is_empty_and_says_why(divided, tmp_path):
    data = results.read(divided)
    tidy = comparison(data)
    assert tidy["mean"].isna().all()
    assert tidy["rank"].isna().all()
    [why] = set(tidy["refused"])
    assert "divides 7 groups" in why
    for table in tables.build(tidy, data, synthetic.cards()):
        assert table.notes[0] == f"Left empty: {why}."
    cells = [cell for row in layout.overview(tidy, data, {}).rows for cell in row.cells[:3]]
    assert {(cell.text, cell.title) for cell in cells} == {(layout.ABSENT, why)}
    tables.write(divided, synthetic.cards(), {}, tmp_path / "tables")
    assert "Left empty: strict is refused" in (tmp_path / "tables/acdc_strict.md").read_text()
    assert "Left empty" not in (tmp_path / "tables/acdc_paper.md").read_text()


def test_other_datasets_and_the_protocol_paper_do_not_change_by_it(divided, data):
    leaking = results.read(divided)
    for dataset, protocol in (("isic2018", "strict"), ("acdc", "paper")):
        one, other = (comparison(part, dataset, protocol) for part in (data, leaking))
        pd.testing.assert_frame_equal(one, other)


def test_nothing_is_compared_or_claimed_on_such_a_split(divided, tmp_path):
    analyse.write(
        divided, synthetic.claims(tmp_path / "claims.yaml"), {"resamples": 200}, Made().grid
    )
    rows = results.judged(divided, "comparisons")
    acdc = rows["dataset"] == "acdc"
    assert rows.loc[acdc, "difference"].isna().all()
    assert rows.loc[acdc, "reason"].str.contains("divides 7 groups").all()
    assert rows.loc[~acdc, "reason"].isna().all()
    claims = results.judged(divided, "claims")
    accuracy = claims[claims["claim"] == "better"]
    assert set(accuracy["verdict"]) == {"undecided"}


def test_means_are_those_of_the_conventions(data):
    table = comparison(data)
    scored: Any = conventions.average(
        conventions.under_protocol(data.of("acdc").scores, "strict"), DECLARED
    )
    expected = scored.groupby(["baseline", "variant"])["dice"].mean()
    means = table[(table["class"] == "mean") & (table["metric"] == "dice")]
    found = means.set_index(["baseline", "variant"])["mean"]
    pd.testing.assert_series_equal(found.sort_index(), expected, check_names=False)


def test_one_seed_has_no_spread(tmp_path):
    data = results.read(synthetic.collect(tmp_path, Made(seeds=(0,))))
    table = comparison(data)
    assert table["sd"].isna().all()
    main = tables.build(table, data, synthetic.cards())[0]
    assert all(cell.sd == "" for row in main.rows for cell in row.cells)
    assert "One seed: no spread." in main.notes[0]


def test_undefined_values_are_left_out_and_counted(data, folder):
    table = comparison(data, protocol="strict")
    one = table.set_index(["baseline", "variant", "metric", "class"]).loc[
        ("mtunet", "plain", "hd95", "RV")
    ]
    scores: Any = pd.read_csv(folder / "scores.csv")
    rows = scores[
        (scores["dataset"] == "acdc") & (scores["baseline"] == "mtunet") & (scores["variant"] == "plain")
        & (scores["selection"] == "best_val") & (scores["scope"] == "native") & (scores["class"] == "RV")
    ]  # fmt: skip
    predicted, referred = rows["prediction_voxels"] > 0, rows["reference_voxels"] > 0
    assert one["values"] == len(rows) == 12
    assert one["undefined"] == int((~predicted & ~referred).sum())
    assert one["missed"] == int((~predicted & referred).sum())
    assert one["invented"] == int((predicted & ~referred).sum())


def test_a_dataset_counts_its_holes_under_its_tables(data):
    table = comparison(data)
    means = (table["class"] == "mean") & (table["metric"] == "hd95")
    first = tables.build(table, data, synthetic.cards())[0].notes[0]
    assert "of 216 values a metric undefined and left out: none; structures missed: plain " in first
    table.loc[means, "undefined"] = 1
    overview, dice, hd95 = (one.notes[0] for one in tables.build(table, data, synthetic.cards()))
    assert f"undefined and left out: HD95 {means.sum()}; structures" in overview
    assert "left out: none. " in dice
    assert f"left out: HD95 {means.sum()}. " in hd95  # structures are counted in the overview alone


def test_best_and_second_are_of_the_right_direction(data):
    table = comparison(data)
    main = tables.build(table, data, synthetic.cards())[0]
    means = table[table["class"] == "mean"]
    for metric, pick in (("dice", max), ("hd95", min)):
        values = means.loc[means["metric"] == metric, "mean"].tolist()
        heading = METRICS[metric].heading("mm")
        cells = [
            cell
            for row in main.rows
            for column, cell in zip(main.columns, row.cells, strict=True)
            if column.group == heading
        ]
        (best,) = [cell for cell in cells if cell.mark == "best"]
        (second,) = [cell for cell in cells if cell.mark == "second"]
        scale = METRICS[metric].scale
        assert best.value == pytest.approx(pick(values) * scale)
        values.remove(pick(values))
        assert second.value == pytest.approx(pick(values) * scale)


def test_published_numbers_compare_only_under_their_own_protocol(data):
    paper = comparison(data, protocol="paper").set_index(["baseline", "variant", "metric", "class"])
    row = paper.loc[("mtunet", "plain", "dice", "mean")]
    assert row["published"] == pytest.approx(0.9)
    # It was published with the last weights, whichever the protocol shows.
    assert row["comparable"]
    assert row["held"] != pytest.approx(row["mean"])
    assert row["difference"] == pytest.approx(row["held"] - 0.9)
    last = data.scores[data.scores["selection"] == "last"].assign(selection="best_test")
    alone = dataclasses.replace(data, scores=last)
    again = comparison(alone, protocol="paper").set_index(
        ["baseline", "variant", "metric", "class"]
    )
    assert row["held"] == pytest.approx(again.loc[("mtunet", "plain", "dice", "mean"), "mean"])
    assert "this run's weights last, on the same split (paper) and grid (native)" in row["why"]
    assert math.isnan(paper.loc[("mtunet", "plain", "hd95", "mean"), "difference"])
    assert paper.loc[("mtunet", "plain", "dice", "MYO"), "published"] == pytest.approx(0.89)
    assert not paper.loc[("mtunet", "plain", "hd95", "mean"), "comparable"]
    assert math.isnan(paper.loc[("mtunet", "salstm", "dice", "mean"), "published"])
    strict = comparison(data).set_index(["baseline", "variant", "metric", "class"])
    assert not strict.loc[("mtunet", "plain", "dice", "mean"), "comparable"]


@pytest.mark.parametrize(
    ("column", "value", "why"),
    [
        ("split", "strict", "published on split paper, this run's is strict"),
        ("grid", "resized", "published on a native grid, this run's is resized"),
        ("split", None, "published on split paper, this run's is not recorded"),
    ],
)
def test_a_published_number_is_not_held_against_a_run_of_another_split_or_grid(
    data, column, value, why
):
    other = dataclasses.replace(data, cells=data.cells.assign(**{column: value}))
    paper = comparison(other, protocol="paper").set_index(
        ["baseline", "variant", "metric", "class"]
    )
    row = paper.loc[("mtunet", "plain", "dice", "mean")]
    assert row["published"] == pytest.approx(0.9)
    assert not row["comparable"]
    assert math.isnan(row["difference"])
    assert row["why"].startswith(why)


def test_of_several_published_numbers_a_comparable_one_counts():
    def row(value, comparable):
        return {"dataset": "acdc", "metric": "dice", "value": value, "unit": "percent"} | {
            "comparable": comparable
        }

    def found(rows):
        return (published.find({"published": rows}, "acdc", "dice", "plain") or {})["value"]

    card = {"published": [row(80, False), row(81, False), row(82, True)]}
    assert found(card["published"]) == pytest.approx(0.82)
    assert found(card["published"][:2]) == pytest.approx(0.80)
    assert published.find(card, "acdc", "dice", "salstm") is None
    assert published.find(card, "synapse", "dice", "plain") is None


def table(**changes) -> layout.Table:
    cells = (
        layout.Cell("91.23", 91.234, "0.41", "best"),
        layout.Cell("90.00†", 90.0, mark="second"),
        layout.Cell("88.00*", 88.0),
        layout.Cell("−1.50", -1.5),
    )
    columns = [
        layout.Column("Dice [%]", name) for name in ("plain", "SALSTM", "published", "diff.")
    ]
    rows = (layout.Row(("U_Net & co",), cells), layout.Row(("B|C",), (layout.Cell("–"),) * 4))
    return layout.Table("acdc_paper", "ACDC", ("Network",), tuple(columns), rows, ("n = 6 *",))


def test_markdown_text():
    assert formats.markdown(table()) == (
        "### ACDC\n\n"
        "| Network | Dice [%] plain | Dice [%] SALSTM | Dice [%] published | Dice [%] diff. |\n"
        "| --- | ---: | ---: | ---: | ---: |\n"
        "| U_Net & co | **91.23** ± 0.41 | <ins>90.00†</ins> | 88.00\\* | −1.50 |\n"
        "| B\\|C | – | – | – | – |\n\n"
        "- n = 6 \\*\n"
    )


def test_latex_text():
    assert formats.latex(table()) == (
        "% needs \\usepackage{booktabs,graphicx}\n"
        "\\begin{table*}[t]\n"
        "\\centering\n"
        "\\caption{ACDC}\n"
        "\\label{tab:acdc-paper}\n"
        "\\resizebox{\\ifdim\\width>\\textwidth\\textwidth\\else\\width\\fi}{!}{%\n"
        "\\begin{tabular}{lrrrr}\n"
        "\\toprule\n"
        "& \\multicolumn{4}{c}{Dice [\\%]} \\\\\n"
        "\\cmidrule(lr){2-5}\n"
        "Network & plain & SALSTM & published & diff. \\\\\n"
        "\\midrule\n"
        "U\\_Net \\& co & \\textbf{91.23}\\,{\\scriptsize$\\pm$0.41} & \\underline{90.00$^{\\dagger}$}"
        " & 88.00$^{*}$ & $-$1.50 \\\\\n"
        "B|C & -- & -- & -- & -- \\\\\n"
        "\\bottomrule\n"
        "\\end{tabular}}\\\\[1ex]\n"
        "\\parbox{\\textwidth}{\\scriptsize n = 6 $^{*}$}\n"
        "\\end{table*}\n"
    )


def test_wide_latex_tables_are_cut_between_groups():
    narrow = table()
    groups = [layout.Column(name, str(at)) for name in "abc" for at in range(4)]
    cells = tuple(layout.Cell(f"{at}.5", at + 0.5) for at in range(12))
    row = layout.Row(("net",), cells)
    text = formats.latex(dataclasses.replace(narrow, columns=tuple(groups), rows=(row,)))
    assert text.count("begin{tabular}{lrrrrrrrr}") == text.count("begin{tabular}{lrrrr}") == 1
    assert [f"{at}.5" in text for at in range(12)] == [True] * 12
    assert text.count("net & ") == 2
    assert text.index("7.5") < text.index("end{tabular}") < text.index("8.5")


def test_csv_has_full_precision_and_empty_holes():
    assert formats.csv(table()) == (
        "Network,Dice [%] plain,Dice [%] SALSTM,Dice [%] published,Dice [%] diff.\n"
        "U_Net & co,91.234,90.0,88.0,-1.5\n"
        "B|C,,,,\n"
    )


def test_numbers_round_once_and_have_a_true_minus():
    assert [layout.number(value) for value in (0.125, 2.675, math.nan)] == ["0.12", "2.67", "–"]
    assert layout.number(-1.234, signed=True) == "−1.23"
    assert layout.number(0.5, 1, signed=True) == "+0.5"


def test_gaps_keep_their_place_and_say_why(tmp_path):
    data = results.read(synthetic.collect(tmp_path, Made(states=GAPS)))
    main = tables.build(comparison(data), data, synthetic.cards())[0]
    assert [row.labels for row in main.rows] == [("MT-UNet‡",), ("TransUNet",)]
    missing = main.rows[1].cells[2]
    assert missing.text == "–"
    assert missing.title == "seed 0 missing: not started; seed 1 missing: not started"
    fewer = main.rows[0].cells[1]
    assert fewer.text.endswith("†")
    assert any(note.startswith("†") for note in main.notes)


def test_nothing_done_still_makes_every_file(tmp_path):
    made = Made()
    states = {tuple(one.values()): ("missing", "not started") for one in made.identities()}
    folder = synthetic.collect(tmp_path / "collected", Made(states=states))
    tables.write(folder, synthetic.cards(), {}, tmp_path / "tables")
    tidy: Any = pd.read_csv(tmp_path / "tables/acdc_strict.csv")
    assert tidy["mean"].isna().all()
    assert (tidy["seeds"] == 0).all()
    assert "MT-UNet" in (tmp_path / "tables/acdc_strict.md").read_text()


def test_files_hold_tidy_numbers_in_full_precision(folder, tmp_path, data):
    tables.write(folder, synthetic.cards(), {}, tmp_path)
    names = {path.name for path in tmp_path.iterdir()} - {"collected"}
    stems = {
        f"{one}_{protocol}" for one in ("acdc", "isic2018") for protocol in ("paper", "strict")
    }
    stems |= {
        f"{one}_{name}" for one in ("acdc", "isic2018") for name in ("ranks", "selection", "cost")
    }
    stems.add("acdc_sparsity")
    files = {f"{stem}.{suffix}" for stem in stems for suffix in ("csv", "md", "tex")}
    assert names == {*files, "tables.json"}
    with (tmp_path / "acdc_paper.csv").open(newline="") as file:
        read = [float(row["mean"]) for row in csv.DictReader(file)]
    assert read == comparison(data, protocol="paper")["mean"].tolist()
    again = (tmp_path / "acdc_paper.tex").read_bytes()
    tables.write(folder, synthetic.cards(), {}, tmp_path)
    assert (tmp_path / "acdc_paper.tex").read_bytes() == again


def test_after_the_claims_every_table_of_the_report_is_a_file(folder, tmp_path, data):
    claims = synthetic.claims(folder / "claims.yaml")
    analyse.write(folder, claims, {"resamples": 200}, synthetic.GRID)
    tables.write(folder, synthetic.cards(), {}, tmp_path / "tables")
    written = {path.stem for path in (tmp_path / "tables").glob("acdc_*.csv")}
    names = ("paper", "strict", "gains-dice", "gains-hd95", "ranking", "ranks", "selection", "cost")
    assert written == {f"acdc_{name}" for name in (*names, "sparsity")}
    found: Any = pd.read_csv(tmp_path / "tables/acdc_gains-dice.csv")
    declared = results.judged(folder, "comparisons")
    ours = declared[(declared["dataset"] == "acdc") & (declared["metric"] == "dice")]
    assert found["Dice [%] gain"].tolist() == pytest.approx((100 * ours["improvement"]).tolist())


def test_one_class_needs_no_table_by_class(data):
    assert len(tables.build(comparison(data), data, synthetic.cards())) == 3
    assert len(tables.build(comparison(data, "isic2018"), data, synthetic.cards())) == 1


def test_by_class_has_the_published_row_below_its_network(data):
    by_class = tables.build(comparison(data, protocol="paper"), data, synthetic.cards())[1]
    labels = [row.labels for row in by_class.rows]
    assert labels[:4] == [
        ("MT-UNet‡", "plain"),
        ("MT-UNet‡", "+ SALSTM"),
        ("MT-UNet‡", "+ LSTMSA"),
        ("MT-UNet", "plain, published"),
    ]
    assert [cell.text for cell in by_class.rows[3].cells] == ["88.00", "89.00", "–", "90.00"]


def test_networks_trained_from_scratch_are_marked_and_the_note_says_why(data):
    for table in tables.build(comparison(data), data, synthetic.cards()):
        names = {row.labels[0] for row in table.rows if row.labels[-1] != "plain, published"}
        assert names == {"MT-UNet‡", "TransUNet"}
        assert any("The authors of MT-UNet start from a pretrained" in one for one in table.notes)
    main = tables.build(comparison(data), data, synthetic.cards())[0]
    assert r"MT-UNet$^{\ddagger}$" in formats.latex(main)
    pretrained = replace(data, cells=data.cells.assign(pretrained=True))
    for table in tables.build(comparison(data), pretrained, synthetic.cards()):
        assert not any("‡" in text for row in table.rows for text in (*row.labels, *table.notes))


def test_cost_counts_and_multiples(data):
    made = cost.build(data, synthetic.cards(), "acdc")
    assert [(column.group, column.name) for column in made.columns] == [
        ("Parameters", "M"), ("Parameters", "×"), ("Multiply-adds", "G"), ("Multiply-adds", "×"),
        ("Latency", "ms"), ("Latency", "×"), ("Training", "min"), ("Training", "×"),
    ]  # fmt: skip
    assert made.rows[0].cells[6].text == "0.21"  # 12.5 seconds
    hours = replace(data, cells=data.cells.assign(seconds=5400.0))
    made = cost.build(hours, synthetic.cards(), "acdc")
    assert made.columns[6].name == "h"
    assert made.rows[0].cells[6].text == "1.50"
    assert [cell.text for cell in made.rows[1].cells[:4]] == ["9.40", "1.21", "24.21", "2.00"]


def test_energy_and_memory_of_training_are_shown_where_they_were_measured(data):
    joules = data.cells["variant"].map({"plain": 3.6e6, "salstm": 9e6})  # LSTMSA: not told
    cells = data.cells.assign(joules=joules, training_bytes=2.0**31)
    made = cost.build(replace(data, cells=cells), synthetic.cards(), "acdc")
    assert [column.group for column in made.columns][-4:] == 2 * ["Training energy"] + 2 * [
        "Training memory"
    ]
    assert [cell.text for cell in made.rows[1].cells[-4:]] == ["2.500", "2.50", "2.00", "1.00"]
    assert [cell.text for cell in made.rows[2].cells[-4:-2]] == ["–", "–"]


def test_a_missing_file_says_what_to_run(tmp_path):
    with pytest.raises(
        FileNotFoundError, match=r"cells\.csv: no such file; run `python -m salstm collect"
    ):
        results.read(tmp_path)


def paired(scores: Any, key: tuple[str, str, str, str]) -> dict[str, Any]:
    """A comparison by plain loops: means by case over classes and seeds of module minus plain."""
    dataset, baseline, module, metric = key
    values: dict[str, dict] = {"plain": {}, module: {}}
    for row in scores.to_dict("records"):
        if (row["dataset"], row["baseline"]) == (dataset, baseline) and row["variant"] in values:
            one = (row["group"], row["case"], row["class"], row["seed"])
            values[row["variant"]][one] = row[metric]
    pairs: dict[tuple, dict] = {}
    for one in values["plain"].keys() & values[module].keys():
        change = values[module][one] - values["plain"][one]
        if not math.isnan(change):
            pairs.setdefault(one[:2], {}).setdefault(one[2], []).append(change)
    cases = {
        case: np.mean([np.mean(seeds) for seeds in classes.values()])
        for case, classes in pairs.items()
    }
    return {
        "gain": float(np.mean(list(cases.values()))) * (-1 if metric == "hd95" else 1),
        "cases": len(cases),
        "groups": len({group for group, _ in cases}),
        "pairs": sum(len(seeds) for one in pairs.values() for seeds in one.values()),
    }


def test_gains_are_what_independent_code_finds(folder):
    analyse.write(
        folder, synthetic.claims(folder / "claims.yaml"), {"resamples": 200}, synthetic.GRID
    )
    comparisons = results.judged(folder, "comparisons")
    raw: Any = pd.read_csv(folder / "scores.csv", dtype={"case": str, "group": str})
    native = raw[(raw["scope"] == "native") & (raw["selection"] == "best_val")]
    scores = conventions.penalty(native)
    assert len(comparisons) == 12
    for row in comparisons.to_dict("records"):
        key = (row["dataset"], row["baseline"], row["module"], row["metric"])
        expected = paired(scores, key)
        assert row["improvement"] == pytest.approx(expected["gain"], rel=1e-10)
        assert (row["cases"], row["groups"], row["family"]) == (
            expected["cases"], expected["groups"], 12,
        )  # fmt: skip
        table = gains.build(comparisons, synthetic.cards(), key[0], key[3], "mm")
        labels = (synthetic.cards()[key[1]]["title"], results.variant_name(key[2]))
        (shown,) = [one for one in table.rows if one.labels == labels]
        factor = 100 if key[3] == "dice" else 1
        values = {
            column.name: cell for column, cell in zip(table.columns, shown.cells, strict=True)
        }
        assert values["gain"].value == pytest.approx(expected["gain"] * factor, rel=1e-10)
        assert values["from"].value <= values["gain"].value <= values["to"].value
        assert values["p (Holm)"].value >= values["p"].value


def test_holm_is_over_the_whole_grid_run_or_not(tmp_path):
    part = synthetic.collect(tmp_path, Made(grid={"isic2018": ("unet",)}))
    analyse.write(part, synthetic.claims(part / "claims.yaml"), {"resamples": 200}, synthetic.GRID)
    whole = results.judged(part, "comparisons")
    assert len(whole) == 12
    smallest = whole.loc[whole["p"].idxmin()]
    assert smallest["p_holm"] == pytest.approx(min(1, 12 * smallest["p"]))
    assert whole.loc[whole["dataset"] == "acdc", "reason"].str.startswith("no scores").all()


def test_ranks_and_optimism_are_what_independent_code_finds(folder, data):
    raw: Any = pd.read_csv(folder / "scores.csv", dtype={"case": str})
    rows = conventions.penalty(raw[(raw["dataset"] == "acdc") & (raw["scope"] == "native")])
    keys = ["baseline", "variant", "seed", "selection"]
    classes: Any = rows.groupby([*keys, "class"])["dice"].mean()
    means: Any = classes.groupby(keys).mean()
    means = means.groupby(["baseline", "variant", "selection"]).mean().unstack()
    table = sensitivity.by_convention(data, synthetic.cards(), "acdc", DECLARED)
    names = [f"{column.group} {column.name}" for column in table.columns]
    expected = means["best_val"].rank(ascending=False)
    found = {row.labels: row.cells[names.index("Dice, rank penalty")].value for row in table.rows}
    chosen = sensitivity.by_selection(data, synthetic.cards(), "acdc", DECLARED)
    gained = {row.labels: row.cells[3].value for row in chosen.rows}
    for (baseline, variant), rank in expected.items():
        labels = (synthetic.cards()[baseline]["title"], results.variant_name(variant))
        assert found[labels] == rank
        best = means.loc[(baseline, variant)]
        assert gained[labels] == pytest.approx(100 * (best["best_test"] - best["best_val"]))
    assert "Dice moves" in sensitivity.moved(table)
    assert "choosing on the test set moves Dice [%] by" in sensitivity.optimistic(chosen)


def test_ranks_of_nothing(tmp_path):
    states = {tuple(one.values()): ("missing", "not started") for one in Made().identities()}
    data = results.read(synthetic.collect(tmp_path, Made(states=states)))
    for make, said in (
        (sensitivity.by_convention, sensitivity.moved),
        (sensitivity.by_selection, sensitivity.optimistic),
    ):
        table = make(data, synthetic.cards(), "acdc", DECLARED)
        assert said(table) == ""
        assert all(cell.text == "–" for row in table.rows for cell in row.cells)


@pytest.fixture
def bounded(tmp_path) -> results.Collected:
    return results.read(synthetic.collect(tmp_path / "bounded", Made(bounds=True)))


def test_the_last_rows_are_no_networks_and_change_no_other(bounded, data):
    for dataset, protocol in (("acdc", "strict"), ("acdc", "paper"), ("isic2018", "strict")):
        with_bounds, without = (
            tables.build(comparison(one, dataset, protocol), one, synthetic.cards())
            for one in (bounded, data)
        )
        for table, before in zip(with_bounds, without, strict=True):
            assert repr(table.rows[: len(before.rows)]) == repr(before.rows)  # NaN is not itself
            labels = [row.labels[0] for row in table.rows[len(before.rows) :]]
            assert labels == ["oracle", "two annotations, n = 1 patient", "empty"]
            assert not any(cell.mark for row in table.rows[-3:] for cell in row.cells)
            assert all(len(row.cells) == len(table.columns) for row in table.rows)
            assert any("take part in no rank" in note for note in table.notes)
            assert table.title == before.title
    pd.testing.assert_frame_equal(comparison(bounded), comparison(data))


def test_a_bound_is_scored_under_the_protocols_convention(bounded):
    def empty(protocol: str) -> list[str]:
        table = tables.build(comparison(bounded, protocol=protocol), bounded, synthetic.cards())[0]
        return [cell.text for cell in table.rows[-1].cells if cell.text]

    # Everything is missed: HD95 is the diagonal in strict, 0 in the family's code.
    assert empty("strict") == ["0.00", "100.00"]
    assert empty("paper") == ["0.00", "0.00"]


def test_bounds_stand_in_the_first_column_of_each_metric_and_in_every_class(bounded):
    overview, dice, _ = tables.build(comparison(bounded), bounded, synthetic.cards())
    oracle = overview.rows[-3]
    places = [at for at, cell in enumerate(oracle.cells) if cell.text]
    groups = [column.group for column in overview.columns]
    assert places == [groups.index("Dice [%]"), groups.index("HD95 [mm]")]
    assert [cell.text for cell in oracle.cells if cell.text] == ["98.00", "1.00"]
    assert [cell.text for cell in dice.rows[-3].cells] == ["98.00"] * 4
    assert [cell.text for cell in dice.rows[-2].cells] == ["90.00"] * 4


def test_a_refused_dataset_has_no_bounds_in_strict(tmp_path):
    made = Made(bounds=True, divided={"acdc": 3})
    data = results.read(synthetic.collect(tmp_path / "divided", made))
    table = tables.build(comparison(data), data, synthetic.cards())[0]
    assert [row.labels[0] for row in table.rows] == ["MT-UNet‡", "TransUNet"]
