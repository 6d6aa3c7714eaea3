"""Label files of another program: their Dice is what other tools find on the same files; what does not fit is named."""

from __future__ import annotations

import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pandas as pd
import pytest

from salstm import jobs
from salstm.analysis import collect
from salstm.data import datasets, phantoms
from salstm.data.store import Store
from salstm.files import read_json
from salstm.report import completeness
from salstm.vocabulary import Identity

load: Any = nibabel.load
SPLIT = {"name": "groups", "validation": 0.2, "test": 0.5, "seed": 0}
CELL = Identity("acdc", "imported-other", "plain", 0)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Raw phantoms, prepared cases, and predictions of the test cases in the raw files' geometry."""
    home = tmp_path_factory.mktemp("outside")
    phantoms.acdc(home / "raw", patients=3, seed=1, size=(40, 48), slices=(4, 4))
    datasets.prepare("acdc", home / "raw", home / "run/acdc/cases", split=SPLIT, size=32)
    random = np.random.default_rng(0)
    (home / "made").mkdir()
    for case, path in references(home).items():
        image = load(path)
        labels = np.asarray(image.dataobj).astype(np.uint8)
        labels = np.roll(labels, 1, axis=0)
        noise = random.random(labels.shape) < 0.05
        labels[noise] = random.integers(0, 4, noise.sum())
        made = nibabel.Nifti1Image(labels, image.affine)
        nibabel.save(made, home / f"made/{case}.nii.gz")
    return home


def references(home: Path) -> dict[str, Path]:
    """Case -> its reference, a file of the official layout."""
    found = {}
    for case in Store(home / "run/acdc/cases").split("test"):
        patient, phase = case.id.split("_")
        frames = sorted((home / "raw").rglob(f"{patient}_frame??_gt.nii.gz"))
        found[case.id] = frames[("ED", "ES").index(phase)]
    return found


@pytest.fixture
def copied(home: Path, tmp_path: Path) -> Path:
    shutil.copytree(home / "run", tmp_path / "run")
    shutil.copytree(home / "made", tmp_path / "made")
    return tmp_path


def imported(home: Path, **options) -> pd.DataFrame:
    theirs = CELL._replace(baseline="other")
    jobs.import_predictions(theirs, home / "made", home / "run", **options)
    return pd.read_csv(CELL.folder(home / "run") / "scores.csv")


def medpy_dice(pair: list[np.ndarray], number: int) -> float:
    from medpy.metric import binary

    return binary.dc(pair[0] == number, pair[1] == number)


def monai_dice(pair: list[np.ndarray], number: int) -> float:
    from monai.metrics.meandice import compute_dice
    from torch import from_numpy

    masks = [from_numpy((one == number)[None, None].astype(np.float32)) for one in pair]
    return compute_dice(masks[0], masks[1]).item()


@pytest.mark.parametrize(
    ("dice", "tolerance"),
    [(medpy_dice, 1e-12), pytest.param(monai_dice, 1e-6, marks=pytest.mark.extended)],
)
def test_the_dice_is_that_of_other_tools_on_the_same_files(home, copied, dice, tolerance):
    rows = imported(copied).query("scope == 'native' and selection == 'best_val'")
    rows: Any = rows.set_index(["case", "class"])["dice"]
    assert len(rows) == 3 * len(references(home)) >= 6
    for case, path in references(home).items():
        made = copied / f"made/{case}.nii.gz"
        pair = [np.asarray(load(one).dataobj).astype(int) for one in (made, path)]
        for number, name in enumerate(("RV", "MYO", "LV"), start=1):
            ours: Any = rows.at[(case, name)]
            assert ours == pytest.approx(dice(pair, number), abs=tolerance)
            assert 0.1 < ours < 0.99


def test_files_that_are_stored_otherwise_score_alike(copied):
    first = imported(copied)
    for path in sorted((copied / "made").iterdir()):
        image = load(path)
        turn = nibabel.orientations.ornt_transform(
            nibabel.orientations.io_orientation(image.affine),
            nibabel.orientations.axcodes2ornt(("S", "R", "A")),
        )
        nibabel.save(image.as_reoriented(turn), path)
    shutil.rmtree(CELL.folder(copied / "run"))
    pd.testing.assert_frame_equal(imported(copied), first)


def test_the_cell_says_where_it_is_from(copied):
    scores = imported(copied)
    assert set(scores["selection"]) == {"last", "best_val", "best_test"}
    assert set(scores["scope"]) == {"stored", "inner", "native"}
    record = read_json(CELL.folder(copied / "run") / "run.json")
    assert len(record["imported"]) == len(list((copied / "made").iterdir()))
    notice = completeness.imported({CELL.key: record})
    assert "imported-other on ACDC" in notice[0]["text"]
    assert completeness.imported({"other": {"identity": record["identity"]}}) == []
    with pytest.raises(FileExistsError, match="imported-other/plain/seed0: is there"):
        imported(copied)


def test_a_cell_of_cases_that_are_prepared_anew_does_not_count(copied):
    imported(copied)
    grid = {"grid": {"acdc": []}, "variants": ["plain"], "seeds": [0], "imported": [list(CELL)]}
    for change, state in (("", "done"), (" ", "failed")):
        manifest = copied / "run/acdc/cases/manifest.json"
        manifest.write_text(manifest.read_text() + change)
        collect.collect(copied / "run", grid, copied / "collected")
        cells: Any = pd.read_csv(copied / "collected/cells.csv")
        assert cells["state"].tolist() == [state]
        assert ("import it again" in str(cells["reason"][0])) == (state == "failed")


def test_what_the_configuration_asks_for_is_measured_as_of_trained_cells(home, copied):
    """A copy of the references is right by every metric; the columns that every table has stay as they are."""
    before: Any = imported(copied)
    shutil.rmtree(CELL.folder(copied / "run"))
    asked = {
        "metrics": ["nsd", "object_f1", "recall_small", "ece"],
        "tolerances": {"RV": 1.0, "MYO": 2.0, "LV": 3.0},
        "unit": "mm",
        "subgroups": ["phase", "position", "size"],
    }
    after: Any = imported(copied, chosen=asked)
    whole = after[~after["scope"].str.startswith("position")].reset_index(drop=True)
    pd.testing.assert_frame_equal(whole[list(before.columns)], before)
    assert {"position:basal", "position:mid", "position:apical"} < set(after["scope"])
    assert {*after["by_phase"]} == {"ED", "ES"}
    assert (after["by_phase"] == after["case"].str.rpartition("_")[2]).all()
    native = after[after["scope"] == "native"]
    assert dict(zip(native["class"], native["nsd_tolerance"], strict=True)) == asked["tolerances"]
    assert native["nsd"].between(0.1, 0.99).all()
    assert native["recall_small"].notna().any()
    assert after["ece"].isna().all()  # of labels alone no probability is known
    shutil.rmtree(CELL.folder(copied / "run"))
    for case, path in references(home).items():
        shutil.copy(path, copied / f"made/{case}.nii.gz")
    perfect = imported(copied, chosen=asked).query("scope == 'native'")
    assert set(perfect["nsd"]) == set(perfect["object_f1"]) == {1.0}


def test_other_names_are_listed(copied):
    lines = ["file,case"]
    for number, path in enumerate(sorted((copied / "made").iterdir())):
        path.rename(path.with_name(f"p{number}.nii.gz"))
        lines.append(f"p{number}.nii.gz,{path.name.removesuffix('.nii.gz')}")
    (copied / "names.csv").write_text("\n".join(lines))
    assert len(imported(copied, names=copied / "names.csv"))


def first(home: Path) -> Path:
    return sorted((home / "made").iterdir())[0]


def resave(change: Callable[[np.ndarray], np.ndarray]) -> Callable[[Path], None]:
    def act(home: Path) -> None:
        image = load(first(home))
        values = change(np.asarray(image.dataobj))
        nibabel.save(nibabel.Nifti1Image(values, image.affine), first(home))

    return act


BAD = {
    "missing": (lambda home: first(home).unlink(), "made: no file of patient"),
    "extra": (
        lambda home: shutil.copy(first(home), home / "made/patient009_ED.nii"),
        r"009_ED\.nii",
    ),
    "twice": (
        lambda home: shutil.copy(first(home), home / f"made/{first(home).name[:-7]}.nii"),
        r"\.nii.*has patient.* already",
    ),
    "size": (resave(lambda labels: labels[:-1]), r"\.nii\.gz: .*in native size"),
    "slices": (resave(lambda labels: labels[..., :-1]), r"\.nii\.gz: .*in native size"),
    "label": (resave(lambda labels: labels + 1), r"\.nii\.gz: label 4"),
    "fraction": (resave(lambda labels: labels * np.float32(0.5)), r"\.nii\.gz: label 0\.5"),
    "damaged": (lambda home: first(home).write_bytes(b"x"), r"\.nii\.gz: cannot be read"),
    "no folder": (lambda home: shutil.rmtree(home / "made"), "made: no such folder"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_does_not_fit_is_refused_by_name_and_leaves_no_cell(name, copied):
    change, message = BAD[name]
    change(copied)
    with pytest.raises((ValueError, OSError), match=message):
        imported(copied)
    assert not (copied / "run/acdc/imported-other").exists()


@pytest.mark.extended
def test_the_imported_row_is_in_the_tables_and_in_no_comparison(copied, tmp_path):
    """Beside a network of the grid, published and judged again."""
    from salstm.publication import publishing, reanalysis, sources
    from tests import synthetic
    from tests.publication import conftest

    imported(copied)
    run = copied / "run"
    scores = pd.read_csv(CELL.folder(run) / "scores.csv")
    for variant in ("plain", "salstm"):
        one = Identity("acdc", "unet", variant, 0)
        place = one.folder(run)
        shutil.copytree(CELL.folder(run), place)
        scores.assign(**one._asdict()).to_csv(place / "scores.csv", index=False)
        record = {**read_json(place / "run.json"), "identity": one._asdict()}
        del record["imported"]
        (place / "run.json").write_text(__import__("json").dumps(record))
        curve = synthetic._history(synthetic.Made(epochs=2), one._asdict())
        curve.drop(columns=list(one._fields)).to_csv(place / "history.csv", index=False)
    grid = {"grid": {"acdc": ["unet"]}, "variants": ["plain", "salstm"], "seeds": [0], "folds": {}}
    said = {**conftest.said(run, grid), "imported": [list(CELL)]}
    claims = synthetic.claims(tmp_path / "claims.yaml", {"acdc": ["unet"]})
    found = sources.opened(run, tmp_path / "x", lambda _: said, claims)
    publishing.write(found, tmp_path / "p.zip")
    with zipfile.ZipFile(tmp_path / "p.zip") as packed:
        assert any("imported-other" in one for one in packed.namelist())
    with publishing.whole(tmp_path / "again") as folder:
        publishing.lay_out(found, folder)
        shown = reanalysis.reanalyze(folder, synthetic.cards())
        cells = pd.read_csv(folder / "results/small/collected/small/cells.csv")
        compared = pd.read_csv(folder / "results/small/collected/small/comparisons.csv")
        assert set(cells["state"]) == {"done"}
        assert set(compared["baseline"]) == {"unet"}
        assert "imported-other" in (shown / "tables/acdc_strict.csv").read_text()
        assert "Imported predictions" in (shown / "index.html").read_text()
