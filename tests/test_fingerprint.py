"""The fingerprint follows the names that definitions use, leaves cosmetics out, and hashes what it does not know."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from salstm import fingerprint as module

FILES = {
    "salstm/__init__.py": "",
    "salstm/top.py": """
from salstm import other
from salstm.base import value, REGISTRY
from salstm.effects import nothing


def use():
    from baselines import one
    return value, one.x


def choose(name):
    return REGISTRY[name]()


def everything():
    return [other]


def reads():
    return open("table.csv")


def says(log):
    log.info("text %s", value)
    raise ValueError(f"text {_word()}")


def _word():
    return "word"


def quiet():
    return says


def looks_up(name):
    return globals()[name]
""",
    "salstm/base.py": """
value = 1
unused = 2


def first():
    return 1


def second():
    return 2


REGISTRY = {"first": first, "second": second}
NESTED = {"a": {"first": first}, "b": {"second": second}}
""",
    "salstm/other.py": "x = 1\n",
    "salstm/effects.py": "nothing = 0\n",
    "salstm/marked.py": """
from salstm.base import value

ENTRIES = {}


def entered(function):
    ENTRIES[function.__name__] = function
    return function


def doubled(function):
    return lambda: 2 * function()


@entered
def alpha():
    return 1


@doubled
def beta():
    return 1


def all_of_them():
    return ENTRIES
""",
    "salstm/table.csv": "1,2\n",
    "baselines/__init__.py": "",
    "baselines/one.py": "x = 1\n",
    "baselines/two.py": "x = 2\n",
}


def clear() -> None:
    for each in vars(module).values():
        if hasattr(each, "cache_clear"):
            each.cache_clear()


@pytest.fixture
def tree(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "ROOT", tmp_path)
    monkeypatch.setattr(module, "CACHE", tmp_path / "none" / "cache.json")
    for name, text in FILES.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def take(*roots: str) -> str:
        clear()
        return module.fingerprint(*roots)

    yield tmp_path, take
    clear()


def changed(tree, root: str, file: str, old: str, new: str) -> bool:
    """Whether an edit changes the fingerprint of a root."""
    folder, take = tree
    before = take(root)
    text = (folder / file).read_text()
    assert old in text
    (folder / file).write_text(text.replace(old, new, 1) if old else text + new)
    return take(root) != before


@pytest.mark.parametrize(
    ("root", "file", "old", "new"),
    [
        ("top:use", "salstm/base.py", "value = 1", "value = 2"),
        ("top:use", "baselines/one.py", "x = 1", "x = 3"),
        ("top:choose", "salstm/base.py", "return 2", "return 3"),
        ("top:choose", "salstm/base.py", '"second": second', '"third": second'),
        ("base:REGISTRY[first]", "salstm/base.py", "return 1", "return 3"),
        ("base:NESTED[a][first]", "salstm/base.py", "return 1", "return 3"),
        ("top:everything", "salstm/other.py", "x = 1", "x = 2"),
        ("top:reads", "salstm/table.csv", "1", "2"),
        ("top:says", "salstm/top.py", '"word"', '"other"'),
        ("top:says", "salstm/top.py", "ValueError(", "OSError("),
        ("top:use", "salstm/effects.py", "", "print(1)"),
        ("top:use", "salstm/__init__.py", "", "print(1)"),
        (
            "marked:all_of_them",
            "salstm/marked.py",
            "alpha():\n    return 1",
            "alpha():\n    return 2",
        ),
        ("top", "salstm/base.py", "value = 1", "value = 2"),
        ("top:looks_up", "salstm/top.py", '"word"', '"other"'),
    ],
)
def test_what_is_reached_counts(tree, root, file, old, new):
    assert changed(tree, f"salstm.{root}", file, old, new)


@pytest.mark.parametrize(
    ("root", "file", "old", "new"),
    [
        ("top:use", "salstm/base.py", "unused = 2", "unused = 3"),
        ("top:use", "salstm/base.py", "value = 1", "# A comment.\nvalue = 1"),
        ("top:use", "salstm/top.py", "def use():", 'def use() -> tuple:\n    """Doc."""'),
        ("top:use", "salstm/top.py", "def choose(name)", "def choose(key)"),
        ("top:use", "baselines/two.py", "x = 2", "x = 9"),
        ("top:quiet", "salstm/top.py", 'log.info("text', 'log.info("other'),
        ("top:quiet", "salstm/top.py", 'f"text', 'f"other'),
        ("base:REGISTRY[first]", "salstm/base.py", "return 2", "return 3"),
        ("base:NESTED[a][first]", "salstm/base.py", "return 2", "return 3"),
        (
            "marked:all_of_them",
            "salstm/marked.py",
            "beta():\n    return 1",
            "beta():\n    return 2",
        ),
    ],
)
def test_what_is_not_reached_or_cosmetic_does_not(tree, root, file, old, new):
    assert not changed(tree, f"salstm.{root}", file, old, new)


def test_a_chosen_entry_stands_for_its_dictionary_everywhere(tree):
    folder, take = tree
    roots = ("salstm.top:choose", "salstm.base:REGISTRY[first]")
    before = take(*roots)
    path = folder / "salstm/base.py"
    path.write_text(path.read_text().replace("return 2", "return 3"))
    assert take(*roots) == before
    path.write_text(path.read_text().replace("return 1", "return 3"))
    assert take(*roots) != before


def test_what_is_declared_cosmetic_is_there():
    """A name that is gone would hide nothing, or something else of that name later."""
    clear()
    for place in module.COSMETIC:
        name, _, definition = place.partition(":")
        assert module._path(name), place
        if "." in definition:
            path = module._path(name)
            text = path.read_text() if path else ""
            assert f"class {definition.split('.')[0]}" in text, place
            assert f"def {definition.split('.')[1]}(" in text, place
        elif definition:
            assert definition in module._module(name)["definitions"], place


def test_modules_are_imported_by_name_only_where_a_rule_names_them():
    """Such a module cannot be followed: who adds one names it to the rules' `code` (common.smk)."""
    root = Path(module.__file__).parent.parent
    sources = [*root.glob("salstm/**/*.py"), *root.glob("baselines/**/*.py")]
    found = {
        path.relative_to(root).as_posix()
        for path in sources
        if re.search(r"import_module\(|__import__\(", path.read_text(encoding="utf-8"))
    }
    assert found == {
        "baselines/__init__.py",  # a network
        "baselines/libraries/__init__.py",  # a library, whose version is in the code of its cells
        "salstm/data/acquire/download.py",  # synapseclient
        "salstm/data/audit.py",  # the reader of the cases
        "salstm/data/augment/__init__.py",  # an augmentation
        "salstm/data/datasets.py",  # readers
        "salstm/modules/wrapper.py",  # the head of a variant
    }


def test_what_was_parsed_once_is_read_again_and_a_damaged_cache_is_dropped(tree, monkeypatch):
    root, take = tree
    cache = root / "cache.json"
    monkeypatch.setattr(module, "CACHE", cache)
    before = take("salstm.top")
    cache.write_text(json.dumps(module._known()))
    with monkeypatch.context() as patch:
        patch.setattr(module.definitions, "parse", None)  # nothing is parsed again
        patch.setattr(module, "_walk", None)  # nor walked
        assert take("salstm.top") == before
    cache.write_text(kept := json.dumps(module._known()))
    top = root / "salstm/top.py"
    text = top.read_text()
    top.write_text(text + "\nMORE = 1\n")
    assert take("salstm.top") != before
    top.write_text(text)
    (root / "baselines/two.py").write_text("x = 33\n")
    cache.write_text(kept)
    take("salstm.top")
    assert module._state() not in kept
    cache.write_text("{cut")
    assert take("salstm.top") == before


def test_it_is_the_same_wherever_the_checkout_lies(tree, tmp_path, monkeypatch):
    _, take = tree
    before = take("salstm.top")
    (tmp_path / "moved").mkdir()
    for name in ("salstm", "baselines"):
        (tmp_path / name).rename(tmp_path / "moved" / name)
    monkeypatch.setattr(module, "ROOT", tmp_path / "moved")
    assert take("salstm.top") == before


@pytest.mark.parametrize(
    ("root", "message"),
    [
        ("salstm.nothing", r"salstm\.nothing: no such module"),
        ("salstm.top:nothing", "salstm.top:nothing: no such definition"),
        ("salstm.base:REGISTRY[third]", "no dictionary with that key"),
        ("salstm.base:value[third]", "no dictionary with that key"),
    ],
)
def test_an_unknown_root_is_named(tree, root, message):
    _, take = tree
    with pytest.raises(module.NoSuchCodeError, match=message):
        take(root)


def test_what_is_hashed_can_be_looked_at(tree):
    clear()
    names = [line.split()[0] for line in module.reached("salstm.top:use")]
    assert "salstm.base:value" in names
    assert "salstm.base:first" not in names
