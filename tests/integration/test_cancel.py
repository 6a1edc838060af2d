"""A person cancels images that wait."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from dicom_files import with_values
from ledger_driver import LedgerDriver, SettableClock
from sqlalchemy import select

from cli.main import cli
from db import ledger, queries
from db.engine import Database
from db.ledger import Arrival
from db.tables import audit
from nightread.errors import UsageFault
from nightread.reasons import Reason

MakeArrivals = Callable[..., list[Arrival]]


@pytest.fixture
def images(ledger_driver: LedgerDriver, make_arrivals: MakeArrivals) -> LedgerDriver:
    """Images: 1 done, 2 running, 3 queued, 4 and 5 waiting for a batch."""
    ledger_driver.register(make_arrivals(1))
    ledger_driver.analyse_all()
    ledger_driver.register(make_arrivals(1))
    (batch,) = ledger_driver.form()
    ledger_driver.claim(batch)
    ledger_driver.register(make_arrivals(1))
    ledger_driver.form()
    ledger_driver.register(make_arrivals(2))
    return ledger_driver


def _cancel(images: LedgerDriver, *arguments: str, answer: str = "") -> Result:
    return _command(images.database, *arguments, answer=answer)


def _command(database: Database, *arguments: str, answer: str = "") -> Result:
    url = database.writer.url.render_as_string(hide_password=False)
    return CliRunner().invoke(cli, ["cancel", *arguments, "--database-url", url], input=answer, catch_exceptions=False)


def _register(database: Database, clock: SettableClock, kind: str, root: str, uris: list[str]) -> None:
    source_id = ledger.ensure_source(database, name=kind, kind=kind, root=root, now=clock())
    arrivals = [Arrival(uri=uri, size=1, mtime_ns=1) for uri in uris]
    ledger.register(database, source_id=source_id, arrivals=arrivals, priority=5, now=clock())


def _states(images: LedgerDriver) -> list[tuple[str, str | None]]:
    return [(row.state, row.reason) for row in sorted(images.work(), key=lambda row: row.instance_id)]


def _audited(database: Database) -> Sequence[Any]:
    with database.read() as connection:
        return connection.execute(select(audit.c.action, audit.c.detail)).all()


def test_what_waits_is_cancelled_and_nothing_else(images: LedgerDriver) -> None:
    """An outcome and a worker's image stay; the others have one outcome, and the audit says who did it."""
    assert ledger.cancel(images.database, [5, 4, 3, 2, 1, 99], actor="ann", now=images.clock()) == [3, 4, 5]

    assert _states(images) == [("done", None), ("running", None), *[("rejected", "cancelled")] * 3]
    assert _audited(images.database) == [("images.cancel", {"images": [3, 4, 5]})]
    assert list(queries.violations(images.database)) == []


def test_a_second_cancel_changes_nothing(images: LedgerDriver) -> None:
    """Neither a row nor the audit."""
    ledger.cancel(images.database, [4], actor="ann", now=images.clock())
    images.clock.advance(minutes=1)

    assert ledger.cancel(images.database, [4], actor="bob", now=images.clock()) == []
    assert len(_audited(images.database)) == 1


def test_a_cancelled_image_can_be_retried(images: LedgerDriver) -> None:
    """It is analysed like a new one."""
    ledger.cancel(images.database, [3, 4, 5], actor="ann", now=images.clock())

    assert ledger.retry(images.database, [3, 4], actor="ann", now=images.clock()) == 2
    images.analyse_all()

    assert [state for state, _ in _states(images)][2:] == ["done", "done", "rejected"]


def test_a_waiting_rerun_is_not_cancelled(images: LedgerDriver) -> None:
    """Its image has an outcome; the row of the re-run waits on."""
    now, trial_id = images.clock(), images.register_trial_bundle()
    ledger.plan_rerun(images.database, [1], [trial_id], shadow=False, actor="ann", now=now)
    before = images.work()

    assert ledger.cancel(images.database, [1], actor="ann", now=now) == []

    assert [(row.ordinal, row.state) for row in before if row.instance_id == 1] == [(0, "done"), (1, "received")]
    assert images.work() == before


def test_the_command_names_what_it_leaves(images: LedgerDriver) -> None:
    """Images of a worker, and ids that do not wait."""
    result = _cancel(images, "1", "2", "3", "99", "--yes")

    assert result.exit_code == 0
    assert result.output.splitlines() == [
        "1 waiting image matches (3).",
        "1 image not cancelled (2): a worker has begun.",
        "2 images not cancelled (1, 99): has an outcome, does not match, or is not in the database.",
        "1 image is rejected (cancelled). `nightread retry --reason cancelled` retries all cancelled images.",
    ]
    assert _states(images)[2] == ("rejected", Reason.CANCELLED.value)


def test_a_dry_run_and_a_no_change_nothing(images: LedgerDriver) -> None:
    """The person is asked first."""
    before = _states(images)

    assert _cancel(images, "--source", "inbox", "--dry-run").exit_code == 0
    assert _cancel(images, "--source", "inbox", answer="n\n").exit_code == 1

    assert _states(images) == before


def test_a_study_is_cancelled(database: Database, clock: SettableClock, tmp_path: Path) -> None:
    """The headers of the waiting files, and the URLs of DICOMweb stores, say of which study they are."""
    for name, study in (("a.dcm", "1.2.3"), ("b.dcm", "1.2.30"), ("c.dcm", "1.2.3")):
        (tmp_path / name).write_bytes(with_values(1, StudyInstanceUID=study))
    (tmp_path / "d.zip").write_bytes(b"PK")
    _register(database, clock, "folder", str(tmp_path), ["a.dcm", "b.dcm", "c.dcm", "d.zip", "removed.dcm"])
    _register(database, clock, "dicomweb", "http://store", ["studies/1.2.3/series/1/instances/2", "instances/9"])

    result = json.loads(_command(database, "--study", "1.2.3", "--json").stdout)

    nothing: list[int] = []
    expected = {"waiting": [1, 3, 6], "running": nothing, "others": nothing, "unknown": [4, 5, 7]}
    assert result == {**expected, "dry_run": False, "cancelled": [1, 3, 6]}
    again = _command(database, "--study", "1.2.3", "--yes")
    assert (again.exit_code, again.stdout.splitlines()) == (
        0,
        [
            "No waiting image matches.",
            "3 images not cancelled (4, 5, 7): the study is not known before the image is read; give the image id.",
        ],
    )


def test_images_must_be_named(images: LedgerDriver) -> None:
    """Without a condition, all images would match."""
    with pytest.raises(UsageFault, match="Name the images"):
        _cancel(images)
    with pytest.raises(UsageFault, match="not both"):
        _cancel(images, "4", "--study", "1.2.3")
