"""The list of raw files: what changes is noticed, what only looks changed is not."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from salstm.data.acquire import listing
from salstm.files import read_json, write_json
from tests.data.acquire.test_archives import everything

MASK = "ISIC2018_Task1_Training_GroundTruth/{}_segmentation.png"
IMAGE = "ISIC2018_Task1-2_Training_Input/{}.jpg"


@pytest.fixture
def raw(lesions: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Eight lesions in a folder that has been listed."""
    folder = Path(shutil.copytree(lesions, tmp_path / "raw"))
    monkeypatch.setattr(listing, "CACHE", tmp_path / "cache.json")
    listing._known.cache_clear()
    listing.write(tmp_path / "raw.json", "isic2018", folder)
    return folder


def seen(raw: Path) -> str:
    return listing.seen("isic2018", raw, raw.with_name("raw.json"))


def names(raw: Path) -> list[str]:
    return sorted(path.stem for path in (raw / IMAGE).parent.glob("ISIC_*.jpg"))


def test_the_list_has_every_file_with_size_and_time(raw):
    entries = read_json(raw.with_name("raw.json"))["files"]
    on_disk = {name: content for name, content in everything(raw).items() if "ISIC_" in name}
    assert entries.keys() == on_disk.keys()
    for name, content in on_disk.items():
        assert entries[name]["size"] == len(content)
        assert entries[name]["modified"] == os.stat(raw / name).st_mtime_ns  # noqa: PTH116


def test_nothing_has_changed_as_long_as_nothing_changes(raw):
    assert seen(raw) == listing.NONE
    assert listing.seen("isic2018", raw, raw / "nowhere.json") == listing.NONE


def test_a_file_repaired_in_place_is_noticed_though_its_size_is_the_same(raw):
    path = raw / MASK.format(names(raw)[3])
    content = path.read_bytes()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    assert seen(raw).startswith(f"1 changed: {path.relative_to(raw)} (")


def test_a_touched_or_copied_folder_has_not_changed_and_is_compared_once(raw, monkeypatch):
    for path in raw.rglob("*"):
        os.utime(path, ns=(1, 1))
    assert seen(raw) == listing.NONE
    monkeypatch.setattr(listing, "_hash", lambda path: pytest.fail("compared again"))
    assert seen(raw) == listing.NONE


def test_a_case_added_or_removed_is_noticed_and_a_foreign_file_is_not(raw):
    (raw / MASK.format("readme")).with_suffix(".txt").write_text("not a case")
    assert seen(raw) == listing.NONE
    first = names(raw)[0]
    for place in (IMAGE, MASK):
        shutil.copy(raw / place.format(first), raw / place.format("ISIC_9999999"))
    assert seen(raw).startswith("2 added: ISIC2018_Task1-2_Training_Input/ISIC_9999999.jpg, ")
    for place in (IMAGE, MASK):
        (raw / place.format("ISIC_9999999")).unlink()
        (raw / place.format(first)).unlink()
    assert seen(raw).startswith("2 removed: ")


def test_what_fetch_was_told_is_what_the_next_plan_tells(raw):
    """Else the same command would fetch again and again."""
    path = raw / MASK.format(names(raw)[0])
    told = set()
    for number in range(3):
        path.write_bytes(path.read_bytes() + b"!")
        told.add(changes := seen(raw))
        assert "1 changed" in changes, number
        listing.write(raw.with_name("raw.json"), "isic2018", raw, changes)
        assert seen(raw) == changes
    assert len(told) == 3  # one file changed, three times: the plan must see three values


def test_data_that_are_gone_altogether_have_not_changed(raw):
    shutil.rmtree(raw)
    assert seen(raw) == listing.NONE


def test_a_mask_that_is_missing_is_a_change_for_fetch_to_name(raw):
    (raw / MASK.format(names(raw)[2])).unlink()
    assert "1 removed" in seen(raw)


def test_deep_finds_what_kept_its_size_and_time(raw):
    path = raw / IMAGE.format(names(raw)[1])
    stat, content = path.stat(), path.read_bytes()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    listed = read_json(raw.with_name("raw.json"))
    assert listing.changes("isic2018", raw, listed) == {}
    name = path.relative_to(raw).as_posix()
    assert listing.deep_changes("isic2018", raw, listed) == {name: "changed"}


def test_a_list_of_another_format_is_refused_by_name(tmp_path):
    write_json(tmp_path / "raw.json", {"a.jpg": {"size": 1, "sha256": "0"}})
    with pytest.raises(ValueError, match=r"raw\.json: not a list of raw files; run fetch again"):
        listing.files(tmp_path / "raw.json")
