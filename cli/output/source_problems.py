"""What the watchers met, in sentences for an operator."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

from cli.output.tables import duration
from db.queries import Source
from nightread.paths import ROOT_MARKER

_SILENT_AFTER = timedelta(minutes=3)
"""Watchers report at least once a minute."""


def troubles(source: Source, now: datetime) -> Iterator[str]:
    """One sentence for each thing that keeps files of this source from arriving."""
    if source.report is None or source.reported_at is None:
        return
    report = source.report
    if now - source.reported_at > _SILENT_AFTER:
        who = _PRODUCERS.get(source.kind, "watcher")
        yield f"its {who} was last heard of {duration((now - source.reported_at).total_seconds())} ago"
    if report.get("root_missing"):
        yield "the folder is not there: mount it"
    if report.get("marker_missing"):
        yield f"the folder's marker {ROOT_MARKER} is missing: is the share mounted?"
    if report.get("root_emptied"):
        yield "all files that were there are gone: is it mounted?"
    if report.get("disk_short"):
        yield _DISK_SHORT.get(
            source.kind, "nothing is registered until there is room on the disk of its watcher's state folder"
        )
    if report.get("temporary_old"):
        oldest = duration(report.get("temporary_oldest_seconds", 0))
        yield f"{report['temporary_old']:,} temporary names are old (up to {oldest}): transfers that broke off?"
    yield from (f"the store {trouble}" for trouble in report.get("troubles", ()))
    for name, what in _COUNTED:
        if report.get(name):
            yield f"{report[name]:,} {what}"


def source_json(source: Source) -> dict[str, Any]:
    """For `status --json`."""
    reported_at = source.reported_at.isoformat() if source.reported_at else None
    return {"name": source.name, "kind": source.kind, "report": source.report, "reported_at": reported_at}


_PRODUCERS = {"receiver": "receiver"}
_DISK_SHORT = {"receiver": "images are refused (A700) until there is room on the disk of its spool or the state folder"}
_COUNTED = (
    ("unreadable_folders", "folders cannot be opened"),
    ("unreadable_names", "files cannot be looked at"),
    ("special", "names are no regular files and are left alone"),
)
