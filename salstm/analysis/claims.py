"""The paper's claims as rows: evidence, interval, verdict, and what is missing for one.

A verdict is never more than the data allow: 'supported' and 'contradicted' need the conditions that
claims.yaml states; everything else is 'undecided', with the reasons.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from salstm import vocabulary
from salstm.analysis import comparisons, statistics
from salstm.analysis.comparisons import Family
from salstm.columns import COLUMNS
from salstm.data.datasets import DATASETS
from salstm.vocabulary import METRICS, PLAIN, VARIANTS

SUPPORTED, CONTRADICTED, UNDECIDED = "supported", "contradicted", "undecided"


@dataclass(frozen=True)
class Claim:
    """One sentence and how it is read.

    Attributes:
        id: short name.
        text: what is claimed.
        source: where.
        reading: the condition that is checked.
        kind: 'improves' (scores) or 'costs_no_more' (counts).
        modules: variants that it is about; each gets its own verdict.
        measures: metrics, or columns of the cost table.
        grid: dataset -> networks that it is about.
        against: variant that a cost is compared with.
        tolerance: relative excess that is still no extra cost.
    """

    id: str
    text: str
    source: str
    reading: str
    kind: str
    modules: Sequence[str]
    measures: Sequence[str]
    grid: Mapping[str, Sequence[str]]
    against: str = PLAIN
    tolerance: float = 0.0


@dataclass(frozen=True)
class Claims:
    """All claims, and how many seeds a verdict about accuracy needs."""

    seeds: int
    claims: Sequence[Claim]


def read(path: Path) -> Claims:
    """Read claims.yaml.

    Args:
        path: the file.

    Returns:
        The claims in the order of the file.

    Raises:
        ValueError: an unknown or missing key, or an unknown kind, variant, measure or dataset.
    """
    import yaml

    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    known = [field.name for field in fields(Claim)]
    claims = []
    for entry in content["claims"]:
        for key in entry:
            vocabulary.check(f"{path}: {entry.get('id')}: key", key, known)
        if missing := [name for name in known[:8] if name not in entry]:
            raise ValueError(f"{path}: {entry.get('id')}: {', '.join(missing)} missing")
        vocabulary.check(f"{path}: {entry['id']}: kind", entry["kind"], KINDS)
        claim = Claim(**entry)
        _check_names(claim, f"{path}: {claim.id}")
        claims.append(claim)
    return Claims(int(content["seeds"]), claims)


def _check_names(claim: Claim, subject: str) -> None:
    for module in (*claim.modules, claim.against):
        vocabulary.check(f"{subject}: variant", module, VARIANTS)
    for measure in claim.measures:
        vocabulary.check(f"{subject}: measure", measure, MEASURES[claim.kind])
    for dataset in claim.grid:
        vocabulary.check(f"{subject}: dataset", dataset, DATASETS)


def evaluate(
    claims: Claims,
    scores: pd.DataFrame,
    cost: pd.DataFrame,
    family: Family,
    generator: np.random.Generator,
    *,
    limits: Sequence[str] = (),
) -> pd.DataFrame:
    """Judge every claim for each of its modules and measures.

    Tests are adjusted over the declared family on the whole grid of the claims (every network that
    any claim names, run or not), so that a partial run cannot be more certain than a whole one.

    Args:
        claims: as from `read`.
        scores: collected raw rows.
        cost: collected rows with dataset, baseline, variant and the counted columns.
        family: the declared tests.
        generator: source of chance.
        limits: why this run cannot decide about accuracy, whatever it finds: phantom data, a
            recipe with fewer epochs.

    Returns:
        One row, with the columns of claims.csv, per claim, module and measure. `estimate` with `low` and `high` is the
        mean improvement over the networks with its interval, or the median ratio of the costs with
        the smallest and largest.
    """
    grid: dict[str, list[str]] = {}
    for claim in claims.claims:
        for dataset, baselines in claim.grid.items():
            networks = grid.setdefault(dataset, [])
            networks.extend(name for name in baselines if name not in networks)
    compared = comparisons.compare(scores, grid, family, generator)
    data = _Data(compared, cost, family, generator, claims.seeds, limits)
    rows = [
        {
            "claim": claim.id,
            "module": module,
            "measure": measure,
            **KINDS[claim.kind](claim, module, measure, data),
            "text": claim.text,
            "reading": claim.reading,
            "source": claim.source,
        }
        for claim in claims.claims
        for module in claim.modules
        for measure in claim.measures
    ]
    return pd.DataFrame(rows, columns=list(COLUMNS["claims"]))


@dataclass(frozen=True)
class _Data:
    """What all claims are judged by."""

    comparisons: pd.DataFrame
    cost: pd.DataFrame
    family: Family
    generator: np.random.Generator
    seeds: int
    limits: Sequence[str]


def _improves(claim: Claim, module: str, measure: str, data: _Data) -> dict[str, Any]:
    """Every network clearly better: supported. One clearly worse: contradicted."""
    table = data.comparisons.set_index(["dataset", "baseline", "module", "metric"])
    keys = [(*cell, module, measure) for cell in _cells(claim)]
    known = [key for key in keys if key in table.index]
    rows = table.loc[known].to_dict("records")
    done = [row for row in rows if not row["reason"]]
    level = 1 - data.family.level
    clear = [row for row in done if row["p_holm"] <= level and row["seeds"] >= data.seeds]
    better = sum(row["improvement"] > 0 for row in clear)
    worse = sum(row["improvement"] < 0 for row in clear)
    missing = [*data.limits, *_gaps(keys, known, table)]
    if few := sum(row["seeds"] < data.seeds for row in done):
        missing.append(f"{few} of {len(done)} comparisons have fewer than {data.seeds} seeds")
    if hidden := sum(row["smallest_p"] * len(data.comparisons) > level for row in done):
        missing.append(f"{hidden} have too few groups to be clear in a family of {len(table)}")
    if unclear := len(done) - better - worse:
        missing.append(f"{unclear} of {len(done)} are neither clearly better nor clearly worse")
    verdict = UNDECIDED
    if worse and not data.limits:
        verdict = CONTRADICTED
    elif better == len(keys) and not data.limits:
        verdict = SUPPORTED
    gains = np.array([row["improvement"] for row in done], dtype=np.float64)
    groups = statistics.clusters(gains, np.arange(len(gains)))
    low, high = statistics.interval(
        groups,
        data.generator,
        method=data.family.method,
        level=data.family.level,
        resamples=data.family.resamples,
    )
    up = int(np.count_nonzero(gains > 0))
    return {
        "protocol": data.family.protocol,
        "verdict": verdict,
        "declared": len(keys),
        "done": len(done),
        "better": up,
        "clearly_better": better,
        "clearly_worse": worse,
        "estimate": groups.mean,
        "low": low,
        "high": high,
        "evidence": f"{up} of {len(done)} networks better, {better} clearly; {worse} clearly worse",
        "missing": "" if verdict != UNDECIDED else "; ".join(missing),
    }


def _costs(claim: Claim, module: str, measure: str, data: _Data) -> dict[str, Any]:
    """Every ratio within the tolerance: supported. One above it: contradicted. Counts are exact."""
    cells = _cells(claim)
    counts = {} if data.cost.empty else _by_cell(data.cost, measure)
    ratios = {
        cell: counts[(*cell, module)] / counts[(*cell, claim.against)]
        for cell in cells
        if (*cell, module) in counts and (*cell, claim.against) in counts
    }
    values = np.array(list(ratios.values()), dtype=np.float64)
    above = int(np.count_nonzero(values > 1 + claim.tolerance))
    verdict = CONTRADICTED if above else SUPPORTED if len(values) == len(cells) else UNDECIDED
    evidence = f"{len(values)} of {len(cells)} networks counted"
    if above:
        worst = max(ratios, key=lambda cell: ratios[cell])
        evidence += f", {above} cost more, {'/'.join(worst)} the most: {ratios[worst]:.3g} times"
    gaps = [cell for cell in cells if cell not in ratios]
    return {
        "protocol": "",
        "verdict": verdict,
        "declared": len(cells),
        "done": len(values),
        "better": int(np.count_nonzero(values <= 1 + claim.tolerance)),
        "clearly_better": len(values) - above,
        "clearly_worse": above,
        "estimate": float(np.median(values)) if len(values) else math.nan,
        "low": float(values.min()) if len(values) else math.nan,
        "high": float(values.max()) if len(values) else math.nan,
        "evidence": evidence,
        "missing": "" if verdict != UNDECIDED else _named("not counted", gaps),
    }


KINDS = {"improves": _improves, "costs_no_more": _costs}
MEASURES = {"improves": tuple(METRICS), "costs_no_more": COLUMNS["cost"]}
"""What each kind is measured by."""


def _cells(claim: Claim) -> list[tuple[str, str]]:
    return [(dataset, name) for dataset, names in claim.grid.items() for name in names]


def _by_cell(cost: pd.DataFrame, measure: str) -> dict[tuple[str, ...], float]:
    """Counted figures by dataset, network and variant; what is not counted is absent."""
    if measure not in cost.columns:
        return {}
    keys = zip(cost["dataset"], cost["baseline"], cost["variant"], strict=True)
    values = cost[measure].to_numpy(dtype=np.float64)
    return {key: value for key, value in zip(keys, values.tolist(), strict=True) if value > 0}


def _gaps(
    keys: Sequence[tuple[str, ...]], known: Sequence[tuple[str, ...]], table: pd.DataFrame
) -> list[str]:
    """Sentences about the comparisons that were not declared, or not run."""
    undeclared = [key[:2] for key in keys if key not in set(known)]
    reasons = {key: str(table["reason"][key]) for key in known}
    by_reason: dict[str, list[tuple[str, ...]]] = {}
    for key, reason in reasons.items():
        if reason:
            by_reason.setdefault(reason, []).append(key[:2])
    sentences = [_named(reason, cells) for reason, cells in sorted(by_reason.items())]
    return (
        [_named("not in the declared family", undeclared), *sentences] if undeclared else sentences
    )


def _named(what: str, cells: Sequence[tuple[str, ...]]) -> str:
    """'not counted: 7, acdc/merit, acdc/mtunet and 5 more'."""
    names = ["/".join(cell) for cell in cells]
    more = f" and {len(names) - 2} more" if len(names) > 2 else ""
    return f"{what}: {len(names)}, {', '.join(names[:2])}{more}"
