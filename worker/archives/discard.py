"""Remove members of archives from the spool as soon as they are rejected as no image or as defective."""

import logging
import os
from collections.abc import Iterable
from contextlib import suppress

from sqlalchemy.exc import SQLAlchemyError

from db import queries
from db.ledger import Claimed, Outcome
from db.tables import State
from nightread.paths import path_of, root_path
from nightread.sources import ARCHIVES
from worker.context import WorkerContext

log = logging.getLogger(__name__)


def discard_rejected(context: WorkerContext, images: Iterable[Claimed], outcomes: Iterable[Outcome]) -> None:
    """Remove the files of rejected members whose outcome is committed. After an error the purge removes them later.

    The database is asked again, because another process may have taken the batch: then the files are still needed.
    """
    rejected = {outcome.work_id for outcome in outcomes if outcome.state is State.REJECTED}
    members = [image for image in images if image.source == ARCHIVES and image.work_id in rejected]
    if not members:
        return
    root = context.settings.roots.get(ARCHIVES) or root_path(members[0].root)
    try:
        for uri in _useless(context, [member.uri for member in members]):
            with suppress(OSError):
                os.unlink(path_of(root, uri))  # noqa: PTH108 - the path is bytes
    except SQLAlchemyError:
        log.debug("rejected members of archives are removed later")


def _useless(context: WorkerContext, uris: list[str]) -> list[str]:
    source = next(source for source in queries.sources(context.database) if source.name == ARCHIVES)
    return [file.uri for file in queries.spooled_at(context.database, source.id, uris) if file.is_useless]
