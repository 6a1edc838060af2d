"""Return the outcome of an image after an error, with settings and times of a test."""

from datetime import timedelta

from ledger_driver import SettableClock

from db.ledger import Claimed, Outcome
from imaging.facts import NO_FACTS
from nightread.settings import load_settings
from worker.error_outcomes import outcome_of_error
from worker.fetching.files import Fetched

FILE = Fetched(data=b"scan", content="f" * 64, size=4, mtime_ns=7)
NOW = SettableClock()()


def outcome(
    error: Exception,
    *,
    attempts: int = 1,
    alone: bool = False,
    age: timedelta = timedelta(hours=1),
    tried: timedelta = timedelta(),
    mtime_ns: int = 7,
    place: tuple[str, ...] = ("inbox", "inbox"),
    file: Fetched | None = FILE,
    **options: object,
) -> Outcome:
    """Return the outcome of an image after this error. `place`: source, source of the outermost archive, root."""
    image = Claimed(
        work_id=1,
        instance_id=2,
        source=place[0],
        root=(*place, "/inbox")[2],
        uri="a.dcm",
        size=4,
        mtime_ns=mtime_ns,
        attempts=attempts,
        alone=alone,
        arrived_at=NOW - age,
        tried_since=NOW - tried,
        marked=False,
        origin=place[1],
    )
    given = {"retry_limit": 3, "retry_base_seconds": 2, "retry_cap_seconds": 5, **options}
    settings = load_settings(None, **given)
    return outcome_of_error(image, error, file=file, facts=NO_FACTS, settings=settings, now=NOW)


def seconds_until(found: Outcome) -> float:
    assert found.not_before is not None
    return (found.not_before - NOW).total_seconds()
