"""How far a probability is from how often it is right: expected calibration error, class by class.

Of each class the probability p of a pixel is held against whether the pixel is of that class (one against the rest; a
network with one logit has one class). Pixels are those inside the box that holds the foreground of reference and
prediction of a frame, with a margin of a sixteenth of its sides: far away everything is background with certainty, and
would hide the error. A frame without foreground in either has no such box and is left out; NaN where no frame has one.

ECE = sum over bins of |positives - sum of p| / pixels (Naeini et al., AAAI 2015; Guo et al., ICML 2017), with ``BINS``
bins of equal width, each with its lower edge, the last with 1, too.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from salstm.data.case import Case
from salstm.evaluation.metrics import union_box

BINS = 15
MARGIN = 16
"""The box grows by this part of each side."""
FILE = "calibration.csv"
"""Beside the predictions."""
MAPS = "probabilities"
"""Folder of the maps, beside the predictions."""
KEYS = ("selection", "case", "class")
Sums = NDArray[np.float64]


def ece(sums: Sums) -> float:
    """Expected calibration error; NaN without a pixel.

    >>> probabilities, truth = np.array([0.9, 0.9, 0.9, 0.2]), np.array([True, True, False, False])
    >>> round(ece(binned(probabilities, truth)), 6)  # (|2 - 2.7| + |0 - 0.2|) / 4
    0.225

    Args:
        sums: of ``binned``; those of several frames add up.
    """
    pixels, confidence, positives = sums
    total = pixels.sum()
    return float(np.abs(positives - confidence).sum() / total) if total else math.nan


def binned(probabilities: NDArray[Any], truth: NDArray[np.bool_], bins: int = BINS) -> Sums:
    """Pixels, sum of probabilities and positives of each bin: ``(3, bins)``.

    Args:
        probabilities: from 0 to 1.
        truth: whether it is so, of the same shape.
        bins: of equal width.
    """
    values = np.asarray(probabilities, dtype=np.float64).ravel()
    at = np.minimum((values * bins).astype(np.intp), bins - 1)
    weights = (None, values, truth.ravel().astype(np.float64))
    return np.stack([np.bincount(at, one, bins).astype(np.float64) for one in weights])


def region(prediction: NDArray[Any], reference: NDArray[Any]) -> tuple[slice, ...] | None:
    """The part of a frame that counts; None where neither has foreground.

    Args:
        prediction: ``(H, W)`` labels.
        reference: ``(H, W)`` labels.
    """
    box = union_box(prediction > 0, reference > 0)
    if box[0].start == box[0].stop:
        return None
    grown = zip(box, prediction.shape, strict=True)
    return tuple(
        slice(max(part.start - side // MARGIN, 0), part.stop + side // MARGIN)
        for part, side in grown
    )


class Kept:
    """What is kept of a case's probabilities while it is predicted, frame after frame.

    Args:
        reference: ``(D, H, W)`` labels on the stored grid.
        classes: names of the foreground classes in the order of their numbers, from 1.
        maps: file that gets all probabilities, as float16 ``(classes, D, H, W)`` under the name ``probabilities``; None
            keeps none.
        tell: gets the rows, ``class`` and ``ece``, once the case is done.
    """

    def __init__(
        self,
        reference: NDArray[Any],
        classes: Sequence[str],
        maps: Path | None,
        tell: Callable[[list[dict[str, Any]]], None],
    ) -> None:
        self.reference, self.classes, self.maps, self.tell = reference, classes, maps, tell
        self.sums = np.zeros((len(classes), 3, BINS))
        self.frames: list[NDArray[np.float16]] = []

    def add(self, place: int, probabilities: NDArray[Any], labels: NDArray[Any]) -> None:
        """Take in a frame.

        Args:
            place: number of the frame in the case.
            probabilities: ``(classes, H, W)`` on the stored grid.
            labels: ``(H, W)``, predicted.
        """
        truth = self.reference[place]
        if (part := region(labels, truth)) is not None:
            for at, values in enumerate(probabilities):
                self.sums[at] += binned(values[part], truth[part] == at + 1)
        if self.maps:
            self.frames.append(probabilities.astype(np.float16))

    def done(self) -> None:
        """Tell the rows, and write the maps."""
        pairs = zip(self.classes, self.sums, strict=True)
        self.tell([{"class": name, "ece": ece(sums)} for name, sums in pairs])
        if self.maps:
            self.maps.parent.mkdir(parents=True, exist_ok=True)
            with self.maps.open("wb") as file:
                np.savez_compressed(file, probabilities=np.stack(self.frames, axis=1))


class Keeper:
    """Makes a `Kept` for each case of each selection, and collects what they tell.

    Args:
        reference: gives the labels of a case on the stored grid.
        classes: names of the foreground classes in the order of their numbers, from 1.
        out: folder of the predictions.
        maps: whether the probabilities are written, too.
    """

    def __init__(
        self,
        reference: Callable[[Case], NDArray[Any]],
        classes: Sequence[str],
        out: Path,
        *,
        maps: bool,
    ) -> None:
        self.reference, self.classes, self.out, self.maps = reference, classes, out, maps
        self.rows: list[dict[str, Any]] = []

    def of(self, selection: str) -> Callable[[Case], Kept]:
        """What a prediction with a selection's weights calls for each case."""

        def kept(case: Case) -> Kept:
            place = {"selection": selection, "case": case.id}
            maps = self.out / MAPS / selection / f"{case.id}.npz" if self.maps else None
            tell = lambda rows: self.rows.extend({**place, **row} for row in rows)  # noqa: E731
            return Kept(self.reference(case), self.classes, maps, tell)

        return kept

    def same(self, selection: str, as_in: str) -> None:
        """A selection whose weights are another's: its rows are, too; its maps are not written twice."""
        self.rows += [
            {**row, "selection": selection} for row in self.rows if row["selection"] == as_in
        ]

    def write(self) -> None:
        """Write what was told into `FILE`."""
        from salstm.files import write_csv

        write_csv(self.out / FILE, pd.DataFrame(self.rows, columns=[*KEYS, "ece"]))


def joined(scores: pd.DataFrame, folders: Iterable[Path]) -> pd.DataFrame:
    """Scores with the calibration that was kept beside the predictions.

    The same value in every scope: it is of the stored grid and all frames, where the network predicts.

    Args:
        scores: rows with the columns `KEYS` and an empty ``ece``.
        folders: of the predictions.

    Raises:
        FileNotFoundError: nothing was kept there.
    """
    from salstm.files import read_csv

    paths = [folder / FILE for folder in folders]
    if missing := [path for path in paths if not path.is_file()]:
        raise FileNotFoundError(
            f"{missing[0]}: no such file; ece is computed while predicting: set probabilities.calibration in the "
            f"configuration (predict --calibration) and predict again"
        )
    known = pd.concat([read_csv(path) for path in paths], ignore_index=True)
    merged: Any = scores.drop(columns="ece").merge(known, on=list(KEYS), how="left")
    return merged[list(scores.columns)]
