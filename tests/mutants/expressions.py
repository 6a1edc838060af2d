"""List the mutations of an expression: the expressions that may replace it."""

import ast
import copy
from collections.abc import Iterator
from typing import Any, NamedTuple


class Replacement(NamedTuple):
    """A node that replaces another, and the change in words."""

    node: ast.AST
    change: str


_COMPARISONS: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
}

_ARITHMETIC: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.Mult,
    ast.Pow: ast.Mult,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
    ast.BitXor: ast.BitAnd,
    ast.LShift: ast.RShift,
    ast.RShift: ast.LShift,
}

_NAMES = {"max": "min", "min": "max", "any": "all", "all": "any"}

_METHODS = {
    "startswith": "endswith",
    "endswith": "startswith",
    "partition": "rpartition",
    "rpartition": "partition",
    "max": "min",
    "min": "max",
    "any": "all",
    "all": "any",
    "argmax": "argmin",
    "argmin": "argmax",
    "floor": "ceil",
    "ceil": "floor",
    "outerjoin": "join",
    "is_": "is_not",
    "is_not": "is_",
    "in_": "not_in",
    "not_in": "in_",
}

_VARIADIC = {"where", "and_", "or_", "coalesce", "max", "min", "filter", "order_by", "group_by"}
"""Functions that accept any number of arguments: a call stays valid if one argument is left out."""


def replacements(node: ast.expr) -> Iterator[Replacement]:
    """Yield the mutations of this node itself, not those of its children."""
    for mutate in _BY_TYPE.get(type(node), ()):
        yield from mutate(node)


def negated(node: ast.expr) -> ast.expr:
    """Return `not node`."""
    return node.operand if _is_not(node) else ast.UnaryOp(ast.Not(), node)


def _is_not(node: ast.expr) -> bool:
    return isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not)


def _changed(node: ast.expr, **fields: Any) -> Replacement:
    new = copy.copy(node)
    for name, value in fields.items():
        setattr(new, name, value)
    return Replacement(new, f"{ast.unparse(node)} -> {ast.unparse(new)}")


def _compare(node: ast.Compare) -> Iterator[Replacement]:
    for place, operator in enumerate(node.ops):
        other = _COMPARISONS[type(operator)]()
        yield _changed(node, ops=[*node.ops[:place], other, *node.ops[place + 1 :]])


def _boolean(node: ast.BoolOp) -> Iterator[Replacement]:
    yield _changed(node, op=ast.Or() if isinstance(node.op, ast.And) else ast.And())
    for place in range(len(node.values)):
        rest = [*node.values[:place], *node.values[place + 1 :]]
        new = rest[0] if len(rest) == 1 else ast.BoolOp(node.op, rest)
        yield Replacement(new, f"{ast.unparse(node)} -> {ast.unparse(new)}")


def _unary(node: ast.UnaryOp) -> Iterator[Replacement]:
    yield Replacement(node.operand, f"{ast.unparse(node)} -> {ast.unparse(node.operand)}")


def _binary(node: ast.BinOp) -> Iterator[Replacement]:
    if type(node.op) in _ARITHMETIC:
        yield _changed(node, op=_ARITHMETIC[type(node.op)]())


def _constant(node: ast.Constant) -> Iterator[Replacement]:
    if isinstance(node.value, bool):
        yield _changed(node, value=not node.value)
    elif isinstance(node.value, int):
        yield _changed(node, value=node.value + 1)
        if node.value > 1:
            yield _changed(node, value=node.value - 1)
    elif isinstance(node.value, float):
        yield _changed(node, value=node.value * 2 if node.value else 1.0)


def _conditional(node: ast.IfExp) -> Iterator[Replacement]:
    for chosen in (node.body, node.orelse):
        yield Replacement(chosen, f"{ast.unparse(node)} -> {ast.unparse(chosen)}")


def _call(node: ast.Call) -> Iterator[Replacement]:
    name = _called(node)
    if name in _VARIADIC and len(node.args) > 1:
        for place, argument in enumerate(node.args):
            rest = [*node.args[:place], *node.args[place + 1 :]]
            yield _without(node, argument, args=rest)
    for place, keyword in enumerate(node.keywords):
        if keyword.arg is not None and not has_no_effect(keyword):
            rest = [*node.keywords[:place], *node.keywords[place + 1 :]]
            yield _without(node, keyword, keywords=rest)
    if isinstance(node.func, ast.Name) and name in _NAMES:
        yield Replacement(_changed(node, func=ast.Name(_NAMES[name], ast.Load())).node, f"{name}() -> {_NAMES[name]}()")
    if isinstance(node.func, ast.Attribute) and name in _METHODS:
        func = ast.Attribute(node.func.value, _METHODS[name], ast.Load())
        yield Replacement(_changed(node, func=func).node, f".{name}() -> .{_METHODS[name]}()")


def has_no_effect(keyword: ast.keyword) -> bool:
    """Return whether this argument of SQLAlchemy says what is so without it, at least on SQLite."""
    if keyword.arg == "else_":
        return isinstance(keyword.value, ast.Constant) and keyword.value.value is None
    return keyword.arg in {"expanding", "skip_locked", "of"}


def _called(node: ast.Call) -> str:
    return getattr(node.func, "attr", None) or getattr(node.func, "id", "")


def _without(node: ast.Call, argument: ast.expr | ast.keyword, **fields: Any) -> Replacement:
    return Replacement(_changed(node, **fields).node, f"{_called(node)}() without {ast.unparse(argument)}")


def _elements(node: ast.Tuple | ast.List | ast.Set) -> Iterator[Replacement]:
    """Leave out one element of a list of several. A tuple that is unpacked or returned is not such a list."""
    if len(node.elts) < 2 or not isinstance(getattr(node, "ctx", ast.Load()), ast.Load):
        return
    for place, element in enumerate(node.elts):
        rest = [*node.elts[:place], *node.elts[place + 1 :]]
        yield Replacement(_changed(node, elts=rest).node, f"list without {ast.unparse(element)}")


def _entries(node: ast.Dict) -> Iterator[Replacement]:
    for place, (key, value) in enumerate(zip(node.keys, node.values, strict=True)):
        keys, values = [*node.keys[:place], *node.keys[place + 1 :]], [*node.values[:place], *node.values[place + 1 :]]
        entry = f"**{ast.unparse(value)}" if key is None else f"{ast.unparse(key)}: {ast.unparse(value)}"
        yield Replacement(_changed(node, keys=keys, values=values).node, f"dict without {entry}")


def _slice(node: ast.Slice) -> Iterator[Replacement]:
    for name in ("lower", "upper", "step"):
        if getattr(node, name) is not None:
            yield _changed(node, **{name: None})


_BY_TYPE: dict[type[ast.AST], tuple[Any, ...]] = {
    ast.Compare: (_compare,),
    ast.BoolOp: (_boolean,),
    ast.UnaryOp: (_unary,),
    ast.BinOp: (_binary,),
    ast.Constant: (_constant,),
    ast.IfExp: (_conditional,),
    ast.Call: (_call,),
    ast.Tuple: (_elements,),
    ast.List: (_elements,),
    ast.Set: (_elements,),
    ast.Dict: (_entries,),
    ast.Slice: (_slice,),
}
