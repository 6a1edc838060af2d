"""Check after a run that no image was lost or done twice: against the plan, then with `nightread audit`."""

import json
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Row, select

from chaos.arrivals import PlannedFile, WriteMode
from chaos.expected_outcomes import ExpectedOutcome
from chaos.state_log import illegal_transitions
from chaos.system import ChaosSystem
from db.engine import Database
from db.tables import State, instances, work
from nightread.paths import uri_of

_ROWS = (
    select(
        instances.c.uri,
        instances.c.size,
        instances.c.mtime_ns,
        instances.c.content,
        work.c.state,
        work.c.reason,
        work.c.label,
        work.c.attempts,
        work.c.finished_at,
    )
    .join(work, (work.c.instance_id == instances.c.id) & (work.c.ordinal == 0))
    .order_by(instances.c.id)
)


def all_final(system: ChaosSystem, database: Database) -> bool:
    """Return whether each file in the inbox has an outcome and no work is unfinished."""
    with database.read() as connection:
        rows = connection.execute(_ROWS).all()
    final = {(row.uri, row.size, row.mtime_ns) for row in rows if row.finished_at is not None}
    files = [path for path in system.inbox.rglob("*") if path.is_file()]
    there = {
        (
            uri_of(str(path.relative_to(system.inbox)).encode()),
            (status := path.stat()).st_size,
            status.st_mtime_ns,
        )
        for path in files
    }
    return there <= final and all(row.finished_at is not None for row in rows)


def violations(
    system: ChaosSystem,
    database: Database,
    arrivals: Sequence[PlannedFile],
    expected: Mapping[str, ExpectedOutcome],
) -> list[str]:
    """Return a sentence for each violation; the list is empty if all invariants hold."""
    with database.read() as connection:
        rows = connection.execute(_ROWS).all()
    return [*_against_plan(rows, arrivals, expected), *illegal_transitions(database), *audit_violations(system)]


@dataclass(frozen=True, kw_only=True, slots=True)
class _Place:
    """The contents that were written to one name, in this order."""

    contents: list[str]
    slowly: bool


def _against_plan(
    rows: Sequence[Row[*tuple[object, ...]]], arrivals: Sequence[PlannedFile], expected: Mapping[str, ExpectedOutcome]
) -> Iterator[str]:
    by_uri: defaultdict[str, list[Row[*tuple[object, ...]]]] = defaultdict(list)
    for row in rows:
        by_uri[row.uri].append(row)
    for uri, place in _places(arrivals).items():
        yield from _check_name(uri, place, by_uri.pop(uri, []), expected)
    yield from (f"{uri}: an arrival that was not planned" for uri in by_uri)
    yield from _check_contents(rows, arrivals, expected)


def _places(arrivals: Sequence[PlannedFile]) -> dict[str, _Place]:
    places: dict[str, _Place] = {}
    for arrival in arrivals:
        place = places.setdefault(
            uri_of(arrival.name.encode()), _Place(contents=[], slowly=arrival.mode is not WriteMode.RENAME)
        )
        place.contents.append(arrival.identity)
    return places


def _check_name(
    uri: str, place: _Place, rows: Sequence[Row[*tuple[object, ...]]], expected: Mapping[str, ExpectedOutcome]
) -> Iterator[str]:
    """Check that the last arrival has the last content, and earlier arrivals have earlier contents."""
    wanted = place.contents[-len(rows) :]
    if not rows or (len(rows) > len(place.contents) and not place.slowly):
        yield f"{uri}: {len(rows)} arrivals for {len(place.contents)} versions"
        return
    if place.slowly:  # a half-written file may be an arrival of its own, but it must not be done
        yield from (f"{uri}: a half-written file is {row.state}" for row in rows[:-1] if row.state == State.DONE)
        rows, wanted = rows[-1:], place.contents[-1:]
    for row, content in zip(rows, wanted, strict=True):
        yield from _check_row(row, content, expected[content])


def _check_row(row: Row[*tuple[object, ...]], content: str, wanted: ExpectedOutcome) -> Iterator[str]:
    found = ExpectedOutcome(row.state, row.reason, row.label)
    is_copy = wanted.state == State.DONE and found.state == State.DUPLICATE
    if found != wanted and not is_copy:
        yield f"{row.uri}: {tuple(found)} instead of {tuple(wanted)}"
    if wanted.state == State.DONE and row.content != content:
        yield f"{row.uri}: the analysed bytes are not those of the file"


def _check_contents(
    rows: Sequence[Row[*tuple[object, ...]]], arrivals: Sequence[PlannedFile], expected: Mapping[str, ExpectedOutcome]
) -> Iterator[str]:
    """Check that exactly one of several files with the same bytes is done; replaced bytes may be missing."""
    done = Counter(row.content for row in rows if row.state == State.DONE)
    lasting = set({arrival.name: arrival.identity for arrival in arrivals}.values())
    for content in {arrival.identity for arrival in arrivals}:
        wanted = expected[content].state == State.DONE
        allowed = {1} if wanted and content in lasting else {0, int(wanted)}
        if done[content] not in allowed:
            yield f"content {content[:12]}: done {done[content]} times"


def audit_violations(system: ChaosSystem) -> Iterator[str]:
    """Yield what `nightread audit` finds."""
    audited = system.nightread("audit", "--json", "--all")
    if not audited.stdout:
        yield f"audit: no output; standard error: {audited.stderr[-500:]}"
        return
    report = json.loads(audited.stdout)
    if not report["holds"]:
        yield "audit: violations were found"
    yield from (f"audit: {violation}" for violation in report["violations"])
    yield from (f"audit: no row for {path}" for folder in report["folders"] for path in folder["without_row"])
    yield from (f"audit: {task} in Redis is not a batch" for task in report["queue"]["foreign"])
