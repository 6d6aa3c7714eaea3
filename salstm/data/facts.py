"""What readers know of a case beside its images: names of subgroups, ``facts.csv`` in a store's folder.

A table ``case``, then a column for each kind of subgroup; an empty field says that a case is in none. No number of a
training depends on it, so that the manifest does not name it.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping
from pathlib import Path

FILE = "facts.csv"
Facts = Mapping[str, Mapping[str, str]]
"""By case id: kind of subgroup -> its name."""


def write(folder: Path, facts: Facts) -> None:
    """Write the facts of a store's cases; no file where there are none."""
    kinds = list(dict.fromkeys(kind for one in facts.values() for kind in one))
    if not kinds:
        return
    with (folder / FILE).open("w", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, ["case", *kinds], restval="", lineterminator="\n")
        table.writeheader()
        table.writerows({"case": case, **found} for case, found in facts.items())


def read(path: Path) -> dict[str, dict[str, str]]:
    """Read such a table; nothing where there is no such file.

    Raises:
        ValueError: no column ``case``, a case that stands twice, or a column whose name cannot be one's of a subgroup.
    """
    if not path.is_file():
        return {}
    with path.open(newline="", encoding="utf-8-sig") as file:
        table = csv.DictReader(file)
        names = list(table.fieldnames or ())
        if "case" not in names:
            raise ValueError(
                f"{path}: columns {', '.join(names)}; one is called case, with the images' names without their endings"
            )
        kinds = [name for name in names if name != "case"]
        if wrong := [name for name in kinds if not re.fullmatch(r"[a-z][a-z0-9_]*", name)]:
            raise ValueError(
                f"{path}: column {wrong[0]!r}; small letters, digits and _ are allowed"
            )
        found: dict[str, dict[str, str]] = {}
        for row in table:
            if row["case"] in found:
                raise ValueError(f"{path}: case {row['case']!r} stands twice")
            found[row["case"]] = {kind: (row[kind] or "").strip() for kind in kinds}
    return found
