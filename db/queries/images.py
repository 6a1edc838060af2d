"""Stream images as dicts."""

from collections.abc import Generator
from contextlib import closing
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Row, Select, select, union_all

from db.engine import Database
from db.queries.alternatives import alternatives, sorts_many
from db.queries.bundles import BundleLabels, bundles_by_id
from db.queries.filters import ImageFilter, conditions
from db.queries.occurrences import in_blocks_of, occurrence_of
from db.queries.order import Position, in_order, position_of
from db.queries.planning import planned
from db.queries.sender_names import Origins, sender_name
from db.queries.snapshot import snapshot, stream
from db.store_tables import senders
from db.tables import instances, predictions, sources, work
from nightread.content_digest import named_content, sha256_in
from nightread.paths import full_uri
from nightread.stores import STORES

COLUMNS = (
    "image_id",
    "source",
    "uri",
    "state",
    "reason",
    "detail",
    "duplicate_of",
    "superseded_by",
    "parent_id",
    "withdrawn_by",
    "withdrawn_code",
    "sha256",
    "sop_instance_uid",
    "series_instance_uid",
    "study_instance_uid",
    "modality",
    "body_part",
    "transfer_syntax",
    "rows",
    "columns",
    "frames",
    "model",
    "model_version",
    "label",
    "score",
    "scores",
    "attempts",
    "received_at",
    "finished_at",
    "shadow",
    "matched",
    "remarks",
    "replaced_by",
    "member_name",
    "conflict_with",
    "purged_at",
    "sender",
    "contested_by",
    "study_date",
    "view_position",
    "laterality",
    "manufacturer",
    "station_name",
    "patient_sex",
    "age_band",
    "suspicion",
    "content",
)
"""The names of the values that `images` returns, in this order. Programs rely on them, so they do not change. With
`per_frame` there is also `frame`, from 0."""


def images(database: Database, wanted: ImageFilter | None = None) -> Generator[dict[str, Any]]:
    """Stream one dict per arrival or, with `per_frame`, per frame; at most 1,000 rows are in memory.

    `uri` is the full path or URL, `scores` is a dict from label to score, `remarks` is a list of words, and times are
    aware and in UTC. `sender` is AE title and address of a receiver's caller. For an image in conflict, `contested_by`
    is the source, and sender if any, of `conflict_with`. `content` identifies the bytes, and `sha256` is None unless an
    earlier release analysed them. An absent value is None. Of a purged image only the values that count it are left.
    With `per_frame`, an arrival without predictions is one row with `frame` None.
    """
    # Without `closing`, the inner generator would stay open on Python 3.12 when this one ends.
    with closing(positioned_images(database, wanted or ImageFilter(), None)) as positioned:
        for values, _ in positioned:
            yield values


def positioned_images(
    database: Database, wanted: ImageFilter, after: Position | None
) -> Generator[tuple[dict[str, Any], Position]]:
    """Stream the dicts of `images`, each with its position in the order; begin after the position `after`."""
    with snapshot(database) as connection:
        bundles = bundles_by_id(connection)
        statement = _statement(planned(connection, wanted, bundles), after, is_sqlite=database.is_sqlite)
        origins = Origins(connection)
        for row in stream(connection, statement):
            values = _as_dict(row, bundles.get(row.bundle_id), origins, per_frame=wanted.per_frame)
            yield values, position_of(row, wanted)


def _statement(wanted: ImageFilter, after: Position | None, *, is_sqlite: bool) -> Select[Any]:
    parts = alternatives(wanted)
    if len(parts) == 1 and not sorts_many(wanted) and not occurrence_of(wanted):
        return in_order(_rows(wanted).where(*conditions(wanted)), wanted, after)
    first_of_each = [_first_ids(part, after, is_sqlite=is_sqlite) for part in parts]
    return in_order(_rows(wanted).where(work.c.id.in_(union_all(*first_of_each))), wanted, None, few=True)


def _first_ids(part: ImageFilter, after: Position | None, *, is_sqlite: bool) -> Select[Any]:
    """Select the work ids of the first rows of one part of the search.

    The limit of the whole search is used for each part, because all of its rows may be in this one part.
    """
    joined = select(work.c.id).select_from(instances).join(work, work.c.instance_id == instances.c.id)
    joined = joined.where(*conditions(part)).limit(part.limit)
    if occurrence := occurrence_of(part):
        first = in_blocks_of(joined, occurrence, part, after, is_sqlite=is_sqlite)
    else:
        first = in_order(joined, part, after).subquery()
    return select(first.c.id)


def _rows(wanted: ImageFilter) -> Select[Any]:
    statement = (
        select(*_ARRIVAL, *_WORK, sources.c.name.label("source"), sources.c.kind, sources.c.root, *_SENDER)
        .select_from(instances)
        .join(work, work.c.instance_id == instances.c.id)
        .join(sources, sources.c.id == instances.c.source_id)
        .outerjoin(senders, senders.c.id == instances.c.sender_id)
        .limit(wanted.limit)
    )
    if not wanted.per_frame:
        return statement.add_columns(work.c.label, work.c.score, work.c.scores)
    frames = statement.outerjoin(predictions, predictions.c.work_id == work.c.id)
    return frames.add_columns(predictions.c.frame, predictions.c.label, predictions.c.score, predictions.c.scores)


def _as_dict(row: Row[Any], bundle: BundleLabels | None, origins: Origins, *, per_frame: bool) -> dict[str, Any]:
    values: dict[str, Any] = {name: getattr(row, name, None) for name in COLUMNS}
    values["uri"] = place(row) if row.purged_at is None else None
    values["model"], values["model_version"] = (bundle.name, bundle.version) if bundle else (None, None)
    values["scores"] = dict(zip(bundle.labels, row.scores, strict=True)) if bundle and row.scores else None
    values["content"], values["sha256"] = named_content(row.content), sha256_in(row.content)
    values["remarks"] = row.remarks.split() if row.remarks else None
    for name in ("received_at", "finished_at", "purged_at"):
        values[name] = _utc(values[name])
    values["sender"] = sender_name(row.calling_ae, row.address, row.trust)
    values["contested_by"] = origins.of(row.conflict_with) if _is_contested(row) else None
    if per_frame:
        values["frame"] = row.frame
    return values


def place(row: Row[Any]) -> str:
    """Return the full path or URL of an arrival. The row has its `uri`, and the `kind` and `root` of its source."""
    return f"{row.root}/{row.uri}" if row.kind in STORES else full_uri(row.root, row.uri)


def _is_contested(row: Row[Any]) -> bool:
    return row.conflict_with is not None and row.superseded_by is None and row.withdrawn_by is None


def _utc(moment: datetime | None) -> datetime | None:
    return moment.astimezone(UTC) if moment else None


_ARRIVAL = (
    instances.c.id.label("image_id"),
    instances.c.uri,
    instances.c.content,
    instances.c.sop_instance_uid,
    instances.c.series_instance_uid,
    instances.c.study_instance_uid,
    instances.c.modality,
    instances.c.body_part,
    instances.c.transfer_syntax,
    instances.c.rows,
    instances.c.columns,
    instances.c.frames,
    instances.c.superseded_by,
    instances.c.replaced_by,
    instances.c.member_name,
    instances.c.parent_id,
    instances.c.withdrawn_by,
    instances.c.withdrawn_code,
    instances.c.conflict_with,
    instances.c.purged_at,
    instances.c.study_date,
    instances.c.view_position,
    instances.c.laterality,
    instances.c.manufacturer,
    instances.c.station_name,
    instances.c.patient_sex,
    instances.c.age_band,
    instances.c.arrived_at.label("received_at"),
)

_SENDER = senders.c.calling_ae, senders.c.address, senders.c.trust
_WORK = (
    work.c.state,
    work.c.reason,
    work.c.detail,
    work.c.duplicate_of,
    work.c.attempts,
    work.c.finished_at,
    work.c.bundle_id,
    work.c.shadow,
    work.c.matched,
    work.c.remarks,
    work.c.suspicion,
)
