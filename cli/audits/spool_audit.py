"""Compare a receiver's spool with the database, by a scan that shares no code with the receiver."""

import os
from collections.abc import Iterator
from datetime import timedelta
from itertools import islice
from pathlib import Path

from cli.audits.folder_audit import FolderFindings
from db import queries
from db.engine import Database
from nightread.clock import utc_now
from nightread.paths import full_uri, root_path, root_text
from nightread.settings import Settings

_CHUNK = 500
_PARTIAL = ".partial"


def compare_spool(database: Database, source: queries.Source, settings: Settings) -> FolderFindings:
    """Look up a row for each received file, then look for the file of each row.

    A file that was due for removal does not count as missing. A file without a row was not acknowledged: its sender
    still has it, and the receiver or the API registers it at its next start.
    """
    root = settings.roots.get(source.name) or root_path(source.root)
    if not root.is_dir():
        return FolderFindings(source=source.name, kind=source.kind, looked_at=False)
    present: set[str] = set()
    without_row: list[str] = []
    names = _files(root)
    while chunk := list(islice(names, _CHUNK)):
        present.update(chunk)
        without_row += queries.missing_from_ledger(database, source.id, chunk)
    now = utc_now()
    good_before = now - timedelta(days=settings.spool_keep_days)
    bad_before = now - timedelta(days=settings.spool_keep_failed_days)
    gone: list[tuple[int, str]] = []
    purged = 0
    for file in queries.all_spooled(database, source.id):
        if file.uri in present:
            continue
        if file.is_due(good_before=good_before, bad_before=bad_before):
            purged += 1
        else:
            gone.append((file.image_id, file.uri))
    text = root_text(root)
    return FolderFindings(
        source=source.name,
        kind=source.kind,
        looked_at=True,
        files=len(present),
        without_row=tuple(full_uri(text, uri) for uri in without_row),
        gone=tuple((image_id, full_uri(text, uri)) for image_id, uri in gone),
        purged=purged,
    )


def _files(root: Path) -> Iterator[str]:
    """Yield the complete files, relative to the root. Hidden and `.partial` files are being written: skip them."""
    for folder, folders, names in os.walk(root):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in names:
            if not name.startswith(".") and not name.endswith(_PARTIAL):
                yield os.path.relpath(os.path.join(folder, name), root)  # noqa: PTH118 - a Path for each of a night's files is slow
