"""Why a training ends before its last epoch, in words that a person can act on."""

from __future__ import annotations

import torch


class TrainingError(RuntimeError):
    """The training cannot go on; the message says where and what to do."""


def explained(error: BaseException) -> str:
    """What happened and what to do, for failures whose own message does not say it; empty for others.

    Known are a loader process that died, a GPU that is gone, and memory that ran out where no smaller batch helps.
    """
    text = str(error).strip().split("\n", 1)[0]
    if not isinstance(error, RuntimeError) or isinstance(error, TrainingError):
        return ""
    if isinstance(error, torch.OutOfMemoryError):
        return (
            f"out of memory outside of the passes over a batch: {text}. Another program may hold the "
            f"device's memory; free it, or use a larger GPU"
        )
    if "DataLoader worker" in text:
        return _of_a_loader(str(error).strip())
    if isinstance(error, torch.AcceleratorError) or "CUDA error" in text or "cuDNN error" in text:
        return (
            f"the GPU failed: {text}. `nvidia-smi` and the system's log (Xid) tell whether it is still "
            f"there; a restart of the machine often brings it back"
        )
    return ""


def _of_a_loader(text: str) -> str:
    # torch tells a failure in a loader process with its traceback; the last line says what it was.
    what = text.rsplit("\n", 1)[-1]
    if "shared memory" in text or "/torch_" in text:
        return (
            f"the loader processes ran out of shared memory: {what} They hand batches over in /dev/shm (df -h "
            f"/dev/shm): make it larger (docker run --shm-size=8g), or use fewer processes (machine: workers, 0 for "
            f"none)"
        )
    return (
        f"a loader process died: {what} It is often killed for want of memory: allow more, or fewer processes "
        f"(machine: workers, 0 for none)"
    )
