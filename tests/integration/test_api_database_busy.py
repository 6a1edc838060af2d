"""While the database takes no commits, the API acknowledges nothing; afterwards nothing is lost."""

import sqlite3
from pathlib import Path

import pytest
from api_client import api_driver
from compose_processes import wait_until
from databases import NewSqlite


def test_an_image_that_cannot_be_registered_is_refused(
    new_sqlite: NewSqlite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """503; the file stays, because the commit may have happened, and is registered when commits work again."""
    monkeypatch.setattr("db.engine.BUSY_SECONDS", 0.2)
    with api_driver(new_sqlite, tmp_path) as api:
        other = sqlite3.connect(tmp_path / "nightread.sqlite3", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        refused = api.post(b"image")
        read = api.client.get("/v1/results")
        other.execute("ROLLBACK")
        other.close()

        assert (refused.status_code, read.status_code) == (503, 200)
        assert refused.headers["content-type"] == "application/problem+json"
        assert refused.headers["retry-after"]
        wait_until(lambda: api.ledger_driver.states() == ["received"], seconds=10, what="the image is registered")
        wait_until(lambda: api.post(b"another").status_code == 202, seconds=10, what="images are accepted again")


def test_what_a_dead_api_left_is_registered_at_the_next_start(new_sqlite: NewSqlite, tmp_path: Path) -> None:
    """A complete file without a row is an image; an incomplete one was never acknowledged."""
    (tmp_path / "first").mkdir()
    with api_driver(new_sqlite, tmp_path / "first") as api:
        api.post(b"image")
        folder = api.spooled[0].parent
    (folder / "left.dcm").write_bytes(b"complete")
    (folder / "left.dcm.partial").write_bytes(b"incompl")

    (tmp_path / "first" / "nightread.sqlite3").unlink()
    with api_driver(new_sqlite, tmp_path / "first") as api:
        assert sorted(path.read_bytes() for path in api.spooled) == [b"complete", b"image"]
        assert api.ledger_driver.states() == ["received", "received"]
        assert [work.priority for work in api.ledger_driver.work()] == [5, 5]
