"""The lock names everything that is needed, on every Python and system that it is for."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path

import closure
import install
import pytest
from closure import Package
from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parent.parent
LOCK = (ROOT / "requirements.lock").read_text(encoding="utf-8")
SLURM = (ROOT / "requirements-slurm.lock").read_text(encoding="utf-8")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS = ("test", "check")
HERE = {key: str(value) for key, value in default_environment().items()}
SYSTEMS = {
    "linux": {
        "sys_platform": "linux",
        "platform_system": "Linux",
        "platform_machine": "x86_64",
        "os_name": "posix",
    },
    "arm": {
        "sys_platform": "linux",
        "platform_system": "Linux",
        "platform_machine": "aarch64",
        "os_name": "posix",
    },
    "mac": {
        "sys_platform": "darwin",
        "platform_system": "Darwin",
        "platform_machine": "arm64",
        "os_name": "posix",
    },
}
PYTHONS = ("3.11", "3.12", "3.13", "3.14")


def environment(python: str, system: str) -> dict[str, str]:
    """What markers compare with."""
    cpython = {"implementation_name": "cpython", "platform_python_implementation": "CPython"}
    versions = {"python_version": python, "python_full_version": f"{python}.0"}
    return HERE | cpython | versions | SYSTEMS[system]


def asked() -> list[tuple[str, str]]:
    """What pyproject.toml asks for."""
    extra = [need for name in EXTRAS for need in PROJECT["optional-dependencies"][name]]
    return [("pyproject.toml", need) for need in [*PROJECT["dependencies"], *extra]]


def pinned(lock: str, there: Mapping[str, str]) -> dict[str, Package]:
    """The pins of an environment, each with the metadata of the installed release if it is the same."""
    known = closure.installed()
    pins = {
        canonicalize_name(pin.name): str(pin.specifier)[2:] for pin in closure.pins(lock, there)
    }
    return {
        name: known[name]
        if name in known and known[name].version == version
        else Package(version, None)
        for name, version in pins.items()
    }


@pytest.mark.parametrize("system", SYSTEMS)
@pytest.mark.parametrize("python", PYTHONS)
def test_the_lock_is_closed(python: str, system: str):
    there = environment(python, system)
    packages = pinned(LOCK, there)
    lines = [("requirements.lock", str(pin)) for pin in closure.pins(LOCK, there)]
    assert closure.missing([*asked(), *lines], packages, there) == []
    unknown = sorted(name for name, package in packages.items() if package.needs is None)
    assert len(unknown) <= 10, unknown  # those that only another Python or system has


def test_the_metadata_of_every_package_of_this_environment_is_at_hand():
    assert [name for name, package in pinned(LOCK, HERE).items() if package.needs is None] == []


def test_a_line_that_is_missing_is_named():
    """One package in ten left out in turn, and those that are asked for by an extra."""
    packages = pinned(LOCK, HERE)
    by_extra = {"nvidia-cublas"} & packages.keys()
    for name in {*sorted(packages)[::10], *by_extra}:
        rest = {other: package for other, package in packages.items() if other != name}
        found = closure.missing(asked(), rest, HERE)
        assert found, name
        assert all(
            re.search(rf"\bneeds {re.escape(name)}\b.*: not installed$", normal(text))
            for text in found
        )


def normal(text: str) -> str:
    return re.sub(r"[-_.]+(?=[A-Za-z])", "-", text).lower()


def test_a_release_that_is_too_old_is_named():
    packages = pinned(LOCK, HERE)
    packages["coverage"] = packages["coverage"]._replace(version="7.0")
    found = closure.missing(asked(), packages, HERE)
    assert [re.sub(r"\d+\.\d+\.\d+", "1", text) for text in found] == [
        "pytest-cov 1 needs coverage[toml]>=1: 7.0"
    ]


def test_the_lock_keeps_extras():
    """pip before 24 takes an extra that the lock does not name for another package, and resolves it anew."""
    locked = {canonicalize_name(pin.name): pin.extras for pin in closure.pins(LOCK, HERE)}
    for package in closure.installed().values():
        for text in package.needs or []:
            need = Requirement(text)
            name = canonicalize_name(need.name)
            if name in locked and (
                need.marker is None or need.marker.evaluate({**HERE, "extra": ""})
            ):
                assert need.extras <= locked[name], text


@pytest.mark.parametrize("lock", [LOCK, SLURM], ids=["requirements", "slurm"])
def test_every_line_has_one_version_and_hashes(lock: str):
    lines = install.entries(lock)
    assert len(lines) > 1
    for name, text in lines.items():
        for part in re.split(r"^(?=\w)", text, flags=re.MULTILINE)[1:]:
            need = Requirement(part.split("\\")[0].strip())
            assert need.name == name
            assert re.fullmatch(r"==[\w.]+", str(need.specifier)), part
            assert re.findall(r"--hash=sha256:[0-9a-f]{64}(?= \\|$)", part, flags=re.MULTILINE), (
                part
            )


def test_what_is_built_here_is_in_the_lock_and_its_builder_too():
    assert {*install.SOURCES, "setuptools"} <= install.entries(LOCK).keys()


def test_both_locks_agree():
    assert not set(install.entries(LOCK)) & set(install.entries(SLURM))
