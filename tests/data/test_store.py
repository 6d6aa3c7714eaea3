"""The store gives back what went in, frame by frame, and never leaves half a store behind."""

from __future__ import annotations

import dataclasses
import functools
import json
import math
import pickle
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import ndimage

from salstm.data import store, writing
from salstm.data.case import RawCase, read_cases
from salstm.data.readers import npy
from salstm.data.store import Store
from tests.data.conftest import readings, video, volume, write


def put(folder: Path, cases: object, **over) -> None:
    arguments = {"size": None, "normalise": "none", "source": {}} | over
    splits = arguments.pop("splits", {"a": "train", "b": "val", "c": "test"})
    writing.write(folder, readings(cases), splits, **arguments)  # pyright: ignore[reportArgumentType]


def test_native_store_gives_back_every_voxel_of_differently_sized_volumes(tmp_path):
    raws = [volume("a"), volume("b", 2, 9, 4), volume("c", 1, 3, 11)]
    put(tmp_path / "s", raws)
    opened = Store(tmp_path / "s")
    assert len(opened) == 7
    for raw, case in zip(raws, opened.cases, strict=True):
        np.testing.assert_array_equal(opened.frames(case), raw.image.astype(np.float32))
        np.testing.assert_array_equal(opened.labels(case), raw.label)
        np.testing.assert_array_equal(opened.native(case), raw.label)
    assert [case.first for case in opened.cases] == [0, 4, 6]
    assert [case.split for case in opened.cases] == ["train", "val", "test"]
    assert opened.split("val") == [opened.cases[1]]


@pytest.mark.parametrize(
    "raws", [[volume("a"), volume("b", 2, 9, 4)], [*video("v", 3), *video("w", 2, 5, 9)]]
)
def test_frames_by_global_number_are_the_frames_of_the_cases(tmp_path, raws):
    opened = write(tmp_path / "s", raws)
    number = 0
    for case in opened.cases:
        for index in range(case.depth):
            np.testing.assert_array_equal(opened.frame(number), opened.frames(case)[index])
            np.testing.assert_array_equal(opened.label(number), opened.labels(case)[index])
            number += 1
    assert number == len(opened)


def test_fixed_size_store_holds_scipys_zoom_and_keeps_native_labels(tmp_path):
    raw = volume("a", 3, 13, 21)
    opened = write(tmp_path / "s", [raw], size=16)
    case = opened.cases[0]
    factors = (16 / 13, 16 / 21)
    image = np.stack([ndimage.zoom(s.astype("f4"), factors, order=3) for s in raw.image])  # pyright: ignore[reportCallIssue, reportArgumentType]
    label = np.stack([ndimage.zoom(s, factors, order=0) for s in raw.label])  # pyright: ignore[reportCallIssue, reportArgumentType]
    np.testing.assert_allclose(opened.frames(case), image, rtol=1e-6, atol=1e-3)
    np.testing.assert_array_equal(opened.labels(case), label)
    np.testing.assert_array_equal(opened.native(case), raw.label)
    assert (case.height, case.width, case.native_height, case.native_width) == (16, 16, 13, 21)
    assert opened.frames(case).dtype == np.float32


def test_rgb_store_keeps_bytes_natively_and_clips_the_overshoot_of_a_zoom(tmp_path):
    frames = video("v", 3)
    opened = write(tmp_path / "native", frames)
    for raw, case in zip(frames, opened.cases, strict=True):
        np.testing.assert_array_equal(opened.frames(case), raw.image)
    assert opened.frame(1).shape == (6, 8, 3)
    edge = np.zeros((1, 8, 8, 3), dtype=np.uint8)
    edge[:, :, 4:] = 255
    sharp = RawCase("e", "e", "e", 0, edge, np.zeros((1, 8, 8), np.uint8), None)
    opened = write(tmp_path / "zoomed", [sharp], size=16)
    zoomed = np.asarray(ndimage.zoom(edge[0, :, :, 0].astype(float), 2, order=3))
    assert zoomed.min() < -10  # the cubic zoom overshoots on both sides of the edge
    assert zoomed.max() > 265
    assert opened.frame(0).dtype == np.uint8
    for channel in range(3):
        expected = np.clip(np.rint(zoomed), 0, 255)
        np.testing.assert_array_equal(opened.frame(0)[..., channel], expected)


def test_stack_bounds_cover_the_video_and_not_its_neighbour(tmp_path):
    opened = write(tmp_path / "s", [*video("one", 3), *video("two", 2)])
    assert [opened.stack_bounds(case) for case in opened.cases] == [(0, 2)] * 3 + [(3, 4)] * 2
    assert [case.first for case in opened.cases] == [0, 1, 2, 3, 4]


def test_case_table_survives_a_round_trip_with_and_without_spacing(tmp_path):
    opened = write(tmp_path / "a", [volume("a")])
    assert opened.cases[0].spacing_mm == (10.0, 1.25, 1.5)
    again = read_cases(tmp_path / "a" / "cases.csv")
    assert again == opened.cases
    flat_video = write(tmp_path / "v", video("v", 1)).cases[0]
    assert flat_video.spacing_mm is None
    assert math.isnan(flat_video.spacing_z)


def test_manifest_counts_voxels_by_split_and_gives_ranges_and_hashes(tmp_path):
    raws = [volume("a"), volume("b", 2, 9, 4)]
    put(tmp_path / "s", raws, size=8, source={"files": {"x": 1}})
    manifest = json.loads((tmp_path / "s" / "manifest.json").read_text())
    expected = {str(value): int((raws[0].label == value).sum()) for value in range(4)}
    assert manifest["voxels"]["train"] == expected
    assert sum(manifest["voxels"]["val"].values()) == raws[1].label.size
    assert manifest["voxels"]["test"] == {}
    low, high = min(r.image.min() for r in raws), max(r.image.max() for r in raws)
    assert manifest["intensity"]["raw"] == [low, high]
    assert manifest["source"] == {"files": {"x": 1}}
    assert manifest["parameters"] == {"size": 8, "normalise": "none"}
    for name, entry in manifest["arrays"].items():
        assert entry["sha256"] == npy.sha256(tmp_path / "s" / name)


def test_arrays_are_ordinary_npy_files(tmp_path):
    opened = write(tmp_path / "s", [volume("a")])
    images = np.load(tmp_path / "s" / "images.npy")
    assert images.shape == (4 * 7 * 5,)
    np.testing.assert_array_equal(images.reshape(4, 7, 5), opened.frames(opened.cases[0]))


def test_same_input_gives_the_same_bytes(tmp_path):
    for name in ("one", "two"):
        put(tmp_path / name, [volume("a"), volume("b")], size=8, normalise="minmax99")
    for path in (tmp_path / "one").iterdir():
        assert path.read_bytes() == (tmp_path / "two" / path.name).read_bytes()


@pytest.mark.parametrize("threads", [2, 5])
def test_threads_change_no_byte_and_no_order(tmp_path, threads):
    """Early cases take longest, so that later ones are ready first."""
    raws = [volume(name, depth=9 - number) for number, name in enumerate("abcdefgh")]

    def slow(number: int) -> RawCase:
        time.sleep(0.02 * (len(raws) - number))
        return raws[number]

    parts = dict.fromkeys("abcdefgh", "train")
    put(tmp_path / "one", raws, size=16, splits=parts)
    late = [functools.partial(slow, number) for number in range(len(raws))]
    options: Any = {"size": 16, "normalise": "none", "source": {}, "threads": threads}
    writing.write(tmp_path / "many", late, parts, **options)
    for path in (tmp_path / "one").iterdir():
        assert path.read_bytes() == (tmp_path / "many" / path.name).read_bytes()


def test_a_case_that_fails_in_a_thread_stops_all_and_leaves_nothing(tmp_path):
    def broken() -> RawCase:
        raise ValueError("img0002: damaged")

    read = []
    late = [functools.partial(lambda n: read.append(n) or volume(str(n)), n) for n in range(50)]
    options: Any = {"size": None, "normalise": "none", "source": {}, "threads": 2}
    parts = {str(number): "train" for number in range(50)}
    with pytest.raises(ValueError, match="img0002: damaged"):
        writing.write(tmp_path / "s", [late[0], broken, *late[1:]], parts, **options)
    assert list(tmp_path.iterdir()) == []
    assert len(read) < 10


def test_native_labels_are_compressed_without_loss_and_damage_is_named(tmp_path):
    label = np.zeros((1, 700, 900), np.uint8)
    label[:, 200:500, 300:800] = 1
    raw = RawCase("a", "a", "a", 0, np.zeros((1, 700, 900, 3), np.uint8), label, None)
    opened = write(tmp_path / "s", [raw, *video("b", 2)], size=16)
    for case, expected in zip(opened.cases, [raw, *video("b", 2)], strict=True):
        np.testing.assert_array_equal(opened.native(case), expected.label)
        assert not opened.native(case).flags.writeable
    assert (tmp_path / "s" / "native.npy").stat().st_size < label.size / 100
    content = bytearray((tmp_path / "s" / "native.npy").read_bytes())
    content[-3] ^= 255
    (tmp_path / "s" / "native.npy").write_bytes(bytes(content))
    with pytest.raises(ValueError, match=r"native\.npy, b_1: damaged .*prepare the dataset again"):
        Store(tmp_path / "s").native(opened.cases[-1])


@pytest.mark.parametrize("stop", [KeyboardInterrupt, SystemExit, ValueError])
def test_an_interrupted_write_leaves_nothing(tmp_path, stop):
    def cases():
        yield volume("a")
        raise stop

    with pytest.raises(stop):
        put(tmp_path / "s", cases())
    assert list(tmp_path.iterdir()) == []


def test_an_interrupted_write_leaves_the_older_store_as_it_was(tmp_path):
    put(tmp_path / "s", [volume("a")])
    before = {path.name: path.read_bytes() for path in (tmp_path / "s").iterdir()}

    def cases():
        yield volume("b")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        put(tmp_path / "s", cases())
    assert [path.name for path in tmp_path.iterdir()] == ["s"]
    assert {path.name: path.read_bytes() for path in (tmp_path / "s").iterdir()} == before


def test_a_new_store_replaces_an_old_one_and_what_a_killed_run_left(tmp_path):
    put(tmp_path / "s", [volume("a")])
    (tmp_path / "s.partial").mkdir()
    (tmp_path / "s.partial" / "images.npy").write_bytes(b"half")
    put(tmp_path / "s", [volume("b")])
    assert [case.id for case in Store(tmp_path / "s").cases] == ["b"]
    assert [path.name for path in tmp_path.iterdir()] == ["s"]


def test_what_snakemake_leaves_of_an_old_store_is_replaced(tmp_path):
    """It removes the outputs that the rule declares, and not the labels in native size."""
    put(tmp_path / "s", [volume("a")])
    for name in ("manifest.json", "cases.csv", "images.npy", "labels.npy"):
        (tmp_path / "s" / name).unlink()
    (tmp_path / "s" / "native.npy").touch()
    put(tmp_path / "s", [volume("b")])
    assert [case.id for case in Store(tmp_path / "s").cases] == ["b"]


def test_a_folder_with_other_things_is_not_overwritten(tmp_path):
    (tmp_path / "s").mkdir()
    (tmp_path / "s" / "thesis.tex").write_text("years of work")
    with pytest.raises(FileExistsError, match="not empty and not a store"):
        put(tmp_path / "s", [volume("a")])
    assert (tmp_path / "s" / "thesis.tex").read_text() == "years of work"


def with_(raw: RawCase, **changes) -> RawCase:
    return dataclasses.replace(raw, **changes)


@pytest.mark.parametrize(
    ("cases", "message"),
    [
        ([], "found no cases"),
        ([volume("a"), volume("a")], "appears twice"),
        ([volume("stranger")], "split None; one of train, val, test"),
        ([with_(volume("a"), label=volume("a").label[1:])], r"image \(4, 7, 5\)"),
        ([with_(volume("a"), label=volume("a").label.astype(int))], "label of int64; uint8"),
        ([with_(volume("a"), first=1)], "starts at frame 1 of a, 0 is next"),
        ([with_(volume("a"), image=np.zeros((4, 7, 5, 3)))], "uint8"),
    ],
)
def test_wrong_cases_are_refused_and_leave_nothing(tmp_path, cases, message):
    with pytest.raises(ValueError, match=message):
        put(tmp_path / "s", cases)
    assert list(tmp_path.iterdir()) == []


def test_stacks_must_be_whole_in_order_and_of_one_size(tmp_path):
    one, two = video("a", 2), video("b", 1)
    with pytest.raises(ValueError, match="stack a was interrupted"):
        put(tmp_path / "s", [one[0], *two, one[1]])
    with pytest.raises(ValueError, match="frame 1 of a, 0 is next"):
        put(tmp_path / "s", one[::-1])
    wide = with_(
        one[1], image=np.zeros((1, 6, 9, 3), np.uint8), label=np.zeros((1, 6, 9), np.uint8)
    )
    with pytest.raises(ValueError, match="frames of a stack must have one size"):
        put(tmp_path / "s", [one[0], wide])
    put(tmp_path / "s", [one[0], wide], size=8)  # on a common grid they fit
    with pytest.raises(ValueError, match="1 channels, a_0 has 3"):
        put(tmp_path / "s", [one[0], volume("b")])


def test_grey_normalisation_of_rgb_and_unknown_names_are_refused(tmp_path):
    with pytest.raises(ValueError, match="it is for grey images"):
        put(tmp_path / "s", video("a", 1), normalise="minmax99")
    with pytest.raises(ValueError, match=r"normalise 'minmax9'.*Did you mean minmax99\?"):
        put(tmp_path / "s", [volume("a")], normalise="minmax9")


def test_a_case_named_in_the_split_goes_before_its_group(tmp_path):
    frames = video("a", 3)
    put(tmp_path / "s", frames, splits={"a": "train", "a_1": "test"})
    assert [case.split for case in Store(tmp_path / "s").cases] == ["train", "test", "train"]


def test_opening_says_what_is_wrong_with_a_store(tmp_path):
    with pytest.raises(FileNotFoundError, match="no prepared dataset there"):
        Store(tmp_path)
    write(tmp_path / "s", [volume("a")], size=8)
    manifest = tmp_path / "s" / "manifest.json"
    text = manifest.read_text()
    manifest.write_text(text.replace(f'"format": {store.FORMAT}', '"format": 999'))
    with pytest.raises(ValueError, match="format 999, this program reads"):
        Store(tmp_path / "s")
    manifest.write_text(text)
    images = tmp_path / "s" / "images.npy"
    content = images.read_bytes()
    images.write_bytes(content[:-4])
    with pytest.raises(ValueError, match=f"{len(content) - 4} bytes, not {len(content)}"):
        Store(tmp_path / "s")
    images.unlink()
    with pytest.raises(FileNotFoundError, match=r"images\.npy: missing"):
        Store(tmp_path / "s")


def test_a_case_table_of_another_store_is_noticed(tmp_path):
    write(tmp_path / "s", [volume("a"), volume("b")])
    table = tmp_path / "s" / "cases.csv"
    lines = table.read_text().splitlines()
    table.write_text("\n".join(lines[:-1]) + "\n")
    with pytest.raises(ValueError, match="do not belong together"):
        Store(tmp_path / "s")
    table.write_text("\n".join([lines[0], lines[2]]) + "\n")
    with pytest.raises(ValueError, match="b starts at frame 4, not 0"):
        Store(tmp_path / "s")
    table.write_text(
        "\n".join([lines[0], lines[1].replace("train,a,0,4", "train,a,0,four")]) + "\n"
    )
    with pytest.raises(ValueError, match=r"line 2: .*four"):
        Store(tmp_path / "s")
    table.write_text("id,group\n")
    with pytest.raises(ValueError, match="are expected; prepare the dataset again"):
        Store(tmp_path / "s")


def test_verify_finds_one_flipped_byte(tmp_path):
    write(tmp_path / "s", [volume("a")], size=8)
    assert store.verify(tmp_path / "s") == []
    labels = tmp_path / "s" / "labels.npy"
    content = bytearray(labels.read_bytes())
    content[-1] ^= 1
    labels.write_bytes(bytes(content))
    [problem] = store.verify(tmp_path / "s")
    assert "labels.npy: content differs" in problem


def test_pickling_sends_the_folder_and_not_the_data(tmp_path):
    opened = write(tmp_path / "s", [volume("a", 8, 64, 64)])
    sent = pickle.dumps(opened)
    assert len(sent) < 500
    np.testing.assert_array_equal(pickle.loads(sent).frame(3), opened.frame(3))


def test_views_cannot_change_the_store(tmp_path):
    opened = write(tmp_path / "s", [volume("a")])
    with pytest.raises(ValueError, match="read-only"):
        opened.frame(0)[0, 0] = 1


def test_an_unknown_case_is_named(tmp_path):
    opened = write(tmp_path / "s", [volume("a")])
    assert opened.case("a") is opened.cases[0]
    with pytest.raises(KeyError, match="case 'b': not in"):
        opened.case("b")
