"""The training step on a GPU: release's way in fp32 against ours in fp32, TF32 and bf16; memory and share of the peak.

Without a GPU nothing is measured. The step is that of SALSTM on MT-UNet with the paper's batch: forward pass, cross
entropy and Dice, backward pass, Adam.
"""

from __future__ import annotations

import contextlib
import statistics
from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn

from benchmarks import reference
from benchmarks.figures import Figure, seconds
from benchmarks.modules import CLASSES, STEP, model
from salstm.optimisation import losses

FORWARD_MACS = 3 * 40.646e9 + 113.9e9
"""Of one window at 224: three passes of the network, and our module (tests/modules/test_cost.py)."""
REACH = {"fp32": "5x", "TF32": "", "bf16": "10x"}


def figures(
    device: str = "cuda",
    size: int = 224,
    batch: int = 8,
    pairs: int = 5,
    precisions: tuple[str, ...] = tuple(REACH),
) -> Iterator[Figure]:
    """Ratio, iterations per second, peak memory and share of the matmul peak, for each precision."""
    if device == "cuda" and not torch.cuda.is_available():
        print("no GPU: the GPU table is not run")
        return
    setting = f"batch {batch}, {size}, {device}; {pairs} pairs"
    for precision in precisions:
        reach = REACH[precision]
        theirs, mine = (_step(device, size, batch, way, precision) for way in ("reference", "ours"))
        for once in (theirs, mine):
            once()
        found = [(seconds(theirs), seconds(mine)) for _ in range(pairs)]
        slow, fast = (statistics.median(column) for column in zip(*found, strict=True))
        ratio = statistics.median(one / other for one, other in found)
        yield Figure(f"{STEP}, {precision}", setting, slow, fast, "s", ratio, reach)
        rate = Figure(f"{STEP}, {precision}, rate", setting, 1 / slow, 1 / fast, "it/s", ratio, "")
        yield rate
        if device == "cuda":
            yield from _memory(setting, precision, theirs, mine)
        share = 3 * batch * FORWARD_MACS * (size / 224) ** 2 / fast / _peak(device, precision)
        yield Figure(
            f"{STEP}, {precision}, of the peak",
            setting,
            float("nan"),
            100 * share,
            "%",
            float("nan"),
            "",
        )


def _step(device: str, size: int, batch: int, way: str, precision: str) -> Callable[[], None]:
    """One training step; the reference is in fp32 whatever the precision."""
    ours = model("salstm", size).train().to(device)
    network: nn.Module = reference.Reference(ours) if way == "reference" else ours
    adam = torch.optim.Adam(network.parameters(), lr=1e-4)
    loss = losses.cross_entropy_dice(cross_entropy=0.5, dice=0.5)
    images = torch.randn(batch, 3, 1, size, size, device=device)
    labels = torch.randint(0, CLASSES, (batch, size, size), device=device)
    theirs = way == "reference"

    def step() -> None:
        adam.zero_grad(set_to_none=True)
        with _precision("fp32" if theirs else precision), _way(theirs):
            with torch.autocast(device, torch.bfloat16, enabled=not theirs and precision == "bf16"):
                logits: Tensor = network(images)
            loss((logits.float(),), labels).backward()
        adam.step()
        if device == "cuda":
            torch.cuda.synchronize()

    return step


def _way(theirs: bool) -> contextlib.AbstractContextManager[None]:
    return reference.double_loop() if theirs else contextlib.nullcontext()


@contextlib.contextmanager
def _precision(name: str) -> Iterator[None]:
    """TF32 on or off, for the backward pass as well."""
    before = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32
    torch.set_float32_matmul_precision("high" if name == "TF32" else "highest")
    torch.backends.cudnn.allow_tf32 = name == "TF32"
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before[0])
        torch.backends.cudnn.allow_tf32 = before[1]


def _memory(
    setting: str, precision: str, theirs: Callable[[], None], mine: Callable[[], None]
) -> Iterator[Figure]:
    """Peak memory of a step of each, both models resident."""
    peaks = []
    for step in (theirs, mine):
        torch.cuda.reset_peak_memory_stats()
        step()
        peaks.append(torch.cuda.max_memory_allocated() / 1e9)
    ratio = peaks[0] / peaks[1]
    yield Figure(f"{STEP}, {precision}, memory", setting, peaks[0], peaks[1], "GB", ratio, "")


def _peak(device: str, precision: str, side: int = 8192) -> float:
    """MACs per second of a large matrix product."""
    side = side if device == "cuda" else 512
    kind = torch.bfloat16 if precision == "bf16" else torch.float32
    one, other = (torch.randn(side, side, device=device, dtype=kind) for _ in range(2))

    def work() -> None:
        torch.mm(one, other)
        if device == "cuda":
            torch.cuda.synchronize()

    with _precision(precision):
        work()
        return side**3 / statistics.median(seconds(work) for _ in range(10))
