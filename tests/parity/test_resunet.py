"""ResUNet computes what UNet_Family's resnet34_unet does, but for the sigmoid at that one's end."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torchvision.models import resnet18, resnet34

import baselines
from tests.parity import authors, counts

pytestmark = pytest.mark.parity


def build(**options) -> torch.nn.Module:
    return baselines.build("resunet", out_channels=2, image_size=64, **options).eval()


@pytest.mark.extended
def test_counts_match_the_authors():
    counts.check("resunet")


def test_authors_entries_must_fit_exactly():
    entries = authors.entries(authors.load("resunet"))
    with pytest.raises(KeyError, match=r"unexpected: \['fc.bias'\]"):
        baselines.from_authors("resunet", entries | {"fc.bias": torch.zeros(1)})
    del entries["decoder2.norm2.weight"]
    with pytest.raises(KeyError, match=r"missing: \['decoder2.norm2.weight'\]"):
        baselines.from_authors("resunet", entries)


def test_one_channel_stands_for_three_equal_ones():
    grey, colour = build(in_channels=1), build(in_channels=3)
    grey.load_state_dict(colour.state_dict())
    x = authors.image(1, 96, seed=1).float()
    with torch.no_grad():
        assert torch.equal(grey(x), colour(torch.cat([x, x, x], dim=1)))


def test_pretrained_fills_the_encoder_and_nothing_else(tmp_path: Path):
    # The file of torchvision may lack the counters of batch normalisation; a scratch one has them.
    state = resnet34(weights=None).state_dict()
    state = {key: value for key, value in state.items() if not key.endswith("_tracked")}
    torch.save(state, tmp_path / "resnet34.pth")
    network = build(in_channels=3, pretrained=tmp_path / "resnet34.pth")
    ours = network.get_submodule("encoder").state_dict()
    assert not set(state) - set(ours) - {"fc.weight", "fc.bias"}
    assert all(torch.equal(ours[key], state[key]) for key in state if not key.startswith("fc."))


def test_pretrained_says_what_is_wrong_with_the_file(tmp_path: Path):
    url = baselines.card("resunet")["weights"]["url"]
    with pytest.raises(FileNotFoundError, match=f"fetch {url} to data/weights/resnet34"):
        build(in_channels=3, pretrained=tmp_path / "none.pth")
    torch.save(resnet18(weights=None).state_dict(), tmp_path / "resnet18.pth")
    with pytest.raises(ValueError, match=r"Missing key.*layer1\.2\.conv1\.weight"):
        build(in_channels=3, pretrained=str(tmp_path / "resnet18.pth"))
    (tmp_path / "page.pth").write_text("<html>not found</html>")
    with pytest.raises(ValueError, match=r"page\.pth is not torchvision's ResNet-34"):
        build(in_channels=3, pretrained=tmp_path / "page.pth")
