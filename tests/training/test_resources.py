"""Energy and memory: NVML's figures where they are, None where they are not, never an error."""

from __future__ import annotations

import subprocess
import sys
import types
from pathlib import Path

import pytest
import torch

from salstm.training import resources

CPU, GPU = torch.device("cpu"), torch.device("cuda", 0)


class NVMLError(Exception):
    pass


def nvml(monkeypatch, readings: list) -> list:
    """A pretended NVML; gives the UUIDs that were asked for."""
    asked: list[str] = []
    module = types.ModuleType("pynvml")

    def energy(handle: str) -> int:
        reading = readings.pop(0)
        if isinstance(reading, Exception):
            raise reading
        return reading

    functions = {
        "NVMLError": NVMLError,
        "nvmlInit": lambda: None,
        "nvmlDeviceGetHandleByUUID": lambda uuid: asked.append(uuid) or uuid,
        "nvmlDeviceGetTotalEnergyConsumption": energy,
    }
    vars(module).update(functions)
    monkeypatch.setitem(sys.modules, "pynvml", module)
    properties = types.SimpleNamespace(uuid="aa-bb")
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: properties)
    return asked


def test_joules_of_the_gpu_that_torch_uses(monkeypatch):
    asked = nvml(monkeypatch, [1_000, 2_500, 10_000])
    meter = resources.energy_meter(GPU)
    assert [meter(), meter()] == [2.5, 10.0]
    assert asked == ["GPU-aa-bb"]


def test_a_gpu_that_does_not_count_gives_none(monkeypatch):
    nvml(monkeypatch, [NVMLError("not supported")])
    assert resources.energy_meter(GPU)() is None


def test_a_gpu_that_disappears_gives_none(monkeypatch):
    nvml(monkeypatch, [1, NVMLError("GPU is lost")])
    assert resources.energy_meter(GPU)() is None


def test_without_nvml_or_a_gpu_there_is_none(monkeypatch):
    monkeypatch.setitem(sys.modules, "pynvml", None)
    assert resources.energy_meter(GPU)() is None
    assert resources.energy_meter(CPU)() is None


def test_peak_memory_of_this_process_is_at_least_what_it_holds():
    held = torch.ones(20_000_000)
    peak = resources.peak_bytes(CPU)
    assert peak > held.nbytes
    assert peak < 2**40, "KiB and bytes are mixed up"


def test_peak_memory_is_not_that_of_the_parent():
    """Linux hands the largest resident size on to the programs that a process starts."""
    if not Path("/proc/self/status").is_file():
        pytest.skip("this system has no /proc")
    held = torch.ones(500_000_000, dtype=torch.uint8)
    code = "import torch; from salstm.training import resources; print(resources.peak_bytes(torch.device('cpu')))"
    child = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert int(child.stdout) < resources.peak_bytes(CPU) - held.nbytes // 2


@pytest.mark.parametrize("status", ["", "VmPeak:\t 1 kB\n", "VmHWM:\t many kB\n"])
def test_a_system_without_the_line_is_asked_otherwise(monkeypatch, status):
    monkeypatch.setattr(Path, "read_text", lambda *_, **__: status)
    test_peak_memory_of_this_process_is_at_least_what_it_holds()


@pytest.mark.gpu
def test_peak_memory_of_a_gpu():
    held = torch.ones(1_000_000, device=GPU)
    assert resources.peak_bytes(GPU) >= held.nbytes
