"""The install: from the lock alone, to the end or not at all, with messages that help."""

from __future__ import annotations

import ast
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import distributions, version
from pathlib import Path

import advice
import pytest

from tests.index import Index, folder_of, served

pytestmark = pytest.mark.extended

SCRIPT = Path(__file__).parent.parent / "workflow/envs/install.py"
DROPPED = ("PIP_", "UV", "http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")
TOOLS = ["", *([uv] if (uv := shutil.which("uv")) else [])]
"""pip always, uv where this machine has it."""

LINES = (
    "runner==1.0",
    "cover[toml]==1.0 ; python_version < '4'",
    "tomlish==1.0",
    "iopath==1.0",
    "only-there==1.0 ; sys_platform == 'nowhere'",
    f"packaging=={version('packaging')}",
)
"""A lock; ``iopath`` is a package that may be built (``install.SOURCES``), ``packaging`` does the looking up."""
LOCKED = {"runner": "1.0", "cover": "1.0", "tomlish": "1.0", "iopath": "1.0"}


@dataclass
class Desk:
    """A place to install to: an index, a lock, a folder."""

    index: Index
    folder: Path

    @property
    def venv(self) -> Path:
        return self.folder / ".venv"

    @property
    def lock(self) -> Path:
        return self.folder / "requirements.lock"

    @property
    def site(self) -> Path:
        return next((self.venv / "lib").glob("python*/site-packages"))

    @property
    def stamp(self) -> Path:
        return self.venv / "installed"

    def versions(self) -> dict[str, str]:
        return {one.metadata["Name"]: one.version for one in distributions(path=[str(self.site)])}

    def environment(self, **changes: str) -> dict[str, str]:
        kept = {key: value for key, value in os.environ.items() if not key.startswith(DROPPED)}
        own = {"PIP_CONFIG_FILE": os.devnull, "PIP_CACHE_DIR": str(self.folder / "cache"), "UV": ""}
        own |= {"UV_CACHE_DIR": str(self.folder / "uv"), "UV_NO_CONFIG": "1"}
        own |= {"PIP_INDEX_URL": self.index.url, "UV_DEFAULT_INDEX": self.index.url}
        return kept | own | changes

    def command(self, *options: str) -> list[str]:
        return [sys.executable, str(SCRIPT), str(self.lock), "--venv", str(self.venv), *options]

    def install(self, *options: str, **changes: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command("--disk", "0.05", *options),
            env=self.environment(**changes),
            capture_output=True,
            text=True,
            timeout=120,
        )


@pytest.fixture(scope="module")
def index() -> Iterator[Index]:
    """``runner`` needs ``cover[toml]``, which needs ``tomlish``; of all three there are newer releases."""
    index = Index()
    index.wheel("runner", "1.0", "cover[toml]>=1.0")
    index.wheel("runner", "2.0", "cover[toml]>=2.0")
    for release in ("1.0", "2.0"):
        index.wheel("cover", release, "tomlish>=1 ; extra == 'toml'", extras=("toml",))
        index.wheel("tomlish", release)
    index.source("iopath", "1.0")
    index.installed("packaging")
    with served(index):
        yield index


def write(desk: Desk, *lines: str, without: str = "iopath") -> None:
    """The lock of ``LINES`` with some of its packages exchanged and one left out."""
    names = [re.split(r"[\[=]", line)[0] for line in (*lines, without)]
    kept = [line for line in LINES if re.split(r"[\[=]", line)[0] not in names]
    desk.lock.write_text("# a comment\n" + desk.index.lock(*kept, *lines))


@pytest.fixture(scope="module")
def finished(index: Index, tmp_path_factory: pytest.TempPathFactory) -> Desk:
    """An install by pip, whose user has settings that send packages elsewhere and pin another release."""
    desk = Desk(index, tmp_path_factory.mktemp("finished"))
    write(desk, without="")
    (desk.folder / "constraints.txt").write_text("cover==2.0\n")
    settings = desk.folder / "pip.conf"
    settings.write_text(f"[global]\nconstraint = {desk.folder / 'constraints.txt'}\n")
    index.asked.clear()
    done = desk.install(
        PIP_TARGET=str(desk.folder / "elsewhere"), PIP_CONFIG_FILE=str(settings), PIP_USER="1"
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return desk


@pytest.fixture
def desk(finished: Desk, tmp_path: Path) -> Desk:
    """A copy of the finished install whose stamp is of another lock: packages are exchanged in it."""
    copy = Desk(finished.index, tmp_path)
    shutil.copytree(finished.venv, copy.venv, symlinks=True, copy_function=os.link)
    write(copy)
    copy.stamp.unlink()
    copy.stamp.write_text("another lock\n")
    return copy


def test_the_locked_releases_are_installed_though_the_index_has_newer_ones(finished: Desk):
    assert LOCKED.items() <= finished.versions().items()
    assert "BUILT" in (finished.site / "iopath.py").read_text()
    assert (finished.site / "__pycache__").exists()  # compiled once, here
    assert not (finished.folder / "elsewhere").exists()
    assert not (finished.venv / "tmp").exists()
    # Two questions a package (the page, the file): nothing was tried, nothing else was looked at.
    fetched = [path for path in finished.index.asked if path.startswith("/files/")]
    assert len(fetched) == len(set(fetched)) == 5
    assert not [path for path in finished.index.asked if "-2.0" in path or "nowhere" in path]
    assert len(finished.index.asked) <= 10


def test_a_second_call_does_nothing(finished: Desk):
    finished.index.asked.clear()
    before = finished.stamp.stat().st_mtime_ns
    done = finished.install()
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert finished.index.asked == []
    assert finished.stamp.stat().st_mtime_ns == before


@pytest.mark.parametrize("tool", TOOLS)
def test_a_changed_lock_exchanges_packages(desk: Desk, tool: str):
    made = (desk.venv / "pyvenv.cfg").stat().st_mtime_ns
    write(desk, "runner==2.0", "cover[toml]==2.0")
    done = desk.install(UV=tool)
    assert done.returncode == 0, done.stdout + done.stderr
    assert {"runner": "2.0", "cover": "2.0", "tomlish": "1.0"}.items() <= desk.versions().items()
    assert (desk.venv / "pyvenv.cfg").stat().st_mtime_ns == made


@pytest.mark.parametrize("tool", TOOLS)
def test_a_lock_without_extras_installs_the_locked_ones_too(desk: Desk, tool: str):
    """What broke once: pip before 24 took ``cover[toml]`` for a package that the lock does not pin."""
    remove(desk, "runner", "cover")
    write(desk, "cover==1.0")
    done = desk.install(UV=tool)
    assert done.returncode == 0, done.stdout + done.stderr
    assert desk.versions()["cover"] == "1.0"


def remove(desk: Desk, *names: str) -> None:
    python = str(desk.venv / "bin/python")
    subprocess.run([python, "-m", "pip", "uninstall", "-qy", *names], check=True)


@pytest.mark.parametrize("tool", TOOLS)
def test_a_lock_that_is_not_closed_fails_with_the_missing_name(desk: Desk, tool: str):
    write(desk, without="tomlish")
    remove(desk, "tomlish")
    done = desk.install(UV=tool)
    assert done.returncode == 1
    assert "cover 1.0 needs tomlish>=1: not installed" in done.stdout
    assert "please open an issue" in done.stderr
    assert not desk.stamp.exists()


@pytest.mark.parametrize("tool", TOOLS)
def test_a_file_that_is_not_the_locked_one_is_not_installed(desk: Desk, tool: str):
    write(desk, "runner==2.0", "cover[toml]==2.0")
    lock = desk.lock.read_text()
    good = re.findall(r"runner==2.0 .*\n.*sha256:(\w+)", lock)[0]
    desk.lock.write_text(lock.replace(good, "0" * 64))
    done = desk.install(UV=tool)
    assert done.returncode == 1
    assert "offers another file than the one that was locked" in done.stderr
    assert desk.versions()["runner"] == "1.0"
    assert not desk.stamp.exists()


@pytest.mark.parametrize("tool", TOOLS)
def test_no_wheel_for_this_python_is_said(desk: Desk, tool: str):
    desk.lock.write_text(desk.lock.read_text() + "absent==3.0 --hash=sha256:" + "0" * 64 + "\n")
    done = desk.install(UV=tool)
    assert done.returncode == 1
    assert "The package index has no locked file for this system and this Python" in done.stderr


@pytest.mark.parametrize("tool", TOOLS)
def test_no_network_is_said(desk: Desk, tool: str):
    write(desk, "runner==2.0", "cover[toml]==2.0")
    with socket.socket() as closed:  # bound, and nobody listens
        closed.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{closed.getsockname()[1]}/simple"
        own = {"PIP_INDEX_URL": url, "UV_DEFAULT_INDEX": url, "PIP_RETRIES": "1"}
        done = desk.install(UV=tool, UV_HTTP_RETRIES="0", **own)
    assert done.returncode == 1
    assert "The package index cannot be reached" in done.stderr
    assert "PIP_NO_INDEX=1 PIP_FIND_LINKS=wheels" in done.stderr


def test_without_a_network_a_folder_of_wheels_will_do(desk: Desk):
    write(desk, "runner==2.0", "cover[toml]==2.0")
    wheels = folder_of(desk.index, desk.folder / "wheels")
    desk.index.asked.clear()
    done = desk.install(PIP_NO_INDEX="1", PIP_FIND_LINKS=str(wheels))
    assert done.returncode == 0, done.stdout + done.stderr
    assert desk.versions()["runner"] == "2.0"
    assert desk.index.asked == []


def test_too_little_disk_is_said_before_anything_is_made(finished: Desk, tmp_path: Path):
    desk = Desk(finished.index, tmp_path)
    write(desk)
    done = desk.install("--disk", "1e6")
    assert done.returncode == 1
    assert f"GB are free at {desk.venv}" in done.stderr
    assert "The install needs 1e+06 GB" in done.stderr
    assert not desk.venv.exists()


def test_a_folder_that_is_no_environment_is_left_alone(finished: Desk, tmp_path: Path):
    desk = Desk(finished.index, tmp_path)
    write(desk)
    desk.venv.mkdir()
    (desk.venv / "thesis.tex").write_text("mine")
    done = desk.install()
    assert done.returncode == 1
    assert "is no virtual environment: move it away" in done.stderr
    assert [path.name for path in desk.venv.iterdir()] == ["thesis.tex"]


def test_an_install_that_was_cut_off_is_begun_anew(desk: Desk, tmp_path: Path):
    """Killed while a package comes down; what it left looks finished to pip, and .venv is a link to another disk."""
    disk = desk.venv.rename(tmp_path / "disk")
    desk.venv.symlink_to(disk)
    write(desk, "runner==2.0", "cover[toml]==2.0")
    desk.index.slow = "runner-2.0"
    with subprocess.Popen(desk.command(), env=desk.environment(), start_new_session=True) as first:
        assert desk.index.reached.wait(60)
        assert list((desk.venv / "tmp").glob("pip-*"))  # downloads lie here, not in /tmp
        first.kill()  # the parent alone: its pip goes on
    assert not desk.stamp.exists()
    (desk.site / "tomlish.py").unlink()
    out = tmp_path / "second.txt"
    with out.open("w") as file:
        second = subprocess.Popen(
            desk.command("--disk", "0.05"), env=desk.environment(), stdout=file, stderr=file
        )
        waited = wait_for(lambda: "waiting for it" in out.read_text())
        desk.index.release.set()  # now the orphan ends
        assert second.wait(120) == 0, out.read_text()
    assert waited, out.read_text()
    assert "is unfinished or of another Python: it is made anew" in out.read_text()
    assert desk.venv.is_symlink()
    assert {"runner": "2.0", "cover": "2.0", "tomlish": "1.0"}.items() <= desk.versions().items()
    assert (desk.site / "tomlish.py").read_text() == "VERSION = '1.0'\n"
    assert desk.install().stdout == ""


def wait_for(true: Callable[[], bool]) -> bool:
    for _ in range(300):
        if true():
            return True
        time.sleep(0.2)
    return False


@pytest.mark.parametrize("module", ["venv", "ensurepip"])
def test_a_python_without_venv_is_refused_with_the_cure(
    finished: Desk, tmp_path: Path, module: str
):
    """As on Debian without python3-venv: the module is not there."""
    desk = Desk(finished.index, tmp_path)
    write(desk)
    code = (
        f"import runpy, sys; sys.modules[{module!r}] = None; sys.path.insert(0, {str(SCRIPT.parent)!r}); "
        f"sys.argv = {desk.command('--disk', '0.05')[1:]!r}; runpy.run_path(sys.argv[0], run_name='__main__')"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env=desk.environment(), capture_output=True, text=True
    )
    assert done.returncode == 1
    assert "`apt install python3-venv`" in done.stderr
    assert not desk.venv.exists()


@pytest.mark.parametrize("name", ["install.py", "advice.py"])
def test_an_old_python_can_read_the_script_to_its_message(name: str):
    ast.parse((SCRIPT.parent / name).read_text(), feature_version=(3, 6))


@pytest.mark.parametrize(
    ("python", "good"),
    [
        ((3, 10), False),
        ((3, 11), True),
        ((3, 12), True),
        ((3, 13), True),
        ((3, 14), True),
        ((3, 15), False),
    ],
)
def test_which_pythons_are_refused(python: tuple[int, int], good: bool):
    said = advice.unusable(python)
    assert bool(said) is not good
    if not good:
        assert f"Python 3.{python[1]} (" in said
        assert "Python 3.11 to 3.14" in said
        assert "make PYTHON=python3.13 install" in said
