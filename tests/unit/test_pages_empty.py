"""Every page of an empty database says what it would show, and of which time."""

from collections.abc import Iterator

import pytest
from databases import NewSqlite
from mixed_night import MORNING
from pages_client import PagesClient, pages_client


@pytest.fixture(scope="module")
def empty(new_sqlite: NewSqlite, tmp_path_factory: pytest.TempPathFactory) -> Iterator[PagesClient]:
    """A database in which nothing has arrived."""
    with pages_client(new_sqlite, tmp_path_factory.mktemp("empty"), now=MORNING) as client:
        yield client


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("/", "Nothing arrived."),
        ("/nights/2026-11-04", "Nothing arrived."),
        ("/days/2026-11-05", "Nothing arrived."),
        ("/images", "No image has arrived yet."),
        ("/images?view=pictures", "No image has arrived yet."),
        ("/images?label=nodule", "No image matches."),
        ("/studies", "Since the beginning of the night of Thursday 5 November 2026"),
        ("/studies", "No study arrived in this time."),
        ("/studies?night=2026-11-04", "Night of 2026-11-04"),
        ("/studies?since=2026-11-01&until=2026-11-02", "From 1 Nov 2026 00:00:00 to 2 Nov 2026 00:00:00"),
        ("/failures", "Since the beginning of the night of Thursday 5 November 2026"),
        ("/failures?since=1970-01-01", "Nothing failed and nothing was rejected."),
        ("/batches", "No batch yet."),
        ("/models", "There are no rules"),
    ],
)
def test_a_page_says_what_is_missing(empty: PagesClient, path: str, words: str) -> None:
    """An operator who opens it on the first day sees that it works."""
    assert words in empty.text(path)
