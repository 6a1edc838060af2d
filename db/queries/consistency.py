"""Check row by row what must hold in every database, independently of the code that wrote it."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Integer, Select, String, and_, cast, func, literal_column, or_, select

from db.engine import Database
from db.queries.missing_rows import rows_that_name_a_missing_row
from db.queries.series_rules import series_with_a_wrong_claim, series_without_image
from db.queries.snapshot import snapshot, stream
from db.queries.tally import tally
from db.store_tables import BLOCK, occurrences, withdrawals
from db.tables import (
    FINAL,
    IN_BATCH,
    UNFINISHED,
    State,
    batches,
    bundles,
    contents,
    in_state,
    instances,
    predictions,
    work,
)
from imaging.facts import FACT_NAMES
from nightread.reasons import Reason


@dataclass(frozen=True, kw_only=True, slots=True)
class Violation:
    """One violation of a rule."""

    rule: str
    """The rule, in the words of RULES."""
    image_id: int | None
    """The image whose row violates the rule; None if the rule is about the whole database."""


def violations(database: Database) -> Iterator[Violation]:
    """Find all violations of RULES; this may take minutes on millions of images."""
    if not tally(database).adds_up:
        yield Violation(rule=_COUNTS, image_id=None)
    with snapshot(database) as connection:
        for rule, statement in _RULES.items():
            for (image_id,) in stream(connection, statement):
                yield Violation(rule=rule, image_id=image_id)


_FIRST = work.c.ordinal == 0
_IS_DONE = work.c.state == State.DONE.value
_OWNS_CONTENT = work.c.state.in_((State.DONE.value, State.EXPANDED.value))
_OF_ARRIVAL = work.c.instance_id == instances.c.id
_IS_KEPT = instances.c.purged_at.is_(None)

_ORIGINAL = instances.alias("original")
_ITS_WORK = work.alias("its_work")


def _arrivals_without_one_first_row() -> Select[Any]:
    return (
        select(instances.c.id)
        .outerjoin(work, and_(_OF_ARRIVAL, _FIRST))
        .group_by(instances.c.id)
        .having(func.count(work.c.id) != 1)
    )


def _predictions_of_work_not_done() -> Select[Any]:
    return select(work.c.instance_id).where(~_IS_DONE, work.c.id.in_(select(predictions.c.work_id)))


def _done_without_all_frames() -> Select[Any]:
    return (
        select(work.c.instance_id)
        .join(instances, _OF_ARRIVAL)
        .outerjoin(predictions, predictions.c.work_id == work.c.id)
        .where(_IS_DONE, work.c.bundle_id.is_not(None), _IS_KEPT)
        .group_by(work.c.id, work.c.instance_id, instances.c.frames)
        .having(
            or_(
                func.count(predictions.c.frame) != func.coalesce(instances.c.frames, 1),
                func.max(predictions.c.frame) != func.coalesce(instances.c.frames, 1) - 1,
            )
        )
    )


def _duplicates_without_original() -> Select[Any]:
    return (
        select(work.c.instance_id)
        .join(instances, _OF_ARRIVAL)
        .outerjoin(_ORIGINAL, _ORIGINAL.c.id == work.c.duplicate_of)
        .outerjoin(_ITS_WORK, and_(_ITS_WORK.c.instance_id == _ORIGINAL.c.id, _ITS_WORK.c.ordinal == 0))
        .where(
            work.c.state == State.DUPLICATE.value,
            _IS_KEPT,
            _ORIGINAL.c.purged_at.is_(None),
            or_(
                _ITS_WORK.c.state.is_(None),
                _ITS_WORK.c.state.not_in((State.DONE.value, State.EXPANDED.value)),
                instances.c.content.is_(None),
                instances.c.content != _ORIGINAL.c.content,
            ),
        )
    )


def _contents_done_twice() -> Select[Any]:
    return (
        select(func.max(instances.c.id))
        .join(work, and_(_OF_ARRIVAL, _FIRST))
        .where(_OWNS_CONTENT, _IS_KEPT)
        .group_by(instances.c.content)
        .having(func.count() > 1)
    )


def _contents_without_owner() -> Select[Any]:
    return (
        select(instances.c.id)
        .select_from(contents)
        .join(work, work.c.id == contents.c.work_id)
        .join(instances, _OF_ARRIVAL)
        .where(or_(~_OWNS_CONTENT, instances.c.content.is_(None), instances.c.content != contents.c.content))
    )


def _done_without_content() -> Select[Any]:
    return (
        select(work.c.instance_id)
        .join(instances, _OF_ARRIVAL)
        .outerjoin(contents, contents.c.work_id == work.c.id)
        .where(_OWNS_CONTENT, _FIRST, _IS_KEPT, contents.c.work_id.is_(None))
    )


def _members_without_archive() -> Select[Any]:
    return (
        select(instances.c.id)
        .outerjoin(_ITS_WORK, and_(_ITS_WORK.c.instance_id == instances.c.parent_id, _ITS_WORK.c.ordinal == 0))
        .where(
            instances.c.parent_id.is_not(None),
            or_(_ITS_WORK.c.state.is_(None), _ITS_WORK.c.state != State.EXPANDED.value),
        )
    )


def _withdrawn_without_note() -> Select[Any]:
    return (
        select(instances.c.id)
        .outerjoin(
            withdrawals,
            and_(
                withdrawals.c.note_id == instances.c.withdrawn_by,
                withdrawals.c.sop_instance_uid == instances.c.sop_instance_uid,
                withdrawals.c.study_instance_uid == instances.c.study_instance_uid,
            ),
        )
        .where(instances.c.withdrawn_by.is_not(None), withdrawals.c.note_id.is_(None))
    )


def _in_batch_without_open_batch() -> Select[Any]:
    return (
        select(work.c.instance_id)
        .outerjoin(batches, batches.c.id == work.c.batch_id)
        .where(IN_BATCH, or_(batches.c.id.is_(None), batches.c.finished_at.is_not(None)))
    )


def _superseded_without_newer() -> Select[Any]:
    newer = _ORIGINAL
    return (
        select(instances.c.id)
        .outerjoin(newer, newer.c.id == instances.c.superseded_by)
        .where(
            instances.c.superseded_by.is_not(None),
            _IS_KEPT,
            newer.c.purged_at.is_(None),
            or_(
                newer.c.id.is_(None),
                newer.c.id <= instances.c.id,
                newer.c.sop_instance_uid.is_distinct_from(instances.c.sop_instance_uid),
                newer.c.series_instance_uid.is_distinct_from(instances.c.series_instance_uid),
            ),
        )
    )


_RESULT_COLUMNS = ("label", "score", "scores", "matched", "remarks", "intensities", "detail")


def _purged_with_something_left() -> Select[Any]:
    left = [instances.c[name].is_not(None) for name in ("content", "member_name", *FACT_NAMES)]
    results = [work.c[name].is_not(None) for name in _RESULT_COLUMNS]
    predicted = select(predictions.c.work_id).where(predictions.c.work_id == work.c.id).exists()
    return (
        select(instances.c.id)
        .join(work, _OF_ARRIVAL)
        .where(~_IS_KEPT, or_(instances.c.uri != "", in_state(*UNFINISHED), predicted, *left, *results))
        .distinct()
    )


def _devices_not_noted() -> Select[Any]:
    noted = [
        select(occurrences.c.block)
        .where(occurrences.c.kind == kind, occurrences.c.value == column)
        .where(occurrences.c.block == _block(instances.c.id))
        .exists()
        for kind, column in _NOTED.items()
    ]
    missing = [and_(column.is_not(None), ~found) for column, found in zip(_NOTED.values(), noted, strict=True)]
    return select(instances.c.id).where(or_(*missing))


def _models_not_noted() -> Select[Any]:
    noted = select(occurrences.c.block).where(
        occurrences.c.kind == "model",
        occurrences.c.value == cast(work.c.bundle_id, String),
        occurrences.c.block == _block(work.c.instance_id),
    )
    return select(work.c.instance_id).where(work.c.bundle_id.is_not(None), ~noted.exists())


def _noted_without_image() -> Select[Any]:
    """Find devices, views and models that are stored for a block of arrivals although no image of the block has them.

    This selects the first image of the block. A registered model is not reported, because another model may have
    replaced its results in the block.
    """
    of_block = _block_of_occurrence()
    named = [
        select(instances.c.id).where(of_block, occurrences.c.kind == kind, column == occurrences.c.value).exists()
        for kind, column in _NOTED.items()
    ]
    registered = select(bundles.c.id).where(cast(bundles.c.id, String) == occurrences.c.value).exists()
    model = and_(occurrences.c.kind == "model", registered, select(instances.c.id).where(of_block).exists())
    first = select(func.min(instances.c.id)).where(of_block).scalar_subquery()
    return select(first).select_from(occurrences).where(~or_(model, *named))


def _block(image_id: ColumnElement[int]) -> ColumnElement[int]:
    return image_id // literal_column(str(BLOCK), Integer)


def _block_of_occurrence() -> ColumnElement[bool]:
    first = occurrences.c.block * BLOCK
    return and_(instances.c.id >= first, instances.c.id < first + BLOCK)


def _rows_of_work(*wrong: Any) -> Select[Any]:
    return select(work.c.instance_id).where(*wrong)


_NOTED = {
    "manufacturer": instances.c.manufacturer,
    "station": instances.c.station_name,
    "view": instances.c.view_position,
}
_STATES_WITH_REASON = (State.REJECTED.value, State.FAILED.value)

_RULES: dict[str, Select[Any]] = {
    "every row names rows that exist": rows_that_name_a_missing_row(),
    "every arrival has exactly one first row of work": _arrivals_without_one_first_row(),
    "only done images have predictions": _predictions_of_work_not_done(),
    "a done image has predictions for each of its frames": _done_without_all_frames(),
    "a member of an archive names an archive that was expanded": _members_without_archive(),
    "a result names a bundle that is registered": _rows_of_work(
        work.c.bundle_id.is_not(None), work.c.bundle_id.not_in(select(bundles.c.id))
    ),
    "a withdrawn image is named by a note of its study": _withdrawn_without_note(),
    "a duplicate names a done image with the same bytes": _duplicates_without_original(),
    "only one of the images with the same bytes is done": _contents_done_twice(),
    "every row of contents points to a done image or archive with these bytes": _contents_without_owner(),
    "every done image or archive has a row of contents": _done_without_content(),
    "queued and running images are in an open batch": _in_batch_without_open_batch(),
    "a superseded image names a newer one with the same UIDs": _superseded_without_newer(),
    "a purged image has no content, no facts and no results": _purged_with_something_left(),
    "a final row of work has a finish time": _rows_of_work(work.c.state.in_(FINAL), work.c.finished_at.is_(None)),
    "an unfinished row of work has no finish time": _rows_of_work(
        work.c.state.in_(UNFINISHED), work.c.finished_at.is_not(None)
    ),
    "rejected and failed images have a reason from the list": _rows_of_work(
        work.c.state.in_(_STATES_WITH_REASON),
        or_(work.c.reason.is_(None), work.c.reason.not_in([reason.value for reason in Reason])),
    ),
    "the devices and views of each image are stored for its block of arrivals": _devices_not_noted(),
    "the model of each result is stored for the image's block of arrivals": _models_not_noted(),
    "each device, view and model that is stored for a block of arrivals occurs in the block": _noted_without_image(),
    "every series has at least one image": series_without_image(),
    "a series is claimed exactly while it is being formed": series_with_a_wrong_claim(),
}

_COUNTS = "the counts add up"
RULES = (_COUNTS, *_RULES)
"""The rules that are checked, in words."""
