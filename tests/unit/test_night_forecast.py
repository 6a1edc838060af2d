"""The night page judges a night by its deadline, with what holds now, also after the deadline and after a retry."""

import re
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from databases import NewSqlite
from mixed_night import MORNING, fill_mixed_night
from pages_client import PagesClient, pages_client

from api.pages.night_content import night_content
from api.pages.period import night_of
from api.pages.report import report_subject, report_text
from db import ledger
from db.ledger.pauses import Cause
from nightread.nights import nights_of

DEADLINE = datetime(2026, 11, 6, 7, tzinfo=UTC)
NIGHT = "/nights/2026-11-05"
UNFINISHED = 7


@pytest.fixture
def pages(new_sqlite: NewSqlite, tmp_path: Path) -> Iterator[PagesClient]:
    """A night of 60 images, all with an outcome."""
    with pages_client(new_sqlite, tmp_path, now=MORNING) as client:
        client.night = fill_mixed_night(client.database, images=60, earlier=0)
        yield client


@pytest.fixture
def late(new_sqlite: NewSqlite, tmp_path: Path) -> Iterator[PagesClient]:
    """A night of 60 images, seven of them unfinished five minutes after the deadline."""
    with pages_client(new_sqlite, tmp_path, now=DEADLINE + timedelta(minutes=5)) as client:
        client.night = fill_mixed_night(client.database, images=60, earlier=0, unfinished=UNFINISHED)
        yield client


def badge(pages: PagesClient, path: str = NIGHT) -> str:
    """Return the word of the forecast."""
    return re.findall(r'class="badge [^"]*">(\w+)<', pages.get(path))[0]


def finish_recently(pages: PagesClient, images: int) -> None:
    """Let done images have their outcomes half a minute ago."""
    pages.write(
        "UPDATE work SET finished_at = :at WHERE id IN (SELECT id FROM work WHERE state = 'done' LIMIT :images)",
        at=f"{pages.clock.now - timedelta(seconds=30):%Y-%m-%d %H:%M:%S.%f}",
        images=images,
    )


@pytest.mark.parametrize("minutes", [-20, 5])
def test_what_holds_now_stays_on_the_page_after_the_deadline(pages: PagesClient, minutes: int) -> None:
    """A dead store, a dead worker and a pause concern the last night until the next one begins."""
    ledger.pause(pages.database, cause=Cause.PERSON, detail="maintenance", actor="anna", now=MORNING)
    pages.clock.now = DEADLINE + timedelta(minutes=minutes)

    text = pages.text("/")

    assert "Source pacs: the store has not answered since 02:10 (connection refused)." in text
    assert "The worker nightread@gpu-2 sent its last heartbeat" in text
    assert "maintenance" in text
    assert "Source pacs" not in pages.text("/nights/2026-11-04")


def test_a_day_shows_what_holds_now_until_the_next_day(pages: PagesClient) -> None:
    """The night after it has begun, and no later day has."""
    pages.clock.now = datetime(2026, 11, 6, 19, tzinfo=UTC)

    assert "Source pacs: the store has not answered" in pages.text("/days/2026-11-06")
    assert "Source pacs" not in pages.text("/days/2026-11-05")
    pages.clock.now = datetime(2026, 11, 7, 8, tzinfo=UTC)
    assert "Source pacs" not in pages.text("/days/2026-11-06")


def test_a_night_with_unfinished_images_is_late_after_its_deadline(late: PagesClient) -> None:
    """The next night's deadline is no margin, whether the pace is known or not."""
    assert badge(late) == "late"
    assert "7 images are unfinished; no image was finished in the last minute. The deadline was 07:00." in late.text(
        "/"
    )

    finish_recently(late, 6)

    assert badge(late) == "late"
    assert re.search(
        r"all will be done in 1 min \d\d s, by 07:06 \(6 min \d\d s after the deadline, 07:00\)", late.text("/")
    )


def test_the_mail_of_five_past_seven_says_what_the_page_says(late: PagesClient) -> None:
    """Its subject says `late`, its text names the dead store."""
    nights = nights_of(late.settings)
    period = night_of(nights, date(2026, 11, 5))

    night = night_content(late.database, late.settings, nights, period, now=late.clock.now)

    assert report_subject(night).endswith("7 unfinished, late")
    assert "- stopped: Source pacs: the store has not answered since 02:10" in report_text(night, late.settings)


def test_before_the_deadline_the_pace_of_all_does_the_work_of_all(late: PagesClient) -> None:
    """Unfinished images of an earlier night count, postponed ones do not: as in `nightread status`."""
    late.clock.now = MORNING
    late.write("UPDATE instances SET arrived_at = '2026-11-03 20:00:00.000000' WHERE id > 58")
    late.write("UPDATE work SET not_before = '2026-11-07 00:00:00.000000' WHERE id = 58")
    finish_recently(late, 6)

    text = late.text(NIGHT)

    assert badge(late) == "running"
    assert (
        "5 images are unfinished. Together with other periods, 6 images are ready for analysis: at 0.1 images" in text
    )
    assert "all will be done in 1 min 00 s, by 06:41" in text


def test_a_pause_has_no_forecast(late: PagesClient) -> None:
    """Only the open batches are finished."""
    late.clock.now = MORNING
    ledger.pause(late.database, cause=Cause.PERSON, detail="maintenance", actor="anna", now=MORNING)
    finish_recently(late, 6)

    assert "7 images are unfinished; dispatch is paused." in late.text(NIGHT)
    assert badge(late) == "unfinished"


def test_a_retry_days_later_leaves_a_good_night_good(pages: PagesClient) -> None:
    """The outcome is mentioned; badge, mail and chart are those of the night."""
    chart = re.findall(r'<svg class="chart".*?</svg></svg>|<text class="tick"[^>]*>\d\d:00</text>', pages.get(NIGHT))
    retried = pages.sql("SELECT id FROM work WHERE state IN ('failed', 'rejected')")[0].id
    pages.clock.now = DEADLINE + timedelta(days=3)
    ledger.retry(pages.database, [retried], actor="anna", now=pages.clock.now)

    assert badge(pages) == "unfinished"

    pages.write(
        "UPDATE work SET state = 'done', label = 'clear', bundle_id = 1, finished_at = '2026-11-09 07:01:00.000000' "
        "WHERE id = :id",
        id=retried,
    )
    pages.clock.now += timedelta(minutes=2)

    text = pages.text(NIGHT)
    assert badge(pages) == "complete"
    assert "before the deadline, 07:00). 1 outcome came later, from a retry." in text
    hours = re.findall(r'<text class="tick"[^>]*>\d\d:00</text>', pages.get(NIGHT))
    assert hours == [part for part in chart if part.startswith("<text")]


def test_outcomes_after_the_deadline_are_late_whatever_was_retried(pages: PagesClient) -> None:
    """A retry excuses its own image only."""
    failed = pages.sql("SELECT id FROM work WHERE state IN ('failed', 'rejected')")[0].id
    pages.write(
        "UPDATE work SET finished_at = '2026-11-06 07:20:00.000000' "
        "WHERE id = (SELECT max(id) FROM work WHERE id <> :id)",
        id=failed,
    )
    pages.clock.now = DEADLINE + timedelta(hours=2)
    ledger.retry(pages.database, [failed], actor="anna", now=pages.clock.now)
    pages.write("UPDATE work SET state = 'done', finished_at = '2026-11-06 09:01:00.000000' WHERE id = :id", id=failed)
    pages.clock.now += timedelta(minutes=2)

    assert badge(pages) == "late"
    assert "came at 07:20 (20 min 00 s after the deadline, 07:00). 1 outcome came later" in pages.text(NIGHT)
