"""Read results together with their ground truth."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, func, literal, select

from db.engine import Database
from db.queries.filters import has_remark
from db.queries.snapshot import snapshot, stream
from db.store_tables import truths
from db.tables import State, bundles, in_state, instances, work
from imaging.remarks import Remark


@dataclass(frozen=True, kw_only=True, slots=True)
class ResultWithTruth:
    """The result of one image with known ground truth."""

    image_id: int
    patient_key: str | None
    label: str | None
    """The label of the result."""
    scores: tuple[float, ...]
    """Calibrated scores of the image, in the order of the bundle's labels."""
    truth: dict[str, bool] = field(default_factory=dict)
    """True or False for each known label. Precedence: labels of the image, then of its study, then of its order."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Coverage:
    """The number of results and the number of keys with ground truth."""

    analysed: int
    """Current images with a result of the bundle."""
    keys: int
    """Images, studies and orders with ground truth."""
    unchecked: int
    """How many of the results in `analysed` have the remark any_domain."""


def results_with_truth(
    database: Database, digest: str, *, since: datetime | None = None, until: datetime | None = None
) -> list[ResultWithTruth]:
    """List current images with a result of this bundle, shadow or not, and with known ground truth.

    `since` and `until` limit the time of arrival. There is one entry per image, in the order of ids. If the bundle has
    several results for one image, the newest counts.
    """
    wanted = _wanted(digest, since, until)
    found: dict[int, ResultWithTruth] = {}
    with snapshot(database) as connection:
        for subject, key in _CLOSEST_FIRST:
            known: dict[int, ResultWithTruth] = {}
            for row in stream(connection, _with_truth(subject, key, wanted)):
                if row.image_id in found:
                    continue
                result = known.get(row.image_id)
                if result is None:
                    result = known[row.image_id] = ResultWithTruth(
                        image_id=row.image_id,
                        patient_key=row.patient_key,
                        label=row.label,
                        scores=tuple(row.scores),
                    )
                result.truth[row.truth_label] = row.present
            found |= known
    return [found[image_id] for image_id in sorted(found)]


def coverage(
    database: Database, digest: str, *, since: datetime | None = None, until: datetime | None = None
) -> Coverage:
    """Count current images with a result of the bundle, and all images, studies and orders with ground truth.

    `since` and `until` limit only the arrival of the images with a result.
    """
    analysed = select(func.count()).select_from(_joined()).where(*_wanted(digest, since, until))
    keys = select(truths.c.subject, truths.c.key).distinct().subquery()
    with snapshot(database) as connection:
        return Coverage(
            analysed=connection.execute(analysed).scalar_one(),
            keys=connection.execute(select(func.count()).select_from(keys)).scalar_one(),
            unchecked=connection.execute(analysed.where(has_remark(Remark.ANY_DOMAIN))).scalar_one(),
        )


def known_keys(database: Database, subject: str, keys: Sequence[str]) -> int:
    """Return how many of these keys name at least one arrival in the database."""
    column = dict(_CLOSEST_FIRST)[subject]
    with database.read() as connection:
        return sum(
            connection.execute(
                select(func.count(column.distinct())).where(column.in_(keys[begin : begin + _CHUNK]))
            ).scalar_one()
            for begin in range(0, len(keys), _CHUNK)
        )


def _with_truth(subject: str, key: ColumnElement[Any], wanted: Sequence[ColumnElement[bool]]) -> Select[Any]:
    return (
        select(
            instances.c.id.label("image_id"),
            instances.c.patient_key,
            work.c.label,
            work.c.scores,
            truths.c.label.label("truth_label"),
            truths.c.present,
        )
        .select_from(_joined().join(truths, and_(truths.c.subject == literal(subject), truths.c.key == key)))
        .where(*wanted)
    )


def _joined() -> Any:
    return work.join(instances, instances.c.id == work.c.instance_id).join(bundles, bundles.c.id == work.c.bundle_id)


def _wanted(digest: str, since: datetime | None, until: datetime | None) -> list[ColumnElement[bool]]:
    return list(_conditions(digest, since, until))


def _conditions(digest: str, since: datetime | None, until: datetime | None) -> Iterator[ColumnElement[bool]]:
    yield bundles.c.digest == digest
    if since is None:
        yield in_state(State.DONE)
        yield work.c.finished_at.is_not(None)
    else:  # An expression without index: the search starts with the arrivals of this time, not with all results.
        yield work.c.state.concat("") == State.DONE.value
    yield instances.c.superseded_by.is_(None)
    yield instances.c.withdrawn_by.is_(None)
    newest = (
        select(func.max(_LATER.c.ordinal))
        .where(
            _LATER.c.instance_id == work.c.instance_id,
            _LATER.c.bundle_id == work.c.bundle_id,
            _LATER.c.state == State.DONE.value,
        )
        .scalar_subquery()
    )
    yield work.c.ordinal == newest
    if since is not None:
        yield instances.c.arrived_at >= since
    if until is not None:
        yield instances.c.arrived_at < until


_LATER = work.alias("later")
_CLOSEST_FIRST = (
    ("sop", instances.c.sop_instance_uid),
    ("study", instances.c.study_instance_uid),
    ("accession", instances.c.accession_key),
)
_CHUNK = 500
