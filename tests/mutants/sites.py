"""List the mutants of a module: one changed expression or statement each."""

import ast
import hashlib
import types
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from mutants.expressions import Replacement, has_no_effect, replacements
from mutants.statements import condition_replacements, statement_replacements

MODULE_LEVEL = ""
"""The place of code outside all functions, such as a SQL statement that is built once."""
_SHOWN = 150
_NOT_CODE = {"annotation", "returns", "decorator_list", "type_comment", "ctx", "format_spec"}
_Parent = tuple[ast.AST, str, int | None]


@dataclass(frozen=True, kw_only=True)
class Mutant:
    """One change of one module."""

    module: str
    """Path of the module below the root of the repository."""
    line: int
    place: str
    """The outermost function that contains the change, as `Class.method`; MODULE_LEVEL outside functions."""
    names: frozenset[str]
    """Outside functions: the names that the changed statement assigns."""
    change: str
    """The change in words, for example `a < b -> a <= b`. It is unique within the place."""
    digest: str
    """Digest of the unchanged function or statement: a result is out of date when it differs."""
    _parent: _Parent = field(repr=False)
    _new: ast.AST = field(repr=False)
    _tree: ast.Module = field(repr=False)

    @property
    def users(self) -> set[str]:
        """Return the functions of the module that run the changed code."""
        return {self.place} if self.place else users_of(self._tree, self.names)

    @property
    def identity(self) -> str:
        """Return the text by which results and the list of equivalent mutants name this mutant."""
        return f"{self.place or ', '.join(sorted(self.names))}: {self.change}"

    def code(self, path: str) -> types.CodeType:
        """Compile the module with this change."""
        parent, name, place = self._parent
        before = getattr(parent, name)
        after = self._new if place is None else [*before[:place], self._new, *before[place + 1 :]]
        setattr(parent, name, after)
        try:
            ast.fix_missing_locations(self._tree)
            return compile(self._tree, path, "exec")
        finally:
            setattr(parent, name, before)


def mutants_of(module: str, source: str) -> list[Mutant]:
    """Return all mutants of a module, in the order of its lines."""
    tree = ast.parse(source)
    found: Counter[tuple[str, frozenset[str], str]] = Counter()
    mutants = []
    for place, names, statement, parent, new in _sites(tree):
        change = _shortened(new.change)
        found[place, names, change] += 1
        number = found[place, names, change]
        before = _child(parent)
        mutants.append(
            Mutant(
                module=module,
                line=getattr(before, "lineno", statement.lineno),
                place=place,
                names=names,
                change=change if number == 1 else f"{change} #{number}",
                digest=hashlib.sha256(ast.dump(statement).encode()).hexdigest()[:16],
                _parent=parent,
                _new=new.node,
                _tree=tree,
            )
        )
    return mutants


def _shortened(change: str) -> str:
    change = " ".join(change.split())
    return change if len(change) <= _SHOWN else f"{change[: _SHOWN // 2]} ... {change[-_SHOWN // 2 :]}"


def _child(parent: _Parent) -> Any:
    node, name, place = parent
    value = getattr(node, name)
    return value if place is None else value[place]


_Site = tuple[str, frozenset[str], ast.stmt, _Parent, Replacement]


def _sites(tree: ast.Module) -> Iterator[_Site]:
    """Yield each change with its place, and with the function or module-level statement that contains it."""
    for statement, place, parent in _definitions(tree, ""):
        owner = parent[0]
        names = frozenset({owner.name}) if isinstance(owner, ast.ClassDef) else _assigned(statement)
        for where, new in _changes(statement, parent):
            yield place, frozenset() if place else names, statement, where, new


def users_of(tree: ast.Module, names: frozenset[str]) -> set[str]:
    """Return the functions that use one of these names, or a module-level name that is built from one of them."""
    wanted, users = set(names), set[str]()
    definitions = [(statement, place) for statement, place, _ in _definitions(tree, "")]
    for _ in definitions:  # until nothing is added; each round adds at least one name
        before = len(wanted) + len(users)
        for statement, place in definitions:
            if wanted & {node.id for node in ast.walk(statement) if isinstance(node, ast.Name)}:
                users |= {place} if place else set()
                wanted |= set() if place else _assigned(statement)
        if len(wanted) + len(users) == before:
            break
    return users


def _definitions(node: ast.Module | ast.ClassDef, prefix: str) -> Iterator[tuple[ast.stmt, str, _Parent]]:
    for number, statement in enumerate(node.body):
        if isinstance(statement, ast.ClassDef):
            yield from _definitions(statement, f"{prefix}{statement.name}.")
        elif isinstance(statement, ast.FunctionDef):
            yield statement, f"{prefix}{statement.name}", (node, "body", number)
        elif not _is_declaration(statement):
            yield statement, MODULE_LEVEL, (node, "body", number)


def _assigned(statement: ast.stmt) -> frozenset[str]:
    return frozenset(
        node.id for node in ast.walk(statement) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
    )


def _is_declaration(statement: ast.stmt) -> bool:
    """Return whether the statement declares something for readers, tools or the import system only."""
    if isinstance(statement, (ast.Import, ast.ImportFrom)) or _is_text(statement):
        return True
    return bool(_assigned(statement) & {"__all__", "__slots__", "log"}) or _is_type_alias(statement)


def _is_type_alias(statement: ast.stmt) -> bool:
    value = getattr(statement, "value", None)
    return isinstance(statement, ast.Assign) and isinstance(value, ast.Subscript) and _is_type(value.value)


def _is_type(node: ast.AST) -> bool:
    return isinstance(node, ast.Name) and (node.id in {"tuple", "dict", "list", "set"} or node.id[0].isupper())


def _is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def _changes(node: ast.AST, parent: _Parent) -> Iterator[tuple[_Parent, Replacement]]:
    """Yield the changes of this node and of all nodes below it, except annotations, messages and log entries."""
    if _is_text(node) or _is_log(node) or isinstance(node, ast.JoinedStr):
        return
    if isinstance(node, ast.keyword) and has_no_effect(node):
        return
    yield from _changes_of(node, parent)
    if not isinstance(node, ast.Raise):
        for place in _children(node):
            yield from _changes(_child(place), place)


def _changes_of(node: ast.AST, parent: _Parent) -> Iterator[tuple[_Parent, Replacement]]:
    if isinstance(node, ast.stmt):
        yield from ((parent, new) for new in statement_replacements(node, parent[0]))
    if isinstance(node, (ast.If, ast.While, ast.comprehension)):
        yield from condition_replacements(node)
    if isinstance(node, ast.expr) and not (isinstance(node, ast.Tuple) and _is_fixed(parent)):
        yield from ((parent, new) for new in replacements(node))


def _children(node: ast.AST) -> Iterator[_Parent]:
    for name, value in ast.iter_fields(node):
        if name in _NOT_CODE or (name == "slice" and _is_type(getattr(node, "value", node))):
            continue
        if isinstance(value, list):
            yield from ((node, name, number) for number, child in enumerate(value) if isinstance(child, ast.AST))
        elif isinstance(value, ast.AST):
            yield node, name, None


def _is_log(node: ast.AST) -> bool:
    call = node.value if isinstance(node, ast.Expr) else None
    function = call.func if isinstance(call, ast.Call) else None
    return isinstance(function, ast.Attribute) and isinstance(function.value, ast.Name) and function.value.id == "log"


def _is_fixed(parent: _Parent) -> bool:
    """Return whether the length of a tuple is fixed: it is not iterated, compared or a constant of the module."""
    node, name, _ = parent
    if isinstance(node, (ast.For, ast.comprehension)):
        return name != "iter"
    return not (isinstance(node, ast.Compare) or (isinstance(node, ast.Assign) and _is_constant_name(node)))


def _is_constant_name(node: ast.Assign) -> bool:
    target = node.targets[0]
    return isinstance(target, ast.Name) and target.id.isupper()
