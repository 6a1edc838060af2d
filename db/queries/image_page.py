"""Read all that the database keeps of the header and the file of one image, and the results of all its models."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import func, select

from db.engine import Database
from db.queries.bundles import bundles
from db.queries.filters import ImageFilter
from db.queries.images import images
from db.queries.snapshot import snapshot
from db.tables import bundles as bundles_table
from db.tables import instances, predictions, sources, work

MOST_FRAMES = 1000


@dataclass(frozen=True, kw_only=True, slots=True)
class ImageFacts:
    """One arrival with its answer, and with the results of other models."""

    image: Mapping[str, Any]
    """The image with its answer, as `images` yields it."""
    further: Sequence[Mapping[str, Any]]
    """Results of further models, also of shadow models."""
    stored: Mapping[str, Any]
    """All columns of `instances`, by name."""
    kind: str
    """Kind of the image's source."""
    batch_id: str | None
    digests: Mapping[str, str]
    """`NAME@VERSION` -> digest of the registered bundles."""
    frames: Sequence[Mapping[str, Any]]
    """Results of the first thousand frames: frame (from 0), label, score, scores. Empty if the image has only one
    frame."""
    analysed_frames: int


def image_facts(database: Database, image_id: int) -> ImageFacts | None:
    """Return one image; None if there is none with this id."""
    wanted = ImageFilter(image_ids=(image_id,))
    answer = next(images(database, wanted), None)
    if answer is None:
        return None
    with snapshot(database) as connection:
        arrival = connection.execute(
            select(instances, sources.c.kind, work.c.batch_id)
            .join(sources, sources.c.id == instances.c.source_id)
            .join(work, work.c.instance_id == instances.c.id)
            .where(instances.c.id == image_id, work.c.ordinal == 0)
        ).one()
        analysed_frames = connection.execute(
            select(func.count())
            .select_from(predictions)
            .join(work, work.c.id == predictions.c.work_id)
            .where(work.c.instance_id == image_id, work.c.ordinal == 0)
        ).scalar_one()
        digests = {f"{row.name}@{row.version}": row.digest for row in connection.execute(select(bundles_table)).all()}
    stored = {column.name: getattr(arrival, column.name) for column in instances.c}
    return ImageFacts(
        image=answer,
        further=list(_further(database, image_id, answer)),
        stored=stored,
        kind=arrival.kind,
        batch_id=arrival.batch_id,
        digests=digests,
        frames=_frames(database, image_id) if analysed_frames > 1 else (),
        analysed_frames=analysed_frames,
    )


def _further(database: Database, image_id: int, answer: Mapping[str, Any]) -> list[dict[str, Any]]:
    models = tuple({bundle.name for bundle in bundles(database)})
    if not models:
        return []
    named = ImageFilter(image_ids=(image_id,), models=models)
    shadows = ImageFilter(image_ids=(image_id,), shadow=True)
    return [*(row for row in images(database, named) if row != answer), *images(database, shadows)]


def _frames(database: Database, image_id: int) -> list[dict[str, Any]]:
    wanted = ImageFilter(image_ids=(image_id,), per_frame=True, limit=MOST_FRAMES)
    return [{name: row[name] for name in ("frame", "label", "score", "scores")} for row in images(database, wanted)]
