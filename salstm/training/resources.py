"""What a training takes from its device: energy and memory."""

from __future__ import annotations

import resource
import sys
from collections.abc import Callable
from pathlib import Path

import torch


def energy_meter(device: torch.device) -> Callable[[], float | None]:
    """A meter of the device's energy.

    Returns:
        A function that gives joules since some past moment, of all programs on that GPU; always None on a CPU,
        without NVML (``pip install 'salstm[energy]'``), and on a GPU that does not count (a MIG slice, an old one).
    """
    if device.type != "cuda":
        return _nothing
    try:
        import pynvml  # pyright: ignore[reportMissingImports] - an extra
    except ImportError:
        return _nothing
    try:
        pynvml.nvmlInit()
        # The index of torch follows CUDA_VISIBLE_DEVICES, that of NVML does not: the UUID is the same for both.
        uuid = f"GPU-{torch.cuda.get_device_properties(device).uuid}"
        handle = pynvml.nvmlDeviceGetHandleByUUID(uuid)
        pynvml.nvmlDeviceGetTotalEnergyConsumption(handle)
    except pynvml.NVMLError:
        return _nothing

    def joules() -> float | None:
        try:
            return pynvml.nvmlDeviceGetTotalEnergyConsumption(handle) / 1000
        except pynvml.NVMLError:
            return None

    return joules


def peak_bytes(device: torch.device) -> int:
    """Most memory at any moment so far: of torch's tensors on a GPU; of this process, resident, on a CPU."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    # Linux hands ru_maxrss on to the programs that a process starts: a small child of a large parent looks large.
    try:
        return _high_water(Path("/proc/self/status").read_text(encoding="ascii"))
    except (OSError, ValueError):
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else peak * 1024


def _high_water(status: str) -> int:
    """Bytes in the line ``VmHWM`` of ``/proc/self/status``; ValueError without it."""
    rows = dict(line.split(":", 1) for line in status.splitlines() if ":" in line)
    return 1024 * int(rows.get("VmHWM", "").removesuffix("kB"))


def _nothing() -> float | None:
    return None
