"""Whole cases at once give what one window at a time gives."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from salstm.batches import windows
from salstm.data.store import Store
from salstm.inference import View, logits, predict, to_labels
from salstm.model import assemble


@pytest.mark.parametrize("variant", ["plain", "salstm", "lstmsa", "stack", "convlstm"])
@pytest.mark.parametrize("frames", [1, 3])
def test_a_case_equals_its_windows_one_at_a_time(cases_folder, recipe, variant, frames):
    if variant == "plain":
        frames = 1
    recipe.update(frames=frames, augment="none", batch=3)
    network = nn.Conv2d(1, 4 if variant == "plain" else 64, 3, padding=1)
    model = assemble(
        lambda **k: network, recipe, variant=variant, channels=1, classes=3, seed=0
    ).eval()
    store = Store(cases_folder)
    case = store.split("test")[1]
    view = View.of(recipe, 1)
    with torch.no_grad():
        single = torch.cat(
            [model(item["image"][None]) for item in windows(store, [case], recipe, 0)]
        )
    whole = torch.cat(list(logits(model, store, [case], view, torch.device("cpu"))))
    assert torch.allclose(whole, single, atol=1e-5)
    ((predicted, labels),) = predict(model, store, [case], view, torch.device("cpu"))
    assert predicted is case
    assert labels.dtype == np.uint8
    assert np.array_equal(labels, single.argmax(1).numpy())


def test_every_frame_passes_the_network_once(cases_folder, recipe):
    seen = 0

    class Counting(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Conv2d(1, 64, 1)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            nonlocal seen
            seen += len(x)
            return self.layer(x)

    model = assemble(
        lambda **k: Counting(), recipe, variant="salstm", channels=1, classes=3, seed=0
    ).eval()
    store = Store(cases_folder)
    case = store.split("test")[0]
    list(logits(model, store, [case], View.of(recipe, 1), torch.device("cpu")))
    assert seen == case.depth


def test_one_channel_is_cut_at_zero_and_several_at_the_largest():
    one = torch.tensor([[[[-1.0, 0.0, 2.0]]]])
    assert to_labels(one).tolist() == [[[0, 0, 1]]]
    two = torch.tensor([[[[0.0, 3.0]], [[1.0, 2.0]]]])
    assert to_labels(two).tolist() == [[[1, 0]]]
