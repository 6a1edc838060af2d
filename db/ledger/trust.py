"""Find the trust domains of images: only images of one domain may replace and withdraw each other."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, bindparam, select

from db.bulk import execute_in_chunks
from db.store_tables import copies, senders
from db.tables import sources
from nightread.sources import OverwritePolicy

Domain = tuple[object, ...]
"""The trust domain of an arrival. Arrivals of the same domain replace and withdraw each other's results; arrivals of
different domains never do."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Trust:
    """The overwrite policy, and the trust groups of sources and senders."""

    policy: OverwritePolicy
    sources: Mapping[int, str | None]
    senders: Mapping[int, str | None]

    def domain(self, image_id: int, source_id: int, sender_id: int | None) -> Domain:
        """Return the domain of an arrival: the group of its sender, or else the group of its source.

        Without a group, each sender of a receiver is a domain, and any other source is one domain. An unknown sender
        has the empty group, which counts as no group even if the source has a group.
        """
        if self.policy == "any":
            return ()
        if self.policy == "never":
            return ("image", image_id)
        group = self.senders.get(sender_id or 0)
        if group is None:
            group = self.sources.get(source_id)
        return ("group", group) if group else ("source", source_id, sender_id or 0)

    def domains(self, row: Row[Any], copied: Iterable[Row[Any]]) -> dict[Domain, int]:
        """Return the domains from which the bytes of an image arrived, each with the id of its first arrival.

        `row` has the columns of `origin_columns`. Copies of the archive of an image count as arrivals of the image.
        """
        own = self.domain(row.id, row.origin_source, row.origin_sender)
        found: dict[Domain, int] = {}
        for copy in copied:
            first = copy.first_id if copy.original_id == row.id else row.id
            domain = self.domain(copy.first_id, copy.source_id, copy.sender_id)
            found[domain] = min(first, found.get(domain, first))
        return found | {own: row.id}


@dataclass(frozen=True, kw_only=True, slots=True)
class Held:
    """The domains from which the bytes of each arrival came, by its id."""

    trust: Trust
    domains: Mapping[int, dict[Domain, int]]

    def own(self, row: Row[Any]) -> Domain:
        """Return the domain of this arrival itself, and not a domain from which the same bytes arrived again."""
        return self.trust.domain(row.id, row.origin_source, row.origin_sender)


def held_by(connection: Connection, policy: OverwritePolicy, rows: Iterable[Row[Any]]) -> Held:
    """Find the trust domains from which the bytes of each row arrived.

    Each row must have the column `id` and the columns of `origin_columns`.
    """
    rows = list(rows)
    places = {row.id: {row.id, row.parent_id, row.grandparent_id} - {None} for row in rows}
    by_original: dict[int, list[Row[Any]]] = {}
    for copy in execute_in_chunks(connection, _COPIES, "originals", sorted(set().union(*places.values()))):
        by_original.setdefault(copy.original_id, []).append(copy)
    origins = {row.origin_sender for row in rows}
    copied = {copy.sender_id for found in by_original.values() for copy in found}
    trust = Trust(
        policy=policy,
        sources={row.id: row.trust for row in connection.execute(_SOURCES)},
        senders={
            row.id: row.trust for row in execute_in_chunks(connection, _SENDERS, "senders", (origins | copied) - {None})
        },
    )
    found = {
        row.id: trust.domains(row, [copy for place in places[row.id] for copy in by_original.get(place, ())])
        for row in rows
    }
    return Held(trust=trust, domains=found)


_SOURCES = select(sources.c.id, sources.c.trust)
_SENDERS = select(senders.c.id, senders.c.trust).where(senders.c.id.in_(bindparam("senders", expanding=True)))
_COPIES = select(copies).where(copies.c.original_id.in_(bindparam("originals", expanding=True)))
