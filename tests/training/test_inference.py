"""Whole cases at once give what one window at a time gives."""

from __future__ import annotations

import dataclasses
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from salstm.data.resize import resize
from salstm.data.square import box, squared
from salstm.data.store import Store
from salstm.modules.wrapper import Attached
from salstm.parameters import Choice
from salstm.recipes import Recipe
from salstm.training.inference import View, logits, predict, to_labels
from salstm.training.loader import windows
from salstm.training.model import assemble
from salstm.training.windows import network_input


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


@pytest.mark.parametrize(
    ("way", "restore"), [("pad", "logits"), ("before", "logits"), ("pad", "labels")]
)
def test_logits_are_enlarged_before_they_become_labels_where_the_recipe_says_so(
    tmp_path, recipe, way, restore
):
    """On frames of 24 x 32 in a network of 16: unpadded, brought to the stored grid, then cut at zero."""
    from salstm.data import datasets, phantoms

    phantoms.cvc_clinicdb(tmp_path / "raw", sequences=3, frames=4, seed=0)
    split = {"name": "groups", "validation": 0.34, "test": 0.34, "seed": 0}
    datasets.prepare("cvc_clinicdb", tmp_path / "raw", tmp_path / "cases", split=split, size=None)
    store = Store(tmp_path / "cases")
    case = store.split("test")[0]
    options = {"activation": "sigmoid", "loss": Choice.of({"name": "bce"}), "frames": 1}
    recipe = replace(recipe, **options, border=None, resize=way, restore=restore)
    torch.manual_seed(0)
    network = nn.Conv2d(3, 1, 3, padding=1)
    model = assemble(lambda **k: network, recipe, variant="plain", channels=3, classes=1, seed=0)
    view = View.of(recipe, 3)
    frame, size = store.frame(case.first), (case.height, case.width)
    square, _ = squared(frame[None], store.label(case.first), recipe.size, way)
    with torch.no_grad():
        whole = network(torch.from_numpy(network_input(square, view)))
    place = box(*size, recipe.size, way)
    whole = whole[:, :, place.top : place.top + place.height, place.left :][..., : place.width]
    ranked = whole.flatten().sort()[0]
    cut = (ranked[len(ranked) // 2] + ranked[len(ranked) // 2 - 1]) / 2  # of no pixel
    assert network.bias is not None
    network.bias.data -= cut  # half of the picture is foreground
    whole = whole - cut
    if restore == "logits":
        bigger = torch.nn.functional.interpolate(whole, size, mode="bilinear", align_corners=False)
        expected = (bigger[0, 0] > 0).numpy()
    else:
        expected = resize((whole[0] > 0).numpy().astype(np.uint8), *size, 0)[0] > 0
    ((_, labels),) = predict(model, store, [case], view, torch.device("cpu"))
    assert labels.shape == (1, *size)
    assert 0.2 < labels.mean() < 0.8
    assert (labels[0] != expected).mean() < 1e-3  # another order of rounding


def test_one_channel_is_cut_at_zero_and_several_at_the_largest():
    one = torch.tensor([[[[-1.0, 0.0, 2.0]]]])
    assert to_labels(one).tolist() == [[[0, 0, 1]]]
    two = torch.tensor([[[[0.0, 3.0]], [[1.0, 2.0]]]])
    assert to_labels(two).tolist() == [[[1, 0]]]
