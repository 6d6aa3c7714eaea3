"""What `benchmarks.gpu_check` was asked for, and the page that says what it measured."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import baselines
from benchmarks.figures import ROOT
from salstm import config as configuration
from salstm.files import read_json, replacing


@dataclass(frozen=True)
class Asked:
    """What was asked for.

    Attributes:
        out: the folder.
        device: cuda or cpu.
        small: sizes that prove the parts and say nothing about speed.
        minutes: for everything.
        cases: prepared cases of ACDC; None trains nothing.
    """

    out: Path
    device: str
    small: bool
    minutes: float
    cases: Path | None


def page(asked: Asked, states: dict[str, str], about: dict[str, str]) -> None:
    """Write ``index.md`` from what is on disk.

    Args:
        asked: where, and for what.
        states: of each part, how it stands.
        about: of each part, what it measures.
    """
    lines = ["# What this GPU does here", "", *_facts(asked), "", *_meaning(asked), ""]
    for name, state in states.items():
        lines += [f"## {name}: {state}", "", about[name], ""]
        if name != "environment":
            lines += [*_markdown(_rows(asked, name)), ""]
    with replacing(asked.out / "index.md") as path:
        path.write_text("\n".join(lines), encoding="utf-8")


def paper() -> dict[str, Any]:
    """The paper's configuration."""
    return configuration.checked(configuration.load(ROOT / "config.yaml"), baselines.names())


def _facts(asked: Asked) -> list[str]:
    rows = _rows(asked, "environment")
    if not rows:
        return ["The environment is not known yet."]
    small = ["**At a small size: proves the parts, says nothing about speed.**", ""]
    text = ", ".join(f"{key} {value}" for key, value in rows[0].items() if value)
    return [*(small if asked.small else []), f"{text}."]


def _meaning(asked: Asked) -> list[str]:
    """The hours of `salstm plan` with what was measured so far."""
    from salstm.cost import estimate, plan

    settings = paper()
    cards = {name: baselines.card(name) for name in baselines.names()}
    here = estimate.Figures(asked.out / "probe.csv")
    stored = estimate.Figures(asked.out / "no-such-file.csv")
    nowhere = asked.out / "no-results"
    mine, theirs = (plan.plan(settings, cards, nowhere, one)[-1] for one in (here, stored))
    kind = "gpu" if asked.device == "cuda" else "cpu"
    if not mine.measured[kind]:
        return ["No cell of the plan is measured yet: what follows for its hours is not known."]
    return [
        f"**The plan: {mine.hours[kind]:,.0f} {kind.upper()}-hours for {mine.trainings:,} trainings**, "
        f"{mine.measured[kind]:,} of them by what was measured here, the rest at the stored speed; at the stored speed "
        f"alone {theirs.hours[kind]:,.0f}. To plan with these figures, copy `probe.csv` into the run's results: "
        f"`cp {asked.out.name}/probe.csv results/{settings['name']}/`, then `python -m salstm plan`.",
    ]


def _rows(asked: Asked, name: str) -> list[dict[str, Any]]:
    path = asked.out / f"{name}.json"
    return read_json(path) if path.is_file() else []


def _markdown(rows: list[dict[str, Any]]) -> list[str]:
    if not rows:
        return ["No rows."]
    names = list(dict.fromkeys(key for row in rows for key in row))
    lines = [f"| {' | '.join(names)} |", "|---" * len(names) + "|"]
    for row in rows:
        cells = (row.get(name, "") for name in names)
        texts = (f"{one:.4g}" if isinstance(one, float) else str(one) for one in cells)
        lines.append(f"| {' | '.join(texts)} |")
    return lines
