"""Night page, report, API, metrics, alarms and SQL know what became of the series of a night."""

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from ledger_driver import LedgerDriver
from prometheus_client.parser import text_string_to_metric_families
from series_driver import HIGHEST, STUDY, SeriesDriver, series_bundle
from sqlalchemy import text

from api.metrics.exposition import metrics_text
from api.pages.night_content import NightContent, night_content
from api.pages.period import night_of
from api.pages.report import report_page, report_text
from api.series_rows import SERIES_COLUMNS, series_row
from db import ledger, queries
from db.alarms.series import failed_series
from db.ledger import SERIES_ATTEMPTS, ClaimedSeries, FormedSeries, SeriesResult
from db.queries import SeriesLabel, SeriesOutcome
from db.queries.reportable_series import series_without_result
from db.tables import State
from imaging.series.rules import SeriesRules
from nightread.alarm_rules import AlarmRule
from nightread.nights import nights_of
from nightread.reasons import Reason
from nightread.settings import load_settings

SETTINGS = load_settings(time_zone="UTC")
NIGHTS = nights_of(SETTINGS)


@pytest.fixture
def series_driver(ledger_driver: LedgerDriver, tmp_path: Path) -> SeriesDriver:
    """A night with a series of each kind; the bundle wants two slices at least."""
    bundle = series_bundle(replace(HIGHEST, rules=SeriesRules(minimum_slices=2)))
    driver = SeriesDriver(ledger_driver=ledger_driver, folder=tmp_path, bundle=bundle)
    driver.record([0, 5], series="1.1")
    driver.record([0, 5], [0.1, 0.9], series="1.2")
    driver.record([0, 5], [0.1, 0.9], series="1.3")
    later = ledger_driver.clock() + timedelta(days=1)
    unread: dict[str, Any] = {"state": State.RECEIVED, "reason": Reason.IO_ERROR, "not_before": later}
    driver.record([10], series="1.3", content="c" * 64, **unread)  # partial
    for number in (1, 2):
        driver.record([0, 5], series="1.4", slice_geometry={"instance_number": number})  # ambiguous
    driver.record([0], series="1.5")  # too few slices
    driver.form()
    driver.record([0, 5], series="1.6")
    ledger.mark_all_due(ledger_driver.database)
    for _ in range(SERIES_ATTEMPTS):  # its processes die
        ledger.claim_series(ledger_driver.database, most=9, lease=timedelta(seconds=1), now=ledger_driver.clock())
        ledger.return_expired_series(ledger_driver.database, now=ledger_driver.clock.advance(seconds=2))
    driver.record([0, 5], series="1.7")
    return driver


def _tally(series_driver: SeriesDriver) -> queries.SeriesTally:
    since = series_driver.ledger_driver.clock() - timedelta(hours=1)
    return queries.series_tally(series_driver.ledger_driver.database, since=since)


def _night(series_driver: SeriesDriver) -> NightContent:
    now = series_driver.ledger_driver.clock()
    period = night_of(NIGHTS, NIGHTS.latest(now))
    return night_content(series_driver.ledger_driver.database, SETTINGS, NIGHTS, period, now=now)


def _rows(series_driver: SeriesDriver, statement: str) -> list[dict[str, Any]]:
    with series_driver.ledger_driver.database.read() as connection:
        return [dict(row._mapping) for row in connection.execute(text(statement))]


def test_a_tally_has_each_outcome_and_the_labels(series_driver: SeriesDriver) -> None:
    """The outcomes add up to the rows of `query --series`; those of a model on trial are left out."""
    tally = _tally(series_driver)
    assert (tally.series, tally.results) == (7, len(series_driver.results()))
    assert dict(tally.outcomes) == {
        SeriesOutcome.FORMED: 2,
        SeriesOutcome.PARTIAL: 1,
        SeriesOutcome.AMBIGUOUS: 1,
        SeriesOutcome.REJECTED: 1,
        SeriesOutcome.FAILED: 1,
        SeriesOutcome.EMPTY: 0,
        SeriesOutcome.WAITING: 1,
    }
    model = series_driver.bundle.reference
    assert list(tally.labels) == [
        SeriesLabel(model=model, label="nodule", results=2, partial=1),
        SeriesLabel(model=model, label="clear", results=1, partial=0),
    ]
    later = series_driver.ledger_driver.clock() + timedelta(seconds=1)
    assert queries.series_tally(series_driver.ledger_driver.database, since=later).series == 0


def test_the_night_page_and_the_report_show_the_tally(series_driver: SeriesDriver) -> None:
    """Nothing of it names a series."""
    night = _night(series_driver)
    line = "7 series: 2 formed + 1 partial + 1 ambiguous + 1 rejected + 1 failed + 1 waiting (2 nodule, 1 clear)"
    assert line in report_text(night, SETTINGS).splitlines()
    page = report_page(night, SETTINGS, NIGHTS, picture_of=None, identifiers=False)
    section = page[page.index('id="series-title"') :]
    section = section[: section.index("</section>")]
    assert '<tr><th scope="row">ambiguous</th><td class="number">1</td>' in section
    assert '<tr><th scope="row">nodule</th><td class="number">2</td><td class="number">1</td>' in section
    assert "1.2" not in section.replace("@1.2", "")


def test_a_night_without_series_says_nothing_of_them(ledger_driver: LedgerDriver, tmp_path: Path) -> None:
    """Most sites have no bundle of series."""
    night = _night(SeriesDriver(ledger_driver=ledger_driver, folder=tmp_path))
    assert "series" not in report_text(night, SETTINGS)
    assert "series-title" not in report_page(night, SETTINGS, NIGHTS, picture_of=None, identifiers=False)


def test_the_metrics_of_series_have_bounded_labels(series_driver: SeriesDriver) -> None:
    """Each value of a label is there, also when it is 0."""
    now = series_driver.ledger_driver.clock()
    page = metrics_text(series_driver.ledger_driver.database, SETTINGS, NIGHTS, now).decode()
    found = {
        (sample.name.removeprefix("nightread_series_"), *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(page)
        for sample in family.samples
        if sample.name.startswith("nightread_series_")
    }
    oldest = found.pop(("oldest_unformed_timestamp_seconds",))
    assert oldest == now.timestamp()
    assert found == {
        ("unformed", "collecting"): 1,
        ("unformed", "due"): 0,
        ("unformed", "forming"): 0,
        ("failed",): 1,
        ("waiting_slices",): 0,
        ("results", "formed"): 2,
        ("results", "partial"): 1,
        ("results", "ambiguous"): 1,
        ("results", "rejected"): 1,
        ("results", "failed"): 1,
        ("results", "empty"): 0,
        ("results", "waiting"): 1,
    }


def test_series_that_failed_are_an_alarm_of_their_night(series_driver: SeriesDriver) -> None:
    """It ends with the night, or when they are retried."""
    database, now = series_driver.ledger_driver.database, series_driver.ledger_driver.clock()
    (finding,) = failed_series(database, night_began_at=now - timedelta(hours=1))
    assert (finding.rule, finding.text) == (
        AlarmRule.SERIES_FAILED,
        "1 series could not be formed (killed_worker: 1)",
    )
    assert list(failed_series(database, night_began_at=now + timedelta(hours=1))) == []
    named = [each.id for each in queries.failed_series(database, since=None, until=None)]
    assert ledger.retry_series(database, [*named, 999], actor="ann", now=now) == 1
    assert list(failed_series(database, night_began_at=now - timedelta(hours=1))) == []
    (entry,) = _rows(series_driver, "SELECT actor, detail FROM audit WHERE action = 'series.retry'")
    assert (entry["actor"], _loaded(entry["detail"])) == ("ann", {"series": [[named[0], "killed_worker"]]})


def test_a_report_counts_series_that_failed(series_driver: SeriesDriver) -> None:
    """Besides those with a reason in place of a result."""
    with series_driver.ledger_driver.database.read() as connection:
        assert series_without_result(connection, STUDY) == 3


def test_the_view_has_the_rows_of_the_command(series_driver: SeriesDriver) -> None:
    """Columns and values are those of `nightread query --series --format json`."""
    rows = _rows(series_driver, "SELECT * FROM v_series ORDER BY series_instance_uid")
    expected = sorted(map(series_row, series_driver.results()), key=lambda row: row["series_instance_uid"])
    assert list(rows[0]) == list(SERIES_COLUMNS)
    assert [_as_command(row) for row in rows] == [_approximate(row) for row in expected]


def test_a_value_that_the_database_refuses_costs_only_its_series(series_driver: SeriesDriver) -> None:
    """It counts as an attempt; the other series of the transaction are recorded."""
    database, now = series_driver.ledger_driver.database, series_driver.ledger_driver.clock()
    series_driver.record([0, 5], series="1.8")
    ledger.mark_all_due(database)
    claimed = ledger.claim_series(database, most=9, lease=timedelta(minutes=1), now=now)
    assert len(claimed) == 2
    formed = [_formed(each, series_driver.bundle_id, detail) for each, detail in zip(claimed, "x\ud800", strict=True)]
    assert ledger.record_series(database, formed, now=now) == 1
    states = {each.series_instance_uid: (each.series_state, each.detail) for each in series_driver.results()}
    assert (states["1.7"], states["1.8"]) == (("formed", "x"), ("collecting", None))


def _formed(claimed: ClaimedSeries, bundle_id: int, detail: str) -> FormedSeries:
    result = SeriesResult(bundle_id=bundle_id, stack=1, label="clear", score=1.0, scores=[1.0, 0.0], detail=detail)
    return FormedSeries(claimed=claimed, results=[result], patient_keys=frozenset())


def _loaded(value: Any) -> Any:
    return json.loads(value) if isinstance(value, str) else value


def _as_command(row: dict[str, Any]) -> dict[str, Any]:
    """Return a row of the view with the types of Python that the command prints."""
    convert: dict[str, Callable[[Any], Any]] = {
        **dict.fromkeys(("scores", "evidence"), _loaded),
        **dict.fromkeys(("changed_at", "formed_at"), _utc),
        "remarks": lambda value: (value or "").split(),
        "shadow": bool,
        "partial": lambda value: None if value is None else bool(value),
    }
    return _approximate({name: convert.get(name, lambda same: same)(value) for name, value in row.items()})


def _utc(value: Any) -> datetime | None:
    if value is None:
        return None
    moment = datetime.fromisoformat(value) if isinstance(value, str) else value
    return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)


def _approximate(row: dict[str, Any]) -> dict[str, Any]:
    rounded = {name: round(score, 9) for name, score in (row["scores"] or {}).items()}
    return row | {"scores": rounded or None}
