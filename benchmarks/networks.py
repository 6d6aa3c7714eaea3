"""Every network's forward pass as ``predict`` runs it on a CPU, channels innermost, against the usual order."""

from __future__ import annotations

import copy
from collections.abc import Iterator

import torch

import baselines
from benchmarks.figures import Figure, paired
from salstm.training.inference import ready


@torch.no_grad()
def figures(pairs: int = 5) -> Iterator[Figure]:
    """All networks, at the size that their cards count at, one image."""
    for name in baselines.names():
        size = baselines.card(name)["counts"][0]["size"]
        torch.manual_seed(0)
        usual = baselines.build(name, in_channels=3, out_channels=64, image_size=size).eval()
        ours = copy.deepcopy(usual)
        ready(ours, torch.device("cpu"))
        image = torch.randn(1, 3, size, size)
        if not torch.allclose(ours(image), usual(image), rtol=1e-3, atol=1e-3):
            raise AssertionError(f"{name}: the two ways differ; nothing is timed")
        setting = f"batch 1, {size}, CPU, fp32"
        yield paired(
            f"{name}, forward, channels innermost",
            setting,
            lambda network=usual, image=image: network(image),
            lambda network=ours, image=image: network(image),
            pairs=pairs,
            reach="",
        )
