"""Find the waiting images of a study. The database does not know the study of an image before a worker reads it."""

import os
from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.progress import track

from api.stow.identity import instance_identity
from db import queries
from db.engine import Database
from db.queries import ImageFilter, RerunCandidate
from nightread.paths import root_path
from nightread.settings import Settings
from nightread.source_files import NotRegularError, OutsideSourceError, open_source_file
from nightread.sources import SPOOLED_KINDS

WAITING = ("received", "queued")
_HEAD_BYTES = 64 * 1024


@dataclass(frozen=True, kw_only=True, slots=True)
class WaitingStudy:
    """The waiting images of one study."""

    image_ids: list[int]
    unknown: list[int]
    """Waiting images of unknown study: archives, unreadable files, or images of a store whose URLs name no study."""


def waiting_study(
    database: Database, settings: Settings, study: str, sources: Sequence[str], console: Console
) -> WaitingStudy:
    """Find the waiting images of a study: read the first 64 KiB of each waiting file, and show a progress bar.

    An image in a DICOMweb store is not read, because its URL names the study.
    """
    waiting = queries.image_ids(database, ImageFilter(states=WAITING, sources=tuple(sources)))
    found = WaitingStudy(image_ids=[], unknown=[])
    candidates = queries.rerun_candidates(database, waiting)
    for image in track(candidates, "reading headers", len(waiting), console=console, transient=True):
        uid = _study_of(image, settings)
        if uid is None:
            found.unknown.append(image.image_id)
        elif uid == study:
            found.image_ids.append(image.image_id)
    return found


def _study_of(image: RerunCandidate, settings: Settings) -> str | None:
    if image.kind not in ("folder", *SPOOLED_KINDS):
        _, named, path = image.uri.partition("studies/")
        return path.partition("/")[0] if named else None
    try:
        file = open_source_file(settings.roots.get(image.source) or root_path(image.root), image.uri)
        with os.fdopen(file.descriptor, "rb") as stream:
            head = stream.read(_HEAD_BYTES)
    except (OSError, OutsideSourceError, NotRegularError):
        return None
    identity = instance_identity(head)
    return identity.study_instance_uid if identity else None
