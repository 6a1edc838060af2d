"""A browser that signed in with a key may read pages and the API, until the key is revoked; it may change nothing."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from databases import NewSqlite
from fastapi.testclient import TestClient
from ledger_driver import SettableClock

from api.app import make_app
from api.context import ApiContext
from db import ledger
from db.engine import Database
from nightread.api_keys import token_hash
from nightread.nights import nights_of
from nightread.settings import load_settings

TOKEN = "nr_" + "a" * 43
CSRF = 'name="csrf" value="'


@pytest.fixture
def database(new_sqlite: NewSqlite, tmp_path: Path) -> Iterator[Database]:
    with new_sqlite(tmp_path / "nightread.sqlite3", durable=True) as database:
        yield database


@pytest.fixture
def client(database: Database, tmp_path: Path, clock: SettableClock) -> Iterator[TestClient]:
    settings = load_settings(state_dir=tmp_path, spool_dir=tmp_path / "spool")
    ledger.add_api_key(
        database,
        name="reader",
        token_hash=token_hash(TOKEN),
        scopes=("read", "operate"),
        expires_at=None,
        actor="test",
        now=clock(),
    )
    context = ApiContext(settings=settings, database=database, nights=nights_of(settings), clock=clock)
    with TestClient(make_app(context), base_url="http://127.0.0.1:8080", follow_redirects=False) as client:
        yield client


def sign_in(client: TestClient, key: str) -> int:
    form = client.get("/sign-in").text
    csrf = form.partition(CSRF)[2].partition('"')[0]
    return client.post("/sign-in", data={"csrf": csrf, "key": key, "next": "/"}).status_code


def test_without_a_key_pages_lead_to_the_sign_in_and_the_api_asks_for_a_key(client: TestClient) -> None:
    """A wrong key opens nothing."""
    assert client.get("/").headers["location"] == "/sign-in"
    assert sign_in(client, "nr_wrong") == 401
    assert client.get("/v1/images/1").status_code == 401


def test_the_cookie_reads_and_changes_nothing(client: TestClient) -> None:
    """Pages and pictures are shown; an action of the API needs the key itself."""
    assert sign_in(client, TOKEN) == 303
    assert client.get("/").status_code == 200
    assert client.get("/v1/images/1").status_code == 404
    assert client.post("/v1/images", content=b"x").status_code == 401


def test_revoking_the_key_ends_the_session(
    client: TestClient, database: Database, clock: SettableClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A later key of the same name does not revive it."""
    assert sign_in(client, TOKEN) == 303
    monkeypatch.setattr("api.keys._FRESH_SECONDS", 0.0)
    ledger.revoke_api_key(database, name="reader", actor="test", now=clock())
    assert client.get("/").headers["location"] == "/sign-in"
    ledger.add_api_key(
        database,
        name="reader",
        token_hash=token_hash(TOKEN[::-1]),
        scopes=("read",),
        expires_at=None,
        actor="test",
        now=clock(),
    )
    assert client.get("/").headers["location"] == "/sign-in"
