"""A list is read to its end, or it is said that it may be cut off, however the store limits its pages."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from urllib.parse import parse_qs, urlsplit

import pytest
from web_server import Reply, Request, running_web_server

from nightread.web import HttpClient, MissingError, UnavailableError, UnexpectedError
from producer.stores.qido import PAGE_ROWS, Listing, QidoSearch

STUDY = "0020000D"
CUT_OFF = "returns no more than the first 500 rows of a list, so that later rows are not found"
IGNORES = "ignores `offset`: if it limits the length of its lists, later rows are not found"

Page = Callable[[list[int], int, int], list[int]]
"""Returns the rows of a page; the arguments are all rows, `limit` and `offset`."""


def by_standard(rows: list[int], limit: int, offset: int) -> list[int]:
    return rows[offset : offset + limit]


@dataclass(kw_only=True)
class ListServer:
    """Responds to each search with a page of its rows, as `page` defines it."""

    rows: list[int]
    page: Page = by_standard
    refuses: Callable[[int, int], int] = lambda _limit, _offset: 0
    """Returns the status of a refusal, by limit and offset, or 0."""
    warning: str = ""
    """The header `Warning` of each page."""
    asked: list[tuple[int, int]] = field(default_factory=list)

    def __call__(self, request: Request) -> Reply:
        """Respond to one search, and remember its limit and offset."""
        query = parse_qs(urlsplit(request.path).query)
        limit, offset = int(query["limit"][0]), int(query["offset"][0])
        self.asked.append((limit, offset))
        if status := self.refuses(limit, offset):
            return Reply(status=status)
        page = [{STUDY: {"vr": "UI", "Value": [str(row)]}} for row in self.page(self.rows, limit, offset)]
        headers = {"Warning": self.warning} if self.warning else {}
        return Reply(status=200 if page else 204, headers=headers, body=[json.dumps(page).encode()] if page else [])


def found(listing: Listing) -> list[int]:
    return [int(row[STUDY]["Value"][0]) for row in listing.rows]


def listed(server: ListServer, *, times: int = 1, enough: int = 0) -> Listing:
    """Return the list as one search reads it; the last one of several."""
    with running_web_server(server) as running:
        search = QidoSearch(HttpClient(running.url))
        for _ in range(times):
            listing = search.all_rows("studies", {"StudyDate": "20261118-"}, (STUDY,), enough=enough)
    return listing


def above(most: int, status: int) -> Callable[[int, int], int]:
    """Return a refusal of more than `most` rows per page."""
    return lambda limit, _offset: status if limit > most else 0


@pytest.mark.parametrize("status", [400, 413, 422, 500])
@pytest.mark.parametrize(("most", "accepted"), [(200, 125), (250, 250), (10, 7), (1, 1)])
def test_the_page_size_is_halved_until_the_store_accepts_it(status: int, most: int, accepted: int) -> None:
    """500, 250, 125, 62, 31, 15, 7, 3, 1: the first accepted size is used for all pages."""
    server = ListServer(rows=list(range(20)), refuses=above(most, status))
    listing = listed(server)
    assert (found(listing), listing.trouble) == (list(range(20)), None)
    assert {limit for limit, offset in server.asked if offset} == {accepted}


def test_the_accepted_page_size_is_remembered() -> None:
    """The second list begins with it."""
    server = ListServer(rows=[1, 2], refuses=above(200, 400))
    listed(server, times=2)
    assert server.asked == [(500, 0), (250, 0), (125, 0), (125, 2), (125, 0), (125, 2)]


@pytest.mark.parametrize(("status", "error"), [(400, UnexpectedError), (500, UnavailableError)])
def test_a_store_that_refuses_every_page_size_has_its_error(status: int, error: type[Exception]) -> None:
    """The size that was accepted before is not forgotten."""
    with pytest.raises(error, match=str(status)):
        listed(ListServer(rows=[1], refuses=above(0, status)))


@pytest.mark.parametrize("status", [503, 502, 504, 429, 401, 404])
def test_other_refusals_do_not_change_the_page_size(status: int) -> None:
    """A store that is busy gets one request only."""
    server = ListServer(rows=[1], refuses=above(0, status))
    with pytest.raises((UnavailableError, MissingError, Exception), match=str(status)):
        listed(server)
    assert len(server.asked) == 1


def test_a_failure_after_an_accepted_page_is_a_failure() -> None:
    """The page size works, so that status 500 has another cause."""
    server = ListServer(rows=[1], refuses=lambda _limit, offset: 500 if offset else 0)
    with pytest.raises(UnavailableError):
        listed(server)
    assert server.asked == [(500, 0), (500, 1)]


def test_a_later_page_that_is_too_large_is_requested_in_smaller_pages() -> None:
    """Status 413 is about the size of this response: large rows come late in the list."""
    server = ListServer(rows=list(range(800)), refuses=lambda limit, offset: 413 if offset and limit > 125 else 0)
    assert found(listed(server)) == list(range(800))


@pytest.mark.parametrize("rows", [99, 100, 101, 250, 1000])
def test_a_store_that_limits_its_pages_is_read_to_the_end(rows: int) -> None:
    """It returns at most 100 rows, whatever `limit` says."""
    listing = listed(ListServer(rows=list(range(rows)), page=lambda all_rows, _, offset: all_rows[offset:][:100]))
    assert (found(listing), listing.trouble) == (list(range(rows)), None)


@pytest.mark.parametrize(
    ("rows", "cap", "trouble"),
    [
        (700, 500, CUT_OFF),
        (500, 500, CUT_OFF),
        (250, 100, IGNORES),
        (2, 100, IGNORES),
        (1, 100, None),
        (700, 700, None),
    ],
)
def test_a_store_that_ignores_the_offset_is_noticed(rows: int, cap: int, trouble: str | None) -> None:
    """It repeats its first page. If that has more rows than the limit, the store returns all rows at once."""
    listing = listed(ListServer(rows=list(range(rows)), page=lambda all_rows, _limit, _offset: all_rows[:cap]))
    assert (found(listing), listing.trouble) == (list(range(min(rows, cap))), trouble)


@pytest.mark.parametrize(("rows", "trouble"), [(600, CUT_OFF), (3, "rejects `offset`")])
def test_a_store_that_rejects_the_offset_is_noticed(rows: int, trouble: str) -> None:
    """Its first page counts, and the page size stays."""
    server = ListServer(rows=list(range(rows)), refuses=lambda _limit, offset: 400 if offset else 0)
    listing = listed(server)
    assert len(found(listing)) == min(rows, PAGE_ROWS)
    assert listing.trouble is not None
    assert trouble in listing.trouble
    assert {limit for limit, _ in server.asked} == {PAGE_ROWS}


def test_an_offset_behind_the_last_row_may_be_missing() -> None:
    """Some stores respond with status 404 instead of an empty list."""
    server = ListServer(rows=[1, 2], refuses=lambda _limit, offset: 404 if offset >= 2 else 0)
    listing = listed(server)
    assert (found(listing), listing.trouble) == ([1, 2], None)


def test_rows_that_two_pages_repeat_count_once() -> None:
    """A new row at the beginning of the list moves the others to later pages."""
    listing = listed(
        ListServer(rows=list(range(1200)), page=lambda rows, limit, at: rows[max(0, at - 3) : at + limit - 3])
    )
    assert (found(listing), listing.trouble) == (list(range(1200)), None)


def test_a_page_of_known_rows_is_not_the_end() -> None:
    """A store returns one row per series, so that a study with 600 series fills more than one page."""
    rows = [1] * 700 + [2] * 700 + [3]
    listing = listed(ListServer(rows=rows))
    assert (found(listing), listing.trouble) == ([1, 2, 3], None)


def test_a_store_that_only_repeats_rows_is_noticed() -> None:
    """It returns the rows in another order each time, without an end."""
    listing = listed(ListServer(rows=[1, 2, 3], page=lambda rows, _, at: rows[::-1] if at else rows))
    assert listing.trouble == "repeats rows on the pages of a list, so that other rows may be missing"


def test_reading_stops_with_enough_rows() -> None:
    """No further page is requested when the number of rows is known."""
    server = ListServer(rows=list(range(30)), page=lambda rows, _limit, at: rows[at : at + 10])
    assert found(listed(server, enough=20)) == list(range(20))
    assert server.asked == [(500, 0), (500, 10)]


def test_an_empty_list_is_complete() -> None:
    """One request shows it."""
    server = ListServer(rows=[])
    listing = listed(server)
    assert (found(listing), listing.trouble, server.asked) == ([], None, [(500, 0)])


@pytest.mark.parametrize(
    ("warning", "trouble"),
    [
        (
            '299 pacs "There are 150 additional results that can be requested"',
            "announces more rows of a list than it returns, so that these are not found",
        ),
        ('299 pacs "The fuzzymatching parameter is not supported"', None),
        ("", None),
    ],
)
def test_a_store_that_announces_more_rows_than_it_returns_is_noticed(warning: str, trouble: str | None) -> None:
    """It returns no more than 100 rows in all, and says so in a header."""
    server = ListServer(rows=list(range(250)), page=lambda rows, _limit, at: rows[at:100], warning=warning)
    listing = listed(server)
    assert (len(found(listing)), listing.trouble) == (100, trouble)


def test_an_announcement_of_rows_that_then_come_is_no_trouble() -> None:
    """The last page announces nothing."""
    server = ListServer(rows=list(range(20)), page=lambda rows, _limit, at: rows[at : at + 10])

    def answer(asked: Request) -> Reply:
        server.warning = '299 pacs "There are 10 additional results that can be requested"' if not server.asked else ""
        return server(asked)

    with running_web_server(answer) as running:
        listing = QidoSearch(HttpClient(running.url)).all_rows("studies", {}, (STUDY,))
    assert (found(listing), listing.trouble) == (list(range(20)), None)
