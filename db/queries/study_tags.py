"""Read the tags that rules on results gave to studies, and to images without a study."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import bindparam, select

from db.alarm_tables import rule_actions
from db.engine import Database


def study_tags(database: Database, study_instance_uids: Iterable[str]) -> dict[str, list[str]]:
    """Return the tags of those studies that have any, in alphabetical order; for a page of studies, not for all."""
    found: defaultdict[str, set[str]] = defaultdict(set)
    wanted = sorted(set(study_instance_uids))
    if wanted:
        with database.read() as connection:
            for row in connection.execute(_TAGS, {"subjects": wanted}):
                found[row.subject].add(row.target)
    return {subject: sorted(tags) for subject, tags in found.items()}


def image_tags(database: Database, rows: Sequence[Mapping[str, Any]]) -> dict[int, list[str]]:
    """Return the tags of these images by image id: those of their study, or their own if they have none."""
    subjects = {row["image_id"]: row["study_instance_uid"] or f"image {row['image_id']}" for row in rows}
    tags = study_tags(database, subjects.values())
    return {image_id: tags[subject] for image_id, subject in subjects.items() if subject in tags}


_TAGS = (
    select(rule_actions.c.subject, rule_actions.c.target)
    .where(rule_actions.c.subject.in_(bindparam("subjects", expanding=True)), rule_actions.c.kind == "tag")
    .distinct()
)
