"""Names that a user types, checked against the names there are."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def check(subject: str, name: str, allowed: Iterable[str]) -> str:
    """Return ``name`` if it is allowed.

    Args:
        subject: what is named, for the message: 'dataset', 'border'.
        name: as the user typed it.
        allowed: the names there are.

    Raises:
        ValueError: unknown name; the message suggests the nearest one and lists all.
    """
    allowed = list(allowed)
    if name in allowed:
        return name
    near = difflib.get_close_matches(str(name), allowed, n=1)
    hint = f" Did you mean {near[0]}?" if near else ""
    raise ValueError(f"{subject} {name!r}: unknown.{hint} Available: {', '.join(allowed)}")
