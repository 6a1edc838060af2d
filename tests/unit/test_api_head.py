"""Each address that takes GET takes HEAD, with the headers of GET and without its content."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from api_client import ApiDriver, api_driver
from databases import NewSqlite

BODY = b"\0" * 128 + b"DICM" + b"pixels"


@pytest.fixture
def api(new_sqlite: NewSqlite, tmp_path: Path) -> Iterator[ApiDriver]:
    """The application with one image."""
    with api_driver(new_sqlite, tmp_path) as driver:
        driver.post(BODY)
        driver.analyse(label="nodule", score=0.9)
        yield driver


@pytest.mark.parametrize(
    "path", ["/v1/health", "/v1/images/1", "/v1/results", "/v1/results?format=csv", "/metrics", "/", "/images"]
)
def test_head_has_the_headers_of_get(api: ApiDriver, path: str) -> None:
    """Monitoring tools and download managers ask so."""
    wanted, found = api.client.get(path), api.client.head(path)

    assert found.status_code == wanted.status_code == 200
    assert found.content == b""
    assert found.headers["content-type"] == wanted.headers["content-type"]


def test_head_of_what_is_not_there_is_404(api: ApiDriver) -> None:
    """As for GET."""
    assert api.client.head("/v1/images/99").status_code == 404
    assert api.client.head("/nothing").status_code == 404


def test_an_address_for_post_only_takes_no_head(api: ApiDriver) -> None:
    """The header Allow and the sentence say what the address takes."""
    assert api.client.head("/v1/images").status_code == 405
    refused = api.client.put("/v1/results")
    assert (refused.status_code, refused.headers["allow"]) == (405, "GET, HEAD")
    assert refused.json()["detail"] == "This address takes GET, HEAD only."


@pytest.mark.timeout(30)
def test_head_of_a_stream_ends(api: ApiDriver) -> None:
    """The stream of events would never end by itself, and a server drops the content of HEAD without an error."""
    messages: list[Any] = []

    async def request() -> None:
        async def receive() -> Any:
            await asyncio.Event().wait()

        async def send(message: Any) -> None:
            messages.append(message)

        scope = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.4"},
            "http_version": "1.1",
            "method": "HEAD",
            "scheme": "http",
            "path": "/v1/events",
            "raw_path": b"/v1/events",
            "query_string": b"",
            "headers": [(b"host", b"127.0.0.1:8080")],
            "client": ("127.0.0.1", 1),
            "server": ("127.0.0.1", 8080),
        }
        await api.client.app(scope, receive, send)

    api.client.portal.call(request)  # type: ignore[union-attr]

    assert [message["type"] for message in messages] == ["http.response.start", "http.response.body"]
    assert messages[0]["status"] == 200
    assert messages[1] == {"type": "http.response.body", "body": b"", "more_body": False}


@pytest.mark.parametrize("path", ["/v1/results/?limit=1", "/images/?state=done"])
def test_the_way_to_an_address_without_a_slash_keeps_the_scheme(api: ApiDriver, path: str) -> None:
    """Behind a proxy with TLS, an address with http would send the key without encryption."""
    response = api.client.get(path, follow_redirects=False)

    assert response.status_code == 307
    assert response.headers["location"] == path.replace("/?", "?")


def test_a_problem_of_an_unknown_address_says_where_the_addresses_are(api: ApiDriver) -> None:
    """For programs; people get a page."""
    assert "/openapi.json" in api.client.get("/v1/nothing").json()["detail"]
    assert "There is no such page." in api.client.get("/nothing", headers={"Accept": "text/html"}).text
