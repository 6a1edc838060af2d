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


@pytest.mark.parametrize("status", [400, 413])
def test_a_rejected_page_size_is_remembered(status: int) -> None:
    """The store takes up to 200 rows. The second list begins with twice the accepted 125 rows, not with 500."""
    server = ListServer(rows=[1, 2], refuses=above(200, status))
    listed(server, times=2)
    first, second = [(500, 0), (250, 0), (125, 0), (125, 2)], [(250, 0), (125, 0), (125, 2)]
    assert server.asked == first + second


@pytest.mark.parametrize(("status", "limits"), [(400, [3, 6, 12, 24]), (500, [3, 500, 500, 500])])
def test_pages_grow_again_after_a_store_refused_them_for_another_reason(status: int, limits: list[int]) -> None:
    """Its first seven responses are errors: 500, 250, 125, 62, 31, 15 and 7 rows; 3 rows are accepted.

    After status 500, which is not about the number of rows, the next list begins with 500 rows. After a rejection
    each list begins with twice as many rows as the list before.
    """
    server = ListServer(rows=[1])
    server.refuses = lambda _limit, _offset: status if len(server.asked) <= 7 else 0
    listed(server, times=4)
    assert [limit for limit, offset in server.asked[7:] if not offset] == limits


@pytest.mark.parametrize("limits", [[3, 6, 12, 24, 48, 96, 192, 384, 500, 500]])
def test_pages_grow_up_to_the_limit(limits: list[int]) -> None:
    """No list begins with more than 500 rows."""
    server = ListServer(rows=[1])
    server.refuses = lambda _limit, _offset: 400 if len(server.asked) <= 7 else 0
    listed(server, times=10)
    assert [limit for limit, offset in server.asked[7:] if not offset] == limits


def test_a_store_that_fails_for_long_pages_is_asked_for_shorter_ones_after_a_short_list() -> None:
    """Its list of two rows is returned with a limit of 500; the next list is longer, and 500 rows are too many."""
    server = ListServer(rows=[1, 2])
    with running_web_server(server) as running:
        search = QidoSearch(HttpClient(running.url))
        assert len(search.all_rows("studies", {}, (STUDY,)).rows) == 2
        server.rows = list(range(300))
        server.refuses = lambda limit, offset: 500 if len(server.rows[offset:][:limit]) > 100 else 0
        assert found(search.all_rows("studies/1/instances", {}, (STUDY,))) == list(range(300))
    assert server.asked[2:] == [(500, 0), (250, 0), (125, 0), *((62, at) for at in (0, 62, 124, 186, 248, 300))]


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


@pytest.mark.parametrize("status", [400, 404, 416])
@pytest.mark.parametrize("rows", [1, 2, 30, 500, 1000])
def test_a_store_may_reject_an_offset_at_the_end_of_a_list(status: int, rows: int) -> None:
    """Some respond with an error instead of an empty list. They return the last row alone when asked for it."""
    server = ListServer(rows=list(range(rows)), refuses=lambda _limit, offset: status if offset >= rows else 0)
    listing = listed(server)
    assert (found(listing), listing.trouble) == (list(range(rows)), None)
    assert server.asked[-2:] == [(500, rows), (500, rows - 1)]


@pytest.mark.parametrize("status", [400, 404])
def test_a_store_that_rejects_later_offsets_is_noticed(status: int) -> None:
    """It has 1,500 rows, and returns the first two pages only: the text says how many rows came."""
    server = ListServer(rows=list(range(1500)), refuses=lambda _limit, offset: status if offset >= 1000 else 0)
    listing = listed(server)
    assert len(found(listing)) == 1000
    assert listing.trouble == CUT_OFF.replace("500", "1,000")


def test_a_first_page_is_compared_with_what_was_requested_for_it() -> None:
    """The second page is refused as too large, and then the offset is rejected: 500 of 500 rows came first."""
    server = ListServer(rows=list(range(600)))
    server.refuses = lambda limit, offset: (413 if limit > 250 else 400) if offset else 0
    listing = listed(server)
    assert (len(found(listing)), listing.trouble) == (500, CUT_OFF)


def test_a_store_that_rejects_every_offset_as_missing_is_noticed() -> None:
    """It returns no more than 500 rows."""
    listing = listed(ListServer(rows=list(range(600)), refuses=lambda _limit, offset: 404 if offset else 0))
    assert (len(found(listing)), listing.trouble) == (500, CUT_OFF)


def test_a_store_that_returns_to_its_first_page_is_noticed() -> None:
    """It ignores an offset of more than 999."""
    server = ListServer(rows=list(range(1500)), page=lambda rows, limit, at: rows[at % 1000 :][:limit])
    listing = listed(server)
    assert (len(found(listing)), listing.trouble) == (1000, CUT_OFF.replace("500", "1,000"))


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
            "announces more rows of a list than it returns, so that the missing rows are not found",
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
