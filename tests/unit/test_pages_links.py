"""Every link of every page leads somewhere, and so does every address that a page's form makes."""

import html
import re
from collections.abc import Iterator
from urllib.parse import parse_qsl, urljoin

import pytest
from databases import NewSqlite
from mixed_night import MORNING, fill_mixed_night
from pages_client import PagesClient, pages_client

STARTS = ("/", "/images", "/images?view=pictures", "/studies", "/failures", "/batches", "/models")


@pytest.fixture(scope="module")
def pages(new_sqlite: NewSqlite, tmp_path_factory: pytest.TempPathFactory) -> Iterator[PagesClient]:
    """A night of 40 images."""
    with pages_client(new_sqlite, tmp_path_factory.mktemp("links"), now=MORNING) as client:
        client.night = fill_mixed_night(client.database, images=40, earlier=0)
        yield client


def test_no_link_leads_to_an_error(pages: PagesClient) -> None:
    """Pages and data; of links that differ in ids and values only, one is followed."""
    waiting, shapes, errors = list(STARTS), {shape_of(path) for path in STARTS}, {}
    for address in waiting:
        response = pages.client.get(address)
        if response.status_code >= 400:
            errors[address] = response.status_code
        if "html" in response.headers["content-type"]:
            for link in re.findall(r'<a[^>]* href="([^"]+)"', response.text):
                path = urljoin(address, html.unescape(link).partition("#")[0])
                if path.startswith("/") and shape_of(path) not in shapes:
                    shapes.add(shape_of(path))
                    waiting.append(path)

    assert errors == {}
    assert "/failures?since=1970-01-01" in waiting


def shape_of(path: str) -> str:
    """Return an address without its ids and values, apart from the format of data."""
    address, _, query = path.partition("?")
    names = sorted({name if name != "format" else f"format={value}" for name, value in parse_qsl(query)})
    return f"{re.sub(r'/[^/]*[0-9][^/]*', '/ID', address.removeprefix('/v1'))} {path[:3]} {' '.join(names)}"


@pytest.mark.parametrize(
    "query",
    [
        "since=2026-11-05",
        "until=2026-11-06",
        "since=2026-11-05T18:00&until=2026-11-06T07:00",
        "night=2026-11-05",
        "night=&since=",
        "retried=1",
    ],
)
def test_failures_are_shown_for_any_time(pages: PagesClient, query: str) -> None:
    """The link *All times*, the form, and the way back from a retry."""
    assert "Failures" in pages.text(f"/failures?{query}")


@pytest.mark.parametrize(
    ("header", "is_secure"), [("https", True), ("HTTPS, http", True), ("http", False), (None, False)]
)
def test_a_cookie_behind_a_proxy_with_tls_is_secure(pages: PagesClient, header: str | None, is_secure: bool) -> None:
    """The proxy says that the browser uses HTTPS; the request to the API is plain."""
    pages.client.cookies.clear()

    response = pages.client.get("/sign-in", headers={"X-Forwarded-Proto": header} if header else {})

    assert ("secure" in response.headers["set-cookie"].lower().split("; ")) is is_secure
