"""The two controls against their definitions written out."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from salstm.modules import attach
from salstm.modules.convlstm import ConvLSTMCell, Memory
from tests.modules.test_convlstm import draw, full


def test_convlstm_is_a_1x1_convolution_of_the_hidden_states_of_both_directions():
    model = attach(nn.Identity(), "convlstm", 3).double()
    head = model.head
    previous, centre, following = (draw(1, 64, 6, 5, seed=seed) for seed in (1, 2, 3))
    zero = torch.zeros(1, 64, 6, 5, dtype=torch.float64)

    def hidden(name: str, neighbour: Tensor) -> Tensor:
        cell = head.get_submodule(name)
        assert isinstance(cell, ConvLSTMCell)
        return full(cell, centre, full(cell, neighbour, Memory(zero, zero))).h

    both = (hidden("forward_net.cell", previous), hidden("reverse_net.cell", following))
    weight, bias = head.get_parameter("conv.weight"), head.get_parameter("conv.bias")
    expected = torch.einsum("kc,bchw->bkhw", weight[:, :, 0, 0], torch.cat(both, dim=1))
    logits = model(torch.stack((previous, centre, following), dim=1))
    torch.testing.assert_close(logits, expected + bias.view(1, 3, 1, 1), rtol=1e-11, atol=1e-12)


def test_stack_is_a_1x1_convolution_of_the_three_frames_side_by_side():
    model = attach(nn.Identity(), "stack", 3).double()
    frames = draw(2, 3, 64, 6, 5, seed=1)
    weight, bias = model.head.get_parameter("conv.weight"), model.head.get_parameter("conv.bias")
    expected = torch.einsum("ktc,btchw->bkhw", weight.view(3, 3, 64), frames)
    torch.testing.assert_close(model(frames), expected + bias.view(1, 3, 1, 1))
