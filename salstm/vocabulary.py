"""The words of the suite, each fact once: metrics, variants, selections, protocols, and what names a training.

The schema's lists, CSV columns, headings, colours, exports and target rules come from here (datasets:
``salstm.data.datasets``). It imports nothing of ours. A metric is computed by the function of its name in its module
below ``salstm/evaluation``, a variant's head is built by the function of its name in its module;
``salstm.config.checked`` refuses a name without one before the first job.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple


def nearest(name: object, allowed: Iterable[object]) -> str | None:
    """The allowed name that is most like ``name``; None if none is."""
    near = difflib.get_close_matches(str(name), [str(option) for option in allowed], n=1)
    return near[0] if near else None


def check(subject: str, name: str, allowed: Iterable[str]) -> str:
    """Return ``name`` if it is allowed.

    Args:
        subject: what is named, for the message: 'dataset', 'border'.
        name: as the user typed it.
        allowed: the names there are.

    Raises:
        ValueError: unknown name; the message suggests the nearest one and lists all.
    """
    allowed = list(allowed)
    if name in allowed:
        return name
    near = nearest(name, allowed)
    hint = f" Did you mean {near}?" if near else ""
    raise ValueError(f"{subject} {name!r}: unknown.{hint} Available: {', '.join(allowed)}")


@dataclass(frozen=True)
class Metric:
    """One column of scores.csv and how it is printed.

    Attributes:
        name: of the column and of the function in its module.
        label: as tables and figures print it.
        unit: '%', or '{unit}' for a distance, which has the unit of its grid: mm, voxel, pixel.
        better: which way is better; '' where neither is, so that it is never shown.
        scale: what a value is multiplied by when it is printed in ``unit``.
        filled: as what conventions fill an undefined value: 'overlap' or 'distance'; 'penalty' for an overlap that no
            family publishes, so that only that convention fills it; '' leaves it as measured.
        shown: whether ``statistics.metrics`` may name it; then tables, figures and exports show it and it is tested.
        module: below ``salstm/evaluation``, with that function. Those of ``metrics`` are columns of every scores.csv,
            those of the others only where the configuration names them.
    """

    name: str
    label: str
    unit: str
    better: Literal["higher", "lower", ""]
    scale: float = 1.0
    filled: Literal["overlap", "distance", "penalty", ""] = ""
    shown: bool = True
    module: str = "metrics"

    @property
    def kind(self) -> str:
        """Under which heading tables group it."""
        surface = self.is_distance or self.module == "surfaces"
        return {"objects": "Objects", "calibration": "Calibration"}.get(
            self.module, "Surfaces" if surface else "Overlap"
        )

    @property
    def sign(self) -> int:
        """1 where higher is better, -1 where lower is: what turns a difference into a gain."""
        return -1 if self.better == "lower" else 1

    @property
    def is_distance(self) -> bool:
        """Whether its unit is that of the grid."""
        return self.unit == "{unit}"

    def unit_in(self, unit: str) -> str:
        """Its unit, where distances are in ``unit``."""
        return self.unit.format(unit=unit)

    def heading(self, unit: str) -> str:
        """Over printed values: 'Dice [%]', 'HD95 [mm]'."""
        return f"{self.label} [{self.unit_in(unit)}]"

    def axis(self, unit: str) -> str:
        """Along values as they are stored: 'Dice', 'HD95 [mm]'."""
        return self.heading(unit) if self.is_distance else self.label


@dataclass(frozen=True)
class Variant:
    """A network alone, or with a head that reads its features of three frames.

    Attributes:
        name: as in config.yaml, in paths, and of the function that builds the head.
        label: as tables and figures print it.
        module: with that function, which takes the number of classes and, with ``attention``, its size.
        attention: whether the head has one: it takes ``attention_size``, and its modules can be stacked.
        colour: in figures; Okabe and Ito's, which colour-blind readers tell apart.
        light: on the light page, where text of this colour must have contrast.
        dark: on the dark page.
        dashes: of its lines.
        macs: multiply-adds of the head a pixel, on a window of three frames and on one frame, which is also what a
            frame of a predicted volume costs: counted by ``python -m salstm cost`` on acdc and synapse.
        parameters: of the head with four classes.
        recurrent: whether the head has a recurrent net, which can read a sequence of any length.
    """

    name: str
    label: str
    module: str
    attention: bool
    colour: str
    light: str
    dark: str
    dashes: str
    macs: tuple[int, int]
    parameters: int
    recurrent: bool = False


@dataclass(frozen=True)
class Selection:
    """Which weights of a training are taken.

    Attributes:
        name: of the weights' and the predictions' files.
        label: as columns print it.
        words: as sentences say it.
        split: the cases that choose it; '' for none.
    """

    name: str
    label: str
    words: str
    split: str


@dataclass(frozen=True)
class Protocol:
    """A convention for each dataset, and the weights it is applied to.

    Attributes:
        name: as in config.yaml.
        convention: name in ``salstm.evaluation.conventions.CONVENTIONS``.
        selection: name of the weights.
        description: one sentence for captions.
        exceptions: datasets that are scored under another convention.
        whole_groups: refuses datasets whose split divides patients or video sequences.
    """

    name: str
    convention: str
    selection: str
    description: str
    exceptions: Mapping[str, str] = field(default_factory=dict)
    whole_groups: bool = False

    def convention_for(self, dataset: str) -> str:
        """Name of the convention that scores a dataset."""
        return self.exceptions.get(dataset, self.convention)


class Identity(NamedTuple):
    """What names a row of results: dataset, network, variant and seed.

    It is one training, or, where the cases are in folds, one a fold, each of which is tested on cases that only the
    others trained on.
    """

    dataset: str
    baseline: str
    variant: str
    seed: int

    @classmethod
    def of(cls, row: Mapping[Any, Any]) -> Identity:
        """The identity in a row or a run record."""
        return cls(*(row[name] for name in IDENTITY))

    @property
    def key(self) -> str:
        """Its name: 'acdc/mtunet/plain/seed0'."""
        return f"{self.dataset}/{self.baseline}/{self.variant}/seed{self.seed}"

    def folder(self, results: Path) -> Path:
        """Where its files lie, below results/<name>."""
        return results / self.key

    def trainings(self, folds: int) -> list[str]:
        """Keys of its trainings: itself, or one for each fold: 'acdc/mtunet/plain/seed0/fold1'.

        Args:
            folds: of its dataset, as ``folds_of`` gives them.
        """
        return [f"{self.key}/fold{number}" for number in range(1, folds + 1)] or [self.key]


IDENTITY: tuple[str, ...] = Identity._fields


LIMIT = "limit"
"""Key of a split, beside its own: how many cases of each part are kept, for a quick look."""
FOLDS = "folds"
"""Name of the split that tests every case once."""


def folds_of(split: Mapping[str, Any]) -> int:
    """Into how many folds a split divides the groups; 0 where each case has its part once and for all.

    Args:
        split: as in the configuration.
    """
    return split.get("folds", 5) if split["name"] == FOLDS else 0


def cells(grid: Mapping[str, Any], dataset: str | None = None) -> Iterator[Identity]:
    """Every training of a grid, in its order.

    Args:
        grid: the configuration, or its keys ``grid`` (dataset -> networks), ``variants`` and ``seeds``.
        dataset: only those of one dataset.
    """
    for name, baselines in grid["grid"].items():
        if dataset in (None, name):
            for baseline in baselines:
                for variant in grid["variants"]:
                    for seed in grid["seeds"]:
                        yield Identity(name, baseline, variant, seed)


def _named(*entries: Any) -> dict[str, Any]:
    return {entry.name: entry for entry in entries}


METRICS: dict[str, Metric] = _named(
    Metric("dice", "Dice", "%", "higher", 100.0, "overlap"),
    Metric("iou", "IoU", "%", "higher", 100.0, "overlap"),
    Metric("precision", "Precision", "%", "higher", 100.0, shown=False),
    Metric("recall", "Recall", "%", "higher", 100.0, shown=False),
    Metric("hd", "HD", "{unit}", "lower", filled="distance"),
    Metric("hd95", "HD95", "{unit}", "lower", filled="distance"),
    # MONAI's definition; its convention shows it as HD95.
    Metric("hd95_directed", "HD95, directed", "{unit}", "lower", filled="distance", shown=False),
    Metric("assd", "ASSD", "{unit}", "lower", filled="distance"),
    Metric("surface_dice", "Surface Dice", "%", "higher", 100.0, "penalty"),
    Metric("volume_error", "Volume error", "%", "", 100.0, shown=False),
    Metric("nsd", "NSD", "%", "higher", 100.0, "penalty", module="surfaces"),
    Metric("object_f1", "Object F1", "%", "higher", 100.0, "penalty", module="objects"),
    *(
        Metric(name, label, "%", "higher", 100.0, shown=False, module="objects")
        for name, label in (
            ("object_recall", "Object recall"),
            ("object_precision", "Object precision"),
            ("recall_small", "Recall, small objects"),
            ("recall_medium", "Recall, medium objects"),
            ("recall_large", "Recall, large objects"),
        )
    ),
    Metric("missed_objects", "Missed objects", "per case", "lower", shown=False, module="objects"),
    Metric("false_objects", "False objects", "per case", "lower", shown=False, module="objects"),
    Metric("ece", "ECE", "%", "lower", 100.0, shown=False, module="calibration"),
)
"""In the order of the columns of scores.csv."""

MEASURED: tuple[str, ...] = tuple(
    name for name, metric in METRICS.items() if metric.module == "metrics"
)
"""Metrics that every scores.csv has."""

SHOWN: tuple[str, ...] = tuple(name for name, metric in METRICS.items() if metric.shown)
"""Metrics that ``statistics.metrics`` may name."""
EXPLORED: tuple[str, ...] = tuple(name for name, metric in METRICS.items() if metric.better)
"""Metrics that ``statistics.exploratory`` may name."""
DECLARED: tuple[str, ...] = ("dice", "hd95")
"""Metrics of the paper's tables: tested and shown where the configuration names no others."""
DICE = "dice"
"""The metric that chooses weights and cases, and stands for accuracy beside cost."""

SUBGROUPS: tuple[str, ...] = ("diagnosis", "phase", "position", "sequence", "size")
"""Kinds of subgroups that built-in datasets know; others are columns of a dataset of one's own."""

PLAIN = "plain"
"""The network alone: what modules are compared with."""
_CONTROLS = "salstm.modules.controls"
VARIANTS: dict[str, Variant] = _named(
    Variant(
        *(PLAIN, "plain", "", False, "#333a40", "#333a40", "#a9b4bf", "-"),
        macs=(0, 0),
        parameters=0,
    ),
    Variant(
        *("salstm", "SALSTM", "salstm.modules.salstm", True),
        *("#d55e00", "#d55e00", "#ff9147", "-"),
        macs=(2269696, 1655936),
        parameters=1639428,
        recurrent=True,
    ),
    Variant(
        *("lstmsa", "LSTMSA", "salstm.modules.lstmsa", True),
        *("#0072b2", "#0072b2", "#5db4ec", "-"),
        macs=(2294272, 1680512),
        parameters=1664388,
        recurrent=True,
    ),
    Variant(
        *("stack", "stack", _CONTROLS, False, "#cc79a7", "#b0588d", "#e39ac2", "--"),
        macs=(768, 1728),
        parameters=772,
    ),
    Variant(
        *("convlstm", "convlstm", _CONTROLS, False, "#009e73", "#007a59", "#3ccca0", "--"),
        macs=(2253312, 1639552),
        parameters=1639428,
        recurrent=True,
    ),
)
MODULES: tuple[str, ...] = tuple(name for name in VARIANTS if name != PLAIN)
"""Variants that are compared with plain."""
ATTENTION: tuple[str, ...] = tuple(name for name, one in VARIANTS.items() if one.attention)
"""The paper's modules: variants whose attention has a scale."""

IMPORTED = "imported"
"""Before the name of a network whose predictions another program made, and in their record."""
DUPLICATES: tuple[str, ...] = ("refuse", "first", "last")
"""What ``merge`` does with a cell that several results have and that differs: which one it takes."""

SELECTIONS: dict[str, Selection] = _named(
    Selection("last", "last", "last", ""),
    Selection("best_val", "best val", "best on validation", "val"),
    Selection("best_test", "best test", "best on test", "test"),
)

PAPER, STRICT = "paper", "strict"
PROTOCOLS: dict[str, Protocol] = _named(
    Protocol(
        PAPER,
        "transunet",
        "best_test",
        "Weights chosen on the test set, as in the published tables; each dataset under its "
        "family's convention, with neighbours as in the release of SALSTM.",
        {"acdc": "authors", "cvc_clinicdb": "authors"},
    ),
    Protocol(
        STRICT,
        "penalty",
        "best_val",
        "Weights chosen on the validation set; all slices in native size, misses and inventions penalised; only "
        "where the split keeps patients and video sequences whole.",
        whole_groups=True,
    ),
)
