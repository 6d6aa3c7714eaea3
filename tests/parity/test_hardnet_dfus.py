"""HarDNet-DFUS computes what the authors' KingMSEG_lawin_loss4 does, auxiliary outputs included."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

import baselines
from baselines.hardnet_dfus.model import HarDNetDFUS, KingBlock, LawinAttention
from tests.parity import authors, counts
from tests.parity.measure import UNITS, measure

pytestmark = pytest.mark.parity

# What the authors' module gives at 384 in float32 for standard normal input and `plain_entry`:
# twelve values of each output, evenly spread over it.
RECORDED = {
    "main": "1.191772 0.533052 1.176617 1.266262 1.5506 1.507806 "
    "1.558634 1.625448 1.484008 1.385161 0.804544 0.569712",
    "deep1": "-0.514139 -0.474184 -0.469239 -0.486391 -0.453922 -0.454816 "
    "-0.473554 -0.442044 -0.46224 -0.468281 -0.492547 -0.411101",
    "deep2": "-0.103461 -0.08196 -0.107115 -0.132265 -0.131163 -0.134087 "
    "-0.136317 -0.133621 -0.141225 -0.112018 -0.042328 -0.047153",
    "boundary": "-0.180641 -0.668046 0.301072 0.286014 0.807408 0.429358 "
    "-0.338939 0.422696 0.39653 -0.548958 0.512493 0.369182",
}


def make(size: int = 64, **options) -> nn.Module:
    return baselines.build(
        "hardnet_dfus", in_channels=3, out_channels=1, image_size=size, **options
    )


@pytest.fixture(scope="module")
def network() -> nn.Module:
    return make().eval()


def shapes() -> dict[str, tuple[int, ...]]:
    golden = authors.load("hardnet_dfus")
    return {
        str(name): tuple(int(side) for side in str(text).split(",") if side)
        for name, text in zip(golden["names"], golden["shapes"], strict=True)
    }


def weights(*, without: str = "", extra: str = "") -> dict[str, Tensor]:
    """HarDNetV2-53 in the layout of kingnet53.pth, entry i all i."""
    prefix = "backbone."
    plain = {k.removeprefix(prefix): v for k, v in shapes().items() if k.startswith(prefix)}
    plain |= {extra: (3,)} if extra else {}
    plain.pop(without, None)
    return {f"module.{n}": torch.tensor(i).expand(s) for i, (n, s) in enumerate(plain.items())}


def plain_entry(name: str, shape: tuple[int, ...], seed: int) -> Tensor:
    """The rule of RECORDED, which is not the golden file's."""
    z = np.random.RandomState(seed).standard_normal(shape)
    if name.endswith("num_batches_tracked"):
        return torch.tensor(0)
    if name.endswith("running_var"):
        z = 1 + 0.1 * np.abs(z)
    elif len(shape) == 4:
        z = z * np.sqrt(2 / np.prod(shape[1:]))
    elif len(shape) == 2:
        z = z * np.sqrt(1 / shape[1])
    elif name.endswith("weight"):
        z = 1 + 0.1 * z
    else:
        z = 0.1 * z
    return torch.as_tensor(z, dtype=torch.float32)


@pytest.mark.extended
def test_auxiliary_outputs_are_the_authors():
    network = make(384, auxiliary=True)
    theirs = {n: plain_entry(n, s, 1000 + i) for i, (n, s) in enumerate(shapes().items())}
    network.load_state_dict(baselines.from_authors("hardnet_dfus", theirs))
    network.eval().training = True  # auxiliary outputs, but stored batch statistics
    x = np.random.RandomState(7).standard_normal((1, 3, 384, 384))
    with torch.no_grad():
        outputs = network(torch.as_tensor(x, dtype=torch.float32))
    assert [y.shape[1] for y in outputs] == [1, 1, 1, 48]
    (of_logits,) = measure("hardnet_dfus").tolerances
    printed = 0.5e-6 / 0.03  # they stand with six decimals, and the smallest of them is 0.04
    tolerance = UNITS * of_logits + printed  # theirs and ours are in float32
    for y, text in zip(outputs, RECORDED.values(), strict=True):
        places = np.linspace(0, y.numel() - 1, 12).astype(int)
        expected = np.array([float(number) for number in text.split()])
        difference = authors.relative(y.flatten().numpy()[places], expected)
        print(f"difference {difference:.1e}, tolerance {tolerance:.1e}")  # noqa: T201 - by -rP
        assert difference < tolerance


@pytest.mark.extended
def test_counts_match_the_authors():
    counts.check("hardnet_dfus")


@pytest.mark.parametrize("ratio", [8, 4, 2])
def test_embedding_patches_once_is_embedding_each_context(ratio):
    """Against the authors' way: cut each context out, then embed, mix and attend, head by head."""
    torch.manual_seed(ratio)
    attention = LawinAttention(ratio).eval()
    for parameter in attention.parameters():
        nn.init.normal_(parameter, std=0.05)
    x = torch.randn(1, 512, 16, 24)
    with torch.no_grad():
        ours = attention(x)
        wide = functional.unfold(x, 8 * ratio, stride=8, padding=4 * (ratio - 1)).unflatten(
            1, (512, -1)
        )
        for number in range(6):
            context = wide[0, :, :, number].unflatten(1, (8 * ratio, -1))[None]
            row, column = 8 * (number // 3), 8 * (number % 3)
            query = x[:, :, row : row + 8, column : column + 8]
            expected = query + one_window(attention, query, context)
            theirs = ours[:, :, row : row + 8, column : column + 8]
            torch.testing.assert_close(theirs, expected, rtol=1e-4, atol=1e-4)


def one_window(attention: LawinAttention, query: Tensor, context: Tensor) -> Tensor:
    embed = functional.conv2d(
        context, attention.patches.weight, attention.patches.bias, stride=attention.patches.stride
    )
    embed = attention.patch_norm(embed.flatten(2).mT).mT  # (1, 512, 64)
    mixed = [
        functional.linear(group, attention.mixing_weight[head], attention.mixing_bias[head])
        for head, group in enumerate(embed.chunk(attention.heads, dim=1))
    ]
    embed = (embed + torch.cat(mixed, dim=1)).unflatten(2, (8, 8))
    theta, phi, g = attention.theta(query), attention.phi(embed), attention.g(embed)
    results = []
    for q, k, v in zip(
        *(y.flatten(2).chunk(attention.heads, 1) for y in (theta, phi, g)), strict=True
    ):
        scores = q.mT @ k / q.shape[1] ** 0.5
        results.append((scores.softmax(-1) @ v.mT).mT)
    return attention.norm(attention.out(torch.cat(results, dim=1).unflatten(2, (8, 8))))


def test_king_block_wires_nodes_by_divisors():
    """Length 9 has divisors 1, 3, 9; a unit is as wide as its number of divisors among them."""
    block = KingBlock(60, 9, (3, 6))
    assert [unit.get_parameter("conv.weight").shape[0] for unit in block.units] == [
        20, 20, 40, 20, 20, 40, 20, 20, 60,
    ]  # fmt: skip
    with torch.no_grad():
        assert block.eval()(torch.zeros(1, 60, 4, 4)).shape == (1, 40 + 40 + 60, 4, 4)


def test_starts_as_the_authors_head_does(network):
    assert isinstance(network, HarDNetDFUS)
    for attention in network.head.attention:
        assert isinstance(attention, LawinAttention)
        assert (attention.norm.weight == 0).all()
        assert attention.mixing_weight.std().item() == pytest.approx(0.02, rel=0.02)
    assert network.head.fuse.conv.weight.std().item() == pytest.approx((2 / 512) ** 0.5, rel=0.02)
    assert all((b == 0).all() for n, b in network.named_buffers() if n.endswith("running_mean"))


def test_an_entry_that_is_not_the_authors_is_named():
    entries = {"last3_seg.bias": torch.zeros(1), "backbone.base.21.3.bias": torch.zeros(1000)}
    assert list(baselines.from_authors("hardnet_dfus", entries)) == ["deep1.bias"]
    with pytest.raises(KeyError, match=r"backbone\.base\.22\.bias"):
        baselines.from_authors("hardnet_dfus", entries | {"backbone.base.22.bias": torch.zeros(1)})


def test_takes_multiples_of_64_that_are_not_square(network):
    with torch.no_grad():
        assert network(torch.zeros(1, 3, 64, 128)).shape == (1, 1, 64, 128)


def test_one_channel_stands_for_three(network):
    gray = torch.rand(1, 1, 64, 64, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        three = network(gray.repeat(1, 3, 1, 1))
        torch.testing.assert_close(network.forward(gray), three)  # forward: built for 3, checked


def test_pretrained_weights_land_where_they_belong(tmp_path: Path):
    theirs = weights()
    torch.save({"epoch": 3, "state_dict": theirs}, tmp_path / "kingnet53.pth")
    ours = make(pretrained=tmp_path / "kingnet53.pth").get_submodule("backbone").state_dict()
    for name, our_name in {
        "base.1.norm.running_var": "stem.1.norm.running_var",
        "base.3.layers.8.conv.weight": "stages.0.block.units.8.conv.weight",
        "base.11.fc.2.weight": "stages.2.excite.excite.weight",
        "base.16.norm.bias": "stages.3.narrow.norm.bias",
        "base.20.conv.weight": "stages.4.narrow.conv.weight",
    }.items():
        assert (ours[our_name] == theirs[f"module.{name}"]).all()
    assert len(ours) == len(theirs) - 2


def test_wrong_weights_are_explained(tmp_path: Path):
    url = baselines.card("hardnet_dfus")["weights"]["url"]
    with pytest.raises(FileNotFoundError, match=re.escape(url)):
        make(pretrained=tmp_path / "absent.pth")
    odd = weights(without="base.20.norm.bias", extra="base.22.weight")
    torch.save({"state_dict": odd}, tmp_path / "odd.pth")
    with pytest.raises(ValueError, match=r"(?s)stages\.4\.narrow\.norm\.bias.*base\.22\.weight"):
        make(pretrained=tmp_path / "odd.pth")
    torch.save(odd, tmp_path / "bare.pth")
    with pytest.raises(ValueError, match="no 'state_dict'"):
        make(pretrained=tmp_path / "bare.pth")
    (tmp_path / "page.pth").write_text("<html>Sign in</html>")
    with pytest.raises(ValueError, match="not a file of weights"):
        make(pretrained=tmp_path / "page.pth")
