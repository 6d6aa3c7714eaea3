"""One-dimensional ``.npy`` files: appended to while writing, memory-mapped while reading."""

from __future__ import annotations

import hashlib
import os
import zlib
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

CURE = "delete the store's folder and prepare the dataset again"


class FlatWriter:
    """Appends arrays to a flat ``.npy`` file; the file is valid once the ``with`` block has ended.

    Memory holds one appended array at a time. numpy pads the header so that the length can be
    filled in last.
    """

    def __init__(self, path: Path, dtype: str) -> None:
        self.path, self.dtype, self.size = path, np.dtype(dtype), 0
        self._file = path.open("wb")
        self._header()
        self._start = self._file.tell()

    def append(self, array: np.ndarray) -> None:
        """Append the array's values in C order.

        Raises:
            TypeError: an array of another type than the file's.
        """
        if array.dtype != self.dtype:
            raise TypeError(
                f"{self.path.name}: array of {array.dtype}; the file holds {self.dtype}"
            )
        self._file.write(np.ascontiguousarray(array).data)
        self.size += array.size

    def __enter__(self) -> FlatWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with self._file:
            if error is None:
                self._finish()

    def _finish(self) -> None:
        self._file.seek(0)
        self._header()
        if self._file.tell() != self._start:
            raise OSError(
                f"{self.path}: the .npy header has grown; this numpy cannot append in place"
            )
        self._file.flush()
        os.fsync(self._file.fileno())

    def _header(self) -> None:
        header = {
            "shape": (self.size,),
            "fortran_order": False,
            "descr": np.lib.format.dtype_to_descr(self.dtype),
        }
        np.lib.format.write_array_header_1_0(self._file, header)


def packed(labels: np.ndarray) -> np.ndarray:
    """A case's labels, compressed without loss: flat uint8.

    A mask of six million pixels takes 15 kB (benchmarks/photographs.py).
    """
    content = zlib.compress(np.ascontiguousarray(labels).data)
    return np.frombuffer(content, dtype=np.uint8)


def unpacked(content: np.ndarray, shape: tuple[int, ...], name: str) -> np.ndarray:
    """What ``packed`` has compressed; read-only.

    Args:
        content: of one case.
        shape: of its labels.
        name: for the message.

    Raises:
        ValueError: the content is damaged.
    """
    try:
        return np.frombuffer(zlib.decompress(content.tobytes()), dtype=np.uint8).reshape(shape)
    except (zlib.error, ValueError) as error:
        raise ValueError(f"{name}: damaged ({error}); {CURE}") from error


def open_flat(path: Path, entry: dict[str, Any]) -> np.ndarray:
    """Map a flat file into memory, read only.

    Args:
        path: the ``.npy`` file.
        entry: its entry in the manifest: ``bytes``, ``items``, ``dtype``, ``sha256``.

    Raises:
        FileNotFoundError: the file is missing.
        ValueError: its size or type is not the manifest's.
    """
    cure = f"the store is damaged; {CURE}"
    if not path.is_file():
        raise FileNotFoundError(f"{path}: missing; {cure}")
    if path.stat().st_size != entry["bytes"]:
        raise ValueError(f"{path}: {path.stat().st_size} bytes, not {entry['bytes']}; {cure}")
    mapped = np.load(path, mmap_mode="r")
    if mapped.shape != (entry["items"],) or mapped.dtype != entry["dtype"]:
        raise ValueError(
            f"{path}: {mapped.dtype} {mapped.shape}, not {entry['dtype']} ({entry['items']},); "
            f"{cure}"
        )
    return np.asarray(mapped)  # a plain view: slicing a memmap costs three times as much


def sha256(path: Path) -> str:
    """SHA-256 of a file's content, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
