"""The definitions of a module: what each says but for its cosmetics, and which names of ours it uses.

A definition is what binds a name at the top of a module: a function, a class, an assignment. What else stands there
runs when the module is imported; all of it together is the module's ``effects``.

Cosmetic, and left out: comments, docstrings, annotations of functions and variables, what ``log`` and ``warnings`` are
told, the arguments of exceptions. Functions that are called for such an argument are kept.
"""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, TypedDict

PACKAGES = ("salstm", "baselines")
"""Whose names count."""
DATA = (".csv", ".json", ".yaml")
TOLD = ("log", "warnings")
DYNAMIC = ("globals", "eval", "exec")
"""Where a name may be anything of its module, all of the module counts."""
KEYWORDS = ("citation", "licence", "licence_url")
"""Of calls; their texts are shown and decide nothing."""

Definition = tuple[str, list[str]]
"""A digest, and the dotted names that are used; ``!`` before a module that is imported, ``=`` before a data file."""


class Module(TypedDict):
    """What is known of a module; made of JSON's types.

    Attributes:
        definitions: by name.
        entries: by name of a dictionary and key: the definitions of its values.
        imports: by name: what it stands for.
        loads: modules that are imported at the top.
        effects: everything else at the top.
    """

    definitions: dict[str, Definition]
    entries: dict[str, dict[str, Definition]]
    imports: dict[str, str]
    loads: list[str]
    effects: Definition


def parse(path: Path, name: str, root: Path, cosmetic: Iterable[str] = ()) -> Module:
    """Take a module apart.

    Args:
        path: of its source.
        name: dotted.
        root: folder of the packages; data files are named from there.
        cosmetic: dotted names of methods that are left out, as ``Class.method``.
    """
    tree = ast.parse(path.read_text(encoding="utf-8"))
    tree = _Cosmetics(set(cosmetic)).visit(tree)
    return _Parser(tree, name, path.parent, root).module()


class _Parser:
    def __init__(self, tree: ast.Module, name: str, folder: Path, root: Path) -> None:
        self.name, self.folder, self.root = name, folder, root
        self.bound: dict[str, list[ast.stmt]] = {}
        self.imports: dict[str, str] = {}
        self.others: list[ast.stmt] = []
        for statement in tree.body:
            self._sort(statement)

    def module(self) -> Module:
        definitions = {name: self._definition(nodes) for name, nodes in self.bound.items()}
        tops = [node for node in self.others if not isinstance(node, ast.Import | ast.ImportFrom)]
        tops += [node for nodes in self.bound.values() for node in nodes if self._registers(node)]
        loads = {one for node in self.others for one in self._loads(node)}
        return {
            "definitions": definitions,
            "entries": dict(self._entries()),
            "imports": {key: value for key, value in self.imports.items() if self._ours(value)},
            "loads": sorted(loads),
            "effects": self._definition(tops),
        }

    def _sort(self, statement: ast.stmt) -> None:
        """Put a statement where it belongs."""
        names = _names(statement)
        if not names:
            self.others.append(statement)
            for node in ast.walk(statement):  # what is bound under if, try, with and for, too
                self.imports.update(_bindings(node))
                names += _names(node)
        for name in names:
            self.bound.setdefault(name, []).append(statement)

    def _definition(self, nodes: Iterable[ast.AST]) -> Definition:
        nodes = list(nodes)
        text = "\n".join(ast.dump(node) for node in nodes)
        uses = {one for node in nodes for one in self._uses(node)}
        return hashlib.sha256(text.encode()).hexdigest()[:16], sorted(uses)

    def _uses(self, root: ast.AST) -> Iterator[str]:
        known, nodes = dict(self.imports), list(ast.walk(root))
        for node in nodes:
            if isinstance(node, ast.Import | ast.ImportFrom):
                known.update(_bindings(node))
                yield from (f"!{module}" for module in self._loads(node))
        chained: set[int] = set()
        for node in nodes:  # of a chain of attributes, the whole comes first
            if isinstance(node, ast.Attribute | ast.Name) and id(node) not in chained:
                yield from self._names_used(node, known, chained)
            elif isinstance(node, ast.Constant) and self._data(node.value):
                yield f"={(self.folder / str(node.value)).relative_to(self.root)}"

    def _names_used(
        self, node: ast.expr, known: dict[str, str], chained: set[int]
    ) -> Iterator[str]:
        chain = _chain(node)
        if not chain:
            return
        while isinstance(node, ast.Attribute):
            node = node.value
            chained.add(id(node))
        if chain[0] in known:
            target = ".".join([known[chain[0]], *chain[1:]])
            if self._ours(target):
                yield target
        elif chain[0] in self.bound:
            yield f"{self.name}.{chain[0]}"
        elif chain[0] in DYNAMIC:
            yield self.name

    def _entries(self) -> Iterator[tuple[str, dict[str, Definition]]]:
        for name, nodes in self.bound.items():
            value = getattr(nodes[0], "value", None)
            if len(nodes) == 1 and (found := dict(self._values(value))):
                yield name, {key: self._definition([one]) for key, one in found.items()}

    def _values(self, node: ast.AST | None, inside: str = "") -> Iterator[tuple[str, ast.expr]]:
        """Of a dictionary that is written out: key and value; of dictionaries inside: keys joined by ``][``."""
        if not isinstance(node, ast.Dict):
            return
        for key, value in zip(node.keys, node.values, strict=True):
            if not isinstance(key, ast.Constant) or not isinstance(key.value, str):
                continue
            name = f"{inside}][{key.value}" if inside else key.value
            yield name, value
            yield from self._values(value, name)

    def _registers(self, node: ast.stmt) -> bool:
        """Whether a decorator of ours may do more than to wrap: import it, or let it touch a variable."""
        for decorator in getattr(node, "decorator_list", []):
            chain = _chain(decorator.func if isinstance(decorator, ast.Call) else decorator) or [""]
            if self._ours(self.imports.get(chain[0], "")):
                return True
            variables = {
                name
                for name, nodes in self.bound.items()
                if not isinstance(nodes[0], ast.FunctionDef | ast.ClassDef)
            }
            for one in self.bound.get(chain[0], []):
                used = {part.id for part in ast.walk(one) if isinstance(part, ast.Name)}
                if used & variables:
                    return True
        return False

    def _loads(self, node: ast.AST) -> list[str]:
        if isinstance(node, ast.Import):
            found = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            found = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        else:
            found = []
        return [name for name in found if self._ours(name)]

    def _ours(self, name: str) -> bool:
        return name.split(".")[0] in PACKAGES

    def _data(self, value: Any) -> bool:
        """Whether a constant names a data file beside the module; a card describes, and decides nothing."""
        if not isinstance(value, str) or not value.endswith(DATA) or value == "card.yaml":
            return False
        return "/" not in value and (self.folder / value).is_file()


class _Cosmetics(ast.NodeTransformer):
    """Takes away what decides nothing."""

    def __init__(self, methods: set[str]) -> None:
        self.methods, self.classes, self.functions = methods, [], 0

    def visit_Expr(self, node: ast.Expr) -> Any:
        if isinstance(node.value, ast.Constant):
            return None
        if isinstance(node.value, ast.Call):
            chain = _chain(node.value.func) or []
            if len(chain) > 1 and chain[0] in TOLD:
                return [ast.Expr(self.visit(call)) for call in _calls(node.value)]
        return self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> ast.AST:
        chain = _chain(node.func)
        if chain and chain[-1].endswith(("Error", "Exception")):
            node.args, node.keywords = list(_calls(node)), []
        node.keywords = [one for one in node.keywords if one.arg not in KEYWORDS]
        return self.generic_visit(node)

    def visit_If(self, node: ast.If) -> Any:
        test = _chain(node.test)
        return None if test and test[-1] == "TYPE_CHECKING" else self._filled(node)

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:
        self.classes.append(node.name)
        path = ".".join(self.classes)
        node.body = [
            one for one in node.body if f"{path}.{getattr(one, 'name', '')}" not in self.methods
        ]
        functions, self.functions = self.functions, 0
        node = self._filled(node)
        self.functions = functions
        self.classes.pop()
        return node

    def visit_FunctionDef(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> ast.AST:
        node.returns = None
        arguments = node.args
        for one in (
            *(*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs),
            *filter(None, (arguments.vararg, arguments.kwarg)),
        ):
            one.annotation = None
        self.functions += 1
        node = self._filled(node)
        self.functions -= 1
        return node

    visit_AsyncFunctionDef = visit_FunctionDef  # noqa: N815 - ast's name

    def visit_AnnAssign(self, node: ast.AnnAssign) -> Any:
        if self.classes and not self.functions:
            return self.generic_visit(node)  # a field of a dataclass
        if node.value is None:
            return None
        return self.generic_visit(ast.Assign([node.target], node.value))

    def generic_visit(self, node: Any) -> Any:
        node = super().generic_visit(node)
        for field in ("body",):
            if getattr(node, field, None) == []:
                setattr(node, field, [ast.Pass()] if not isinstance(node, ast.Module) else [])
        return node

    _filled = generic_visit


def _calls(node: ast.Call) -> Iterator[ast.expr]:
    """The outermost calls among the arguments of a call: they may do something."""
    waiting: list[ast.AST] = [*node.args, *(one.value for one in node.keywords)]
    while waiting:
        one = waiting.pop(0)
        if isinstance(one, ast.Call | ast.NamedExpr | ast.Await | ast.Yield | ast.YieldFrom):
            yield one
        else:
            waiting[:0] = ast.iter_child_nodes(one)


def _chain(node: ast.AST) -> list[str] | None:
    """``a.b.c`` as its parts; None for anything else."""
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    return [node.id, *reversed(parts)] if isinstance(node, ast.Name) else None


def _names(node: ast.AST) -> list[str]:
    """The names that a statement binds."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return [node.name]
    targets = node.targets if isinstance(node, ast.Assign) else []
    targets = [node.target] if isinstance(node, ast.AnnAssign) else targets
    parts = [one for target in targets for one in _flat(target)]
    # d["key"] = x and a.b = x change something that is there.
    return (
        [one.id for one in parts if isinstance(one, ast.Name)]
        if all(isinstance(one, ast.Name) for one in parts)
        else []
    )


def _flat(target: ast.expr) -> Iterator[ast.expr]:
    if isinstance(target, ast.Tuple | ast.List):
        for one in target.elts:
            yield from _flat(one)
    else:
        yield target


def _bindings(node: ast.AST) -> dict[str, str]:
    """What an import binds: name -> dotted name."""
    if isinstance(node, ast.Import):
        return {
            one.asname or one.name.split(".")[0]: one.name if one.asname else one.name.split(".")[0]
            for one in node.names
        }
    if isinstance(node, ast.ImportFrom) and node.module:
        return {one.asname or one.name: f"{node.module}.{one.name}" for one in node.names}
    return {}
