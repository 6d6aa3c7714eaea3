"""The declared comparisons, the paper's claims, and how firm the order is, as tables beside what was collected."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from salstm import limits as limiting
from salstm.analysis import claims, comparisons, ranking, results
from salstm.analysis.comparisons import Family
from salstm.evaluation import conventions
from salstm.files import write_csv

log = logging.getLogger(__name__)
SEED = 20240
"""Of the bootstrap: the same scores give the same intervals."""


def write(
    folder: Path,
    claims_file: Path,
    statistics: Mapping[str, Any],
    grid: Mapping[str, Sequence[str]],
    limits: Sequence[str] = (),
) -> None:
    """Write ``comparisons.csv`` and ``claims.csv`` into the folder that ``collect`` wrote.

    And ``ranking.csv``, ``shares.csv`` and ``pairs.csv`` (``salstm.analysis.ranking``), which decide nothing.

    Args:
        folder: it; a part of the grid, or the whole.
        claims_file: claims.yaml.
        statistics: config's statistics: the declared family.
        grid: dataset -> networks of the whole grid. All of its comparisons are members of Holm's family, run or not,
            and of datasets that this folder leaves out, too.
        limits: why this run cannot decide about accuracy.
    """
    family = Family(**statistics)
    data = results.read(folder, family.named)
    limits = [*limits, *_of_the_data(data, limits)]
    said = claims.read(claims_file)
    rule: dict[str, Any] = {"seeds": said.seeds, "limits": limits}
    table = comparisons.compare(data.scores, grid, family, np.random.default_rng(SEED), **rule)
    facts = {"family": len(table), "level": family.level, "protocol": family.protocol}
    write_csv(folder / "comparisons.csv", table.assign(**facts))
    ranked = ranking.rank(
        conventions.under_protocol(data.scores, family.protocol),
        family.metrics,
        np.random.default_rng(SEED),
        level=family.level,
        resamples=family.resamples,
        **rule,
    )
    for name, frame in zip(("ranking", "shares", "pairs"), ranked, strict=True):
        write_csv(folder / f"{name}.csv", frame)
    judged = claims.evaluate(said, table, data, family, np.random.default_rng(SEED), limits=limits)
    write_csv(folder / "claims.csv", judged)
    counts = judged["verdict"].value_counts()
    log.info("claims: %s", ", ".join(f"{count} {name}" for name, count in counts.items()))


def _of_the_data(data: results.Collected, known: Sequence[str]) -> list[str]:
    """What the data themselves say against a verdict, also where the command was typed by hand."""
    made = data.cells.loc[data.cells["phantom"].astype(str) == "True", "dataset"]
    phantoms = [
        one
        for one in dict.fromkeys(made)
        if not any(one in said for said in known if said.startswith("phantom data"))
    ]
    fewer = (limiting.fewer_cases(data.of(one).scores, one) for one in data.datasets)
    return [limiting.phantom_data(phantoms)] * bool(phantoms) + [one for one in fewer if one]
