"""Is anything missing? Every requirement of every installed distribution, and every line of a lock, is looked up.

``python closure.py requirements.lock`` looks at the environment that runs it. ``missing`` knows nothing of
environments, so that a test can ask for other Pythons and systems, too.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from functools import cache
from importlib.metadata import distributions
from pathlib import Path
from typing import NamedTuple

from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name


class Package(NamedTuple):
    """A version, and what its metadata asks for; ``needs`` is None where the metadata is not known."""

    version: str
    needs: list[str] | None


parsed = cache(Requirement)


def pins(lock: str, environment: Mapping[str, str]) -> list[Requirement]:
    """The lines of a lock (its text) that hold in an environment of markers."""
    lines = [line.split("\\")[0] for line in lock.splitlines() if line[:1] not in ("", " ", "#")]
    found = [Requirement(line.strip()) for line in lines]
    return [one for one in found if one.marker is None or one.marker.evaluate(dict(environment))]


def missing(
    asked: Iterable[tuple[str, str]],
    packages: Mapping[str, Package],
    environment: Mapping[str, str],
) -> list[str]:
    """What is not there, or in a version that is not allowed, followed through all extras.

    Args:
        asked: requirements with the name of who asks.
        packages: what there is, by canonical name.
        environment: what markers compare with (``python_version``, ``sys_platform`` and so on).

    Returns:
        A sentence each: who needs what, and what there is instead.
    """
    todo, seen, found = [(who, text, "") for who, text in asked], set(), []
    while todo:
        who, text, extra = todo.pop()
        need = parsed(text)
        if need.marker and not need.marker.evaluate({**environment, "extra": extra}):
            continue
        name = canonicalize_name(need.name)
        there = packages.get(name)
        if there is None or not need.specifier.contains(there.version, prereleases=True):
            wanted = str(need).split(";")[0].strip()
            found.append(f"{who} needs {wanted}: {there.version if there else 'not installed'}")
            continue
        fresh = {"", *need.extras} - {extra for other, extra in seen if other == name}
        seen |= {(name, extra) for extra in fresh}
        label = f"{name} {there.version}"
        todo += [(label, one, extra) for one in there.needs or [] for extra in sorted(fresh)]
    return sorted(set(found))


def installed() -> dict[str, Package]:
    """What the Python that runs this has."""
    return {
        canonicalize_name(one.metadata["Name"]): Package(one.version, list(one.requires or []))
        for one in distributions()
    }


def main(lock: Path) -> None:
    """End with what is missing in the environment that runs this, if anything is."""
    here = {key: str(value) for key, value in default_environment().items()}
    asked = [(lock.name, str(one)) for one in pins(lock.read_text(encoding="utf-8"), here)]
    packages = installed()
    asked += [("this environment", name) for name in packages]
    problems = missing(asked, packages, here)
    if problems:
        sys.exit("\n".join([f"{lock.name} is not closed:", *problems]))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
