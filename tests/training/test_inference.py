"""Whole cases at once give what one window at a time gives."""

from __future__ import annotations

import dataclasses
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from salstm.data.store import Store
from salstm.modules.wrapper import Attached
from salstm.recipes import Recipe
from salstm.training.inference import View, logits, predict, to_labels
from salstm.training.loader import windows
from salstm.training.model import assemble


@pytest.mark.parametrize("variant", ["plain", "salstm", "lstmsa", "stack", "convlstm"])
@pytest.mark.parametrize(("frames", "border"), [(1, "authors"), (3, "authors"), (3, "replicate")])
def test_a_case_equals_its_windows_one_at_a_time(cases_folder, recipe, variant, frames, border):
    if variant == "plain":
        frames = 1
    recipe = replace(recipe, frames=frames, border=border, augment="none", batch=3)
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


class Counting(nn.Module):
    """Notes how many frames pass at once."""

    def __init__(self, largest: int = 1000) -> None:
        super().__init__()
        self.layer = nn.Conv2d(1, 64, 3, padding=1)
        self.passes: list[int] = []
        self.largest = largest

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.passes.append(len(x))
        if len(x) > self.largest:
            raise torch.OutOfMemoryError("fake")
        return self.layer(x)


def counted(recipe: Recipe, variant: str, **options) -> tuple[Counting, Attached]:
    network = Counting(**options)
    model = assemble(
        lambda **k: network, recipe, variant=variant, channels=1, classes=3, seed=0
    ).eval()
    return network, model


@pytest.mark.parametrize("variant", ["salstm", "lstmsa"])
@pytest.mark.parametrize("frames", [1, 3])
def test_every_frame_passes_the_network_once_in_batches(cases_folder, recipe, variant, frames):
    network, model = counted(replace(recipe, frames=frames), variant)
    store = Store(cases_folder)
    case = store.split("test")[0]
    view = View.of(replace(recipe, frames=frames, batch=3), 1)
    list(logits(model, store, [case], view, torch.device("cpu")))
    assert sum(network.passes) == case.depth
    assert network.passes == [3] * (case.depth // 3) + [case.depth % 3] * (case.depth % 3 > 0)


@pytest.mark.parametrize("variant", ["salstm", "lstmsa"])
def test_frames_of_a_video_pass_once_although_each_is_a_case(cases_folder, recipe, variant):
    """As in CVC-ClinicDB: cases of one frame, whose neighbours are other cases, one of them of another split."""
    store = Store(cases_folder)
    volume = max(store.cases, key=lambda case: case.depth)
    assert volume.depth >= 4
    video = [
        dataclasses.replace(volume, id=f"frame{place}", first=volume.first + place, depth=1)
        for place in range(volume.depth)
    ]
    asked = [*video[:2], *video[3:]]
    network, model = counted(recipe, variant)
    found = {
        case.id: labels
        for case, labels in predict(model, store, asked, View.of(recipe, 1), torch.device("cpu"))
    }
    assert sum(network.passes) == volume.depth, "the frame between is a neighbour of two"
    ((_, whole),) = predict(model, store, [volume], View.of(recipe, 1), torch.device("cpu"))
    assert list(found) == [case.id for case in asked]
    for place in (0, 1, *range(3, volume.depth)):
        assert np.array_equal(found[f"frame{place}"], whole[place : place + 1])


def test_when_the_memory_runs_out_fewer_frames_pass_and_the_labels_are_the_same(
    cases_folder, recipe, caplog
):
    store = Store(cases_folder)
    network, model = counted(recipe, "salstm")
    cases = store.split("test")
    view = View.of(recipe, 1)
    device = torch.device("cpu")
    whole = [labels for _, labels in predict(model, store, cases, view, device)]
    network.largest = 3
    again = [labels for _, labels in predict(model, store, cases, view, device)]
    assert all(np.array_equal(one, two) for one, two in zip(whole, again, strict=True))
    assert caplog.text.count("predicting 2 frames at a time from now on") == 1
    network.largest = 0
    with pytest.raises(torch.OutOfMemoryError):
        list(predict(model, store, cases, view, device))


def test_one_channel_is_cut_at_zero_and_several_at_the_largest():
    one = torch.tensor([[[[-1.0, 0.0, 2.0]]]])
    assert to_labels(one).tolist() == [[[0, 0, 1]]]
    two = torch.tensor([[[[0.0, 3.0]], [[1.0, 2.0]]]])
    assert to_labels(two).tolist() == [[[1, 0]]]
