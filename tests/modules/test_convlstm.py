"""The cell against equations 1 to 4 written out in full."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from salstm.modules.convlstm import ConvLSTMCell, Memory, States


def draw(*shape: int, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=torch.float64)


def full(cell: ConvLSTMCell, x: Tensor, memory: Memory | States) -> States:
    """One step with one convolution over [x, h], nothing left out."""
    a = functional.conv2d(
        torch.cat((x, memory.h), dim=1), cell.conv.weight, cell.conv.bias, padding=2
    )
    n = memory.h.shape[1]
    i, f, o = (1 / (1 + torch.exp(-a[:, k * n : (k + 1) * n])) for k in range(3))
    g = torch.tanh(a[:, 3 * n :])
    c = f * memory.c + i * g
    return States(i, f, o, g, c, o * torch.tanh(c))


@pytest.fixture
def cell() -> ConvLSTMCell:
    torch.manual_seed(0)
    return ConvLSTMCell(channels=6, hidden=4).double()


def test_first_step_is_the_full_form_with_zero_state(cell):
    x = draw(2, 6, 9, 7, seed=1)
    zero = torch.zeros(2, 4, 9, 7, dtype=torch.float64)
    memory, whole = cell.begin(cell.input_gates(x)), full(cell, x, Memory(zero, zero))
    torch.testing.assert_close(memory.c, whole.c, rtol=1e-12, atol=1e-14)
    torch.testing.assert_close(memory.h, whole.h, rtol=1e-12, atol=1e-14)
    short = cell.begin(cell.first_gates(x))
    assert cell.first_gates(x).shape == (2, 3 * 4, 9, 7)
    torch.testing.assert_close(short, memory, rtol=1e-12, atol=1e-14)
    general = cell(cell.input_gates(x), Memory(zero, zero))
    for ours, theirs in zip(general, whole, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-14)


def test_three_steps_give_the_states_and_gradients_of_the_full_form(cell):
    frames = [draw(2, 6, 9, 7, seed=seed).requires_grad_() for seed in (1, 2, 3)]
    weights = [draw(2, 4, 9, 7, seed=seed) for seed in range(4, 10)]
    inputs = [*frames, *cell.parameters()]

    def saving() -> States:
        memory = cell.begin(cell.first_gates(frames[0]))
        states = cell(cell.input_gates(frames[1]), memory)
        return cell(cell.input_gates(frames[2]), states)

    def whole() -> States:
        zero = torch.zeros(2, 4, 9, 7, dtype=torch.float64)
        states: Memory | States = Memory(zero, zero)
        for frame in frames:
            states = full(cell, frame, states)
        assert isinstance(states, States)
        return states

    results = []
    for states in (saving(), whole()):
        loss = torch.stack([(s * w).sum() for s, w in zip(states, weights, strict=True)]).sum()
        results.append([*states, *torch.autograd.grad(loss, inputs)])
    for ours, theirs in zip(*results, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-11, atol=1e-12)


def test_a_step_leaves_the_gates_of_its_frame_unchanged(cell):
    gates = cell.input_gates(draw(1, 6, 5, 5, seed=1)).detach()
    before = gates.clone()
    cell(gates, cell.begin(gates))
    assert torch.equal(gates, before)


def test_input_and_hidden_part_share_one_convolution_with_one_bias(cell):
    assert {name: tuple(value.shape) for name, value in cell.state_dict().items()} == {
        "conv.weight": (16, 10, 5, 5),
        "conv.bias": (16,),
    }
    with torch.no_grad():
        assert not cell.hidden_gates(torch.zeros(1, 4, 5, 5, dtype=torch.float64)).any()
