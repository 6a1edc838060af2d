"""Record the results of series that were formed."""

import json
from collections.abc import Sequence
from datetime import datetime
from hashlib import sha256
from typing import Any

from sqlalchemy import Connection, bindparam, delete, insert, select, update

from db.bulk import Row, write_rows
from db.engine import Database
from db.ledger.locks import begin_recording
from db.ledger.opt_outs import opted_out_keys
from db.ledger.refused_values import REFUSALS, is_refused_value
from db.ledger.series_failures import fail_series
from db.ledger.series_values import FormedSeries, SeriesResult, SeriesState
from db.series_tables import is_unformed, series, series_results
from db.tables import State, in_state, work
from nightread.reasons import Fault, Reason


def record_series(database: Database, formed: Sequence[FormedSeries], *, now: datetime) -> int:
    """Write the results of these series in one transaction, and return the number of recorded series.

    A series is skipped if its claim has ended, because it got a slice, was purged or was taken back. A result whose
    content differs from the stored result is a revision. Results of patients who opted out are removed. If the database
    refuses a value of one series, this counts as a failed attempt to form it, and the other series are recorded.
    """

    def transaction(connection: Connection) -> int:
        begin_recording(connection)  # a purge waits, or has already removed its series
        held = _end_held(connection, formed, now)
        for each in held:
            if each.stored_order is not None:
                _release(connection, each)
        _write_results(connection, held, opted_out_keys(connection), now)
        return len(held)

    try:
        return database.write(transaction) if formed else 0
    except REFUSALS as error:
        if not is_refused_value(error):
            raise
        if len(formed) == 1:
            fail_series(database, formed[0].claimed, error=type(error).__name__, now=now)
            return 0
    return sum(record_series(database, [each], now=now) for each in formed)


def _end_held(connection: Connection, formed: Sequence[FormedSeries], now: datetime) -> list[FormedSeries]:
    """End the claims of the series that this process still has claimed, and return these series."""
    rows = connection.execute(_CLAIMS, {"ids": [each.claimed.id for each in formed]}).all()
    claims = {row.id: row.claim for row in rows}
    held = [each for each in formed if claims.get(each.claimed.id) == each.claimed.claim]
    if held:
        connection.execute(_END, {"ids": [each.claimed.id for each in held], "now": now})
    return held


def _write_results(
    connection: Connection, formed: Sequence[FormedSeries], opted_out: frozenset[str], now: datetime
) -> None:
    with_results = [each for each in formed if each.results is not None]
    rows = connection.execute(_KNOWN, {"ids": [each.claimed.id for each in with_results]}).all()
    known = {(row.series_id, row.bundle_id, row.stack): row for row in rows}
    new: list[Row] = []
    revised: list[Row] = []
    for each in with_results:
        for result in () if each.patient_keys & opted_out else each.results or ():
            before = known.pop((each.claimed.id, result.bundle_id, result.stack), None)
            content, values = _values(result)
            if before is None:
                new.append((each.claimed.id, result.bundle_id, result.stack, 1, now, content, *values))
            elif before.content != content:
                revised.append((before.id, before.revision + 1, now, content, *values))
    write_rows(connection, insert(series_results), _NEW_NAMES, new)
    write_rows(connection, _REVISE, _REVISED_NAMES, revised)
    if known:  # stored results of stacks or bundles that the series no longer has
        connection.execute(_REMOVE, {"ids": [row.id for row in known.values()]})


def _release(connection: Connection, formed: FormedSeries) -> None:
    """Store the order of the slices, so that the slices that waited for it can be dispatched."""
    connection.execute(_STORE_ORDER, {"which": formed.claimed.id, "order": formed.stored_order})
    for start in range(0, len(formed.released), _AT_ONCE):
        connection.execute(_RELEASE, {"images": formed.released[start : start + _AT_ONCE]})


def _values(result: SeriesResult) -> tuple[str, list[Any]]:
    """Return the digest of the content, and the content as values in the order of _CONTENT_NAMES."""
    content = {
        "state": _state(result).value,
        "reason": result.reason.value if result.reason else None,
        "detail": result.detail,
        "label": result.label,
        "score": result.score,
        "suspicion": result.suspicion,
        "scores": result.scores,
        "slices": result.slices,
        "of_slices": result.of_slices,
        "partial": result.partial,
        "remarks": result.remarks,
        "places": [list(place) for place in result.places],
        "evidence": list(result.evidence),
        "stack_name": result.stack_name,
        "shadow": result.shadow,
    }
    digest = sha256(json.dumps(content, sort_keys=True).encode("ascii")).hexdigest()
    return digest, [content[name] for name in _CONTENT_NAMES]


def _state(result: SeriesResult) -> State:
    if result.reason is None:
        return State.DONE
    return State.FAILED if result.reason.fault is Fault.FAILED else State.REJECTED


_AT_ONCE = 5000
_STORE_ORDER = (
    update(series)
    .where(series.c.id == bindparam("which"))
    .values(stored_order=bindparam("order", type_=series.c.stored_order.type))
)
_RELEASE = (
    update(work)
    .where(
        work.c.instance_id.in_(bindparam("images", expanding=True)),
        work.c.ordinal == 0,
        in_state(State.RECEIVED),
        work.c.reason == Reason.AWAITING_SERIES.value,
    )
    .values(reason=None, detail=None, not_before=None)
)
_CONTENT_NAMES = (
    *("state", "reason", "detail", "label", "score", "suspicion", "scores", "slices", "of_slices", "partial"),
    *("remarks", "places", "evidence", "stack_name", "shadow"),
)
_NEW_NAMES = ("series_id", "bundle_id", "stack", "revision", "formed_at", "content", *_CONTENT_NAMES)
_CHANGED_NAMES = ("revision", "formed_at", "content", *_CONTENT_NAMES)
_REVISED_NAMES = ("which", *_CHANGED_NAMES)
_REVISE = (
    update(series_results)
    .where(series_results.c.id == bindparam("which"))
    .values({name: bindparam(name, type_=series_results.c[name].type) for name in _CHANGED_NAMES})
)
_CLAIMS = (
    select(series.c.id, series.c.claim)
    .where(series.c.id.in_(bindparam("ids", expanding=True)), is_unformed(SeriesState.FORMING.value))
    .order_by(series.c.id)
    .with_for_update()
)
_KNOWN = select(
    series_results.c.id,
    series_results.c.series_id,
    series_results.c.bundle_id,
    series_results.c.stack,
    series_results.c.revision,
    series_results.c.content,
).where(series_results.c.series_id.in_(bindparam("ids", expanding=True)))
_REMOVE = delete(series_results).where(series_results.c.id.in_(bindparam("ids", expanding=True)))
_END = (
    update(series)
    .where(series.c.id.in_(bindparam("ids", expanding=True)))
    .values(
        state=SeriesState.FORMED.value,
        formed_at=bindparam("now", type_=series.c.formed_at.type),
        claim=None,
        lease_until=None,
    )
)
