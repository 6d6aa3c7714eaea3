"""The figures: right cases, right outlines, the same bytes each time, and something for every gap."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from salstm import figures
from salstm.analysis import analyse
from salstm.analysis.results import judged, read
from salstm.figures import cases, curves, flags, forest, panels, pareto, spread, style
from salstm.vocabulary import DECLARED, VARIANTS
from tests import site, synthetic
from tests.synthetic import Made

ONE = Made(grid={"acdc": ("mtunet",)}, variants=("plain", "salstm"), seeds=(0,), epochs=3)
CARDS = synthetic.cards()


@pytest.fixture
def layout(tmp_path: Path, cases_folder: Path) -> list[Path]:
    """results/<name> with prepared phantoms and predictions of two cells, and what was collected."""
    results, folder = tmp_path / "results", tmp_path / "collected"
    site.predicted(synthetic.collect(folder, ONE), results, cases_folder, ONE)
    analyse.write(folder, synthetic.claims(folder / "claims.yaml"), {"resamples": 200}, ONE.grid)
    return [folder, results]


def size(path: Path) -> tuple[int, int]:
    with Image.open(path) as picture:
        return picture.size


def test_every_figure_is_there_and_listed(layout, tmp_path):
    out = tmp_path / "figures"
    figures.write(layout[0], layout[1], CARDS, {}, out)
    entries = json.loads((out / "figures.json").read_text())["figures"]
    assert [entry["kind"] for entry in entries] == [
        "forest", "ranking", "spread", "pareto", "curves", "sparsity", "agreement", "cases",
    ]  # fmt: skip
    assert entries[0]["file"] == "forest-acdc"
    for entry in entries:
        drawing = ET.parse(out / f"{entry['file']}.svg").getroot()
        assert drawing.tag.endswith("svg")
        said = [*drawing.itertext(), *(entry.get(one, "") for one in ("title", "caption", "alt"))]
        assert "MT-UNet" in " ".join(said)  # as tables print it
        assert "mtunet" not in " ".join(said)
        assert size(out / f"{entry['file']}.png")[0] > 400
    shown = [(one["variant"], one["role"]) for one in entries[-1]["panels"]]
    assert shown == [(variant, role) for variant in ONE.variants for role in cases.ROLES]
    for panel in entries[-1]["panels"]:
        assert min(size(out / panel["file"])) >= panels.SIDE
        assert size(out / panel["errors"]) == size(out / panel["file"])


@pytest.mark.extended
def test_the_same_results_give_the_same_bytes(layout, tmp_path):
    for name in ("one", "two"):
        figures.write(layout[0], layout[1], CARDS, {}, tmp_path / name)
    files = sorted(path.name for path in (tmp_path / "one").iterdir())
    assert len(files) == 8 * 2 + 2 * 8 + 1
    for name in files:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes(), (
            name
        )


def test_nothing_done_gives_an_empty_list(tmp_path):
    states = {tuple(one.values()): ("missing", "not started") for one in ONE.identities()}
    folder = synthetic.collect(tmp_path / "collected", replace(ONE, states=states))
    figures.write(folder, tmp_path, CARDS, {}, tmp_path / "figures")
    assert json.loads((tmp_path / "figures/figures.json").read_text()) == {"figures": []}


def test_a_cell_without_predictions_has_no_pictures(layout, tmp_path, caplog):
    folder, results = layout
    (results / "acdc/mtunet/salstm/seed0/predictions/best_val.npz").unlink()
    (entry,) = cases.draw(read(folder), results, CARDS, "acdc", tmp_path / "figures")
    assert {panel["variant"] for panel in entry["panels"]} == {"plain"}
    assert "no pictures of this cell" in caplog.text


def test_best_median_and_worst():
    frame = pd.DataFrame({"case": list("abcde"), "dice": [0.5, 0.9, np.nan, 0.1, 0.7]})
    chosen = cases.choose(frame)
    assert (chosen["best"], chosen["median"], chosen["worst"]) == ("b", "a", "d")
    assert chosen["fixed"] == cases.choose(frame.assign(dice=0.3).iloc[::-1])["fixed"]
    assert cases.choose(frame.assign(dice=np.nan)) == {}


def test_the_slice_with_the_most_wrong_pixels_is_shown():
    truth = np.zeros((3, 4, 4), np.uint8)
    truth[1, :2] = 1
    truth[2, :3] = 1
    prediction = truth.copy()
    prediction[1] = 0
    picture = panels.worst_slice(np.zeros((3, 4, 4)), truth, prediction)
    assert (picture.slice_number, picture.slices) == (2, 3)
    agreed = panels.worst_slice(np.zeros((3, 4, 4)), truth, truth)
    assert agreed.slice_number == 3  # none is wrong: the one with the most truth


def test_the_window_holds_every_structure():
    truth, prediction = np.zeros((2, 40, 60), np.uint8)
    truth[5:9, 50:59] = 1
    prediction[2, 45] = 2
    rows, columns = panels.window(truth, prediction)
    assert (truth[rows, columns] > 0).sum() == (truth > 0).sum()
    assert prediction[rows, columns].max() == 2
    assert rows.stop - rows.start == columns.stop - columns.start == 21
    everything = panels.window(np.zeros((40, 60)), np.zeros((40, 60)))
    assert everything == (slice(None), slice(None))


def test_structures_wider_than_the_frame_is_high_keep_the_whole_frame():
    truth = np.zeros((20, 60), np.uint8)
    truth[3, 2:58] = 1
    assert panels.window(truth, truth) == (slice(None), slice(None))


def test_outlines_lie_on_the_masks(monkeypatch):
    monkeypatch.setattr(panels, "SIDE", 12)
    monkeypatch.setattr(panels, "SMALLEST", 1.0)
    truth, prediction = np.zeros((2, 12, 12), np.uint8)
    truth[3:8, 3:8] = 1
    prediction[4:9, 3:8] = 2
    painted = panels.draw(panels.Picture(np.zeros((12, 12)), truth, prediction, 1, 1))
    white = (painted == 255).all(-1)
    line = (painted == panels.colour(2)).all(-1)
    assert white[
        2, 3:8
    ].all()  # the truth's rim: outside of it, where no prediction is drawn over it
    assert not white[3:8, 3:8].any()
    assert line[4, 3:8].all()  # the prediction's rim: inside of it
    assert line[8, 3:8].all()
    assert not line[5:8, 4:7].any()
    assert (painted[5, 5] == np.round(panels.FILL * panels.colour(1))).all()


def test_a_constant_image_is_black_and_colours_stay():
    zeros = np.zeros((4, 4), np.uint8)
    constant = panels.draw(panels.Picture(np.full((4, 4), 7.0), zeros, zeros, 1, 1))
    assert constant.shape == (320, 320, 3)
    assert constant.max() == 0
    red = np.zeros((4, 4, 3), np.uint8)
    red[..., 0] = 200
    assert (panels.draw(panels.Picture(red, zeros, zeros, 1, 1))[0, 0] == (200, 0, 0)).all()


def test_curves_are_drawn_for_what_has_run(tmp_path):
    states = {("acdc", "mtunet", "salstm", 0): ("failed", "broken")}
    data = read(synthetic.collect(tmp_path, replace(ONE, states=states)))
    facts = curves.draw(data, CARDS, "acdc", tmp_path)
    assert facts is not None
    assert facts["caption"].startswith("1 of 2 trainings")
    svg = (tmp_path / "curves-acdc.svg").read_text()
    assert style.colour("plain") in svg
    assert "MT-UNet" in svg
    assert "<dc:date>" not in svg


def test_one_epoch_is_no_curve_unless_it_went_wrong(tmp_path):
    data = read(synthetic.collect(tmp_path, replace(ONE, epochs=1)))
    assert curves.draw(data, CARDS, "acdc", tmp_path) is None
    history = data.history.copy()
    history.loc[0, "loss"] = np.nan
    facts = curves.draw(replace(data, history=history), CARDS, "acdc", tmp_path)
    assert facts is not None
    assert [one["training"] for one in facts["flagged"]] == ["MT-UNet plain, seed 0"]
    assert facts["judged"] == 0


def test_colours_are_told_apart_without_colour():
    """Lightness of any two variants that share a figure differs, or their dashes do."""

    def lightness(shade: str) -> float:
        red, green, blue = (int(shade[at : at + 2], 16) for at in (1, 3, 5))
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    looks = [(lightness(style.colour(one)), style.dashes(one)) for one in VARIANTS]
    for number, (light, line) in enumerate(looks):
        for other, dash in looks[:number]:
            assert abs(light - other) > 8 or line != dash


def test_errors_are_painted_by_kind(monkeypatch):
    monkeypatch.setattr(panels, "SIDE", 4)
    monkeypatch.setattr(panels, "SMALLEST", 1.0)
    truth, prediction = np.zeros((2, 4, 4), np.uint8)
    truth[0] = (1, 1, 0, 2)
    prediction[0] = (0, 1, 1, 1)
    painted = panels.errors(panels.Picture(np.zeros((4, 4)), truth, prediction, 1, 1))
    missed, invented, wrong = (
        [int(one[at : at + 2], 16) for at in (1, 3, 5)] for one in panels.ERRORS.values()
    )
    assert painted[0].tolist() == [missed, [0, 0, 0], invented, wrong]
    assert painted[1:].max() == 0


@pytest.mark.parametrize(
    ("loss", "dice", "why"),
    [
        ([1, 0.5, 0.4, 0.3], [0.1, 0.5, 0.6, 0.6], ""),
        (
            [1, 0.5, np.nan, 0.3],
            [0.1, 0.2, 0.3, 0.4],
            "diverged: the loss is not finite in epoch 3",
        ),
        ([1, 0.5, 2, 3], [0.1, 0.2, 0.3, 0.4], "diverged: the loss ends at 3, it began at 1"),
        ([1, 0.99, 0.995, 0.99], [0.1] * 4, "flat: the loss stays within 2 % of 1"),
        ([1, 0.5, 0.4, 0.3], [0.1, 0.8, np.nan, 0.3], "collapsed: validation Dice ends at 0.300"),
        ([1, 2, 3], [0.1, 0.0, 0.0], ""),
    ],
)
def test_curves_that_went_wrong_are_flagged(loss, dice, why):
    run = pd.DataFrame({"epoch": range(1, len(loss) + 1), "loss": loss, "val_dice": dice})
    found = flags.judge(run)
    assert found.startswith(why)
    assert bool(found) == bool(why)


def test_the_front_holds_what_nothing_cheaper_beats():
    table = pd.DataFrame({"macs": [3, 1, 2, 2, 5], "mean": [0.9, 0.5, 0.7, 0.6, 0.9]})
    assert pareto.front(table, "macs")["macs"].tolist() == [1, 2, 3]


def test_a_case_is_its_mean_over_classes_then_seeds():
    rows = pd.DataFrame(
        {
            "baseline": "unet", "variant": "plain", "case": "a", "seed": [0, 0, 1],
            "dice": [0.2, 0.4, 0.9], "hd95": [np.nan, 2.0, 4.0],
        }
    )  # fmt: skip
    (found,) = spread.per_case(rows, DECLARED).to_dict("records")
    assert (found["dice"], found["hd95"]) == pytest.approx((0.6, 3.0))


def test_gains_without_seeds_or_without_anything(tmp_path):
    folder = synthetic.collect(tmp_path, ONE)
    analyse.write(folder, synthetic.claims(folder / "claims.yaml"), {"resamples": 200}, ONE.grid)
    table = judged(folder, "comparisons")
    facts = forest.draw(table, {"acdc": "mm"}, CARDS, "acdc", tmp_path)
    assert facts is not None
    assert "whether the module helps cannot be said" in facts["caption"]
    assert "2 of 4 comparisons" in facts["caption"]
    assert (
        forest.draw(table.assign(improvement=np.nan), {"acdc": "mm"}, CARDS, "acdc", tmp_path)
        is None
    )


def test_an_interval_without_an_end_leaves_the_panel_readable(tmp_path):
    folder = synthetic.collect(tmp_path, ONE)
    analyse.write(folder, synthetic.claims(folder / "claims.yaml"), {"resamples": 200}, ONE.grid)
    table = judged(folder, "comparisons").assign(low=-np.inf, high=1e7)
    assert forest.draw(table, {"acdc": "mm"}, CARDS, "acdc", tmp_path)
    assert "1e7" not in (tmp_path / "forest-acdc.svg").read_text()
