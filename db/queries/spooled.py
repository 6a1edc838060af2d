"""Find out which received or unpacked files are still needed."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Row, and_, bindparam, func, literal_column, select

from db.engine import Database
from db.ledger.arrivals import uri_key
from db.queries.snapshot import stream
from db.tables import State, instances, work
from nightread.reasons import Fault, Reason

_DEFECTIVE = frozenset(reason.value for reason in Reason if reason.fault is Fault.DEFECTIVE)
_NO_IMAGE = (Reason.NON_IMAGE, Reason.MEDIA_FILE, Reason.MANIFEST, Reason.KEY_OBJECT, Reason.OWN_RESULT)
_USELESS = (_DEFECTIVE - {Reason.VOI_UNUSABLE.value}) | frozenset(reason.value for reason in _NO_IMAGE)
"""Reasons for which a file is not needed any more, because no other model or rule would accept it. VOI_UNUSABLE is left
out, because another model may ignore the window."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Spooled:
    """A file of the spool and the outcome of its image."""

    image_id: int
    uri: str
    finished_at: datetime | None
    """Time of the latest outcome; None while any row of work is unfinished."""
    bad: bool
    """True if the image failed or is defective, so that a person may want to inspect it."""
    is_useless: bool
    """True if the file may be removed at once: its image was purged, its patient opted out, or it came out of an
    archive and was rejected as defective or as no image. The archive still has such a file, and a small archive may
    hold gigabytes of them."""

    def is_due(self, *, good_before: datetime, bad_before: datetime) -> bool:
        """Return whether the file may be removed.

        A useless file may be removed at once, any other when its outcome is older than the limit for its kind.
        """
        if self.is_useless:
            return True
        return self.finished_at is not None and self.finished_at < (bad_before if self.bad else good_before)


def spooled_at(database: Database, source_id: int, uris: Sequence[str]) -> list[Spooled]:
    """Return the arrivals at these places. If an image was purged, its file is marked as useless."""
    uri_of = {uri_key(uri): uri for uri in uris}
    with database.read() as connection:
        rows = connection.execute(_AT, {"source": source_id, "keys": list(uri_of)})
        return [_spooled(row, uri_of[row.uri_key]) for row in rows]


def all_spooled(database: Database, source_id: int) -> Iterator[Spooled]:
    """Stream every arrival of this source that was not purged."""
    of_source = instances.c.source_id == source_id, instances.c.purged_at.is_(None)
    with database.read() as connection:
        for row in stream(connection, _OUTCOMES.where(*of_source)):
            yield _spooled(row, row.uri)


def _spooled(row: Row[Any], uri: str) -> Spooled:
    return Spooled(
        image_id=row.id,
        uri=uri,
        finished_at=None if row.unfinished else row.finished_at,
        bad=row.state == State.FAILED or row.reason in _DEFECTIVE,
        is_useless=row.purged_at is not None or (not row.unfinished and _is_useless(row)),
    )


def _is_useless(row: Row[Any]) -> bool:
    """Return whether the file of an image with this outcome is not needed any more."""
    if row.state != State.REJECTED:
        return False
    return row.reason == Reason.OPTED_OUT or (row.parent_id is not None and row.reason in _USELESS)


_first = work.alias("first")
_OUTCOMES = (
    select(
        instances.c.id,
        instances.c.uri,
        instances.c.uri_key,
        instances.c.purged_at,
        instances.c.parent_id,
        _first.c.state,
        _first.c.reason,
        func.max(work.c.finished_at).label("finished_at"),
        func.count(literal_column("1")).filter(work.c.finished_at.is_(None)).label("unfinished"),
    )
    .join(work, work.c.instance_id == instances.c.id)
    .join(_first, and_(_first.c.instance_id == instances.c.id, _first.c.ordinal == 0))
    .group_by(instances.c.id, _first.c.id)
)
_AT = _OUTCOMES.where(
    instances.c.source_id == bindparam("source"), instances.c.uri_key.in_(bindparam("keys", expanding=True))
)
