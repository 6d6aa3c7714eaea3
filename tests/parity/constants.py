"""Floating constants that a library computes while it builds a network, and no state dict holds.

They are made in float32, by functions that each processor rounds its own way (torch's ``log(7)`` in float32
differs by one unit of the last place between two machines). In a float64 comparison that is an error of 1e-7 in
an input of the network, so such a constant must be given to both sides, as weights are.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from timm.layers.pos_embed_rel import RelPosMlp
from torch import Tensor, nn


def inexact(network: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """Every floating tensor outside parameters and state dict whose values are not whole numbers.

    Whole numbers, such as MT-UNet's squared distances, are the same on every machine.
    """
    kept = {value.data_ptr() for value in network.state_dict(keep_vars=True).values()}
    for at, module in network.named_modules():
        for name, value in (*module._buffers.items(), *vars(module).items()):
            if not isinstance(value, Tensor) or not value.is_floating_point():
                continue
            if value.data_ptr() not in kept and not torch.equal(value, value.round()):
                yield f"{at}.{name}", value


def logarithms(table: Tensor) -> Tensor:
    """timm's table of sign(d) log(1 + abs(d)) for whole d, in float64, from any rounding of it."""
    distance = table.double().abs().expm1().round()
    return table.sign() * distance.log1p()


def round_correctly(network: nn.Module) -> None:
    """Give MERIT's position tables the float32 number nearest to each true logarithm.

    The golden outputs were computed with these: with them they agree to rounding in float64, while one unit of
    float32's last place in any entry of the table moves them by 1e-9 to 2e-8.
    """
    for module in network.modules():
        if isinstance(module, RelPosMlp):
            table = module.get_buffer("rel_coords_log")
            table.copy_(logarithms(table).float())
