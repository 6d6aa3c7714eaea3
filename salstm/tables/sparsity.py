"""How sparse the attention's output is, layer by layer."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from salstm.analysis.results import Collected, dataset_name, network_name
from salstm.tables.layout import Cell, Column, Row, Table, number
from salstm.vocabulary import ATTENTION, VARIANTS

MODELS = {name: VARIANTS[name].label for name in ATTENTION} | {"attention": "self-attention"}
MEASURES = {"l1": "L1 per entry", "ratio": "L1 / L2"}
DEFINITION = (
    "Layer l is the trained module applied l + 1 times: the mean of its two directions' outputs is the next layer's "
    "frame (the layers share their weights; nothing was trained for this). Self-attention is the module's attention "
    "with Q = K = V = the frame, without a ConvLSTM, on the features of the first module's network.",
    "L1 per entry: mean absolute value of the attention's output at the middle frame; SALSTM's is below 1 by "
    "construction. L1 / L2: L1 norm over L2 norm and the root of the number of entries, 1 where all entries are "
    "equally large. Where the first falls and the second does not, the output shrinks and does not get sparser.",
    "The paper's figure names no definition, network or data: compare shapes, not values.",
)


def build(data: Collected, cards: Mapping[str, Any], dataset: str) -> Table | None:
    """The table of a dataset, a model and split a row; None if nothing was measured."""
    rows = data.of(dataset).sparsity
    if rows.empty:
        return None
    means = rows.groupby(["model", "split", "layer"], sort=False)[list(MEASURES)].agg(
        ["mean", "std"]
    )
    layers = sorted(rows["layer"].unique())
    columns = [Column(name, str(layer)) for name in MEASURES.values() for layer in layers]
    table = []
    for model in MODELS:
        for split in dict.fromkeys(rows.loc[rows["model"] == model, "split"]):
            by_layer = [means.loc[(model, split, layer)] for layer in layers]
            cells = [_cell(one[measure]) for measure in MEASURES for one in by_layer]
            table.append(Row((MODELS[model], split), tuple(cells)))
    cases = rows.drop_duplicates(["split", "case"]).groupby("split", sort=False).size()
    network = network_name(str(rows["baseline"].iloc[0]), cards)
    counted = ", ".join(f"{count} {split}" for split, count in cases.items())
    first = f"n = {counted} cases (± sd between them), {network}, seed {rows['seed'].iloc[0]}, best_val weights."
    title = f"{dataset_name(dataset)}: attention's output by layer"
    heads = ("Model", "Split")
    return Table(
        f"{dataset}_sparsity", title, heads, tuple(columns), tuple(table), (first, *DEFINITION)
    )


def said(data: Collected, dataset: str) -> str:
    """What was found, in words: from the first layer to the last; nothing if nothing was measured."""
    rows = data.of(dataset).sparsity
    parts = []
    for model, name in MODELS.items():
        means = rows[(rows["model"] == model) & (rows["split"] == "test")].groupby("layer")
        ends = means[list(MEASURES)].mean().iloc[[0, -1]] if len(means) else None
        if ends is not None:
            size, ratio = (ends[one].tolist() for one in MEASURES)
            moved = f"{name} {number(size[0], 3)} to {number(size[1], 3)}"
            parts.append(f"{moved} (L1 / L2 {number(ratio[0])} to {number(ratio[1])})")
    return (
        f"L1 per entry from the first layer to the last, test: {'; '.join(parts)}." if parts else ""
    )


def _cell(values: Any) -> Cell:
    mean, sd = float(values["mean"]), float(values["std"])
    return Cell(number(mean, 3), mean, "" if math.isnan(sd) else number(sd, 3))
