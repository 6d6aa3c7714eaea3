"""Cascaded MERIT against the authors' own outputs."""

from __future__ import annotations

import pytest
import torch
from timm.models.maxxvit import MaxxVit, PartitionAttentionCl

import baselines
from baselines.merit.model import (
    FIRST,
    SECOND,
    Merit,
    create_backbone,
    load_backbone,
    second_size,
)
from tests.parity import counts

pytestmark = pytest.mark.parity


@pytest.mark.extended
def test_counts_match_the_authors():
    counts.check("merit")


def test_second_pass_runs_at_seven_eighths():
    sizes = {256: 224, 512: 448, 224: 192, 288: 224, 320: 256, 352: 288, 384: 320, 96: 64}
    assert {size: second_size(size) for size in sizes} == sizes


def on_paper(name: str, size: int) -> MaxxVit:
    with torch.device("meta"):
        return create_backbone(name, size)


def test_windows_follow_the_size():
    # timm's rule: one window covers the deepest map, as 8x8 does at 256.
    for size in (96, 256):
        windows = {
            tuple(module.partition_size)
            for module in on_paper(FIRST, size).modules()
            if isinstance(module, PartitionAttentionCl)
        }
        assert windows == {(size // 32, size // 32)}


@pytest.mark.extended
def test_outputs_add_up_to_the_logits():
    network = baselines.build("merit", in_channels=1, out_channels=3, image_size=96, auxiliary=True)
    assert isinstance(network, Merit)
    x = torch.rand(2, 1, 96, 96)
    with torch.no_grad():
        logits, *stages = network.train()(x)
        assert [stage.shape for stage in stages] == 4 * [(2, 3, 96, 96)]
        assert torch.allclose(logits, torch.stack(stages).sum(0), atol=1e-5)
        total = torch.stack(network.eval().stages(x)).sum(0)
        assert torch.allclose(network(x), total, atol=1e-5)


def test_unexpected_entry_is_named():
    for name in ("decoder.Up4.up.1.weight", "out_head5.weight", "x"):
        with pytest.raises(KeyError, match=name.replace(".", r"\.")):
            baselines.from_authors("merit", {name: torch.zeros(1)})


def test_pretrained_folder_of_timms_layout_is_loaded(tmp_path):
    files = baselines.card("merit")["weights"]["file"]
    states = []
    for file, name in zip(files, (FIRST, SECOND), strict=True):
        # Every entry a constant of its own, stored as one number.
        state = {
            key: torch.tensor(index, dtype=value.dtype).expand(value.shape)
            for index, (key, value) in enumerate(on_paper(name, 96).state_dict().items())
        }
        torch.save(state | {"head.fc.bias": torch.zeros(1000)}, tmp_path / file)
        states.append(state)
    network = baselines.build(
        "merit", in_channels=3, out_channels=2, image_size=96, pretrained=tmp_path
    )
    assert isinstance(network, Merit)
    for backbone, state in zip((network.backbone1, network.backbone2), states, strict=True):
        loaded = backbone.state_dict()
        assert all(torch.equal(loaded[key], value) for key, value in state.items())

    with pytest.raises(ValueError, match=r"missing \['stages.*unexpected"):
        load_backbone(network.backbone1, tmp_path / files[1], url="https://x")  # the other's file
    with pytest.raises(FileNotFoundError, match=r"fetch https://x to data/weights/none\.pth"):
        load_backbone(network.backbone1, tmp_path / "none.pth", url="https://x")
