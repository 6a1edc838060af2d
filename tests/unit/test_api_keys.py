"""Keys open what their scopes permit, and nothing else does; a revoked key opens nothing after two seconds."""

import asyncio
import base64
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import NoReturn

import pytest
from api_client import ApiDriver, api_driver
from databases import NewSqlite
from sqlalchemy import select
from sqlalchemy.exc import OperationalError

from api.access import Principal
from api.keys import KeyRing
from db import ledger
from db.engine import Database
from db.store_tables import api_keys, senders
from nightread.api_keys import new_token, token_hash

OPEN_ROUTES = {"/v1/health", "/openapi.json"}
"""Routes that tell nothing of images, so that anyone may read them."""


@pytest.fixture
def api(new_sqlite: NewSqlite, tmp_path: Path) -> Iterator[ApiDriver]:
    """The application on a loopback address, without a key."""
    with api_driver(new_sqlite, tmp_path) as driver:
        yield driver


def test_no_key_is_needed_on_loopback_until_one_is_made(api: ApiDriver) -> None:
    """Revoking the last key must not open the API again."""
    assert api.client.get("/v1/results").status_code == 200

    api.add_key("reader", "read")
    ledger.revoke_api_key(api.database, "reader", actor="test", now=api.ledger_driver.clock())
    api.client.app.state.services.authentication._keys._tried_at = float("-inf")  # type: ignore[attr-defined]

    assert api.client.get("/v1/results").status_code == 401


@pytest.mark.parametrize("name", ["Forwarded", "Via", "X-Real-IP", "X-Forwarded-For", "x-forwarded-proto"])
def test_a_request_through_a_proxy_always_needs_a_key(api: ApiDriver, name: str) -> None:
    """The proxy is on the loopback interface, and its clients may be anywhere."""
    assert api.client.post("/v1/resume", headers={name: "x"}).status_code == 401


@pytest.mark.parametrize("address", ["::", "10.1.2.3", "night.example"])
def test_other_addresses_always_need_a_key(new_sqlite: NewSqlite, tmp_path: Path, address: str) -> None:
    """Even if a key was never made."""
    with api_driver(new_sqlite, tmp_path, api_address=address) as api:
        response = api.client.get("/v1/results")

    assert response.status_code == 401
    assert response.headers["www-authenticate"].startswith("Bearer")


@pytest.mark.parametrize(
    ("scope", "statuses"),
    [("read", (200, 403, 403)), ("submit", (403, 202, 403)), ("operate", (403, 403, 200))],
)
def test_a_key_permits_its_scopes_only(api: ApiDriver, scope: str, statuses: tuple[int, int, int]) -> None:
    """Reading, sending and operating are apart."""
    key = api.add_key("client", scope)

    found = (
        api.client.get("/v1/results", headers=key).status_code,
        api.client.post("/v1/images?wait=0", content=b"\0" * 128 + b"DICM", headers=key).status_code,
        api.client.post("/v1/resume", headers=key).status_code,
    )

    assert found == statuses


def test_every_route_needs_a_key(new_sqlite: NewSqlite, tmp_path: Path) -> None:
    """A new route without a permission fails here."""
    with api_driver(new_sqlite, tmp_path, api_key="k" * 40) as api:
        paths = api.client.get("/openapi.json").json()["paths"]
        for path, operations in paths.items():
            for method in operations:
                response = api.client.request(method, path.replace("{image_id}", "1").replace("{night}", "last"))
                assert response.status_code == (200 if path in OPEN_ROUTES else 401), (method, path)


def test_the_key_is_sent_as_bearer_or_as_the_password_of_basic(api: ApiDriver) -> None:
    """The user name does not matter."""
    header = api.add_key("reader", "read")["Authorization"]
    token = header.removeprefix("Bearer ")
    basic = "Basic " + base64.b64encode(f"anyone:{token}".encode()).decode()

    for value in (header, f"bearer   {token}", basic, basic.replace("Basic", "BASIC")):
        assert api.client.get("/v1/results", headers={"Authorization": value}).status_code == 200


@pytest.mark.parametrize(
    "value",
    ["", "Bearer", "Bearer ", "Bearer nr_wrong", "Basic", "Basic !", "Basic OnB3", "Basic /w==", "Digest a", "nr_x"],
)
def test_a_wrong_key_is_refused_even_where_none_is_needed(api: ApiDriver, value: str) -> None:
    """A client with a misspelt key must notice."""
    response = api.client.get("/v1/results", headers={"Authorization": value})

    assert response.status_code == 401
    assert "wrong" not in response.text


def test_expired_keys_open_nothing(api: ApiDriver) -> None:
    """From the moment at which they expire."""
    clock = api.ledger_driver.clock
    key = api.add_key("guest", "read", expires_at=clock() + timedelta(hours=1))
    assert api.client.get("/v1/results", headers=key).status_code == 200

    clock.advance(hours=1)

    assert api.client.get("/v1/results", headers=key).status_code == 401


def test_an_address_that_tries_many_keys_is_slowed_down(api: ApiDriver) -> None:
    """A client with a valid key behind the same address is still served."""
    key = api.add_key("reader", "read")

    statuses = [
        api.client.get("/v1/results", headers={"Authorization": f"Bearer {number}"}).status_code for number in range(12)
    ]

    assert statuses == [401] * 10 + [429] * 2
    assert api.client.get("/v1/results", headers=key).status_code == 200


def test_the_database_has_no_token(api: ApiDriver) -> None:
    """Only its hash; the use of a key is stored without a write per request."""
    token = api.add_key("reader", "read")["Authorization"].removeprefix("Bearer ")
    api.client.get("/v1/results", headers={"Authorization": f"Bearer {token}"})

    api.client.app.state.services.authentication._keys.store_uses()  # type: ignore[attr-defined]

    with api.database.read() as connection:
        (row,) = connection.execute(select(api_keys)).all()
    assert token not in str(row)
    assert row.token_hash == token_hash(token)
    assert row.last_used_at == api.ledger_driver.clock()


def test_a_revoked_key_opens_nothing_after_two_seconds(api: ApiDriver) -> None:
    """The keys are read again then, and not at every request."""
    now = 100.0
    ring = KeyRing(api.database, clock=api.ledger_driver.clock, monotonic=lambda: now)
    token = api.add_key("reader", "read")["Authorization"].removeprefix("Bearer ")
    assert asyncio.run(ring.find(token)) is not None
    ledger.revoke_api_key(api.database, "reader", actor="test", now=api.ledger_driver.clock())

    now += 1.9
    assert asyncio.run(ring.find(token)) is not None
    now += 0.2
    assert asyncio.run(ring.find(token)) is None


def test_requests_do_not_queue_for_a_database_that_is_away(api: ApiDriver, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each would wait five seconds for a connection: all share the error of one attempt, for two seconds after it."""
    now, attempts = 100.0, 0
    ring = KeyRing(api.database, clock=api.ledger_driver.clock, monotonic=lambda: now)

    def fail(_database: Database) -> NoReturn:
        nonlocal now, attempts
        now += 5
        attempts += 1
        raise OperationalError("", {}, Exception())

    async def ask_often() -> list[BaseException | Principal | None]:
        return await asyncio.gather(*(ring.find("nr_x") for _ in range(20)), return_exceptions=True)

    monkeypatch.setattr("api.keys.queries.api_keys", fail)
    answers = asyncio.run(ask_often())
    assert all(isinstance(answer, OperationalError) for answer in answers)
    assert attempts == 1

    monkeypatch.undo()
    now += 2.1
    assert asyncio.run(ring.find("nr_x")) is None


def test_tokens_are_long_and_marked() -> None:
    """256 random bits; scanners find the prefix."""
    tokens = {new_token() for _ in range(100)}

    assert len(tokens) == 100
    assert all(token.startswith("nr_") and len(token) == 46 for token in tokens)


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:9999"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
def test_pages_of_other_sites_cannot_act(api: ApiDriver, headers: dict[str, str]) -> None:
    """A browser sends such a request for any page; on loopback it would need no key."""
    assert api.client.post("/v1/resume", headers=headers).status_code == 403


@pytest.mark.parametrize(("mode", "status"), [("no-cors", 403), ("cors", 403), ("navigate", 200), ("", 403)])
def test_pages_of_other_sites_cannot_read_but_may_link(api: ApiDriver, mode: str, status: int) -> None:
    """They would not get the answer, but the API would make it, as often as they like."""
    headers = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": mode}

    assert api.client.get("/v1/results", headers=headers).status_code == status


def test_the_own_page_can_act(api: ApiDriver) -> None:
    """Same origin, by both headers of a browser."""
    headers = {"Origin": "http://127.0.0.1:8080", "Sec-Fetch-Site": "same-origin"}

    assert api.client.post("/v1/resume", headers=headers).status_code == 200


def test_a_later_key_of_the_same_name_is_another_sender(api: ApiDriver) -> None:
    """Its images must not replace those of the party that had the name before."""
    for body in (b"first", b"second"):
        api.client.post("/v1/images?wait=0", content=body, headers={"Content-Type": "image/png", **add(api, "ct1")})
        ledger.revoke_api_key(api.database, "ct1", actor="test", now=api.ledger_driver.clock())

    with api.database.read() as connection:
        assert len(connection.execute(select(senders.c.address)).all()) == 2


def add(api: ApiDriver, name: str) -> dict[str, str]:
    """Add a key that may submit, and forget those that were read before."""
    api.client.app.state.services.authentication._keys._loaded_at = float("-inf")  # type: ignore[attr-defined]
    api.client.app.state.services.authentication._keys._tried_at = float("-inf")  # type: ignore[attr-defined]
    return api.add_key(name, "submit")
