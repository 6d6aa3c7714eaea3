"""How flat the modules' attention is at the start, by the size of the map: entropy and largest score.

``python -m benchmarks.attention``: fresh modules on the features of a fresh U-Net for a phantom heart's slice. Entropy
is of a row of the 64 x 64 attention over the most it can be, ln 64: 1 is a plain mean of the channels, 0 one of them.
"""

from __future__ import annotations

import argparse
import math
import tempfile
from pathlib import Path
from typing import Any

import torch

import baselines
from salstm.modules import attach
from salstm.modules.attention import channel_weights, scale

SIDES = (32, 64, 128, 224, 352)
SIZES: tuple[Any, ...] = (7744, "released", "map")


def main() -> None:
    """Print a table: a module and map a row, a scale a column."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--sides", type=int, nargs="+", default=SIDES)
    arguments.add_argument("--seeds", type=int, default=3)
    chosen = arguments.parse_args()
    print(f"| module | map | {' | '.join(f'{one}: entropy, largest score' for one in SIZES)} |")
    print("| --- | --- | --- | --- | --- |")
    for variant in ("salstm", "lstmsa"):
        for side in chosen.sides:
            cells = [_measured(variant, side, size, chosen.seeds) for size in SIZES]
            print(f"| {variant} | {side} x {side} | {' | '.join(cells)} |")


def _measured(variant: str, side: int, size: Any, seeds: int) -> str:
    entropies, scores = [], []
    for seed in range(seeds):
        entropy, score = _attention(variant, side, size, seed)
        entropies.append(entropy)
        scores.append(score)
    return f"{sum(entropies) / seeds:.3f}, {max(scores):.3g}"


@torch.no_grad()
def _attention(variant: str, side: int, size: Any, seed: int) -> tuple[float, float]:
    """Mean entropy of the rows over ln 64, and the largest score, of the forward net."""
    torch.manual_seed(seed)
    network = baselines.build("unet", in_channels=1, out_channels=64, image_size=side).train()
    model = attach(network, variant, 4, size)
    net = model.head.get_submodule("forward_net")
    seen: list[tuple[torch.Tensor, torch.Tensor]] = []

    def listen(states: Any) -> torch.Tensor:
        query, key = (states.c + states.f) / 2, (states.g + states.h) / 2
        if variant == "lstmsa":
            maps = (net.get_submodule(one)(states.h) for one in ("query", "key"))
            query, key = (one * gate for one, gate in zip((query, key), maps, strict=True))
        seen.append((query, key))
        return states.h

    net.read = listen  # type: ignore[method-assign]
    model(_slices(side, seed)[:, None])
    query, key = seen[0]
    factor = scale(size, query)
    weights = channel_weights(query, key, factor)
    entropy = -(weights * weights.clamp_min(1e-30).log()).sum(-1).mean() / math.log(64)
    scores = torch.bmm(query.flatten(2) * factor, key.flatten(2).transpose(1, 2))
    return float(entropy), float(scores.abs().max())


def _slices(side: int, seed: int) -> torch.Tensor:
    """Two slices of a phantom heart, ``(2, 1, side, side)``."""
    from salstm.data import datasets, phantoms
    from salstm.data.store import Store

    split = {"name": "groups", "validation": 0.3, "test": 0.3, "seed": 0}
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        phantoms.acdc(root / "raw", patients=3, seed=seed, size=(232, 248), slices=(4, 4))
        datasets.prepare("acdc", root / "raw", root / "cases", split=split, size=side)
        store = Store(root / "cases")
        return torch.stack([torch.from_numpy(store.frame(number).copy()) for number in (1, 2)])[
            :, None
        ]


if __name__ == "__main__":
    main()
