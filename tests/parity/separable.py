"""DWUNet written out, one channel and one layer at a time, and as a U-Net of product kernels."""

from __future__ import annotations

import re

import torch
from torch import Tensor, nn
from torch.nn import functional

from tests.parity import authors


def state(network: nn.Module) -> dict[str, Tensor]:
    """Weights and statistics by the rule of the golden outputs, entry i from seed i."""
    entries = network.state_dict().items()
    return {name: authors.entry(name, tuple(v.shape), i) for i, (name, v) in enumerate(entries)}


def forward(state: dict[str, Tensor], x: Tensor) -> Tensor:
    """The network's logits."""

    def separable(x: Tensor, at: str) -> Tensor:
        kernels, offsets = state[f"{at}.0.weight"], state[f"{at}.0.bias"]
        planes = [
            functional.conv2d(x[:, c : c + 1], kernels[c : c + 1], offsets[c : c + 1], padding=1)
            for c in range(x.shape[1])
        ]
        mixing = state[f"{at}.1.weight"][:, :, 0, 0]
        mixed = torch.einsum("oc,bchw->bohw", mixing, torch.cat(planes, dim=1))
        return mixed + state[f"{at}.1.bias"][:, None, None]

    def norm(x: Tensor, at: str) -> Tensor:
        names = ("running_mean", "running_var", "weight", "bias")
        mean, variance, scale, offset = (state[f"{at}.{name}"][:, None, None] for name in names)
        return (x - mean) / (variance + 1e-5).sqrt() * scale + offset

    def double(x: Tensor, at: str) -> Tensor:
        x = norm(separable(x, f"{at}.0"), f"{at}.1").relu()
        return norm(separable(x, f"{at}.3"), f"{at}.4").relu()

    def up(x: Tensor, copied: Tensor, at: str) -> Tensor:
        x = functional.conv_transpose2d(
            x, state[f"{at}.enlarge.weight"], state[f"{at}.enlarge.bias"], stride=2
        )
        return double(torch.cat([x, copied], dim=1), f"{at}.convs")

    e0 = double(x, "stem")
    e1 = double(functional.max_pool2d(e0, 2), "down.0.convs")
    e2 = double(functional.max_pool2d(e1, 2), "down.1.convs")
    e3 = double(functional.max_pool2d(e2, 2), "down.2.convs")
    e4 = double(functional.max_pool2d(e3, 2), "down.3.convs")
    x = up(up(up(up(e4, e3, "up.0"), e2, "up.1"), e1, "up.2"), e0, "up.3")
    return functional.conv2d(x, state["head.weight"], state["head.bias"])


def product_kernels(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """UNet's entries: each pair of separable layers multiplied out to one 3x3 convolution."""
    dense = dict(state)
    for name in filter(re.compile(r"(stem|convs)\.[03]\.0\.weight$").search, state):
        conv = name.removesuffix(".0.weight")
        plane, plane_bias = dense.pop(f"{conv}.0.weight"), dense.pop(f"{conv}.0.bias")
        mix, mix_bias = dense.pop(f"{conv}.1.weight"), dense.pop(f"{conv}.1.bias")
        dense[f"{conv}.weight"] = mix * plane.transpose(0, 1)  # (O, I, 1, 1) * (1, I, 3, 3)
        dense[f"{conv}.bias"] = mix_bias + mix[:, :, 0, 0] @ plane_bias
    return dense
