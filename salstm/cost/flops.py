"""What a network costs: parameters, multiply-adds, activations, latency, memory.

The counts, all for one pass over the example:

- `macs`: multiply-adds of convolutions, linear layers, matrix products in every spelling, attention
  by `scaled_dot_product_attention`, recurrent layers and outer products by broadcast
  multiplication. fvcore walks the traced graph; the handlers here are exact where its own are not
  (LSTM and SDPA counted as 0, `padding="same"` as 0, broadcast products, einsum by rounded text).
- `flops` = 2 x `macs`: a multiplication and an addition.
- `macs_fvcore`: the total of fvcore's own handlers, which papers print as "FLOPs"; it adds norms,
  upsampling and pooling and leaves out what is named above.
- `macs_torch`: torch's own counter over the operators that really run (fused kernels switched off),
  halved: a second opinion. Where it finds more than `macs`, counting fails.
- `elements_light`: output elements of elementwise and reducing operators, which count 0 above.

An operator that is neither counted nor known to be light raises: nothing heavy passes as free.
"""

from __future__ import annotations

import contextlib
import math
import statistics
import time
import warnings
import weakref
from collections import Counter
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch
    from torch import nn

Figures = dict[str, int | float | str]


def count(module: nn.Module, example: torch.Tensor) -> Figures:
    """Count parameters, multiply-adds and activations of a module for one example.

    The module is traced in evaluation mode on the example's device and left as it was.

    Args:
        module: any network; for one of `salstm.modules.attach` its head is also counted alone.
        example: input as the module takes it; counts are for the whole batch.

    Returns:
        `parameters`, `parameters_trainable`, `parameters_module`, `macs`, `flops`, `macs_module`,
        `macs_fvcore`, `macs_torch`, `activations` (output elements of the counted operators),
        `elements_light`, and as text `operators_counted` ("linear 456, bmm 12", in multiply-adds)
        and `operators_ignored` (in output elements). `_module` is the head alone, NaN where there
        is none.

    Raises:
        ValueError: an operator is unknown, or torch's counter finds more multiply-adds.
    """
    with _evaluated(module):
        counts, head = _traced(module, example)
        macs_torch = _by_torch(module, example)
    macs = sum(counts["macs"].values())
    if macs_torch > macs * (1 + 1e-6):
        raise ValueError(
            f"{type(module).__name__}: torch counts {macs_torch} multiply-adds, fvcore {macs} "
            f"({_listed(counts['macs'])}): an operator is missed; give it a handler in salstm/cost/operators.py"
        )
    sizes = [parameter.numel() for parameter in module.parameters()]
    trained = [one.numel() for one in module.parameters() if one.requires_grad]
    part = _head(module)
    alone = math.nan if part is None else sum(one.numel() for one in part.parameters())
    return {
        "parameters": sum(sizes),
        "parameters_trainable": sum(trained),
        "parameters_module": alone,
        "macs": macs,
        "flops": 2 * macs,
        "macs_module": head,
        "macs_fvcore": round(sum(counts["fvcore"].values())),
        "macs_torch": macs_torch,
        "activations": sum(counts["activations"].values()),
        "elements_light": sum(counts["light"].values()),
        "operators_counted": _listed(counts["macs"]),
        "operators_ignored": _listed(counts["light"]),
    }


def cost(module: nn.Module, example: torch.Tensor, *, seconds: float = 10.0) -> Figures:
    """Count a module and measure it on the device of the example.

    Args:
        module: the network.
        example: input as the module takes it.
        seconds: largest time for the repeats of the latency.

    Returns:
        What `count`, `latency` and `peak_memory` give, as one row.
    """
    measured = latency(module, example, seconds=seconds)
    peak = peak_memory(module, example)
    return {**count(module, example), **measured, "peak_memory_bytes": peak}


def latency(
    module: nn.Module,
    example: torch.Tensor,
    *,
    repeats: int = 30,
    warmup: int = 3,
    seconds: float = 10.0,
) -> Figures:
    """Time forward passes in evaluation mode.

    Args:
        module: the network, on the device of the example.
        example: input as the module takes it, with a batch first.
        repeats: most passes that are timed.
        warmup: passes before, not timed.
        seconds: stop after this time, but not before three passes.

    Returns:
        `latency_seconds` (median), `latency_repeats`, `throughput_per_second` (windows or images)
        and `latency_device`.
    """
    import torch

    def synchronise() -> None:
        if example.is_cuda:
            torch.cuda.synchronize(example.device)

    times: list[float] = []
    with _evaluated(module), torch.inference_mode():
        for _ in range(warmup):
            module(example)
        synchronise()
        while len(times) < min(3, repeats) or (len(times) < repeats and sum(times) < seconds):
            start = time.perf_counter()
            module(example)
            synchronise()
            times.append(time.perf_counter() - start)
    device = torch.cuda.get_device_name(example.device) if example.is_cuda else "cpu"
    return {
        "latency_seconds": statistics.median(times),
        "latency_repeats": len(times),
        "throughput_per_second": len(example) / statistics.median(times),
        "latency_device": device,
    }


def peak_memory(module: nn.Module, example: torch.Tensor) -> int:
    """Largest memory of one forward pass in evaluation mode, weights and input included.

    Args:
        module: the network, on the device of the example.
        example: input as the module takes it.

    Returns:
        Bytes. On a GPU what the allocator held at the peak for this pass; on a CPU the tensors that
        lived at the same time (a kernel's own work space is not seen there).
    """
    import torch

    fixed = [example, *module.parameters(), *module.buffers()]
    storages = {one.untyped_storage().data_ptr(): one.untyped_storage().nbytes() for one in fixed}
    weights = sum(storages.values())
    with _evaluated(module), torch.no_grad():
        if example.is_cuda:
            torch.cuda.reset_peak_memory_stats(example.device)
            before = torch.cuda.memory_allocated(example.device)
            module(example)
            return torch.cuda.max_memory_allocated(example.device) - before + weights
        return weights + _peak_of_tensors(lambda: module(example), set(storages))


@contextlib.contextmanager
def _evaluated(module: nn.Module) -> Iterator[None]:
    """Evaluation mode, and back to each submodule's own mode."""
    modes = [(part, part.training) for part in module.modules()]
    module.eval()
    try:
        yield
    finally:
        for part, training in modes:
            part.training = training


def _head(module: nn.Module) -> nn.Module | None:
    from salstm.modules.wrapper import Attached

    return module.head if isinstance(module, Attached) else None


def _traced(module: nn.Module, example: torch.Tensor) -> tuple[dict[str, Counter[str]], float]:
    """Counters by kind over the module's graph, and the head's multiply-adds alone."""
    with warnings.catch_warnings():
        # fvcore compiles a loss when imported, and traces: both still work in the pinned torch.
        warnings.filterwarnings("ignore", r"`torch\.jit\.", FutureWarning)
        warnings.filterwarnings("ignore", r"`torch\.jit\.", DeprecationWarning)
        from fvcore.nn import FlopCountAnalysis

        from salstm.cost.operators import handlers

        analysis = FlopCountAnalysis(module, example)
        analysis.unsupported_ops_warnings(False).uncalled_modules_warnings(False)
        analysis.set_op_handle(**handlers())
        with _unfused():
            counts = analysis.by_module_and_operator()
    if unknown := analysis.unsupported_ops():
        raise ValueError(
            f"{type(module).__name__}: operators {', '.join(sorted(unknown))} are not known to be "
            "light and have no handler; in salstm/cost/operators.py give them one, or add them to LIGHT if "
            "they do a few operations an element"
        )
    kinds = {kind: Counter() for kind in ("macs", "fvcore", "activations", "light")}
    for name, value in counts[""].items():
        kind, _, operator = name.partition(":")
        kinds[kind][operator] += value
    head = [value for name, value in counts.get("head", {}).items() if name.startswith("macs:")]
    return kinds, sum(head) if _head(module) is not None else math.nan


@contextlib.contextmanager
def _unfused() -> Iterator[None]:
    """Attention layers as their single operators, not as one fused kernel nobody counts."""
    from torch.backends import mha

    before = mha.get_fastpath_enabled()
    mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        mha.set_fastpath_enabled(before)


def _by_torch(module: nn.Module, example: torch.Tensor) -> int:
    """Multiply-adds as torch counts them, with attention and recurrent layers taken apart."""
    import torch
    from torch.nn.attention import SDPBackend, sdpa_kernel
    from torch.utils.flop_counter import FlopCounterMode

    with contextlib.ExitStack() as stack:
        stack.enter_context(_unfused())
        stack.enter_context(sdpa_kernel(SDPBackend.MATH))
        if any(isinstance(part, torch.nn.RNNBase) for part in module.modules()):
            # Not `mkldnn.flags(...)`: it sets a flag for Intel GPUs too, and warns without one.
            before = torch.backends.mkldnn.set_flags(_enabled=False)
            stack.callback(torch.backends.mkldnn.set_flags, _enabled=before[0])
            if example.is_cuda:
                stack.enter_context(torch.backends.cudnn.flags(enabled=False))
        stack.enter_context(torch.no_grad())
        counter = stack.enter_context(FlopCounterMode(display=False))
        module(example)
    return counter.get_total_flops() // 2


def _peak_of_tensors(run: Callable[[], object], known: set[int]) -> int:
    """Largest sum of bytes of the tensors that live at one time while a function runs."""
    import torch
    from torch.utils._python_dispatch import TorchDispatchMode
    from torch.utils._pytree import tree_leaves

    class Watch(TorchDispatchMode):
        now = peak = 0

        def __torch_dispatch__(
            self, func: Any, types: Any, args: Any = (), kwargs: Any = None
        ) -> Any:
            result = func(*args, **(kwargs or {}))
            for one in tree_leaves(result):
                if isinstance(one, torch.Tensor):
                    self.see(one.untyped_storage())
            return result

        def see(self, storage: torch.UntypedStorage) -> None:
            address, size = storage.data_ptr(), storage.nbytes()
            if address in alive or not size:
                return
            alive.add(address)
            self.now += size
            self.peak = max(self.peak, self.now)
            weakref.finalize(storage, self.forget, address, size)

        def forget(self, address: int, size: int) -> None:
            alive.discard(address)
            self.now -= size

    alive = set(known)
    with Watch() as watch:
        run()
    return watch.peak


def _listed(counts: Counter[str]) -> str:
    """Counts as text, the largest first: 'linear 456, bmm 12'."""
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return ", ".join(f"{name} {value}" for name, value in ordered if value)
