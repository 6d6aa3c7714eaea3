"""docs/fidelity.md leaves no difference unsaid: each row has a test that exists or a line of a card that does."""

from __future__ import annotations

import re
from pathlib import Path

import baselines
from salstm.vocabulary import SELECTIONS

ROOT = Path(__file__).parents[2]


def rows() -> list[tuple[str, str, str]]:
    text = (ROOT / "docs/fidelity.md").read_text(encoding="utf-8").split("## Steps and rates")[0]
    found = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("| ")]
    return [(row[0], row[1], row[2]) for row in found if row[1] in ("mended", "decided")]


def test_each_row_names_a_test_or_a_line_of_a_card():
    tests = "\n".join(
        path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("test_*.py")
    )
    assert len(rows()) > 30
    for difference, now, where in rows():
        if now == "mended":
            assert f"def {where.strip('`')}(" in tests, difference
            continue
        for line in where.split(", "):
            name, key = line.split(".")
            assert key in baselines.card(name)["decisions"], difference


def test_no_decision_of_a_card_is_left_out_of_the_page():
    shown = {line for _, now, where in rows() if now == "decided" for line in where.split(", ")}
    keys = {line.split(".")[1] for line in shown}
    for name in baselines.names():
        for key, entry in baselines.card(name)["decisions"].items():
            assert key in keys, f"{name}.{key}"
            assert set(entry) == {"difference", "reason", "effect"}


def test_every_card_says_its_authors_selection_scale_threshold_and_post_processing():
    for name in baselines.names():
        card = baselines.card(name)
        protocol = card["protocol"]
        assert set(protocol) == {"selection", "scale", "threshold", "postprocess"}
        assert set(protocol["selection"]) <= set(card["datasets"]), name
        assert set(protocol["selection"].values()) <= set(SELECTIONS)
        for row in card["published"]:
            if row["comparable"]:
                assert {"split", "selection", "grid"} <= set(row), name
                assert row["selection"] == protocol["selection"][row["dataset"]], name


def test_the_page_has_the_steps_of_the_facts():
    from tests.fidelity.facts import CELLS

    text = (ROOT / "docs/fidelity.md").read_text(encoding="utf-8")
    for (dataset, name), facts in CELLS.items():
        pattern = (
            rf"\| {dataset} \| [^|]*\b{name}\b[^|]* \| {facts.iterations:,} \| {facts.batch} \|"
        )
        assert re.search(pattern, text), (dataset, name)
