"""The doctor: what is there, what is not, what to do; fast, and without torch."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest

import baselines
from salstm import cli, config, doctor
from salstm.data import phantoms
from salstm.data.acquire import listing
from salstm.data.readers import acdc
from salstm.doctor import Finding

ROOT = Path(__file__).parents[2]
CARDS = {
    "unet": {"weights": {"scratch": True}},
    "fanet": {
        "weights": {
            "file": ["a.pth", "b-00000000.pth"],
            "url": ["https://x.org/a.pth", "https://x.org/b-00000000.pth"],
            "sha256": None,
        }
    },
    "ssformer": {"weights": {"file": "mit.pth", "url": "https://x.org/folder", "sha256": None}},
}


@pytest.fixture
def settings(tmp_path: Path) -> dict[str, Any]:
    """The paper's configuration, with all raw folders below ``tmp_path``."""
    checked = config.checked(config.load(ROOT / "config.yaml"), baselines.names())
    for name, dataset in checked["datasets"].items():
        dataset["raw"] = str(tmp_path / name)
    return checked


def findings(settings: dict[str, Any], tmp_path: Path, **options: Any) -> dict[str, Finding]:
    found = doctor.examine(settings, CARDS, folder=tmp_path / "weights", **options)
    return {one.name: one for one in found}


def test_where_nothing_is_there_each_thing_has_its_cure(settings, tmp_path, monkeypatch):
    monkeypatch.delenv("SYNAPSE_AUTH_TOKEN", raising=False)
    found = findings(settings, tmp_path)
    assert [*found][:4] == ["synapse", "acdc", "isic2018", "cvc_clinicdb"]
    assert [one.state for one in found.values()] == ["missing"] * 4 + ["missing", "missing", "none"]
    raw = tmp_path / "synapse"
    command = f"python -m salstm fetch --dataset synapse --raw {raw} --out {raw}/raw.json"
    assert command in found["synapse"].cure
    assert "export SYNAPSE_AUTH_TOKEN=" in found["synapse"].cure
    assert "syn3193805" in found["synapse"].cure
    assert "27.4 MB" in found["isic2018"].cure
    assert "Validation" not in found["isic2018"].cure
    assert "By hand: https://x.org/folder: mit.pth" in found["weights of ssformer"].cure
    assert "python" not in found["weights of ssformer"].cure
    assert "python -m salstm weights --baseline fanet" in found["weights of fanet"].cure
    with pytest.raises(FileNotFoundError, match=r"synapse, acdc.*weights of ssformer; see"):
        doctor.judge([*found.values()])
    monkeypatch.setenv("SYNAPSE_AUTH_TOKEN", "secret")
    synapse = findings(settings, tmp_path)["synapse"]
    assert "export" not in synapse.cure
    assert "secret" not in synapse.cure


def test_data_are_counted_and_compared(settings, tmp_path, phantom, monkeypatch):
    shutil.copytree(phantom, tmp_path / "acdc")
    found = findings(settings, tmp_path)["acdc"]
    assert found.state == "differs"
    assert found.facts == f"{tmp_path / 'acdc'}: 8 cases"
    assert "96 of 100 patients missing" in found.cure
    monkeypatch.setattr(acdc, "check", lambda _: [])
    found = findings(settings, tmp_path)["acdc"]
    assert (found.state, found.cure) == ("present", "")


def test_a_slow_comparison_waits_for_deep(settings, tmp_path, phantom, monkeypatch):
    shutil.copytree(phantom, tmp_path / "acdc")
    monkeypatch.setattr(doctor, "SLOW", ("acdc",))
    found = findings(settings, tmp_path)["acdc"]
    assert found.state == "present"
    assert "not compared (--deep does)" in found.facts
    assert findings(settings, tmp_path, deep=True)["acdc"].state == "differs"


def test_files_that_are_not_the_official_ones_are_named(settings, tmp_path, videos):
    settings["datasets"]["cvc_clinicdb"]["raw"] = str(videos)
    found = findings(settings, tmp_path)["cvc_clinicdb"]
    assert found.state == "differs"
    assert "589 of 612 frames missing" in found.cure
    assert "Original: 23 files not the official TIFF by SHA-256: 1-6, 26-28," in found.cure
    assert "(and 1 more)" in found.cure


def test_incomplete_and_wrong_data_are_told_apart(settings, tmp_path, raw):
    settings["datasets"]["acdc"]["raw"] = str(raw)
    next(raw.rglob("*_gt.nii.gz")).unlink()
    found = findings(settings, tmp_path)["acdc"]
    assert found.state == "incomplete"
    assert f"move {raw} away" in found.cure
    info = next(raw.rglob("Info.cfg"))
    info.write_text("ED: first\n")
    found = findings(settings, tmp_path)["acdc"]
    assert found.state == "wrong"
    assert str(info) in found.cure


def test_a_download_in_progress_is_seen(settings, tmp_path):
    folder = tmp_path / "isic2018" / "downloads"
    folder.mkdir(parents=True)
    (folder / "ISIC.zip.part").write_bytes(bytes(1_500_000))
    assert "; ISIC.zip: 1.5 MB so far" in findings(settings, tmp_path)["isic2018"].facts


def test_phantoms_need_nothing(settings, tmp_path):
    settings["datasets"]["acdc"]["phantom"] = {"patients": 2}
    found = findings(settings, tmp_path)["acdc"]
    assert (found.state, found.cure) == ("phantom", "")
    assert "made when needed" in found.facts
    small = {"patients": 1, "size": [32, 32], "slices": [4, 4]}
    phantoms.ensure("acdc", tmp_path / "acdc", small)
    assert findings(settings, tmp_path)["acdc"].facts.endswith("made")


def test_what_the_grid_does_not_use_is_shown_and_not_needed(settings, tmp_path):
    settings["grid"] = {"acdc": ["unet"]}
    del settings["datasets"]["synapse"]
    found = findings(settings, tmp_path)
    assert [name for name, one in found.items() if one.needed] == ["acdc"]
    assert found["synapse"].facts == "data/raw/synapse"
    doctor.judge([one for one in found.values() if one.name != "acdc"])
    text = doctor.table([*found.values()])
    assert "acdc (missing):" in text
    assert "isic2018 (missing):" not in text


def test_weights_are_checked_by_what_is_known(settings, tmp_path):
    folder = tmp_path / "weights"
    folder.mkdir()
    (folder / "a.pth").write_bytes(b"a")
    assert findings(settings, tmp_path)["weights of fanet"].facts == str(folder / "b-00000000.pth")
    (folder / "b-00000000.pth").write_bytes(b"b")
    found = findings(settings, tmp_path)["weights of fanet"]
    assert found.state == "wrong"
    assert "00000000 is expected" in found.cure
    digits = [hashlib.sha256(text).hexdigest() for text in (b"a", b"b")]
    CARDS["fanet"]["weights"]["sha256"] = digits
    found = findings(settings, tmp_path)["weights of fanet"]
    CARDS["fanet"]["weights"]["sha256"] = None
    assert (found.state, found.facts) == ("present", "a.pth, b-00000000.pth")
    (folder / "mit.pth").write_bytes(b"m")
    assert "no hash is published" in findings(settings, tmp_path)["weights of ssformer"].facts


def test_the_table_keeps_commands_whole():
    command = "python -m salstm fetch " + 30 * "--long option "
    found = [
        Finding("acdc", True, "missing", "data/raw/acdc", f"{command}\n{40 * 'word '}"),
        Finding("isic2018", False, "present", "data/raw/isic2018: 2594 cases"),
    ]
    lines = doctor.table(found).splitlines()
    assert lines[1].split() == ["acdc", "yes", "missing", "data/raw/acdc"]
    assert lines[2].split()[:3] == ["isic2018", "no", "present"]
    assert f"    {command}" in lines
    assert max(len(line) for line in lines if "word" in line) <= 110


def run(*arguments: object) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-m", "salstm", "doctor", *map(str, arguments)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_command_exits_with_0_if_all_that_is_needed_is_there(tmp_path):
    over = tmp_path / "mine.yaml"
    over.write_text(
        "grid: {synapse: [], acdc: [unet], isic2018: [], cvc_clinicdb: []}\n"
        f"datasets: {{acdc: {{raw: {tmp_path / 'acdc'}, phantom: {{patients: 2}}}}}}\n"
    )
    done = run("--config", "config.yaml", over)
    assert done.returncode == 0, done.stderr
    assert "made when needed" in done.stdout
    assert done.stderr == ""


def test_the_command_exits_with_1_and_the_names_of_what_is_missing(tmp_path):
    over = tmp_path / "mine.yaml"
    over.write_text(
        "grid: {synapse: [], acdc: [unet], isic2018: [], cvc_clinicdb: []}\n"
        f"datasets: {{acdc: {{raw: {tmp_path / 'acdc'}}}}}\n"
    )
    done = run("--config", "config.yaml", over)
    assert done.returncode == 1
    assert "needed and missing or wrong: acdc" in done.stderr
    assert "\nacdc (missing):\n" in done.stdout


def test_an_unknown_configuration_is_said(tmp_path, capfd):
    assert cli.main(["doctor", "--config", str(tmp_path / "none.yaml")]) == 1
    assert "no such file" in capfd.readouterr().err


def test_the_doctor_loads_no_torch():
    code = (
        "import sys, salstm.doctor; print(sorted({'torch', 'pandas', 'scipy'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def test_an_archive_that_was_put_there_is_no_data_yet(settings, tmp_path):
    (tmp_path / "acdc").mkdir()
    with zipfile.ZipFile(tmp_path / "acdc" / "ACDC.zip", "w") as file:
        file.writestr("ACDC/database/training/patient001/Info.cfg", "ED: 1\nES: 9\n")
    found = findings(settings, tmp_path)["acdc"]
    assert found.state == "missing"
    assert "; ACDC.zip is there, fetch unpacks it" in found.facts


def test_what_changed_since_it_was_listed_and_what_the_audit_said_is_told(
    settings, tmp_path, monkeypatch, lesions
):
    monkeypatch.chdir(tmp_path)
    raw = Path(shutil.copytree(lesions, tmp_path / "isic2018"))
    results = tmp_path / "results" / settings["name"] / "isic2018"
    listing.write(results / "raw.json", "isic2018", raw)
    row = "all,may be wrong: images of A and B,1 of 1 frames are the same"
    (results / "audit.csv").write_text(f"split,fact,value\nall,cases,8\n{row}\n")
    cure = findings(settings, tmp_path)["isic2018"].cure
    assert "may be wrong: images of A and B: 1 of 1 frames are the same" in cure
    assert "Not as" not in cure
    monkeypatch.setattr(listing, "CACHE", tmp_path / "cache.json")
    listing._known.cache_clear()
    path = sorted(raw.glob("*/ISIC_*.jpg"))[2]
    stat, content = path.stat(), path.read_bytes()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert "Not as" not in findings(settings, tmp_path)["isic2018"].cure
    said = f"isic2018/raw.json lists it: 1 changed: {path.relative_to(raw)}"
    assert said in findings(settings, tmp_path, deep=True)["isic2018"].cure
    path.write_bytes(content + b"!")
    assert said in findings(settings, tmp_path)["isic2018"].cure
