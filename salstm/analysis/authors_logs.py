"""The authors' ACDC logs beside our runs: same cases, same rule, paired.

Their logs hold, for MT-UNet with each module, the mean Dice and HD95 over the classes of each of
the 40 test volumes at the last and at the best epoch (`salstm/analysis/authors/README.md`).
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pandas as pd

from salstm.analysis import statistics
from salstm.evaluation import conventions

FOLDER = Path(__file__).parent / "authors"
DATASET, BASELINE, LAST_EPOCH = "acdc", "mtunet", 200
METRICS = ("dice", "hd95")
PAIR = ("variant", "selection", "case", "group", "metric")


def cases() -> pd.DataFrame:
    """Read the per-volume values.

    Returns:
        Columns variant ('salstm' or 'lstmsa'), selection ('last' or 'best_test'), case (our id),
        dice, hd95 (voxels): means over the three classes.
    """
    table = pd.read_csv(FOLDER / "authors_acdc_cases.csv")
    last = table["epoch"].to_numpy() == LAST_EPOCH
    return pd.DataFrame(
        {
            "variant": [name.lower() for name in table["variant"]],
            "selection": np.where(last, "last", "best_test"),
            "case": [our_case(name) for name in table["case"]],
            "dice": table["mean_dice"],
            "hd95": table["mean_hd95"],
        }
    )


def our_case(name: str) -> str:
    """Translate a case name of theirs: case_002_volume_ED.npz is patient002_ED.

    Raises:
        ValueError: another form of name.
    """
    match = re.fullmatch(r"case_(\d{3})_volume_(ED|ES)(\.npz)?", name)
    if match is None:
        raise ValueError(f"case: found {name!r}, allowed is the form case_002_volume_ED.npz")
    return f"patient{match[1]}_{match[2]}"


def paired(scores: pd.DataFrame) -> pd.DataFrame:
    """Pair our volumes with theirs, scored by their rule.

    Args:
        scores: raw rows of any number of runs.

    Returns:
        Columns `PAIR`, ours (mean over classes, then seeds), theirs, mean, difference (ours -
        theirs); sorted, without rows where no case is in both.
    """
    rows = conventions.apply(scores, "authors")
    kept = (rows["dataset"].to_numpy() == DATASET) & (rows["baseline"].to_numpy() == BASELINE)
    keys = ["variant", "selection", "case", "group"]
    means = rows.loc[kept]
    columns = {name: (name, "mean") for name in METRICS}
    for key in (["seed"], []):
        means = means.groupby([*keys, *key]).agg(**columns).reset_index()
    ours = means.melt(keys, list(METRICS), "metric", "ours")
    theirs = cases().melt(keys[:3], list(METRICS), "metric", "theirs")
    pairs = ours.merge(theirs, on=["variant", "selection", "case", "metric"])
    one, other = (pairs[name].to_numpy(dtype=np.float64) for name in ("ours", "theirs"))
    pairs = pairs.assign(mean=(one + other) / 2, difference=one - other)
    return pairs.sort_values(list(PAIR), ignore_index=True)


def agreement(
    pairs: pd.DataFrame, generator: np.random.Generator, *, resamples: int = 10_000
) -> pd.DataFrame:
    """Bland-Altman figures of each variant, selection and metric.

    Args:
        pairs: as from `paired`.
        generator: source of chance, for the interval of the bias.
        resamples: bootstrap draws.

    Returns:
        Columns variant, selection, metric, cases, groups, ours, theirs, bias (mean difference),
        low, high (its 95 % interval, clustered by patient), sd (of the differences),
        lower_limit, upper_limit (bias -+ 1.96 sd; NaN for one case), slope (of the difference
        over the mean: 0 where we are off by the same everywhere).
    """
    rows = []
    keys = ["variant", "selection", "metric"]
    for _, part in pairs.groupby(keys):
        difference, mean = part["difference"].to_numpy(), part["mean"].to_numpy()
        data = statistics.clusters(difference, part["group"].to_numpy())
        low, high = statistics.interval(data, generator, resamples=resamples)
        sd = float(np.std(difference, ddof=1)) if len(part) > 1 else np.nan
        spread = float(np.sum((mean - mean.mean()) ** 2))
        row = {"cases": len(part), "groups": len(data.sums), "ours": part["ours"].to_numpy().mean()}
        row |= {"theirs": part["theirs"].to_numpy().mean(), "bias": data.mean}
        row |= {"low": low, "high": high, "sd": sd}
        row |= {"lower_limit": data.mean - 1.96 * sd, "upper_limit": data.mean + 1.96 * sd}
        row |= {"slope": float((mean - mean.mean()) @ difference) / spread if spread else np.nan}
        rows.append({key: part[key].iloc[0] for key in keys} | row)
    columns = [*keys, "cases", "groups", "ours", "theirs", "bias", "low", "high", "sd"]
    return pd.DataFrame(rows, columns=[*columns, "lower_limit", "upper_limit", "slope"])
