"""Remove the rows about studies, images and orders from all tables except `instances` and `work`."""

from collections.abc import Collection
from typing import Any, NamedTuple

from sqlalchemy import Column, Connection, bindparam, delete, select

from db.alarm_tables import rule_actions
from db.store_tables import deliveries, expected, truths, withdrawals
from db.tables import instances


class Removed(NamedTuple):
    """What was removed besides images."""

    studies: list[str]
    """The studies that have no image any more."""
    reports: int
    others: int
    """Number of all other removed rows."""


def remove_study_rows(
    connection: Connection,
    studies: Collection[str],
    sop_instance_uids: Collection[str] = (),
    accession_keys: Collection[str] = (),
) -> Removed:
    """Remove the rows of these studies, images and orders, unless an image still has their UID or key."""
    gone = _without_images(connection, instances.c.study_instance_uid, studies)
    gone_sop = _without_images(connection, instances.c.sop_instance_uid, sop_instance_uids)
    gone_orders = _without_images(connection, instances.c.accession_key, accession_keys)
    reports = connection.execute(_REPORTS, {"keys": gone}).rowcount
    others = connection.execute(_NOTES_OF_IMAGES, {"keys": gone_sop, "studies": list(studies)}).rowcount
    others += sum(
        connection.execute(statement, {"keys": keys}).rowcount
        for statement, keys in (
            (_EXPECTED, gone),
            (_NOTES_OF_STUDIES, gone),
            (_ACTIONS_OF_RULES, gone),
            (_TRUTHS_OF_STUDIES, gone),
            (_TRUTHS_OF_IMAGES, gone_sop),
            (_TRUTHS_OF_ORDERS, gone_orders),
        )
    )
    return Removed(gone, reports, others)


def _without_images(connection: Connection, column: Column[str | None], keys: Collection[str]) -> list[str]:
    """Return the keys that no image has."""
    if not keys:
        return []
    still = select(column).where(column.in_(bindparam("keys", expanding=True))).distinct()
    known = set(connection.execute(still, {"keys": list(keys)}).scalars())
    return sorted(key for key in keys if key not in known)


_KEYS: Any = bindparam("keys", expanding=True)
_REPORTS = delete(deliveries).where(deliveries.c.study_instance_uid.in_(_KEYS))
_EXPECTED = delete(expected).where(expected.c.study_instance_uid.in_(_KEYS))
_NOTES_OF_STUDIES = delete(withdrawals).where(withdrawals.c.study_instance_uid.in_(_KEYS))
_NOTES_OF_IMAGES = delete(withdrawals).where(
    withdrawals.c.study_instance_uid.in_(bindparam("studies", expanding=True)),
    withdrawals.c.sop_instance_uid.in_(_KEYS),
)
_ACTIONS_OF_RULES = delete(rule_actions).where(rule_actions.c.subject.in_(_KEYS))
_TRUTHS_OF_STUDIES = delete(truths).where(truths.c.subject == "study", truths.c.key.in_(_KEYS))
_TRUTHS_OF_IMAGES = delete(truths).where(truths.c.subject == "sop", truths.c.key.in_(_KEYS))
_TRUTHS_OF_ORDERS = delete(truths).where(truths.c.subject == "accession", truths.c.key.in_(_KEYS))
