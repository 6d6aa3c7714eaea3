"""One mistake for each network and module, of the kind that writing it anew from a paper makes.

Each breaks a model that is right. The comparison must turn red by orders of magnitude, or it proves nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

import baselines.esfpnet.model
import baselines.missformer.model
import baselines.unetpp.model
from salstm.modules.convlstm import ConvLSTMCell

Mutation = Callable[[Any, pytest.MonkeyPatch], object]


def reorder(module: nn.Module, order: Callable[[Tensor], Tensor]) -> None:
    """Let a module see its input in another order."""
    module.register_forward_pre_hook(lambda _, inputs: (order(inputs[0]), *inputs[1:]))


def swap_halves(module: nn.Module) -> None:
    """A concatenation of two maps of one width the other way round."""
    reorder(module, lambda x: torch.cat(x.chunk(2, dim=1)[::-1], dim=1))


def values_from_the_skip(network: Any, _: pytest.MonkeyPatch) -> None:
    network.decoder[1].cross.register_forward_pre_hook(lambda _, inputs: inputs[::-1])


def normalise_before_activating(network: Any, _: pytest.MonkeyPatch) -> None:
    conv, relu, norm = network.stem.enter
    network.stem.enter = nn.Sequential(conv, norm, relu)


def activate_between_the_halves(network: Any, _: pytest.MonkeyPatch) -> None:
    network.stem[0].insert(1, nn.ReLU())


def align_corners(network: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def enlarge(x: Tensor, times: int) -> Tensor:
        return functional.interpolate(
            x, scale_factor=float(times), mode="bilinear", align_corners=True
        )

    monkeypatch.setattr(baselines.esfpnet.model, "enlarge", enlarge)


def leave_corners(network: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    enlarge = partial(functional.interpolate, scale_factor=2, mode="bilinear", align_corners=False)
    monkeypatch.setattr(baselines.unetpp.model, "_enlarge", enlarge)


def average_over_positions(network: Any, _: pytest.MonkeyPatch) -> None:
    reorder(network.attention8.leave, lambda x: x / (x.shape[2] * x.shape[3]))


def deep_map_first(network: Any, _: pytest.MonkeyPatch) -> None:
    swap_halves(network.transformer.aggregation[0])


def reverse_taps(network: Any, _: pytest.MonkeyPatch) -> None:
    reorder(network.head.fuse.conv, lambda x: torch.cat(x.chunk(3, dim=1)[::-1], dim=1))


def swap_mean_and_maximum(network: Any, _: pytest.MonkeyPatch) -> None:
    swap_halves(network.decoder.spatial.conv)


def cut_straight(network: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    missformer = baselines.missformer.model
    straight = staticmethod(lambda x: missformer.cut([x.permute(0, 2, 3, 1)]))
    monkeypatch.setattr(missformer.BridgeReduction, "recut", straight)


def scale_by_the_whole_width(network: Any, _: pytest.MonkeyPatch) -> None:
    attention = network.encoder[0].blocks[0].local_global.window
    attention.scale = attention.query.out_features**-0.5  # of all heads together


def keras_eps(network: Any, _: pytest.MonkeyPatch) -> None:
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eps = 1e-3


def swap_features(network: Any, _: pytest.MonkeyPatch) -> None:
    swap_halves(network.aggregation[0].conv)


def pad_at_the_other_end(network: Any, _: pytest.MonkeyPatch) -> None:
    def shift(_: nn.Module, inputs: tuple[Tensor, list[Tensor]]) -> tuple[Tensor, list[Tensor]]:
        x, (eighth, quarter, half) = inputs
        return x, [eighth, quarter.roll((1, 1), (2, 3)), half]

    network.decoder.register_forward_pre_hook(shift)


def swap_copied_and_enlarged(network: Any, _: pytest.MonkeyPatch) -> None:
    swap_halves(network.up[3].convs)


def attention_by_the_true_size(model: Any, _: pytest.MonkeyPatch) -> None:
    for net in (model.head.forward_net, model.head.reverse_net):
        net.attention_size = "map"


def input_and_forget_gates(model: Any, _: pytest.MonkeyPatch) -> None:
    for cell in model.modules():
        if isinstance(cell, ConvLSTMCell):
            for value in cell.conv.parameters():
                i, f, o, g = value.detach().chunk(4)
                value.data = torch.cat([f, i, o, g])


MUTATIONS: dict[str, Mutation] = {
    "daeformer": values_from_the_skip,
    "dcsaunet": normalise_before_activating,
    "dwunet": activate_between_the_halves,
    "esfpnet": align_corners,
    "fanet": average_over_positions,
    "fcbformer": deep_map_first,
    "hardnet_dfus": reverse_taps,
    "merit": swap_mean_and_maximum,
    "missformer": cut_straight,
    "mtunet": scale_by_the_whole_width,
    "resunet": keras_eps,
    "ssformer": swap_features,
    "transunet": pad_at_the_other_end,
    "unet": swap_copied_and_enlarged,
    "unetpp": leave_corners,
    "salstm": attention_by_the_true_size,
    "lstmsa": input_and_forget_gates,
}
