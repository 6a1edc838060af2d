"""`nightread run` with a real Redis and a real PostgreSQL instead of the embedded servers."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import skip_reasons
from dicom_files import cine, phantom
from nightread_process import run, started, wait_until
from redis import Redis
from sqlalchemy import select

from cli.embedded.redis_server import running_redis
from cli.embedded.state_folder import make_state_folder
from db import queries
from db.engine import Database
from db.tables import batches
from nightread.settings import load_settings

pytestmark = pytest.mark.servers

SCANS, CINES = 20, 4


@pytest.fixture
def redis_7(tmp_path: Path) -> Iterator[str]:
    """Start the Redis of the system and return its URL."""
    binary = shutil.which("redis-server")
    if binary is None:
        pytest.skip(skip_reasons.REDIS)
    settings = load_settings(None, state_dir=tmp_path / "redis", redis_server=binary)
    make_state_folder(settings.state_dir)
    with running_redis(settings) as (url, _server):
        yield url


@pytest.mark.slow
def test_counts_are_the_same_as_with_embedded_servers(
    redis_7: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    """Two processes share the batches; a second dispatcher is refused; the audit finds no violation."""
    inbox, state, output = tmp_path / "inbox", tmp_path / "state", tmp_path / "output"
    _fill(inbox)
    with request.getfixturevalue("postgres_server").database() as database:
        url = database.writer.url.render_as_string(hide_password=False)
        place = ("--state", state, "--redis-url", redis_7, "--database-url", url)
        arguments = ("run", inbox, "--model", "phantom", "--workers", "2", "--json", *place)
        with started(*arguments, output=output, BATCH_IMAGES=2) as process:
            wait_until(lambda: queries.tally(database).arrived > 0, seconds=30, what=output.read_text)
            second = run("dispatch", *place[2:], "--state", tmp_path / "other")
            assert process.wait(90) == 0, output.read_text()
        printed = json.loads(output.read_text())
        assert (second.returncode, "Another dispatcher" in second.stderr) == (2, True), second.stderr
        assert [printed[name] for name in ("done", "duplicate", "rejected", "failed")] == [SCANS + CINES, SCANS, 1, 0]
        assert _processes(database) == {0, 1}
        assert run("audit", *place).returncode == 0
        again = run(*arguments)
        assert (again.returncode, json.loads(again.stdout)["new"]) == (0, 0)
    with Redis.from_url(redis_7) as redis:
        assert int(redis.info("server")["redis_version"].partition(".")[0]) >= 7


def _fill(inbox: Path) -> None:
    inbox.mkdir()
    for index in range(CINES):
        (inbox / f"cine-{index}.dcm").write_bytes(cine(index, frames=25))
    for index in range(SCANS):
        for copy in ("a", "b"):
            (inbox / f"{copy}-{index}.dcm").write_bytes(phantom(index))
    (inbox / "notes.txt").write_text("Not a scan.\n")


def _processes(database: Database) -> set[int]:
    with database.read() as connection:
        worked = connection.execute(select(batches.c.process_index, batches.c.outcomes)).all()
    return {row.process_index for row in worked if row.outcomes}
