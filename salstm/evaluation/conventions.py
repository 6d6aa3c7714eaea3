"""What an undefined score counts as: named rules over the raw rows of `salstm.evaluation.scoring`.

Raw rows leave a metric NaN where it is undefined. Published tables fill these holes, each family in
its own way, and the ranking depends on it; so each way has a name here, and one sentence that is
printed under every table it made. A row is in one of four states:

| state | prediction | reference |
|---|---|---|
| present | some voxels | some voxels |
| missed | empty | some voxels |
| invented | some voxels | empty |
| absent | empty | empty |

Present rows keep their measured values under every convention (`monai`: with its own HD95).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from salstm import vocabulary
from salstm.data import datasets
from salstm.vocabulary import IDENTITY, METRICS, PROTOCOLS

OVERLAPS, DISTANCES, PENALISED = (
    tuple(name for name, metric in METRICS.items() if metric.filled == kind)
    for kind in ("overlap", "distance", "penalty")
)
RUN = (*IDENTITY, "selection")


@dataclass(frozen=True)
class Convention:
    """How a family of papers scores.

    Attributes:
        scope: the rows it reads: 'stored', 'inner' or 'native' (see `salstm.evaluation.scoring`).
        rule: turns raw rows into rows of the same length with filled metrics.
        description: one sentence for captions.
    """

    scope: str
    rule: Callable[[pd.DataFrame], pd.DataFrame]
    description: str


def transunet(rows: pd.DataFrame) -> pd.DataFrame:
    """Score as the test code that came with TransUNet.

    Args:
        rows: raw rows.

    Returns:
        The rows; invented: Dice and IoU 1, distances 0; missed and absent: all 0.
    """
    states = states_of(rows)
    rows = _fill(rows, states == "invented", overlap=1.0, distance=0.0)
    return _fill(rows, np.isin(states, ["missed", "absent"]), overlap=0.0, distance=0.0)


def nnunet(rows: pd.DataFrame) -> pd.DataFrame:
    """Score as nnU-Net's evaluation: raw values, undefined ones dropped by the mean.

    Args:
        rows: raw rows.

    Returns:
        The rows; missed and invented: Dice and IoU 0, distances NaN; absent: NaN.
    """
    return rows.copy()


def monai(rows: pd.DataFrame) -> pd.DataFrame:
    """Score as MONAI's metrics do item by item, with its HD95 (the larger directed percentile).

    Deviation: where nothing is defined MONAI's own mean is 0; here it stays NaN.

    Args:
        rows: raw rows.

    Returns:
        The rows; missed: Dice and IoU 0, distances NaN; invented and absent: NaN.
    """
    rows = rows.assign(hd95=rows["hd95_directed"])
    nothing_to_find = np.isin(states_of(rows), ["invented", "absent"])
    return _fill(rows, nothing_to_find, overlap=np.nan, distance=np.nan)


def penalty(rows: pd.DataFrame) -> pd.DataFrame:
    """Charge every miss and every invention the diagonal of the image, and count a correct empty prediction as right.

    The rule of the BraTS challenges. It leaves no hole: whatever a variant predicts, the pair with plain counts.

    Args:
        rows: raw rows.

    Returns:
        The rows; missed and invented: Dice, IoU, surface Dice, NSD and F1 of objects 0, distances the diagonal;
        absent: 1 and 0.
    """
    states = states_of(rows)
    wrong = np.isin(states, ["missed", "invented"])
    rows = _fill(rows, wrong, overlap=0.0, distance=rows["diagonal"].to_numpy())
    rows = _fill(rows, states == "absent", overlap=1.0, distance=0.0)
    # Where both have the structure it is measured; else it is an overlap like the others, or pairs would drop out.
    filled = {
        name: np.select([wrong, states == "absent"], [0.0, 1.0], rows[name].to_numpy())
        for name in PENALISED
        if name in rows
    }
    return rows.assign(**filled)


CONVENTIONS: dict[str, Convention] = {
    "transunet": Convention(
        "stored",
        transunet,
        "All slices on the stored grid, in voxels; an invented organ counts Dice 1 and HD95 0, a "
        "missed one Dice 0 and HD95 0, as in the test code of the TransUNet family.",
    ),
    "authors": Convention(
        "inner",
        transunet,
        "Stored grid without the first and last frame of each stack, in voxels; an invented organ "
        "counts Dice 1 and HD95 0, a missed one Dice 0 and HD95 0, as in the release of SALSTM.",
    ),
    "nnunet": Convention(
        "native",
        nnunet,
        "All slices in native size, in mm where the spacing is known; a missed or invented organ "
        "counts Dice 0, its HD95 is undefined; undefined values are left out of the means.",
    ),
    "monai": Convention(
        "native",
        monai,
        "All slices in native size, in mm where the spacing is known; without a reference nothing "
        "is scored, the HD95 (larger directed percentile) of a missed organ is left out.",
    ),
    "penalty": Convention(
        "native",
        penalty,
        "All slices in native size, in mm where the spacing is known; a missed or invented organ "
        "counts Dice 0 and HD95 the diagonal of the image, a correct empty prediction Dice 1 and HD95 0.",
    ),
}


def states_of(rows: pd.DataFrame) -> NDArray[np.str_]:
    """State of each row: 'present', 'missed', 'invented' or 'absent'."""
    predicted = rows["prediction_voxels"].to_numpy() > 0
    referred = rows["reference_voxels"].to_numpy() > 0
    return np.select(
        [predicted & referred, referred, predicted], ["present", "missed", "invented"], "absent"
    )


def apply(scores: pd.DataFrame, convention: str) -> pd.DataFrame:
    """Score raw rows under a convention.

    Args:
        scores: raw rows of `salstm.evaluation.scoring.score`, of any number of runs.
        convention: a name in `CONVENTIONS`.

    Returns:
        The rows of the convention's scope with the convention's values, and a column `state`.

    Raises:
        ValueError: unknown name.
    """
    chosen = CONVENTIONS[vocabulary.check("convention", convention, CONVENTIONS)]
    rows = scores.loc[scores["scope"].to_numpy() == chosen.scope].reset_index(drop=True)
    return chosen.rule(rows).assign(state=states_of(rows))


def under_protocol(
    scores: pd.DataFrame, protocol: str, selection: str | None = None
) -> pd.DataFrame:
    """Score raw rows under a protocol: its selection, and each dataset under its convention.

    Args:
        scores: raw rows of `salstm.evaluation.scoring.score`, of any number of runs.
        protocol: a name in `salstm.vocabulary.PROTOCOLS`.
        selection: of other weights than the protocol's own, to hold against numbers that were published with them.

    Returns:
        Rows as from `apply`, with a column `convention`; no rows if there are no scores, and none
        of a dataset that the protocol refuses (`refusals`).

    Raises:
        ValueError: unknown name.
    """
    chosen = PROTOCOLS[vocabulary.check("protocol", protocol, PROTOCOLS)]
    refused = list(refusals(scores, protocol))
    selection = selection or chosen.selection
    kept = (scores["selection"] == selection) & ~scores["dataset"].isin(refused)
    scores = scores.loc[kept.to_numpy(dtype=np.bool_)]
    names = {name: chosen.convention_for(name) for name in scores["dataset"].unique().tolist()}
    of_rows = scores["dataset"].map(names.__getitem__).to_numpy(dtype=object)
    parts = [
        apply(scores.loc[of_rows == name], name).assign(convention=name)
        for name in sorted({*names.values()} or {chosen.convention})
    ]
    return pd.concat(parts, ignore_index=True)


def refusals(scores: pd.DataFrame, protocol: str) -> dict[str, str]:
    """Datasets that a protocol refuses to score, each with the reason and the cure.

    Args:
        scores: raw rows of `salstm.evaluation.scoring.score`, of any number of runs.
        protocol: a name in `salstm.vocabulary.PROTOCOLS`.
    """
    if not PROTOCOLS[protocol].whole_groups or "divided_groups" not in scores:
        return {}
    pairs = scores[["dataset", "divided_groups"]].drop_duplicates().to_numpy().tolist()
    return {name: refusal(name, int(divided)) for name, divided in pairs if divided > 0}


def refusal(dataset: str, divided: int) -> str:
    """Why `strict` shows nothing of a dataset, and what to do about it, as part of a sentence.

    Args:
        dataset: its name.
        divided: how many groups its split divides.
    """
    entry = datasets.DATASETS.get(dataset)
    split = entry.whole_split if entry else "groups"
    return (
        f"strict is refused because the split divides {divided} groups (patients or video sequences) "
        f"between training, validation and test, so train again under another name with "
        f"datasets.{dataset}.split: {{name: {split}}}"
    )


def average(rows: pd.DataFrame, metrics: Sequence[str]) -> pd.DataFrame:
    """Average scored rows: over the cases of each class, then over the classes.

    Args:
        rows: rows as from `apply` or `under_protocol`.
        metrics: columns to average.

    Returns:
        One row per run and selection with the metrics. Undefined values are left out, and so is a class that is
        undefined in every case; NaN if nothing is defined.
    """
    keys, means = list(RUN), {name: (name, "mean") for name in metrics}
    return rows.groupby([*keys, "class"]).agg(**means).groupby(keys).agg(**means).reset_index()


def _fill(
    rows: pd.DataFrame,
    where: NDArray[np.bool_],
    *,
    overlap: float,
    distance: float | NDArray[np.float64],
) -> pd.DataFrame:
    """Copy of the rows with overlaps and distances replaced where a condition holds."""
    values = dict.fromkeys(OVERLAPS, overlap) | dict.fromkeys(DISTANCES, distance)
    filled = {name: np.where(where, value, rows[name].to_numpy()) for name, value in values.items()}
    return rows.assign(**filled)
