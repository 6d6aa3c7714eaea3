"""A package index on 127.0.0.1 with tiny packages made here, and lock files of them."""

from __future__ import annotations

import base64
import hashlib
import io
import tarfile
import threading
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import distribution
from pathlib import Path

BACKEND = '''
import zipfile

def build_wheel(folder, *_):
    """The sdist's own builder: asks for nothing."""
    info = "{name}-{version}.dist-info"
    with zipfile.ZipFile(folder + "/{name}-{version}-py3-none-any.whl", "w") as file:
        file.writestr("{name}.py", "BUILT = True\\n")
        file.writestr(info + "/METADATA", "Metadata-Version: 2.1\\nName: {name}\\nVersion: {version}\\n")
        file.writestr(info + "/WHEEL", "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
        file.writestr(info + "/RECORD", "")
    return "{name}-{version}-py3-none-any.whl"
'''


class Index:
    """Files by name, a simple index of them, and what was asked for."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.asked: list[str] = []
        self.slow = ""
        """A file whose name begins so is held back until ``release`` is set."""
        self.reached, self.release = threading.Event(), threading.Event()
        self.url = ""

    def wheel(self, name: str, version: str, *needs: str, extras: tuple[str, ...] = ()) -> None:
        """Add a wheel with one module that says its version."""
        metadata = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}"]
        metadata += [f"Provides-Extra: {extra}" for extra in extras]
        metadata += [f"Requires-Dist: {need}" for need in needs]
        self._pack(
            name, version, {f"{name}.py": f"VERSION = '{version}'\n"}, "\n".join(metadata) + "\n"
        )

    def installed(self, name: str) -> str:
        """Add a wheel of a pure distribution that this environment has; returns its version."""
        known = distribution(name)
        modules = {
            str(file): file.read_text()
            for file in known.files or ()
            if file.suffix == ".py" and ".dist-info" not in str(file)
        }
        self._pack(
            name,
            known.version,
            modules,
            f"Metadata-Version: 2.1\nName: {name}\nVersion: {known.version}\n",
        )
        return known.version

    def _pack(self, name: str, version: str, modules: dict[str, str], metadata: str) -> None:
        info = f"{name}-{version}.dist-info"
        content = modules | {
            f"{info}/METADATA": metadata,
            f"{info}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        }
        record = [
            f"{path},{signature(text)},{len(text.encode())}" for path, text in content.items()
        ]
        content[f"{info}/RECORD"] = "\n".join([*record, f"{info}/RECORD,,", ""])
        stream = io.BytesIO()
        with zipfile.ZipFile(stream, "w") as file:
            for path, text in content.items():
                file.writestr(path, text)
        self.files[f"{name}-{version}-py3-none-any.whl"] = stream.getvalue()

    def source(self, name: str, version: str) -> None:
        """Add an sdist that asks for a build tool which no index has."""
        parts = {
            "PKG-INFO": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
            "backend.py": BACKEND.replace("{name}", name).replace("{version}", version),
            "pyproject.toml": '[build-system]\nrequires = ["nowhere"]\n'
            'build-backend = "backend"\nbackend-path = ["."]\n'
            f'[project]\nname = "{name}"\nversion = "{version}"\n',
        }
        stream = io.BytesIO()
        with tarfile.open(fileobj=stream, mode="w:gz") as file:
            for path, text in parts.items():
                member = tarfile.TarInfo(f"{name}-{version}/{path}")
                member.size = len(text.encode())
                file.addfile(member, io.BytesIO(text.encode()))
        self.files[f"{name}-{version}.tar.gz"] = stream.getvalue()

    def lock(self, *lines: str) -> str:
        """A lock in the form that uv writes: ``name[extra]==1.0 ; marker``, hashes looked up."""
        return "".join(f"{line} \\\n    --hash=sha256:{self._hash(line)}\n" for line in lines)

    def _hash(self, line: str) -> str:
        name, version = line.split(";")[0].strip().split("==")
        start = f"{name.split('[')[0]}-{version}"
        match = [
            data
            for file, data in self.files.items()
            if file.startswith((f"{start}-", f"{start}.t"))
        ]
        return hashlib.sha256(match[0] if match else b"").hexdigest()

    def answer(self, path: str) -> bytes | None:
        """The body for a path of the index."""
        self.asked.append(path)
        part = path.strip("/").split("/")
        if part[0] == "files":
            if self.slow and part[1].startswith(self.slow):
                self.reached.set()
                self.release.wait(60)
            return self.files.get(part[1])
        names = [file for file in self.files if file.startswith(f"{part[1]}-")]
        links = [f'<a href="/files/{name}">{name}</a>' for name in names]
        return (
            "<!DOCTYPE html><html><body>{}</body></html>".format("\n".join(links)).encode()
            if links
            else None
        )


def signature(text: str) -> str:
    digest = hashlib.sha256(text.encode()).digest()
    return "sha256=" + base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


@contextmanager
def served(index: Index) -> Iterator[Index]:
    """The index at ``index.url`` while the block runs."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = index.answer(self.path)
            self.send_response(200 if body is not None else 404)
            self.send_header(
                "Content-Type",
                "text/html" if "/simple" in self.path else "application/octet-stream",
            )
            self.send_header("Content-Length", str(len(body or b"")))
            self.end_headers()
            with suppress(BrokenPipeError, ConnectionResetError):  # who asked was killed
                self.wfile.write(body or b"")

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    index.url = f"http://127.0.0.1:{server.server_port}/simple"
    try:
        yield index
    finally:
        index.release.set()
        server.shutdown()
        server.server_close()


def folder_of(index: Index, path: Path) -> Path:
    """The files of an index in a folder."""
    path.mkdir()
    for name, data in index.files.items():
        (path / name).write_bytes(data)
    return path
