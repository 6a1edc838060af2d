"""Describe the problems that watchers, receivers and pollers reported, for an operator."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

from db.queries import Source
from nightread.paths import ROOT_MARKER
from nightread.wording import counted, duration

_SILENT_AFTER = timedelta(minutes=3)
"""A source without a report for this long is a problem. Watchers, receivers and pollers report once a minute."""


def source_problems(source: Source, now: datetime) -> Iterator[str]:
    """Yield a clause for each problem of this source that keeps files from arriving, or may do so soon."""
    report = _report(source)
    if report is None or source.reported_at is None:
        return
    if now - source.reported_at > _SILENT_AFTER:
        program = _PROGRAMS.get(source.kind, "watcher")
        silent = duration((now - source.reported_at).total_seconds())
        yield f"its {program} was last seen {silent} ago: check that it is running"
    yield from _missing_folder(report)
    yield from _disk(source.kind, report)
    yield from _over_quota(report.get("over_quota") or {})
    if report.get("temporary_old"):
        oldest = duration(report.get("temporary_oldest_seconds", 0))
        files = counted(report["temporary_old"], "file with a temporary name", "files with temporary names")
        yield f"{files}, the oldest unchanged for {oldest}: check for interrupted transfers"
    yield from _refused_associations(report.get("refused_associations") or {})
    yield from _store_troubles(report)
    for name, one, many in _COUNTED:
        if report.get(name):
            yield counted(report[name], one, many)


def away_problems(source: Source, now: datetime) -> Iterator[str]:
    """Yield a clause for each reason why the folder or store of this source cannot be reached now.

    The report of a silent part is left out, because it may be out of date.
    """
    report = _report(source)
    if report is not None and source.reported_at is not None and now - source.reported_at <= _SILENT_AFTER:
        yield from _missing_folder(report)
        yield from _store_troubles(report)


def unwatched_problem(source: Source, now: datetime) -> str | None:
    """Return a clause if the part that serves this source has not reported on it for three minutes.

    A part without heartbeats is reported elsewhere.
    """
    if _report(source) is None or source.reported_at is None or now - source.reported_at <= _SILENT_AFTER:
        return None
    program = _PROGRAMS.get(source.kind, "watcher")
    silent = duration((now - source.reported_at).total_seconds())
    return f"the {program} sends heartbeats, but has not looked at the source {source.name} for {silent}"


def refused_problems(source: Source) -> Iterator[str]:
    """Yield a clause for each reason why senders were refused in the last hour, without the name of a sender."""
    report = _report(source) or {}
    if refused := report.get("refused_associations"):
        number = counted(sum(refused["by_kind"].values()), "association")
        yield f"{number} brought no image in the last hour: see `nightread receipts --each`"
    if refused := report.get("over_quota"):
        images = counted(refused["images"], "image was", "images were")
        yield f"{images} refused in the last hour, because a sender used up its quota of the spool"


def _report(source: Source) -> dict[str, Any] | None:
    return None if source.report is None or source.report.get("stopped") else source.report


def _missing_folder(report: dict[str, Any]) -> Iterator[str]:
    if report.get("root_missing"):
        yield "the folder does not exist: mount it"
    if report.get("marker_missing"):
        yield f"the marker file {ROOT_MARKER} is missing: check that the share is mounted"
    if report.get("root_emptied"):
        yield "all files of the folder have disappeared: check that the share is mounted"


def _store_troubles(report: dict[str, Any]) -> Iterator[str]:
    yield from (f"the store {trouble}" for trouble in report.get("troubles", ()))


def _refused_associations(refused: dict[str, Any]) -> Iterator[str]:
    if not refused:
        return
    kinds = ", ".join(f"{kind} {number:,}" for kind, number in sorted(refused["by_kind"].items()))
    number = counted(sum(refused["by_kind"].values()), "association")
    yield (
        f"{number} brought no image in the last hour ({kinds}), the latest from {refused['latest']}: "
        "see `nightread receipts --each`"
    )


def _disk(kind: str, report: dict[str, Any]) -> Iterator[str]:
    if report.get("disk_short"):
        yield _DISK_SHORT.get(kind, "nothing is registered until the disk of the state folder has free space")
    elif report.get("disk_low"):
        yield _DISK_LOW.get(kind, "the disk of the state folder is nearly full: soon nothing is registered")


def _over_quota(refused: dict[str, Any]) -> Iterator[str]:
    if refused:
        number = counted(refused["images"], "image was", "images were")
        senders = "one sender has" if refused["senders"] == 1 else f"{refused['senders']:,} senders have"
        yield (
            f"{number} refused (status A700) in the last hour, because {senders} used up the quota of the spool; "
            f"the latest came from {refused['latest']}: see `nightread receipts` and docs/pacs.md"
        )


_PROGRAMS = {"api": "API", "receiver": "receiver", "dicomweb": "poller", "orthanc": "poller"}
_DISK_SHORT = {
    "api": "images are refused (status 507) until the disks of the spool and the state folder have free space",
    "receiver": "images are refused (status A700) until the disks of the spool and the state folder have free space",
}
_DISK_LOW = {
    "api": "the disk of the spool or of the state folder is nearly full: soon images are refused (status 507)",
    "receiver": "the disk of the spool or of the state folder is nearly full: soon images are refused (status A700)",
}
_COUNTED = (
    ("unreadable_folders", "folder cannot be opened", "folders cannot be opened"),
    ("unreadable_names", "file cannot be examined", "files cannot be examined"),
    ("special", "name is not a regular file and is skipped", "names are not regular files and are skipped"),
)
