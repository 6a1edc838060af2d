"""`nightread run` shows the results of the series of its images, and fails if a series failed."""

import json
from datetime import timedelta
from io import StringIO
from pathlib import Path

import pytest
from ledger_driver import LedgerDriver
from rich.console import Console
from series_driver import SeriesDriver
from sqlalchemy import update

from cli.output.run_results import print_results_json, show_results
from cli.output.summary import Summary, show_summary, summarise
from db import ledger
from db.ledger import SERIES_ATTEMPTS
from db.queries import ArrivalScope, series_list
from db.series_tables import series_results
from nightread.settings import Settings, load_settings


@pytest.fixture
def settings(state_dir: Path) -> Settings:
    """Settings of the state folder."""
    return load_settings(None, state_dir=state_dir)


@pytest.fixture
def series_driver(ledger_driver: LedgerDriver, tmp_path: Path) -> SeriesDriver:
    """A driver whose bundle takes the most suspicious slice."""
    return SeriesDriver(ledger_driver=ledger_driver, folder=tmp_path)


def _summary(series_driver: SeriesDriver, settings: Settings, *image_ids: int) -> Summary:
    driver = series_driver.ledger_driver
    scope = ArrivalScope(image_ids=image_ids) if image_ids else ArrivalScope(source_ids=(driver.source_id,))
    return summarise(driver.database, scope, new=1, since=driver.clock(), settings=settings)


def _shown(series_driver: SeriesDriver, settings: Settings, summary: Summary) -> str:
    screen = StringIO()
    console = Console(file=screen, width=300)
    show_results(console, summary, series_driver.ledger_driver.database, settings)
    show_summary(console, summary)
    return screen.getvalue()


def _kill_all_attempts(series_driver: SeriesDriver) -> None:
    """Let the process that forms the series die each time."""
    driver = series_driver.ledger_driver
    ledger.mark_all_due(driver.database)
    for _ in range(SERIES_ATTEMPTS):
        ledger.claim_series(driver.database, most=9, lease=timedelta(seconds=60), now=driver.clock())
        ledger.return_expired_series(driver.database, now=driver.clock.advance(seconds=61))


def test_the_series_of_the_run_are_shown_and_no_others(series_driver: SeriesDriver, settings: Settings) -> None:
    """A series belongs to the run if one of its images does."""
    ids = series_driver.record([0, 5], [0.1, 0.9], series="1.2.3.4")
    series_driver.record([0, 5], series="1.2.3.5")
    series_driver.form()

    summary = _summary(series_driver, settings, ids[1])
    shown = _shown(series_driver, settings, summary)

    assert "2 of 2" in shown
    assert "1.2.3.4" in shown
    assert "1.2.3.5" not in shown
    assert (summary.failed_series, summary.exit_code) == (0, 0)


def test_the_tables_of_images_and_series_have_one_note(series_driver: SeriesDriver, settings: Settings) -> None:
    """It stands below the last table."""
    (alone,) = series_driver.record([0], series="1.2.3.5", study=None)
    series_driver.record([0, 5])
    series_driver.form()

    shown = _shown(series_driver, settings, _summary(series_driver, settings))

    assert _shown(series_driver, settings, _summary(series_driver, settings, alone)).count("Not for diagnosis.") == 1
    assert shown.count("Not for diagnosis.") == 1
    assert shown.index("Not for diagnosis.") > shown.index("2 of 2")


def test_of_many_series_the_latest_twenty_are_shown(series_driver: SeriesDriver, settings: Settings) -> None:
    """Also if the run has too many images for a table of them."""
    for number in range(21):
        series_driver.record([0], series=f"1.2.3.{number + 100}")
    series_driver.form()

    shown = _shown(series_driver, settings, _summary(series_driver, settings))

    assert shown.count("1 of 1") == 20
    assert "1.2.3.120" in shown
    assert "1.2.3.100" not in shown
    listed = f"`nightread query --state {settings.state_dir} --series --limit 0`"
    assert f"The latest 20 rows of a longer list: {listed} shows all." in shown


def test_without_series_there_is_no_table_of_them(ledger_driver: LedgerDriver, settings: Settings) -> None:
    """Most runs have none."""
    series_driver = SeriesDriver(ledger_driver=ledger_driver, folder=settings.state_dir)
    assert "series" not in _shown(series_driver, settings, _summary(series_driver, settings))


def test_a_series_that_failed_ends_with_1_and_says_what_to_do(series_driver: SeriesDriver, settings: Settings) -> None:
    """Its slices have results, so the counts of images alone would say that all is well."""
    series_driver.record([0, 5])
    _kill_all_attempts(series_driver)

    summary = _summary(series_driver, settings)

    assert (summary.tally.failed, summary.failed_series, summary.exit_code) == (0, 1, 1)
    hint = (
        f"1 series could not be formed. `nightread query --state {settings.state_dir} --series --limit 0` lists the "
        f"reasons. Then: `nightread retry --state {settings.state_dir} --failed`, and run this command again."
    )
    assert summary.hints == (hint,)
    assert "killed_worker" in _shown(series_driver, settings, summary)


def test_a_failed_series_of_another_source_is_no_failure_of_the_run(
    series_driver: SeriesDriver, settings: Settings
) -> None:
    """Nor is it shown; a run over all sources has it."""
    driver = series_driver.ledger_driver
    inbox = driver.source_id
    series_driver.record([0, 5], series="1.2.3.4")
    driver.source_id = ledger.ensure_source(
        driver.database, name="other", kind="folder", root="/other", now=driver.clock()
    )
    series_driver.record([0, 5], series="1.2.3.5")
    _kill_all_attempts(series_driver)

    def failed(*source_ids: int) -> int:
        scope = ArrivalScope(source_ids=source_ids)
        return summarise(driver.database, scope, new=1, since=driver.clock(), settings=settings).failed_series

    both = [inbox, driver.source_id]
    assert [failed(inbox), failed(driver.source_id), failed(*both)] == [1, 1, 2]
    only = ArrivalScope(source_ids=(inbox,))
    assert [each.series_instance_uid for each in series_list(driver.database, scope=only)] == ["1.2.3.4"]


def test_a_result_of_before_says_why_there_is_no_newer_one(series_driver: SeriesDriver, settings: Settings) -> None:
    """A later slice could not be put in order: the earlier result stays, with the reason beside it."""
    series_driver.record([0, 5], [0.1, 0.9])
    series_driver.form()
    series_driver.record([10])
    _kill_all_attempts(series_driver)

    shown = _shown(series_driver, settings, _summary(series_driver, settings))

    (row,) = [line for line in shown.splitlines() if line.startswith("1.2.3.4 ") and "2 of 2" in line]
    assert "nodule" in row
    assert row.rstrip().endswith("killed_worker")


def test_a_series_without_a_finding_has_no_label(series_driver: SeriesDriver, settings: Settings) -> None:
    """A bundle without a normal label gives none to a series below all thresholds."""
    (image,) = series_driver.record([0])
    series_driver.form()
    database = series_driver.ledger_driver.database
    database.write(lambda connection: connection.execute(update(series_results).values(label=None)))

    shown = _shown(series_driver, settings, _summary(series_driver, settings, image))

    assert "no label" in shown


def test_json_has_all_series(
    series_driver: SeriesDriver, settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    """With the columns of `query --series --format json`."""
    series_driver.record([0, 5], [0.1, 0.9])
    series_driver.form()

    print_results_json(_summary(series_driver, settings), series_driver.ledger_driver.database)

    found = json.loads(capsys.readouterr().out)
    assert [(each["label"], each["slices"], each["of_slices"]) for each in found["series"]] == [("nodule", 2, 2)]
    assert [image["image_id"] for image in found["images"]] == [1, 2]
    assert found["failed_series"] == 0
