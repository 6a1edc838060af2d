"""A backup that is made during a run, a lost state, and a restore: the counts are those of a run without a loss."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from dicom_files import phantom
from nightread_process import run, started, wait_until

from db import queries
from db.engine import open_database

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
SCANS = 40


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.servers)])
def urls(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[str, str]]:
    """URLs of a new database and of an empty one for the restore."""
    if request.param == "sqlite":
        yield (f"sqlite:///{tmp_path / 'state' / 'n.sqlite3'}", f"sqlite:///{tmp_path / 'state' / 'n.sqlite3'}")
        return
    server = request.getfixturevalue("postgres_server")
    with server.database(template="template0") as first, server.database(template="template0") as second:
        yield tuple(each.writer.url.render_as_string(hide_password=False) for each in (first, second))


def test_a_backup_during_a_run_brings_everything_back(urls: tuple[str, str], tmp_path: Path) -> None:
    """Backup while the worker starts and analyses; lose everything; restore; run again: same results, clean audit."""
    inbox, state, output = tmp_path / "inbox", tmp_path / "state", tmp_path / "output"
    inbox.mkdir()
    state.mkdir()
    for index in range(SCANS):
        (inbox / f"{index}.dcm").write_bytes(phantom(index))
    (inbox / "copy.dcm").write_bytes(phantom(0))
    (inbox / "notes.txt").write_text("Not a scan.\n")
    command = ("run", inbox, "--model", "phantom", "--workers", "1", "--json", "--state", state)
    with started(*command, "--database-url", urls[0], output=output, BATCH_IMAGES=2) as process:
        wait_until(lambda: _arrived(urls[0]) == SCANS + 2, seconds=180, what=output.read_text)
        made = run("backup", "--to", tmp_path / "b.tar", "--state", state, "--database-url", urls[0])
        assert made.returncode == 0, made.stderr
        assert process.poll() is None
        assert process.wait(300) == 0, output.read_text()
    first = _results(urls[0], state)
    shutil.move(state / "site.key", tmp_path / "site.key")
    shutil.rmtree(state)

    place = ("--state", state, "--database-url", urls[1])
    restored = run("restore", tmp_path / "b.tar", "--site-key", tmp_path / "site.key", *place)
    assert restored.returncode == 0, restored.stdout + restored.stderr
    assert "The database is consistent" in restored.stdout
    again = run(*command, "--database-url", urls[1], seconds=300)
    assert again.returncode == 0, again.stderr
    assert json.loads(again.stdout)["done"] == SCANS
    assert _results(urls[1], state) == first
    assert len(first) == SCANS + 2
    assert run("audit", *place).returncode == 0


def _arrived(url: str) -> int:
    try:
        database = open_database(url)
        try:
            return queries.tally(database).arrived
        finally:
            database.close()
    except Exception:  # noqa: BLE001 - the run has not created its tables yet
        return 0


def _results(url: str, state: Path) -> list[tuple[object, ...]]:
    listed = run("query", "--format", "json", "--state", state, "--database-url", url)
    rows = json.loads(listed.stdout)
    return sorted((row["uri"], row["state"], row["reason"] or "", row["label"] or "") for row in rows)
