"""Find the file of an image and the bundle that analysed it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import and_, bindparam, select

from db.bulk import execute_in_chunks
from db.engine import Database
from db.tables import bundles, instances, predictions, sources, work


@dataclass(frozen=True, kw_only=True, slots=True)
class Original:
    """One arrival with its first outcome."""

    image_id: int
    source: str
    kind: str
    root: str
    """The root as stored in the database; nightread.paths.root_path turns it into a path."""
    uri: str
    content: str | None
    state: str
    reason: str | None
    duplicate_of: int | None
    label: str | None
    bundle: str | None
    """NAME@VERSION; None if no bundle analysed the image."""
    digest: str | None
    normal_label: str | None
    """The label of the bundle for images in which nothing was found."""
    sop_class_uid: str | None
    modality: str | None
    purged: bool
    """Whether everything that identifies the image was removed."""


def original(database: Database, image_id: int) -> Original | None:
    """Return the image with this id; None if there is no such image."""
    with database.read() as connection:
        row: Any = connection.execute(_STATEMENT.where(instances.c.id == image_id)).first()
    if row is None:
        return None
    values = row._asdict()
    name, version = values.pop("bundle_name"), values.pop("bundle_version")
    return Original(**values | {"purged": bool(row.purged)}, bundle=None if name is None else f"{name}@{version}")


def suspicious_frame(database: Database, image: Original) -> int | None:
    """Return the number, from 0, of the frame that has the highest score among the frames with the label of the image.

    Return None if the label is no finding, or if no frame has it.
    """
    if image.bundle is None or image.label in (None, image.normal_label):
        return None
    statement = (
        select(predictions.c.frame)
        .join(work, and_(work.c.id == predictions.c.work_id, work.c.ordinal == 0))
        .where(work.c.instance_id == image.image_id, predictions.c.label == image.label)
        .order_by(predictions.c.score.desc(), predictions.c.frame)
        .limit(1)
    )
    with database.read() as connection:
        frame: int | None = connection.execute(statement).scalar()
    return frame


def total_bytes(database: Database, image_ids: Sequence[int]) -> int:
    """Return how many bytes the files of these images have together."""
    with database.read() as connection:
        return sum(row.size for row in execute_in_chunks(connection, _SIZES, "images", image_ids))


_SIZES = select(instances.c.size).where(instances.c.id.in_(bindparam("images", expanding=True)))
_STATEMENT = (
    select(
        instances.c.id.label("image_id"),
        sources.c.name.label("source"),
        sources.c.kind,
        sources.c.root,
        instances.c.uri,
        instances.c.content,
        work.c.state,
        work.c.reason,
        work.c.duplicate_of,
        work.c.label,
        bundles.c.name.label("bundle_name"),
        bundles.c.version.label("bundle_version"),
        bundles.c.digest,
        bundles.c.normal_label,
        instances.c.sop_class_uid,
        instances.c.modality,
        instances.c.purged_at.is_not(None).label("purged"),
    )
    .select_from(instances)
    .join(work, and_(work.c.instance_id == instances.c.id, work.c.ordinal == 0))
    .join(sources, sources.c.id == instances.c.source_id)
    .outerjoin(bundles, bundles.c.id == work.c.bundle_id)
)
