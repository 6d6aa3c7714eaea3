"""Networks of libraries: a line of a configuration is data, names on the disk are safe, and a plan asks them once.

What needs the libraries themselves is in tests/baselines/test_from_libraries.py.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
import torch
from torch import nn

import baselines
from salstm import config, contract, examination, libraries, recipes

ROOT = Path(__file__).parent.parent
NETWORKS = baselines.names()
LINE = "monai:SegResNet(init_filters=16)"


@pytest.fixture
def paper() -> dict:
    return config.load(ROOT / "config.yaml")


def with_grid(paper: dict, *lines: str, **others) -> dict:
    grid = {"synapse": [], "acdc": list(lines), "isic2018": [], "cvc_clinicdb": []}
    return config.checked(
        config.merge(paper, {"grid": grid, **others}), NETWORKS, baselines.problems
    )


@pytest.mark.parametrize(
    ("line", "source", "arguments", "name"),
    [
        ("monai:SegResNet", "monai:SegResNet", {}, "monai_segresnet"),
        (
            "smp:Unet(encoder_name=resnet34)",
            "smp:Unet",
            {"encoder_name": "resnet34"},
            "smp_unet_resnet34",
        ),
        (
            "smp:Unet(encoder_name='tu-resnet18', decoder_use_norm=false)",
            "smp:Unet",
            {"decoder_use_norm": False, "encoder_name": "tu-resnet18"},
            "smp_unet_decoder_use_norm_false_tu_resnet18",
        ),
        (
            "monai:UNet(channels=(16, 32), strides=[2], norm=('group', {'num_groups': 2}))",
            "monai:UNet",
            {"channels": [16, 32], "norm": ["group", {"num_groups": 2}], "strides": [2]},
            "monai_unet_channels_16_32_norm_group_num_groups_2_strides_2",
        ),
        (
            "timm:vit_tiny_patch16_224.augreg_in21k",
            "timm:vit_tiny_patch16_224.augreg_in21k",
            {},
            "timm_vit_tiny_patch16_224_augreg_in21k",
        ),
        ("smp:FPN(dropout=null)", "smp:FPN", {"dropout": None}, "smp_fpn_dropout_null"),
    ],
)
def test_a_line_says_library_name_and_literals(line, source, arguments, name):
    parsed = libraries.parse(line)
    assert parsed == {"from": source, "arguments": arguments}
    assert libraries.short(parsed) == name


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("monay:SegResNet", r"no library 'monay', did you mean monai\?"),
        ("os:system", r"no library 'os'\. Networks come from monai \(monai\.networks\.nets\)"),
        ("monai:Seg Res", "is no library:Name"),
        ("monai:../../evil", "is no library:Name"),
        ("monai:SegResNet(16)", "arguments are given by name"),
        ("monai:SegResNet(**{'a': 1})", "arguments are given by name"),
        ("monai:SegResNet(a=1)(b=2)", "one pair of brackets"),
        ("monai:SegResNet(a=)", "brackets cannot be read"),
        ("monai:SegResNet(a=__import__('os').system('touch x'))", "is no value"),
        ("monai:SegResNet(a=[print(1)])", "is no value"),
        ("monai:SegResNet(a=lambda: 1)", "is no value"),
        ("monai:SegResNet(a={1, 2})", "must be numbers, words, lists"),
        ("monai:SegResNet(in_channels=3)", "in_channels follows from the dataset and the module"),
        ("smp:Unet(classes=3)", "classes follows from the dataset"),
        ("smp:Unet(encoder_weights=imagenet)", "set pretrained: true in its recipe"),
        ("timm:resnet18(pretrained=true)", "set pretrained: true in its recipe"),
        ("timm:resnet18(checkpoint_path='/etc/x')", "checkpoint_path is no argument here"),
        ("monai:SegResNet(spatial_dims=3)", "spatial_dims is 3; frames have 2"),
        ("monai:" + "x" * 1200, "is no library:Name"),
    ],
)
def test_a_line_that_names_no_network_is_refused_with_its_place(paper, line, message):
    with pytest.raises(config.ConfigError, match=message) as raised:
        with_grid(paper, line)
    assert "grid.acdc.0: " in str(raised.value)
    assert not Path("x").exists()


@pytest.mark.parametrize(
    ("source", "known"),
    [
        ("monai.networks.nets.SegResNet", "monai:SegResNet"),
        ("monai.networks.nets.segresnet.SegResNet", "monai:SegResNet"),
        ("segmentation_models_pytorch.Unet", "smp:Unet"),
        ("torchvision.models.segmentation.fcn_resnet50", "torchvision:fcn_resnet50"),
        ("timm.resnet18", "timm:resnet18"),
    ],
)
def test_a_full_name_is_the_same_network(source, known):
    assert libraries.canonical(source, {})["from"] == known


@pytest.mark.parametrize("source", ["monai.bundle.run", "os.system", "SegResNet", "torch.hub.load"])
def test_a_full_name_elsewhere_is_refused(source):
    with pytest.raises(libraries.LineError, match="no library"):
        libraries.canonical(source, {})


def test_a_grid_gets_names_and_recipes_get_networks(paper):
    mine = {"from": "monai.networks.nets.SegResNet", "arguments": {"spatial_dims": 2}}
    layers = {"networks": {LINE: {"batch": 4}}, "grid": {"acdc": {"mine": {"batch": 2}}}}
    checked = with_grid(paper, LINE, "mine", "unet", networks={"mine": mine}, recipes=layers)
    name = "monai_segresnet_init_filters_16"
    assert checked["grid"]["acdc"] == [name, "mine", "unet"]
    assert checked["networks"][name] == {
        "from": "monai:SegResNet",
        "arguments": {"init_filters": 16},
    }
    recipe = recipes.resolve(checked, "acdc", name, "salstm")
    assert (recipe.batch, recipe.network) == (4, checked["networks"][name])
    assert recipes.resolve(checked, "acdc", "mine", "plain").batch == 2
    assert recipes.load(recipes.given(recipe)) == recipe
    assert "network" not in recipes.dump(recipes.resolve(checked, "acdc", "unet", "plain"))
    again = config.checked(checked, NETWORKS, baselines.problems)
    assert (again["grid"], again["networks"]) == (checked["grid"], checked["networks"])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"networks": {"unet": {"from": "monai:UNet"}}}, r"networks.unet: .*cannot be called so"),
        ({"networks": {"../x": {"from": "monai:UNet"}}}, r"networks.../x: .*cannot be called so"),
        ({"networks": {"m": {"form": "monai:UNet"}}}, r"unknown key 'form', did you mean from\?"),
        ({"networks": {"m": {"from": "monia:UNet"}}}, r"networks.m: .*did you mean monai\?"),
        ({"recipes": {"networks": {"smp:": {}}}}, r"recipes.networks: 'smp:' is no library:Name"),
        (
            {"recipes": {"networks": {LINE: {"auxiliary": True}}}},
            r"auxiliary: .* main output alone",
        ),
        (
            {"recipes": {"networks": {LINE: {"pretrained": True}}}},
            r"pretrained: monai_segresnet_init_filters_16: its library has no weights",
        ),
    ],
)
def test_mistakes_about_networks_are_named(paper, change, message):
    with pytest.raises(config.ConfigError, match=message):
        with_grid(paper, LINE, **change)


def test_two_lines_of_one_name_want_a_name(paper):
    with pytest.raises(config.ConfigError, match=r"would be called smp_unet_a_b, as smp:Unet\(enc"):
        with_grid(paper, "smp:Unet(encoder_name='a-b')", "smp:Unet(encoder_name='a_b')")


def test_a_grid_without_libraries_starts_no_process(paper, monkeypatch):
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: pytest.fail("a process"))
    assert contract.cards(with_grid(paper, "unet")) == {}


def test_what_was_found_is_kept_until_what_it_rests_on_changes(paper, tmp_path, monkeypatch):
    asked = []

    def examined(wanted: dict) -> dict:
        asked.append(sorted(wanted))
        return {name: {"problems": [], "card": {"title": name}} for name in wanted}

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(contract, "_examined", examined)
    name = "monai_segresnet_init_filters_16"
    for _ in range(2):
        assert contract.cards(with_grid(paper, LINE)) == {name: {"title": name}}
    assert asked == [[name]]
    lr = {"recipes": {"overrides": {"optimizer": {"lr": 0.5}}}}
    contract.cards(with_grid(paper, LINE, **lr))
    assert len(asked) == 1, "the rate changes nothing that was looked at"
    contract.cards(with_grid(paper, LINE, recipes={"overrides": {"size": 64}}))
    contract.cards(with_grid(paper, LINE, "smp:FPN", recipes={"overrides": {"size": 64}}))
    assert asked[1:] == [[name], ["smp_fpn"]]
    monkeypatch.setattr(libraries, "version", lambda _: "monai 99")
    contract.cards(with_grid(paper, LINE))
    assert len(asked) == 4


def test_what_the_cells_want(paper):
    layers = {"overrides": {"size": 64, "batch": 4}}
    checked = with_grid(paper, LINE, recipes=layers)
    (wanted,) = contract.asked(checked).values()
    assert wanted["place"] == "grid.acdc: monai_segresnet_init_filters_16"
    assert wanted["builds"] == [
        {"channels": 1, "outputs": outputs, "size": 64, "sides": [64], "smallest": 4}
        for outputs in (4, None)
    ]


class Fake(nn.Module):
    """A network with a fault."""

    def __init__(self, fault: str, inputs: int, outputs: int) -> None:
        super().__init__()
        self.fault = fault
        self.layer = nn.Conv2d(inputs, outputs, 3, padding=1, stride=2 if fault == "half" else 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.layer(x)
        if self.fault == "half":
            raise ValueError(f"gives {tuple(x.shape)}")
        if self.fault == "nan":
            return x / 0 * 0
        if self.fault == "random":
            return x + torch.rand_like(x)
        return x.detach().requires_grad_() if self.fault == "fixed" else x


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("half", r"does not take images of 32x32, the size in its recipe .*gives \(1, 4, 16, 16\)"),
        ("nan", "its outputs at 32x32 are not finite"),
        ("random", "two evaluations of one image differ"),
        ("fixed", "none of its parameters gets a gradient"),
    ],
)
def test_a_network_that_does_not_keep_the_contract_is_named(paper, fault, message):
    checked = with_grid(paper, LINE, recipes={"overrides": {"size": 32}})
    wanted = contract.asked(checked)

    def build(inputs: int, outputs: int, size: int, source: dict) -> nn.Module:
        assert source["from"] == "monai:SegResNet"
        return Fake(fault, inputs, outputs)

    found = examination.examine(wanted, build, lambda _: "", lambda _: False)
    (one,) = found.values()
    (problem,) = one["problems"]
    assert problem.startswith("grid.acdc: monai_segresnet_init_filters_16: ")
    with pytest.raises(AssertionError, match=message):
        raise AssertionError(problem)


@pytest.mark.parametrize(
    ("text", "title", "year", "url"),
    [
        (
            "Net based on `3D MRI segmentation <https://arxiv.org/pdf/1810.11654.pdf>`_. More",
            "3D MRI segmentation",
            2018,
            "https://arxiv.org/pdf/1810.11654.pdf",
        ),
        (
            'based on: "Attention U-Net: Learning" https://arxiv.org/abs/1804.03999 Args',
            "Attention U-Net: Learning",
            2018,
            "https://arxiv.org/abs/1804.03999",
        ),
        (
            "`U-Net`__ is. See https://arxiv.org/abs/1808.08127\n.. __: https://arxiv.org/abs/1505.04597",
            "Name",
            2015,
            "https://arxiv.org/abs/1505.04597",
        ),
        ("no paper; https://pytorch.org/tutorials", "Name", "–", "https://library.example"),
    ],
)
def test_the_paper_is_the_one_that_the_library_names(text, title, year, url):
    found = examination.paper(text, "Name", "https://library.example", "monai 1")
    assert (found["title"], found["year"], found["url"]) == (title, year, url)
