"""Read in which order the slices of a series lie, and where their files are."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from sqlalchemy import ColumnElement, bindparam, distinct, func, literal_column, select

from db.bulk import execute_in_chunks
from db.engine import Database
from db.ledger.claims import SELECT_CLAIMED
from db.ledger.values import Claimed
from db.series_tables import series
from db.tables import State, in_state, instances, work
from nightread.reasons import Reason

_WAITS: ColumnElement[str] = literal_column(f"'{Reason.AWAITING_SERIES.value}'")


@dataclass(frozen=True, kw_only=True, slots=True)
class StoredOrder:
    """The order of the slices of a series. It was stored when the slices were released for analysis."""

    stacks: Sequence[Sequence[tuple[int, int]]]
    """(image id, frame) of each slice, by stack; empty if the series was not put in order."""
    left_out: Mapping[int, str]
    """Images that are part of no stack, with the reason."""
    files: Mapping[int, Claimed]
    """Where the files of the slices are, by image id."""


class SlicePlace(NamedTuple):
    """Where an image lies in its series. Images that are sorted by it are in order within each stack."""

    series: int
    stack: int
    place: int


def stack_places(database: Database, image_ids: Sequence[int]) -> Mapping[int, SlicePlace]:
    """Return the places of images, by id, if their series was put in order.

    An image of several frames has the place of its first frame.
    """
    with database.read() as connection:
        rows = list(execute_in_chunks(connection, _SERIES_OF_IMAGES, "images", image_ids))
        wanted = {row.series for row in rows}
        orders = {row.id: row.stored_order for row in execute_in_chunks(connection, _ORDERS, "series", wanted)}
    places: dict[int, SlicePlace] = {}
    for number, stored in orders.items():
        for stack, keys in enumerate((stored or {}).get("stacks", [])):
            for place, (image_id, _) in enumerate(keys):
                places.setdefault(image_id, SlicePlace(number, stack, place))
    return {image_id: places[image_id] for image_id in image_ids if image_id in places}


def series_order(database: Database, study_instance_uid: str, series_instance_uid: str) -> StoredOrder:
    """Return the stored order of a series; an empty one if there is none."""
    with database.read() as connection:
        named = {"study": study_instance_uid, "series": series_instance_uid}
        stored = connection.execute(_ORDER, named).scalar() or {}
        stacks = [[(image_id, frame) for image_id, frame in stack] for stack in stored.get("stacks", [])]
        wanted = {image_id for stack in stacks for image_id, _ in stack}
        rows = execute_in_chunks(connection, _FILES, "images", wanted)
        files = {claimed.instance_id: claimed for claimed in (Claimed._make(row) for row in rows)}
    left_out = {int(image_id): reason for image_id, reason in stored.get("left_out", {}).items()}
    return StoredOrder(stacks=stacks, left_out=left_out, files=files)


def waiting_slices(database: Database) -> int:
    """Return the number of slices that wait until their series is put in order."""
    with database.read() as connection:
        return connection.execute(WAITING_SLICES).scalar_one()


def waiting_slices_of_study(database: Database, study_instance_uid: str) -> int:
    """Return the number of different instances of a study that wait until their series is put in order."""
    with database.read() as connection:
        return connection.execute(_WAITING_OF_STUDY, {"study": study_instance_uid}).scalar_one()


_ORDER = select(series.c.stored_order).where(
    series.c.study_instance_uid == bindparam("study"), series.c.series_instance_uid == bindparam("series")
)
_SERIES_OF_IMAGES = (
    select(instances.c.id, series.c.id.label("series"))
    .join(
        series,
        (series.c.study_instance_uid == instances.c.study_instance_uid)
        & (series.c.series_instance_uid == instances.c.series_instance_uid),
    )
    .where(instances.c.id.in_(bindparam("images", expanding=True)))
)
_ORDERS = select(series.c.id, series.c.stored_order).where(series.c.id.in_(bindparam("series", expanding=True)))
_FILES = SELECT_CLAIMED.where(instances.c.id.in_(bindparam("images", expanding=True)), work.c.ordinal == 0)
WAITING_SLICES = select(func.count()).select_from(work).where(work.c.reason == _WAITS, in_state(State.RECEIVED))
_WAITING_OF_STUDY = (
    select(func.count(distinct(instances.c.sop_instance_uid)))
    .join(work, work.c.instance_id == instances.c.id)
    .where(
        instances.c.study_instance_uid == bindparam("study"),
        work.c.ordinal == 0,
        work.c.reason.concat("") == _WAITS,  # an expression: the study leads the search
        in_state(State.RECEIVED),
    )
)
