"""The rows at the foot of a table: what a perfect, an empty and another expert's mask score; not rounded here."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from salstm.analysis.results import Collected, Frame
from salstm.evaluation import conventions
from salstm.vocabulary import METRICS, PROTOCOLS

ORACLE, ANNOTATORS, EMPTY = "oracle", "annotators", "empty"


@dataclass(frozen=True)
class Bound:
    """A row.

    Attributes:
        kind: 'oracle', 'annotators' or 'empty'.
        label: in the place of a network's name.
        cases: how many stand behind it.
        values: of each metric by class, as they are stored; NaN where undefined.
    """

    kind: str
    label: str
    cases: int
    values: dict[str, dict[str, float]]

    def value(self, metric: str, name: str) -> float:
        """The value of a class in the unit that is printed; NaN where there is none."""
        return self.values[metric].get(name, math.nan) * METRICS[metric].scale


def find(
    part: Collected, dataset: str, protocol: str, metrics: Sequence[str], mean: str
) -> list[Bound]:
    """The bounds of a dataset under a protocol; those that were not measured are left out.

    Args:
        part: what was collected of the dataset.
        dataset: its name.
        protocol: whose convention fills what is undefined, as for predictions.
        metrics: those that are shown.
        mean: the name for the mean over the classes.
    """
    names, found = list(metrics), []
    rows: Frame = conventions.apply(part.bounds, PROTOCOLS[protocol].convention_for(dataset))
    rows = rows.reindex(columns=[*rows.columns, *(one for one in names if one not in rows)])
    for kind in (ORACLE, ANNOTATORS, EMPTY):
        chosen: Frame = rows[rows["bound"] == kind]
        if chosen.empty:
            continue
        classes = chosen.groupby("class", sort=False)[names].mean()
        values = {name: {**classes[name].to_dict(), mean: classes[name].mean()} for name in names}
        label = _label(kind, chosen["group"].nunique())
        found.append(Bound(kind, label, chosen["case"].nunique(), values))
    return found


def note(bounds: Sequence[Bound]) -> tuple[str, ...]:
    """What the rows are; nothing where there are none."""
    if not bounds:
        return ()
    texts = [
        "The last rows are no networks and take part in no rank, comparison or claim. oracle: the reference itself, to "
        "the stored grid and back, which is what resizing costs; empty: nothing is found"
    ]
    if twice := [one for one in bounds if one.kind == ANNOTATORS]:
        texts.append(
            f"two annotations: the same images annotated twice, one against the other, {twice[0].cases} cases in all: "
            "what people agree on there, no ceiling of the whole dataset"
        )
    return (f"{'; '.join(texts)}.",)


def _label(kind: str, groups: int) -> str:
    return (
        f"two annotations, n = {groups} patient{'s' * (groups != 1)}"
        if kind == ANNOTATORS
        else kind
    )
