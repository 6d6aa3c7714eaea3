"""The figures: SVG and PNG for people's papers, small pictures for the report, and what each of them shows."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from salstm.analysis.comparisons import Family
from salstm.analysis.results import judged, read
from salstm.figures import (
    agreement,
    cases,
    curves,
    forest,
    pareto,
    ranking,
    sparsity,
    spread,
    subgroups,
)
from salstm.files import write_json
from salstm.tables import numbers

log = logging.getLogger(__name__)

LIST = "figures.json"
"""What the report reads: one entry a figure, with its title, caption and text alternative."""


def write(
    collected_in: Path,
    results: Path,
    cards: Mapping[str, Any],
    statistics: Mapping[str, Any],
    out: Path,
    phantoms: Collection[str] = (),
    *,
    pictures: bool = True,
) -> None:
    """Draw every figure of a grid into a folder, and list them in ``figures.json``.

    Args:
        collected_in: folder that ``collect`` wrote.
        results: results/<name>, for predictions and prepared cases.
        cards: by network.
        statistics: config's statistics; its metrics are shown.
        out: the folder of the figures.
        phantoms: datasets that are made up: nobody else has scored their cases.
        pictures: whether cases are shown; off where a report may be given away and its pictures may not.
    """
    family = Family(**statistics)
    data = read(collected_in, family.named)
    comparisons = judged(collected_in, "comparisons")
    ranked = {one: judged(collected_in, one) for one in ("ranking", "shares", "pairs")}
    units = numbers.units(data, comparisons)
    entries = []
    for dataset in data.datasets:
        drawn = [forest.draw(comparisons, units, cards, dataset, out)]
        drawn.append(ranking.draw(data, ranked, cards, dataset, out))
        drawn.append(spread.draw(data, cards, dataset, family.metrics, out))
        drawn.append(subgroups.draw(data, dataset, family.subgroups, family.metrics[0], out))
        kinds = (pareto, curves, sparsity)
        drawn += [kind.draw(data, cards, dataset, out) for kind in kinds]
        drawn.append(None if dataset in phantoms else agreement.draw(data, dataset, out))
        entries += [facts for facts in drawn if facts]
        entries += cases.draw(data, results, cards, dataset, out) if pictures else []
    write_json(out / LIST, {"figures": entries})
    log.info("%d figures in %s", len(entries), out)
