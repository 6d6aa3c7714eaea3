"""The commands: exit codes, messages, and start-up without torch."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from salstm import cli

ROOT = Path(__file__).parent.parent


def salstm(*arguments: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-m", "salstm", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )


def test_help_lists_every_rule_of_the_workflow_and_loads_no_torch():
    text = cli.parser().format_help()
    for rule in [
        "fetch",
        "prepare",
        "check",
        "train",
        "predict",
        "score",
        "cost",
        "collect",
        "claims",
        "tables",
        "figures",
        "export",
        "report",
    ]:
        assert f"    {rule} " in text
    code = "import sys, salstm.cli; salstm.cli.parser(); print(*(n in sys.modules for n in ('torch', 'pandas')))"
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert result.stdout.split() == ["False", "False"]


def test_wrong_usage_exits_with_2():
    result = salstm("train", "--dataset", "acdc")
    assert result.returncode == 2
    assert "--baseline" in result.stderr


def test_a_failure_exits_with_1_says_what_to_do_and_writes_nothing(tmp_path, capfd):
    out = tmp_path / "raw.json"
    code = cli.main(
        ["fetch", "--dataset", "acdc", "--raw", str(tmp_path / "none"), "--out", str(out)]
    )
    assert code == 1
    message = capfd.readouterr().err
    assert "no ACDC patients" in message
    assert "run the same command again" in message
    assert not out.exists()


def test_an_unknown_dataset_is_answered_with_the_nearest(tmp_path, capfd):
    assert (
        cli.main(
            ["fetch", "--dataset", "acdcc", "--raw", str(tmp_path), "--out", str(tmp_path / "x")]
        )
        == 1
    )
    assert "acdc" in capfd.readouterr().err.split("acdcc", 1)[1]


def test_the_log_file_has_what_the_terminal_has(tmp_path):
    log = tmp_path / "logs" / "fetch.log"
    arguments = [
        "fetch",
        "--dataset",
        "acdc",
        "--raw",
        str(tmp_path / "none"),
        "--out",
        str(tmp_path / "x"),
    ]
    assert cli.main([*arguments, "--log", str(log)]) == 1
    assert "ERROR fetch: " in log.read_text()


@pytest.mark.extended
def test_one_cell_from_raw_files_to_scores(tmp_path):
    raw, cases, cell = tmp_path / "raw", tmp_path / "cases", tmp_path / "cell"
    phantom = {"patients": 4, "seed": 0, "size": [32, 36], "slices": [4, 4]}
    split = {"name": "groups", "validation": 0.2, "test": 0.2, "seed": 0}
    recipe = {
        "activation": "softmax", "augment": "rotflip", "auxiliary": False, "batch": 4, "deterministic": False,
        "epochs": 1, "evaluate_every": 1, "frames": 3, "border": "authors", "freeze_norm_after": None, "scales": None,
        "loss": {"name": "cross_entropy_dice", "cross_entropy": 0.5, "dice": 0.5}, "normalise": None,
        "optimizer": {"name": "adam", "lr": 1e-3}, "precision": "float32", "pretrained": False,
        "schedule": {"name": "constant"}, "size": 32, "attention_size": "map",
    }  # fmt: skip
    dataset = ["--dataset", "acdc"]
    place = ["--cases", str(cases)]
    network = ["--baseline", "unet"]
    steps = [
        ["fetch", *dataset, "--raw", str(raw), "--phantom", json.dumps(phantom), "--out", str(tmp_path / "raw.json")],
        ["prepare", *dataset, "--raw", str(raw), "--manifest", str(tmp_path / "raw.json"), "--split", json.dumps(split),
         "--size", "32", "--out", str(cases)],
        ["check", *dataset, *place, "--out", str(tmp_path / "audit.csv")],
        ["train", *dataset, *network, "--variant", "salstm", "--seed", "0", "--recipe", json.dumps(recipe), *place,
         "--out", str(cell), "--device", "cpu", "--threads", "1"],
        ["predict", "--run", str(cell), *place, "--device", "cpu", "--threads", "1"],
        ["score", "--run", str(cell), *place, "--out", str(cell / "scores.csv")],
    ]  # fmt: skip
    for step in steps:
        assert cli.main(step) == 0, step[0]
    assert (cell / "scores.csv").read_text().count("\n") > 1
    assert sorted(path.name for path in (cell / "predictions").iterdir()) == [
        "best_test.npz", "best_val.npz", "last.npz"
    ]  # fmt: skip
    # One epoch is one set of weights and of predictions, under three names.
    for kind, folder in ((".safetensors", cell), (".npz", cell / "predictions")):
        names = [folder / f"{name}{kind}" for name in ("last", "best_val", "best_test")]
        assert len({path.stat().st_ino for path in names}) == 1
    facts = json.loads((cell / "run.json").read_text())
    assert facts["recipe"] == recipe
    assert facts["identity"] == {
        "dataset": "acdc",
        "baseline": "unet",
        "variant": "salstm",
        "seed": 0,
    }
    assert not (cell / "checkpoint").exists()


def test_import_weights_maps_names_and_refuses_code(tmp_path, capfd):
    import baselines

    network = baselines.build("dwunet", in_channels=3, out_channels=1, image_size=32)
    torch.save(
        {"state_dict": {f"module.{k}": v for k, v in network.state_dict().items()}},
        tmp_path / "a.pth",
    )
    out = tmp_path / "out.safetensors"
    assert (
        cli.main(["import-weights", "--baseline", "dwunet", str(tmp_path / "a.pth"), str(out)]) == 0
    )
    assert load_file(out).keys() == network.state_dict().keys()
    torch.save({"x": Path("a")}, tmp_path / "b.pth")
    assert (
        cli.main(
            ["import-weights", "--baseline", "dwunet", str(tmp_path / "b.pth"), str(tmp_path / "c")]
        )
        == 1
    )
    assert "run code when they are read" in capfd.readouterr().err
    assert not (tmp_path / "c").exists()


def test_the_other_module_named_lstmsa_is_refused_by_name(tmp_path, capfd):
    """yeshunlong/LSTMSA: its cell holds a fusion and a position encoding."""
    names = ("cell0.conv.weight", "cell0.fusion.linear.weight", "cell0.position_encoding.pe")
    entries = {f"lstmlayer.forward_net.{one}": torch.zeros(2) for one in names}
    torch.save({**entries, "encoder.x": torch.zeros(1)}, tmp_path / "a.pth")
    out = tmp_path / "out.safetensors"
    arguments = ["import-weights", "--baseline", "mtunet", str(tmp_path / "a.pth"), str(out)]
    assert cli.main(arguments) == 1
    message = capfd.readouterr().err
    assert "those of LSTMSA of yeshunlong/LSTMSA (2025), another module than the paper's" in message
    assert not out.exists()


def test_the_cards_are_printed_and_the_page_shows_them(capfd):
    assert cli.main(["networks"]) == 0
    printed = capfd.readouterr().out.strip()
    page = (ROOT / "docs/networks.md").read_text(encoding="utf-8")
    shown = page.split("<!-- networks -->", 1)[1].split("<!-- /networks -->", 1)[0].strip()
    assert printed == shown, "put what `python -m salstm networks` prints into docs/networks.md"
