"""Ten made-up papers through the command ``claims``: what the report says of each is a table in docs/statistics.md."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from salstm import cli
from salstm.analysis import results
from salstm.columns import COLLECTED, COLUMNS
from salstm.files import write_csv
from salstm.report import verdict

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "statistics.md"
GROUPS, SEEDS, LUCK = 24, (0, 1, 2), 0.003
DATASETS = ("synapse", "acdc", "isic2018", "cvc_clinicdb")


def paper() -> dict[str, list[str]]:
    import yaml

    return yaml.safe_load((ROOT / "config.yaml").read_text(encoding="utf-8"))["grid"]


def scores(
    gain: Callable[[str], float], *, seeds=SEEDS, groups=GROUPS, farther=0.0
) -> pd.DataFrame:
    """A paper's scores: a case a group, one class; trainings differ by `LUCK`, both modules gain `gain`."""
    generator = np.random.default_rng(0)
    rows = []
    for dataset, networks in paper().items():
        hard = generator.gamma(0.7, 0.1, groups)
        for baseline in networks:
            for variant in ("plain", "salstm", "lstmsa"):
                for seed in seeds:
                    module = variant != "plain"
                    dice = 0.9 - 0.2 * hard + generator.normal(0, 0.004, groups)
                    dice += generator.normal(0, LUCK) + gain(dataset) * module
                    rows.append(
                        pd.DataFrame(
                            {
                                **{"dataset": dataset, "baseline": baseline, "variant": variant},
                                **{"seed": seed, "dice": dice, "case": np.arange(groups)},
                                "hd95": 30 * (1 - dice) + farther * module,
                                "unit": "mm" if dataset in DATASETS[:2] else "pixel",
                            }
                        )
                    )
    made = pd.concat(rows, ignore_index=True)
    made = made.assign(case=made["case"].astype(str), group=made["case"].astype(str))
    fixed = {"selection": "best_val", "scope": "native", "class": "x", "diagonal": 300.0}
    made = made.assign(reference_voxels=9, prediction_voxels=9, divided_groups=0, **fixed)
    return made.reindex(columns=list(COLUMNS["scores"]))


def holes(table: Any) -> Any:
    """The fifth networks did not run."""
    last = {networks[-1] for networks in paper().values()}
    return table[~table["baseline"].isin(last)]


def gain_in_acdc(dataset: str) -> float:
    return 0.08 * (dataset == "acdc")


PHANTOM = "phantom data: synapse, acdc, isic2018, cvc_clinicdb"
GRIDS: dict[str, tuple[Callable[[], pd.DataFrame], list[str]]] = {
    "all equal": (lambda: scores(lambda _: 0.0), []),
    "+1 everywhere": (lambda: scores(lambda _: 0.01), []),
    "+8 everywhere": (lambda: scores(lambda _: 0.08), []),
    "+8 in one dataset": (lambda: scores(gain_in_acdc), []),
    "Dice +8, HD95 worse": (lambda: scores(lambda _: 0.08, farther=8.0), []),
    "one seed, +8": (lambda: scores(lambda _: 0.08, seeds=(0,)), []),
    "12 cases, +8": (lambda: scores(lambda _: 0.08, groups=12), []),
    "holes, +8": (lambda: holes(scores(lambda _: 0.08)), []),
    "all NaN": (lambda: scores(lambda _: 0.0).assign(dice=np.nan, hd95=np.nan), []),
    "phantoms, +8": (lambda: scores(lambda _: 0.08), [PHANTOM]),
}


def told(table: pd.DataFrame, limits: list[str], folder: Path) -> str:
    """What the page says of SALSTM, from the command's files."""
    for name in COLLECTED:
        frame = table if name == "scores" else pd.DataFrame(columns=list(COLUMNS[name]))
        write_csv(folder / f"{name}.csv", frame)
    grid = json.dumps(
        {"grid": paper(), "variants": ["plain", "salstm", "lstmsa"], "seeds": [0, 1, 2]}
    )
    statistics = json.dumps({"resamples": 200})
    command = ["claims", "--collected", str(folder), "--claims", str(ROOT / "claims.yaml")]
    command += ["--statistics", statistics, "--grid", grid, "--limits", json.dumps(limits)]
    assert cli.main(command) == 0
    claims: Any = results.judged(folder, "claims")
    said, _ = verdict.answers(claims)
    (one,) = [answer for answer in said if answer["module"] == "salstm"]
    rows = claims[(claims["claim"] == "every_network") & (claims["module"] == "salstm")]
    by = {row["measure"]: row for row in rows.to_dict("records")}
    missing = by["dice"]["missing"] if isinstance(by["dice"]["missing"], str) else ""
    why = f". Missing: {missing}" if missing else ""
    return f"{one['verdict']} (by {one['by']}): Dice {by['dice']['evidence']}{why}"


QUICK = ("+8 everywhere", "Dice +8, HD95 worse")


@pytest.mark.parametrize(
    "name",
    [one if one in QUICK else pytest.param(one, marks=pytest.mark.extended) for one in GRIDS],
)
def test_what_a_paper_is_told_is_on_the_page(name, tmp_path):
    make, limits = GRIDS[name]
    line = f"| {name} | {told(make(), limits, tmp_path)} |"
    assert line in PAGE.read_text(encoding="utf-8").splitlines()
