"""`nightread backup`, on both databases and while images arrive."""

import json
import stat
import tarfile
from datetime import UTC, datetime
from pathlib import Path

import pytest
from backup_site import KEY_ID, SITE_KEY, MakeArrivals, Site, backup_of, disk_full, nightread, rows_of
from pydantic import SecretStr
from servers import PostgresServer

from cli.backups import write
from db.backup import postgresql_dump, sqlite_copy
from db.queries.backups import latest_backup
from nightread.errors import UsageFault
from nightread.settings import load_settings


def test_only_the_owner_can_read_a_backup_and_no_key_is_in_it(site: Site, tmp_path: Path) -> None:
    """Mode 0600, without site key, passwords, logs; nothing of the work is left beside it."""
    file = backup_of(site, tmp_path / "state")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    with tarfile.open(file) as tar:
        names = tar.getnames()
    database = "database.sqlite3" if site.postgres is None else "database.dump"
    assert names == [database, "bundles/own-1/bundle.json", "bundles/own-1/model.keras", "manifest.json"]
    assert SITE_KEY.encode() not in file.read_bytes()
    assert not list(site.state.glob(".*"))


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


def test_the_new_backup_stays_after_the_clock_was_set_back(tmp_path: Path) -> None:
    """Files of a wrong time in the future look younger: they take places, but not that of the new one."""
    names = [f"nightread-{year}0101T000000Z.tar" for year in (2026, 2098, 2099)]
    for name in names:
        (tmp_path / name).touch()
    removed = write.remove_older(tmp_path / names[0], 2)
    assert [path.name for path in removed] == names[1:2]
    assert write.remove_older(tmp_path / names[0], 1) == [tmp_path / names[2]]
    assert [path.name for path in tmp_path.iterdir()] == names[:1]


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
    before = rows_of(database)
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
    assert rows_of(database)["instances"] == before["instances"] + 5 * len(steps)
    assert site.restore(target).exit_code == 0
    with site.new_database() as restored:
        assert rows_of(restored)["instances"] == before["instances"]


def test_a_full_disk_is_said_before_it_is_full(site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A copy of SQLite is not begun if it would leave less than the reserve; any other error of the disk has words."""
    if site.postgres is None:
        monkeypatch.setenv("NIGHTREAD_DISK_RESERVE_BYTES", str(10**15))
        assert "temporarily needs" in str(site.backup("--to", tmp_path).exception)
        monkeypatch.delenv("NIGHTREAD_DISK_RESERVE_BYTES")
    monkeypatch.setattr(write, "_publish", disk_full)
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
        assert "pg_dump is not installed here" in str(nightread("backup", *place).exception)
        _script(programs / "pg_dump", "echo 'pg_dump (PostgreSQL) 9.6.1'")
        assert "pg_dump 9 cannot dump a server of PostgreSQL" in str(nightread("backup", *place).exception)
        _script(programs / "pg_dump", 'case "$1" in --version) echo "pg_dump 99.1";; *) echo SECRET >&2; exit 3;; esac')
        failed = nightread("backup", *place)
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
