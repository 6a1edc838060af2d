"""Restrict queries to the arrivals of one command: all arrivals of some sources, and some single arrivals."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Connection, Select, and_, case, or_, select

from db.engine import Database
from db.ledger.arrivals import uri_key
from db.ledger.origins import origin_id
from db.tables import instances, sources, work
from nightread.sources import ARCHIVES


@dataclass(frozen=True, kw_only=True, slots=True)
class ArrivalScope:
    """All arrivals of these sources and these single arrivals, each with the members of its archives."""

    source_ids: tuple[int, ...] = ()
    image_ids: tuple[int, ...] = ()

    def of_instances(self) -> ColumnElement[bool]:
        """Return the condition on `instances`."""
        conditions: list[ColumnElement[bool]] = [instances.c.id.in_(self._single())] if self.image_ids else []
        if self.source_ids or not self.image_ids:
            members = and_(instances.c.parent_id.is_not(None), origin_id().in_(self.source_ids))
            conditions += [instances.c.source_id.in_(self.source_ids), members]
        return or_(*conditions)

    def of_work(self) -> ColumnElement[bool]:
        """Return the condition on `work`."""
        conditions: list[ColumnElement[bool]] = [work.c.instance_id.in_(self._single())] if self.image_ids else []
        if self.source_ids or not self.image_ids:
            # Not a join: SQLite would read all arrivals of the source for the few rows of work that match.
            origin = case((instances.c.parent_id.is_(None), instances.c.source_id), else_=origin_id())
            its_source = select(origin).where(instances.c.id == work.c.instance_id).scalar_subquery()
            conditions.append(its_source.in_(self.source_ids))
        return or_(*conditions)

    def _single(self) -> Select[tuple[int]]:
        """Select the ids of the single arrivals and of the members of their archives."""
        inner = _member.alias("inner_member")
        archives = or_(
            _member.c.parent_id.in_(self.image_ids),
            _member.c.parent_id.in_(select(inner.c.id).where(inner.c.parent_id.in_(self.image_ids))),
        )
        return select(_member.c.id).where(or_(_member.c.id.in_(self.image_ids), archives))


def unless_all(connection: Connection, scope: ArrivalScope) -> ArrivalScope | None:
    """Return the scope; None if it includes all sources, so that the source of each arrival need not be looked up."""
    known = set(connection.execute(select(sources.c.id).where(sources.c.kind != ARCHIVES)).scalars())
    return None if known <= set(scope.source_ids) else scope


def newest_at(database: Database, source_id: int, uris: Sequence[str]) -> tuple[int, ...]:
    """Return, for each of these places of a source, the id of the newest arrival whose file was not replaced.

    This may be an earlier arrival whose file was replaced and then restored with its old modification time.
    """
    keys = [uri_key(uri) for uri in uris]
    places = (instances.c.source_id == source_id, instances.c.uri_key.in_(keys))
    current_last = (instances.c.replaced_by.is_(None), instances.c.id)
    statement = select(instances.c.uri_key, instances.c.id).where(*places).order_by(*current_last)
    with database.read() as connection:
        return tuple({row.uri_key: row.id for row in connection.execute(statement)}.values())


_member = instances.alias("member")
