"""The CVC-ClinicDB reader: numeric order, true neighbours, colours, masks above 127."""

from __future__ import annotations

import itertools
import shutil
from pathlib import Path

import numpy as np
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from salstm.data import datasets
from salstm.data.readers import cvc_clinicdb, npy
from salstm.data.store import Store
from salstm.training.windows import Window, Windows


@pytest.fixture
def raw(videos: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(videos, tmp_path / "raw"))


def original(raw: Path, number: int) -> Path:
    return raw / "CVC-ClinicDB" / "Original" / f"{number}.tif"


def truth(raw: Path, number: int) -> Path:
    return raw / "CVC-ClinicDB" / "Ground Truth" / f"{number}.tif"


def bare(folder: Path, numbers: list[int]) -> Path:
    """A raw folder of tiny frames with these numbers."""
    for kind in ("Original", "Ground Truth"):
        (folder / kind).mkdir(parents=True)
    for number in numbers:
        tifffile.imwrite(
            folder / "Original" / f"{number}.tif",
            np.full((3, 4, 3), number % 256, np.uint8),
            photometric="rgb",
        )
        tifffile.imwrite(folder / "Ground Truth" / f"{number}.tif", np.zeros((3, 4), np.uint8))
    return folder


def test_29_sequences_cover_all_612_frames():
    known = cvc_clinicdb.sequences()
    assert list(known) == list(range(1, 613))
    assert sorted(set(known.values())) == list(range(1, 30))
    assert list(known.values()) == sorted(known.values())  # runs, in order
    assert [known[frame] for frame in (25, 26, 67, 68, 78, 79, 592, 612)] == [
        1,
        2,
        3,
        4,
        4,
        5,
        29,
        29,
    ]


def test_frames_are_cases_in_the_order_of_their_numbers(videos):
    cases = list(cvc_clinicdb.cases(videos))
    numbers = [*range(1, 7), 26, 27, 28, 30, 31, *range(51, 57), *range(68, 74)]
    assert [case.id for case in cases] == [f"frame{number:03d}" for number in numbers]
    assert cvc_clinicdb.identities(videos) == [(case.id, case.group) for case in cases]
    assert list(dict.fromkeys(case.group for case in cases)) == [
        f"sequence{number:02d}" for number in range(1, 5)
    ]
    assert {case.image.shape for case in cases} == {(1, 40, 52, 3)}
    assert {case.label.shape for case in cases} == {(1, 40, 52)}


def test_a_gap_inside_a_sequence_starts_a_new_stack(videos):
    """Frame 29 is missing: 28 and 30 are no neighbours."""
    cases = [case for case in cvc_clinicdb.cases(videos) if case.group == "sequence02"]
    assert [(case.id, case.stack, case.first) for case in cases] == [
        ("frame026", "sequence02_from026", 0),
        ("frame027", "sequence02_from026", 1),
        ("frame028", "sequence02_from026", 2),
        ("frame030", "sequence02_from030", 0),
        ("frame031", "sequence02_from030", 1),
    ]


@given(st.sets(st.integers(1, 612), min_size=1, max_size=40))
def test_neighbours_in_a_stack_follow_each_other_in_one_sequence(numbers):
    known = cvc_clinicdb.sequences()
    files = {number: Path(f"{number}.tif") for number in sorted(numbers)}
    frames = cvc_clinicdb.runs(files, Path("masks"))
    for one, other in itertools.pairwise(frames):
        follows = other.number == one.number + 1 and known[other.number] == known[one.number]
        assert (one.run == other.run) == follows
    assert all(frame.run <= frame.number for frame in frames)


def test_two_sequences_that_meet_are_two_stacks(tmp_path):
    raw = bare(tmp_path / "raw", [24, 25, 26, 27])
    assert [case.stack for case in cvc_clinicdb.cases(raw)] == [
        *["sequence01_from024"] * 2,
        *["sequence02_from026"] * 2,
    ]


def test_windows_stay_inside_a_stack(videos, tmp_path):
    split = {"name": "groups", "validation": 0.25, "test": 0.25}
    datasets.prepare("cvc_clinicdb", videos, tmp_path / "s", split=split, size=None)
    store = Store(tmp_path / "s")
    for border in ("replicate", "authors"):
        windows = Windows(store, store.cases, Window(frames=3, border=border, size=40, channels=3))
        for _, numbers, centre in windows._items:
            owner = store._owner[centre]
            assert {store._owner[number].stack for number in numbers} == {owner.stack}
            names = [int(store._owner[number].id[-3:]) for number in numbers]
            reach = 2 if border == "authors" else 1
            assert max(names) - min(names) <= 2
            assert max(abs(name - int(owner.id[-3:])) for name in names) <= reach


def test_colours_are_kept(videos):
    for case in cvc_clinicdb.cases(videos):
        expected = tifffile.imread(original(videos, int(case.id[-3:])))
        np.testing.assert_array_equal(case.image[0], expected)
        assert (expected[..., 0] != expected[..., 2]).any()


def test_masks_are_what_lies_above_127(videos):
    grey = 0
    for case in cvc_clinicdb.cases(videos):
        stored = tifffile.imread(truth(videos, int(case.id[-3:])))
        np.testing.assert_array_equal(case.label[0], stored > 127)
        between = (stored > 0) & (stored < 255)
        grey += bool(between.any())
        if between.any():
            assert (stored > 0).sum() > 1.1 * (stored > 127).sum()
    assert grey > 3  # the phantom has such masks, as the real set has


@pytest.mark.parametrize("place", ["CVC-ClinicDB", ".", "CVC-ClinicDB/TIF", "TIF"])
def test_the_data_are_found_where_the_archives_unpack(videos, tmp_path, place):
    shutil.copytree(videos / "CVC-ClinicDB", tmp_path / "raw" / place)
    assert cvc_clinicdb.find(tmp_path / "raw") == tmp_path / "raw" / place
    assert len(cvc_clinicdb.files(tmp_path / "raw")) == 46


def test_a_missing_folder_says_what_to_get_and_where_to_put_it(tmp_path):
    with pytest.raises(FileNotFoundError) as caught:
        list(cvc_clinicdb.cases(tmp_path / "cvc"))
    for part in (cvc_clinicdb.URL, "CVC-ClinicDB/Ground Truth/1.tif", "same command again"):
        assert part in str(caught.value)


def test_a_missing_mask_is_named(raw):
    truth(raw, 27).unlink()
    with pytest.raises(FileNotFoundError, match=r"Ground Truth/27\.tif: missing"):
        cvc_clinicdb.files(raw)
    with pytest.raises(FileNotFoundError, match=r"Ground Truth/27\.tif: missing"):
        list(cvc_clinicdb.cases(raw))


def test_a_frame_of_no_sequence_is_refused(raw):
    shutil.copy(original(raw, 1), original(raw, 613))
    with pytest.raises(ValueError, match=r"613\.tif: frame 613 is of no known sequence; 1 to 612"):
        cvc_clinicdb.identities(raw)


def test_a_mask_of_another_size_is_refused(raw):
    tifffile.imwrite(truth(raw, 2), np.zeros((3, 3), np.uint8))
    with pytest.raises(ValueError, match=r"2\.tif: \(3, 3\) pixels, its picture has \(40, 52\)"):
        list(cvc_clinicdb.cases(raw))


def test_other_files_are_passed_over(raw):
    (raw / "CVC-ClinicDB" / "Original" / "Thumbs.db").write_bytes(b"")
    (raw / "CVC-ClinicDB" / "Original" / "copy of 1.tif").write_bytes(b"")
    assert len(cvc_clinicdb.identities(raw)) == 23


def test_check_names_missing_frames_gaps_and_sizes(raw):
    truth(raw, 56).unlink()
    problems = cvc_clinicdb.check(raw)
    assert problems[0] == "589 of 612 frames missing: 7-25, 29, 32-50, 57-67, 74-612"
    assert problems[1] == "1 gaps inside sequences: their neighbours are not used"
    frames = "1-6, 26-28, 30-31, 51-56, 68-73"
    assert problems[2] == f"Original: 23 files not the official TIFF by SHA-256: {frames}"
    assert "Ground Truth: 1 files missing: 56" in problems


def test_check_names_the_file_in_which_one_byte_differs(tmp_path, monkeypatch):
    raw = bare(tmp_path / "raw", [3, 4, 5])
    table = {
        number: {"image": npy.sha256(raw / "Original" / f"{number}.tif"),
                 "mask": npy.sha256(raw / "Ground Truth" / f"{number}.tif")}
        for number in (3, 4, 5)
    }  # fmt: skip
    monkeypatch.setattr(cvc_clinicdb, "hashes", lambda: table)
    assert len(cvc_clinicdb.check(raw)) == 1  # the 609 frames that are not there
    changed = raw / "Ground Truth" / "4.tif"
    changed.write_bytes(changed.read_bytes()[:-1] + b"\x01")
    assert cvc_clinicdb.check(raw)[1:] == [
        "Ground Truth: 1 files not the official TIFF by SHA-256: 4"
    ]
    Image.new("RGB", (4, 3)).save(raw / "Original" / "5.png")
    (raw / "Original" / "5.tif").unlink()
    assert (
        "Original: 1 files PNG, which cannot be compared with the official TIFF: 5"
        in cvc_clinicdb.check(raw)
    )


def test_the_official_hashes_are_of_612_different_frames_and_masks():
    table = cvc_clinicdb.hashes()
    assert list(table) == list(range(1, 613))
    digits = {row[column] for row in table.values() for column in ("image", "mask")}
    assert len(digits) == 2 * 612
    assert all(len(one) == 64 and int(one, 16) for one in digits)
