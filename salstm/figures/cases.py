"""Pictures of cases: for every cell one fixed case, then its best, its median and its worst."""

from __future__ import annotations

import hashlib
import logging
from collections import ChainMap
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from salstm.analysis.results import (
    Collected,
    Frame,
    classes_of,
    dataset_name,
    network_name,
    variant_name,
)
from salstm.evaluation import conventions
from salstm.figures import panels, style
from salstm.files import replacing
from salstm.vocabulary import DICE, PROTOCOLS, STRICT, Identity

if TYPE_CHECKING:
    from salstm.data.store import Store

log = logging.getLogger(__name__)

ROLES = ("fixed", "best", "median", "worst")
QUALITY = 74
"""Of the small pictures that the report holds."""


def draw(
    data: Collected, results: Path, cards: Mapping[str, Any], dataset: str, out: Path
) -> list[dict[str, Any]]:
    """Draw ``cases-<dataset>-<network>`` and the report's small pictures in a folder.

    Returns:
        What the report says, one entry a network; networks without predictions have none.
    """
    from salstm.data.store import Store

    place = results / dataset / "cases"
    # A publication has the manifest alone.
    if not all((place / name).is_file() for name in ("manifest.json", "images.npy")):
        log.warning("%s: no prepared cases, no pictures of %s", place, dataset)
        return []
    store, scored = Store(place), _case_scores(data, dataset)
    entries = []
    for baseline in data.baselines(dataset):
        cells = _cells(data, scored[scored["baseline"] == baseline])
        shown = [panel for rows in cells for panel in _panels(store, results, dataset, rows)]
        if shown:
            _figure(shown, dataset, baseline, out)
            name = network_name(baseline, cards)
            title = f"{dataset_name(dataset)}, {name}: cases"
            entries.append(_facts(shown, dataset, baseline, out) | {"title": title})
    return entries


def choose(scores: Frame) -> dict[str, str]:
    """The cases that are shown of a cell: role -> case id.

    Args:
        scores: a cell's rows with ``case`` and ``dice``, NaN where undefined.

    Returns:
        ``fixed`` is the same for all cells of a dataset (the id whose hash is smallest); best, median and worst
        are by Dice, of equals the first id.
    """
    ranked = scores.dropna(subset=DICE).sort_values([DICE, "case"])["case"].tolist()
    if not ranked:
        return {}
    fixed = min(scores["case"], key=lambda case: hashlib.sha256(str(case).encode()).digest())
    middle = ranked[(len(ranked) - 1) // 2]
    return dict(zip(ROLES, (fixed, ranked[-1], middle, ranked[0]), strict=True))


def _case_scores(data: Collected, dataset: str) -> Frame:
    """Dice of each cell and case: means over the classes."""
    keys = ["baseline", "variant", "seed", "case"]
    rows: Frame = conventions.under_protocol(data.of(dataset).scores, STRICT)
    return rows.groupby(keys, sort=False)[[DICE]].mean().reset_index()


def _cells(data: Collected, scored: Frame) -> Iterator[Frame]:
    """The cells of a network that are shown: its first scored seed under each variant."""
    for variant in data.variants:
        rows = scored[scored["variant"] == variant]
        if not rows.empty:
            yield rows[rows["seed"] == rows["seed"].min()]


def _panels(store: Store, results: Path, dataset: str, rows: Frame) -> Iterator[dict[str, Any]]:
    """The panels of a cell; none, and a warning, if its predictions are not there."""
    cell = Identity.of({"dataset": dataset, **rows.iloc[0]})
    name = f"{PROTOCOLS[STRICT].selection}.npz"
    paths = [results / one / "predictions" / name for one in cell.trainings(len(store.folds))]
    if absent := [path for path in paths if not path.is_file()]:
        log.warning("%s: no such file, no pictures of this cell", absent[0])
        return
    values = rows.set_index("case")
    with ExitStack() as opened:
        predictions = ChainMap(*(opened.enter_context(np.load(path)) for path in paths))
        for role, identity in choose(rows).items():
            case = store.case(identity)
            images, truth = store.frames(case), store.labels(case)
            picture = panels.worst_slice(images, truth, predictions[identity])
            yield {
                "variant": cell.variant,
                "seed": int(cell.seed),
                "role": role,
                "case": identity,
                "dice": _or_none(values.loc[identity, DICE]),
                "slice": picture.slice_number,
                "slices": picture.slices,
                "panel": panels.draw(picture),
                "map": panels.errors(picture),
            }


def _figure(shown: list[dict[str, Any]], dataset: str, baseline: str, out: Path) -> None:
    """All panels of a network: variants as rows, roles as columns."""
    variants = list(dict.fromkeys(one["variant"] for one in shown))
    with style.styled() as pyplot:
        size = (2.0 * len(ROLES) + 0.3, 2.35 * len(variants) + 0.1)
        figure, axes = pyplot.subplots(len(variants), len(ROLES), figsize=size, squeeze=False)
        for one in shown:
            part = axes[variants.index(one["variant"]), ROLES.index(one["role"])]
            part.imshow(one["panel"], interpolation="none")
            part.set_title(f"{one['role']}: Dice {_text(one['dice'])}", fontsize=8)
            part.set_xlabel(f"{one['case']}, slice {one['slice']} of {one['slices']}", fontsize=6.5)
            if one["role"] == ROLES[0]:
                part.set_ylabel(f"{variant_name(one['variant'])}, seed {one['seed']}", fontsize=8)
            part.set(xticks=[], yticks=[])
            part.spines[:].set_visible(False)
        figure.tight_layout(h_pad=0.8, w_pad=0.6)
        style.save(figure, out / f"cases-{dataset}-{baseline}")


def _facts(shown: list[dict[str, Any]], dataset: str, baseline: str, out: Path) -> dict[str, Any]:
    entries = []
    for one in shown:
        name = f"panel-{dataset}-{baseline}-{one['variant']}-{one['role']}"
        files = {"file": f"{name}.webp", "errors": f"{name}-errors.webp"}
        _write_picture(one["panel"], out / files["file"])
        _write_picture(one["map"], out / files["errors"])
        known = {key: value for key, value in one.items() if key not in ("panel", "map")}
        entries.append(known | files)
    return {
        "file": f"cases-{dataset}-{baseline}",
        "kind": "cases",
        "dataset": dataset,
        "baseline": baseline,
        "classes": classes_of(dataset),
        "caption": "Tinted area with a white rim: the truth. Coloured line: the prediction (weights chosen on "
        "validation). The fixed case is the same for all networks; best, median and worst are by the cell's Dice "
        "(protocol strict, mean over classes). The slice is the one with the most wrong pixels. Error map: pixels of "
        "the truth that were missed, pixels that were invented, pixels of another class.",
        "panels": entries,
    }


def _write_picture(panel: np.ndarray, path: Path) -> None:
    from PIL import Image

    with replacing(path) as temporary:
        Image.fromarray(panel).save(temporary, format="webp", quality=QUALITY, method=4)


def _or_none(value: Any) -> float | None:
    return None if np.isnan(value) else float(value)


def _text(value: float | None) -> str:
    return "undefined" if value is None else f"{100 * value:.1f} %"
