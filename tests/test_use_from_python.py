"""The page for notebooks says what runs."""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd
import pytest

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs/use-from-python.md"


@pytest.mark.extended
def test_the_page_trains_predicts_and_scores(tmp_path, monkeypatch, capsys):
    (tmp_path / "config.yaml").symlink_to(ROOT / "config.yaml")
    monkeypatch.chdir(tmp_path)
    first, second = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    names: dict = {}
    exec(compile(first, "page", "exec"), names)
    assert "epoch" in capsys.readouterr().out
    assert sorted(path.name for path in (tmp_path / "notebook/cell").iterdir()) == [
        "best_test.safetensors", "best_val.safetensors", "history.csv", "last.safetensors", "run.json"
    ]  # fmt: skip
    assert names["record"]["recipe"]["epochs"] == 2
    exec(compile(second, "page", "exec"), names)
    scores = pd.read_csv(tmp_path / "notebook/scores.csv")
    assert set(scores["selection"]) == {"last", "best_val", "best_test"}
    assert (scores["dice"].to_numpy() > 0).any()
