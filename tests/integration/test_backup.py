"""`nightread backup` and `restore`, on both databases."""

import io
import json
import stat
import tarfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from ledger_driver import LedgerDriver
from pydantic import SecretStr
from servers import PostgresServer

from cli.backups import write
from cli.main import cli
from db import queries, schema
from db.backup import postgresql_dump, sqlite_copy
from db.backup.contents import count_rows
from db.engine import Database, open_database
from db.queries.backups import latest_backup
from db.tables import State
from imaging.facts import Facts
from imaging.patient import PatientHasher
from nightread.errors import StopWork, UsageFault
from nightread.reasons import Reason
from nightread.settings import load_settings

MakeArrivals = Callable[..., Any]
SITE_KEY = "0" * 62 + "17"
KEY_ID = PatientHasher(bytes.fromhex(SITE_KEY)).key_id


@dataclass(kw_only=True)
class Site:
    """A database with images in every state, a model, a site key, and an empty place for a restore."""

    ledger_driver: LedgerDriver
    state: Path
    postgres: PostgresServer | None
    new_state: Path
    new_urls: list[str] = field(default_factory=list)

    @property
    def url(self) -> str:
        """Return the URL of the database."""
        return self.ledger_driver.database.writer.url.render_as_string(hide_password=False)

    def backup(self, *arguments: str | Path) -> Result:
        """Run `nightread backup`."""
        return _nightread("backup", *arguments, "--state", self.state, "--database-url", self.url)

    def restore(self, file: Path, *arguments: str | Path, url: str | None = None) -> Result:
        """Run `nightread restore` in the new place, with the site key of the old one unless arguments say otherwise."""
        key = (
            ()
            if any("site-key" in str(argument) for argument in arguments)
            else ("--site-key", self.state / "site.key")
        )
        place = ("--state", self.new_state, "--database-url", url or self.new_url)
        return _nightread("restore", file, *arguments, *key, *place)

    @property
    def new_url(self) -> str:
        """Return the URL of the empty database in which a backup is restored."""
        return self.new_urls[0] if self.new_urls else f"sqlite:///{self.new_state / 'nightread.sqlite3'}"

    @contextmanager
    def new_database(self) -> Iterator[Database]:
        """Open the restored database."""
        with closing(open_database(self.new_url)) as database:
            yield database


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
    ledger_driver.analyse_all(state=State.REJECTED, reason=Reason.TRUNCATED, sha256="b" * 64)
    ledger_driver.register(make_arrivals(4))
    running, _queued = ledger_driver.form(images=2)
    ledger_driver.claim(running)
    ledger_driver.register(make_arrivals(2))
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


def _nightread(*arguments: str | Path) -> Result:
    return CliRunner().invoke(cli, [*map(str, arguments)], env={"NIGHTREAD_STATE_DIR": None})


def _backup_of(site: Site, folder: Path) -> Path:
    made = site.backup("--to", folder)
    assert made.exit_code == 0, made.output
    (file,) = folder.glob("nightread-*.tar")
    return file


def _rows(database: Database) -> dict[str, int]:
    with database.read() as connection:
        return count_rows(connection)


def test_what_was_backed_up_comes_back(site: Site, tmp_path: Path) -> None:
    """Counts and results are equal, work that was under way waits again, the audit is clean, and the age is known."""
    file = _backup_of(site, tmp_path)
    before, tally = _rows(site.ledger_driver.database), queries.tally(site.ledger_driver.database)
    restored = site.restore(file)

    assert restored.exit_code == 0, restored.output
    assert "4 images that were being analysed wait again." in restored.output
    with site.new_database() as database:
        assert _rows(database) == before
        now = queries.tally(database)
        assert (now.done, now.rejected, now.waiting, now.queued, now.running) == (3, 1, 6, 0, 0)
        assert (tally.waiting, tally.queued, tally.running) == (2, 2, 2)
        assert list(queries.violations(database)) == []
        assert latest_backup(database) == latest_backup(site.ledger_driver.database)
    model = site.new_state / "bundles" / "own-1" / "model.keras"
    assert model.read_bytes() == b"weights" * 1000
    assert (site.new_state / "site.key").read_text().strip() == SITE_KEY
    assert [path.name for path in (site.new_state / "bundles").iterdir()] == ["own-1"]
    audit = _nightread("audit", "--no-queue", "--no-folders", "--state", site.new_state, "--database-url", site.new_url)
    assert audit.exit_code == 0, audit.output


def test_only_the_owner_can_read_a_backup_and_no_key_is_in_it(site: Site, tmp_path: Path) -> None:
    """Mode 0600, without site key, passwords, logs; nothing of the work is left beside it."""
    file = _backup_of(site, tmp_path / "state")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    with tarfile.open(file) as tar:
        names = tar.getnames()
    database = "database.sqlite3" if site.postgres is None else "database.dump"
    assert names == [database, "bundles/own-1/bundle.json", "bundles/own-1/model.keras", "manifest.json"]
    assert SITE_KEY.encode() not in file.read_bytes()
    assert not list(site.state.glob(".*"))


def test_a_restore_overwrites_nothing(site: Site, tmp_path: Path) -> None:
    """A second restore, one over the living database, and one beside a model of this name are refused."""
    file = _backup_of(site, tmp_path)
    before = _rows(site.ledger_driver.database)
    assert site.restore(file, url=site.url).exit_code != 0
    assert _rows(site.ledger_driver.database) == before
    (site.new_state / "bundles" / "own-1").mkdir(parents=True)
    refused = site.restore(file)
    assert isinstance(refused.exception, UsageFault)
    assert "own-1 exists, and a restore never overwrites anything" in str(refused.exception)
    assert site.restore(file, "--no-bundles").exit_code == 0
    again = site.restore(file, "--no-bundles")
    assert isinstance(again.exception, UsageFault)
    assert "never overwrites" in str(again.exception)


def test_a_restore_needs_the_site_key_of_the_patients(site: Site, tmp_path: Path) -> None:
    """A new key would let patients who opted out in again: the command refuses, unless the key is elsewhere."""
    file = _backup_of(site, tmp_path)
    (other := tmp_path / "other.key").write_text("f" * 64)
    (broken := tmp_path / "broken.key").write_text("secret")
    place = ("--state", site.new_state, "--database-url", site.new_url)
    for arguments, said in (
        ((), f"hashed with the site key {KEY_ID}, which is never in a backup"),
        (("--site-key", other), f"hashed with the site key {KEY_ID}, not with"),
        (("--site-key", broken), "is no file of `nightread backup --site-key-to`"),
    ):
        refused = _nightread("restore", file, *arguments, *place)
        assert isinstance(refused.exception, UsageFault)
        assert said in str(refused.exception)
    assert site.restore(file, "--without-site-key").exit_code == 0
    assert not (site.new_state / "site.key").exists()


def test_a_damaged_backup_is_recognised_before_anything_is_written(site: Site, tmp_path: Path) -> None:
    """One changed byte of the database, of a model and a lost end are each found by --check and by restore."""
    file = _backup_of(site, tmp_path)
    assert "is complete and undamaged: 10 arrivals and 1 model" in site.restore(file, "--check").output
    whole = file.read_bytes()
    with tarfile.open(file) as tar:
        places = {member.name: member.offset_data + member.size // 2 for member in tar.getmembers()}
    places.pop("manifest.json")
    for name, place in places.items():
        file.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        refused = site.restore(file)
        assert isinstance(refused.exception, UsageFault)
        assert f"{name} in this backup is damaged" in str(refused.exception)
    file.write_bytes(whole[: places["bundles/own-1/model.keras"]])
    assert isinstance(site.restore(file, "--check").exception, UsageFault)
    assert not site.new_state.exists()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"schema_version": "9999"}, "schema 9999 of a newer release"),
        ({"format": 2}, "A later release of nightread wrote this backup"),
        ({"rows": None}, "manifest of this backup is damaged"),
        ({"bundles": ["../../x"]}, "does not have the models"),
    ],
)
def test_a_backup_that_does_not_fit_is_refused(site: Site, tmp_path: Path, changes: dict[str, Any], said: str) -> None:
    """A newer schema, a newer format, a broken manifest, and models that are not there."""
    file = _backup_of(site, tmp_path)
    _change_manifest(file, changes)
    refused = site.restore(file)
    assert isinstance(refused.exception, UsageFault | StopWork)
    assert said in str(refused.exception)
    assert not site.new_state.exists()


def test_a_backup_of_an_older_schema_is_upgraded(site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The restored database has the schema of this release, and the command says so."""
    file = _backup_of(site, tmp_path)
    monkeypatch.setattr(schema, "is_known", lambda _revision: True)
    _change_manifest(file, {"schema_version": "0001"})
    assert "The schema was upgraded from 0001 to " in site.restore(file).output


def test_other_rows_than_the_manifest_says_are_an_error(site: Site, tmp_path: Path) -> None:
    """The restore counts the rows of each table."""
    file = _backup_of(site, tmp_path)
    _change_manifest(file, {"rows": {**_rows(site.ledger_driver.database), "work": 1}})
    refused = site.restore(file)
    assert isinstance(refused.exception, StopWork)
    assert "has another number of rows (" in str(refused.exception)
    assert "work" in str(refused.exception)


def test_a_file_is_never_overwritten(site: Site, tmp_path: Path) -> None:
    """An existing file, a folder that is missing, and a file as the folder are refused."""
    (taken := tmp_path / "taken.tar").write_text("precious")
    for target, said in ((taken, "exists, and a backup never overwrites"), (tmp_path / "no" / "x", "does not exist")):
        refused = site.backup("--to", target)
        assert isinstance(refused.exception, UsageFault)
        assert said in str(refused.exception)
    assert taken.read_text() == "precious"


def test_two_backups_to_one_folder_do_not_meet_and_leftovers_are_removed(site: Site, tmp_path: Path) -> None:
    """A killed backup leaves a folder, whose lock the kernel frees."""
    left = tmp_path / write._PARTIAL
    left.mkdir()
    (left / "archive.tar").write_text("half")
    with write.lock_file(left / "lock"):
        assert "Another backup is being written" in str(site.backup("--to", tmp_path).exception)
    assert site.backup("--to", tmp_path).exit_code == 0
    assert not left.exists()


def test_without_a_name_it_is_in_the_state_folder_and_json_tells_all(site: Site) -> None:
    """The time in the name is that of the data, in UTC."""
    shown = json.loads(site.backup("--json").stdout)
    taken_at = datetime.fromisoformat(shown["taken_at"])
    assert shown["file"] == str(site.state / "backups" / f"nightread-{taken_at:%Y%m%dT%H%M%SZ}.tar")
    assert (shown["rows"]["instances"], shown["bundles"], shown["site_keys"]) == (10, ["own-1"], [KEY_ID])
    assert latest_backup(site.ledger_driver.database) == taken_at


def test_only_the_latest_backups_are_kept(site: Site, tmp_path: Path) -> None:
    """--keep removes files that a backup named, and nothing else."""
    for name in ("nightread-20260101T000000Z.tar", "nightread-20260102T000000Z.tar", "nightread-old.tar", "x.tar"):
        (tmp_path / name).touch()
    made = site.backup("--to", tmp_path, "--keep", "2", "--json")
    assert json.loads(made.stdout)["removed"] == ["nightread-20260101T000000Z.tar"]
    left = {path.name for path in tmp_path.glob("*.tar")} - {Path(json.loads(made.stdout)["file"]).name}
    assert left == {"nightread-20260102T000000Z.tar", "nightread-old.tar", "x.tar"}
    assert isinstance(site.backup("--to", tmp_path / "one.tar", "--keep", "2").exception, UsageFault)


def test_a_backup_of_another_program_is_recorded(site: Site) -> None:
    """Its age is known to `doctor` too."""
    assert latest_backup(site.ledger_driver.database) is None
    began = datetime.now(UTC)
    assert site.backup("--record").exit_code == 0
    recorded = latest_backup(site.ledger_driver.database)
    assert recorded is not None
    assert began <= recorded <= datetime.now(UTC)
    assert site.backup("--record", "--site-key-to", "x").exit_code != 0


def test_the_site_key_is_copied_into_a_file_of_its_own(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Mode 0600, never overwritten; a key of the settings is not copied."""
    copy = tmp_path / "key"
    assert site.backup("--site-key-to", copy).exit_code == 0
    assert (copy.read_text().strip(), stat.S_IMODE(copy.stat().st_mode)) == (SITE_KEY, 0o600)
    assert "exists" in str(site.backup("--site-key-to", copy).exception)
    monkeypatch.setenv("NIGHTREAD_SITE_KEY", "of the settings")
    assert "NIGHTREAD_SITE_KEY" in str(site.backup("--site-key-to", tmp_path / "2").exception)


def test_images_that_arrive_during_the_copy_are_not_in_it(
    site: Site, make_arrivals: MakeArrivals, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each step of the copy meets a new commit: nobody waits, and the copy is of the moment at which it began."""
    database = site.ledger_driver.database
    before = _rows(database)
    steps: list[float] = []

    def register(share: float = 0.0) -> None:
        steps.append(share)
        site.ledger_driver.register(make_arrivals(5))

    settings = load_settings(None, state_dir=site.state, database_url=SecretStr(site.url))
    if database.is_sqlite:
        monkeypatch.setattr(sqlite_copy, "_PAGES", 16)
    else:
        count = postgresql_dump.read_contents
        monkeypatch.setattr(postgresql_dump, "read_contents", lambda connection: (count(connection), register())[0])
    target = tmp_path / "b.tar"
    manifest = write.write_backup(settings, database, target, taken_at=datetime.now(UTC), on_progress=register)

    assert len(steps) >= (3 if database.is_sqlite else 1)
    assert manifest.rows == before
    assert _rows(database)["instances"] == before["instances"] + 5 * len(steps)
    assert site.restore(target).exit_code == 0
    with site.new_database() as restored:
        assert _rows(restored)["instances"] == before["instances"]


def test_a_full_disk_is_said_before_it_is_full(site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A copy of SQLite is not begun if it would leave less than the reserve; any other error of the disk has words."""
    if site.postgres is None:
        monkeypatch.setenv("NIGHTREAD_DISK_RESERVE_BYTES", str(10**15))
        assert "GiB for a while" in str(site.backup("--to", tmp_path).exception)
        monkeypatch.delenv("NIGHTREAD_DISK_RESERVE_BYTES")
    monkeypatch.setattr(write, "_publish", _disk_full)
    refused = site.backup("--to", tmp_path)
    assert "cannot be written to" in str(refused.exception)
    assert "No space left on device" in str(refused.exception)
    assert not list(tmp_path.glob("*.tar"))
    assert latest_backup(site.ledger_driver.database) is None


@pytest.mark.servers
def test_without_pg_dump_the_sentence_says_what_to_install(
    postgres_server: PostgresServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A missing pg_dump, one that is older than the server, and one that fails; no word of it is shown."""
    programs = tmp_path / "bin"
    programs.mkdir()
    monkeypatch.setenv("PATH", str(programs))
    with postgres_server.database() as database:
        url = database.writer.url.render_as_string(hide_password=False)
        place = ("--to", tmp_path, "--state", tmp_path / "state", "--database-url", url)
        assert "pg_dump is not installed here" in str(_nightread("backup", *place).exception)
        _script(programs / "pg_dump", "echo 'pg_dump (PostgreSQL) 9.6.1'")
        assert "pg_dump 9 cannot dump a server of PostgreSQL" in str(_nightread("backup", *place).exception)
        _script(programs / "pg_dump", 'case "$1" in --version) echo "pg_dump 99.1";; *) echo SECRET >&2; exit 3;; esac')
        failed = _nightread("backup", *place)
        assert "pg_dump failed (exit code 3)" in str(failed.exception)
        assert "SECRET" not in failed.output + str(failed.exception)


def test_the_password_of_the_database_is_no_argument() -> None:
    """Everybody on the host can read arguments; options of the URL stay."""
    conninfo, password = postgresql_dump._connection("postgresql://ann:s3cret@db.example:5433/night?sslmode=require")
    assert password == "s3cret"
    assert "s3cret" not in conninfo
    assert {"host=db.example", "port=5433", "user=ann", "dbname=night", "sslmode=require"} <= set(conninfo.split())


def _script(path: Path, body: str) -> None:
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)


def _disk_full(*_arguments: object) -> None:
    raise OSError(28, "No space left on device")


def _change_manifest(file: Path, changes: dict[str, Any]) -> None:
    with tarfile.open(file) as tar:
        members = [(member, tar.extractfile(member).read()) for member in tar.getmembers()]  # type: ignore[union-attr]
    with tarfile.open(file, "w") as tar:
        for member, content in members:
            if member.name == "manifest.json":
                content = json.dumps(json.loads(content) | changes).encode()  # noqa: PLW2901
                member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
