"""Read the tags that rules on results gave to studies, and to images without a study."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import bindparam, select

from db.alarm_tables import rule_actions
from db.engine import Database


def study_tags(database: Database, study_instance_uids: Iterable[str]) -> dict[str, list[str]]:
    """Return the tags of these studies in alphabetical order; studies without tags are left out.

    One statement has all UIDs, so call it for one page of studies, not for all studies.
    """
    found: defaultdict[str, set[str]] = defaultdict(set)
    wanted = sorted(set(study_instance_uids))
    if wanted:
        with database.read() as connection:
            for row in connection.execute(_TAGS, {"subjects": wanted}):
                found[row.subject].add(row.target)
    return {subject: sorted(tags) for subject, tags in found.items()}


def image_tags(database: Database, rows: Sequence[Mapping[str, Any]]) -> dict[int, list[str]]:
    """Return the tags of these images by image id: the tags of the study, or of the image if it has no study."""
    subjects = {row["image_id"]: row["study_instance_uid"] or f"image {row['image_id']}" for row in rows}
    tags = study_tags(database, subjects.values())
    return {image_id: tags[subject] for image_id, subject in subjects.items() if subject in tags}


_TAGS = (
    select(rule_actions.c.subject, rule_actions.c.target)
    .where(rule_actions.c.subject.in_(bindparam("subjects", expanding=True)), rule_actions.c.kind == "tag")
    .distinct()
)
