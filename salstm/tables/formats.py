"""Tables as Markdown, LaTeX and CSV."""

from __future__ import annotations

import csv as csv_module
import io
import math
from itertools import groupby

from salstm.tables.layout import ABSENT, FEWER, MINUS, SCRATCH, Cell, Table

_LATEX = {"&": r"\&", "%": r"\%", "#": r"\#", "_": r"\_", "$": r"\$", "{": r"\{", "}": r"\}"}
_LATEX |= {"±": r"$\pm$", MINUS: r"$-$", ABSENT: "--", "*": r"$^{*}$", "~": r"\textasciitilde{}"}
_LATEX |= {"∞": r"$\infty$", "×": r"$\times$", "≤": r"$\leq$", "≥": r"$\geq$"}
_LATEX |= {
    FEWER: r"$^{\dagger}$",
    SCRATCH: r"$^{\ddagger}$",
    "^": r"\textasciicircum{}",
    "\\": r"\textbackslash{}",
}

WIDEST = 10
"""Columns of numbers in one LaTeX tabular."""


def markdown(table: Table) -> str:
    """A table with its heading and its notes as GitHub Markdown."""
    heads = [*table.labels, *(f"{column.group} {column.name}" for column in table.columns)]
    lines = [f"### {table.title}", "", _line(heads)]
    lines.append(_line(["---"] * len(table.labels) + ["---:"] * len(table.columns)))
    lines += [_line([*row.labels, *map(_markdown_cell, row.cells)]) for row in table.rows]
    return "\n".join(
        [*lines, "", *(f"- {note.replace('*', chr(92) + '*')}" for note in table.notes), ""]
    )


def latex(table: Table) -> str:
    """A table as a LaTeX ``table*``; needs the packages booktabs and graphicx.

    More than ``WIDEST`` columns go into two tabulars or more, one under the other, cut between groups; one that is
    wider than the text is scaled down to it. The notes stand under them.
    """
    tabulars = [line for columns in _parts(table) for line in _tabular(table, columns)]
    lines = [
        "% needs \\usepackage{booktabs,graphicx}",
        r"\begin{table*}[t]",
        r"\centering",
        rf"\caption{{{escaped(table.title)}}}",
        rf"\label{{tab:{table.key.replace('_', '-')}}}",
        *tabulars,
        rf"\parbox{{\textwidth}}{{\scriptsize {escaped(' '.join(table.notes))}}}",
        r"\end{table*}",
    ]
    return "\n".join(lines) + "\n"


def csv(table: Table) -> str:
    """A table as CSV with the printed numbers in full precision, for the page's copy button."""
    buffer = io.StringIO()
    writer = csv_module.writer(buffer, lineterminator="\n")
    writer.writerow([*table.labels, *(f"{column.group} {column.name}" for column in table.columns)])
    for row in table.rows:
        values = ("" if math.isnan(cell.value) else repr(float(cell.value)) for cell in row.cells)
        writer.writerow([*row.labels, *values])
    return buffer.getvalue()


def escaped(text: str) -> str:
    """Text for LaTeX."""
    return "".join(_LATEX.get(letter, letter) for letter in text)


def _line(cells: list[str]) -> str:
    return "| " + " | ".join(cell.replace("|", r"\|") for cell in cells) + " |"


def _markdown_cell(cell: Cell) -> str:
    text = cell.text.replace("*", r"\*")
    text = {"best": f"**{text}**", "second": f"<ins>{text}</ins>"}.get(cell.mark, text)
    return f"{text} ± {cell.sd}" if cell.sd else text


def _latex_cell(cell: Cell) -> str:
    text = escaped(cell.text)
    text = {"best": rf"\textbf{{{text}}}", "second": rf"\underline{{{text}}}"}.get(cell.mark, text)
    return rf"{text}\,{{\scriptsize$\pm${cell.sd}}}" if cell.sd else text


def _parts(table: Table) -> list[range]:
    """The columns of each tabular: as many groups as fit."""
    parts, start, end = [], 0, 0
    for _, group in groupby(table.columns, lambda column: column.group):
        width = len(list(group))
        if end > start and end + width - start > WIDEST:
            parts.append(range(start, end))
            start = end
        end += width
    return [*parts, range(start, end)]


def _tabular(table: Table, columns: range) -> list[str]:
    spec = "l" * len(table.labels) + "r" * len(columns)
    return [
        r"\resizebox{\ifdim\width>\textwidth\textwidth\else\width\fi}{!}{%",
        rf"\begin{{tabular}}{{{spec}}}",
        r"\toprule",
        *_latex_heads(table, columns),
        r"\midrule",
        *_latex_rows(table, columns),
        r"\bottomrule",
        r"\end{tabular}}\\[1ex]",
    ]


def _latex_heads(table: Table, columns: range) -> list[str]:
    """Two lines: groups over their columns, then the columns."""
    shown = [table.columns[at] for at in columns]
    start, rules, spans = len(table.labels) + 1, [], []
    for name, group in groupby(shown, lambda column: column.group):
        width = len(list(group))
        spans.append(rf"\multicolumn{{{width}}}{{c}}{{{escaped(name)}}}")
        rules.append(rf"\cmidrule(lr){{{start}-{start + width - 1}}}")
        start += width
    names = [*map(escaped, table.labels), *(escaped(column.name) for column in shown)]
    top = " & ".join([""] * len(table.labels) + spans)
    return [rf"{top.strip()} \\", "".join(rules), rf"{' & '.join(names)} \\"]


def _latex_rows(table: Table, columns: range) -> list[str]:
    """The rows; a network's name stands in its first row only, with a space before it."""
    lines, before = [], ""
    for row in table.rows:
        first = row.labels[0]
        several = len(row.labels) > 1
        if several and before and first != before:
            lines.append(r"\addlinespace")
        labels = ["" if several and first == before else first, *row.labels[1:]]
        cells = (_latex_cell(row.cells[at]) for at in columns)
        lines.append(" & ".join([*map(escaped, labels), *cells]) + r" \\")
        before = first
    return lines
