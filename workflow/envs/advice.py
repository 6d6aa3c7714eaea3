"""What to do about an install that cannot begin or that failed. Any Python 3 must be able to read this file."""

import re
import sys

OLDEST, NEWEST = (3, 11), (3, 14)
"""The Pythons that the locked packages have wheels for."""

CURES = {
    r"no module (venv|ensurepip)": """
This Python ({python}) comes without venv or ensurepip. On Debian and Ubuntu: `apt install python3-venv`. Or install uv,
which brings its own, or name another Python: make PYTHON=python3.13 install""",
    r"No space left|Disk quota exceeded|os error (28|122)\b": """
The install needs {disk:g} GB, of which 7 GB stay. Make room, or let .venv be a link to a folder on another disk.
Downloads are also kept in the cache of pip (`pip cache purge`) or of uv (`uv cache clean`; UV_CACHE_DIR moves it).""",
    r"DO NOT MATCH THE HASHES|[Hh]ash mismatch": """
The package index offers another file than the one that was locked, and it was not installed. A mirror or a proxy may
have changed it: name another index with PIP_INDEX_URL (uv: UV_DEFAULT_INDEX).""",
    r"[Cc]onnect|name resolution|[Tt]imed? ?out|[Pp]roxy|SSL|[Cc]ertificate|dns error|sending request": """
The package index cannot be reached. Behind a proxy set HTTPS_PROXY, with a mirror PIP_INDEX_URL (uv: UV_DEFAULT_INDEX);
PIP_CERT (uv: SSL_CERT_FILE) names certificates. Without a network run `pip download --no-deps -r requirements.lock
-d wheels` on a machine that has one (same system, same Python), bring the folder here, and
`PIP_NO_INDEX=1 PIP_FIND_LINKS=wheels make UV= install`.""",
    r"No matching distribution|no usable wheels|No solution found|not found in the package registry": """
The package index has no locked file for this system and this Python ({python}), or is a mirror that lags behind.
Name another index with PIP_INDEX_URL (uv: UV_DEFAULT_INDEX), or another Python: make PYTHON=python3.13 install""",
    r"is not closed": """
The lock file is at fault, not this machine: please open an issue with the lines above.""",
    "": """
The lines above say why. The next try begins anew; with `make UV= install` pip does it, where uv is there, too.""",
}
"""What pip, uv or we said (the first pattern that is found), and what to do."""


def dotted(version):
    """``3.11`` of ``(3, 11, 7)``."""
    return f"{version[0]}.{version[1]}"


def unusable(version):
    """Why a Python of this version (major, minor) cannot be used and what to do, or an empty string."""
    if OLDEST <= version <= NEWEST:
        return ""
    return (
        f"Python {dotted(version)} ({sys.executable}) cannot be used: the locked packages have wheels for "
        f"Python {dotted(OLDEST)} to {dotted(NEWEST)}.\nInstall one of these "
        "(`apt install python3.11 python3.11-venv`, `brew install python@3.13`, `uv python install 3.13`) "
        "and name it: make PYTHON=python3.13 install"
    )


def cure(said, disk):
    """What to do about a failure.

    Args:
        said: the messages of the command that failed.
        disk: GB that an install needs.
    """
    text = next(text for pattern, text in CURES.items() if re.search(pattern, said))
    return text.format(python=f"{sys.executable}, {dotted(sys.version_info)}", disk=disk)
