"""Cost: hand counts, equal to the unit, for every kind of heavy operator; nothing passes as free."""

import math
from itertools import pairwise

import pytest
import torch
from torch import nn
from torch.nn import functional

from salstm.cost import flops
from salstm.modules import attach


class Call(nn.Module):
    """A function of tensors as a module."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)


def macs(module, *shape):
    figures = flops.count(module, torch.zeros(shape))
    assert figures["flops"] == 2 * figures["macs"]
    return figures["macs"]


def sizes(weights):
    return sum(weight.numel() for weight in weights if weight.ndim == 2)


class TestByHand:
    def test_convolutions(self):
        # out channels x in channels x kernel x output pixels
        assert macs(nn.Conv2d(3, 8, 5, padding=2), 1, 3, 10, 12) == 8 * 3 * 25 * 120
        assert macs(nn.Conv2d(3, 8, 3, stride=2), 2, 3, 11, 11) == 2 * 8 * 3 * 9 * 25
        assert macs(nn.Conv2d(4, 8, 3, groups=4, padding=1), 1, 4, 6, 6) == 8 * 1 * 9 * 36
        assert macs(nn.Conv2d(3, 8, 3, padding="same"), 1, 3, 6, 6) == 8 * 3 * 9 * 36
        # transposed: each input pixel meets the whole kernel
        assert macs(nn.ConvTranspose2d(64, 32, 2, 2), 1, 64, 56, 56) == 64 * 32 * 4 * 56 * 56
        assert macs(nn.Conv3d(2, 4, 3), 1, 2, 5, 5, 5) == 4 * 2 * 27 * 27

    def test_linear_and_products(self):
        assert macs(nn.Linear(7, 5), 2, 3, 7) == 2 * 3 * 7 * 5
        weight = torch.zeros(4, 7, 5)
        # the batch of the second factor counts too (fvcore's own handler leaves it out)
        assert macs(Call(lambda x: x @ weight), 3, 7) == 4 * 3 * 7 * 5
        assert macs(Call(lambda x: x @ torch.zeros(7)), 3, 7) == 3 * 7
        assert macs(Call(lambda x: torch.einsum("bij,bkj->bik", x, x)), 2, 3, 7) == 2 * 3 * 3 * 7
        assert macs(Call(lambda x: torch.bmm(x, weight)), 4, 3, 7) == 4 * 3 * 7 * 5
        added = Call(lambda x: torch.baddbmm(torch.zeros(4, 3, 5), x, weight))
        assert macs(added, 4, 3, 7) == 4 * 3 * 7 * 5
        assert macs(Call(lambda x: torch.cdist(x, x)), 1, 6, 7) == 6 * 6 * 7

    @pytest.mark.parametrize("spelling", ["sdpa", "matmul", "einsum", "multiply"])
    def test_attention_in_every_spelling(self, spelling):
        """4 heads, 196 tokens, 16 channels a head: 2 x 4 x 196 x 196 x 16 = 4.92 M."""
        functions = {
            "sdpa": lambda x: functional.scaled_dot_product_attention(x, x, x),
            "matmul": lambda x: (x @ x.transpose(-1, -2)).softmax(-1) @ x,
            "einsum": lambda x: torch.einsum(
                "bhts,bhsc->bhtc", torch.einsum("bhtc,bhsc->bhts", x, x).softmax(-1), x
            ),
            "multiply": lambda x: (
                (x[:, :, :, None] * x[:, :, None]).sum(-1).softmax(-1)[..., None] * x[:, :, None]
            ).sum(-2),
        }
        assert macs(Call(functions[spelling]), 1, 4, 196, 16) == 2 * 4 * 196 * 196 * 16 == 4917248

    @pytest.mark.parametrize("layers", [1, 2])
    @pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU, nn.RNN])
    def test_recurrent_layers(self, kind, layers):
        module = kind(64, 32, layers, bidirectional=layers == 2)
        expected = 196 * sizes(module.parameters())
        figures = flops.count(module, torch.zeros(196, 1, 64))
        assert figures["macs"] == expected
        if kind is nn.LSTM and layers == 1:
            assert expected == 196 * (4 * 32 * 64 + 4 * 32 * 32)

    def test_lstm_equals_the_published_figure(self):
        assert macs(nn.LSTM(64, 64), 196, 1, 64) == 196 * 4 * 64 * 128 == 6422528

    def test_encoder_layer_without_its_fast_path(self):
        layer = nn.TransformerEncoderLayer(64, 4, 128, batch_first=True)
        tokens, products = 196, 64 * 192 + 64 * 64 + 2 * 64 * 128
        assert macs(layer, 1, tokens, 64) == tokens * products + 2 * tokens * tokens * 64
        assert torch.backends.mha.get_fastpath_enabled()

    @pytest.mark.parametrize("bias", [True, False])
    def test_parameters(self, bias):
        module = nn.Sequential(nn.Linear(3, 4, bias=bias), nn.Linear(4, 2))
        module[0].requires_grad_(False)
        figures = flops.count(module, torch.zeros(1, 3))
        assert figures["parameters"] == 12 + 4 * bias + 10
        assert figures["parameters_trainable"] == 10
        assert math.isnan(float(figures["parameters_module"]))

    def test_shared_weights_count_once_as_parameters_and_twice_as_work(self):
        layer = nn.Linear(3, 3)
        figures = flops.count(nn.Sequential(layer, layer), torch.zeros(1, 3))
        assert (figures["parameters"], figures["macs"]) == (12, 18)

    def test_activations_and_light_elements(self):
        module = nn.Sequential(nn.Conv2d(1, 2, 3, padding=1), nn.BatchNorm2d(2), nn.GELU())
        figures = flops.count(module, torch.zeros(1, 1, 4, 4))
        assert figures["activations"] == 32
        assert figures["elements_light"] == 64
        assert figures["operators_counted"] == "convolution 288"
        assert figures["operators_ignored"] == "batch_norm 32, gelu 32"
        # fvcore's own total: the norm counts 2 an element
        assert figures["macs_fvcore"] == 288 + 64


class ReleasedDirection(nn.Module):
    """A direction as released: one convolution of [x, h] for all gates, at both steps."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(128, 256, 5, padding=2)

    def step(self, x, h, c):
        i, f, o, g = self.conv(torch.cat([x, h], 1)).chunk(4, 1)
        c = f.sigmoid() * c + i.sigmoid() * g.tanh()
        return o.sigmoid() * c.tanh(), c, f.sigmoid(), g.tanh()

    def forward(self, x):
        zero = torch.zeros_like(x)
        h, c, _, _ = self.step(x, zero, zero)
        h, c, f, g = self.step(x, h, c)
        query, key, value = ((one).flatten(2) for one in ((c + f) / 2, (g + h) / 2, h))
        weights = torch.bmm(query, key.transpose(1, 2)).softmax(-1)
        return torch.bmm(weights, value)


class TestModules:
    """By hand from the equations of the cell: a cell convolution is 128 x 256 x 25 multiply-adds a pixel."""

    cell, attention, last = 128 * 256 * 25, 2 * 64 * 64, 128 * 4

    def test_released_direction(self):
        pixels = 20 * 24
        expected = (2 * self.cell + self.attention) * pixels
        assert macs(ReleasedDirection(), 1, 64, 20, 24) == expected
        # at 224 x 224 both directions and the last convolution: the published 165.264 G
        whole = (4 * self.cell + 2 * self.attention + self.last) * 224 * 224
        assert round(whole / 1e9, 3) == 165.264

    @pytest.mark.parametrize("variant", ["salstm", "lstmsa"])
    def test_ours_without_the_multiplications_by_zero(self, variant):
        """The hidden half of the first step's convolution is not computed; the frames' half is.

        The centre frame's input gates belong to two cells with their own weights: six halves, less the forget gates
        of the neighbours.
        """
        module = attach(nn.Conv2d(1, 64, 1), variant, 4)
        figures = flops.count(module, torch.zeros(1, 3, 1, 20, 24))
        pixels = 20 * 24
        gates = 3 * 64 * 64 if variant == "lstmsa" else 0
        head = 22 * self.cell // 8 + 2 * (self.attention + gates) + self.last
        assert figures["macs_module"] == head * pixels
        assert figures["macs"] == (head + 3 * 64) * pixels == figures["macs_torch"]
        expected = {"salstm": 1_639_428, "lstmsa": 1_664_388}[variant]
        assert figures["parameters_module"] == expected
        assert figures["parameters"] == expected + 128

    def test_plain_has_no_module(self):
        figures = flops.count(attach(nn.Conv2d(1, 4, 1), "plain", 4), torch.zeros(1, 3, 1, 8, 8))
        assert (figures["parameters_module"], figures["macs_module"]) == (0, 0)
        assert figures["macs"] == 4 * 64


class Squared(torch.autograd.Function):
    """A matrix product that a trace sees as one Python call."""

    @staticmethod
    def forward(ctx, x):
        return x @ x.transpose(-1, -2)

    @staticmethod
    def backward(ctx, *grads):
        return grads[0]


class TestNothingHeavyIsFree:
    def test_unknown_operator(self):
        with pytest.raises(ValueError, match="operators aten::fft_fft2, aten::real are not known"):
            flops.count(Call(lambda x: torch.fft.fft2(x).real), torch.zeros(1, 8, 8))

    def test_python_function(self):
        with pytest.raises(ValueError, match=r"prim::PythonOp\.Squared"):
            flops.count(Call(Squared.apply), torch.zeros(1, 4, 3))

    def test_torch_counts_more(self, monkeypatch):
        from salstm.cost import operators

        monkeypatch.delitem(operators.HEAVY, "linear")
        monkeypatch.setattr(operators, "LIGHT", operators.LIGHT + " linear")
        with pytest.raises(ValueError, match="torch counts 12 multiply-adds, fvcore 0"):
            flops.count(nn.Linear(3, 4), torch.zeros(1, 3))

    def test_einsum_of_three(self):
        module = Call(lambda x: torch.einsum("ab,bc,cd->ad", x, x, x))
        with pytest.raises(ValueError, match="two operands without an ellipsis"):
            flops.count(module, torch.zeros(3, 3))


class TestMeasured:
    def test_module_is_left_as_it_was(self):
        norm, dropout = nn.BatchNorm2d(1), nn.Dropout().eval()
        module = nn.Sequential(norm, dropout)
        flops.cost(module, torch.ones(2, 1, 4, 4), seconds=0)
        assert (module.training, norm.training, dropout.training) == (True, True, False)
        assert norm.num_batches_tracked == 0
        assert norm.weight.grad is None

    def test_latency(self):
        figures = flops.latency(nn.Linear(4, 4), torch.zeros(8, 4), repeats=5)
        assert figures["latency_repeats"] == 5
        assert figures["latency_device"] == "cpu"
        seconds = float(figures["latency_seconds"])
        assert figures["throughput_per_second"] == pytest.approx(8 / seconds)
        assert flops.latency(nn.Linear(4, 4), torch.zeros(8, 4), seconds=0)["latency_repeats"] == 3

    def test_peak_memory_by_hand(self):
        # 1000 -> 2000 -> 500 -> 1500 floats; the input of a layer lives while its output is made
        widths = [1000, 2000, 500, 1500]
        layers = [nn.Linear(*pair, bias=False) for pair in pairwise(widths)]
        weights = 4 * sum(layer.weight.numel() for layer in layers)
        found = flops.peak_memory(nn.Sequential(*layers), torch.zeros(1, 1000))
        assert found == weights + 4 * 1000 + 4 * (2000 + 500)

    def test_views_and_freed_tensors_cost_nothing(self):
        def many(x):
            for _ in range(10):
                x = (x + 1).view(-1)[:]
            return x

        assert flops.peak_memory(Call(many), torch.zeros(100)) == 4 * (100 + 2 * 100)

    def test_one_row(self):
        row = flops.cost(nn.Conv2d(1, 2, 3), torch.zeros(1, 1, 8, 8), seconds=0)
        assert all(isinstance(value, int | float | str) for value in row.values())
        assert {"parameters", "macs", "flops", "latency_seconds", "peak_memory_bytes"} <= set(row)


@pytest.mark.gpu
def test_on_a_gpu():
    module, example = nn.Conv2d(8, 8, 3).cuda(), torch.zeros(4, 8, 64, 64, device="cuda")
    row = flops.cost(module, example, seconds=0)
    assert row["macs"] == 4 * 8 * 8 * 9 * 62 * 62
    assert int(row["peak_memory_bytes"]) >= 4 * (4 * 8 * 64 * 64 + 4 * 8 * 62 * 62)
    assert row["latency_device"] != "cpu"
