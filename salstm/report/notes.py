"""The notes of all tables, each once, with the number under which the tables name it."""

from __future__ import annotations

from collections.abc import Iterable

from salstm.tables.layout import Table

COUNT = "n = "
"""A note that begins so says how many cases a table is of: it stays at the table."""


class Notes:
    """Numbers each text that it is asked for, from 1 in the order of asking."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}

    def refer(self, notes: Iterable[str]) -> list[int]:
        """The numbers of some texts, in their own order."""
        return sorted(self._numbers.setdefault(note, len(self._numbers) + 1) for note in notes)

    def all(self) -> list[tuple[int, str]]:
        """Every number and its text, in order."""
        return [(number, text) for text, number in self._numbers.items()]


def at_table(table: Table) -> tuple[str, list[str]]:
    """How many cases a table is of, in one sentence, and the notes that go to the foot of the page."""
    if not (table.notes and table.notes[0].startswith(COUNT)):
        return "", list(table.notes)
    first, _, rest = table.notes[0].partition(". ")
    return f"{first.rstrip('.')}.", [*([rest] if rest else []), *table.notes[1:]]
