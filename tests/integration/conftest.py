"""Fixtures that several files of integration tests share."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from analysed_studies import AnalysedStudies
from backup_site import KEY_ID, SITE_KEY, MakeArrivals, Site
from cstore_receiver import RunningReceiver, running_receiver
from databases import NewSqlite
from dicom_files import phantom
from ledger_driver import LedgerDriver

from cli.main import main
from db import ledger
from db.tables import State
from imaging.facts import Facts
from nightread.reasons import Reason


@pytest.fixture
def scan(tmp_path: Path) -> Path:
    """A valid image."""
    path = tmp_path / "scan.dcm"
    path.write_bytes(phantom(1))
    return path


@pytest.fixture
def receiver(tmp_path: Path, new_sqlite: NewSqlite) -> Iterator[RunningReceiver]:
    """A receiver with a database of its own; it gives up a silent connection after a second."""
    with (
        new_sqlite(tmp_path / "nightread.sqlite3", durable=True) as database,
        running_receiver(tmp_path, database, idle_seconds=1) as running,
    ):
        yield running


@pytest.fixture
def studies(ledger_driver: LedgerDriver, tmp_path: Path, bundle_id: int) -> AnalysedStudies:
    """A database with one study to report."""
    studies = AnalysedStudies(ledger_driver=ledger_driver, folder=tmp_path, bundle_id=bundle_id)
    studies.add_study()
    return studies


@pytest.fixture
def site(
    ledger_driver: LedgerDriver,
    make_arrivals: MakeArrivals,
    bundle_id: int,
    tmp_path: Path,
    request: pytest.FixtureRequest,
) -> Iterator[Site]:
    """Images: 3 done, 1 rejected, 2 being analysed, 2 queued, 2 waiting."""
    ledger_driver.register(make_arrivals(3))
    ledger_driver.analyse_all(bundle_id=bundle_id, facts=Facts(key_id=KEY_ID))
    ledger_driver.register(make_arrivals(1))
    ledger_driver.analyse_all(state=State.REJECTED, reason=Reason.TRUNCATED, content="b" * 64)
    ledger_driver.register(make_arrivals(4))
    running, _queued = ledger_driver.form(images=2)
    ledger_driver.claim(running)
    ledger_driver.register(make_arrivals(2))
    ledger.heartbeat(
        ledger_driver.database,
        node="w1",
        boot_id="boot-1",
        now=ledger_driver.clock(),
        slots=1,
        device="CPU",
        release="1",
    )
    beat = ledger.Heartbeat(part=ledger.PartKind.WATCHER, node="host", boot_id="boot-2")
    ledger.record_heartbeats(ledger_driver.database, [beat], now=ledger_driver.clock())
    state = tmp_path / "state"
    bundle = state / "bundles" / "own-1"
    bundle.mkdir(parents=True)
    (bundle / "bundle.json").write_text('{"name": "own", "version": "1"}')
    (bundle / "model.keras").write_bytes(b"weights" * 1000)
    (state / "bundles" / ".importing").mkdir()
    (state / "site.key").write_text(SITE_KEY + "\n")
    made = Site(ledger_driver=ledger_driver, state=state, postgres=None, new_state=tmp_path / "new")
    if ledger_driver.database.is_sqlite:
        yield made
        return
    made.postgres = request.getfixturevalue("postgres_server")
    with made.postgres.database(template="template0") as empty:
        made.new_urls.append(empty.writer.url.render_as_string(hide_password=False))
        empty.close()
        yield made


@pytest.fixture
def nightread(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str, str]]:
    """Return a function that runs `nightread` and returns exit code, standard output and standard error."""
    monkeypatch.setenv("NIGHTREAD_STATE_DIR", str(tmp_path / "state"))

    def call(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["nightread", *map(str, arguments)])
        code = 0
        try:
            main()
        except SystemExit as end:
            code = int(end.code or 0)
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return call
