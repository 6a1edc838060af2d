"""Find the files of images that a report is about."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import bindparam, select

from db.engine import Database
from db.queries.reportable import WITH_RESULT
from db.tables import instances, sources, work


@dataclass(frozen=True, kw_only=True, slots=True)
class OriginalFile:
    """The place of an image's file, as stored in the database."""

    image_id: int
    source: str
    root: str
    uri: str
    content: str | None
    sop_instance_uid: str
    marked: bool


def study_originals(database: Database, study_instance_uid: str, *, limit: int) -> list[OriginalFile]:
    """List up to `limit` files of the study's images that have a result.

    The patient's identity is read from the first usable one. Contested images come last; otherwise the smallest file is
    first.
    """
    with database.read() as connection:
        rows = connection.execute(_ORIGINALS.limit(limit), {"study": study_instance_uid}).all()
    return [OriginalFile(**row._mapping) for row in rows]  # noqa: SLF001


def originals_of(database: Database, image_ids: Sequence[int]) -> dict[int, OriginalFile]:
    """Return the file of each of these images, keyed by image id. Images without a SOP Instance UID are left out."""
    with database.read() as connection:
        rows = connection.execute(_FILES, {"ids": list(image_ids)}).all()
    return {row.image_id: OriginalFile(**row._mapping) for row in rows}  # noqa: SLF001


_COLUMNS = (
    instances.c.id.label("image_id"),
    sources.c.name.label("source"),
    sources.c.root,
    sources.c.marked,
    instances.c.uri,
    instances.c.content,
    instances.c.sop_instance_uid,
)

_ORIGINALS = (
    select(*_COLUMNS)
    .join(work, work.c.instance_id == instances.c.id)
    .join(sources, sources.c.id == instances.c.source_id)
    .where(WITH_RESULT, work.c.ordinal == 0, instances.c.sop_instance_uid.is_not(None))
    # Contested images come last: they name the patient only if the study has no other image.
    .order_by(instances.c.conflict_with.is_not(None), instances.c.size, instances.c.id)
)

_FILES = (
    select(*_COLUMNS)
    .join(sources, sources.c.id == instances.c.source_id)
    .where(instances.c.id.in_(bindparam("ids", expanding=True)), instances.c.sop_instance_uid.is_not(None))
)
