"""`nightread retry` forms a series again whose bundle was gone; the trace of its slices says so."""

import json
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from ledger_driver import LedgerDriver
from series_driver import SERIES, SeriesDriver, series_bundle

from cli.main import cli
from db import ledger, queries
from db.ledger import SERIES_ATTEMPTS
from db.queries import Event, Series
from db.tables import State
from nightread.reasons import Reason


@dataclass(frozen=True, kw_only=True)
class LostBundle:
    """A series whose result failed, because the host that formed it did not have its bundle."""

    with_bundle: SeriesDriver
    without_bundle: SeriesDriver
    image_ids: list[int]

    @property
    def ledger_driver(self) -> LedgerDriver:
        """Return the ledger of both hosts."""
        return self.with_bundle.ledger_driver

    def result(self) -> Series:
        """Return the only result of all series."""
        (found,) = self.with_bundle.results()
        return found

    def retry(self, *arguments: Any) -> dict[str, Any]:
        """Run `nightread retry`, and return its JSON object."""
        url = self.ledger_driver.database.writer.url.render_as_string(hide_password=False)
        command = ["retry", *map(str, arguments), "--json", "--database-url", url]
        found: dict[str, Any] = json.loads(CliRunner().invoke(cli, command, catch_exceptions=False).stdout)
        return found

    def retries_in_trace(self, image_id: int) -> list[Event]:
        """Return the events in the trace of this image that say that its series was retried."""
        (trace,) = queries.trace(self.ledger_driver.database, [image_id])
        return [event for event in trace.events if event.values.get("action") == "series.retry"]


@pytest.fixture
def lost(ledger_driver: LedgerDriver, tmp_path: Path) -> LostBundle:
    """A series of two slices with results."""
    with_bundle = SeriesDriver(ledger_driver=ledger_driver, folder=tmp_path)
    without_bundle = SeriesDriver(ledger_driver=ledger_driver, folder=tmp_path, bundle=series_bundle(name="other"))
    image_ids = with_bundle.record([0, 5], [0.1, 0.9])
    without_bundle.form()
    return LostBundle(with_bundle=with_bundle, without_bundle=without_bundle, image_ids=image_ids)


def test_the_result_says_how_it_is_formed_again(lost: LostBundle) -> None:
    """The command that it names takes the series up."""
    failed = lost.result()
    assert (failed.series_state, failed.state, failed.reason) == ("formed", "failed", "internal_error")
    assert failed.detail == (
        "The bundle is not on this host any more. Copy its folder back, then run "
        "`nightread retry --reason internal_error`."
    )
    assert lost.retry("--reason", "internal_error")["series_retried"] == 1
    assert lost.result().series_state == "due"


@pytest.mark.parametrize("arguments", [("--failed",), ("--reason", "internal_error"), (1,), (2, "--failed")])
def test_a_retry_forms_the_series_with_the_bundle(lost: LostBundle, arguments: tuple[Any, ...]) -> None:
    """By any of its slices, although they have their results and are not analysed again."""
    dry = lost.retry(*arguments, "--dry-run")
    assert (dry["series"], dry["series_retried"], lost.result().series_state) == (1, 0, "formed")
    done = lost.retry(*arguments)
    assert (done["series_retried"], done["retried"]) == (1, 0)
    (formed,) = lost.with_bundle.form()
    assert (formed.series_state, formed.state, formed.label) == ("formed", "done", "nodule")
    assert lost.retry(*arguments)["series"] == 0
    assert list(queries.violations(lost.ledger_driver.database)) == []


@pytest.mark.parametrize(
    "arguments", [("--reason", "series_not_formed"), ("--failed", "--source", "inbox"), (1, "--source", "inbox"), (3,)]
)
def test_another_condition_leaves_the_series(lost: LostBundle, arguments: tuple[Any, ...]) -> None:
    """A series has no source; image 3 is of another one."""
    lost.with_bundle.record([0], series="1.2.3.5")
    assert lost.retry(*arguments)["series"] == 0


def test_without_the_bundle_it_fails_as_before(lost: LostBundle) -> None:
    """Once: it is not tried again by itself, and the result is no revision."""
    before = lost.result()
    lost.retry("--failed")
    lost.without_bundle.form()
    assert lost.result() == before
    assert lost.without_bundle.form() == [before]
    assert queries.unformed_series(lost.ledger_driver.database) == 0
    assert lost.retry("--failed", "--dry-run")["series"] == 1


def test_a_retry_of_one_of_its_images_lets_the_series_wait_for_it(lost: LostBundle) -> None:
    """Otherwise it would be formed at once, without the image."""
    (unread,) = lost.with_bundle.record([10], content="c" * 64, state=State.FAILED, reason=Reason.IO_ERROR)
    lost.without_bundle.form()
    done = lost.retry("--failed")
    assert (done["image_ids"], done["series"]) == ([unread], 1)
    assert lost.result().series_state == "collecting"


def test_a_done_slice_takes_up_a_series_that_could_not_be_formed(lost: LostBundle) -> None:
    """Its processes died; the slices have results."""
    driver = lost.ledger_driver
    lost.retry("--failed")
    for _ in range(SERIES_ATTEMPTS):
        ledger.claim_series(driver.database, most=9, lease=timedelta(seconds=60), now=driver.clock())
        ledger.return_expired_series(driver.database, now=driver.clock.advance(seconds=61))
    assert lost.result().series_state == "failed"
    assert lost.retry(lost.image_ids[1])["series_retried"] == 1
    assert lost.result().series_state == "due"


def test_the_trace_of_a_slice_has_the_retry_of_its_series(lost: LostBundle) -> None:
    """From the one row of the audit; an image of another series has none."""
    (other,) = lost.with_bundle.record([0], series="1.2.3.5")
    lost.with_bundle.record([0], series=SERIES, study="1.2.9")
    at = lost.ledger_driver.clock.advance(seconds=600)
    (series_id,) = [each.id for each in queries.retriable_series(lost.ledger_driver.database)]
    ledger.retry_series(lost.ledger_driver.database, [series_id], actor="ann", now=at)
    for image_id in lost.image_ids:
        (event,) = lost.retries_in_trace(image_id)
        assert (event.at, event.values["actor"], event.values["about"]) == (at, "ann", ["internal_error"])
        assert event.detail == "ann retried its series. The reason before was internal_error."
    assert [lost.retries_in_trace(image_id) for image_id in (other, other + 1)] == [[], []]
