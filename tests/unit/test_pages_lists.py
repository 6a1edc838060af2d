"""The lists of the pages say what they leave out, refuse what they do not know, and link to the same rows as data."""

import csv
import html
import re
from collections.abc import Iterator
from io import StringIO

import pytest
from databases import NewSqlite
from mixed_night import MORNING, fill_mixed_night
from pages_client import PagesClient, pages_client, words_of


@pytest.fixture(scope="module")
def shown(new_sqlite: NewSqlite, tmp_path_factory: pytest.TempPathFactory) -> Iterator[PagesClient]:
    """A night of 60 images, for tests that change nothing."""
    with pages_client(new_sqlite, tmp_path_factory.mktemp("lists"), now=MORNING) as client:
        client.night = fill_mixed_night(client.database, images=60, earlier=0)
        yield client


@pytest.fixture
def pages(new_sqlite: NewSqlite, tmp_path_factory: pytest.TempPathFactory) -> Iterator[PagesClient]:
    """The same, for tests that change rows."""
    with pages_client(new_sqlite, tmp_path_factory.mktemp("changed"), now=MORNING) as client:
        client.night = fill_mixed_night(client.database, images=60, earlier=0)
        yield client


def image_with(pages: PagesClient, label: str) -> int:
    """Return the id of an image with this result."""
    rows = pages.sql("SELECT instance_id, label FROM work WHERE state = 'done' AND ordinal = 0 ORDER BY instance_id")
    return next(image for image, found in rows if found == label)


def rows_of(page: str) -> list[int]:
    """Return the ids of the images of a list."""
    return [int(image) for image in re.findall(r'class="row" href="/images/(\d+)"', page)]


def link_of(page: str, word: str) -> str:
    """Return the address of a link with this text."""
    found = re.search(rf'<a href="([^"]+)">{word}</a>', page)
    assert found
    return html.unescape(found[1])


def test_a_heat_map_is_offered_for_findings_only(shown: PagesClient) -> None:
    """For a normal image the API has none; the page then says so and keeps the picture."""
    finding, normal = image_with(shown, "nodule"), image_with(shown, "clear")

    assert "Show the heat map" in shown.text(f"/images/{finding}")
    assert "heatmap.png" in shown.get(f"/images/{finding}?overlay=1")
    assert "Show the heat map" not in shown.text(f"/images/{normal}")
    page = shown.get(f"/images/{normal}?overlay=1")
    assert "heatmap.png" not in page
    assert "There is no heat map, because there is no finding to explain." in words_of(page)
