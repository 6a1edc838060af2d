"""`nightread doctor` reports each misconfiguration of database, certificates and other systems, with its remedy."""

import json
import shutil
import ssl
import subprocess
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import skip_reasons
from click.testing import CliRunner
from databases import NewSqlite
from doctor_cases import Case, Place, cases
from report_destinations import stow_server
from sqlalchemy import text

from cli import doctor
from cli.checks import database as database_checks
from cli.checks.certificates import check_certificates, check_server, valid_period
from cli.checks.check import Check
from cli.checks.database import check_database
from cli.main import cli
from db import ledger
from db.engine import Database
from db.queries.backups import BACKUP
from nightread.errors import StopWork
from nightread.sources import Tls

pytestmark = [
    pytest.mark.usefixtures("collect_garbage"),
    pytest.mark.filterwarnings("ignore:Exception ignored in. <socket:pytest.PytestUnraisableExceptionWarning"),
]
NOW = datetime(2026, 11, 5, 22, 0, tzinfo=UTC)
Change = Callable[[Database], object]


def _arrive(database: Database) -> None:
    source_id = ledger.ensure_source(database, name="inbox", kind="folder", root="/inbox", now=NOW)
    arrival = ledger.Arrival(uri="a.dcm", size=1, mtime_ns=1)
    ledger.register(database, source_id=source_id, arrivals=[arrival], priority=5, now=NOW)


def _back_up(database: Database, *, days: float) -> None:
    at = NOW - timedelta(days=days)
    ledger.write_entry(database, BACKUP, {"taken_at": at.isoformat()}, actor="ann", now=at)


def _opt_out(database: Database) -> None:
    ledger.add_opt_out(database, ["p" * 64], number_key=None, key_id="12345678", actor="ann", now=NOW)


def _execute(statement: str) -> Change:
    return lambda database: database.write(lambda connection: connection.execute(text(statement)))


def _with(*changes: Change, **settings: Any) -> Callable[[Place], Iterable[Check]]:
    """Make the changes in the database of the state folder, and check it at NOW."""

    def checks(place: Place) -> Iterable[Check]:
        with _new_sqlite[0](place.state / "nightread.sqlite3") as database:
            for change in changes:
                change(database)
        return check_database(place.settings(site_key="our key", **settings), lambda: NOW)

    return checks


_new_sqlite: list[NewSqlite] = []


@pytest.fixture(autouse=True)
def template(new_sqlite: NewSqlite) -> None:
    """Keep the maker of databases, which the rows of the table call."""
    _new_sqlite[:] = [new_sqlite]


def _damaged(place: Place) -> Iterable[Check]:
    (place.state / "nightread.sqlite3").write_bytes(b"no database" * 1000)
    return check_database(place.settings())


def _other_clock(place: Place) -> Iterable[Check]:
    def differ(*_arguments: object) -> None:
        raise StopWork("This host's clock is 99 s ahead: synchronise both clocks with NTP.")

    place.monkeypatch.setattr(database_checks, "require_clock_agreement", differ)
    return list(_with()(place))


def _url(url: str) -> Callable[[Place], Iterable[Check]]:
    return lambda place: check_database(place.settings(database_url=url))


@cases(
    ("no database", lambda place: check_database(place.settings()), "database", "warn", "does not exist",
     "nightread run"),
    ("no folder of the database", _url("sqlite:////no/such/folder/n.sqlite3"), "database", "warn", "does not exist",
     "db upgrade"),
    ("another kind of database", _url("mysql://h/n"), "database", "fail", "cannot be opened", "PostgreSQL or SQLite"),
    ("no server there", _url("postgresql://u:p@127.0.0.1:1/n"), "database", "fail", "cannot be used",
     "cannot be reached"),
    ("a damaged file", _damaged, "database", "fail", "cannot be used", "restore it from a backup"),
    ("an older schema", _with(_execute("UPDATE alembic_version SET version_num = '0001'")), "database", "fail",
     "cannot be used", "nightread db upgrade"),
    ("a newer schema", _with(_execute("UPDATE alembic_version SET version_num = '9999'")), "database", "fail",
     "cannot be used", "newer release"),
    ("another clock", _other_clock, "clock", "fail", "differs", "NTP"),
    ("another site key", _with(_arrive, _execute("UPDATE instances SET key_id = '12345678'")), "site key", "fail",
     "12345678", "NIGHTREAD_SITE_KEY"),
    ("opt-outs of another key", _with(_opt_out), "opt-outs", "fail", "another site key", "add the patients again"),
    ("a forgotten pause", _with(partial(ledger.pause, cause=ledger.Cause.PERSON, detail="x", actor="ann", now=NOW)),
     "dispatch", "warn", "person", "nightread status"),
    ("no backup", _with(_arrive), "backup", "warn", "none is recorded", "nightread backup"),
    ("an old backup", _with(_arrive, partial(_back_up, days=3)), "backup", "warn", "3.0 days old", "timer"),
)  # fmt: skip
def test_each_misconfiguration_of_the_database_is_reported(
    case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One check names it, with the right severity, what was found, and what to do."""
    (tmp_path / "state").mkdir(mode=0o700)
    case.require_reported(Place(folder=tmp_path, monkeypatch=monkeypatch))


@pytest.mark.parametrize(
    ("days", "limit", "said"), [(0.1, 2, "2 hours old"), (1.5, 2, "1.5 days old"), (30, 0, "30.0 days old")]
)
def test_a_backup_that_is_young_enough_is_no_problem(
    days: float, limit: float, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The limit is `backup_alarm_days`; 0 means no limit."""
    (tmp_path / "state").mkdir()
    place = Place(folder=tmp_path, monkeypatch=monkeypatch)
    checks = list(_with(_arrive, partial(_back_up, days=days), backup_alarm_days=limit)(place))
    assert [(check.result, check.found) for check in checks if check.name == "backup"] == [("ok", said)]


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Make a certificate that is valid for 90 days, and its key."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip(skip_reasons.OPENSSL)
    folder = tmp_path_factory.mktemp("tls")
    certificate, key = folder / "cert.pem", folder / "key.pem"
    command = [openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "90", "-subj", "/CN=h"]
    command += ["-addext", "subjectAltName=DNS:localhost"]
    subprocess.run([*command, "-keyout", key, "-out", certificate], check=True, capture_output=True)
    return certificate, key


@pytest.mark.parametrize(
    ("days", "result", "found", "remedy"),
    [
        (1, "ok", "is valid until", ""),
        (61, "warn", "expires on", "Renew it now"),
        (91, "fail", "expired on", "Renew it"),
        (-2, "fail", "is valid only from", "set the clock"),
    ],
)
def test_certificates_are_checked_against_the_time(
    pair: tuple[Path, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    days: int,
    result: str,
    found: str,
    remedy: str,
) -> None:
    """Before, in and after its period, and in the last 30 days."""
    place = Place(folder=tmp_path, monkeypatch=monkeypatch)
    settings = place.settings(api_tls={"certificate": pair[0], "key": pair[1]})
    (check,) = check_certificates(settings, datetime.now(UTC) + timedelta(days=days))
    assert (check.name, check.result) == ("TLS of the API", result)
    assert found in check.found
    assert remedy in (check.remedy or "")


def test_files_of_certificates_that_cannot_be_used_are_reported(
    pair: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A missing file, no PEM, the key of another certificate, and an authority without a certificate."""
    (text_file := tmp_path / "text").write_text("no certificate")
    place = Place(folder=tmp_path, monkeypatch=monkeypatch)
    for tls, said in (
        ({"certificate": tmp_path / "no", "key": pair[1]}, "cannot be read (FileNotFoundError)"),
        ({"certificate": text_file, "key": pair[1]}, "do not belong together"),
        ({"certificate": pair[0], "key": text_file}, "do not belong together"),
        ({"ca": text_file}, "has no certificate"),
    ):
        source = {"kind": "receiver", "name": "ct", "tls": tls}
        (check,) = check_certificates(place.settings(sources=[source]), NOW)
        assert (check.name, check.result) == ("TLS of ct", "fail")
        assert said in check.found
        assert check.remedy
    assert valid_period(b"\x30\x05abc") is None
    assert valid_period(b"") is None


def test_a_server_whose_certificate_expires_soon_is_reported(pair: tuple[Path, Path]) -> None:
    """It answers today; an open connection and an untrusted server have no certificate to look at."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*pair)
    with stow_server(200, tls=context) as (url, _):
        ask = partial(check_server, "pacs", url.replace("127.0.0.1", "localhost"))
        now, soon = datetime.now(UTC), datetime.now(UTC) + timedelta(days=61)
        (check,) = ask(Tls(ca=pair[0]), soon)
        assert (check.name, check.result) == ("TLS of pacs", "warn")
        assert "expires on" in check.found
        assert [*ask(Tls(ca=pair[0]), now), *ask(None, soon), *check_server("p", "http://h", None, soon)] == []


def test_strict_fails_for_warnings_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without it, a warning ends with 0; --peers asks the others."""
    monkeypatch.setenv("NIGHTREAD_STATE_DIR", str(tmp_path))
    warning = Check.warn("x", "found", "remedy")
    monkeypatch.setattr(doctor, "examine", lambda _settings, _config: [warning])
    monkeypatch.setattr(doctor, "check_peers", lambda _settings: [Check.fail("peer", "found", "remedy")])
    run = partial(CliRunner().invoke, cli)
    assert run(["doctor"]).exit_code == 0
    assert run(["doctor", "--strict"]).exit_code == 1
    strict = json.loads(run(["doctor", "--strict", "--json"]).stdout)
    assert (strict["ok"], [check["name"] for check in strict["checks"]]) == (False, ["x"])
    assert run(["doctor", "--peers"]).exit_code == 1
