"""The fingerprint of code: comments rerun nothing, one network's edit reruns that network alone."""

from __future__ import annotations

import json

import pytest

from salstm import fingerprint as module


@pytest.fixture
def tree(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "ROOT", tmp_path)
    monkeypatch.setattr(module, "CACHE", tmp_path / "none" / "cache.json")
    module._known.cache_clear()
    files = {
        "salstm/__init__.py": "",
        "salstm/top.py": "from salstm.base import value\n\n\ndef use():\n    import baselines.one\n    return value\n",
        "salstm/base.py": '"""Doc."""\nvalue = 1\n',
        "salstm/cli.py": "import salstm.top\n",
        "baselines/__init__.py": "",
        "baselines/one/__init__.py": "x = 1\n",
        "baselines/two/__init__.py": "x = 2\n",
    }
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def take(*names: str) -> str:
        module.fingerprint.cache_clear()
        module._module.cache_clear()
        return module.fingerprint(*names)

    yield tmp_path, take
    module.fingerprint.cache_clear()
    module._module.cache_clear()


def test_comments_and_docstrings_do_not_count(tree):
    root, take = tree
    before = take("salstm.top")
    (root / "salstm/base.py").write_text('"""Other."""\n# A comment.\nvalue = 1\n')
    assert take("salstm.top") == before


def test_code_counts_through_imports_also_inside_functions(tree):
    root, take = tree
    before = take("salstm.top")
    (root / "salstm/base.py").write_text("value = 2\n")
    changed = take("salstm.top")
    assert changed != before
    (root / "baselines/one/__init__.py").write_text("x = 3\n")
    assert take("salstm.top") != changed


def test_another_network_and_the_roof_do_not_count(tree):
    root, take = tree
    before = take("salstm.top")
    (root / "baselines/two/__init__.py").write_text("x = 9\n")
    (root / "salstm/cli.py").write_text("import salstm.top\nx = 1\n")
    assert take("salstm.top") == before


def test_what_was_parsed_once_is_read_again_and_a_damaged_cache_is_dropped(tree, monkeypatch):
    root, take = tree
    cache = root / "cache.json"
    monkeypatch.setattr(module, "CACHE", cache)
    module._known.cache_clear()
    before = take("salstm.top")
    cache.write_text(json.dumps(module._known()))
    module._known.cache_clear()
    with monkeypatch.context() as patch:
        patch.setattr(module, "_digest", None)  # nothing is parsed again
        assert take("salstm.top") == before
    cache.write_text("{cut")
    module._known.cache_clear()
    assert take("salstm.top") == before
    module._known.cache_clear()


def test_an_unknown_module_is_named(tree):
    _, take = tree
    with pytest.raises(ModuleNotFoundError, match=r"salstm\.nothing"):
        take("salstm.nothing")
