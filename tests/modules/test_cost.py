"""Parameters and multiply-adds of the heads, by formula."""

from __future__ import annotations

import logging
import warnings

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from salstm.modules import attach
from salstm.vocabulary import PLAIN, VARIANTS

HALF = 64 * 25 * 256  # per position: the input half or the hidden half of a cell's convolution
ATTENTION = {"salstm": 2 * 64 * 64, "lstmsa": 2 * 64 * 64 + 3 * 64 * 64, "convlstm": 0}
FINAL = 128  # per position and class
SIDE = 224


def macs(variant: str, quarters: int, classes: int) -> int:
    """Per position; ``quarters`` of a half over both directions: one for each gate."""
    return quarters * HALF // 4 + 2 * ATTENTION[variant] + FINAL * classes


@pytest.mark.parametrize(
    ("variant", "counts"),
    [
        ("salstm", {1: 1_639_041, 2: 1_639_170, 4: 1_639_428, 9: 1_640_073}),
        ("lstmsa", {1: 1_664_001, 2: 1_664_130, 4: 1_664_388, 9: 1_665_033}),
        ("convlstm", {4: 1_639_428}),
        ("stack", {1: 193, 4: 772, 9: 1_737}),
        ("plain", {4: 0}),
    ],
)
def test_parameters(variant, counts):
    for classes, count in counts.items():
        model = attach(nn.Identity(), variant, classes)
        assert sum(parameter.numel() for parameter in model.parameters()) == count


@pytest.mark.parametrize(("variant", "released"), [("salstm", 165.264), ("lstmsa", 166.498)])
def test_fvcore_counts_the_module_without_the_products_by_zero(variant, released):
    """As released the four cell steps convolve both halves; h = c = 0 leaves out one half of two steps and a gate.

    165.264 G -> 113.884 G (SALSTM) and 166.498 G -> 115.117 G (LSTMSA) at 224x224.
    """
    with warnings.catch_warnings():  # fvcore scripts a loss of its own when it is imported
        warnings.simplefilter("ignore", FutureWarning)
        from fvcore.nn import FlopCountAnalysis
    assert macs(variant, 32, 4) * SIDE**2 / 1e9 == pytest.approx(released, abs=5e-4)
    logging.getLogger("fvcore").setLevel(logging.ERROR)
    model = attach(nn.Identity(), variant, 4).eval()
    with torch.no_grad():
        counter = FlopCountAnalysis(model, torch.zeros(1, 3, 64, SIDE, SIDE))
        counter.unsupported_ops_warnings(False).uncalled_modules_warnings(False)
        assert counter.total() == macs(variant, 22, 4) * SIDE**2


@pytest.mark.parametrize("variant", ["salstm", "lstmsa", "convlstm"])
def test_one_frame_needs_its_gates_once_per_direction(variant):
    model = attach(nn.Identity(), variant, 4).eval().to("meta")
    with FlopCounterMode(display=False) as counter:
        model(torch.zeros(2, 1, 64, SIDE, SIDE, device="meta"))
    assert counter.get_total_flops() == 2 * 2 * macs(variant, 16, 4) * SIDE**2


@pytest.mark.parametrize("variant", ["salstm", "lstmsa", "convlstm"])
def test_volume_needs_the_gates_of_each_frame_once_per_direction(variant):
    """Ten frames, all as centre: about 83 G per frame at 224x224 in place of 165 G."""
    model = attach(nn.Identity(), variant, 4).eval().to("meta")
    frames = 10
    triples = [(max(k - 1, 0), k, min(k + 1, frames - 1)) for k in range(frames)]
    with FlopCounterMode(display=False) as counter:
        model.volume(torch.zeros(frames, 64, SIDE, SIDE, device="meta"), triples)
    assert counter.get_total_flops() == 2 * frames * macs(variant, 16, 4) * SIDE**2


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_vocabulary_says_what_a_head_costs(variant):
    """A window with four outputs and a frame with nine, as on ACDC and Synapse; parameters with four outputs."""
    entry, side = VARIANTS[variant], 16
    found = []
    for frames, classes in ((3, 4), (1, 9)):
        model = attach(nn.Identity(), variant, classes).eval().to("meta")
        channels = classes if variant == PLAIN else 64
        with FlopCounterMode(display=False) as counter:
            model(torch.zeros(1, frames, channels, side, side, device="meta"))
        found.append(counter.get_total_flops() / 2 / side**2)
    assert entry.macs == tuple(found)
    head = attach(nn.Identity(), variant, 4).head
    assert entry.parameters == sum(parameter.numel() for parameter in head.parameters())
