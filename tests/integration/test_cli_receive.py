"""`nightread receive` and `receipts`, and how other commands handle received files."""

import json
import shutil
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner, Result
from cstore_receiver import NAME
from dicom_peers import free_port
from ledger_driver import LedgerDriver, SettableClock

import producer.cstore
from cli.checks.spool import check_spool
from cli.main import cli
from db import ledger
from db.engine import Database
from db.ledger import Arrival, Receipt
from db.tables import State
from nightread.clock import utc_now
from nightread.errors import UsageFault
from nightread.reasons import Reason
from nightread.settings import load_settings

pytestmark = pytest.mark.servers


@pytest.fixture
def spool(tmp_path: Path) -> Path:
    """Return a spool folder in which only the file `kept` exists."""
    folder = tmp_path / "spool" / "pacs-12345678"
    (folder / "20261101" / "0a1b2c3d").mkdir(parents=True)
    (folder / "20261101" / "0a1b2c3d" / "kept.dcm").write_bytes(b"")
    return folder


@pytest.fixture
def received(database: Database, clock: SettableClock, spool: Path) -> LedgerDriver:
    """Register two images that failed long ago: image 1 has its file, the file of image 2 was purged."""
    source_id = ledger.ensure_source(database, name=NAME, kind="receiver", root=str(spool), now=clock())
    ledger_driver = LedgerDriver(database=database, clock=clock, source_id=source_id)
    clock.now = utc_now()
    clock.advance(days=-20)
    for name in ("kept", "purged"):
        ledger_driver.register([Arrival(uri=f"20261101/0a1b2c3d/{name}.dcm", size=0, mtime_ns=1)])
        ledger_driver.analyse_all(state=State.FAILED, reason=Reason.IO_ERROR)
    return ledger_driver


def test_retry_skips_purged_files(received: LedgerDriver) -> None:
    """They would fail again, and the first reason would be lost."""
    printed = json.loads(_call(received.database, "retry", "--failed", "--json").stdout)
    assert (printed["image_ids"], printed["purged"], printed["retried"]) == ([1], [2], 1)
    assert received.states() == ["received", "failed"]


def test_audit_does_not_report_purged_files_as_missing(received: LedgerDriver) -> None:
    """Purged files are counted; a file that is missing too early is listed."""
    received.clock.now = utc_now()
    received.register([Arrival(uri="20261101/0a1b2c3d/gone.dcm", size=0, mtime_ns=1)])
    printed = json.loads(_call(received.database, "audit", "--no-queue", "--json").stdout)
    (spool,) = printed["folders"]
    assert (printed["holds"], spool["kind"], spool["files"], spool["purged"]) == (True, "receiver", 1, 1)
    assert [gone["image_id"] for gone in spool["gone"]] == [3]


def test_doctor_shows_for_how_many_nights_the_disk_has_space(received: LedgerDriver, tmp_path: Path) -> None:
    """The estimate uses the largest day of the last week; less than one night is a failure."""
    url = received.database.writer.url.render_as_string(hide_password=False)
    settings = load_settings(state_dir=tmp_path, database_url=url)
    received.clock.now = utc_now()
    assert [check.result for check in check_spool(settings)] == ["ok"]
    received.register([Arrival(uri="20261101/0a1b2c3d/large.dcm", size=1 << 60, mtime_ns=1)])
    (check,) = check_spool(settings)
    assert (check.result, "0.0 nights" in check.found) == ("fail", True)


def test_doctor_warns_before_received_images_are_refused(
    received: LedgerDriver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The spool may be on a disk of its own."""
    url = received.database.writer.url.render_as_string(hide_password=False)
    settings = load_settings(state_dir=tmp_path, database_url=url, disk_reserve_bytes=256 * 1024**2)
    monkeypatch.setattr(shutil, "disk_usage", lambda _folder: SimpleNamespace(free=1000 * 1024**2))
    (check,) = check_spool(settings)
    assert (check.result, "images are refused" in (check.remedy or "")) == ("warn", True)


def test_receipts_are_summed_by_sender(received: LedgerDriver) -> None:
    """Table and JSON have the response statuses of each sender; other times have no association."""
    for number, title in enumerate(("CT1", "CT1", "MR1")):
        _note(received, f"association-{number}", title, statuses={"A700": number, "aborted": 1})
    table = _call(received.database, "receipts").stdout
    printed = json.loads(_call(received.database, "receipts", "--json", "--since", "2000-01-01").stdout)
    by_title = {sender["calling_ae"]: sender for sender in printed["senders"]}
    assert (by_title["CT1"]["associations"], by_title["CT1"]["received"]) == (2, 20)
    assert (by_title["MR1"]["refused"], by_title["MR1"]["statuses"]) == (2, {"A700": 2, "aborted": 1})
    assert len(printed["associations"]) == 3
    assert all(word in table for word in ("CT1", "MR1", "A700 x 2", "aborted x 1"))
    assert "No sender opened an association" in _call(received.database, "receipts", "--until", "2000-01-01").stdout


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ((), "The settings have no receiver"),
        (("--ae-title", "a" * 17), "--ae-title"),
        (("--caller", "CT\\1"), "--caller"),
        (("--caller", ""), "to accept every caller"),
        (("--name", "n" * 300), "--name"),
    ],
)
def test_wrong_options_are_reported(database: Database, options: tuple[str, ...], message: str) -> None:
    """The error is one sentence and comes before a port is opened."""
    with pytest.raises(UsageFault) as raised:
        _call(database, "receive", *options)
    assert message in str(raised.value)


def test_callers_are_never_ignored(tmp_path: Path, database: Database) -> None:
    """`--name` alone selects a receiver of the settings; together with --caller the list of callers is used."""
    config = tmp_path / "settings.toml"
    config.write_text('[[sources]]\nkind = "receiver"\nname = "pacs"\nport = 0\n', "utf-8")
    state = ("--config", str(config), "--state", str(tmp_path), "--redis-url", "redis://127.0.0.1:1")
    with pytest.raises(UsageFault, match="10 is neither an IP address nor a network"):
        _call(database, "receive", *state, "--name", "pacs", "--caller", "@10")


def test_a_missing_library_is_reported_with_its_extra(monkeypatch: pytest.MonkeyPatch, database: Database) -> None:
    """The extra `stores` installs pynetdicom."""
    from cli import failures  # noqa: PLC0415

    monkeypatch.setitem(sys.modules, "pynetdicom", None)
    monkeypatch.setattr(producer, "cstore", producer.cstore)  # the package that is imported again is forgotten
    for name in [
        name for name in sys.modules if name.startswith(("pynetdicom.", "producer.cstore.receiver", "producer.cstore"))
    ]:
        monkeypatch.delitem(sys.modules, name)
    with pytest.raises(ModuleNotFoundError) as raised:
        _call(database, "receive", "--port", str(free_port()))
    assert failures.EXTRAS[(raised.value.name or "").partition(".")[0]] == "stores"


def _call(database: Database, *arguments: str) -> Result:
    url = database.writer.url.render_as_string(hide_password=False)
    return CliRunner().invoke(cli, [*arguments, "--database-url", url], catch_exceptions=False, standalone_mode=False)


def _note(ledger_driver: LedgerDriver, association: str, title: str, *, statuses: dict[str, int]) -> None:
    values: dict[str, Any] = {
        "began_at": ledger_driver.clock(),
        "ended_at": ledger_driver.clock(),
        "address": "10.1.2.3",
        "failed": 0,
    }
    receipt = Receipt(
        association=association,
        calling_ae=title,
        received=10,
        refused=statuses["A700"],
        statuses={name: times for name, times in statuses.items() if times},
        **values,
    )
    ledger.receive(
        ledger_driver.database,
        source_id=ledger_driver.source_id,
        arrivals=[],
        associations=[receipt],
        priority=5,
        now=ledger_driver.clock(),
    )
