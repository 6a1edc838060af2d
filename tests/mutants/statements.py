"""List the mutations of a statement: conditions that always or never hold, and statements that are left out."""

import ast
import copy
from collections.abc import Iterator

from mutants.expressions import Replacement

_Parent = tuple[ast.AST, str, int | None]


def statement_replacements(node: ast.stmt, parent: ast.AST) -> Iterator[Replacement]:
    """Yield the statements that may replace this one."""
    if _can_be_left_out(node, parent):
        yield Replacement(ast.Pass(), f"without: {_first_line(node)}")
    if isinstance(node, ast.AugAssign):
        yield Replacement(ast.Assign([node.target], node.value), f"{ast.unparse(node)} -> plain assignment")
    if isinstance(node, ast.With) and all(item.optional_vars is None for item in node.items):
        always = ast.If(ast.Constant(value=True), node.body, [])
        yield Replacement(always, f"without: {_first_line(node)}")
    if isinstance(node, ast.Continue):
        yield Replacement(ast.Break(), "continue -> break")
    if isinstance(node, ast.Break):
        yield Replacement(ast.Continue(), "break -> continue")


def condition_replacements(node: ast.If | ast.While | ast.comprehension) -> Iterator[tuple[_Parent, Replacement]]:
    """Yield the replacements of a condition: it always holds, or it never holds."""
    if isinstance(node, ast.comprehension):
        for number, test in enumerate(node.ifs):
            yield (
                (node, "ifs", number),
                Replacement(ast.Constant(value=True), f"for ... if {ast.unparse(test)} -> True"),
            )
        return
    word = type(node).__name__.lower()
    values = (False,) if isinstance(node, ast.While) else (True, False)
    for value in values:
        yield (node, "test", None), _fixed(node.test, value, f"{word} {ast.unparse(node.test)} -> {value}")


def _fixed(test: ast.expr, value: bool, change: str) -> Replacement:
    """Return a test with a fixed result. Names that the test assigns stay assigned."""
    constant = ast.Constant(value=value)
    if not any(isinstance(node, ast.NamedExpr) for node in ast.walk(test)):
        return Replacement(constant, change)
    either = ast.BoolOp(ast.Or(), [copy.copy(test), constant]) if value else None
    return Replacement(either or ast.BoolOp(ast.And(), [copy.copy(test), constant]), change)


def _can_be_left_out(node: ast.stmt, parent: ast.AST) -> bool:
    if isinstance(node, ast.Expr):
        return isinstance(node.value, ast.Call)
    if isinstance(node, (ast.AugAssign, ast.Raise, ast.Delete)):
        return True
    if isinstance(node, ast.Assign):
        return any(isinstance(target, (ast.Attribute, ast.Subscript)) for target in node.targets)
    return isinstance(node, ast.Return) and isinstance(parent, ast.If) and node.value is None


def _first_line(node: ast.stmt) -> str:
    return ast.unparse(node).splitlines()[0]
