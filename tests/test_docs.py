"""The pages say what the program says: quoted messages stand in the source, links lead somewhere."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
FOREIGN = {"No space left on device"}
"""Messages of the system."""


def said() -> list[str]:
    """Every message of our code as one text each: literals that follow each other are joined, values left out."""
    sources = [
        *ROOT.glob("salstm/**/*.py"),
        *ROOT.glob("baselines/**/*.py"),
        *ROOT.glob("workflow/**/*.py"),
    ]
    texts = []
    for path in sources:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.JoinedStr):
                parts = [one.value for one in node.values if isinstance(one, ast.Constant)]
                texts.append("\0".join(map(str, parts)))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                texts.append(node.value)
    return texts


def quoted() -> list[list[str]]:
    """The fragments of each message that docs/troubleshooting.md quotes from us."""
    text = (ROOT / "docs/troubleshooting.md").read_text(encoding="utf-8")
    cells = [line.split("|")[1] for line in text.splitlines() if line.startswith("| `")]
    return [re.findall(r"`([^`]+)`", cell) for cell in cells if "(Snakemake)" not in cell]


def test_every_quoted_message_is_one_that_we_print():
    texts = said()
    rows = [row for row in quoted() if not FOREIGN & set(row)]
    assert len(rows) > 15
    for row in rows:
        assert any(all(part in text for part in row) for text in texts), row


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_lead_to_files_and_headings(page):
    text = page.read_text(encoding="utf-8")
    text = re.sub(r"```.*?```|`[^`\n]*`", "", text, flags=re.DOTALL)  # code is no link
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"\w+:", target):
            continue
        name, _, heading = target.partition("#")
        path = (page.parent / name).resolve() if name else page
        assert path.exists(), f"{page.name}: {target}"
        if heading:
            titles = re.findall(r"^#+ (.*)$", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
            anchors = [re.sub(r"[^\w\- ]", "", one.lower()).replace(" ", "-") for one in titles]
            assert heading in anchors, f"{page.name}: {target}"


def test_the_index_names_every_page():
    index = (ROOT / "docs/README.md").read_text(encoding="utf-8")
    missing = {path.name for path in (ROOT / "docs").glob("*.md")} - {"README.md"}
    assert not {name for name in missing if f"({name})" not in index}


def test_the_changelog_begins_with_the_version():
    import tomllib

    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    heads = re.findall(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(), flags=re.MULTILINE)
    assert heads[0] == version
