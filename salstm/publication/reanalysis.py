"""Every verdict, table and figure again, from the per-case scores of a publication alone."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from salstm import exports, figures, report, tables
from salstm.analysis import analyse, collect
from salstm.publication import description
from salstm.publication.members import CLAIMS, DESCRIPTION, RESULTS

log = logging.getLogger(__name__)


def judge(folder: Path) -> Path:
    """Collect the cells that ``lay_out`` has put into a folder, and judge the declared comparisons and claims.

    Args:
        folder: it; gets ``results/<name>/collected/<name>``.

    Returns:
        That folder, with the files of ``collect`` and ``claims``.
    """
    said = description.read(folder / DESCRIPTION)
    results = folder / RESULTS / said["name"]
    collected = results / "collected" / said["name"]
    collect.collect(results, {**said["grid"], "imported": said["imported"]}, collected)
    # The declared family is the grid's: what was imported is in no comparison that it would be corrected for.
    rules = (said["statistics"], said["grid"]["grid"], said["limits"])
    analyse.write(collected, folder / CLAIMS, *rules)
    return collected


def reanalyze(folder: Path, cards: Mapping[str, Any]) -> Path:
    """As ``judge``, and every table, figure and the page again.

    What needs more than scores is left out: pictures of cases.

    Args:
        folder: that ``lay_out`` has filled; gets ``reports/<name>`` as well.
        cards: of the networks that this checkout has, by name.

    Returns:
        The report's folder.
    """
    collected = judge(folder)
    said = description.read(folder / DESCRIPTION)
    results, shown = folder / RESULTS / said["name"], folder / "reports" / said["name"]
    statistics, phantoms = said["statistics"], said["phantoms"]
    tables.write(collected, cards, statistics, shown / "tables", phantoms)
    figures.write(collected, results, cards, statistics, shown / "figures", phantoms)
    exports.write(collected, results, statistics, shown / "data")
    report.write(collected, results, cards, statistics, shown, phantoms=phantoms)
    return shown
