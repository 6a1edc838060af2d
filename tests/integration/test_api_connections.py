"""Slow searches and downloads make each other wait, and no image that is sent."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from api_server import running_api
from compose_processes import wait_until
from httpx2 import Client
from servers import PostgresServer

from db import queries
from db.engine import Database, open_database
from db.queries import Page

CONNECTIONS = 12
"""The fewest: one of them is for requests that read."""
SEARCHES, DOWNLOADS = 20, 2


class SlowReads:
    """Searches and downloads that hold a connection until `release` is set."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.release = threading.Event()
        self.searches, self.downloads = [], []  # type: ignore[var-annotated]

    def page(self, *_: Any, **_options: Any) -> Page:
        """Search, as `queries.page` does."""
        with self._database.read():
            self.searches.append(1)
            assert self.release.wait(60)
        return Page(rows=[], next_cursor=None)

    def text_chunks(self, *_: Any) -> Iterator[str]:
        """Read the rows of a download, as `api.export.text_chunks` does."""
        with self._database.read():
            yield "image_id\n"
            yield "1\n"
            self.downloads.append(1)
            assert self.release.wait(60)


@pytest.fixture
def database(postgres_server: PostgresServer) -> Iterator[Database]:
    """A database on PostgreSQL with the pool that `nightread api` has."""
    with postgres_server.database() as made:
        url = made.writer.url.render_as_string(hide_password=False)
        with closing(open_database(url, durable=True, connections=CONNECTIONS)) as opened:
            yield opened


@pytest.mark.servers
@pytest.mark.timeout(120)
def test_an_image_is_taken_while_searches_and_downloads_hold_their_connections(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More of them than there are connections; when they end, all have their responses."""
    slow = SlowReads(database)
    monkeypatch.setattr(queries, "page", slow.page)
    monkeypatch.setattr("api.file_exports.text_chunks", slow.text_chunks)
    with (
        running_api(database, tmp_path, api_connections=CONNECTIONS) as api,
        Client(base_url=f"http://127.0.0.1:{api.port}", timeout=20) as client,
        Client(base_url=f"http://127.0.0.1:{api.port}", timeout=90) as patient_client,
        ThreadPoolExecutor(SEARCHES + DOWNLOADS) as pool,
    ):
        try:
            reads = [pool.submit(patient_client.get, "/v1/results?format=csv") for _ in range(DOWNLOADS)]
            wait_until(lambda: len(slow.downloads) == DOWNLOADS, 30, "downloads hold connections")
            reads += [pool.submit(patient_client.get, "/v1/results") for _ in range(SEARCHES)]
            wait_until(lambda: len(slow.searches) == 1, 30, "a search holds a connection")
            posted = client.post("/v1/images?wait=0.1", content=b"image", headers={"Content-Type": "application/dicom"})
        finally:
            slow.release.set()

        assert posted.status_code == 202, posted.text
        assert [read.result().status_code for read in reads] == [200] * len(reads)
