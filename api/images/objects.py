"""Describe images for clients: the objects of `nightread query --format json`, with links."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from db import queries
from db.engine import Database
from db.queries import ImageFilter
from db.tables import FINAL, State

MEMBERS_SHOWN = 100
"""The response for an archive lists at most this many members; its link `members` returns all of them."""

_RESULT = ("image_id", "state", "label", "score", "scores")
"""The fields of the original of a duplicate that a client without the permission `read` sees. The other fields are left
out, because another client may have sent the original."""

Row = dict[str, Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class Described:
    """An image with its related images in the response: the original of a duplicate, or the members of an archive."""

    row: Row
    original: Row | None = None
    """The image with the same bytes, if this one is a duplicate."""
    members: tuple[Row, ...] = ()

    @property
    def image_id(self) -> int:
        """Return the id of the image."""
        return int(self.row["image_id"])

    @property
    def state(self) -> State:
        """Return the state of the image."""
        return State(self.row["state"])

    @property
    def is_final(self) -> bool:
        """Return whether the image and all its listed members have their outcome."""
        return all(row["state"] in FINAL for row in (self.row, *self.members))

    def to_json(self, *, may_read: bool) -> dict[str, Any]:
        """Return the object for clients. Without `may_read`, its member `original` has only the fields in _RESULT."""
        described = with_links(self.row)
        if self.original is not None:
            original = self.original
            described["original"] = with_links(original) if may_read else {name: original[name] for name in _RESULT}
        if self.state is State.EXPANDED:
            described["members"] = [with_links(member) for member in self.members]
        return described


def with_links(row: Row) -> Row:
    """Return the object of an image with links. The links are paths, because the API may have several host names."""
    own = f"/v1/images/{row['image_id']}"
    links = {"self": own, "preview": f"{own}/preview.png"}
    if row["label"] is not None:
        links["heatmap"] = f"{own}/heatmap.png"
    for kind, path in (("study", "studies"), ("series", "series")):
        if uid := row[f"{kind}_instance_uid"]:
            links[kind] = f"/v1/{path}/{quote(uid, safe='')}"
    if row["state"] == State.EXPANDED:
        links = {"self": own, "members": f"/v1/results?parent={row['image_id']}"}
    if row["duplicate_of"] is not None:
        links["original"] = f"/v1/images/{row['duplicate_of']}"
    return {**row, "links": links}


def describe(database: Database, image_ids: Sequence[int], *, same_bytes_as: dict[int, int]) -> list[Described]:
    """Describe images in the order of `image_ids`. Ids that are not in the database are left out.

    `same_bytes_as` maps unfinished images to the images whose bytes are the same.
    """
    rows = _rows(database, image_ids)
    for image_id, original in same_bytes_as.items():
        if image_id in rows and rows[image_id]["state"] not in FINAL:
            rows[image_id]["duplicate_of"] = original
    originals = _rows(database, {row["duplicate_of"] for row in rows.values()} - {None})
    return [
        Described(
            row=rows[image_id],
            original=originals.get(rows[image_id]["duplicate_of"]),
            members=_members(database, rows[image_id]),
        )
        for image_id in image_ids
        if image_id in rows
    ]


def _rows(database: Database, image_ids: Iterable[int]) -> dict[int, Row]:
    wanted = tuple(image_ids)
    if not wanted:
        return {}
    return {row["image_id"]: row for row in queries.images(database, ImageFilter(image_ids=wanted))}


def _members(database: Database, row: Row) -> tuple[Row, ...]:
    if row["state"] != State.EXPANDED:
        return ()
    return tuple(queries.images(database, ImageFilter(parent_ids=(row["image_id"],), limit=MEMBERS_SHOWN)))
