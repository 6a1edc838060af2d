"""Find images by the identity of their bytes."""

from collections.abc import Iterator, Sequence

from sqlalchemy import ColumnElement, select, union_all

from db.tables import contents, instances, work
from nightread.content_digest import stored_forms


def has_bytes(names: Sequence[str]) -> Iterator[ColumnElement[bool]]:
    """Yield conditions that search for these bytes in `contents` and in a partial index.

    An index of all hashes would slow down recording.
    """
    stored = sorted({content for name in names for content in stored_forms(name)})
    owner = (
        select(work.c.instance_id).join(contents, contents.c.work_id == work.c.id).where(contents.c.content.in_(stored))
    )
    others = select(_others.c.id).where(_others.c.content.in_(stored), _others.c.unowned.is_not(None))
    yield instances.c.id.in_(union_all(owner, others))
    yield instances.c.content.concat("").in_(stored)  # an expression, so that no index of `content` leads


_others = instances.alias("others")
