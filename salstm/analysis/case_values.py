"""One value a case, such that their mean is what the tables show: over cases, then classes, then seeds.

A class that is scored in few cases weighs as much as any other, as it does in a table. Where every case has every
class, which the protocols see to, a case's value is the plain mean over its classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from salstm.analysis.results import Frame, Series
from salstm.vocabulary import PLAIN

KEYS = ("group", "case", "class")


@dataclass(frozen=True)
class Pairs:
    """The values of a module and of plain on the same cases and classes.

    Attributes:
        table: one row per case: group, case, plain, module, difference.
        trainings: (trainings, cases) of each variant, plain first.
        left_out: cases and classes that not every training has, or has without a value.
        unpaired: cases of either variant that the table has not.
    """

    table: Frame
    trainings: tuple[np.ndarray, np.ndarray]
    left_out: int
    unpaired: int

    @property
    def seeds(self) -> int:
        """Trainings of the variant that has fewer."""
        return min(map(len, self.trainings))


def spread(rows: Frame, metric: str) -> Frame:
    """The values of one network, a row per case and class, a column per variant and seed; NaN where there is none."""
    wide = rows.pivot(index=list(KEYS), columns=["variant", "seed"], values=metric)
    return wide.sort_index(axis=1).astype(np.float64)


def paired(values: Frame, module: str) -> Pairs:
    """Pair a module with plain: on the cases and classes that every training of both has.

    Args:
        values: as from `spread`.
        module: the variant.
    """
    sides = [
        values.loc[:, values.columns.get_level_values("variant") == name]
        for name in (PLAIN, module)
    ]
    both = pd.concat(sides, axis=1).dropna(how="all")
    if not all(side.shape[1] for side in sides):
        both = both.iloc[:0]
    whole = both.dropna()
    cases, weights = _cases(whole)
    plain, changed = (_by_case(side.loc[whole.index], weights, len(cases)) for side in sides)
    means = [one.mean(0) if len(one) else np.zeros(len(cases)) for one in (plain, changed)]
    table = cases.assign(plain=means[0], module=means[1], difference=means[1] - means[0])
    named = both.index.get_level_values("case").nunique()
    return Pairs(table, (plain, changed), len(both) - len(whole), named - len(cases))


def per_case(values: Frame) -> Series:
    """The value of every case over the classes and trainings of one algorithm.

    Args:
        values: a row per case and class (`KEYS`), a column per training.

    Returns:
        By group and case; cases and classes that not every training has are left out.
    """
    whole = values.dropna() if values.shape[1] else values.iloc[:0]
    cases, weights = _cases(whole)
    means = _by_case(whole, weights, len(cases)).mean(0) if len(cases) else np.zeros(0)
    return pd.Series(means, index=pd.MultiIndex.from_frame(cases), dtype=np.float64)


def _cases(values: Frame) -> tuple[Frame, np.ndarray]:
    """The cases, sorted, and what takes (case, class) rows to cases: (cases, rows)."""
    index = values.index.to_frame(index=False)
    cases = index.loc[:, ["group", "case"]].drop_duplicates(ignore_index=True)
    place = pd.factorize(pd.MultiIndex.from_frame(index.loc[:, ["group", "case"]]))[0]
    kind, classes = pd.factorize(index["class"])
    sizes = np.bincount(kind, minlength=len(classes))
    weights = np.zeros((len(cases), len(index)))
    if len(index):
        weights[place, np.arange(len(index))] = len(cases) / (len(classes) * sizes[kind])
    return cases, weights


def _by_case(values: Frame, weights: np.ndarray, cases: int) -> np.ndarray:
    return (weights @ values.to_numpy(dtype=np.float64)).T.reshape(values.shape[1], cases)


def algorithms(rows: Frame, metric: str, names: Sequence[tuple[str, str]]) -> Frame:
    """`per_case` of every network and variant of a dataset: a row per group and case, NaN where there is no value."""
    columns = ["baseline", "variant", "seed"]
    wide = rows.pivot(index=list(KEYS), columns=columns, values=metric).sort_index(axis=1)
    # Trainings that have nothing at all are no reason to leave a case out.
    return pd.concat(
        {name: per_case(wide.loc[:, name].dropna(axis=1, how="all")) for name in names}, axis=1
    )
