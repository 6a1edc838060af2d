"""Record the results of series that were formed."""

import json
from collections.abc import Sequence
from datetime import datetime
from hashlib import sha256
from typing import Any

from sqlalchemy import Connection, bindparam, delete, insert, select, update

from db.engine import Database
from db.ledger.locks import begin_recording
from db.ledger.opt_outs import opted_out_keys
from db.ledger.series_values import ClaimedSeries, FormedSeries, SeriesResult, SeriesState
from db.series_tables import is_unformed, series, series_results
from db.tables import State, in_state, work
from nightread.reasons import Fault, Reason


def record_series(database: Database, formed: Sequence[FormedSeries], *, now: datetime) -> int:
    """Write the results of these series in one transaction, and return the number of series that were still held.

    A series that got a slice meanwhile, was purged, or was taken back stays as it is: it is formed again, or gone. A
    result with other content than before is a revision. Results of patients who opted out are removed.
    """

    def transaction(connection: Connection) -> int:
        begin_recording(connection)  # purges wait, or have removed the series
        opted_out = opted_out_keys(connection)
        return sum(_record(connection, each, opted_out, now) for each in formed)

    return database.write(transaction) if formed else 0


def _record(connection: Connection, formed: FormedSeries, opted_out: frozenset[str], now: datetime) -> bool:
    if not _end(connection, formed.claimed, now):
        return False
    if formed.stored_order is not None:
        _release(connection, formed)
    if formed.results is None:
        return True
    results = () if formed.patient_keys & opted_out else formed.results
    of_series = {"series": formed.claimed.id}
    known = {(row.bundle_id, row.stack): row for row in connection.execute(_KNOWN, of_series)}
    for result in results:
        before = known.pop((result.bundle_id, result.stack), None)
        values = _values(result)
        if before is None:
            row = {"series_id": formed.claimed.id, "revision": 1, "formed_at": now, **values}
            connection.execute(insert(series_results), row)
        elif before.content != values["content"]:
            which = series_results.c.id == before.id
            revised = {**values, "revision": before.revision + 1, "formed_at": now}
            connection.execute(update(series_results).where(which).values(revised))
    if known:  # the series has other stacks now, or no slice of a bundle any more
        connection.execute(_REMOVE, {"ids": [row.id for row in known.values()]})
    return True


def _release(connection: Connection, formed: FormedSeries) -> None:
    """Store the order of the slices, and let those go that waited for it."""
    connection.execute(_STORE_ORDER, {"which": formed.claimed.id, "order": formed.stored_order})
    for start in range(0, len(formed.released), _AT_ONCE):
        connection.execute(_RELEASE, {"images": formed.released[start : start + _AT_ONCE]})


def _end(connection: Connection, claimed: ClaimedSeries, now: datetime) -> bool:
    values = {"which": claimed.id, "mine": claimed.claim, "now": now}
    return connection.execute(_END, values).rowcount == 1


def _values(result: SeriesResult) -> dict[str, Any]:
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
    return {"bundle_id": result.bundle_id, "stack": result.stack, "content": digest, **content}


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
_KNOWN = select(
    series_results.c.id,
    series_results.c.bundle_id,
    series_results.c.stack,
    series_results.c.revision,
    series_results.c.content,
).where(series_results.c.series_id == bindparam("series"))
_REMOVE = delete(series_results).where(series_results.c.id.in_(bindparam("ids", expanding=True)))
_END = (
    update(series)
    .where(
        series.c.id == bindparam("which"),
        is_unformed(SeriesState.FORMING.value),
        series.c.claim == bindparam("mine"),
    )
    .values(
        state=SeriesState.FORMED.value,
        formed_at=bindparam("now", type_=series.c.formed_at.type),
        claim=None,
        lease_until=None,
    )
)
