"""Remove files from the spool as soon as nobody needs them: rejected members of archives, and files of opt-outs."""

import logging
import os
from collections import defaultdict
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from sqlalchemy.exc import SQLAlchemyError

from db import queries
from db.ledger import Claimed, Outcome
from db.tables import State
from nightread.paths import path_of, root_path
from nightread.reasons import Reason
from nightread.sources import ARCHIVES
from worker.context import WorkerContext

log = logging.getLogger(__name__)


def discard_rejected(context: WorkerContext, images: Iterable[Claimed], outcomes: Iterable[Outcome]) -> None:
    """Remove the rejected files of a batch from the spool, after their outcomes were committed.

    The database decides which files nobody needs: if another process has taken the batch, it still needs them. Files
    that cannot be removed now are removed by the purge.
    """
    rejected = {outcome.work_id: outcome.reason for outcome in outcomes if outcome.state is State.REJECTED}
    by_source: defaultdict[str, list[Claimed]] = defaultdict(list)
    for image in images:
        if image.work_id in rejected and _may_be_useless(context, image, rejected[image.work_id]):
            by_source[image.source].append(image)
    try:
        for source, its_images in by_source.items():
            _discard(context, source, its_images)
    except SQLAlchemyError:
        log.debug("rejected files of the spool are removed later")


def _may_be_useless(context: WorkerContext, image: Claimed, reason: Reason | None) -> bool:
    if image.source == ARCHIVES:
        return True
    return reason is Reason.OPTED_OUT and _root(context, image).is_relative_to(context.settings.spool_folder.absolute())


def _discard(context: WorkerContext, source: str, images: list[Claimed]) -> None:
    source_id = next(known.id for known in queries.sources(context.database) if known.name == source)
    root = _root(context, images[0])
    for file in queries.spooled_at(context.database, source_id, [image.uri for image in images]):
        if file.is_useless:
            with suppress(OSError):
                os.unlink(path_of(root, file.uri))  # noqa: PTH108 - the path is bytes


def _root(context: WorkerContext, image: Claimed) -> Path:
    return context.settings.roots.get(image.source) or root_path(image.root)
