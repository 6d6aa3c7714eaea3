"""Networks of the libraries themselves: built, run and counted as a plan does; what is wrong is named before a job."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch

import baselines
from baselines import libraries as built
from salstm import cli, config, contract, libraries
from salstm.modules import attach
from salstm.training import checkpoint

pytestmark = [pytest.mark.extended, pytest.mark.filterwarnings("ignore::Warning")]

ROOT = Path(__file__).parents[2]
LINES = (
    "monai:SegResNet(init_filters=8)",
    "monai:AttentionUnet(channels=[8,16,32], strides=[2,2])",
    "monai:UNet(channels=[8,16],strides=[2])",
    pytest.param(
        "monai:SwinUNETR(feature_size=12)",
        marks=pytest.mark.skipif(
            find_spec("einops") is None,
            reason="MONAI's transformers need einops, in no lock of ours",
        ),
    ),
    "monai:BasicUNet",
    "monai:DynUNet(kernel_size=[3,3,3],strides=[1,2,2],upsample_kernel_size=[2,2])",
    "smp:Unet(encoder_name=resnet18)",
    "smp:UnetPlusPlus(encoder_name=mobilenet_v2)",
    "smp:DeepLabV3Plus(encoder_name=resnet18)",
    "smp:Segformer(encoder_name=mit_b0)",
    "torchvision:lraspp_mobilenet_v3_large",
    "timm:resnet18",
    "timm:pvt_v2_b0",
    "timm:swin_tiny_patch4_window7_224(depths=[1,1,1,1])",
)


def build(source: dict, **options) -> torch.nn.Module:
    """The network of a recipe's key ``network``, for grey images of 64 x 64 pixels."""
    shape = {"in_channels": 1, "out_channels": 2, "image_size": 64}
    return baselines.build("any", **{**shape, **options}, source=source)


def examined(tmp_path: Path, *lines: str, size: int = 64, **change) -> dict:
    """The cards of a grid with these lines, asked as a plan does but in this process."""
    paper = config.load(ROOT / "config.yaml")
    grid = {"synapse": [], "acdc": list(lines), "isic2018": [], "cvc_clinicdb": []}
    layers = {"overrides": {"size": size, "batch": 2}}
    laid = config.merge(paper, {"grid": grid, "recipes": layers, **change})
    checked = config.checked(laid, baselines.names(), baselines.problems)
    asked, found = tmp_path / "asked.json", tmp_path / "found.json"
    asked.write_text(json.dumps(contract.asked(checked)))
    assert cli.main(["examine", str(asked), str(found)]) == 0
    return json.loads(found.read_text())


@pytest.mark.parametrize("line", LINES)
def test_a_network_keeps_the_contract_plain_and_under_a_module(line, tmp_path):
    (one,) = examined(tmp_path, line).values()
    assert one["problems"] == []
    card, source = one["card"], libraries.parse(line)
    model = attach(build(source, out_channels=64), "salstm", 4).eval()
    with torch.no_grad():
        assert model(torch.rand(1, 3, 1, 64, 64)).shape == (1, 4, 64, 64)
    checkpoint.save_weights(tmp_path / "weights.safetensors", model.state_dict())
    model.load_state_dict(checkpoint.load_weights(tmp_path / "weights.safetensors"))
    plain = build(source, out_channels=4)
    assert card["counts"][0]["parameters"] == sum(p.numel() for p in plain.parameters())
    assert card["counts"][0]["macs"] > 1e6
    assert card["paper"]["url"].startswith("https://")
    assert any(character.isdigit() for character in card["code"]["commit"])


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("monai:SegResnt", r"monai has no network 'SegResnt', did you mean SegResNet"),
        ("smp:UNet3", r"smp has no network 'UNet3', did you mean Unet"),
        ("timm:resnet19", r"timm has no network 'resnet19', did you mean resnet"),
        ("torchvision:resnet18", r"torchvision has no network 'resnet18'"),
        ("monai:SegResNet(filters=8)", r"no argument 'filters', did you mean init_filters\?"),
        ("monai:UNet", r"monai:UNet needs channels, strides as well"),
        ("smp:Unet(encoder_name=resnet1)", r"smp:Unet refuses its arguments: .*resnet1"),
        ("timm:resnet18(depth=3)", r"timm:resnet18 as a backbone: .*depth"),
        # It would download weights by default.
        ("monai:EfficientNetBN(model_name=efficientnet-b0)", r"gives \(1, 4\) for input"),
        ("monai:DenseNet121", r"does not take images of 64x64.*gives \(1, 4\).*logits"),
        ("monai:AHNet", r"does not take images of 64x64"),
    ],
)
def test_a_wrong_name_argument_or_size_is_named(line, message, tmp_path):
    try:
        (one,) = examined(tmp_path, line).values()
        (problem,) = one["problems"]
    except config.ConfigError as error:
        problem = str(error)
    assert "grid.acdc" in problem
    assert re.search(message, problem), problem


def test_a_library_loads_weights_only_where_the_recipe_asks(monkeypatch):
    import timm

    asked: dict = {}

    def offline(*_, **options):
        asked.update(options)
        raise OSError("offline")

    monkeypatch.setattr(timm, "create_model", offline)
    for wanted in (False, True):
        with pytest.raises(ValueError, match="offline"):
            build(libraries.parse("timm:resnet18"), pretrained=wanted)
        assert asked["pretrained"] is wanted


def test_the_libraries_that_can_be_named_are_those_that_can_be_built():
    assert set(built.BUILDERS) == set(libraries.LIBRARIES)
    for key, place in built.PLACES.items():
        assert place in libraries.LIBRARIES[key].places


@pytest.mark.parametrize(
    ("name", "message"),
    [
        *((name, "no library") for name in ("os:system", "torch:hub", "subprocess:run")),
        ("monai:Sequence", "has no network"),
    ],
)
def test_a_recipe_from_elsewhere_can_name_nothing_else(name, message):
    with pytest.raises(ValueError, match=message):
        build({"from": name, "arguments": {}})


def test_a_plan_stops_before_any_job(tmp_path):
    mine = tmp_path / "mine.yaml"
    mine.write_text(
        "name: mine\ngrid: {synapse: [], isic2018: ['monai:SegResnt'], acdc: [], cvc_clinicdb: []}\n"
    )
    places = ["-s", str(ROOT / "Snakefile"), "-d", str(tmp_path), "--configfile", str(mine)]
    command = [sys.executable, "-m", "snakemake", "-n", "--quiet", *places]
    result = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    said = result.stdout + result.stderr
    assert result.returncode == 1
    assert (
        "grid.isic2018: monai_segresnt: monai has no network 'SegResnt', did you mean SegR" in said
    )
    assert "rule " not in said
    assert not (tmp_path / "results").exists()


def test_a_package_that_a_network_wants_is_named(tmp_path, monkeypatch):
    """MONAI imports some when a network first runs."""

    def lacking(*_: object) -> None:
        raise ImportError("import from einops (No module named 'einops').")

    monkeypatch.setattr("monai.networks.nets.BasicUNet.forward", lacking)
    (one,) = examined(tmp_path, "monai:BasicUNet").values()
    assert "wants a package that is not installed: import from einops" in one["problems"][0]
