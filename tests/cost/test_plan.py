"""The plan as a person types it: what it costs, what is done, what it rests on."""

from __future__ import annotations

import csv
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

import baselines
from salstm import cli, recipes
from salstm.config import checked, load, merge

ROOT = Path(__file__).parents[2]


@pytest.fixture
def there(tmp_path, monkeypatch) -> Path:
    """A folder with the paper's configuration and one that asks for six trainings of unet on acdc."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "config.yaml").write_text((ROOT / "config.yaml").read_text())
    small = {
        "name": "small",
        "seeds": [0, 1],
        "grid": {"synapse": [], "acdc": ["unet"], "isic2018": [], "cvc_clinicdb": []},
        "recipes": {"networks": {"unet": {"size": 32}}, "overrides": {"epochs": 3, "batch": 2}},
    }
    (tmp_path / "small.yaml").write_text(yaml.safe_dump(small))
    return tmp_path


def lines(text: str) -> dict[str, list[str]]:
    rows = [re.split(r" {2,}", line.strip()) for line in text.splitlines()]
    return {row[0]: row[1:] for row in rows if len(row) > 8}


def test_1200_trainings_are_planned_without_torch_numpy_or_pandas(tmp_path):
    (tmp_path / "ten.yaml").write_text(yaml.safe_dump({"seeds": list(range(10))}))
    code = (
        "import sys; from salstm import cli; code = cli.main(sys.argv[1:]);"
        "print({'torch', 'pandas', 'numpy'} & set(sys.modules)); sys.exit(code)"
    )
    arguments = ["plan", "--config", "config.yaml", str(tmp_path / "ten.yaml")]
    arguments += ["--results", str(tmp_path)]
    result = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert result.stdout.splitlines()[-1] == "set()"
    rows = lines(result.stdout)
    assert list(rows) == ["dataset", "synapse", "acdc", "isic2018", "cvc_clinicdb", "all"]
    # 45 cells of one training and 15 of five, ten seeds each.
    assert rows["all"][:4] == ["60", "1,200", "0", "0"]
    assert "All hours are estimates" in result.stdout


def test_what_is_done_begun_and_changed_is_told_apart(there, capsys):
    settings = checked(
        merge(load(there / "config.yaml"), load(there / "small.yaml")), baselines.names()
    )
    cells = there / "results/small/acdc/unet"
    for variant, digest in (
        ("salstm", recipes.digest(recipes.resolve(settings, "acdc", "unet", "salstm"))),
        ("plain", "another"),
    ):
        (cells / variant / "seed0").mkdir(parents=True)
        (cells / variant / "seed0/run.json").write_text(json.dumps({"recipe_digest": digest}))
    (cells / "lstmsa/seed1/checkpoint").mkdir(parents=True)
    (cells / "lstmsa/seed1/checkpoint/state.pt").touch()
    (cells / "lstmsa/seed0/checkpoint").mkdir(parents=True)
    assert cli.main(["plan", "--config", "config.yaml", "small.yaml"]) == 0
    text = capsys.readouterr().out
    # cells, trainings, done, begun, epochs, iterations: 652 steps of 2 in 3 epochs of 6 trainings.
    assert lines(text)["acdc"][:6] == ["3", "6", "1", "1", "18", "11,736"]
    assert "1 trainings are there with another recipe" in text
    hours, left = (float(one) for one in lines(text)["acdc"][6:8])
    assert left < hours


def test_the_disk_of_what_is_done_is_what_it_takes(there, capsys):
    """A linked file counts once; cells are written as large as ten gigabytes, without taking them."""
    settings = checked(
        merge(load(there / "config.yaml"), load(there / "small.yaml")), baselines.names()
    )
    arguments = ["plan", "--config", "config.yaml", "small.yaml"]
    assert cli.main(arguments) == 0
    before = float(lines(capsys.readouterr().out)["acdc"][-1])
    folder = there / "results/small/acdc/unet/plain/seed0"
    folder.mkdir(parents=True)
    digest = recipes.digest(recipes.resolve(settings, "acdc", "unet", "plain"))
    (folder / "run.json").write_text(json.dumps({"recipe_digest": digest}))
    with (folder / "last.safetensors").open("wb") as file:
        file.truncate(10_000_000_000)
    for name in ("best_val", "best_test"):
        (folder / f"{name}.safetensors").hardlink_to(folder / "last.safetensors")
    assert cli.main(arguments) == 0
    text = capsys.readouterr().out
    assert float(lines(text)["acdc"][-1]) == pytest.approx(before + 10, abs=1)
    assert "Disk, at most" in text


def test_the_recipes_are_listed_with_steps_looks_and_the_authors_selection(there, capsys):
    assert cli.main(["plan", "--config", "config.yaml", "--recipes"]) == 0
    rows = [line.split(maxsplit=8) for line in capsys.readouterr().out.splitlines()]
    datasets = ("synapse", "acdc", "isic2018", "cvc_clinicdb")
    found = {tuple(row[:3]): row[3:] for row in rows if row and row[0] in datasets}
    assert len(found) == 60
    # 1,810 frames of 15 volumes are 76 steps of 24; step 13,950 is in epoch 184, of which each tenth is evaluated.
    assert found["synapse", "transunet", "plain"] == ["13,950", "184", "76", "24", "19", "last"]
    assert found["synapse", "mtunet", "plain"] == ["18,500", "123", "151", "12", "123", "best test"]
    assert found["acdc", "merit", "plain"] == ["43,600", "400", "109", "12", "400", "best val"]
    assert found["acdc", "mtunet", "salstm"] == ["32,600", "200", "163", "8", "200", "best test"]
    assert found["isic2018", "unet", "plain"][-1] == "not said"
    # A fold trains on 429 of the 612 frames: 26 whole batches of 16.
    assert found["cvc_clinicdb", "fanet", "plain"][:3] == ["40,000", "1,539", "26"]


def test_the_demo_takes_less_than_a_gigabyte_whatever_it_selects(capsys, tmp_path):
    files = [str(ROOT / name) for name in ("config.yaml", "config.demo.yaml")]
    assert cli.main(["plan", "--config", *files, "--results", str(tmp_path)]) == 0
    assert float(lines(capsys.readouterr().out)["all"][-1]) < 1


def test_a_damaged_record_is_named_with_the_cure(there, capsys):
    folder = there / "results/small/acdc/unet/plain/seed0"
    folder.mkdir(parents=True)
    (folder / "run.json").write_text("{")
    assert cli.main(["plan", "--config", "config.yaml", "small.yaml"]) == 1
    message = capsys.readouterr().err
    assert "run.json" in message
    assert "delete its folder" in message


def test_a_mistake_in_the_configuration_is_the_one_of_every_command(there, capsys):
    (there / "small.yaml").write_text("sedes: [0]")
    assert cli.main(["plan", "--config", "config.yaml", "small.yaml"]) == 1
    assert "did you mean seeds?" in capsys.readouterr().err


def test_a_probe_measures_every_cell_and_the_plan_rests_on_it(there, capsys, monkeypatch):
    from salstm.cost import probe

    monkeypatch.setattr(probe, "ITERATIONS", 2)
    monkeypatch.setattr(probe, "SECONDS", 0.0)
    arguments = ["plan", "--config", "config.yaml", "small.yaml", "--device", "cpu"]
    assert cli.main([*arguments, "--probe", "--threads", "1"]) == 0
    text = capsys.readouterr().out
    with (there / "results/small/probe.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["variant"] for row in rows] == ["lstmsa", "plain", "salstm"]
    assert all(float(row["seconds_window"]) > 0 and row["kind"] == "cpu" for row in rows)
    assert "CPU: 6 trainings as measured in results/small/probe.csv." in text
    assert "GPU: 6 by the multiply-adds" in text
    seconds = {
        row["variant"]: (float(row["seconds_window"]), float(row["seconds_frame"])) for row in rows
    }
    hours = 2 * sum(
        3 * 1304 * window + (3 * (182 + 416) + 3 * 416) * frame
        for window, frame in seconds.values()
    )
    assert float(lines(text)["acdc"][8].replace(",", "")) == pytest.approx(hours / 3600, rel=0.05)
    # Again for one variant alone: the others' rows stay.
    (there / "small.yaml").write_text((there / "small.yaml").read_text() + "variants: [plain]\n")
    assert cli.main([*arguments, "--probe", "--threads", "1"]) == 0
    with (there / "results/small/probe.csv").open(newline="") as file:
        assert len(list(csv.DictReader(file))) == 3
