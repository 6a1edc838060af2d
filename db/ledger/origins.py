"""Build statements that find where an arrival came from; a member of an archive came with the outermost archive."""

from typing import Any

from sqlalchemy import ColumnElement, ScalarSelect, case, func, select

from db.tables import instances, sources

DEPTH = 2
"""The number of nested levels of archives that are unpacked. The statements of this module follow as many parents."""

_parent = instances.alias("parent")
_grandparent = instances.alias("grandparent")
_OUTERMOST = func.coalesce(_grandparent.c.source_id, _parent.c.source_id)
_OUTERMOST_SENDER: ColumnElement[Any] = case(
    (_grandparent.c.id.is_(None), _parent.c.sender_id), else_=_grandparent.c.sender_id
)


def origin_id() -> ScalarSelect[int]:
    """Return a subquery for the source id of the outermost archive, for a row of `instances` that has a parent."""
    return _of_archives(_OUTERMOST)


def origin_name() -> ScalarSelect[str]:
    """Return a subquery for the source name of the outermost archive, for a row of `instances` that has a parent."""
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


def origin_columns() -> tuple[ColumnElement[Any], ...]:
    """Return columns for a row of `instances`: `origin_source`, `origin_sender`, `parent_id` and `grandparent_id`."""
    top_level = instances.c.parent_id.is_(None)
    return (
        case((top_level, instances.c.source_id), else_=origin_id()).label("origin_source"),
        case((top_level, instances.c.sender_id), else_=_of_archives(_OUTERMOST_SENDER)).label("origin_sender"),
        instances.c.parent_id,
        _of_archives(_parent.c.parent_id).label("grandparent_id"),
    )


def _of_archives(column: ColumnElement[Any]) -> ScalarSelect[Any]:
    return (
        select(column)
        .select_from(_parent)
        .outerjoin(_grandparent, _grandparent.c.id == _parent.c.parent_id)
        .where(_parent.c.id == instances.c.parent_id)
        .correlate(instances)
        .scalar_subquery()
    )
