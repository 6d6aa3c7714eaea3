"""What every variant does on any network: shapes, passes, gradients, volumes, errors."""

from __future__ import annotations

import copy
import math
import re
import subprocess
import sys
import weakref
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from salstm.modules import attach, encoder_entries, from_authors
from salstm.modules.convlstm import ConvLSTMCell
from salstm.vocabulary import VARIANTS

WITH_MODULE = tuple(variant for variant in VARIANTS if variant != "plain")
BIDIRECTIONAL = ("salstm", "lstmsa", "convlstm")
CLASSES = 3


def draw(*shape: int, seed: int = 1) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(shape, generator=generator, dtype=torch.float64)


def network(outputs: int) -> nn.Module:
    return nn.Sequential(nn.Conv2d(2, outputs, 3, padding=1), nn.BatchNorm2d(outputs), nn.Tanh())


class Auxiliary(nn.Module):
    """A network with one auxiliary output in training mode."""

    def __init__(self, outputs: int) -> None:
        super().__init__()
        self.network = network(outputs)

    def forward(self, x: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        y = self.network(x)
        return (y, 2 * y) if self.training else y


def build(variant: str, **options) -> Any:
    torch.manual_seed(0)
    model = attach(network(CLASSES if variant == "plain" else 64), variant, CLASSES, **options)
    for value in model.head.parameters():
        value.data *= 3  # default weights are so small that swapped frames hardly show
    return model.double()


@pytest.mark.parametrize("frames", [1, 3])
@pytest.mark.parametrize("variant", VARIANTS)
def test_gives_logits_of_the_middle_frame_and_gradients_to_every_parameter(variant, frames):
    model = build(variant)
    logits = model(draw(2, frames, 2, 10, 12))
    assert logits.shape == (2, CLASSES, 10, 12)
    (logits * torch.randn_like(logits)).sum().backward()
    assert all(p.grad is not None and p.grad.any() for p in model.head.parameters())
    assert all(p.grad is not None for p in model.network.parameters())
    model.eval()
    x = draw(2, frames, 2, 10, 12)
    assert model(x).shape == (2, CLASSES, 10, 12)
    torch.testing.assert_close(model(x)[1:], model(x[1:]), rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("variant", WITH_MODULE)
def test_three_frames_are_used_and_their_order_matters(variant):
    model = build(variant).eval()
    x = draw(1, 3, 2, 10, 12).requires_grad_()
    logits = model(x)
    (gradient,) = torch.autograd.grad(logits.square().sum(), x)
    assert all(gradient[:, t].abs().max() > 0 for t in range(3))
    for order in ([2, 1, 0], [1, 0, 2], [0, 2, 1]):
        assert (model(x[:, order]) - logits).norm() > 1e-3 * logits.norm()


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("encoder", [True, False])
def test_one_frame_is_three_equal_frames(variant, encoder):
    if encoder:
        model, x = build(variant).eval(), draw(2, 1, 2, 10, 12)
    else:
        torch.manual_seed(0)
        channels = CLASSES if variant == "plain" else 64
        model = attach(nn.Identity(), variant, CLASSES).double()
        x = draw(2, 1, channels, 10, 12)
    x.requires_grad_()
    results = []
    for images in (x, x.expand(-1, 3, -1, -1, -1)):
        logits = model(images)
        inputs = [x, *model.parameters()]
        results.append([logits, *torch.autograd.grad(logits.square().sum(), inputs)])
    for ours, theirs in zip(*results, strict=True):
        assert (ours - theirs).norm() <= 1e-12 * theirs.norm()


@pytest.mark.parametrize("variant", VARIANTS)
def test_passes_of_the_network_in_training(variant):
    """The middle frame alone, the one frame once, or previous, centre and next in this order."""
    for frames in (1, 3):
        model = build(variant)
        x = draw(2, frames, 2, 10, 12)
        mean, passes = torch.zeros(model.channels, dtype=torch.float64), 0
        for t in [frames // 2] if variant == "plain" else range(frames):
            with torch.no_grad():
                mean = 0.9 * mean + 0.1 * model.network[0](x[:, t]).mean((0, 2, 3))
            passes += 1
        model(x)
        assert model.network[1].num_batches_tracked == passes
        torch.testing.assert_close(model.network[1].running_mean, mean)


def test_plain_uses_the_middle_frame_only():
    model = build("plain").eval()
    x = draw(2, 3, 2, 10, 12).requires_grad_()
    logits = model(x)
    assert torch.equal(logits, model.network(x[:, 1]))
    (gradient,) = torch.autograd.grad(logits.square().sum(), x)
    assert not gradient[:, [0, 2]].any()
    assert gradient[:, 1].any()


def test_auxiliary_outputs_pass_through_plain_and_are_refused_elsewhere():
    model = attach(Auxiliary(CLASSES), "plain", CLASSES).double()
    x = draw(2, 3, 2, 10, 12)
    outputs = model(x)
    assert isinstance(outputs, tuple)
    torch.testing.assert_close(outputs[1], 2 * outputs[0])
    assert isinstance(model.eval()(x), Tensor)
    model = attach(Auxiliary(64), "stack", CLASSES).double()
    with pytest.raises(ValueError, match=r"gives a tuple.*without auxiliary outputs"):
        model(x)
    assert model.eval()(x).shape == (2, CLASSES, 10, 12)


TRIPLES = [(0, 0, 2), (0, 1, 2), (1, 2, 3), (2, 3, 4), (2, 4, 4), (3, 3, 3), (4, 1, 0), (0, 1, 2)]


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("double", [True, False])
def test_volume_gives_the_logits_of_the_windows(variant, double):
    model = build(variant, attention_size=120).eval()
    frames = draw(5, 2, 10, 12)
    if not double:
        model, frames = model.float(), frames.float()
    with torch.no_grad():
        features = torch.cat([model.features(frame[None]) for frame in frames])
        logits = model.volume(features, TRIPLES)
        windows = model(frames[torch.tensor(TRIPLES)])
        heads = torch.cat([model.head(*(features[k : k + 1] for k in row)) for row in TRIPLES])
    tolerance = 1e-12 if double else 1e-5
    assert logits.shape == (len(TRIPLES), CLASSES, 10, 12)
    assert (logits - windows).norm() <= tolerance * windows.norm()
    assert (heads - windows).norm() <= tolerance * windows.norm()
    rows = model.volume(features, torch.tensor(TRIPLES)), model.volume(features, np.array(TRIPLES))
    assert all(torch.equal(row, logits) for row in rows)


@pytest.mark.parametrize("variant", BIDIRECTIONAL)
def test_volume_computes_gates_once_and_holds_those_of_two_frames(variant, monkeypatch):
    model = build(variant).eval()
    features = draw(12, 64, 4, 4)
    made: dict[ConvLSTMCell, list[weakref.ref[Tensor]]] = {}
    original = ConvLSTMCell.input_gates

    def counted(cell: ConvLSTMCell, x: Tensor) -> Tensor:
        refs = made.setdefault(cell, [])
        assert sum(ref() is not None for ref in refs) <= 1
        gates = original(cell, x)
        refs.append(weakref.ref(gates))
        return gates

    monkeypatch.setattr(ConvLSTMCell, "input_gates", counted)
    with torch.no_grad():
        model.volume(features, [(k - 1, k, k + 1) for k in range(1, 11)])
    assert [len(refs) for refs in made.values()] == [11, 11]
    assert all(ref() is None for refs in made.values() for ref in refs)


def test_attention_size_map_is_the_number_of_positions():
    x = draw(1, 3, 2, 10, 12)
    for variant in ("salstm", "lstmsa"):
        logits = [build(variant, attention_size=size).eval()(x) for size in ("map", 120, 12)]
        assert torch.equal(logits[0], logits[1])
        assert not torch.equal(logits[0], logits[2])
    default, stated = build("salstm").eval()(x), build("salstm", attention_size=88 * 88).eval()(x)
    assert torch.equal(default, stated)


@pytest.mark.parametrize("variant", VARIANTS)
def test_copies_and_state_dicts_hold_everything(variant):
    model = build(variant)
    x = draw(2, 3, 2, 10, 12)
    model(x)
    model.eval()
    twin = copy.deepcopy(model)
    torch.manual_seed(9)
    other = attach(network(model.channels), variant, CLASSES).double().eval()
    assert not torch.equal(other(x), model(x))
    other.load_state_dict(model.state_dict(), strict=True)
    for value in model.parameters():
        value.data.zero_()
    assert torch.equal(twin(x), other(x))
    assert not torch.equal(twin(x), model(x))
    assert {key.split(".")[0] for key in twin.state_dict()} <= {"network", "head"}


@pytest.mark.extended
@pytest.mark.parametrize("variant", VARIANTS)
def test_bfloat16_autocast_stays_near_float32(variant):
    model, x = build(variant).float().eval(), draw(2, 3, 2, 24, 24).float()
    with torch.no_grad():
        expected = model(x)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            logits = model(x)
    assert (logits.float() - expected).norm() < 0.02 * expected.norm()


def test_names_are_checked():
    with pytest.raises(ValueError, match=r"Did you mean salstm\? Available: plain, salstm, lstmsa"):
        attach(nn.Identity(), "slstm", 4)
    with pytest.raises(ValueError, match=r"unknown\. Available"):
        attach(nn.Identity(), "zzz", 4)


@pytest.mark.parametrize("variant", VARIANTS)
def test_shapes_are_checked(variant):
    model = build(variant)
    for shape in ((2, 2, 10, 12), (2, 2, 2, 10, 12), (2, 4, 2, 10, 12), (1, 2, 3, 2, 10, 12)):
        found = re.escape(f"images of shape {shape}; (B, 3, C, H, W)")
        with pytest.raises(ValueError, match=found + r".*\(B, 1, C, H, W\) are allowed"):
            model(torch.zeros(shape, dtype=torch.float64))


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_network_with_other_channels_is_explained(variant):
    right = CLASSES if variant == "plain" else 64
    model = attach(network(7), variant, CLASSES).double()
    for frames in (1, 3):
        with pytest.raises(ValueError, match=rf"\(2, 7, 10, 12\).*out_channels={right}"):
            model(draw(2, frames, 2, 10, 12))
    with pytest.raises(ValueError, match=f"out_channels={right}"):
        model.features(draw(1, 2, 10, 12))
    with pytest.raises(ValueError, match=f"out_channels={right}"):
        model.volume(draw(3, 7, 10, 12), [(0, 1, 2)])


def test_options_are_checked():
    sizes: list[Any] = [0, -1, math.inf, math.nan, "Map", None]
    for size in sizes:
        with pytest.raises(ValueError, match="a positive number, 'map' or 'released'"):
            attach(nn.Identity(), "salstm", 4, attention_size=size)
    with pytest.raises(ValueError, match="classes is 0"):
        attach(nn.Identity(), "salstm", 0)


def test_triples_are_checked():
    model = build("salstm")
    features = draw(4, 64, 5, 5)
    for triple in ((0, 1), (0, 1, 2, 3), (-1, 0, 1), (2, 3, 4)):
        with pytest.raises(ValueError, match=r"triples: found \(.*from 0 to 3"):
            model.volume(features, [(0, 1, 2), triple])
    with pytest.raises(ValueError, match="at least one"):
        model.volume(features, [])


def published(variant: str) -> tuple[Any, dict[str, Tensor]]:
    """A model of ours and its state dict under the names of the authors' checkpoints."""
    model = build(variant)
    linear = {
        f"{net}.{name}": f"{net}.attention.{name[0]}_matrix"
        for net in ("forward_net", "reverse_net")
        for name in ("query", "key", "value")
    }
    entries = {f"encoder.{key}": value for key, value in model.network.state_dict().items()}
    for key, value in model.head.state_dict().items():
        layer, kind = key.rsplit(".", 1)
        name = linear.get(layer, layer.replace("cell.conv", "cell0.conv"))
        flat = layer in linear and kind == "weight"
        entries[f"lstmlayer.{name}.{kind}"] = value[:, :, 0, 0] if flat else value
    return model, entries


@pytest.mark.parametrize("variant", ["salstm", "lstmsa"])
def test_a_whole_checkpoint_of_the_authors_loads(variant):
    source, entries = published(variant)
    torch.manual_seed(9)
    model = attach(network(64), variant, CLASSES).double()
    model.network.load_state_dict(encoder_entries(entries), strict=True)
    model.head.load_state_dict(from_authors(variant, entries), strict=True)
    x = draw(1, 3, 2, 10, 12)
    assert torch.equal(model.eval()(x), source.eval()(x))


def test_entries_of_the_authors_are_checked():
    _, entries = published("lstmsa")
    extra = {"lstmlayer.other.weight": torch.zeros(1)}
    with pytest.raises(KeyError, match=r"no entries \['lstmlayer.other.weight'\]"):
        from_authors("lstmsa", entries | extra)
    with pytest.raises(KeyError, match=r"q_matrix.weight.* are missing"):
        from_authors("lstmsa", published("salstm")[1])
    with pytest.raises(KeyError, match=r"no entries .*q_matrix"):
        from_authors("salstm", entries)
    with pytest.raises(ValueError, match="authors' models, which are salstm, lstmsa"):
        from_authors("stack", entries)
    with pytest.raises(ValueError, match="Did you mean lstmsa"):
        from_authors("lstsma", entries)
    assert encoder_entries({"lstmlayer.conv.bias": torch.zeros(1)}) == {}


def test_importing_the_package_loads_no_torch():
    code = "import sys, salstm.modules; raise SystemExit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
