"""Where a number comes from: versions, commit, machine, command."""

from __future__ import annotations

import platform
import shutil
import socket
import subprocess
import sys
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
PACKAGES = (
    "torch",
    "torchvision",
    "timm",
    "monai",
    "segmentation-models-pytorch",
    "numpy",
    "scipy",
    "pandas",
    "snakemake",
)


def environment() -> dict[str, Any]:
    """Commit (and whether the tree is changed), package versions, Python, system, host name, processor."""
    return {
        "commit": commit(),
        "packages": {name: _version(name) for name in PACKAGES},
        "python": platform.python_version(),
        "system": platform.platform(),
        "host": socket.gethostname(),
    }


def commit() -> dict[str, Any]:
    """The checkout's commit: ``{"id": ..., "changed": bool}``; id None outside a git checkout."""
    identity = _git("rev-parse", "HEAD")
    return {"id": identity, "changed": bool(_git("status", "--porcelain", "--untracked-files=no"))}


def command() -> str:
    """The command line that is running, ready to be typed again."""
    import shlex

    return shlex.join(["python", "-m", "salstm", *sys.argv[1:]])


def share_package(folder: Path) -> str:
    """Let ``python -m salstm`` in the jobs that this process starts find this package, from any folder.

    Returns:
        What a person types before such a command in that folder; empty if nothing.
    """
    import os
    import shlex
    import site

    place = ROOT.resolve()
    given = [one for one in os.environ.get("PYTHONPATH", "").split(os.pathsep) if one]
    os.environ["PYTHONPATH"] = os.pathsep.join(dict.fromkeys([str(place), *given]))
    known = [Path(one).resolve() for one in (folder, *given, *site.getsitepackages())]
    return "" if place in known else f"export PYTHONPATH={shlex.quote(str(place))}"


def now() -> str:
    """The time in UTC, ISO 8601 to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _git(*arguments: str) -> str | None:
    git = shutil.which("git")
    if git is None:
        return None
    result = subprocess.run(
        [git, "-C", str(ROOT), *arguments], capture_output=True, text=True, check=False
    )
    return result.stdout.strip() or None if result.returncode == 0 else None
