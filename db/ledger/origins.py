"""Build statements that find the source of an archive's member: the source of the outermost archive."""

from sqlalchemy import ScalarSelect, func, select

from db.tables import instances, sources

DEPTH = 2
"""The number of nested levels of archives that are unpacked; these statements follow that many parents."""

_parent = instances.alias("parent")
_grandparent = instances.alias("grandparent")
_OUTERMOST = func.coalesce(_grandparent.c.source_id, _parent.c.source_id)


def origin_id() -> ScalarSelect[int]:
    """Return a subquery for the id of the source, correlated to a row of `instances` that has a parent."""
    return (
        select(_OUTERMOST)
        .select_from(_parent)
        .outerjoin(_grandparent, _grandparent.c.id == _parent.c.parent_id)
        .where(_parent.c.id == instances.c.parent_id)
        .correlate(instances)
        .scalar_subquery()
    )


def origin_name() -> ScalarSelect[str]:
    """Return the same subquery for the name of the source."""
    its_source = sources.alias("its_source")
    return (
        select(its_source.c.name)
        .select_from(_parent)
        .outerjoin(_grandparent, _grandparent.c.id == _parent.c.parent_id)
        .join(its_source, its_source.c.id == _OUTERMOST)
        .where(_parent.c.id == instances.c.parent_id)
        .correlate(instances)
        .scalar_subquery()
    )
