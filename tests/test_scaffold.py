"""What ``salstm new`` writes runs as it is."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
import torch
import yaml

import baselines
from salstm import cards, cli, config, scaffold
from salstm.data import datasets, own

ROOT = Path(__file__).parent.parent


@pytest.fixture
def checkout(tmp_path, monkeypatch) -> Path:
    (tmp_path / "baselines").mkdir()
    (tmp_path / "baselines" / "__init__.py").touch()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_new_network_keeps_the_contract_and_its_card_is_whole(checkout, capsys):
    assert cli.main(["new", "network", "mynet"]) == 0
    written = capsys.readouterr().out.split()
    assert all((checkout / file).is_file() for file in written)
    spec = importlib.util.spec_from_file_location("model", checkout / "baselines/mynet/model.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    network = module.Network(1, 4)
    assert network(torch.zeros(2, 1, 32, 32)).shape == (2, 4, 32, 32)
    card = yaml.safe_load((checkout / "baselines/mynet/card.yaml").read_text())
    assert card["counts"][0]["parameters"] == sum(one.numel() for one in network.parameters())
    assert card["counts"][0]["macs"] == 64 * 64 * (9 * 16 + 9 * 16 * 16 + 16 * 4)
    needed = set(baselines.card("unet")) - {"published", "unverified"}
    assert needed <= set(card)
    assert "| mynet | `mynet` |" in cards.table({"mynet": card})
    laid = config.merge(config.load(ROOT / "config.yaml"), config.load(checkout / "mynet.yaml"))
    assert config.checked(laid, (*baselines.names(), "mynet"))["grid"]["isic2018"] == ["mynet"]
    for file in written:
        if file.endswith(".py"):
            compile((checkout / file).read_text(), file, "exec")


def test_a_new_dataset_is_declared_with_its_folders(checkout, monkeypatch, capsys):
    monkeypatch.setattr(datasets, "DATASETS", dict(datasets.DATASETS))
    for module in (own, config):
        monkeypatch.setattr(module, "DATASETS", datasets.DATASETS)
    assert cli.main(["new", "dataset", "mine"]) == 0
    assert capsys.readouterr().out.split() == [
        "mine.yaml",
        "data/raw/mine/images",
        "data/raw/mine/masks",
    ]
    laid = config.merge(config.load(ROOT / "config.yaml"), config.load(checkout / "mine.yaml"))
    monkeypatch.setattr("salstm.recipes.DATASETS", datasets.DATASETS)
    checked = config.checked(laid, baselines.names(), baselines.problems)
    assert checked["grid"]["mine"] == ["unet"]
    assert "| mine | `mine` | lesion | 3 | 1 |" in cards.datasets(datasets.DATASETS)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["network", "unet"], "none that is taken"),
        (["network", "My-Net"], "a name of small letters"),
        (["network", "class"], "no word of Python"),
        (["dataset", "acdc"], "none that is taken"),
        (["dataset", "train"], "none that is taken"),
        (["dataset", "../x"], "a name of small letters"),
        (["dataset", "taken"], "is there already"),
    ],
)
def test_what_cannot_be_written_is_said_and_nothing_is(checkout, capsys, arguments, message):
    (checkout / "taken.yaml").write_text("name: mine\n")
    before = sorted(checkout.rglob("*"))
    assert cli.main(["new", *arguments]) == 1
    assert message in capsys.readouterr().err
    assert sorted(checkout.rglob("*")) == before


def test_a_network_is_written_in_a_checkout_alone(tmp_path):
    with pytest.raises(FileNotFoundError, match="run it in the checkout"):
        scaffold.network("mynet", tmp_path, ())
