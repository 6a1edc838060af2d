"""Describe the condition in one sentence, and say what to do about it."""

from collections.abc import Iterator

from db.condition.condition import Level, SystemCondition
from db.condition.parts import PartState
from db.condition.words import NAMES
from db.ledger import PartKind
from nightread.wording import duration

_MOST_PROBLEMS = 3
"""The headline names all problems of parts, and then at most this many other problems."""
_COMMANDS = {
    PartKind.SUPERVISOR: "nightread up",
    PartKind.WATCHER: "nightread watch",
    PartKind.RECEIVER: "nightread receive",
    PartKind.POLLER: "nightread poll",
    PartKind.DISPATCHER: "nightread dispatch",
    PartKind.WORKER: "nightread worker",
    PartKind.SENDER: "nightread send-results --follow",
    PartKind.WATCHDOG: "nightread watchdog",
    PartKind.API: "nightread api",
    PartKind.FLOWER: "nightread flower",
}


def headline(condition: SystemCondition) -> str:
    """Return the first line of `status`: the level and its problems, or the statement that all parts work."""
    if condition.level is Level.OK:
        return f"Running: {_listed([NAMES[part.kind] for part in condition.parts])} work."
    return f"{condition.level.name}: {_summary(condition)}."


def remedies(condition: SystemCondition) -> Iterator[str]:
    """Yield what to do about the parts that do not work."""
    out = {part.kind for part in condition.parts if part.state in _OUT}
    supervised = any(part.kind is PartKind.SUPERVISOR and part.state.works for part in condition.parts)
    if PartKind.SUPERVISOR in out or (out and not any(part.state.works for part in condition.parts)):
        yield "Start `nightread up` again, or the services of this site (docs/operations.md)."
    elif out and supervised:
        yield "`nightread up` restarts parts that end; look into the folder `logs` of its state folder for the reason."
    elif commands := [f"`{_COMMANDS[kind]}`" for kind in PartKind if kind in out and kind in _COMMANDS]:
        yield f"Start {_listed(commands)}, and look into the log for the reason (docs/operations.md)."


def _summary(condition: SystemCondition) -> str:
    others = [problem.text for problem in condition.problems if problem.kind != "part"]
    more = len(others) - _MOST_PROBLEMS
    texts = [*_of_parts(condition), *others[:_MOST_PROBLEMS], *([f"{more:,} more problems"] if more > 0 else [])]
    return "; ".join(dict.fromkeys(texts))


def _of_parts(condition: SystemCondition) -> Iterator[str]:
    if any(part.state.works or part.state in _WANTED for part in condition.parts):
        yield from (problem.text for problem in condition.problems if problem.kind == "part")
        return
    stops = [part.seconds for part in condition.parts if part.state is PartState.STOPPED and part.seconds is not None]
    yield "nightread is not running" + (f", it was stopped {duration(min(stops))} ago" if stops else "")


def _listed(names: list[str]) -> str:
    distinct = list(dict.fromkeys(names))
    return " and ".join([*([", ".join(distinct[:-1])] if distinct[1:] else []), distinct[-1]])


_OUT = frozenset({PartState.SILENT, PartState.HANGING, PartState.STOPPED, PartState.MISSING})
_WANTED = frozenset({PartState.SILENT, PartState.HANGING, PartState.STARTING, PartState.DRAINING})
"""States in which the part was not stopped on purpose."""
