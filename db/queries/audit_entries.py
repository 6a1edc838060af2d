"""Find the entries of the audit table that name certain images, their series or their studies."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Select, Text, bindparam, cast, func, or_, select

from db.engine import Database
from db.ledger.reads import IMAGE_READ, STUDY_READ
from db.queries.snapshot import stream
from db.queries.trace_events import Event, What
from db.series_tables import series
from db.tables import audit, instances

_FILTERED_BY_DATABASE = 20
"""For up to this number of images, the database itself searches the entries for the ids of the images, so that few
entries are parsed."""

_CLOCKS = timedelta(days=1)
"""The search begins with entries that are this much older than the oldest image, because a clock may have been set
back."""


@dataclass(frozen=True, kw_only=True, slots=True)
class EntryScope:
    """The entries of the audit table that are searched."""

    views: bool = True
    """Whether entries about views of images and studies are searched; a page that is often viewed adds many."""
    latest: int | None = None
    """How many of the latest entries are searched; None if all are."""


def entries_about(
    connection: Connection, arrivals: Mapping[int, Row[Any]], scope: EntryScope
) -> Iterator[tuple[int, Event]]:
    """Yield (image id, event) for each entry that names one of these images, or its series or study.

    An entry names images by `image`, `image_id`, `image_ids`, `images` (numbers, or lists that begin with a number) or
    `conflicts`. It names series by `series` (lists of the id of a series and a reason), and a study by `study`.
    """
    of_study: dict[str, list[int]] = {}
    for image_id, row in arrivals.items():
        if row.study_instance_uid is not None:
            of_study.setdefault(row.study_instance_uid, []).append(image_id)
    of_series: dict[int, list[int]] = {}
    for found in connection.execute(_SERIES, {"images": list(arrivals)}):
        of_series.setdefault(found.series_id, []).append(found.image_id)
    words: list[int | str] = [*arrivals, *of_study, *of_series]
    for entry in stream(connection, _statement(arrivals, words, scope)):
        named = dict(_images(entry.detail))
        for series_id, about in _series(entry.detail):
            named |= dict.fromkeys(of_series.get(series_id, ()), about)
        for image_id in named.keys() & arrivals.keys():
            yield image_id, _event(entry, named[image_id])
        for image_id in of_study.get(str(entry.detail.get("study")), ()):
            if image_id not in named:
                yield image_id, _event(entry, None)


def searched_since(database: Database, scope: EntryScope) -> datetime | None:
    """Return the time of the latest entry that a search with `latest` leaves out; None if it reads all entries."""
    if scope.latest is None:
        return None
    oldest = select(audit.c.at).where(audit.c.id <= _last_left_out(scope.latest)).order_by(audit.c.id.desc()).limit(1)
    with database.read() as connection:
        return connection.execute(oldest).scalar_one_or_none()


def _last_left_out(latest: int) -> ColumnElement[int]:
    """Return the highest id of the entries that a search of the latest entries leaves out.

    It is computed from the highest id of all, which is nearly exact, because ids have few gaps.
    """
    return select(func.max(audit.c.id) - latest).scalar_subquery()


def _statement(arrivals: Mapping[int, Row[Any]], words: Collection[int | str], scope: EntryScope) -> Select[Any]:
    began = min(row.arrived_at for row in arrivals.values()) - _CLOCKS
    statement = select(audit).where(audit.c.at >= began).order_by(audit.c.id)
    if not scope.views:
        statement = statement.where(audit.c.action.not_in((IMAGE_READ, STUDY_READ)))
    if scope.latest is not None:
        statement = statement.where(audit.c.id > _last_left_out(scope.latest))
    if len(arrivals) > _FILTERED_BY_DATABASE:
        return statement
    text = cast(audit.c.detail, Text)
    return statement.where(or_(*(text.contains(str(word), autoescape=True) for word in words)))


def _images(detail: Mapping[str, Any]) -> Iterator[tuple[int, Any]]:
    """Yield the id of each image that an entry names, with what the entry says of it."""
    for name in ("image", "image_id"):
        if isinstance(detail.get(name), int):
            yield detail[name], None
    for name in ("images", "image_ids"):
        for each in detail[name] if isinstance(detail.get(name), list) else ():
            if isinstance(each, list) and each:
                yield each[0], each[1:]
            elif isinstance(each, int):
                yield each, None
    for kind, *pair in detail.get("conflicts", ()):
        for image_id, other in (pair, reversed(pair)):
            yield image_id, [kind, other]


def _series(detail: Mapping[str, Any]) -> Iterator[tuple[int, Any]]:
    """Yield the id of each series that an entry names, with what the entry says of it."""
    for series_id, *about in detail["series"] if isinstance(detail.get("series"), list) else ():
        yield series_id, about


def _event(entry: Row[Any], about: Any) -> Event:
    what, values = What.AUDIT, {"action": entry.action, "actor": entry.actor, "about": about}
    if entry.action == "images.conflict" and about:
        what, values = What.CONFLICT, {**values, "image_id": about[1]}
    return Event(at=entry.at, what=what, detail=_sentence(entry, about), values=values)


def _sentence(entry: Row[Any], about: Any) -> str:
    if entry.action == "images.conflict" and about:
        return (
            f"It is in conflict with image {about[1]}, whose source does not trust the source of this image "
            f"({about[0]})."
        )
    if entry.action == "images.retry" and about:
        state, reason, attempts = about
        why = f" ({reason})" if reason else ""
        return f"{entry.actor} retried it. Its state before was {state}{why}. Attempts until then: {attempts}."
    if entry.action == "series.retry" and about:
        return f"{entry.actor} retried its series. The reason before was {about[0]}."
    sentence = _SENTENCES.get(entry.action, "{actor}: {action}.")
    return sentence.format(actor=entry.actor, action=entry.action, **{name: entry.detail.get(name) for name in _NAMES})


_SERIES: Select[Any] = (
    select(instances.c.id.label("image_id"), series.c.id.label("series_id"))
    .join(
        series,
        (series.c.study_instance_uid == instances.c.study_instance_uid)
        & (series.c.series_instance_uid == instances.c.series_instance_uid),
    )
    .where(instances.c.id.in_(bindparam("images", expanding=True)))
)
_SENTENCES = {
    "images.explain": "{actor} asked for an explanation by {model}, frame {frame}.",
    "images.purge": "{actor} purged it ({cause}).",
    "images.compare": "{actor} looked at it on a page that compares two models.",
    "images.rerun": "{actor} ordered a re-run by other models.",
    "images.cancel": "{actor} cancelled it.",
    "result.rule": "The rule {rule} matched its result or that of its study: {kind} {target}.",
    IMAGE_READ: "{actor} looked at it.",
    STUDY_READ: "{actor} looked at its study.",
}
_NAMES = ("model", "frame", "cause", "rule", "kind", "target")
