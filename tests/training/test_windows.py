"""Windows: the right neighbours, the same draw for frames and label, the same item every time."""

from __future__ import annotations

import dataclasses
import tempfile
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage
from torch.utils.data import DataLoader

from salstm.data.augment.registry import rotflip
from salstm.data.case import RawCase
from salstm.data.store import Store
from salstm.training.windows import Window, Windows, neighbours, network_input
from tests.data.conftest import video, volume, write
from tests.data.draws import AUGMENTATIONS


def windows(store: Store, **over) -> Windows:
    arguments = {"frames": 3, "border": "replicate", "size": 8, "channels": 1} | over
    cases = arguments.pop("cases", store.cases)
    more = {key: arguments.pop(key) for key in ("augment", "seed") if key in arguments}
    return Windows(store, cases, Window(**arguments), **more)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return write(tmp_path / "s", [volume("a", 4), volume("b", 5)], size=8, normalise="minmax99")


@pytest.mark.parametrize(
    ("border", "frame", "expected"),
    [
        ("replicate", 10, (10, 10, 11)),
        ("replicate", 12, (11, 12, 13)),
        ("replicate", 15, (14, 15, 15)),
        ("authors", 10, (10, 10, 12)),
        ("authors", 11, (10, 11, 12)),
        ("authors", 14, (13, 14, 15)),
        ("authors", 15, (13, 15, 15)),
    ],
)
def test_neighbours_in_a_stack_of_frames_10_to_15(border, frame, expected):
    assert neighbours(frame, 10, 15, border) == expected


def test_authors_border_needs_three_frames():
    assert [neighbours(k, 4, 6, "authors") for k in (4, 5, 6)] == [(4, 4, 6), (4, 5, 6), (4, 6, 6)]
    assert [neighbours(k, 4, 5, "authors") for k in (4, 5)] == [(4, 4, 5), (4, 5, 5)]
    assert neighbours(4, 4, 4, "authors") == (4, 4, 4)
    assert neighbours(4, 4, 4, "replicate") == (4, 4, 4)


def test_neighbours_refuses_what_makes_no_sense():
    with pytest.raises(ValueError, match="frame 3: outside its stack, which has frames 4 to 9"):
        neighbours(3, 4, 9, "replicate")
    with pytest.raises(ValueError, match=r"border 'author'.*Did you mean authors\?"):
        neighbours(4, 4, 9, "author")


stacks = st.lists(st.lists(st.integers(1, 4), min_size=1, max_size=3), min_size=1, max_size=4)


@settings(max_examples=40, deadline=None)
@given(stacks, st.sampled_from(["replicate", "authors"]))
def test_no_window_crosses_a_stack_and_interior_ones_have_true_neighbours(depths, border):
    """Stacks of several cases; each frame's value is 100 x stack + its place in the stack."""
    cases = []
    for number, parts in enumerate(depths, start=1):
        first = 0
        for part, depth in enumerate(parts):
            values = 100.0 * number + np.arange(first, first + depth)
            image = np.broadcast_to(values[:, None, None], (depth, 2, 2))
            label = np.zeros((depth, 2, 2), np.uint8)
            cases.append(RawCase(f"{number}.{part}", "g", f"s{number}", first, image, label, None))
            first += depth
    with tempfile.TemporaryDirectory() as folder:
        store = write(Path(folder) / "s", [dataclasses.replace(case) for case in cases])
        items = list(iter_items(windows(store, size=2, border=border)))
    assert len(items) == sum(sum(parts) for parts in depths)
    for item in items:
        before, centre, after = (divmod(int(value), 100) for value in item["image"][:, 0, 0, 0])
        length = sum(depths[centre[0] - 1])
        assert before[0] == centre[0] == after[0]
        assert f"{centre[0]}." in item["case"]
        if 0 < centre[1] < length - 1:
            assert (before[1], after[1]) == (centre[1] - 1, centre[1] + 1)
        else:
            assert before[1] <= centre[1] <= after[1]
            shifted = border == "authors" and length >= 3
            assert after[1] - before[1] == (2 if shifted else min(1, length - 1))


def iter_items(items: Windows):
    return (items[index] for index in range(len(items)))


def test_an_item_has_the_documented_shapes_types_and_values(store):
    item = windows(store, cases=[store.cases[1]], border="authors")[0]
    assert item["image"].shape == (3, 1, 8, 8)
    assert item["image"].dtype == torch.float32
    assert item["label"].shape == (8, 8)
    assert item["label"].dtype == torch.int64
    assert (item["case"], item["frame"]) == ("b", 4)
    for place, number in enumerate((4, 4, 6)):
        np.testing.assert_array_equal(item["image"][place, 0], store.frame(number))
    np.testing.assert_array_equal(item["label"], store.label(4))


def test_every_frame_of_the_chosen_cases_is_one_item(store):
    items = list(iter_items(windows(store, cases=store.cases[::-1])))
    assert [item["frame"] for item in items] == [4, 5, 6, 7, 8, 0, 1, 2, 3]


def test_one_frame_is_the_centre_alone(store):
    items = windows(store, frames=1)
    assert items[2]["image"].shape == (1, 1, 8, 8)
    np.testing.assert_array_equal(items[2]["image"][0, 0], store.frame(2))


def test_grey_is_repeated_for_three_channels_and_normalised(store):
    image = windows(store, channels=3, normalise=(0.5, 0.25))[1]["image"]
    assert image.shape == (3, 3, 8, 8)
    for channel in range(3):
        np.testing.assert_allclose(image[1, channel], (store.frame(1) - 0.5) / 0.25, rtol=1e-6)
    image = windows(store, channels=3, normalise=([0.1, 0.2, 0.3], [1, 2, 4]))[1]["image"]
    np.testing.assert_allclose(image[1, 2], (store.frame(1) - 0.3) / 4, rtol=1e-5)


def test_rgb_goes_channels_first_between_zero_and_one(tmp_path):
    store = write(tmp_path / "v", video("v", 3, height=8, width=8))
    item = windows(store, channels=3)[1]
    assert item["image"].shape == (3, 3, 8, 8)
    np.testing.assert_allclose(item["image"][0, 2], store.frame(0)[..., 2] / 255, rtol=1e-6)
    with pytest.raises(ValueError, match="the frames are RGB; set channels to 3"):
        windows(store, channels=1)


def test_another_size_is_zoomed_after_the_augmentation_as_the_authors_do(tmp_path):
    store = write(tmp_path / "s", [volume("a", 3, 24, 31)], normalise="minmax99")
    items = windows(store, size=20, augment=rotflip, seed=5)
    for index in range(3):
        frames = np.stack([store.frame(n) for n in neighbours(index, 0, 2, "replicate")])
        draw = np.random.default_rng([5, 0, index])
        frames, label = rotflip(frames, store.label(index), draw)
        factors = (20 / label.shape[0], 20 / label.shape[1])
        expected = np.stack([np.asarray(ndimage.zoom(one, factors, order=3)) for one in frames])
        np.testing.assert_allclose(items[index]["image"][:, 0], expected, atol=1e-6)
        truth = ndimage.zoom(np.ascontiguousarray(label), factors, order=0)
        np.testing.assert_array_equal(items[index]["label"], truth)


def test_items_differ_between_epochs_and_seeds_and_repeat_otherwise(store):
    items = windows(store, augment=rotflip, seed=1)
    first = [item["image"] for item in iter_items(items)]
    items.set_epoch(1)
    assert not all(
        torch.equal(a["image"], b) for a, b in zip(iter_items(items), first, strict=True)
    )
    items.set_epoch(0)
    assert all(torch.equal(a["image"], b) for a, b in zip(iter_items(items), first, strict=True))
    other = windows(store, augment=rotflip, seed=2)
    assert not all(
        torch.equal(a["image"], b) for a, b in zip(iter_items(other), first, strict=True)
    )


def test_an_item_does_not_depend_on_what_was_read_before(store):
    items = windows(store, augment=rotflip, seed=3)
    forward = {k: items[k] for k in range(len(items))}
    backward = {k: items[k] for k in reversed(range(len(items)))}
    for k, item in forward.items():
        assert torch.equal(item["image"], backward[k]["image"])
        assert torch.equal(item["label"], backward[k]["label"])
    assert torch.equal(items[-1]["image"], forward[len(items) - 1]["image"])
    with pytest.raises(IndexError):
        items[len(items)]


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_two_workers_that_outlive_an_epoch_give_the_items_of_none(store):
    items = windows(store, augment=rotflip, seed=4)
    alone = DataLoader(items, batch_size=2, num_workers=0)
    workers = DataLoader(items, batch_size=2, num_workers=2, persistent_workers=True)
    seen = []
    for epoch in (0, 1):
        items.set_epoch(epoch)
        for one, other in zip(alone, workers, strict=True):
            assert torch.equal(one["image"], other["image"])
            assert torch.equal(one["label"], other["label"])
            assert one["case"] == other["case"]
            seen.append(one["image"])
    half = len(seen) // 2
    assert not all(torch.equal(a, b) for a, b in zip(seen[:half], seen[half:], strict=True))


def test_writing_to_an_item_leaves_the_store_alone(store):
    before = store.frame(0).copy()
    for augment in (None, *AUGMENTATIONS.values()):
        item = windows(store, augment=augment)[0]
        item["image"].fill_(-1)
        item["label"].fill_(9)
    np.testing.assert_array_equal(store.frame(0), before)
    assert store.label(0).max() < 9


@pytest.mark.parametrize(
    ("over", "message"),
    [
        ({"cases": []}, "no cases; the split is empty"),
        ({"frames": 2}, "frames is 2; 1 and 3"),
        ({"channels": 2}, "channels is 2; 1 and 3"),
        ({"border": "mirror"}, "border 'mirror'"),
    ],
)
def test_wrong_arguments_are_refused(store, over, message):
    with pytest.raises(ValueError, match=message):
        windows(store, **over)


def test_a_deviation_of_zero_is_refused():
    window = Window(frames=1, size=4, channels=1, normalise=(0.5, 0))
    with pytest.raises(ValueError, match="standard deviation 0"):
        network_input(np.zeros((1, 4, 4), np.float32), window)
