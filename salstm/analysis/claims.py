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
from salstm.analysis import comparisons, losses, statistics
from salstm.analysis.comparisons import BETTER, KEY, WORSE, Family
from salstm.analysis.results import Collected, Frame, dataset_name
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
        kind: 'improves' (scores), 'costs_no_more' (counts) or 'fits_better' (training losses).
        modules: variants that it is about; each gets its own verdict.
        measures: metrics, or columns of the cost table, or of history.csv.
        grid: dataset -> networks that it is about.
        against: variant that a cost or a loss is compared with.
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
    compared: pd.DataFrame,
    data: Collected,
    family: Family,
    generator: np.random.Generator,
    *,
    limits: Sequence[str] = (),
) -> pd.DataFrame:
    """Judge every claim for each of its modules and measures.

    Where the claims are about the networks of the configuration, its family is theirs. Where they are not, the claims
    have a family of their own, over every network that any of them names, run or not, so that a partial run cannot be
    more certain than a whole one.

    Args:
        claims: as from `read`.
        compared: as from `salstm.analysis.comparisons.compare`, of the configuration's grid.
        data: what was collected, for costs and training losses.
        family: the declared tests.
        generator: source of chance.
        limits: why this run cannot decide about accuracy, whatever it finds: phantom data, another recipe.

    Returns:
        One row, with the columns of claims.csv, per claim, module and measure. `estimate` with `low` and `high` is the
        mean improvement over the networks with its interval (NaN over distances of different units), or the median
        ratio of costs or losses with the smallest and largest. `family` is the number of tests that it was adjusted
        for.
    """
    table, own = _adjusted(claims, compared, family, limits)
    given = _Data(table, own, data, family, generator, claims.seeds, limits)
    rows = [
        {
            "claim": claim.id,
            "module": module,
            "measure": measure,
            **KINDS[claim.kind](claim, module, measure, given),
            "text": claim.text,
            "reading": claim.reading,
            "source": claim.source,
        }
        for claim in claims.claims
        for module in claim.modules
        for measure in claim.measures
    ]
    return pd.DataFrame(rows, columns=list(COLUMNS["claims"]))


def _adjusted(
    claims: Claims, compared: pd.DataFrame, family: Family, limits: Sequence[str]
) -> tuple[pd.DataFrame, bool]:
    """The comparisons of the claims' networks as one family, and whether it is not the configuration's."""
    cells = {
        cell: None for claim in claims.claims if claim.kind == "improves" for cell in _cells(claim)
    }
    keys = [
        (*cell, module, metric)
        for cell in cells
        for module in family.modules
        for metric in family.metrics
    ]
    known = compared.set_index(list(KEY))
    if set(keys) == set(known.index):
        return known, False
    table = known.reindex(
        pd.MultiIndex.from_tuples(keys, names=list(KEY)) if keys else known.index[:0]
    )
    absent = ~table.index.isin(known.index)
    counts = dict.fromkeys(("cases", "groups", "seeds", "unpaired", "pairs_left_out"), 0)
    table = table.fillna(counts)
    table = table.assign(reason=np.where(absent, "not in this run's grid", table["reason"]))
    judged = comparisons.judged(table, family.level, seeds=claims.seeds, limits=limits)
    return judged, True


@dataclass(frozen=True)
class _Data:
    """What all claims are judged by."""

    comparisons: pd.DataFrame
    own_family: bool
    collected: Collected
    family: Family
    generator: np.random.Generator
    seeds: int
    limits: Sequence[str]


def _improves(claim: Claim, module: str, measure: str, data: _Data) -> dict[str, Any]:
    """Every network clearly better: supported. One clearly worse: contradicted."""
    table = data.comparisons
    keys = [(*cell, module, measure) for cell in _cells(claim)]
    known = [key for key in keys if key in table.index]
    rows = table.loc[known].reset_index().to_dict("records")
    done = [row for row in rows if not row["reason"]]
    better = sum(row["verdict"] == BETTER for row in done)
    worse = sum(row["verdict"] == WORSE for row in done)
    verdict = CONTRADICTED if worse else SUPPORTED if better == len(keys) else UNDECIDED
    gains = np.array([row["improvement"] for row in done], dtype=np.float64)
    up = int(np.count_nonzero(gains > 0))
    missing = [*data.limits, *_gaps(keys, known, table), *_unsure(done, better + worse, data)]
    return {
        "protocol": data.family.protocol,
        "family": len(table),
        "own_family": data.own_family,
        "verdict": verdict,
        "declared": len(keys),
        "done": len(done),
        "better": up,
        "clearly_better": better,
        "clearly_worse": worse,
        **_mean(done, gains, measure, data),
        "evidence": f"{up} of {len(done)} networks better, {better} clearly; {worse} clearly worse",
        "missing": "" if verdict != UNDECIDED else "; ".join(missing),
    }


def _unsure(done: Sequence[Mapping[str, Any]], decided: int, data: _Data) -> list[str]:
    """Why comparisons that were made are not clear."""
    missing = []
    if few := sum(row["seeds"] < data.seeds for row in done):
        missing.append(f"{few} of {len(done)} comparisons have fewer than {data.seeds} seeds")
    if torn := [row for row in done if row["unpaired"]]:
        cases = sum(int(row["unpaired"]) for row in torn)
        missing.append(
            f"{len(torn)} of {len(done)} comparisons are not of the same cases ({cases} without a partner)"
        )
    if unclear := len(done) - decided:
        missing.append(f"{unclear} of {len(done)} are neither clearly better nor clearly worse")
        missing += _power(done)
    return missing


def _power(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """The smallest gain that would have been found, dataset by dataset."""
    gains: dict[str, list[float]] = {}
    for row in rows:
        if not math.isnan(row["detectable"]):
            gains.setdefault(row["dataset"], []).append(row["detectable"])
    if not gains:
        return []
    metric = METRICS[rows[0]["metric"]]
    units = {row["dataset"]: row["unit"] if metric.is_distance else "points" for row in rows}
    sizes = (
        f"{dataset_name(name)} {metric.scale * float(np.median(found)):.3g} {units[name]}"
        for name, found in gains.items()
    )
    return [
        f"undecided is not 'no effect': a gain is found in 4 of 5 studies from {', '.join(sizes)} on"
    ]


def _mean(
    done: Sequence[Mapping[str, Any]], gains: np.ndarray, measure: str, data: _Data
) -> dict[str, float]:
    """Mean gain over the networks with an interval; nothing where distances of different units would be added up."""
    if METRICS[measure].is_distance and len({row["unit"] for row in done}) > 1:
        return dict.fromkeys(("estimate", "low", "high"), math.nan)
    groups = statistics.clusters(gains, np.arange(len(gains)))
    options: dict[str, Any] = {"method": data.family.method, "level": data.family.level}
    options["resamples"] = data.family.resamples
    low, high = statistics.interval(groups, data.generator, **options)
    return {"estimate": groups.mean, "low": low, "high": high}


def _fits(claim: Claim, module: str, measure: str, data: _Data) -> dict[str, Any]:
    """Every network's training loss clearly lower at its end: supported. One clearly higher: contradicted."""
    table: Frame = losses.compare(data.collected.history, claim.grid, claim.modules, claim.against)
    table = table.assign(p_holm=statistics.holm(table["p"].to_numpy(dtype=np.float64)))
    rows = table[table["module"] == module].to_dict("records")
    rule: dict[str, Any] = {"seeds": data.seeds, "limits": data.limits}
    verdicts = [comparisons.clear(row, data.family.level, **rule) for row in rows]
    better, worse = verdicts.count(BETTER), verdicts.count(WORSE)
    done = [row for row in rows if not math.isnan(row["improvement"])]
    ratios = np.array([row["ratio"] for row in done], dtype=np.float64)
    lower = int(np.count_nonzero(ratios < 1))
    verdict = CONTRADICTED if worse else SUPPORTED if better == len(rows) else UNDECIDED
    gaps = [(row["dataset"], row["baseline"]) for row in rows if math.isnan(row["improvement"])]
    missing = [*data.limits] + [_named(f"no losses of {module} and {claim.against}", gaps)] * bool(
        gaps
    )
    missing += _unsure([{**row, "detectable": math.nan} for row in done], better + worse, data)
    return {
        "protocol": "",
        "family": len(table),
        "own_family": True,
        "verdict": verdict,
        "declared": len(rows),
        "done": len(done),
        "better": lower,
        "clearly_better": better,
        "clearly_worse": worse,
        **_range(ratios),
        "evidence": f"{lower} of {len(done)} networks lower, {better} clearly; {worse} clearly higher",
        "missing": "" if verdict != UNDECIDED else "; ".join(missing),
    }


def _range(ratios: np.ndarray) -> dict[str, float]:
    """Median, smallest and largest; NaN without any."""
    if not len(ratios):
        return dict.fromkeys(("estimate", "low", "high"), math.nan)
    return {"estimate": float(np.median(ratios)), "low": ratios.min(), "high": ratios.max()}


def _costs(claim: Claim, module: str, measure: str, data: _Data) -> dict[str, Any]:
    """Every ratio within the tolerance: supported. One above it: contradicted. Counts are exact."""
    cells = _cells(claim)
    cost = data.collected.cost
    counts = {} if cost.empty else _by_cell(cost, measure)
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
        "family": 0,
        "own_family": False,
        "verdict": verdict,
        "declared": len(cells),
        "done": len(values),
        "better": int(np.count_nonzero(values <= 1 + claim.tolerance)),
        "clearly_better": len(values) - above,
        "clearly_worse": above,
        **_range(values),
        "evidence": evidence,
        "missing": "" if verdict != UNDECIDED else _named("not counted", gaps),
    }


KINDS = {"improves": _improves, "costs_no_more": _costs, "fits_better": _fits}
MEASURES = {
    "improves": tuple(METRICS),
    "costs_no_more": COLUMNS["cost"],
    "fits_better": ("loss",),
}
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
