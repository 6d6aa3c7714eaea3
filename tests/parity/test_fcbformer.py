"""FCBFormer computes what the authors' FCBFormer does, on timm's PVTv2-B3."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import baselines
from tests.parity import authors, counts

pytestmark = pytest.mark.parity


def make(size: int = 32, **options) -> nn.Module:
    return baselines.build("fcbformer", in_channels=3, out_channels=2, image_size=size, **options)


@pytest.fixture(scope="module")
def network() -> nn.Module:
    return make().eval()


def weights_file(path: Path, *, without: str = "", extra: str = "") -> dict[str, float]:
    """Write PVTv2-B3 in the authors' layout, entry i all i; returns the values by name."""
    golden = authors.load("fcbformer")
    shapes = {}
    for name, text in zip(golden["names"], golden["shapes"], strict=True):
        if match := re.match(r"TB\.backbone\.(\d+)\.(.+)", str(name)):
            child = int(match[1])  # of the list [patch_embed1, block1, norm1, patch_embed2, ...]
            first = ["patch_embed", "block", "norm"][child % 3] + str(child // 3 + 1)
            shapes[f"{first}.{match[2]}"] = tuple(int(side) for side in str(text).split(","))
    shapes |= {"head.weight": (1000, 512), "head.bias": (1000,)}
    shapes |= {extra: (3,)} if extra else {}
    shapes.pop(without, None)
    values = {name: float(i) for i, name in enumerate(shapes)}
    torch.save({name: torch.tensor(values[name]).expand(shapes[name]) for name in shapes}, path)
    return values


@pytest.mark.extended
def test_counts_match_the_authors():
    counts.check("fcbformer")


def test_an_entry_that_is_not_the_authors_is_named():
    entries = {"PH.2.bias": torch.zeros(1), "TB.backbone.12.weight": torch.zeros(1)}
    with pytest.raises(KeyError, match=r"TB\.backbone\.12\.weight"):
        baselines.from_authors("fcbformer", entries)


def test_takes_multiples_of_32_that_are_not_square(network):
    with torch.no_grad():
        assert network(torch.zeros(1, 3, 32, 96)).shape == (1, 2, 32, 96)


def test_one_channel_stands_for_three(network):
    gray = torch.rand(1, 1, 32, 32, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        three = network(gray.repeat(1, 3, 1, 1))
        torch.testing.assert_close(network.forward(gray), three)  # forward: built for 3, checked


def test_the_transformer_branch_is_enlarged_by_nearest_neighbour(network):
    seen: list[Tensor] = []
    hook = network.head.register_forward_pre_hook(lambda _, x: seen.append(x[0]))
    with torch.no_grad():
        network(torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(1)))
    hook.remove()
    squares = seen[0].unflatten(2, (8, 4)).unflatten(4, (8, 4))  # (1, 96, 8, 4, 8, 4)
    spread = squares.std(dim=(3, 5)).amax(dim=(0, 2, 3))
    assert spread[:64].max() == 0
    assert spread[64:].min() > 0


def test_pretrained_weights_land_where_they_belong(tmp_path):
    values = weights_file(tmp_path / "pvt_v2_b3.pth")
    state = make(pretrained=tmp_path / "pvt_v2_b3.pth").state_dict()
    for theirs, ours in {
        "patch_embed1.proj.weight": "patch_embed.proj.weight",
        "patch_embed3.norm.bias": "stages_2.downsample.norm.bias",
        "block3.17.mlp.dwconv.dwconv.weight": "stages_2.blocks.17.mlp.dwconv.weight",
        "block1.2.attn.sr.bias": "stages_0.blocks.2.attn.sr.bias",
        "norm4.weight": "stages_3.norm.weight",
    }.items():
        assert (state[f"transformer.backbone.{ours}"] == values[theirs]).all()
    backbone = [v for k, v in state.items() if k.startswith("transformer.backbone.")]
    assert {float(v.flatten()[0]) for v in backbone} == set(values.values()) - {
        values["head.weight"],
        values["head.bias"],
    }


def test_wrong_weights_are_explained(tmp_path):
    weights = baselines.card("fcbformer")["weights"]
    with pytest.raises(FileNotFoundError, match=re.escape(weights["url"])):
        make(pretrained=tmp_path / "absent.pth")
    weights_file(tmp_path / "odd.pth", without="norm2.bias", extra="other.weight")
    with pytest.raises(ValueError, match=r"(?s)stages_1\.norm\.bias.*other\.weight"):
        make(pretrained=tmp_path / "odd.pth")
    (tmp_path / "page.pth").write_text("<html>Not found</html>")
    with pytest.raises(ValueError, match="not a file of weights"):
        make(pretrained=tmp_path / "page.pth")
