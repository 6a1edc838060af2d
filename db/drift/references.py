"""Store the references of models: the validation part of the bundle, or a span of nights that a person chose."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import Any

import numpy as np
from sqlalchemy import Connection, Row, insert, select, update

from db.drift.lock import lock_drift
from db.drift.nights import period
from db.drift.results import binned_results
from db.drift_tables import drift_references
from db.engine import Database
from db.tables import audit
from nightread.drift.reference import DriftReference
from nightread.nights import Nights


class ReferenceKind(StrEnum):
    """Where the images of a reference come from."""

    VALIDATION = "validation"
    NIGHTS = "nights"


@dataclass(frozen=True, kw_only=True, slots=True)
class StoredReference:
    """A reference in force, without its images."""

    id: int
    bundle_id: int
    kind: ReferenceKind
    first_evening: date | None
    last_evening: date | None
    images: int
    made_at: datetime
    made_by: str

    @property
    def name(self) -> str:
        """Return a name of the reference for people."""
        if self.first_evening is None or self.last_evening is None:
            return "validation part of the bundle"
        return f"nights {self.first_evening} to {self.last_evening}"


def references_in_force(database: Database) -> dict[int, StoredReference]:
    """Return the reference of each bundle that has one, by bundle id."""
    columns = [column for column in drift_references.c if column.name != "content"]
    statement = select(*columns).where(drift_references.c.ended_at.is_(None))
    with database.read() as connection:
        return {row.bundle_id: _stored(row) for row in connection.execute(statement)}


def reference_content(database: Database, reference_id: int) -> DriftReference:
    """Return the images of a reference. Raises ValueError, KeyError or TypeError if another release wrote it."""
    statement = select(drift_references.c.content).where(drift_references.c.id == reference_id)
    with database.read() as connection:
        return DriftReference.from_json(connection.execute(statement).scalar_one())


def reference_of_nights(
    database: Database, nights: Nights, bundle_id: int, first: date, last: date
) -> DriftReference | None:
    """Return the results of a bundle in a span of nights as a reference; None if there are no results.

    Results of purged images are no longer in the database.
    """
    since, until = period(nights, first)[0], period(nights, last)[1]
    parts = list(binned_results(database, since=since, until=until, bundle_id=bundle_id, with_studies=True))
    if not parts:
        return None
    measures = parts[0].measures
    return DriftReference.of_images(
        measures,
        [part.strata[place] for part in parts for place in part.stratum],
        [study for part in parts for study in part.studies],
        {name: np.concatenate([part.codes[name] for part in parts]) for name in measures.bins},
    )


def set_reference(
    database: Database,
    bundle_id: int,
    reference: DriftReference,
    *,
    span: tuple[date, date] | None,
    actor: str,
    now: datetime,
) -> None:
    """Make this the reference in force of a bundle; the audit table says who chose it."""

    def transaction(connection: Connection) -> None:
        lock_drift(connection)
        connection.execute(_END.where(drift_references.c.bundle_id == bundle_id).values(ended_at=now))
        values = _values(bundle_id, reference, span, actor, now)
        (reference_id,) = connection.execute(insert(drift_references).values(**values)).inserted_primary_key or (None,)
        named = ("bundle_id", "kind", "first_evening", "last_evening", "images")
        detail = {"reference": reference_id, **{name: values[name] for name in named}}
        connection.execute(insert(audit).values(at=now, actor=actor, action="drift.reference", detail=detail))

    database.write(transaction)


def offer_reference(database: Database, bundle_id: int, content: Mapping[str, Any], *, now: datetime) -> None:
    """Store the reference that a bundle contains, unless the bundle has ever had a reference in this database.

    Raises ValueError, KeyError or TypeError if the content is not a reference.
    """
    reference = DriftReference.from_json(content)

    def transaction(connection: Connection) -> None:
        lock_drift(connection)
        known = select(drift_references.c.id).where(drift_references.c.bundle_id == bundle_id).limit(1)
        if connection.execute(known).first() is None:
            connection.execute(insert(drift_references).values(**_values(bundle_id, reference, None, "bundle", now)))

    database.write(transaction)


def take_offered(database: Database, bundle_id: int, *, actor: str, now: datetime) -> bool:
    """Put a bundle's own reference in force again. Returns False if the bundle contained none."""
    statement = (
        select(drift_references.c.content)
        .where(drift_references.c.bundle_id == bundle_id, drift_references.c.kind == ReferenceKind.VALIDATION.value)
        .order_by(drift_references.c.id.desc())
        .limit(1)
    )
    with database.read() as connection:
        content = connection.execute(statement).scalar()
    if content is None:
        return False
    set_reference(database, bundle_id, DriftReference.from_json(content), span=None, actor=actor, now=now)
    return True


def _values(
    bundle_id: int, reference: DriftReference, span: tuple[date, date] | None, actor: str, now: datetime
) -> dict[str, Any]:
    return {
        "bundle_id": bundle_id,
        "kind": ReferenceKind.VALIDATION.value if span is None else ReferenceKind.NIGHTS.value,
        "first_evening": span and span[0].isoformat(),
        "last_evening": span and span[1].isoformat(),
        "images": reference.images,
        "content": reference.to_json(),
        "made_at": now,
        "made_by": actor,
    }


def _stored(row: Row[Any]) -> StoredReference:
    return StoredReference(
        id=row.id,
        bundle_id=row.bundle_id,
        kind=ReferenceKind(row.kind),
        first_evening=row.first_evening and date.fromisoformat(row.first_evening),
        last_evening=row.last_evening and date.fromisoformat(row.last_evening),
        images=row.images,
        made_at=row.made_at,
        made_by=row.made_by,
    )


_END = update(drift_references).where(drift_references.c.ended_at.is_(None))
