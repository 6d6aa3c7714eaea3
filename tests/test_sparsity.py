"""Stacked modules: the measures by hand, the layers one call of the module at a time, and what is said of them."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from salstm import sparsity
from salstm.analysis import results
from salstm.data.store import Store
from salstm.recipes import Recipe
from salstm.tables import sparsity as table
from salstm.training.inference import View
from salstm.training.model import assemble
from tests import synthetic
from tests.synthetic import Made


def model(recipe: Recipe, variant: str = "salstm"):
    network = nn.Conv2d(1, 64, 3, padding=1)
    options = {"variant": variant, "channels": 1, "classes": 3, "seed": 0}
    return assemble(lambda **_: network, recipe, **options).eval()


def test_the_measures_of_known_maps():
    frames = torch.zeros(1, 2, 2, 2)
    maps = iter(
        [torch.tensor([3.0, -4.0, 0, 0, 0, 0, 0, 0]), torch.full((8,), -0.5), torch.zeros(8)]
    )

    def step(_):
        return next(maps).view(1, 2, 2, 2), frames

    found = list(sparsity.measure(step, frames, 3))
    assert found[0] == pytest.approx((7 / 8, 7 / (5 * math.sqrt(8))))
    assert found[1] == pytest.approx((0.5, 1.0))
    assert found[2][0] == 0
    assert math.isnan(found[2][1])


@pytest.mark.parametrize("variant", ["salstm", "lstmsa"])
def test_a_layer_is_the_trained_module_read_before_its_last_convolution(recipe, variant):
    head: Any = model(recipe, variant).head
    frames = torch.randn(3, 64, 5, 6, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        output, following = sparsity.module(head)(frames)
        for previous, centre, after in ((0, 0, 1), (0, 1, 2), (1, 2, 2)):
            one = [frames[at : at + 1] for at in (previous, centre, after)]
            logits = head.conv(output[centre : centre + 1])
            assert torch.allclose(logits, head(*one), atol=1e-5)
    assert torch.equal(following, (output[:, :64] + output[:, 64:]) / 2)


def test_a_network_without_a_module_is_refused(recipe):
    with pytest.raises(ValueError, match="found a Stack; the cells of salstm and lstmsa"):
        sparsity.module(model(recipe, "stack").head)


def test_self_attention_is_a_softmax_over_channels():
    x = torch.randn(2, 4, 3, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    output, following = sparsity.attention(9)(x)
    for one, found in zip(x.reshape(2, 4, 9).numpy(), output.reshape(2, 4, 9).numpy(), strict=True):
        scores = np.exp(one @ one.T / 3)
        assert found == pytest.approx(scores / scores.sum(1, keepdims=True) @ one)
    assert torch.equal(output, following)


def test_cases_are_spread_over_the_split_and_none_is_asked_for_twice(cases_folder):
    store = Store(cases_folder)
    train = store.split("train")
    assert sparsity.chosen(store, "train", 2) == [train[0], train[-1]]
    assert sparsity.chosen(store, "train", 99) == train


@pytest.mark.parametrize("frames", [1, 3])
def test_rows_of_a_stack(cases_folder, recipe, frames):
    recipe = replace(recipe, frames=frames)
    built, store = model(recipe), Store(cases_folder)
    steps = {"salstm": sparsity.module(built.head), "attention": sparsity.attention(7744)}
    view = View.of(recipe, 1)
    rows = sparsity.rows(steps, built, store, view, torch.device("cpu"), layers=3, count=1)
    found: Any = pd.DataFrame(rows)
    assert len(found) == 2 * 2 * 3
    assert found["layer"].tolist()[:3] == [0, 1, 2]
    assert set(found["split"]) == {"train", "test"}
    bounded = found[found["model"] == "salstm"]
    assert bounded["l1"].between(0, 1).all()  # a mean of values between -1 and 1
    assert found["ratio"].between(0, 1).all()
    case = sparsity.chosen(store, "test", 1)[0]
    maps = sparsity.maps(built, store, case, view, torch.device("cpu"))
    assert maps.shape == (frames, 64, 32, 32)


def test_the_table_has_the_means_over_cases_and_says_where_they_go(tmp_path):
    data = results.read(synthetic.collect(tmp_path, Made()))
    made = table.build(data, synthetic.cards(), "acdc")
    assert made is not None
    assert [row.labels for row in made.rows][:2] == [("SALSTM", "train"), ("SALSTM", "test")]
    assert [cell.text for cell in made.rows[0].cells[:4]] == ["0.550", "0.300", "0.217", "0.175"]
    assert made.rows[0].cells[0].sd == f"{0.1 / math.sqrt(2):.3f}"
    assert made.notes[0].startswith("n = 2 train, 2 test cases")
    assert "SALSTM 0.550 to 0.175 (L1 / L2 0.80 to 0.80)" in table.said(data, "acdc")
    assert table.build(data, synthetic.cards(), "isic2018") is None
    assert table.said(data, "isic2018") == ""
