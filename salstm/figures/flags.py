"""Trainings that went wrong, by their curves alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from salstm.analysis.results import Frame, network_name, variant_name

FEWEST = 4
"""Epochs below which a curve tells nothing."""
FALL = 0.02
"""Share of its start by which a loss must fall, or it is flat."""
RULES = (
    f"Flagged: diverged (loss not finite, or at the end above its start), flat (loss never {100 * FALL:.0f} % "
    "below its start), collapsed (last validation Dice under half of the best); of under "
    f"{FEWEST} epochs nothing but a loss that is not finite."
)


def judge(run: Frame) -> str:
    """What is wrong with a training, or nothing.

    Args:
        run: its rows of the history, in the order of the epochs; fewer than ``FEWEST`` are not judged.
    """
    loss = run["loss"].to_numpy(dtype=np.float64)
    if not np.isfinite(loss).all():
        epoch = run["epoch"].to_numpy()[~np.isfinite(loss)][0]
        return f"diverged: the loss is not finite in epoch {epoch}"
    if len(loss) < FEWEST:
        return ""
    end = float(loss[-max(1, len(loss) // 10) :].mean())
    if end > loss[0]:
        return f"diverged: the loss ends at {end:.3g}, it began at {loss[0]:.3g}"
    if loss.min() > loss[0] * (1 - FALL):
        return f"flat: the loss stays within {100 * FALL:.0f} % of {loss[0]:.3g}"
    dice = run["val_dice"].dropna().to_numpy(dtype=np.float64)
    if len(dice) and dice[-1] < dice.max() / 2:
        return f"collapsed: validation Dice ends at {dice[-1]:.3f}, the best was {dice.max():.3f}"
    return ""


def judged(history: Frame) -> int:
    """How many trainings of a dataset are long enough to be judged by their curves."""
    epochs = history.groupby(["baseline", "variant", "seed"])["epoch"].nunique()
    return int((epochs >= FEWEST).sum())


def flagged(history: Frame, cards: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The trainings that are flagged: ``training`` in words, ``why``, and the keys.

    Args:
        history: rows of one dataset.
        cards: by network.
    """
    rows = []
    for (baseline, variant, seed), run in history.groupby(
        ["baseline", "variant", "seed"], sort=False
    ):
        if why := judge(run):
            words = f"{network_name(baseline, cards)} {variant_name(variant)}, seed {seed}"
            rows.append({"training": words, "why": why})
    return rows
