"""The pages that say how to add something, followed to the letter in a copy of the repository.

A block whose first line names a file is applied to it: a diff (its context must stand there exactly once), or the whole
text of a new file. Then the lines of the ``sh`` blocks run, but for those with ``--cores``, which take hours.
"""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

pytestmark = pytest.mark.extended

ROOT = Path(__file__).parents[2]
COPIED = ("salstm", "baselines", "workflow", "profiles", "tests", "Snakefile", "pyproject.toml")
LEFT_OUT = shutil.ignore_patterns("__pycache__", "golden", "slurm")
BLOCK = re.compile(r"^( *)```(\w+)(?: (\S+))?\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)
TOUCHED = {"metric": 2, "variant": 3, "dataset": 6, "loss": 2}
"""Files of each walk but for the configuration that shows a metric or trains a variant or with a loss; of a dataset
with the configuration of one that needs no code."""


def blocks(page: str) -> list[tuple[str, str, str]]:
    """Language, file and text of each block of a page."""
    text = (ROOT / "docs" / f"add-a-{page}.md").read_text(encoding="utf-8")
    return [
        (language, file, textwrap.dedent(content))
        for _, language, file, content in BLOCK.findall(text)
    ]


def patched(text: str, diff: str, place: str) -> str:
    """A file's text after a diff without line numbers."""
    lines = [(line[:1] or " ", line[1:]) for line in diff.splitlines()]
    before = "\n".join(line for sign, line in lines if sign in " -") + "\n"
    after = "\n".join(line for sign, line in lines if sign in " +") + "\n"
    assert text.count(before) == 1, (
        f"{place}: the block's context stands there {text.count(before)} times:\n{before}"
    )
    return text.replace(before, after)


def copied(root: Path) -> Path:
    for name in (*COPIED, *(path.name for path in ROOT.glob("*.yaml"))):
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, root / name, ignore=LEFT_OUT)
        else:
            shutil.copy(ROOT / name, root / name)
    return root


def apply(page: str, root: Path) -> set[str]:
    """Write what a page says; returns the files."""
    files = set()
    for language, file, content in blocks(page):
        if not file:
            continue
        path = root / file
        if language == "diff":
            path.write_text(patched(path.read_text(), content, file))
        else:
            assert not path.exists(), f"{file} is there already"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content)
        files.add(file)
    return files


def run(line: str, root: Path) -> subprocess.CompletedProcess[str]:
    words = shlex.split(line)
    words[:1] = {"python": [sys.executable], "snakemake": [sys.executable, "-m", "snakemake"]}.get(
        words[0], words[:1]
    )
    return subprocess.run(words, cwd=root, capture_output=True, text=True, check=False)


def commands(page: str) -> list[str]:
    lines = [
        line for language, _, text in blocks(page) if language == "sh" for line in text.splitlines()
    ]
    return [line for line in lines if "--cores" not in line]


@pytest.mark.extended
@pytest.mark.parametrize("page", ["metric", "variant", "dataset", "network", "loss"])
def test_a_page_leads_where_it_says(page, tmp_path):
    root = copied(tmp_path / "clone")
    files = apply(page, root)
    own = {file for file in files if "/" not in file and page != "dataset"}
    assert len(files - own) == TOUCHED.get(page, 0)
    assert commands(page)
    for line in commands(page):
        result = run(line, root)
        assert result.returncode == 0, f"{line}\n{result.stdout[-3000:]}{result.stderr[-3000:]}"


@pytest.mark.parametrize(
    ("page", "left_out", "message"),
    [
        (
            "metric",
            "salstm/evaluation/metrics.py",
            "metric 'masd' of salstm/vocabulary.py: no function masd in",
        ),
        (
            "variant",
            "salstm/modules/motion.py",
            "variant 'motion' of salstm/vocabulary.py: no function motion in",
        ),
    ],
)
def test_a_name_without_its_function_stops_the_plan(page, left_out, message, tmp_path):
    root = copied(tmp_path / "clone")
    before = (root / left_out).read_text() if (root / left_out).exists() else ""
    apply(page, root)
    (root / left_out).write_text(before)
    line = next(line for line in commands(page) if line.startswith("snakemake"))
    result = run(line, root)
    assert result.returncode == 1
    assert message in result.stdout + result.stderr
