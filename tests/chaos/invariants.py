"""Was anything lost, done twice, or passed over in silence? By our own list first, then by `nightread audit`."""

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
        instances.c.sha256,
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
    """Whether each file, as it lies there, has an outcome, and nothing is under way."""
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
    """What does not hold, in words; empty is how it should be."""
    with database.read() as connection:
        rows = connection.execute(_ROWS).all()
    return [*_against_plan(rows, arrivals, expected), *illegal_transitions(database), *_against_audit(system)]


@dataclass(frozen=True, kw_only=True, slots=True)
class _Place:
    """What we put at one name, in this order."""

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
    yield from (f"{uri}: an arrival that nobody sent" for uri in by_uri)
    yield from _check_contents(rows, arrivals, expected)


def _places(arrivals: Sequence[PlannedFile]) -> dict[str, _Place]:
    places: dict[str, _Place] = {}
    for arrival in arrivals:
        place = places.setdefault(
            uri_of(arrival.name.encode()), _Place(contents=[], slowly=arrival.mode is not WriteMode.RENAME)
        )
        place.contents.append(arrival.sha256)
    return places


def _check_name(
    uri: str, place: _Place, rows: Sequence[Row[*tuple[object, ...]]], expected: Mapping[str, ExpectedOutcome]
) -> Iterator[str]:
    """The latest arrival is what lies there; an earlier one, if it was seen, what lay there before."""
    wanted = place.contents[-len(rows) :]
    if not rows or (len(rows) > len(place.contents) and not place.slowly):
        yield f"{uri}: {len(rows)} arrivals for {len(place.contents)} versions"
        return
    if place.slowly:  # a half that was taken for the whole is an arrival of its own, which must not be done
        yield from (f"{uri}: half a file is {row.state}" for row in rows[:-1] if row.state == State.DONE)
        rows, wanted = rows[-1:], place.contents[-1:]
    for row, sha256 in zip(rows, wanted, strict=True):
        yield from _check_row(row, sha256, expected[sha256])


def _check_row(row: Row[*tuple[object, ...]], sha256: str, wanted: ExpectedOutcome) -> Iterator[str]:
    found = ExpectedOutcome(row.state, row.reason, row.label)
    is_copy = wanted.state == State.DONE and found.state == State.DUPLICATE
    if found != wanted and not is_copy:
        yield f"{row.uri}: {tuple(found)} instead of {tuple(wanted)}"
    if wanted.state == State.DONE and row.sha256 != sha256:
        yield f"{row.uri}: other bytes than those that lie there were analysed"


def _check_contents(
    rows: Sequence[Row[*tuple[object, ...]]], arrivals: Sequence[PlannedFile], expected: Mapping[str, ExpectedOutcome]
) -> Iterator[str]:
    """Of files with the same bytes one is done, whichever; bytes that were replaced may never have been seen."""
    done = Counter(row.sha256 for row in rows if row.state == State.DONE)
    lasting = set({arrival.name: arrival.sha256 for arrival in arrivals}.values())
    for sha256 in {arrival.sha256 for arrival in arrivals}:
        wanted = expected[sha256].state == State.DONE
        allowed = {1} if wanted and sha256 in lasting else {0, int(wanted)}
        if done[sha256] not in allowed:
            yield f"content {sha256[:12]}: done {done[sha256]} times"


def _against_audit(system: ChaosSystem) -> Iterator[str]:
    told = system.nightread("audit", "--json", "--all")
    if not told.stdout:
        yield f"audit said nothing: {told.stderr[-500:]}"
        return
    report = json.loads(told.stdout)
    if not report["holds"]:
        yield "audit: it does not hold"
    yield from (f"audit: {violation}" for violation in report["violations"])
    yield from (f"audit: no row for {path}" for folder in report["folders"] for path in folder["without_row"])
    yield from (f"audit: {task} in Redis is no batch" for task in report["queue"]["foreign"])
