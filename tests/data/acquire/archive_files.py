"""Archives made by hand: zip by Python's own module, RAR 3 and RAR 5, stored, by their published formats."""

from __future__ import annotations

import struct
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path

WINRAR = Path(__file__).parent / "rar"
"""Archives that WinRAR made; their origin and licence stand beside them."""


def make_zip(path: Path, entries: Mapping[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in entries.items():
            file.writestr(name, content)
    return path


def make_rar(path: Path, entries: Mapping[str, bytes], mode: int = 0o100644) -> Path:
    """A RAR 3 archive: a mark, a head, and a header before each file."""

    def block(kind: int, flags: int, rest: bytes) -> bytes:
        body = struct.pack("<BHH", kind, flags, 7 + len(rest)) + rest
        return struct.pack("<H", zlib.crc32(body) & 0xFFFF) + body

    data = b"Rar!\x1a\x07\x00" + block(0x73, 0, bytes(6))
    for name, content in entries.items():
        sizes = struct.pack("<IIB", len(content), len(content), 3)
        facts = struct.pack("<IIBBHI", zlib.crc32(content), 0x4A000000, 20, 0x30, len(name), mode)
        data += block(0x74, 0x8000, sizes + facts + name.encode("ascii")) + content
    path.write_bytes(data + block(0x7B, 0x4000, b""))
    return path


def make_rar5(path: Path, entries: Mapping[str, bytes]) -> Path:
    """A RAR 5 archive: numbers of variable length, and a CRC-32 before each header."""

    def number(value: int) -> bytes:
        low, rest = value & 0x7F, value >> 7
        return bytes([low | 0x80]) + number(rest) if rest else bytes([low])

    def block(*fields: bytes | int) -> bytes:
        body = b"".join(one if isinstance(one, bytes) else number(one) for one in fields)
        body = number(len(body)) + body
        return struct.pack("<I", zlib.crc32(body)) + body

    data = b"Rar!\x1a\x07\x01\x00" + block(1, 0, 0)
    for name, content in entries.items():
        checksum, text = struct.pack("<I", zlib.crc32(content)), name.encode()
        # Kind, flags (data follow), their size; flags (a CRC), size, mode, CRC, method 0, Unix, name.
        data += block(
            2, 2, len(content), 4, len(content), 0o100644, checksum, 0, 1, len(text), text
        )
        data += content
    path.write_bytes(data + block(5, 0, 0))
    return path


RAR = {"RAR 3": make_rar, "RAR 5": make_rar5}
