"""ESFPNet computes what the authors' B4 notebook model does, on smp's MiT-B4."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

import baselines
from baselines.esfpnet.model import ESFPNet
from tests.parity import authors, counts

pytestmark = pytest.mark.parity


def make(size: int = 32, **options) -> nn.Module:
    return baselines.build("esfpnet", in_channels=3, out_channels=2, image_size=size, **options)


@pytest.fixture(scope="module")
def network() -> nn.Module:
    return make().eval()


def weights(*, without: str = "", extra: str = "") -> dict[str, Tensor]:
    """MiT-B4 in SegFormer's layout, entry i all i."""
    golden = authors.load("esfpnet")
    shapes = {"head.weight": (1000, 512), "head.bias": (1000,)}
    for name, text in zip(golden["names"], golden["shapes"], strict=True):
        if str(name).startswith("backbone."):
            plain = str(name).removeprefix("backbone.")
            shapes[plain] = tuple(int(side) for side in str(text).split(","))
    shapes |= {extra: (3,)} if extra else {}
    shapes.pop(without, None)
    return {n: torch.tensor(float(i)).expand(shape) for i, (n, shape) in enumerate(shapes.items())}


def quarter(network: nn.Module, x: Tensor) -> list[Tensor]:
    """The authors' module ends here; their notebook enlarges outside."""
    assert isinstance(network, ESFPNet)
    return [network.quarter(x)]


def test_logits_are_the_authors_map_enlarged_without_aligned_corners(network):
    x = torch.rand(1, 3, 32, 64, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        small, logits = quarter(network, x)[0], network(x)
    assert small.shape == (1, 2, 8, 16)
    weight = (
        torch.tensor([1, 3, 5, 7]) / 8
    )  # of the right one of two neighbours, at its four pixels
    expected = small[..., :-1, None] * (1 - weight) + small[..., 1:, None] * weight
    rows = logits[:, :, 0, 2:-2].unflatten(-1, (15, 4))  # in the first row nothing mixes downwards
    torch.testing.assert_close(rows, expected[:, :, 0])


@pytest.mark.extended
def test_counts_match_the_authors():
    counts.check("esfpnet")


def test_an_entry_that_is_not_the_authors_is_named():
    entries = {"linear_pred.bias": torch.zeros(1), "LP_5.proj.bias": torch.zeros(1)}
    with pytest.raises(KeyError, match=r"\['LP_5\.proj\.bias'\]"):
        baselines.from_authors("esfpnet", entries)


def test_drop_path_grows_to_a_tenth_over_41_blocks(network):
    backbone = network.get_submodule("backbone")
    rates = [
        getattr(block.drop_path, "drop_prob", 0.0)
        for stage in (1, 2, 3, 4)
        for block in backbone.get_submodule(f"block{stage}").children()
    ]
    assert rates == pytest.approx([0.1 * i / 40 for i in range(41)])


def test_one_channel_stands_for_three(network):
    gray = torch.rand(1, 1, 32, 32, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        three = network(gray.repeat(1, 3, 1, 1))
        torch.testing.assert_close(network.forward(gray), three)  # forward: built for 3, checked


@pytest.mark.extended
@pytest.mark.parametrize("suffix", ["pth", "safetensors"])
def test_pretrained_weights_land_where_they_belong(tmp_path: Path, suffix: str):
    path = tmp_path / f"mit_b4.{suffix}"
    theirs = weights()
    if suffix == "pth":
        torch.save(theirs, path)
    else:  # as smp publishes them: no classifier
        plain = {name: value for name, value in theirs.items() if not name.startswith("head.")}
        save_file({name: value.half().contiguous() for name, value in plain.items()}, path)
    ours = make(pretrained=path).get_submodule("backbone").state_dict()
    assert len(ours) == len(theirs) - 2
    assert all((ours[name] == theirs[name].flatten()[0]).all() for name in ours)


@pytest.mark.extended
def test_wrong_weights_are_explained(tmp_path: Path):
    url = baselines.card("esfpnet")["weights"]["url"]
    with pytest.raises(FileNotFoundError, match=re.escape(url)):
        make(pretrained=tmp_path / "absent.pth")
    torch.save(weights(without="norm2.bias", extra="other.weight"), tmp_path / "odd.pth")
    with pytest.raises(ValueError, match=r"(?s)norm2\.bias.*other\.weight"):
        make(pretrained=tmp_path / "odd.pth")
    (tmp_path / "page.pth").write_text("<html>Sign in</html>")
    with pytest.raises(ValueError, match="not a file of weights"):
        make(pretrained=tmp_path / "page.pth")
