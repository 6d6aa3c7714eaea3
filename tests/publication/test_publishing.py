"""A published archive gives the same verdicts, byte for byte, and nothing but what belongs into one is read."""

from __future__ import annotations

import json
import shutil
import stat
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from salstm.columns import COLLECTED, JUDGED
from salstm.publication import archive, description, members, publishing, reanalysis, sources
from salstm.publication.archive import RefusedError
from salstm.publication.sources import Publication
from tests import synthetic
from tests.publication import conftest

TABLES = [f"{name}.csv" for name in (*COLLECTED, *JUDGED)]


def refuse(_: Path) -> dict:
    raise AssertionError("an archive describes itself")


@pytest.fixture(scope="module")
def published(made_results: Path, claims: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    files = {**dict(members.below(made_results, weights=False)), members.CLAIMS: claims}
    out = tmp_path_factory.mktemp("published") / "small.zip"
    publishing.write(Publication("here", conftest.said(made_results), files), out)
    return out


def laid_out(path: Path, tmp_path: Path) -> Path:
    """The archive in a folder like a run's."""
    found = sources.opened(path, tmp_path / "unpacked", refuse, tmp_path / "none")
    with publishing.whole(tmp_path / "again") as folder:
        publishing.lay_out(found, folder)
    return tmp_path / "again"


def test_the_archive_alone_gives_the_same_bytes(published, one_run, tmp_path):
    collected = reanalysis.judge(laid_out(published, tmp_path))
    for name in TABLES:
        assert (collected / name).read_bytes() == (one_run / name).read_bytes(), name
    assert len((one_run / "comparisons.csv").read_text().splitlines()) == 1 + 3 * 2


def test_what_was_reanalysed_can_be_published_and_reanalysed(published, tmp_path):
    again = laid_out(published, tmp_path)
    collected = again / "results/small/collected/small"
    collected.mkdir(parents=True)
    (collected / "cost.csv").write_text("made of the others")
    second = tmp_path / "second.zip"
    found = sources.opened(again, tmp_path / "unused", refuse, tmp_path / "none")
    publishing.write(found, second)
    with zipfile.ZipFile(published) as one, zipfile.ZipFile(second) as other:
        assert set(one.namelist()) == set(other.namelist())
        for name in one.namelist():
            assert one.read(name) == other.read(name), name


def test_the_same_results_give_the_same_archive(published, made_results, claims, tmp_path):
    files = {**dict(members.below(made_results, weights=False)), members.CLAIMS: claims}
    publishing.write(Publication("there", conftest.said(made_results), files), tmp_path / "b.zip")
    assert (tmp_path / "b.zip").read_bytes() == published.read_bytes()


def test_weights_and_pixels_stay_at_home_unless_weights_are_wanted(published, made_results):
    with zipfile.ZipFile(published) as packed:
        names = packed.namelist()
        said = json.loads(packed.read(members.DESCRIPTION))
    assert not [one for one in names if one.endswith((".safetensors", ".npy"))]
    assert said["protocol"] == "1.0" == description.PROTOCOL
    assert {"LICENSE", "CITATION.cff"} <= set(names)
    wanted = dict(members.below(made_results, weights=True))
    assert sum(one.endswith(".safetensors") for one in wanted) == 12 * 3


def test_a_score_that_was_changed_is_seen(published, tmp_path):
    place = "results/isic2018/unet/plain/seed0/scores.csv"
    changed = edited(
        published, tmp_path, {place: lambda text: text.replace(b"isic2018", b"isic2018", 1) + b"\n"}
    )
    with pytest.raises(RefusedError, match=r"seed0/scores.csv' is not what was published"):
        laid_out(changed, tmp_path)


def test_rows_of_another_cell_are_refused(made_results, claims, tmp_path):
    folder = tmp_path / "small"
    shutil.copytree(made_results, folder)
    place = folder / "isic2018/unet/plain"
    shutil.copy(place / "seed1/scores.csv", place / "seed0/scores.csv")
    with pytest.raises(
        RefusedError, match=r"plain/seed0/scores\.csv has rows of isic2018/unet/plain/seed1"
    ):
        sources.opened(folder, tmp_path / "x", lambda _: conftest.said(folder), claims)


def test_nothing_is_left_where_it_fails(published, tmp_path):
    changed = edited(published, tmp_path, {"results/acdc/cases/manifest.json": lambda _: b"{}"})
    with pytest.raises(RefusedError):
        laid_out(changed, tmp_path)
    assert [one.name for one in tmp_path.iterdir() if "again" in one.name] == []


def test_a_folder_that_is_there_is_not_written_into(tmp_path):
    (tmp_path / "again").mkdir()
    (tmp_path / "again/mine").write_text("x")
    with pytest.raises(FileExistsError, match="not empty"), publishing.whole(tmp_path / "again"):
        pass
    assert (tmp_path / "again/mine").read_text() == "x"


def edited(path: Path, tmp_path: Path, edits: dict[str, Callable[[bytes], bytes]]) -> Path:
    """A copy of an archive with some members changed."""
    out = tmp_path / "edited.zip"
    with zipfile.ZipFile(path) as source, zipfile.ZipFile(out, "w") as target:
        for name in source.namelist():
            content = source.read(name)
            target.writestr(name, edits[name](content) if name in edits else content)
    return out


FOREIGN = [
    "../outside.csv",
    "/etc/passwd",
    "results/../../outside.csv",
    "results/acdc/../../x/raw.json",
    "results/acdc/mtunet/plain/seed0/../../../scores.csv",
    "results\\acdc\\raw.json",
    "results/.ssh/raw.json",
    "results/acdc/cases/images.npy",
    "results/acdc/mtunet/plain/seed0/checkpoint/state.pt",
    "results/acdc/mtunet/plain/seed0/run.json.exe",
    "results/acdc/mtunet/plain/seedx/run.json",
    "setup.py",
    "results/acdc/raw.json\n",
    "C:/raw.json",
]


@pytest.mark.parametrize("name", FOREIGN)
def test_a_foreign_member_is_refused_by_name_before_anything_is_written(name, published, tmp_path):
    with zipfile.ZipFile(published) as source, zipfile.ZipFile(tmp_path / "bad.zip", "w") as target:
        for known in source.namelist():
            target.writestr(known, source.read(known))
        target.writestr(zipfile.ZipInfo(name), b"x")
    with pytest.raises(RefusedError, match="does not belong") as caught:
        archive.unpack(tmp_path / "bad.zip", tmp_path / "deep" / "unpacked")
    assert repr(name) in str(caught.value)
    assert {one.name for one in tmp_path.iterdir()} == {"bad.zip"}


def link(entry: zipfile.ZipInfo) -> None:
    entry.external_attr = (stat.S_IFLNK | 0o777) << 16


def unsafe(tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    path, name = tmp_path / "bad.zip", "results/acdc/raw.json"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as target:
        entry = zipfile.ZipInfo(name)
        if kind == "link":
            link(entry)
        target.writestr(entry, b"0" * 2000)
        if kind == "twice":
            with pytest.warns(UserWarning, match="Duplicate"):
                target.writestr(name, b"1")
    if kind == "large":
        monkeypatch.setattr(members, "OTHER_BYTES", 1999)
    if kind == "in all":
        monkeypatch.setattr(members, "MOST_IN_ALL", 1999)
    if kind == "many":
        monkeypatch.setattr(members, "MOST_MEMBERS", 0)
    if kind == "cut":
        path.write_bytes(path.read_bytes()[:-30])
    if kind == "lies":  # both places of the size say one byte
        content = path.read_bytes()
        path.write_bytes(content.replace((2000).to_bytes(4, "little"), (1).to_bytes(4, "little")))
    return path


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("link", "raw.json' is a link"),
        ("twice", "raw.json' stands in it twice"),
        ("large", "raw.json' has 0 MiB, at most"),
        ("in all", "MiB unpacked"),
        ("many", "1 files, at most 0"),
        ("cut", "no whole zip file"),
        ("lies", "no whole zip file|more bytes"),
    ],
)
def test_an_unsafe_archive_is_refused(kind, message, tmp_path, monkeypatch):
    path = unsafe(tmp_path, kind, monkeypatch)
    with pytest.raises(RefusedError, match=message):
        archive.unpack(path, tmp_path / "unpacked")


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("protocol", "2.0", "protocol '2.0', this program reads 1.0"),
        ("name", "../up", "'../up' is no name"),
        ("grid", {**conftest.GRID, "grid": {"acdc": ["../../x"]}}, "'../../x' is no name"),
        ("grid", {**conftest.GRID, "variants": ["salstmm"]}, "Did you mean salstm"),
        ("grid", {**conftest.GRID, "seeds": ["0"]}, "'0' is no whole number"),
        ("grid", {"grid": {}}, "grid: no seeds"),
        ("grid", {**conftest.GRID, "grid": 5}, "not of the form"),
        ("own", {"acdc": {}}, "acdc is a dataset that every salstm has"),
        ("imported", [["acdc", "a/b", "plain", 0]], "'a/b' is no name"),
        ("limits", "none", "limits is missing or of another kind"),
        ("files", {}, "is not in the list"),
    ],
)
def test_a_description_that_cannot_be_is_refused(key, value, message, published, tmp_path):
    def change(text: bytes) -> bytes:
        return json.dumps({**json.loads(text), key: value}).encode()

    changed = edited(published, tmp_path, {members.DESCRIPTION: change})
    with pytest.raises(ValueError, match=message):
        laid_out(changed, tmp_path)


@pytest.mark.extended
def test_every_table_figure_and_the_page_are_made_again(published, tmp_path):
    again = laid_out(published, tmp_path)
    shown = reanalysis.reanalyze(again, synthetic.cards())
    assert (shown / "index.html").stat().st_size > 100_000
    assert len(list((shown / "tables").glob("*.csv"))) > 10
    assert (shown / "figures/forest-acdc.svg").is_file()
