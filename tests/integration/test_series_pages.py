"""The API and the page of a study show the results of series."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from api_client import ApiDriver, api_driver
from databases import NewSqlite
from ledger_driver import LedgerDriver, SettableClock
from pages_client import pages_client
from series_driver import SERIES, STUDY, SeriesDriver

from db import ledger
from db.tables import State
from nightread.reasons import Reason


@pytest.fixture
def api(new_sqlite: NewSqlite, tmp_path: Path) -> Iterator[ApiDriver]:
    """The application with a formed series of three slices."""
    with api_driver(new_sqlite, tmp_path) as driver:
        series_driver = SeriesDriver(ledger_driver=driver.ledger_driver, folder=tmp_path)
        series_driver.record([0, 5, 10], [0.1, 0.9, 0.1])
        series_driver.form()
        yield driver


def test_a_series_has_its_results_and_all_places(api: ApiDriver) -> None:
    """The images follow them."""
    series = api.client.get(f"/v1/series/{SERIES}").json()
    (result,) = series["results"]
    assert (result["label"], result["slices"], result["of_slices"], result["stack"]) == ("nodule", 3, 3, 1)
    assert result["evidence"] == [{"place": 2, "image_id": 2, "frame": 0, "score": 0.9}]
    assert [(place["image_id"], place["score"]) for place in result["places"]] == [(1, 0.1), (2, 0.9), (3, 0.1)]
    assert len(series["images"]) == 3


def test_a_study_lists_the_results_of_its_series(api: ApiDriver) -> None:
    """Without all places."""
    study = api.client.get(f"/v1/studies/{STUDY}").json()
    assert [(each["series_instance_uid"], each["label"]) for each in study["series"]] == [(SERIES, "nodule")]
    assert "places" not in study["series"][0]


def test_the_page_of_a_study_shows_result_evidence_and_coverage(new_sqlite: NewSqlite, tmp_path: Path) -> None:
    """The places of the slices that speak lead to their images."""
    with pages_client(new_sqlite, tmp_path, now=SettableClock().now) as pages:
        source = ledger.ensure_source(pages.database, name="a", kind="folder", root="/a", now=pages.clock())
        driver = LedgerDriver(database=pages.database, clock=pages.clock, source_id=source)
        series_driver = SeriesDriver(ledger_driver=driver, folder=tmp_path)
        series_driver.record([0, 5, 10], [0.1, 0.9, 0.1])
        series_driver.record([15], state=State.FAILED, reason=Reason.TIMEOUT, content="b" * 64)
        series_driver.form()
        page = pages.get(f"/studies/{STUDY}")
        words = pages.text(f"/studies/{STUDY}")
        strongest = series_driver.results()[0].evidence[0].image_id
    assert f'<a href="/images/{strongest}">2</a>' in page
    assert "3 of 4" in words
    assert "1 slice is without a result." in words
