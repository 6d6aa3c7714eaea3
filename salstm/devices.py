"""GPU slots: one training a GPU by default, never two jobs on one slot, freed however a job ends."""

from __future__ import annotations

import fcntl
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

DEVICES = Path("/dev")
JOBS_PER_GPU = "SALSTM_JOBS_PER_GPU"
LOCKS = "SALSTM_LOCKS"


def visible() -> list[str]:
    """Ids (numbers or UUIDs) of the GPUs this process may use: CUDA_VISIBLE_DEVICES, else all."""
    allowed = os.environ.get("CUDA_VISIBLE_DEVICES")
    if allowed is not None:
        ids = [entry.strip() for entry in allowed.split(",") if entry.strip()]
        # CUDA stops at the first id it does not know; -1 means none.
        return ids[: ids.index("-1")] if "-1" in ids else ids
    found = (path.name.removeprefix("nvidia") for path in DEVICES.glob("nvidia[0-9]*"))
    return [str(number) for number in sorted(int(name) for name in found if name.isdigit())]


def slots(jobs_per_gpu: int = 1) -> int:
    """How many trainings may run at once: GPUs times jobs a GPU; without a GPU, one a core."""
    return len(visible()) * jobs_per_gpu or (os.cpu_count() or 1)


def share(jobs_per_gpu: int) -> None:
    """Tell the jobs that this process starts how many of them share a GPU."""
    os.environ[JOBS_PER_GPU] = str(jobs_per_gpu)


def shared() -> int:
    """How many jobs share a GPU: what ``share`` said, else 1."""
    return int(os.environ.get(JOBS_PER_GPU, "1"))


def lock_folder() -> Path:
    """Where this user's slot locks lie: ``SALSTM_LOCKS``, else a folder in the system's temporary one."""
    return Path(os.environ.get(LOCKS) or Path(tempfile.gettempdir()) / f"salstm-gpu-{os.getuid()}")


@contextmanager
def claim(folder: Path, jobs_per_gpu: int = 1, poll_s: float = 1.0) -> Iterator[str | None]:
    """Hold one GPU slot and point CUDA_VISIBLE_DEVICES at its GPU; waits until one is free.

    Call before torch is imported. The slot is an ``flock``: the kernel frees it when the process ends, also by
    SIGKILL. Where SLURM gave a job one GPU (or none), nothing is left to claim. Where it gave several, as to a
    Snakemake that runs its trainings inside one allocation, they are shared out among the jobs of that allocation;
    on nodes that confine jobs every allocation counts its GPUs from 0, so each has locks of its own.

    Args:
        folder: where the lock files lie; on a local disk, shared by all jobs of this machine.
        jobs_per_gpu: slots a GPU.
        poll_s: seconds between two tries.

    Yields:
        The id of the GPU, or None when there is none or SLURM chose it.
    """
    ids, allocation = visible(), os.environ.get("SLURM_JOB_ID")
    if not ids or (allocation and not _several_given(ids)):
        yield None
        return
    if allocation:
        folder = folder / f"slurm-{allocation}"
    folder.mkdir(parents=True, exist_ok=True)
    while (held := _first_free(folder, ids, jobs_per_gpu)) is None:
        time.sleep(poll_s)
    descriptor, chosen = held
    os.environ["CUDA_VISIBLE_DEVICES"] = chosen
    try:
        yield chosen
    finally:
        os.close(descriptor)


def _several_given(ids: list[str]) -> bool:
    """Whether SLURM gave these GPUs: the node's own list, without CUDA_VISIBLE_DEVICES, may hold other jobs' ones."""
    return len(ids) > 1 and "CUDA_VISIBLE_DEVICES" in os.environ


def _first_free(folder: Path, ids: list[str], jobs_per_gpu: int) -> tuple[int, str] | None:
    for slot in range(jobs_per_gpu):
        for name in ids:
            path = folder / f"{name.replace('/', '_')}.{slot}.lock"
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(descriptor)
                continue
            return descriptor, name
    return None
