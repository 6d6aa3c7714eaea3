"""Halves of a grid, merged, are the grid; what does not belong together is refused by name."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pandas as pd
import pytest

from salstm.analysis import collect
from salstm.columns import COLLECTED, JUDGED
from salstm.files import read_csv, read_json, write_csv, write_json
from salstm.publication import merging, publishing, reanalysis
from salstm.publication.merging import ConflictError
from salstm.vocabulary import Identity
from tests import synthetic
from tests.publication import conftest
from tests.publication.conftest import nothing

PAPER = {"grid": conftest.GRID["grid"]}


def merged(found, tmp_path, duplicates="refuse", *, judged=False):
    result = merging.merge(found, duplicates, PAPER, tmp_path / "scratch")
    folder = tmp_path / "merged"
    folder.mkdir()
    publishing.lay_out(result, folder)
    if judged:
        return reanalysis.judge(folder)
    collect.collect(folder / "results/small", result.said["grid"], tmp_path / "collected")
    return tmp_path / "collected"


def is_first(one):
    return one.dataset == "acdc" or one.baseline == "resunet"


def halves(open_part):
    """Two machines' parts of the grid, which divide a dataset's networks between them."""

    def without(folder: Path, *names: str) -> None:
        for name in names:
            shutil.rmtree(folder / name)

    def first_half(folder: Path) -> None:
        without(folder, "isic2018/unet")
        # Alone the half stacks the modules of its own first network; one run stacks those of the whole grid's.
        conftest.stack(folder, Identity("isic2018", "resunet", "plain", 0))

    one = open_part(
        "one",
        is_first,
        first_half,
        grid={"grid": {"acdc": ["mtunet"], "isic2018": ["resunet"]}},
    )
    two = open_part(
        "two",
        lambda cell: not is_first(cell),
        lambda folder: without(folder, "isic2018/resunet", "acdc"),
        grid={"grid": {"isic2018": ["unet"]}},
    )
    return [one, two]


def test_two_halves_are_what_one_run_is(open_part, one_run, tmp_path):
    collected = merged(halves(open_part), tmp_path, judged=True)
    for name in (*COLLECTED, *JUDGED):
        assert (collected / f"{name}.csv").read_bytes() == (one_run / f"{name}.csv").read_bytes(), (
            name
        )


def reported(result, folder: Path) -> dict[str, bytes]:
    """Every file of results and report that is made of a publication."""
    folder.mkdir()
    publishing.lay_out(result, folder)
    reanalysis.reanalyze(folder, synthetic.cards())
    made = (path for part in ("results", "reports") for path in (folder / part).rglob("*"))
    return {str(path.relative_to(folder)): path.read_bytes() for path in made if path.is_file()}


@pytest.mark.extended
def test_the_report_of_two_halves_is_that_of_one_run(open_part, tmp_path):
    """Tables, figures, exports and page, byte for byte."""
    parts = merging.merge(halves(open_part)[::-1], "refuse", PAPER, tmp_path / "scratch")
    both = reported(parts, tmp_path / "both")
    whole = reported(open_part("whole"), tmp_path / "whole")
    assert both.keys() == whole.keys()
    assert [name for name in whole if both[name] != whole[name]] == []
    assert {"index.html", "figures.json", "means.json"} <= {Path(one).name for one in whole}


def test_seeds_of_two_machines_come_together(open_part, tmp_path):
    def slower(folder: Path) -> None:
        path = folder / "acdc/mtunet/cost.csv"
        write_csv(path, read_csv(path).assign(latency_seconds=99.0))

    one = open_part("one", lambda cell: cell.seed == 0, grid={"seeds": [0]})
    two = open_part("two", lambda cell: cell.seed == 1, slower, grid={"seeds": [1]})
    collected = merged([one, two], tmp_path)
    cells = pd.read_csv(collected / "cells.csv")
    assert set(cells["state"]) == {"done"}
    assert len(cells) == 12
    cost = pd.read_csv(collected / "cost.csv")
    assert 99 not in set(cost["latency_seconds"])  # of the first


@pytest.mark.extended
def test_variants_of_two_machines_come_together(open_part, tmp_path):
    one = open_part("one", lambda cell: cell.variant == "plain")
    two = open_part("two", lambda cell: cell.variant == "salstm")
    for part, kept in ((one, "plain"), (two, "salstm")):
        path = part.files["results/acdc/mtunet/cost.csv"]
        table = read_csv(path)
        write_csv(path, table[table["variant"].isin([kept])])
    collected = merged([two, one], tmp_path)
    cost = pd.read_csv(collected / "cost.csv").query("baseline == 'mtunet'")
    assert list(cost["variant"]) == ["plain", "salstm"]


@pytest.mark.extended
def test_what_both_have_alike_counts_once(open_part, tmp_path):
    collected = merged([open_part("one"), open_part("two")], tmp_path)
    assert len(pd.read_csv(collected / "cells.csv")) == 12


def edit(place: str, **values):
    """A change of a JSON file below a folder."""

    def change(folder: Path) -> None:
        write_json(folder / place, {**read_json(folder / place), **values})

    return change


CELL = "acdc/mtunet/plain/seed0"


def better(folder: Path) -> None:
    path = folder / CELL / "scores.csv"
    write_csv(path, read_csv(path).assign(dice=1.0))


@pytest.mark.parametrize(
    ("change", "keys", "message"),
    [
        (better, {}, r"acdc/mtunet/plain/seed0: .*small and .*two both have it, and it differs"),
        (edit(f"{CELL}/run.json", seconds=3.0), {}, "acdc/mtunet/plain/seed0: .* differs"),
        (edit(f"{CELL}/run.json", recipe_digest="ff"), {}, "recipe of acdc/mtunet/plain"),
        (
            edit("acdc/mtunet/salstm/seed1/run.json", recipe_digest="ff"),
            {},
            "recipe of acdc/mtunet/salstm",
        ),
        (edit(f"{CELL}/run.json", data_manifest_sha256="ff"), {}, "hash of the cases of acdc"),
        (edit("acdc/cases/manifest.json", source=1), {}, "hash of the cases of acdc"),
        (nothing, {"statistics": {"metrics": ["dice"]}}, "statistics"),
        (nothing, {"protocol": "1.1"}, "protocol: .*small has 1.0, .*small has 1.1"),
        (nothing, {"code": {"suite": "s2"}}, "code of the suite"),
        (
            nothing,
            {"code": {"suite": "s1", "networks": {"unet": "u2"}}},
            "code of the network unet",
        ),
    ],
)
def test_a_conflict_is_refused_by_name(change, keys, message, open_part, tmp_path):
    one, two = open_part("one"), open_part("two", change=change, **keys)
    with pytest.raises(ConflictError, match=message):
        merged([one, two], tmp_path)


def test_costs_that_were_counted_must_agree(open_part, tmp_path):
    def heavier(folder: Path) -> None:
        path = folder / "acdc/mtunet/cost.csv"
        write_csv(path, read_csv(path).assign(macs=1))

    with pytest.raises(ValueError, match=r"acdc/mtunet/cost.csv: macs of plain is"):
        merged([open_part("one"), open_part("two", change=heavier)], tmp_path)


@pytest.mark.parametrize(
    ("rule", "perfect"), [pytest.param("first", False, marks=pytest.mark.extended), ("last", True)]
)
def test_a_doubled_cell_is_taken_whole_from_whom_the_rule_names(rule, perfect, open_part, tmp_path):
    collected = merged([open_part("one"), open_part("two", change=better)], tmp_path, rule)
    scores = pd.read_csv(collected / "scores.csv")
    rows = scores.query("dataset == 'acdc' and variant == 'plain' and seed == 0")
    assert (set(rows["dice"]) == {1.0}) == perfect
    assert set(scores.drop(rows.index)["dice"]) != {1.0}


@pytest.mark.extended
def test_a_cell_that_one_has_begun_is_no_duplicate(open_part, tmp_path):
    def begun(folder: Path) -> None:
        (folder / CELL / "scores.csv").unlink()
        (folder / CELL / "logs").mkdir()
        (folder / CELL / "logs/train.log").write_text("epoch 1")

    collected = merged([open_part("one", change=begun), open_part("two")], tmp_path)
    assert set(pd.read_csv(collected / "cells.csv")["state"]) == {"done"}


def test_other_claims_are_refused(open_part, tmp_path):
    one, two = open_part("one"), open_part("two")
    other = tmp_path / "claims.yaml"
    other.write_text(json.dumps({"seeds": 5, "claims": []}))
    two = type(two)(two.origin, two.said, {**two.files, "claims.yaml": other})
    with pytest.raises(ConflictError, match=r"claims\.yaml"):
        merged([one, two], tmp_path)


def test_one_alone_and_an_unknown_rule_are_refused(open_part, tmp_path):
    one = open_part("one")
    with pytest.raises(ValueError, match="name two or more"):
        merging.merge([one], "refuse", PAPER, tmp_path)
    with pytest.raises(ValueError, match="Did you mean first"):
        merging.merge([one, one], "firs", PAPER, tmp_path)
