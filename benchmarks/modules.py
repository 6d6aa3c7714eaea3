"""SALSTM and LSTMSA on MT-UNet against the release's way of computing them; Gaussian attention alone.

Both sides have the same weights and must give the same logits; that is asserted before anything is timed. Memory is the
growth of a fresh process's peak while it makes one training step; at batch 8 the release's way takes 19 GB.
"""

from __future__ import annotations

import math
import multiprocessing
from collections.abc import Callable, Iterator
from contextlib import nullcontext

import torch
from torch import Tensor

import baselines
from baselines.mtunet.model import gaussian_axial_attention
from benchmarks import reference
from benchmarks.figures import Figure, paired
from salstm.modules import attach
from salstm.modules.wrapper import Attached
from salstm.training.inference import ready
from salstm.training.resources import peak_bytes

CLASSES, SLICES, BATCH = 4, 10, 8
WAYS = {"kept": "", "recomputed": ", machine.recompute"}
"""What becomes of our activations in a training step -> how the figure's name says it."""
STEP = "SALSTM on MT-UNet, training step"
CPU = torch.device("cpu")


def figures(size: int = 224, pairs: int = 5) -> Iterator[Figure]:
    """Forward pass, training step and its memory, a volume, Gaussian attention; on this machine's CPU."""
    yield _forward(size, pairs)
    for way in WAYS:
        yield _training(way, size, max(2, pairs // 2))
    yield from _memory(size)
    for variant in ("salstm", "lstmsa"):
        yield _volume(variant, size, max(2, pairs // 2))
    yield _gaussian(pairs)


def model(variant: str, size: int) -> Attached:
    """MT-UNet with a module, initialised from seed 0, in evaluation mode."""
    torch.manual_seed(0)
    network = baselines.build("mtunet", in_channels=1, out_channels=64, image_size=size)
    return attach(network, variant, CLASSES).eval()


def _training(way: str, size: int, pairs: int) -> Figure:
    slow, fast = (_step(one, size, 1) for one in ("reference", way))
    name, setting = f"{STEP}{WAYS[way]}", f"batch 1, {size}, CPU, fp32"
    return paired(name, setting, slow, fast, pairs=pairs, reach="")


def _memory(size: int) -> Iterator[Figure]:
    theirs = _alone(_step_peak, ("reference", size))
    for way, words in WAYS.items():
        mine = _alone(_step_peak, (way, size))
        setting = f"batch {BATCH}, {size}, CPU, fp32; a process each"
        name, reach = f"{STEP}, memory{words}", "1.43x (0.7 of it)"
        yield Figure(name, setting, theirs, mine, "GB", theirs / mine, reach)


@torch.no_grad()
def _forward(size: int, pairs: int) -> Figure:
    ours = model("salstm", size)
    ready(ours, CPU)
    theirs, images = reference.Reference(model("salstm", size)), torch.randn(1, 3, 1, size, size)
    with reference.double_loop():
        expected = theirs(images)
    _same(ours(images), expected)

    def slow() -> Tensor:
        with reference.double_loop():
            return theirs(images)

    setting = f"batch 1, {size}, CPU, fp32"
    return paired(
        "SALSTM on MT-UNet, forward", setting, slow, lambda: ours(images), pairs=pairs, reach="1.2x"
    )


@torch.no_grad()
def _volume(variant: str, size: int, pairs: int) -> Figure:
    ours = model(variant, size)
    ready(ours, CPU)
    theirs = reference.Reference(model(variant, size))
    frames = torch.randn(SLICES, 1, size, size)
    rows = [(max(k - 1, 0), k, min(k + 1, SLICES - 1)) for k in range(SLICES)]

    def slow() -> Tensor:
        with reference.double_loop():
            return torch.cat([theirs(frames[list(row)][None]) for row in rows])

    def fast() -> Tensor:
        return ours.volume(torch.cat([ours.features(frame[None]) for frame in frames]), rows)

    _same(fast(), slow())
    name, setting = f"{variant.upper()} on MT-UNet, a volume", f"{SLICES} slices, {size}, CPU, fp32"
    return paired(name, setting, slow, fast, pairs=pairs, reach="2x")


def _gaussian(pairs: int) -> Figure:
    torch.manual_seed(0)
    query, key, value = (torch.randn(8, 7, 7, 256, requires_grad=True) for _ in range(3))
    penalty = torch.rand(7, 7)

    def work(function: Callable[..., Tensor]) -> Callable[[], object]:
        return lambda: torch.autograd.grad(
            function(query, key, value, penalty).sum(), (query, key, value)
        )

    slow, fast = (
        function(query, key, value, penalty)
        for function in (reference.gaussian_axial_attention, gaussian_axial_attention)
    )
    _same(fast, slow)
    # So small that two threads take five times as long on the reference, waiting for each other: 32x.
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return paired(
            "Gaussian attention, forward and backward", "batch 8, 7x7x256, CPU, fp32, one thread",
            work(reference.gaussian_axial_attention), work(gaussian_axial_attention),
            pairs=10 * pairs, reach="10x",
        )  # fmt: skip
    finally:
        torch.set_num_threads(threads)


def _same(found: Tensor, expected: Tensor) -> None:
    worst = float((found - expected).detach().abs().max())
    if not math.isfinite(worst) or worst > 1e-5 * max(1.0, float(expected.detach().abs().max())):
        raise AssertionError(f"the two ways differ by {worst}; nothing is timed")


def _step(way: str, size: int, batch: int) -> Callable[[], None]:
    """A training step of made-up images, in one of our ways or in the release's, without the optimizer."""
    ours = model("salstm", size).train()
    ours.recompute = way == "recomputed"
    network: torch.nn.Module = reference.Reference(ours) if way == "reference" else ours
    images = torch.randn(batch, 3, 1, size, size)

    def step() -> None:
        with reference.double_loop() if way == "reference" else nullcontext():
            network(images).square().mean().backward()

    return step


def _step_peak(way: str, size: int) -> float:
    """Gigabytes by which the peak grows in one training step."""
    step = _step(way, size, BATCH)
    before = peak_bytes(CPU)
    step()
    return (peak_bytes(CPU) - before) / 1e9


def _alone(work: Callable[..., float], arguments: tuple) -> float:
    """The result of a function in a fresh process."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(work, arguments)
