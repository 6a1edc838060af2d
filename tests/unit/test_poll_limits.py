"""A poll of one store ends: endless lists are cut off with a word, and one broken study hides no other."""

import json
import tracemalloc
from collections.abc import Callable, Iterator
from datetime import date
from itertools import count
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from raw_server import JSON, OK, RawServer, running_raw_server
from web_server import Reply, Request, running_web_server

from nightread.web import HttpClient, UnexpectedError
from producer.stores.change_feed import ChangePage, PollLimits
from producer.stores.dicomweb import DicomwebFeed
from producer.stores.orthanc import OrthancFeed
from producer.stores.qido import Listing, QidoSearch

STUDY, SERIES, INSTANCE = "0020000D", "0020000E", "00080018"
MiB = 1024**2


def _value(value: object) -> dict[str, Any]:
    return {"vr": "UI", "Value": [value]}


def _json(value: object) -> Reply:
    return Reply(body=[json.dumps(value).encode()])


def _query(asked: Request) -> dict[str, int]:
    """Return the numbers in the query of a request."""
    query = parse_qs(urlsplit(asked.path).query)
    return {name: int(query[name][0]) for name in ("limit", "offset", "since") if name in query}


def endless_rows(asked: Request, *, page_rows: int = 500, extra: str = "") -> Reply:
    """Return a full page of new rows for each offset."""
    offset = _query(asked)["offset"]
    return _json([{STUDY: _value(f"1.2.{offset + row}"), "00081030": _value(extra)} for row in range(page_rows)])


def listed(answer: Callable[[Request], Reply], limits: PollLimits, **options: Any) -> Listing:
    with running_web_server(answer) as server:
        return QidoSearch(HttpClient(server.url), limits, **options).all_rows("studies", {}, (STUDY,))


def test_an_endless_list_ends_at_the_limit_of_rows() -> None:
    """The rows that were read are used, and the text says that there are more."""
    listing = listed(endless_rows, PollLimits(rows_per_list=2000))
    assert len(listing.rows) == 2000
    assert listing.trouble == "returns a list of more than 2,000 rows, so that later rows are not found"


def test_a_list_of_endless_pages_ends_at_the_limit_of_pages() -> None:
    """One row each."""
    listing = listed(lambda asked: endless_rows(asked, page_rows=1), PollLimits(pages_per_list=7))
    assert len(listing.rows) == 7
    assert listing.trouble == "needs more than 7 pages for a list, so that later rows are not found"


def test_a_list_of_slow_pages_ends_at_the_limit_of_time() -> None:
    """The clock advances by 10 s with each look."""
    clock = count(0.0, 10.0)
    listing = listed(endless_rows, PollLimits(seconds_per_list=25), monotonic=lambda: next(clock))
    assert len(listing.rows) == 1500
    assert listing.trouble == "needs more than 25 s for a list, so that later rows are not found"


def test_rows_of_a_long_list_keep_only_what_was_asked_for() -> None:
    """Each of 1,000 rows has 20 KB of description: 20 MB arrive, page by page."""
    tracemalloc.start()
    try:
        listing = listed(lambda asked: endless_rows(asked, extra="x" * 20_000), PollLimits(rows_per_list=1000))
        assert len(listing.rows) == 1000
        assert tracemalloc.get_traced_memory()[0] < 2 * MiB
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("uid", ["1" * 129, "1" * 2**20, ["1.2"], {"a": 1}, True, [[]], "", " \0", None])
def test_a_row_with_an_unusable_uid_is_left_out_with_a_word(uid: object) -> None:
    """The other row counts."""
    rows = [{STUDY: _value(uid)}, {STUDY: _value("1.2")}]
    listing = listed(lambda asked: _json([] if _query(asked)["offset"] else rows), PollLimits())
    assert [row[STUDY]["Value"] for row in listing.rows] == [["1.2"]]
    assert (
        listing.trouble
        == "lists rows whose UID is absent or not a text of at most 128 characters, so that these rows are ignored"
    )


class FakeStore:
    """A DICOMweb store with studies of one image each; it reports no counts, so that each poll lists all."""

    def __init__(self, *studies: str) -> None:
        self.studies = studies
        self.instead: dict[str, Any] = {}
        """UID of a study -> the rows of its list of instances."""

    def __call__(self, asked: Request) -> Reply:
        """Respond to a search."""
        path = urlsplit(asked.path).path.strip("/").split("/")
        if _query(asked)["offset"]:
            return Reply(status=204)
        if path == ["studies"]:
            return _json([{STUDY: _value(uid)} for uid in self.studies])
        return _json(self.instead.get(path[1], [{SERIES: _value("3"), INSTANCE: _value(path[1])}]))


def uris(pages: list[ChangePage]) -> list[str]:
    return [arrival.uri.rsplit("/", 1)[1] for page in pages for arrival in page.arrivals]


def test_a_poll_with_too_many_images_continues_in_the_next_poll() -> None:
    """Each study has its turn, although the store reports no counts; the third poll begins again."""
    with running_web_server(FakeStore("1", "2", "3")) as server:
        feed = DicomwebFeed(
            HttpClient(server.url), days=3, today=lambda: date(2026, 11, 21), limits=PollLimits(images_per_poll=2)
        )
        polls = [list(feed.since(None)) for _ in range(3)]
    assert [uris(pages) for pages in polls] == [["1", "2"], ["3", "1"], ["2", "3"]]
    assert polls[0][-1].troubles == ["has more than 2 new images for one poll: the next poll reads the others"]


def test_a_poll_that_takes_too_long_continues_in_the_next_poll() -> None:
    """The clock advances by 1 s with each look: two for each list, and one before each study."""
    clock = count()
    with running_web_server(FakeStore("1", "2", "3")) as server:
        feed = DicomwebFeed(
            HttpClient(server.url),
            days=3,
            today=lambda: date(2026, 11, 21),
            limits=PollLimits(seconds_per_poll=8),
            monotonic=lambda: next(clock),
        )
        polls = [list(feed.since(None)) for _ in range(2)]
    assert [uris(pages) for pages in polls] == [["1", "2"], ["3", "1"]]
    assert polls[0][-1].troubles == ["needs more than 8 s for one poll: the next poll reads the other images"]


def _since(feed: DicomwebFeed | OrthancFeed) -> list[ChangePage]:
    return list(feed.since(None))


@pytest.mark.parametrize("rows", [[1, 2], {"a": 1}, "x", 7, [{INSTANCE: 3}], [[]]])
def test_one_study_with_strange_rows_does_not_hide_the_others(rows: object) -> None:
    """It is named as a problem."""
    store = FakeStore("1", "2", "3")
    store.instead["2"] = rows
    with running_web_server(store) as server:
        pages = _since(DicomwebFeed(HttpClient(server.url), days=3, today=lambda: date(2026, 11, 21)))
    assert uris(pages) == ["1", "3"]
    assert len(pages[-1].troubles) == 1


@pytest.mark.parametrize("uid", ["..", ".", "\ud800"])
def test_a_study_whose_uid_cannot_be_part_of_a_url_does_not_hide_the_others(uid: str) -> None:
    """A lone surrogate cannot be encoded, and dots would address another resource."""
    with running_web_server(FakeStore("1", uid, "3")) as server:
        pages = _since(DicomwebFeed(HttpClient(server.url), days=3, today=lambda: date(2026, 11, 21)))
    assert uris(pages) == ["1", "3"]
    assert pages[-1].troubles == ["does not list the images of a study: it sent rows that cannot be interpreted"]


def test_one_study_with_an_endless_response_does_not_hide_the_others() -> None:
    """The response of the list of study 2 has no end, whatever number of rows is requested."""

    def answer(_server: RawServer, request: str) -> Iterator[bytes]:
        if "/2/" in request:
            yield JSON + b"\r\n["
            while True:
                yield b'{"0020000E": {"Value": ["3"]}},' * 10_000
        elif "offset=0" not in request:
            yield b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n"
        else:
            rows = [{STUDY: _value(uid)} for uid in "123"]
            images = [{SERIES: _value("3"), INSTANCE: _value(request.split("/")[-2])}]
            body = json.dumps(images if "/instances" in request else rows)
            yield OK + b"Connection: close\r\n\r\n" + body.encode()

    with running_raw_server(answer) as server:
        pages = _since(
            DicomwebFeed(HttpClient(server.url, timeout_seconds=5), days=3, today=lambda: date(2026, 11, 21))
        )
    assert uris(pages) == ["1", "3"]
    assert pages[-1].troubles == ["does not list the images of a study: it sent more than 33554432 bytes"]


def change(number: object, **other: object) -> dict[str, Any]:
    return {"Seq": number, "ChangeType": "NewInstance", "ID": f"i{number}", "Date": "d", **other}


def orthanc(changes: Callable[[int], dict[str, Any]], **resource: Any) -> Callable[[Request], Reply]:
    """Return an Orthanc whose change log is a function of `since`, and whose resources all look like this one."""

    def answer(asked: Request) -> Reply:
        if urlsplit(asked.path).path == "/changes":
            return _json(changes(_query(asked)["since"]))
        return _json([{"ID": one, "FileSize": "9", **resource} for one in json.loads(asked.body)["Resources"]])

    return answer


def polled(answer: Callable[[Request], Reply], limits: PollLimits = PollLimits()) -> list[ChangePage]:  # noqa: B008
    with running_web_server(answer) as server:
        return _since(OrthancFeed(HttpClient(server.url), limits=limits))


def endless_changes(since: int) -> dict[str, Any]:
    return {"Changes": [change(since + 1), change(since + 2)], "Last": since + 2, "Done": False}


def test_an_endless_change_log_continues_in_the_next_poll() -> None:
    """The cursor says where."""
    pages = polled(orthanc(endless_changes), PollLimits(images_per_poll=5))
    assert [page.cursor["last"] for page in pages] == [2, 3, 4, 5]
    assert [list(page.troubles) for page in pages[-2:]] == [
        [],
        ["has more than 5 new images for one poll: the next poll reads the others"],
    ]


def test_a_change_log_that_is_another_one_each_time_is_an_error() -> None:
    """Each second page looks like that of a replaced database."""
    with pytest.raises(UnexpectedError, match="another change log with each request"):
        polled(
            orthanc(
                lambda since: {
                    "Changes": [change(5 if since == 0 else 1)],
                    "Last": 5 if since == 0 else 1,
                    "Done": False,
                }
            )
        )


def test_more_changes_than_requested_are_read_in_parts() -> None:
    """2,000 changes in one response become pages of 500, and none is lost."""
    pages = polled(
        orthanc(lambda since: {"Changes": [change(n) for n in range(since + 1, 2001)], "Last": 2000, "Done": True})
    )
    assert len({arrival.uri for page in pages for arrival in page.arrivals}) == 2000
    assert max(len(page.arrivals) for page in pages) == 500


@pytest.mark.parametrize("size", [float("inf"), 10**24, "1" * 25, -5, "x", None, [], {}, True, 2**63])
def test_a_size_without_bounds_is_unknown(size: object) -> None:
    """The image is an arrival all the same."""
    pages = polled(orthanc(lambda _: {"Changes": [change(1)], "Last": 1, "Done": True}, FileSize=size))
    assert [arrival.size for arrival in pages[0].arrivals] == [0]
